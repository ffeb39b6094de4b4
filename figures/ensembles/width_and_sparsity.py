"""Fig. 5 of the paper: the trade-off of narrower and of sparser networks, and how steep it is."""

from collections.abc import Mapping
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sharpdiv.checks.ensembles.crossed import Table
from sharpdiv.checks.ensembles.quantities import DIVERSITY, LEVELS
from sharpdiv.checks.ensembles.study import Study
from sharpdiv.checks.evidence import Evidence
from sharpdiv.empirical.data.datasets import DATASETS
from sharpdiv.empirical.runs.profiles import DESIGNS
from sharpdiv.figures.ensembles.measured import (
    BARS,
    MAIN,
    SHARPNESS_LABEL,
    Quantity,
    accuracy,
    each,
    interval,
    legend_below,
    levels,
    log_ratio,
    plot_points,
    radii,
    required,
    studies,
    title,
    told,
)
from sharpdiv.figures.figure import figure
from sharpdiv.figures.scales import logarithmic
from sharpdiv.figures.style import COLORS, SMALL, new_figure

__all__ = ["SHAPES", "draw", "shapes", "slope"]

SHAPES = {
    "the data set's networks": (("sgd", "sam-mid"), COLORS["first"], "o"),
    "half the width": (("narrow-sgd", "narrow-sam"), COLORS["second"], "s"),
    "a fifth of the weights": (("sparse-sgd", "sparse-sam"), COLORS["fourth"], "^"),
}
"""Networks: their SGD and SAM, colour, and marker."""
_D = DIVERSITY["D, variance of the softmax"]
_COLUMNS: dict[str, Quantity] = {
    "$D$, variance of the softmax": _D,
    "EIR of three": LEVELS["EIR of three"],
    "accuracy of members,\ncorrupted images, %": accuracy(LEVELS["member error on corrupted images"]),
}
_TITLES = ("", "gain of the ensemble", "robustness of members")
"""Of the columns but the first, which says the data set."""


def shapes(evidence: Evidence) -> dict[str, Study]:
    """Designs with networks of other shapes.

    Args:
        evidence: measured ensembles.

    Returns:
        As ``studies``.
    """
    return {name: study for name, study in studies(evidence).items() if "narrow-sgd" in study.conditions}


def slope(study: Study, sgd: str, sam: str) -> Table:
    """Change of log D for a change of log sharpness.

    Args:
        study: of the conditions.
        sgd: one condition.
        sam: the other.

    Returns:
        The table of that quotient.
    """
    return log_ratio(study, _D, sam, sgd) / log_ratio(study, MAIN, sam, sgd)


def _finding(_: str, study: Study) -> str:
    slopes = [f"{told(interval(slope(study, *names)))} in {what}" for what, (names, *_) in SHAPES.items()]
    return ", ".join(slopes)


def _caption(shown: Mapping[str, Study]) -> str:
    rhos = [
        f"{DATASETS[DESIGNS[name].data].title} "
        + ", ".join(f"{radii(name, [sam])[0]:g} ({what})" for what, ((_, sam), *_) in SHAPES.items())
        for name in shown
    ]
    return (
        "Diversity D, EIR and accuracy of members on corrupted images against sharpness: SGD (open) and SAM at one ρ (filled); "
        f"slopes of log D against log sharpness; 95% intervals. ρ: {'; '.join(rhos)}."
    )


@figure(
    "tradeoff_shapes",
    finding=lambda evidence: each("Slope of log D against log sharpness", shapes(evidence), _finding),
    caption=lambda evidence: _caption(shapes(evidence)),
    alt=(
        "Three panels for each data set; in each, a pair of joined points for each of three shapes of "
        "network, with intervals."
    ),
    needs=shapes,
)
def draw(evidence: Evidence) -> Figure:
    """D, EIR, and accuracy of members on corrupted images, against sharpness: SGD and SAM at one rho.

    Args:
        evidence: measured ensembles.

    Returns:
        Three panels for each data set.

    Raises:
        StoreError: if nothing of that has been measured.
    """
    shown = required(shapes(evidence), "networks of half the width and sparse ones")
    figure, axes = new_figure(len(shown), len(_COLUMNS), height=2.3)
    for place, panel in enumerate(axes):
        row, column = divmod(place, len(_COLUMNS))
        name, study = list(shown.items())[row]
        label, quantity = list(_COLUMNS.items())[column]
        _plot(panel, study, quantity)
        panel.set_ylabel(label)
        panel.set_title(title(name, study).replace("\n", ", ") if column == 0 else _TITLES[column])
        if column == 0:
            _tell_slopes(panel, study)
    for panel in axes[-len(_COLUMNS) :]:
        panel.set_xlabel(SHARPNESS_LABEL)
    for label, (_, color, marker) in SHAPES.items():
        axes[0].plot([], [], color=color, marker=marker, label=label)
    legend_below(
        figure,
        axes[0],
        len(SHAPES),
        rf"open: SGD, joined with SAM; slope: of $\log D$ against log sharpness, 95% interval; {BARS}",
    )
    return figure


def _plot(axes: Axes, study: Study, quantity: Quantity) -> None:
    for names, color, marker in SHAPES.values():
        x, y = levels(study, names, MAIN, positive=True), levels(study, names, quantity)
        plot_points(axes, x, y, color=color, marker=marker)
        axes.plot(x[0, 0], y[0, 0], marker, color=color, mfc=COLORS["paper"], ms=4, zorder=3)
    logarithmic(axes, "x", few=True)


def _tell_slopes(axes: Axes, study: Study) -> None:
    """The slope of each line in its colour, below all of them, on clean ground."""
    ground: dict[str, Any] = {"facecolor": COLORS["paper"], "edgecolor": "none", "pad": 0.8}
    low, high = axes.get_ylim()
    axes.set_ylim(low - 0.4 * (high - low), high)
    for place, (names, color, _) in enumerate(SHAPES.values()):
        found = told(interval(slope(study, *names)))
        text = f"slope {found}"
        at = (0.98, 0.22 - 0.09 * place)
        look: dict[str, Any] = {"ha": "right", "va": "bottom", "fontsize": SMALL, "color": color, "bbox": ground}
        axes.annotate(text, at, xycoords="axes fraction", **look)
