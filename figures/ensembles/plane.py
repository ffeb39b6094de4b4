"""Between members: loss and error on the plane through three members of each method, side by side. A picture, no verdict.

``results/planes.json`` is of the first block of the digits' design: ``sharpdiv reproduce --profile cpu --data digits`` makes it,
on a coarser grid ``sharpdiv reproduce``; of runs that are trained ``sharpdiv between SGD SAM SHARPBALANCE --out FOLDER``.
"""

from textwrap import fill
from typing import Any

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import BoundaryNorm
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

from sharpdiv.checks.ensembles.quantities import MAIN_SHARPNESS
from sharpdiv.checks.evidence import Evidence
from sharpdiv.empirical.connectivity.run_planes import RunPlane
from sharpdiv.empirical.data.datasets import DATASETS
from sharpdiv.empirical.errors import StoreError
from sharpdiv.empirical.optim.methods import METHODS
from sharpdiv.figures.figure import figure
from sharpdiv.figures.labels import keep_apart
from sharpdiv.figures.style import new_figure

__all__ = ["draw"]

_HALO = [withStroke(linewidth=1.5, foreground="white")]
"""Around the seeds of members, so that they are read on every colour."""

_CHARACTERS = 22
"""Of the smallest text in an inch."""
_LOSS = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 2.0, 3.0)
_ERROR = (0.04, 0.06, 0.08, 0.1, 0.2, 0.4, 0.6, 0.8)
"""Levels of contours, the same in all panels of a row; up to what guessing gives on ten classes."""


@figure(
    "plane",
    finding=lambda evidence: _finding(evidence.planes),
    caption=lambda evidence: _caption(evidence.planes),
    alt=(
        "A column of two contour maps for each method, with three members as circles, named by their seeds, each in a valley of its"
        " own, and ridges between them."
    ),
    needs=lambda evidence: evidence.planes,
)
def draw(evidence: Evidence) -> Figure:
    """Training loss above, test error below; a column for each run.

    Args:
        evidence: with what ``sharpdiv between`` writes.

    Returns:
        The figure.

    Raises:
        StoreError: if there is no plane.
    """
    runs = evidence.planes
    if not runs:
        raise StoreError(
            "this figure shows planes through members, which are not in the results; run sharpdiv reproduce, or sharpdiv between"
        )
    figure, panels = new_figure(2, len(runs), height=1.75)
    rows = {
        "training loss (nats)": ([run.planes["train"].loss for run in runs], _LOSS),
        "test error": ([_error(run) for run in runs], _ERROR),
    }
    for row, (label, (grids, levels)) in enumerate(rows.items()):
        places = panels[row * len(runs) : (row + 1) * len(runs)]
        for axes, run, grid in zip(places, runs, grids, strict=True):
            shown = _contours(axes, run, grid, levels)
        figure.colorbar(shown, ax=places, label=label, shrink=0.9, ticks=levels, format="%g")
    for axes, run in zip(panels, runs, strict=False):
        axes.set_title(f"{_method(run)}{_sharpness(run, evidence)}\n{_barriers(run)}")
    for axes in panels[len(runs) :]:
        axes.set_xlabel("distance in weight space")
    for axes in panels[:: len(runs)]:
        axes.set_ylabel("distance")
    figure.supxlabel(fill(_caption(runs), int(figure.get_figwidth() * _CHARACTERS)), fontsize=6)
    return figure


def _error(run: RunPlane) -> Float[np.ndarray, "rows columns"]:
    """Of classifiers, as all runs are."""
    error = run.planes["test"].error
    assert error is not None
    return error


def _contours(
    axes: Axes, run: RunPlane, grid: Float[np.ndarray, "rows columns"], levels: tuple[float, ...]
) -> ScalarMappable:
    """Filled contours with their lines labelled, and the members."""
    plane, norm = run.planes["test"], BoundaryNorm(levels, ncolors=256, extend="both")
    shown = axes.contourf(plane.x, plane.y, grid, levels, norm=norm, cmap="viridis_r", extend="both")
    lines = axes.contour(plane.x, plane.y, grid, levels, colors="white", linewidths=0.6)
    axes.clabel(lines, levels[3::2], fontsize=6, fmt="%g")  # every second: the lowest lie close around members
    axes.plot(*plane.members.T, "o", ms=4, mfc="white", mec="black")
    look: dict[str, Any] = {"fontsize": 6, "fontweight": "bold", "color": "black", "path_effects": _HALO}
    for seed, place in zip(run.config.seeds, plane.members.tolist(), strict=False):
        axes.annotate(f"seed {seed}", place, xytext=(0, 5), textcoords="offset points", **look)
    keep_apart(axes)
    axes.set_aspect("equal")
    axes.grid(visible=False)
    return shown


def _method(run: RunPlane) -> str:
    method = METHODS[run.config.method]
    return rf"{method.label}, $\rho = {run.config.rho:g}$" if method.ascends else method.label


def _sharpness(run: RunPlane, evidence: Evidence) -> str:
    """Of the members, where they were measured: methods at one rho are not equally sharp."""
    found = [record for record in evidence.records if record.config == run.config]
    return f"\nsharpness {np.mean(found[0].sharpness(MAIN_SHARPNESS)):.2g} nats" if found else ""


def _barriers(run: RunPlane) -> str:
    """What lies between members, in numbers that the grid does not decide about."""
    found = run.barriers["train"].of_pairs("loss")
    return f"training barriers {min(found):.2f} to {max(found):.2f} nats"


def _finding(runs: tuple[RunPlane, ...]) -> str:
    least = min(barrier for run in runs for barrier in run.barriers["train"].of_pairs("loss"))
    if least <= 0:
        return "Between some members the training loss does not rise on the line"
    return f"On the line between any two members the training loss rises by {least:.2g} nats or more, by any method"


def _caption(runs: tuple[RunPlane, ...]) -> str:
    """What is seen, on what, and of how many: a reader should not take it for a result."""
    kinds = dict.fromkeys(
        f"{DATASETS[run.config.data].title}, width {run.config.width}, {run.samples['train']} training and "
        f"{run.samples['test']} test images, seeds {', '.join(map(str, run.config.seeds[:3]))}"
        for run in runs
    )
    return (
        "Training loss (above) and test error (below) on planes through three members (circles, by their seeds), batch norm "
        f"recalibrated at every point, all at the same scales; {'; '.join(kinds)}. Methods are not at equal sharpness. One "
        "ensemble of each: a picture, no verdict."
    )
