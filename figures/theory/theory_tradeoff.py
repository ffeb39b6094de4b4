"""Fig. 1b of the paper: theoretical diversity against sharpness for SAM and SharpBalance."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sharpdiv.checks.results import Evidence
from sharpdiv.figures.figure import figure
from sharpdiv.figures.style import COLORS, new_figure
from sharpdiv.theory.filters import critical_rho
from sharpdiv.theory.setting import Setting
from sharpdiv.theory.spectra.marchenko_pastur import MarchenkoPastur
from sharpdiv.theory.theorems.sam import sam_tradeoff
from sharpdiv.theory.theorems.sharpbalance import sharpbalance_tradeoff

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
    figure, axes = new_figure(1, 2)
    setting = Setting()
    _panel(axes[0], setting, blocks=10, published=(0.01, 1.5))
    axes[0].set_title("10 blocks: at the paper's rho, no overlap with stable SAM")
    _panel(axes[1], setting, blocks=3, published=None)
    axes[1].set_title("3 blocks: the ranges overlap")
    axes[0].legend(loc="lower right")
    return figure


def _panel(axes: Axes, setting: Setting, blocks: int, published: tuple[float, float] | None) -> None:
    edge = critical_rho(MarchenkoPastur(setting.ratio), setting.learning_rate) or 0.0
    stable = sam_tradeoff(setting, np.linspace(0, edge, 300))
    axes.plot(stable.sharpness, stable.diversity, color=COLORS["sam"], label="SAM, stable")
    if published:
        unstable = sam_tradeoff(setting, np.linspace(edge, 0.255, 100))
        axes.plot(
            unstable.sharpness, unstable.diversity, color=COLORS["sam"], ls=":", label="SAM, unstable to rho = 0.255"
        )
        shown = sam_tradeoff(setting, np.linspace(0.24, 0.255, 30))
        axes.plot(
            shown.sharpness, shown.diversity, color=COLORS["sam"], lw=6, alpha=0.35, label="SAM, rho in the paper"
        )
    edge = critical_rho(MarchenkoPastur(setting.ratio / blocks), setting.learning_rate) or 0.0
    balance = sharpbalance_tradeoff(setting, np.linspace(0, edge, 300), blocks=blocks)
    axes.plot(balance.sharpness, balance.diversity, color=COLORS["sharpbalance"], label="SharpBalance, stable")
    if published:
        shown = sharpbalance_tradeoff(setting, np.linspace(*published, 60), blocks=blocks)
        label = "SharpBalance, rho in the paper"
        axes.plot(shown.sharpness, shown.diversity, color=COLORS["sharpbalance"], lw=6, alpha=0.35, label=label)
    for curve, color in ((stable, COLORS["sam"]), (balance, COLORS["sharpbalance"])):
        label = "stability limit" if curve is stable else "_again"
        axes.plot(curve.sharpness[-1], curve.diversity[-1], "x", ms=7, mew=2, color=color, label=label)
    axes.plot(stable.sharpness[0], stable.diversity[0], "o", color=COLORS["gd"], label="gradient descent")
    label = "gradient descent on blocks"
    axes.plot(balance.sharpness[0], balance.diversity[0], "s", color=COLORS["control"], label=label)
    axes.set(xlabel="sharpness (exact limit)", ylabel="diversity D", yscale="log")
