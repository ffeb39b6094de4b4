"""Theorem 2 against simulation, as in the paper's appendix: over rho, and over the number of steps."""

from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from sharpdiv.checks.evidence import Evidence
from sharpdiv.figures.figure import figure
from sharpdiv.figures.style import COLORS, new_figure, plot_simulation
from sharpdiv.theory.estimate import Estimate
from sharpdiv.theory.plots import LABELS
from sharpdiv.theory.setting import Setting
from sharpdiv.theory.simulation import Simulation, simulate
from sharpdiv.theory.theorems.sharpbalance import sharpbalance_tradeoff

__all__ = ["draw"]

_BLOCKS = 10
_SETTING = Setting(steps=5)
_RHO = np.linspace(0.4, 1.0, 13)
_STEPS = np.arange(1, 15)
_AT = 0.4
"""rho of the panels over the steps."""


@figure(
    "sharpbalance_simulation",
    finding=("Theorem 2 meets the simulation: its diversity is exact, its sharpness stays below the published bound"),
    caption=(
        "Diversity D and sharpness κ of SharpBalance on s = 10 blocks, over ρ at k = 5 and over k at ρ = 0.4:"
        " exact limit, published upper bound, and means of 100 simulated data sets with standard errors; n = 3000, d = 150, η "
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
    figure, axes = new_figure(2, 2, height=1.8)
    theory, measured = sharpbalance_tradeoff(_SETTING, _RHO, blocks=_BLOCKS), _simulated()
    curves = [sharpbalance_tradeoff(replace(_SETTING, steps=int(k)), _AT, blocks=_BLOCKS) for k in _STEPS]
    for place, name in enumerate(("diversity", "sharpness")):
        mean, stderr = getattr(measured, name).mean, getattr(measured, name).stderr
        upper, lower = axes[place], axes[place + 2]
        upper.plot(_RHO, getattr(theory, name), color=COLORS["sharpbalance"], label="theory, exact limit")
        lower.plot(_STEPS, [getattr(curve, name)[0] for curve in curves], color=COLORS["sharpbalance"])
        if name == "sharpness":
            look: dict[str, Any] = {"color": COLORS["muted"], "ls": "--", "label": "published bound"}
            upper.plot(_RHO, theory.sharpness_upper, **look)
            lower.plot(_STEPS, [curve.sharpness_upper[0] for curve in curves], **look)
        split = len(_RHO)
        plot_simulation(upper, _RHO, Estimate(mean[:split], stderr[:split]))
        plot_simulation(lower, _STEPS, Estimate(mean[split:], stderr[split:]))
        upper.set(xlabel=rf"$\rho$ at $k = {_SETTING.steps}$", ylabel=LABELS[name])
        lower.set(xlabel=rf"steps $k$ at $\rho = {_AT}$", ylabel=LABELS[name])
    handles, labels = axes[1].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3)
    return figure


@cache
def _simulated() -> Simulation:
    """Over rho, then over the steps: the same 100 data sets serve both."""
    rho = np.concatenate([_RHO, np.full(len(_STEPS), _AT)])
    steps = [_SETTING.steps] * len(_RHO) + _STEPS.tolist()
    return simulate(_SETTING, rho, blocks=_BLOCKS, steps=steps, draws=100, inits=50, seed=0)
