"""Normalized SAM, the one people use, against the un-normalized SAM of the theorems."""

from functools import cache
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from sharpdiv.checks.evidence import Evidence
from sharpdiv.figures.figure import figure
from sharpdiv.figures.style import COLORS, mark_unstable, new_figure, plot_simulation
from sharpdiv.theory.plots import LABELS
from sharpdiv.theory.setting import Setting
from sharpdiv.theory.simulation import Simulation, simulate
from sharpdiv.theory.theorems.sam import sam_tradeoff

__all__ = ["draw"]

_SETTING = Setting()
_SHOWN = np.linspace(0, 1.15, 24)
"""rho of the simulations in units of the critical one; they go on beyond it."""
_KINDS = (
    ("sam", "un-normalized", COLORS["sam"], "-", "o"),
    ("normalized-sam", "normalized", COLORS["normalized"], "--", "s"),
)


@figure(
    "normalized",
    finding="Normalized SAM traces the same curve of diversity against sharpness, to its own edge",
    caption=(
        "Diversity D against sharpness κ, and both over ρ in units of each optimizer's critical ρ; n = 3000, "
        "d = 150, k = 3, η = 0.01, σ² = 0.1. Lines: limit, in the stable range; points: 10 draws of 20 "
        "initialisations with standard errors, to 1.15 of the critical ρ."
    ),
    alt=(
        "Three panels. Left: the lines of normalized and un-normalized SAM coincide until each ends. Middle "
        "and right: diversity and sharpness against rho over critical rho; both fall, un-normalized SAM's "
        "turn up before the edge."
    ),
)
def draw(_: Evidence) -> Figure:
    """Diversity against sharpness, and both against rho in units of each one's own critical rho; the paper's parameters.

    Returns:
        Three panels.
    """
    figure, (together, diversity, sharpness) = new_figure(1, 3, height=2.2)
    for optimizer, label, color, style, marker in _KINDS:
        critical = sam_tradeoff(_SETTING, 0.0, optimizer=optimizer).critical_rho or np.nan
        share = np.linspace(0, 1, 200, endpoint=False)
        curve = sam_tradeoff(_SETTING, share * critical, optimizer=optimizer)
        measured = _simulated(optimizer, critical)
        line: dict[str, Any] = {"color": color, "ls": style, "label": rf"{label}, critical $\rho = {critical:.3g}$"}
        together.plot(curve.sharpness, curve.diversity, **line)
        edge = curve.sharpness[-1:], curve.diversity[-1:]
        together.plot(*edge, "x", ms=5, mew=1.5, color=color, label="_end")
        for axes, name in ((diversity, "diversity"), (sharpness, "sharpness")):
            axes.plot(share, getattr(curve, name), **line)
            open_: dict[str, Any] = {
                "mfc": "none",
                "mew": 0.6,
                "label": f"simulation, {label}",
            }  # the line is seen through
            plot_simulation(axes, _SHOWN, getattr(measured, name), marker, **open_)
    together.set(xlabel=LABELS["sharpness"], ylabel=LABELS["diversity"], title="one curve, two edges (crosses)")
    relative = r"$\rho$ over the critical $\rho$"
    diversity.set(xlabel=relative, ylabel=LABELS["diversity"], title="normalized SAM is slower in its unit")
    sharpness.set(xlabel=relative, ylabel=LABELS["sharpness"], title="only un-normalized SAM turns")
    for axes in (together, diversity):
        axes.set_yscale("log")
    for axes in (diversity, sharpness):
        axes.set_xlim(0, 1.18)
        mark_unstable(axes, 1, label="unstable; no formula if normalized")
    handles, labels = sharpness.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3)
    return figure


@cache
def _simulated(optimizer: str, critical: float) -> Simulation:
    return simulate(_SETTING, _SHOWN * critical, optimizer=optimizer, draws=10, inits=20, seed=0)
