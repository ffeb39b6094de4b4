"""Appendix of the paper: every measure of sharpness against rho."""

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sharpdiv.checks.ensembles.conditions import BALANCE, CURVE
from sharpdiv.checks.ensembles.quantities import SHARPNESS, sharpness
from sharpdiv.checks.ensembles.study import Study
from sharpdiv.checks.results import Evidence
from sharpdiv.figures.ensembles.measured import (
    legend_below,
    logarithmic,
    plot_points,
    radii,
    ratios,
    required,
    studies,
    title,
)
from sharpdiv.figures.figure import figure
from sharpdiv.figures.style import COLORS, new_figure

__all__ = ["METHODS", "draw", "measures"]

METHODS = {"SAM": CURVE[1:], "SharpBalance": BALANCE}
"""Conditions in the order of rho."""
_COLORS = ("#000000", "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7F7F7F", "#882255", "#117733")
_LOOKS = dict(zip(SHARPNESS, zip(_COLORS, "osD^vP<>Xd", strict=True), strict=True))


def measures(study: Study) -> list[str]:
    """Measures that were taken.

    Args:
        study: whole blocks of a design.

    Returns:
        Keys of ``SHARPNESS``, in their order.
    """
    taken = study.conditions["sgd"].blocks[0].measures
    return [measure for measure in SHARPNESS if measure in taken]


@figure(
    "sharpness_measures",
    finding="Every measure of sharpness against ρ",
    caption=(
        "Each measure of sharpness of members trained by SAM and by SharpBalance, over its value for SGD, "
        "against ρ; bars: 95% intervals over seeds (SharpBalance: triples), paired with SGD's."
    ),
    alt="A row of panels for each method, a column for each data set; a line with intervals for each measure.",
    needs=studies,
)
def draw(evidence: Evidence) -> Figure:
    """Every measure, of members trained by SAM and by SharpBalance, over its value for SGD.

    Args:
        evidence: measured ensembles.

    Returns:
        A row for each method, a column for each data set.

    Raises:
        StoreError: if nothing of that has been measured.
    """
    shown = required(studies(evidence), "measures of sharpness on each data set")
    figure, axes = new_figure(len(METHODS), len(shown), height=1.9)
    for place, panel in enumerate(axes):
        row, column = divmod(place, len(shown))
        method, conditions = list(METHODS.items())[row]
        name, study = list(shown.items())[column]
        _plot(panel, study, name, conditions)
        if column == 0:
            panel.set_ylabel(f"{method}: sharpness,\nratio to SGD")
        if row == 0:
            panel.set_title(title(name, study))
    for panel in axes[-len(shown) :]:
        panel.set_xlabel("rho")
    for measure in dict.fromkeys(m for study in shown.values() for m in measures(study)):
        color, marker = _LOOKS[measure]
        axes[0].plot([], [], color=color, marker=marker, ms=4, lw=1.2, label=SHARPNESS[measure])
    legend_below(figure, axes[0], 5, "bars: 95% intervals over seeds (SharpBalance: triples), paired with SGD's")
    return figure


def _plot(axes: Axes, study: Study, design: str, conditions: tuple[str, ...]) -> None:
    taken = measures(study)
    for place, measure in enumerate(taken):
        shift = 1 + 0.008 * (place - (len(taken) - 1) / 2)  # so that bars stand side by side
        color, marker = _LOOKS[measure]
        y = ratios(study, sharpness(measure), [(name, "sgd") for name in conditions])
        plot_points(axes, [shift * rho for rho in radii(design, conditions)], y, color=color, marker=marker, ms=4)
    axes.axhline(1, color=COLORS["gd"], lw=1)
    axes.set_xlim(left=0)
    logarithmic(axes, "y")
