"""Theorem 2 against simulation, as in the paper's appendix: over rho, and over the number of steps."""

from dataclasses import replace

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sharpdiv.checks.results import Evidence
from sharpdiv.figures.figure import figure
from sharpdiv.figures.style import COLORS, new_figure, plot_simulation
from sharpdiv.theory.estimate import Estimate
from sharpdiv.theory.setting import Setting
from sharpdiv.theory.simulation import simulate
from sharpdiv.theory.theorems.sharpbalance import sharpbalance_tradeoff

__all__ = ["draw"]

_BLOCKS = 10


@figure(
    "sharpbalance_simulation",
    finding=("Theorem 2 meets the simulation: its diversity is exact, its sharpness stays below the published bound"),
    caption=(
        "Diversity D and sharpness κ of SharpBalance on s = 10 blocks, over ρ at k = 5 and over k at ρ = 0.4:"
        " exact limit, published upper bound, and simulated means with standard errors; n = 3000, d = 150, η "
        "= 0.01, σ² = 0.1, radius 0.01. All of it is stable."
    ),
    alt=(
        "Four panels. Diversity and sharpness fall with rho and with the number of steps; simulated points "
        "lie on the exact lines and below the dashed published bound."
    ),
)
def draw(_: Evidence) -> Figure:
    """Diversity and sharpness of SharpBalance on 10 blocks: k = 5 over rho, and rho = 0.4 over k; all of it stable.

    Returns:
        Four panels.
    """
    figure, axes = new_figure(2, 2)
    setting = Setting(steps=5)
    rho = np.linspace(0.4, 1.0, 13)
    theory = sharpbalance_tradeoff(setting, rho, blocks=_BLOCKS)
    measured = simulate(setting, rho, blocks=_BLOCKS, draws=10, inits=50, seed=0)
    for panel, name in zip(axes[:2], ("diversity", "sharpness"), strict=True):
        _panel(panel, rho, getattr(theory, name), getattr(measured, name))
        panel.set(xlabel="rho  (k = 5)", ylabel=name)
    axes[1].plot(rho, theory.sharpness_upper, color=COLORS["muted"], ls="--", lw=1.2, label="published bound")

    steps = np.arange(1, 15)
    curves = [sharpbalance_tradeoff(replace(setting, steps=int(k)), 0.4, blocks=_BLOCKS) for k in steps]
    runs = [simulate(replace(setting, steps=int(k)), 0.4, blocks=_BLOCKS, draws=5, inits=50, seed=0) for k in steps]
    for panel, name in zip(axes[2:], ("diversity", "sharpness"), strict=True):
        estimates = [getattr(run, name) for run in runs]
        joined = Estimate(
            np.concatenate([e.mean for e in estimates]),
            np.concatenate([e.stderr for e in estimates if e.stderr is not None]),
        )
        _panel(panel, steps.astype(float), np.concatenate([getattr(c, name) for c in curves]), joined)
        panel.set(xlabel="steps k  (rho = 0.4)", ylabel=name)
    bound = np.concatenate([c.sharpness_upper for c in curves])
    axes[3].plot(steps, bound, color=COLORS["muted"], ls="--", lw=1.2, label="published bound")
    axes[0].legend()
    axes[1].legend()
    return figure


def _panel(axes: Axes, x: np.ndarray, theory: np.ndarray, measured: Estimate) -> None:
    axes.plot(x, theory, color=COLORS["sharpbalance"], label="theory")
    plot_simulation(axes, x, measured)
