"""What the limits miss at finite (n, d): the 1/d correction of the diversity, and which bounds survive."""

from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sharpdiv.checks.evidence import Evidence
from sharpdiv.figures.figure import figure
from sharpdiv.figures.style import COLORS, new_figure, plot_simulation
from sharpdiv.theory.estimate import Estimate
from sharpdiv.theory.filters import critical_rho
from sharpdiv.theory.setting import Setting
from sharpdiv.theory.simulation import Simulation, simulate
from sharpdiv.theory.spectra.data_law import data_law
from sharpdiv.theory.spectra.marchenko_pastur import MarchenkoPastur
from sharpdiv.theory.theorems.sam import sam_tradeoff

__all__ = ["draw"]

_RATIO, _DIMENSIONS = 2, np.array([3, 4, 6, 8, 11, 16, 24, 36, 54, 80, 110, 150])
_SHARES = ((0.0, "-", "o"), (0.5, "--", "s"), (0.9, ":", "^"))


@figure(
    "finite_size",
    finding=(
        "Near the stability limit the limit formulas need a large d, and the published lower bound fails where "
        "the rigorous one holds"
    ),
    caption=(
        "Left: exact diversity at finite (n, d) over its limit, minus 1, n = 2d, k = 3, η x₊ = 0.3, at ρ = 0,"
        " half and 0.9 of the critical ρ; black lines: first order in 1/d. Right: bounds and simulated κ in units "
        "of ρ₀ |w*| at n = 5, d = 10, k = 5, η = 0.10294; 2000 draws."
    ),
    alt=(
        "Two panels. Left, on logarithmic axes: the excess of the exact diversity falls like 1 over d, and is"
        " a hundred times larger near the stability limit than at rho 0. Right: simulated sharpness lies "
        "between the rigorous bounds; the published lower bound is above it for large teachers."
    ),
)
def draw(_: Evidence) -> Figure:
    """Exact diversity at finite (n, d) over its limit at n = 2d, k = 3; and the bounds at n = 5, d = 10, k = 5 over |w*|^2.

    Returns:
        Two panels.
    """
    figure, (left, right) = new_figure(1, 2, height=2.5)
    _diversity(left)
    _bounds(right)
    return figure


def _diversity(axes: Axes) -> None:
    law = MarchenkoPastur(float(_RATIO))
    rate = 0.3 / law.largest
    rho = np.array([share for share, *_ in _SHARES]) * (critical_rho(law, rate) or 0.0)
    setting = Setting(n=_RATIO, d=1, learning_rate=rate)
    settings = [replace(setting, n=_RATIO * d, d=d) for d in _DIMENSIONS.tolist()]
    limit = sam_tradeoff(setting, rho).diversity / setting.init_variance
    exact = [sam_tradeoff(s, rho, law=data_law(s, finite=True)).diversity / s.init_variance for s in settings]
    excess = np.array(exact) / limit - 1
    slope = _first_order(law, setting, rho) / limit
    for column, (share, style, marker) in enumerate(_SHARES):
        line: dict[str, Any] = {"color": COLORS["ink"], "lw": 0.9, "ls": style}
        points: dict[str, Any] = {"marker": marker, "ms": 3.5, "mfc": COLORS["sam"], "mec": COLORS["sam"]}
        axes.plot(_DIMENSIONS, slope[column] / _DIMENSIONS, **line)
        axes.plot(_DIMENSIONS, excess[:, column], **points, ls="")
        label = rf"$\rho = {share:g}$ of the critical $\rho$" if share else r"$\rho = 0$"
        axes.plot([], [], **line, **points, label=label)
    axes.set(xscale="log", yscale="log", xlabel="$d$, with $n = 2d$", ylabel=r"$D$ over its limit, $-1$")
    axes.set_title("Diversity: near the stability limit $D$ needs a large $d$")
    axes.legend(loc="upper right", title="markers: exact; lines: first order in $1/d$")


def _first_order(law: MarchenkoPastur, setting: Setting, rho: np.ndarray) -> np.ndarray:
    """The coefficient of 1/d in ``phi_d(2k, 0)``: ``(f(x_+) + f(x_-))/4 - (1/2 pi) int f / sqrt((x_+ - x)(x - x_-)) dx``."""

    def f(x: np.ndarray) -> np.ndarray:
        return np.asarray((1 - setting.learning_rate * x * (1 + rho[:, None] * x)) ** (2 * setting.steps))

    edges = np.array([law.smallest, law.largest])
    angles = np.pi * (np.arange(64) + 0.5) / 64  # Gauss-Chebyshev: the integral is half the mean over these nodes
    nodes = edges.mean() + (law.largest - law.smallest) / 2 * np.cos(angles)
    return np.asarray(f(edges).mean(axis=1) - f(nodes).mean(axis=1)) / 2


def _bounds(axes: Axes) -> None:
    """Bounds and simulated sharpness in units of ``rho_0 |w*|``; every simulation draws the same data."""
    squared = np.geomspace(1, 10_000, 31)
    settings = [_small(float(np.sqrt(value))) for value in squared]
    curves = [sam_tradeoff(setting, 0.0, law=data_law(setting, finite=True)) for setting in settings]
    unit = np.array([setting.radius * setting.omega for setting in settings])
    for name, kind, color, style in (
        ("sharpness_upper", "published upper bound", "muted", "--"),
        ("sharpness_upper_rigorous", "rigorous upper bound", "first", "-"),
        ("sharpness_lower_rigorous", "rigorous lower bound", "second", "-"),
        ("sharpness_lower", "published lower bound", "muted", (0, (1, 1))),
    ):
        values = np.concatenate([getattr(curve, name) for curve in curves])
        axes.plot(squared, values / unit, color=COLORS[color], ls=style, label=kind)
    every = slice(None, None, 5)
    kappa = [_simulated(setting).sharpness for setting in settings[every]]
    mean = np.concatenate([k.mean for k in kappa]) / unit[every]
    stderr = np.concatenate([k.stderr for k in kappa if k.stderr is not None]) / unit[every]
    plot_simulation(axes, squared[every], Estimate(mean, stderr))
    axes.set(xscale="log", ylim=(0, 0.4), xlabel=r"$\|w_*\|^2$", ylabel=r"$\kappa\,/\,(\rho_0\,\|w_*\|)$")
    axes.set_title("$n = 5$, $d = 10$: the published lower bound fails")
    axes.legend(loc="lower right")


@cache
def _simulated(setting: Setting) -> Simulation:
    return simulate(setting, 0.0, draws=2000, inits=2, seed=0)


def _small(teacher_norm: float) -> Setting:
    return Setting(n=5, d=10, steps=5, learning_rate=0.10294, radius=0.01, teacher_norm=teacher_norm)
