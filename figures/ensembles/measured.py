"""What the figures of trained ensembles share: data sets, conditions and their looks, points with their intervals."""

from collections.abc import Callable, Mapping, Sequence, Sized
from textwrap import fill
from typing import Any, TypeVar

import matplotlib as mpl
import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sharpdiv.checks.ensembles.conditions import BALANCE, CURVE
from sharpdiv.checks.ensembles.crossed import GROUPS, Table, estimated, leave_out_means
from sharpdiv.checks.ensembles.quantities import MAIN_SHARPNESS, sharpness
from sharpdiv.checks.ensembles.study import Study
from sharpdiv.checks.evidence import Evidence
from sharpdiv.empirical.data.datasets import DATASETS
from sharpdiv.empirical.errors import StoreError
from sharpdiv.empirical.runs.profiles import DESIGNS
from sharpdiv.empirical.runs.record import RunRecord
from sharpdiv.figures.labels import keep_apart
from sharpdiv.figures.scales import logarithmic
from sharpdiv.figures.style import COLORS, MARKERS, SMALL

__all__ = [
    "BARS",
    "CURVES",
    "LOOKS",
    "MAIN",
    "METHODS",
    "SHARPNESS_LABEL",
    "Points",
    "Quantity",
    "accuracy",
    "by_block",
    "changed",
    "each",
    "interval",
    "legend_below",
    "levels",
    "log_ratio",
    "plot_curves",
    "plot_from_sgd",
    "plot_points",
    "radii",
    "ratios",
    "required",
    "studies",
    "tell_radii",
    "title",
    "told",
]

_CHARACTERS = 20  # of a legend in an inch
Points = Float[np.ndarray, "points 3"]
"""Estimates with the ends of their 95% intervals: value, low, high."""
Quantity = Callable[[Study, str, str], Table]
"""A table of a study, one of its conditions, and the units that are left out."""
_Found = TypeVar("_Found", bound=Sized)

BARS = "bars: 95% intervals over test images and seeds, or triples of seeds where members exchanged scores"
"""For legends."""

LOOKS: dict[str, dict[str, Any]] = {
    name: {"color": COLORS[name], "marker": MARKERS[name]} for name in ("gd", "sam", "sharpbalance", "code")
}
"""Colour and marker of each method, the same in all figures."""

CURVES: dict[str, tuple[tuple[str, ...], dict[str, Any]]] = {
    "SAM": (CURVE, LOOKS["sam"]),
    "SharpBalance": (BALANCE, LOOKS["sharpbalance"]),
}
"""Curves over rho: their conditions and looks; the first begins at SGD."""

METHODS = {"sgd": LOOKS["gd"], "sam-mid": LOOKS["sam"], "sharpbalance-mid": LOOKS["sharpbalance"]}
"""Conditions that stand for the three methods, all at the middle rho, and their looks."""

MAIN = sharpness(MAIN_SHARPNESS)
"""The measure of sharpness that decides."""
SHARPNESS_LABEL = r"sharpness, worst case in $\ell_\infty$, nats"


def required(found: _Found, what: str) -> _Found:
    """What a figure shows, if there is any.

    Args:
        found: studies or networks.
        what: they are, for the message.

    Returns:
        The same.

    Raises:
        StoreError: if it is empty.
    """
    if not len(found):
        raise StoreError(
            f"this figure shows {what}; results of two blocks of seeds at least are needed: run sharpdiv reproduce"
        )
    return found


def studies(evidence: Evidence) -> dict[str, Study]:
    """Every design of which two blocks are whole.

    Returns:
        Its whole blocks, by name of the design.
    """
    found = {name: evidence.study(design) for name, design in DESIGNS.items()}
    return {name: study for name, study in found.items() if study is not None}


def title(name: str, study: Study) -> str:
    """Data set and number of seeds.

    Args:
        name: of the design.
        study: its whole blocks.

    Returns:
        Two lines.
    """
    return f"{DATASETS[DESIGNS[name].data].title}\n{study.seeds} seeds"


def radii(name: str, conditions: Sequence[str]) -> list[float]:
    """Rho of some conditions.

    Args:
        name: of the design.
        conditions: their names.

    Returns:
        In the same order.
    """
    return [DESIGNS[name].conditions[condition].rho for condition in conditions]


