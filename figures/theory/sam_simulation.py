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


@figure("sam_simulation")
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
        right.plot(theory.rho, bound, color=COLORS["bound"], ls="--", lw=1.2, label=label)
    plot_simulation(right, measured.rho, measured.sharpness)
    right.set(xlabel="rho", ylabel="sharpness", yscale="log")
    for axes in (left, right):
        axes.set_xlim(0, 0.51)
        mark_unstable(axes, theory.critical_rho)
        axes.legend(loc="upper left")
    return figure
