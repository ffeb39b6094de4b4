"""The ensemble improvement rate against rho: it takes label noise for SAM's to fall."""

from dataclasses import replace
from functools import cache

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sharpdiv.checks.evidence import Evidence
from sharpdiv.figures.figure import figure
from sharpdiv.figures.style import COLORS, new_figure, plot_simulation
from sharpdiv.theory.plots import LABELS, plot_columns
from sharpdiv.theory.setting import Setting
from sharpdiv.theory.simulation import Simulation, simulate
from sharpdiv.theory.theorems.sam import sam_tradeoff
from sharpdiv.theory.theorems.sharpbalance import sharpbalance_tradeoff

__all__ = ["draw"]

_SETTING = Setting(n=600, d=150, steps=20, learning_rate=0.02)  # sigma^2 = |w*|^2/d = 0.1
_MEMBERS = 3
_SHOWN = np.linspace(0, 1, 11)
"""rho of the simulations."""


@figure(
    "improvement_rate",
    finding="Without label noise SAM's EIR is the same for every ρ; with it, SAM's falls and SharpBalance's rises",
    caption=(
        "EIR of three members over ρ: SAM on all the data, SharpBalance on s = 3 blocks; n = 600, d = 150, k "
        "= 20, η = 0.02, σ² = 0.1; label noise 0 and 0.1. Lines: limit; points: 20 draws with standard "
        "errors."
    ),
    alt=(
        "Two panels of EIR against rho. Without label noise SAM's line is flat and SharpBalance's rises; with"
        " noise SAM's falls. Simulated points lie on the lines."
    ),
)
def draw(_: Evidence) -> Figure:
    """EIR of three members, SAM on all the data and SharpBalance on three blocks, without and with label noise 0.1.

    Returns:
        Two panels.
    """
    figure, (left, right) = new_figure(1, 2, height=2.2)
    _panel(left, _SETTING)
    _panel(right, replace(_SETTING, label_noise=0.1))
    left.set_title("no label noise")
    right.set_title("label noise 0.1")
    for axes in (left, right):
        axes.set(ylim=(0, 0.75))
    handles, labels = left.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3)
    return figure


def _panel(axes: Axes, setting: Setting) -> None:
    rho = np.linspace(0, 1, 101)
    sam = sam_tradeoff(setting, rho, members=_MEMBERS)
    balance = sharpbalance_tradeoff(setting, rho, blocks=_MEMBERS)
    plot_columns(axes, sam, y="eir", x="rho", color=COLORS["sam"], label="SAM")
    plot_columns(axes, balance, y="eir", x="rho", color=COLORS["sharpbalance"], ls="--", label="SharpBalance")
    for blocks, seed in ((1, 1), (_MEMBERS, 2)):
        plot_simulation(axes, _SHOWN, _simulated(setting, blocks, seed).eir, again=blocks > 1)
    axes.set(xlabel=LABELS["rho"], ylabel=LABELS["eir"])


@cache
def _simulated(setting: Setting, blocks: int, seed: int) -> Simulation:
    return simulate(setting, _SHOWN, blocks=blocks, members=_MEMBERS, draws=20, inits=_MEMBERS, seed=seed)