# -------------------------------------------------------------------------------------------------------- estimates


def interval(table: Table, positive: bool = False) -> Float[np.ndarray, "3"]:
    """Value of a statistic and the ends of its 95% interval.

    Args:
        table: of the statistic.
        positive: whether it is; the interval is then one of its logarithm, and positive too.

    Returns:
        Value, low, high; NaN for ends that do not exist.
    """
    found = estimated(np.log(table) if positive else table)
    ends = np.array([found.value, *found.interval()])
    return np.exp(ends) if positive else ends


def levels(study: Study, names: Sequence[str], quantity: Quantity, positive: bool = False) -> Points:
    """A quantity in each of some conditions.

    Args:
        study: of the conditions.
        names: theirs.
        quantity: the quantity.
        positive: as for ``interval``.

    Returns:
        A point for each.
    """
    return np.array([interval(quantity(study, name, study.units(name)), positive) for name in names])


def log_ratio(study: Study, quantity: Quantity, name: str, other: str) -> Table:
    """Logarithm of the ratio of a quantity in two conditions, paired by unit and group of test images.

    Args:
        study: of the conditions.
        quantity: the quantity, positive.
        name: condition above the line.
        other: condition below it.

    Returns:
        Its table.
    """
    units = study.units(name, other)
    return np.log(quantity(study, name, units)) - np.log(quantity(study, other, units))


def ratios(study: Study, quantity: Quantity, pairs: Sequence[tuple[str, str]]) -> Points:
    """Ratios of a quantity in pairs of conditions.

    Args:
        study: of the conditions.
        quantity: the quantity, positive.
        pairs: conditions above and below the line.

    Returns:
        A point for each pair.
    """
    return np.exp([interval(log_ratio(study, quantity, *pair)) for pair in pairs])


def accuracy(error: Quantity) -> Quantity:
    """Accuracy in percent.

    Args:
        error: the error.

    Returns:
        The quantity.
    """
    return lambda study, name, units: 100 * (1 - error(study, name, units))


def by_block(study: Study, name: str, get: Callable[[RunRecord], Float[np.ndarray, " samples"]]) -> Table:
    """Mean over images of a number that every block has of each, with blocks and groups of images left out.

    Args:
        study: of the condition.
        name: of the condition.
        get: the numbers of a block, in the order of the test images.

    Returns:
        The table.
    """
    values = np.stack([get(record) for record in study.conditions[name].blocks])
    size = values.shape[1] // GROUPS
    grouped = values[:, : GROUPS * size].reshape(len(values), GROUPS, size).mean(axis=2)
    return leave_out_means(grouped.T, np.eye(study.blocks, dtype=bool))


# ---------------------------------------------------------------------------------------------------------- words


def told(point: Float[np.ndarray, "3"], form: str = ".2f") -> str:
    """An estimate with its interval, for a sentence.

    Args:
        point: value, low, high.
        form: of each number.

    Returns:
        As in ``0.81 [0.76, 0.86]``.
    """
    value, low, high = point.tolist()
    return f"{value:{form}} [{low:{form}}, {high:{form}}]"


def changed(study: Study, quantity: Quantity, name: str, other: str) -> Float[np.ndarray, "3"]:
    """Difference of a quantity in two conditions, paired by unit and group of test images.

    Args:
        study: of the conditions.
        quantity: the quantity.
        name: condition that the other is taken from.
        other: condition that is taken from it.

    Returns:
        Value, low, high.
    """
    units = study.units(name, other)
    return interval(quantity(study, name, units) - quantity(study, other, units))


def each(what: str, shown: Mapping[str, Study], tell: Callable[[str, Study], str]) -> str:
    """What is found on each data set.

    Args:
        what: is told of all.
        shown: studies by name of their design.
        tell: what is found, from name and study.

    Returns:
        One sentence; the name of the data set behind each finding.
    """
    found = [f"{tell(name, study)} ({DATASETS[DESIGNS[name].data].title})" for name, study in shown.items()]
    return f"{what}: {'; '.join(found)}"


# ---------------------------------------------------------------------------------------------------------- drawing


