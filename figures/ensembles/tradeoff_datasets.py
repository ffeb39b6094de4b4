"""Fig. 4 of the paper: the trade-off of SAM on several data sets, one point per rho."""

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sharpdiv.checks.ensembles.conditions import CURVE
from sharpdiv.checks.ensembles.quantities import LEVELS
from sharpdiv.checks.ensembles.study import Study
from sharpdiv.checks.results import Evidence
from sharpdiv.empirical.runs.profiles import LABELS
from sharpdiv.figures.ensembles.measured import (
    BARS,
    MAIN,
    SHARPNESS_LABEL,
    Quantity,
    accuracy,
    legend_below,
    levels,
    logarithmic,
    plot_points,
    radii,
    required,
    studies,
    title,
)
from sharpdiv.figures.figure import figure
from sharpdiv.figures.style import COLORS, new_figure

__all__ = ["draw"]

_ROWS: dict[str, Quantity] = {
    "EIR of three": LEVELS["EIR of three"],
    "accuracy of members,\ncorrupted images, %": accuracy(LEVELS["member error on corrupted images"]),
}
_SHADES = dict(
    zip(CURVE, (COLORS["gd"], *map(mpl.colors.to_hex, mpl.colormaps["Blues"]((0.45, 0.7, 1.0)))), strict=True)
)
"""Black for SGD, and the darker a blue the larger rho."""


@figure(
    "tradeoff_datasets",
    finding="The trade-off of SAM on each data set",
    caption=(
        "EIR of ensembles of three, and accuracy of their members on corrupted images, against sharpness: SGD"
        " and SAM, a point for each ρ with 95% intervals."
    ),
    alt=(
        "Two panels for each data set: EIR above and accuracy of members below, against sharpness, points "
        "joined in the order of rho."
    ),
    needs=studies,
)
def draw(evidence: Evidence) -> Figure:
    """EIR, and accuracy of members on corrupted images, against sharpness.

    Args:
        evidence: measured ensembles.

    Returns:
        Two panels for each data set.

    Raises:
        StoreError: if nothing of that has been measured.
    """
    shown = required(studies(evidence), "the trade-off on each data set")
    figure, axes = new_figure(len(_ROWS), len(shown), height=1.9)
    for place, panel in enumerate(axes):
        row, column = divmod(place, len(shown))
        label, quantity = list(_ROWS.items())[row]
        name, study = list(shown.items())[column]
        _plot(panel, study, quantity)
        if row == 0:
            panel.set_title(f"{title(name, study)}\nrho {', '.join(f'{rho:g}' for rho in radii(name, CURVE[1:]))}")
        if column == 0:
            panel.set_ylabel(label)
    for panel in axes[-len(shown) :]:
        panel.set_xlabel(SHARPNESS_LABEL)
    legend_below(figure, axes[0], len(CURVE), BARS)
    return figure


def _plot(axes: Axes, study: Study, quantity: Quantity) -> None:
    x, y = levels(study, CURVE, MAIN, positive=True), levels(study, CURVE, quantity)
    axes.plot(x[:, 0], y[:, 0], color="0.7", lw=1, zorder=1)
    for point, name in enumerate(CURVE):
        at = slice(point, point + 1)
        label = "SAM, middle rho" if name == "sam-mid" else LABELS[name]
        plot_points(axes, x[at], y[at], color=_SHADES[name], marker="o", ls="", label=label)
    logarithmic(axes, "x")
