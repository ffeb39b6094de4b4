"""Appendix of the paper: calibration error and likelihood against the size of the ensemble."""

from collections.abc import Callable

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sharpdiv.checks.ensembles.study import Study
from sharpdiv.checks.evidence import Evidence
from sharpdiv.empirical.runs.profiles import LABELS
from sharpdiv.empirical.runs.record import RunRecord
from sharpdiv.figures.ensembles.measured import (
    METHODS,
    Points,
    each,
    interval,
    legend_below,
    plot_points,
    radii,
    required,
    studies,
    title,
)
from sharpdiv.figures.figure import figure
from sharpdiv.figures.style import new_figure

__all__ = ["ROWS", "draw", "of_size"]

ROWS = {
    "ECE, clean": (False, "ece"),
    "NLL, clean, nats": (False, "nll"),
    "ECE, corrupted": (True, "ece"),
    "NLL, corrupted, nats": (True, "nll"),
}
"""Where a record keeps what is shown."""


def _finding(_: str, study: Study) -> str:
    nll = [of_size(study, name, "nll", corrupted=True)[-1, 0] for name in METHODS]
    return ", ".join(f"{value:.2f}" for value in nll)


@figure(
    "calibration_size",
    finding=lambda evidence: each(
        f"NLL of ensembles of three on corrupted images, of {', '.join(LABELS[name] for name in METHODS)}",
        studies(evidence),
        _finding,
    ),
    caption=(
        "ECE and NLL of ensembles of 1, 2 and 3 members at the middle ρ, on clean and on corrupted test "
        "images: means over all subsets of each triple of seeds; bars: 95% intervals over triples, on these "
        "test images, of logarithms, as neither is below 0."
    ),
    alt=(
        "A row of panels for each of ECE and NLL, clean and corrupted, a column for each data set; three "
        "lines of points with intervals over 1, 2 and 3 members."
    ),
    needs=studies,
)
def draw(evidence: Evidence) -> Figure:
    """ECE and NLL of ensembles of 1, 2 and 3 members: means over all subsets of that size within triples.

    Args:
        evidence: measured ensembles.

    Returns:
        A row for each measure, a column for each data set.

    Raises:
        StoreError: if nothing of that has been measured.
    """
    shown = required(studies(evidence), "the calibration of the three methods")
    figure, axes = new_figure(len(ROWS), len(shown), height=1.3)
    for place, panel in enumerate(axes):
        row, column = divmod(place, len(shown))
        label, (corrupted, metric) = list(ROWS.items())[row]
        name, study = list(shown.items())[column]
        _plot(panel, study, metric, corrupted=corrupted)
        if column == 0:
            panel.set_ylabel(label.replace(", ", ",\n", 1))
        if row == 0:
            panel.set_title(rf"{title(name, study)}, $\rho = {radii(name, ['sam-mid'])[0]:g}$")
    for panel in axes[-len(shown) :]:
        panel.set_xlabel("members of the ensemble")
    legend_below(
        figure,
        axes[0],
        len(METHODS),
        "means over subsets of each triple; bars: 95% intervals over triples of seeds, on these test images",
    )
    return figure


def of_size(study: Study, name: str, metric: str, *, corrupted: bool) -> Points:
    """A metric for every size of ensemble.

    Args:
        study: of the condition.
        name: of the condition.
        metric: the metric.
        corrupted: on corrupted images.

    Returns:
        A point for each size.
    """
    sizes = range(len(study.conditions[name].blocks[0].sizes))

    def at(place: int) -> Callable[[RunRecord], float]:
        return lambda record: record.by_size(metric, corrupted=corrupted)[place]

    return np.array([interval(study.block_number(name, at(place)), positive=True) for place in sizes])


def _plot(axes: Axes, study: Study, metric: str, *, corrupted: bool) -> None:
    sizes = np.array(study.conditions["sgd"].blocks[0].sizes)
    for place, (method, look) in enumerate(METHODS.items()):
        y = of_size(study, method, metric, corrupted=corrupted)
        plot_points(axes, sizes + 0.04 * (place - 1), y, label=LABELS[method], **look)
    axes.set_xticks(sizes)