def plot_points(axes: Axes, x: Points | Sequence[float], y: Points | Sequence[float], **look: Any) -> None:
    """A line through points, with intervals of the coordinates that have any, in a paler colour.

    Args:
        axes: where.
        x: horizontal coordinates, with intervals or without.
        y: vertical coordinates, likewise.
        **look: of the line, as Matplotlib takes it; a colour at least.
    """
    (x_values, x_bars), (y_values, y_bars) = _bars(x), _bars(y)
    line: dict[str, Any] = {"ecolor": mpl.colors.to_rgba(look["color"], 0.5), "elinewidth": 0.9, "ms": 3.5, "lw": 0.9}
    axes.errorbar(x_values, y_values, y_bars, x_bars, **line | look)


def _bars(points: Points | Sequence[float]) -> tuple[np.ndarray, np.ndarray | None]:
    """Values, and lengths of the bars below and above if there are any."""
    values = np.asarray(points, dtype=float)
    return (values, None) if values.ndim == 1 else (values[:, 0], np.abs(values[:, 1:] - values[:, :1]).T)


def plot_curves(axes: Axes, study: Study, design: str, quantity: Quantity, positive: bool = False) -> None:
    """A quantity against sharpness, of SGD and SAM and of SharpBalance, each with its rho, joined in the order of rho.

    Args:
        axes: where.
        study: of the conditions.
        design: name of their design.
        quantity: the quantity.
        positive: as for ``interval``.
    """
    points = {
        label: (levels(study, names, MAIN, positive=True), levels(study, names, quantity, positive))
        for label, (names, _) in CURVES.items()
    }
    plot_from_sgd(axes, *points["SAM"])
    plot_points(axes, *points["SharpBalance"], ls=":", label="SharpBalance", **LOOKS["sharpbalance"])
    logarithmic(axes, "x", few=True)
    for label, (x, y) in points.items():
        names, look = CURVES[label]
        tell_radii(axes, x, y, radii(design, names), **look)


def plot_from_sgd(axes: Axes, x: Points, y: Points) -> None:
    """SAM's points over rho joined with SGD's, each method's intervals in its own colour.

    Args:
        axes: where.
        x: horizontal coordinates, SGD's first.
        y: vertical coordinates, likewise.
    """
    axes.plot(x[:2, 0], y[:2, 0], ls=":", lw=0.9, color=LOOKS["sam"]["color"])
    plot_points(axes, x[:1], y[:1], ls="", **LOOKS["gd"] | {"ms": 4.5, "zorder": 3, "label": "SGD"})
    plot_points(axes, x[1:], y[1:], ls=":", label="SAM", **LOOKS["sam"])


def tell_radii(axes: Axes, x: Points, y: Points, rhos: Sequence[float], *, color: str, marker: str) -> None:
    """Rho beside each point but SGD's, above for SAM and below for SharpBalance where nothing is in the way.

    Args:
        axes: where.
        x: horizontal coordinates.
        y: vertical coordinates.
        rhos: of the points.
        color: of the method.
        marker: of the method.
    """
    offset = (-3, -3 if marker == MARKERS["sharpbalance"] else 3)
    look: dict[str, Any] = {"fontsize": SMALL, "color": color, "textcoords": "offset points"}
    for rho, *at in zip(rhos, x[:, 0].tolist(), y[:, 0].tolist(), strict=True):
        if rho:
            axes.annotate(f"{rho:g}", tuple(at), xytext=offset, **look)
    keep_apart(axes)


def legend_below(figure: Figure, axes: Axes, columns: int, text: str) -> None:
    """The legend of one panel as that of the figure, under all panels, with a line that says what points and bars are.

    Args:
        figure: of the panel.
        axes: the panel.
        columns: of the legend, or as many as fit.
        text: the line.
    """
    handles, labels = axes.get_legend_handles_labels()
    width = figure.get_figwidth()
    lines = fill(text, int(width * _CHARACTERS))
    for fitting in range(columns, 0, -1):
        legend = figure.legend(handles, labels, loc="outside lower center", ncols=fitting, title=lines)
        legend.get_title().set_multialignment("center")
        if fitting == 1 or legend.get_window_extent().width <= figure.bbox.width:
            break
        legend.remove()
