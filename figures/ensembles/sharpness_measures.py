"""Appendix of the paper: every measure of sharpness against rho."""

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sharpdiv.checks.ensembles.conditions import BALANCE, CURVE
from sharpdiv.checks.ensembles.quantities import SHARPNESS, sharpness
from sharpdiv.checks.ensembles.study import Study
from sharpdiv.checks.evidence import Evidence
from sharpdiv.figures.ensembles.measured import (
    each,
    legend_below,
    plot_points,
    radii,
    ratios,
    required,
    studies,
    title,
)
from sharpdiv.figures.figure import figure
from sharpdiv.figures.scales import logarithmic
from sharpdiv.figures.style import COLORS, new_figure

__all__ = ["METHODS", "draw", "measures"]

METHODS = {"SAM": CURVE[1:], "SharpBalance": BALANCE}
"""Conditions in the order of rho."""
_HUES = ("alpha-10", "first", "second", "third", "fourth", "fifth", "error", "muted", "alpha-30", "alpha-3")
_LOOKS = {measure: (COLORS[hue], marker) for measure, hue, marker in zip(SHARPNESS, _HUES, "osD^vP<>Xd", strict=True)}
"""Of each measure; no colour of a method, as SGD is the line at 1."""


def measures(study: Study) -> list[str]:
    """Measures that were taken.

    Args:
        study: whole blocks of a design.

    Returns:
        Keys of ``SHARPNESS``, in their order.
    """
    taken = study.conditions["sgd"].blocks[0].measures
    return [measure for measure in SHARPNESS if measure in taken]


def _finding(_: str, study: Study) -> str:
    taken = measures(study)
    lower = {
        method: sum(ratios(study, sharpness(measure), [(conditions[-1], "sgd")])[0, 2] < 1 for measure in taken)
        for method, conditions in METHODS.items()
    }
    return ", ".join(f"{method} {count} of {len(taken)}" for method, count in lower.items())


@figure(
    "sharpness_measures",
    finding=lambda evidence: each(
        "Measures of sharpness below SGD's, whole 95% interval, at the largest ρ",
        studies(evidence),
        _finding,
    ),
    caption=(
        "Each measure of sharpness of members trained by SAM and by SharpBalance, over its value for SGD, "
        "against ρ; bars: 95% intervals over seeds (SharpBalance: triples), paired with SGD's. The title counts the measures whose "
        "interval at the largest ρ ends below 1."
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
            panel.set_ylabel(f"{method},\nratio to SGD")
        if row == 0:
            panel.set_title(title(name, study))
    for panel in axes[-len(shown) :]:
        panel.set_xlabel(r"$\rho$")
    for measure in dict.fromkeys(m for study in shown.values() for m in measures(study)):
        color, marker = _LOOKS[measure]
        axes[0].plot([], [], color=color, marker=marker, label=_symbols(SHARPNESS[measure]))
    legend_below(figure, axes[0], 4, "bars: 95% intervals over seeds (SharpBalance: triples), paired with SGD's")
    return figure


def _symbols(label: str) -> str:
    return label.replace("l-infinity", r"$\ell_\infty$").replace("l2", r"$\ell_2$")


def _plot(axes: Axes, study: Study, design: str, conditions: tuple[str, ...]) -> None:
    taken = measures(study)
    for place, measure in enumerate(taken):
        shift = 1 + 0.008 * (place - (len(taken) - 1) / 2)  # so that bars stand side by side
        color, marker = _LOOKS[measure]
        y = ratios(study, sharpness(measure), [(name, "sgd") for name in conditions])
        plot_points(axes, [shift * rho for rho in radii(design, conditions)], y, color=color, marker=marker, ms=3)
    axes.axhline(1, color=COLORS["gd"], lw=0.8)
    axes.set_xlim(left=0)
    logarithmic(axes, "y", few=True)
