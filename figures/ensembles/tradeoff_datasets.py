"""Fig. 4 of the paper: the trade-off of SAM on several data sets, one point per rho."""

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sharpdiv.checks.ensembles.conditions import CURVE
from sharpdiv.checks.ensembles.quantities import LEVELS
from sharpdiv.checks.ensembles.study import Study
from sharpdiv.checks.evidence import Evidence
from sharpdiv.figures.ensembles.measured import (
    BARS,
    LOOKS,
    MAIN,
    SHARPNESS_LABEL,
    Quantity,
    accuracy,
    changed,
    each,
    legend_below,
    levels,
    plot_from_sgd,
    radii,
    required,
    studies,
    tell_radii,
    title,
)
from sharpdiv.figures.figure import figure
from sharpdiv.figures.scales import logarithmic
from sharpdiv.figures.style import new_figure

__all__ = ["draw"]

_ROWS: dict[str, Quantity] = {
    "EIR of three": LEVELS["EIR of three"],
    "accuracy of members,\ncorrupted images, %": accuracy(LEVELS["member error on corrupted images"]),
}


def _finding(_: str, study: Study) -> str:
    gain, eir = (changed(study, quantity, "sam-high", "sgd")[0] for quantity in reversed(_ROWS.values()))
    return f"{gain:+z.1f} points, {eir:+z.3f}"


@figure(
    "tradeoff_datasets",
    finding=lambda evidence: each(
        "What SAM at the largest ρ adds to members' accuracy on corrupted images, and to EIR",
        studies(evidence),
        _finding,
    ),
    caption=(
        "EIR of ensembles of three, and accuracy of their members on corrupted images, against sharpness: SGD"
        " and SAM, a point for each ρ (written beside it) with 95% intervals."
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
        _plot(panel, study, name, quantity)
        if row == 0:
            panel.set_title(title(name, study))
        if column == 0:
            panel.set_ylabel(label)
    for panel in axes[-len(shown) :]:
        panel.set_xlabel(SHARPNESS_LABEL)
    legend_below(figure, axes[0], 2, rf"numbers: $\rho$; {BARS}")
    return figure


def _plot(axes: Axes, study: Study, design: str, quantity: Quantity) -> None:
    x, y = levels(study, CURVE, MAIN, positive=True), levels(study, CURVE, quantity)
    plot_from_sgd(axes, x, y)
    logarithmic(axes, "x", few=True)
    tell_radii(axes, x, y, radii(design, CURVE), **LOOKS["sam"])
