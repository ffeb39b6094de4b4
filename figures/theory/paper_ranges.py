"""Figs. 1b and 2 of the paper in their own ranges of rho, to lie beside theirs."""

from functools import cache

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sharpdiv.checks.evidence import Evidence
from sharpdiv.figures.figure import figure
from sharpdiv.figures.labels import keep_apart
from sharpdiv.figures.style import COLORS, SMALL, new_figure, plot_simulation
from sharpdiv.theory.plots import LABELS, plot_columns, tell_rho
from sharpdiv.theory.setting import Setting
from sharpdiv.theory.simulation import Simulation, simulate
from sharpdiv.theory.theorems.sam import sam_tradeoff
from sharpdiv.theory.theorems.sharpbalance import sharpbalance_tradeoff

__all__ = ["draw"]

_OF_TRADEOFF = {"sam": (0.24, 0.255), "sharpbalance": (0.01, 1.5)}
_OF_SIMULATION = (0.3, 0.5)
"""Ranges of rho in the authors' notebook."""
_BLOCKS = 10


@figure(
    "paper_ranges",
    finding="In the ranges of the paper's figures SAM's steps diverge: diversity and sharpness grow with ρ",
    caption=(
        "The paper's Fig. 1b (left) and Fig. 2 (middle, right) in the authors' ranges of ρ: n = 3000, d = 150, k = "
        "3, η = 0.01, σ² = 0.1, radius 0.01; SAM at ρ from 0.24 to 0.255 and SharpBalance on 10 blocks from 0.01 to "
        "1.5; then SAM at ρ from 0.3 to 0.5 against 10 data draws of 100 initialisations with standard errors. Exact "
        "limits; SAM contracts only below ρ = 0.19 (dotted: it does not)."
    ),
    alt=(
        "Three panels. Left: SharpBalance's line of diversity against sharpness lies above SAM's, which rises with "
        "rho. Middle and right: diversity and sharpness of SAM rise about sixty and eight times from rho 0.3 to 0.5; "
        "simulated points lie on the line."
    ),
)
def draw(_: Evidence) -> Figure:
    """Diversity against sharpness of both methods; then SAM's over rho.

    Returns:
        Three panels.
    """
    figure, (left, middle, right) = new_figure(1, 3, height=2.2)
    sam = sam_tradeoff(Setting(), np.linspace(*_OF_TRADEOFF["sam"], 61))
    balance = sharpbalance_tradeoff(Setting(), np.linspace(*_OF_TRADEOFF["sharpbalance"], 61), blocks=_BLOCKS)
    for curve, name, label in ((sam, "sam", "SAM (dotted: unstable)"), (balance, "sharpbalance", "SharpBalance")):
        plot_columns(left, curve, color=COLORS[name], label=label)
        tell_rho(left, curve, _OF_TRADEOFF[name], color=COLORS[name], fontsize=SMALL, offset=(-12, 5))
    left.set(xlabel=LABELS["sharpness"], ylabel=LABELS["diversity"], title="Fig. 1b")
    left.margins(0.12)
    keep_apart(left)
    for axes, name in ((middle, "diversity"), (right, "sharpness")):
        _over_rho(axes, name)
        axes.set(xlabel=LABELS["rho"], ylabel=LABELS[name], title=f"Fig. 2, {name}")
    handles = {
        label: handle for axes in (left, right) for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=4)
    return figure


def _over_rho(axes: Axes, name: str) -> None:
    theory, measured = sam_tradeoff(Setting(), np.linspace(*_OF_SIMULATION, 101)), _simulated()
    plot_columns(axes, theory, y=name, x="rho", color=COLORS["sam"], label="SAM (dotted: unstable)")
    if name == "sharpness":
        for bound in (theory.sharpness_lower, theory.sharpness_upper):
            axes.plot(theory.rho, bound, color=COLORS["muted"], ls="--", lw=1, label="published bounds")
    plot_simulation(axes, measured.rho, getattr(measured, name))


@cache
def _simulated() -> Simulation:
    return simulate(Setting(), np.linspace(*_OF_SIMULATION, 11), draws=10, inits=100, seed=0)
