"""Sign and size of what SAM does to diversity where networks learn features: over rho and m, and over alpha."""

from dataclasses import replace
from functools import cache

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import TwoSlopeNorm
from matplotlib.figure import Figure

from sharpdiv.checks.evidence import Evidence
from sharpdiv.figures.figure import figure
from sharpdiv.figures.style import COLORS, new_figure
from sharpdiv.theory.feature_learning.diagonal.closed_forms import diagonal_tradeoff
from sharpdiv.theory.feature_learning.diagonal.setting import DiagonalSetting
from sharpdiv.theory.feature_learning.two_layer.closed_forms import two_layer_tradeoff
from sharpdiv.theory.feature_learning.two_layer.setting import TwoLayerSetting

__all__ = ["draw"]

_TWO_LAYER = TwoLayerSetting(learning_rate=0.05, target_loss=1e-5)
_GROUPS = (1, 2, 5, 10, 20, 50, 100)
_STRENGTH = np.linspace(0, 0.3, 13)
"""rho n/m."""
_ALPHAS = np.geomspace(0.1, 3, 8)
_SMALL = 1e-3
_OF_SAMPLES = {1: ("first", "o"), 10: ("fourth", "D")}
"""Looks of the sizes of groups."""


@figure(
    "sign",
    finding=(
        "Where networks learn features SAM lowers diversity; training f − f(0) turns the sign in two-layer networks"
    ),
    caption=(
        "Slopes d log D / dρ. Left and middle: two-layer linear networks that train f and f − f(0), over ρ "
        "n/m and the size m of SAM's groups, n = 100, η = 0.05, to training loss 1e-5. Right: diagonal "
        "networks at ρ = 0 over the initial scale α."
    ),
    alt=(
        "Three panels. The first map is blue throughout, diversity falls; the second is red, it rises. Right:"
        " the slope of diagonal networks is negative at small alpha and near zero or slightly positive above "
        "1."
    ),
)
def draw(_: Evidence) -> Figure:
    """Slopes d log D / d rho of two-layer networks that train f and f - f(0), over rho and m, and of diagonal ones over alpha.

    Returns:
        Three panels.
    """
    figure, (left, middle, right) = new_figure(1, 3, height=2.3)
    maps = [_slopes(subtract) for subtract in (False, True)]
    norm = TwoSlopeNorm(0, min(map(np.nanmin, maps)), max(map(np.nanmax, maps)))
    for axes, slopes, title in zip(
        (left, middle), maps, ("two-layer, on $f$", "two-layer, on $f - f(0)$"), strict=True
    ):
        axes.set_facecolor(COLORS["faint"])
        image = axes.pcolormesh(_STRENGTH, np.arange(len(_GROUPS) + 1), slopes, cmap="RdBu_r", norm=norm)
        axes.set_yticks(np.arange(len(_GROUPS)) + 0.5, list(map(str, _GROUPS)))
        axes.set(title=title, xlabel=r"$\rho\,n/m$", ylabel="$m$, of $n = 100$")
        axes.grid(visible=False)
    figure.colorbar(image, ax=[left, middle], label=r"$(m/n)\;d\log D/d\rho$", location="bottom", aspect=40)
    _diagonal(right)
    return figure


@cache
def _slopes(subtract: bool) -> np.ndarray:
    """Between neighbours of the grid."""
    rows = []
    for m in _GROUPS:
        setting = replace(_TWO_LAYER, m=m, subtract_initial=subtract)
        diversity = two_layer_tradeoff(setting, _STRENGTH * m / setting.n).diversity
        rows.append(np.diff(np.log(diversity)) / np.diff(_STRENGTH))
    return np.array(rows)


def _diagonal(axes: Axes) -> None:
    """Slope at rho = 0 by the trace, whose inverse is the unit of rho, and by 1/m."""
    for m, (color, marker) in _OF_SAMPLES.items():
        found = [_slope(DiagonalSetting(alpha=alpha, m=m)) for alpha in _ALPHAS.tolist()]
        axes.plot(_ALPHAS, found, f"{marker}-", color=COLORS[color], label=f"$m = {m}$")
    axes.axhline(0, color=COLORS["muted"], lw=0.8)
    axes.set_yscale("symlog", linthresh=1e-3)
    axes.set_ylim(-1, 5e-3)
    axes.set(
        xscale="log",
        xlabel=r"initial scale $\alpha$",
        ylabel=r"$(m/\mathrm{trace})\;d\log D/d\rho$",
        title=r"diagonal, at $\rho = 0$",
    )
    axes.legend(loc="lower right")


@cache
def _slope(setting: DiagonalSetting) -> float:
    rho = _SMALL * setting.group
    found = diagonal_tradeoff(setting, (0.0, rho))
    return float(np.log(found.diversity[1] / found.diversity[0]) / rho * setting.group / found.trace[0])
