"""Fig. 1b of the paper: theoretical diversity against sharpness for SAM and SharpBalance."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sharpdiv.checks.evidence import Evidence
from sharpdiv.figures.figure import figure
from sharpdiv.figures.labels import keep_apart
from sharpdiv.figures.style import COLORS, MARKERS, SMALL, new_figure
from sharpdiv.theory.filters import critical_rho
from sharpdiv.theory.plots import LABELS, plot_columns, tell_rho
from sharpdiv.theory.setting import Setting
from sharpdiv.theory.spectra.marchenko_pastur import MarchenkoPastur
from sharpdiv.theory.theorems.sam import sam_tradeoff
from sharpdiv.theory.theorems.sharpbalance import sharpbalance_tradeoff
from sharpdiv.theory.theorems.tradeoff import Tradeoff

__all__ = ["draw"]


@figure(
    "theory_tradeoff",
    finding=(
        "At the paper's ρ, SharpBalance is sharper than any stable SAM; with 3 blocks they overlap, and "
        "SharpBalance is more diverse"
    ),
    caption=(
        "Diversity D against sharpness κ, exact limits, one curve for each method as ρ rises from 0, marked "
        "along the curves: n = 3000, d = 150, k = 3, η = 0.01, σ² = 0.1, radius 0.01. Left: s = 10 blocks, "
        "bands: the ρ of the paper's Fig. 1b. Right: s = 3. Crosses: stability limits."
    ),
    alt=(
        "Two panels of diversity against sharpness. Left: SAM's stable curve ends at lower sharpness than "
        "SharpBalance's begins; the paper's range of SAM is on its unstable, dotted part. Right: the curves "
        "overlap in sharpness and SharpBalance's is above SAM's."
    ),
)
def draw(_: Evidence) -> Figure:
    """Exact limits at the paper's parameters (10 blocks) and where the stable ranges overlap (3 blocks).

    Returns:
        Two panels.
    """
    figure, axes = new_figure(1, 2, height=2.5)
    _panel(axes[0], blocks=10, marked=(0.5, 1.0, 2.0), published=True)
    _panel(axes[1], blocks=3, marked=(0.2, 0.5, 0.8), published=False)
    axes[0].set_title("10 blocks, as in the paper: no overlap where stable")
    axes[1].set_title("3 blocks: the ranges overlap")
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4)
    return figure


def _panel(axes: Axes, *, blocks: int, marked: tuple[float, ...], published: bool) -> None:
    setting = Setting()
    edge = critical_rho(MarchenkoPastur(setting.ratio), setting.learning_rate) or 0.0
    sam = sam_tradeoff(setting, np.linspace(0, 0.255 if published else edge * (1 - 1e-9), 400))
    edge = critical_rho(MarchenkoPastur(setting.ratio / blocks), setting.learning_rate) or 0.0
    balance = sharpbalance_tradeoff(setting, np.linspace(0, edge * (1 - 1e-9), 400), blocks=blocks)
    _curve(axes, sam, "sam", "SAM (dotted: unstable)", (0.02, 0.05, 0.1), (5, -4))
    _curve(axes, balance, "sharpbalance", "SharpBalance", marked, (0, 5))
    if published:
        _band(axes, sam, "sam", "SAM, the paper's $\\rho$", (0.24, 0.255))
        _band(axes, balance, "sharpbalance", "SharpBalance, the paper's $\\rho$", (0.01, 1.5))
    for curve, name, label in ((sam, "gd", "gradient descent"), (balance, "control", "gradient descent on blocks")):
        look: dict[str, Any] = {"color": COLORS[name], "zorder": 3, "label": label}
        axes.plot(curve.sharpness[0], curve.diversity[0], MARKERS[name], ms=4.5, **look)
    axes.set(xlabel=LABELS["sharpness"], ylabel=LABELS["diversity"], yscale="log")
    axes.margins(y=0.1)
    keep_apart(axes)


def _curve(
    axes: Axes, curve: Tradeoff, name: str, label: str, marked: tuple[float, ...], offset: tuple[int, int]
) -> None:
    """With some rho along it, and a cross at the last rho that is stable."""
    color, last = COLORS[name], int(np.flatnonzero(curve.stable)[-1])
    plot_columns(axes, curve, color=color, label=label)
    tell_rho(axes, curve, marked, color=color, fontsize=SMALL, offset=offset)
    end = curve.sharpness[last], curve.diversity[last]
    axes.plot(*end, "x", ms=5, mew=1.5, color=color, label="stability limit" if name == "sam" else "_again")
    text = f"$\\rho={curve.critical_rho:.3g}$"
    place = (6, -3) if name == "sam" else (-4, -9)
    axes.annotate(text, end, xytext=place, textcoords="offset points", color=color, fontsize=SMALL)


def _band(axes: Axes, curve: Tradeoff, name: str, label: str, ends: tuple[float, float]) -> None:
    shown = (curve.rho >= ends[0]) & (curve.rho <= ends[1])
    look: dict[str, Any] = {"lw": 5, "alpha": 0.3, "solid_capstyle": "butt", "label": label}
    axes.plot(curve.sharpness[shown], curve.diversity[shown], color=COLORS[name], **look)
