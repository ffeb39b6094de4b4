"""What the figures of trained ensembles share: names, groups of runs, and points with their intervals."""

from collections.abc import Callable, Iterable, Sized
from textwrap import fill
from typing import Any, TypeVar

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from checks import Evidence
from checks.designs import MAIN
from checks.evidence import Measured
from checks.judging import Comparison
from empirical import StoreError
from figures.style import COLORS

__all__ = [
    "BARS",
    "DATA_SETS",
    "METHODS",
    "Run",
    "bars",
    "compared",
    "corrupted_mean",
    "designs",
    "ensembles_shown",
    "legend_below",
    "member_sharpness",
    "plot_curve",
    "plot_intervals",
    "plot_means",
    "required",
    "rho_of",
]

_ENTRY_WIDTH = 1.4  # inches of a legend's column
_CHARACTERS = 15  # of a legend in an inch
Run = dict[str, Any]
_Found = TypeVar("_Found", bound=Sized)

DATA_SETS = {
    "digits": "digits",
    "fashion-mnist": "Fashion-MNIST",
    "cifar10-jpeg": "CIFAR-10 (JPEG)",
    "cifar10": "CIFAR-10",
    "cifar100": "CIFAR-100",
    "tiny-imagenet": "Tiny-ImageNet",
}
"""Data sets that ensembles may have been measured on, and their names in titles."""

BARS = "bars: 95% t intervals over ensembles, of one ensemble over test points"
"""For legends."""

METHODS = {
    "sgd": ("deep ensemble", COLORS["gd"]),
    "sam": ("SAM", COLORS["sam"]),
    "sharpbalance": ("SharpBalance", COLORS["sharpbalance"]),
}
"""Name and colour of each method."""


def required(found: _Found, what: str) -> _Found:
    """What a figure shows, if there is any.

    Args:
        found: runs, series or data sets.
        what: they are, for the message.

    Returns:
        The same.

    Raises:
        StoreError: if it is empty.
    """
    if not len(found):
        raise StoreError(f"this figure shows {what}, and there are none; run sharpdiv reproduce")
    return found


def designs(evidence: Evidence) -> dict[str, Evidence]:
    """Main design of every data set, of the ensembles that are whole.

    Returns:
        Evidence by name of the data set, in the order of ``DATA_SETS``.
    """
    found = {data: evidence.whole(MAIN[data]) for data in DATA_SETS}
    return {data: design for data, design in found.items() if design.runs}


def compared(evidence: Evidence) -> dict[str, Evidence]:
    """The three methods of every data set's main design, where all three are, at an equal rho.

    Returns:
        As ``designs``.
    """
    found = {data: _equal_rho(design) for data, design in designs(evidence).items()}
    return {data: design for data, design in found.items() if design.runs}


def _equal_rho(evidence: Evidence) -> Evidence:
    """The three methods at the largest rho that SAM and SharpBalance have in common, a choice that no test image enters.

    Returns:
        Empty evidence if they have none in common or there is no deep ensemble.
    """
    radii = {name: {run["config"]["rho"] for run in evidence.where(method=name).runs} for name in METHODS}
    if not (radii["sgd"] and (common := radii["sam"] & radii["sharpbalance"])):
        return Evidence()
    return Evidence(tuple(run for run in evidence.runs if run["config"]["rho"] in {0.0, max(common)}))


def rho_of(evidence: Evidence) -> float:
    """The one rho of evidence at an equal rho."""
    return max(run["config"]["rho"] for run in evidence.runs)


def ensembles_shown(evidence: Evidence) -> str:
    """How many ensembles a mean is over, for a title."""
    return f"{evidence.ensembles} ensembles" if evidence.ensembles > 1 else "one ensemble"


def member_sharpness(run: Run, measure: str = "worst_l2_adaptive") -> float:
    """Mean sharpness over the members of a run."""
    return float(np.mean(run["members"]["sharpness"][measure]))


def corrupted_mean(run: Run, metric: str) -> float:
    """Mean of a metric over corruptions and severities."""
    return float(np.mean([levels[metric] for levels in run["corrupted"].values()]))


def bars(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Points with the lengths of their error bars.

    Args:
        values: of every ensemble, resampled over test points, ``(replicates, ensembles, points)``.

    Returns:
        Means ``(points,)``, and lengths below and above to the ends of the 95% interval ``(2, points)``; of one ensemble over test
        points alone.
    """
    found = [Comparison.of("", values[..., point]) for point in range(values.shape[-1])]
    middle = np.array([c.value for c in found])
    return middle, np.array([middle - [c.low for c in found], [c.high for c in found] - middle])


def plot_intervals(axes: Axes, sharpness: np.ndarray, values: np.ndarray, *, color: str, **look: Any) -> None:
    """A line through points with the 95% intervals of both coordinates, in a paler colour.

    Args:
        axes: where.
        sharpness: horizontal coordinate, as ``bars`` takes it; its intervals end at 0.
        values: the same of the vertical coordinate.
        color: of the line.
        **look: of the line, as Matplotlib takes it.
    """
    (x, x_bars), (y, y_bars) = bars(sharpness), bars(values)
    x_bars[0] = np.minimum(x_bars[0], x)
    line: dict[str, Any] = {
        "color": color,
        "ecolor": mpl.colors.to_rgba(color, 0.4),
        "ms": 5.5,
        "lw": 1.2,
        "elinewidth": 1,
    }
    axes.errorbar(x, y, y_bars, x_bars, **line | look)


def plot_curve(axes: Axes, curve: Measured, values: np.ndarray, **look: Any) -> None:
    """A quantity against sharpness, joined in the order of rho, with intervals and a black point for SGD.

    Args:
        axes: where.
        curve: whose sharpness.
        values: the quantity, as ``bars`` takes it.
        **look: of the line, as Matplotlib takes it.
    """
    plot_intervals(axes, curve.sharpness, values, **look)
    sgd = curve.rho == 0
    x, y = (means[0].mean(axis=0)[sgd] for means in (curve.sharpness, values))
    axes.plot(x, y, look["marker"], color=COLORS["gd"], ms=5.5, zorder=3)


def plot_means(
    axes: Axes, groups: Iterable[list[Run]], x: Callable[[Run], float], y: Callable[[Run], float], **look: Any
) -> None:
    """A line through the means over ensembles of each group, and a small dot for each ensemble.

    Args:
        axes: where.
        groups: ensembles of each point of the line.
        x: horizontal coordinate of an ensemble.
        y: its vertical coordinate.
        **look: of the line, as Matplotlib takes it.
    """
    points = [np.array([[x(run), y(run)] for run in runs]) for runs in groups]
    (line,) = axes.plot(*np.array([p.mean(axis=0) for p in points]).T, **look)
    axes.plot(*np.concatenate(points).T, ".", ms=3.5, alpha=0.45, color=line.get_color())


def legend_below(figure: Figure, axes: Axes, columns: int, title: str) -> None:
    """The legend of one panel as that of the figure, under all panels, with a line that says what points and bars are.

    Args:
        figure: of the panel.
        axes: the panel.
        columns: of the legend, or as many as fit.
        title: the line.
    """
    handles, labels = axes.get_legend_handles_labels()
    width = figure.get_figwidth()
    fitting = min(columns, int(width / _ENTRY_WIDTH))
    lines = fill(title, int(width * _CHARACTERS))
    legend = figure.legend(handles, labels, loc="outside lower center", ncols=fitting, title=lines, title_fontsize=8.5)
    legend.get_title().set_multialignment("center")
