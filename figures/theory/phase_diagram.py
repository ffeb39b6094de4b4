"""Where SharpBalance is the more diverse one at equal sharpness, where it cannot be compared, and where its trade-off reverses."""

from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from sharpdiv.checks.evidence import Evidence
from sharpdiv.figures.figure import figure
from sharpdiv.figures.style import COLORS, new_figure
from sharpdiv.theory.setting import Setting
from sharpdiv.theory.spectra.marchenko_pastur import MarchenkoPastur
from sharpdiv.theory.theorems.comparison import Comparison, Regime, compare

__all__ = ["draw"]

_DIMENSIONS = 150
_RATIOS = np.geomspace(0.5, 200, 81)
_SHARES = np.linspace(0, 0.999, 100)
_RATE = 0.3  # eta x_+ of all the data: the paper's eta = 0.01 at r = 20
_HATCH = "/////"
_REGIMES = {
    Regime.SHARPBALANCE: ("SharpBalance more diverse at equal sharpness", COLORS["sharpbalance"]),
    Regime.SAM: ("a stable SAM more diverse at equal sharpness", COLORS["sam"]),
    Regime.NO_OVERLAP: ("no stable SAM has this sharpness", COLORS["faint"]),
    Regime.UNSTABLE: ("SharpBalance unstable", COLORS["muted"]),
}


@figure(
    "phase_diagram",
    finding=(
        "Where a stable SAM is as sharp, SharpBalance is more diverse, but for few blocks and many steps not everywhere"
    ),
    caption=(
        "Regimes over r = n/d and ρ in units of SharpBalance's critical ρ at each r; η x₊ = 0.3, d = 150, k "
        "steps and s blocks as in the titles. Titles: smallest and largest ratio of the two diversities at "
        "equal sharpness."
    ),
    alt=(
        "Three maps over the ratio n over d and rho, coloured by which method is more diverse at equal "
        "sharpness, grey where no stable SAM is as sharp, hatched where rho moves diversity and sharpness "
        "oppositely."
    ),
)
def draw(_: Evidence) -> Figure:
    """Regimes over (r, rho) for some steps and blocks; rho in units of SharpBalance's critical rho at each r.

    Returns:
        Three panels.
    """
    figure, axes = new_figure(1, 3, height=2.6)
    cases = ((3, 3), (3, 10), (10, 2))
    for panel, (steps, blocks) in zip(axes, cases, strict=True):
        columns = [_column(ratio, steps, blocks) for ratio in _RATIOS.tolist()]
        _panel(panel, columns)
        ratios = np.concatenate([column.ratio for column in columns])
        factor = f"{np.nanmin(ratios):.2g} to {np.nanmax(ratios):.2g} times SAM's $D$"
        panel.set_title(f"$k = {steps}$, $s = {blocks}$:\n{factor}")
    handles = [Patch(facecolor=color, label=label) for label, color in _REGIMES.values()]
    reversed_ = r"trade-off reversed: $\rho$ moves $D$ and $\kappa$ oppositely"
    handles.append(Patch(facecolor="none", edgecolor=COLORS["ink"], lw=0, hatch=_HATCH, label=reversed_))
    axes[0].set_ylabel(r"$\rho$ over its critical value")
    figure.legend(handles=handles, loc="outside lower center", ncols=2)
    return figure


@cache
def _column(ratio: float, steps: int, blocks: int) -> Comparison:
    setting = Setting(n=round(ratio * _DIMENSIONS), d=_DIMENSIONS, steps=steps)
    setting = replace(setting, learning_rate=_RATE / MarchenkoPastur(setting.ratio).largest)
    return compare(setting, _SHARES, blocks=blocks)


def _panel(axes: Axes, columns: list[Comparison]) -> None:
    regime, opposite = (np.array([getattr(c, name) for c in columns]).T for name in ("regime", "reversed"))
    axes.set_facecolor(_color(Regime.NO_OVERLAP))
    axes.axhspan(1, 1.06, color=_color(Regime.UNSTABLE), lw=0)
    # One above the other, so that no gap shows between neighbours.
    _fill(axes, np.isin(regime, [Regime.SHARPBALANCE, Regime.SAM]), colors=_color(Regime.SHARPBALANCE))
    _fill(axes, regime == Regime.SAM, colors=_color(Regime.SAM))
    _fill(axes, opposite, colors="none", hatches=[_HATCH])
    axes.contour(_RATIOS, _SHARES, opposite.astype(float), levels=[0.5], colors=COLORS["ink"], linewidths=0.7)
    axes.set(xscale="log", ylim=(0, 1.06), xlabel="$r = n/d$")
    axes.grid(visible=False)


def _color(regime: Regime) -> str:
    return _REGIMES[regime][1]


def _fill(axes: Axes, where: np.ndarray, **style: Any) -> None:
    axes.contourf(_RATIOS, _SHARES, where.astype(float), levels=[0.5, 1.5], **style)
