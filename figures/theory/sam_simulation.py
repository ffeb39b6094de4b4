"""Fig. 2 of the paper: Theorem 1 against simulation, over the stable range and beyond it."""

from functools import cache
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from sharpdiv.checks.evidence import Evidence
from sharpdiv.figures.figure import figure
from sharpdiv.figures.style import COLORS, mark_unstable, new_figure, plot_simulation
from sharpdiv.theory.plots import LABELS, plot_columns
from sharpdiv.theory.setting import Setting
from sharpdiv.theory.simulation import Simulation, simulate
from sharpdiv.theory.theorems.sam import sam_tradeoff

__all__ = ["draw"]


@figure(
    "sam_simulation",
    finding=(
        "Theorem 1 meets the simulation; both diversity and sharpness fall with ρ, turn before the stability "
        "limit, and grow beyond it"
    ),
    caption=(
        "Diversity D and sharpness κ of SAM over ρ: exact limit, published bounds, and 10 data draws of 100 "
        "initialisations with standard errors; n = 3000, d = 150, k = 3, η = 0.01, σ² = 0.1, radius 0.01. "
        "Shaded: ρ above 0.1897, where SAM does not contract every direction."
    ),
    alt=(
        "Two panels on logarithmic axes. Simulated points lie on the theory's lines, which fall until about "
        "rho 0.15 and rise from there by four and two orders of magnitude."
    ),
)
def draw(_: Evidence) -> Figure:
    """Diversity and sharpness of SAM against rho: theory, published bounds, 10 data draws of 100 initialisations.

    Returns:
        Two panels.
    """
    figure, (left, right) = new_figure(1, 2, height=2.2)
    theory, measured = sam_tradeoff(Setting(), np.linspace(0, 0.5, 201)), _simulated()
    for axes, name in ((left, "diversity"), (right, "sharpness")):
        plot_columns(axes, theory, y=name, x="rho", color=COLORS["sam"], label="theory (dotted: unstable)")
        if name == "sharpness":
            bounds: dict[str, Any] = {"color": COLORS["muted"], "ls": "--", "lw": 1}
            axes.plot(theory.rho, theory.sharpness_upper, label="published bounds", **bounds)
            axes.plot(theory.rho, theory.sharpness_lower, **bounds)
        plot_simulation(axes, measured.rho, getattr(measured, name))
        axes.set(xlabel=LABELS["rho"], ylabel=LABELS[name], yscale="log", xlim=(0, 0.51))
        mark_unstable(axes, theory.critical_rho)
    handles, labels = right.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4)
    return figure


@cache
def _simulated() -> Simulation:
    return simulate(Setting(), np.linspace(0, 0.5, 21), draws=10, inits=100, seed=0)
