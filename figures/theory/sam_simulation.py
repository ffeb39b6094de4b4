"""Fig. 2 of the paper: Theorem 1 against simulation, over the stable range and beyond it."""

import numpy as np
from matplotlib.figure import Figure

from sharpdiv.checks.results import Evidence
from sharpdiv.figures.figure import figure
from sharpdiv.figures.style import COLORS, mark_unstable, new_figure, plot_simulation
from sharpdiv.theory.setting import Setting
from sharpdiv.theory.simulation import simulate
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
    figure, (left, right) = new_figure(1, 2)
    setting = Setting()
    theory = sam_tradeoff(setting, np.linspace(0, 0.5, 201))
    measured = simulate(setting, np.linspace(0, 0.5, 21), draws=10, inits=100, seed=0)

    left.plot(theory.rho, theory.diversity, color=COLORS["sam"], label="theory")
    plot_simulation(left, measured.rho, measured.diversity)
    left.set(xlabel="rho", ylabel="diversity D", yscale="log")

    right.plot(theory.rho, theory.sharpness, color=COLORS["sam"], label="theory, exact limit")
    for bound, label in ((theory.sharpness_upper, "published bounds"), (theory.sharpness_lower, "_lower")):
        right.plot(theory.rho, bound, color=COLORS["muted"], ls="--", lw=1.2, label=label)
    plot_simulation(right, measured.rho, measured.sharpness)
    right.set(xlabel="rho", ylabel="sharpness", yscale="log")
    for axes in (left, right):
        axes.set_xlim(0, 0.51)
        mark_unstable(axes, theory.critical_rho)
        axes.legend(loc="upper left")
    return figure
