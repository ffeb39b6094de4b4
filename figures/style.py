"""One look for all figures: readable sizes, a colour-blind safe palette, and the mark of the stable range."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl
import numpy as np
from cycler import cycler
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sharpdiv.theory.estimate import Estimate

__all__ = ["ALPHAS", "COLORS", "mark_unstable", "new_figure", "plot_simulation", "style"]

COLORS = {
    "gd": "#000000",
    "sam": "#0072B2",
    "sharpbalance": "#D55E00",
    "control": "#009E73",
    "bound": "#7F7F7F",
    "normalized": "#CC79A7",
}
"""Okabe and Ito's palette, one colour for each method."""

ALPHAS = {100.0: "#0072B2", 30.0: "#56B4E9", 10.0: "#009E73", 3.0: "#E69F00", 1.0: "#D55E00"}
"""One colour for each scale of the outputs, from cold (lazy) to warm (rich)."""


@contextmanager
def style() -> Iterator[None]:
    """Matplotlib settings of all figures, for the time of the context.

    Yields:
        Nothing.
    """
    settings: dict[Any, Any] = {
        "font.size": 10,
        "axes.titlesize": 10,
        "axes.labelsize": 10,
        "legend.fontsize": 8.5,
        "legend.frameon": False,
        "lines.linewidth": 1.8,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "grid.alpha": 0.25,
        "axes.prop_cycle": cycler(color=list(COLORS.values())),
        "savefig.dpi": 160,
        "pdf.fonttype": 42,
        # Same input, same file: no creation date, no random identifiers.
        "svg.hashsalt": "sharpdiv",
    }
    with mpl.rc_context(settings):
        yield


def new_figure(rows: int, columns: int, width: float = 4.6, height: float = 3.5) -> tuple[Figure, list[Axes]]:
    """A figure that no global state knows of, with its axes in reading order.

    Args:
        rows: of panels.
        columns: of panels.
        width: of a panel in inches.
        height: of a panel in inches.

    Returns:
        Figure and axes.
    """
    figure = Figure(figsize=(width * columns, height * rows), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False)
    return figure, list(grid.ravel())


def plot_simulation(axes: Axes, x: np.ndarray, measured: Estimate, marker: str = "o", *, again: bool = False) -> None:
    """Simulated means with their standard errors, on top of the theory's line; ``again`` leaves them out of the legend."""
    label = "_simulation" if again else "simulation, mean ± standard error"
    axes.errorbar(x, measured.mean, measured.stderr, fmt=marker, ms=4, color=COLORS["gd"], label=label, zorder=3)


def mark_unstable(axes: Axes, critical_rho: float | None, label: str = "unstable") -> None:
    """Shade the values of rho at which SAM does not contract every direction."""
    low, high = axes.get_xlim()
    if critical_rho is None or critical_rho >= high:
        return
    axes.axvspan(critical_rho, high, color="0.5", alpha=0.12, lw=0, label=label)
    axes.axvline(critical_rho, color="0.4", lw=1, ls="--")
    axes.set_xlim(low, high)
