"""Sharpness of both theorems: the exact limit against the published bounds, where SAM is stable and beyond."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sharpdiv.checks.evidence import Evidence
from sharpdiv.figures.figure import figure
from sharpdiv.figures.style import COLORS, mark_unstable, new_figure
from sharpdiv.theory.plots import LABELS, plot_columns
from sharpdiv.theory.setting import Setting
from sharpdiv.theory.theorems.sam import sam_tradeoff
from sharpdiv.theory.theorems.sharpbalance import sharpbalance_tradeoff
from sharpdiv.theory.theorems.tradeoff import Tradeoff

__all__ = ["draw"]


@figure(
    "exact_sharpness",
    finding=(
        "SAM's exact sharpness runs along the published upper bound; the lower bound gives way at the stability limit"
    ),
    caption=(
        "Sharpness κ over ρ and the published bounds over it: SAM with k = 3 steps, SharpBalance with k = 5 "
        "on s = 10 blocks; n = 3000, d = 150, η = 0.01, σ² = 0.1, radius 0.01, limit of many samples. Shaded:"
        " some direction does not contract."
    ),
    alt=(
        "Four panels. Above, SAM: sharpness falls, turns before the stability limit and rises; the upper "
        "bound lies on it, the lower one drops to half of it beyond the limit. Below, SharpBalance: sharpness"
        " falls with rho, the upper bound is 1 to 5 percent above it where SAM's steps contract."
    ),
)
def draw(_: Evidence) -> Figure:
    """Kappa of SAM (k = 3) and of SharpBalance (k = 5, s = 10) at the paper's other parameters, and bound / exact limit.

    Returns:
        Four panels.
    """
    figure, axes = new_figure(2, 2, height=2)
    sam = sam_tradeoff(Setting(), np.linspace(0, 0.3, 301))
    balance = sharpbalance_tradeoff(Setting(steps=5), np.linspace(0, 7.5, 301), blocks=10)
    _kappa(axes[0], sam, COLORS["sam"])
    _kappa(axes[2], balance, COLORS["sharpbalance"])
    axes[0].set(title="SAM, $k = 3$", yscale="log", ylim=(0.04, 3))
    axes[2].set(title="SharpBalance, $k = 5$, 10 blocks", ylim=(0.2, 0.8))
    _relative(axes[1], sam)
    _relative(axes[3], balance)
    axes[1].set(title="SAM: the lower bound gives way", ylim=(0.45, 1.05))
    axes[3].set(title="SharpBalance: 1 to 5% loose where stable", ylim=(0.99, 1.12))
    for panel in axes:
        panel.set(xlabel=LABELS["rho"])
        panel.margins(x=0)
    for panel, curve in zip(axes, (sam, sam, balance, balance), strict=True):
        mark_unstable(panel, curve.critical_rho)
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4)
    return figure


def _kappa(axes: Axes, curve: Tradeoff, color: str) -> None:
    plot_columns(axes, curve, y="sharpness", x="rho", color=color, label="exact limit (dotted: unstable)")
    for bound, style, label in _bounds(curve):
        axes.plot(curve.rho, bound, color=COLORS["muted"], ls=style, label=f"published {label}")
    axes.set(ylabel=LABELS["sharpness"])


def _relative(axes: Axes, curve: Tradeoff) -> None:
    for bound, style, label in _bounds(curve):
        axes.plot(curve.rho, bound / curve.sharpness, color=COLORS["muted"], ls=style, label=label)
    axes.axhline(1, color=COLORS["ink"], lw=0.8)
    axes.set(ylabel="bound over exact limit")


def _bounds(curve: Tradeoff) -> list[tuple[np.ndarray, Any, str]]:
    bounds = [(curve.sharpness_upper, "--", "upper bound"), (curve.sharpness_lower, "-.", "lower bound")]
    return [bound for bound in bounds if not np.isnan(bound[0]).all()]
