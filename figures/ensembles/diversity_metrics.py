"""Appendix of the paper: other measures of diversity against sharpness."""

from matplotlib.figure import Figure

from sharpdiv.checks.ensembles.quantities import DIVERSITY
from sharpdiv.checks.ensembles.study import Study
from sharpdiv.checks.evidence import Evidence
from sharpdiv.figures.ensembles.measured import (
    BARS,
    CURVES,
    SHARPNESS_LABEL,
    changed,
    each,
    legend_below,
    plot_curves,
    radii,
    required,
    studies,
    title,
)
from sharpdiv.figures.figure import figure
from sharpdiv.figures.style import new_figure

__all__ = ["METRICS", "draw"]

METRICS = {name: metric for name, metric in DIVERSITY.items() if name not in {"D, variance of the softmax", "EIR"}}
"""Those that no other figure shows."""


def _finding(name: str, study: Study) -> str:
    lower = sum(changed(study, metric, "sam-high", "sgd")[2] < 0 for metric in METRICS.values())
    (rho,) = radii(name, ["sam-high"])
    return f"{lower} of {len(METRICS)} at ρ = {rho:g}"


@figure(
    "diversity_metrics",
    finding=lambda evidence: each(
        "Further measures of diversity that SAM lowers, 95% interval of SAM minus SGD below 0",
        studies(evidence),
        _finding,
    ),
    caption=(
        "Five measures of diversity of SGD and SAM, and of SharpBalance, against sharpness; a point for each "
        "ρ with 95% intervals, ρ written beside it. The title counts the measures whose difference, paired by "
        "seed, has its whole 95% interval below 0."
    ),
    alt=(
        "A row of panels for each measure of diversity, a column for each data set; a line for SGD and SAM "
        "and one for SharpBalance, with intervals in both directions."
    ),
    needs=studies,
)
def draw(evidence: Evidence) -> Figure:
    """Five measures of diversity of SAM and SharpBalance, one point for each rho.

    Args:
        evidence: measured ensembles.

    Returns:
        A row for each measure, a column for each data set.

    Raises:
        StoreError: if nothing of that has been measured.
    """
    shown = required(studies(evidence), "measures of diversity on each data set")
    figure, axes = new_figure(len(METRICS), len(shown), height=1.4)
    for place, panel in enumerate(axes):
        row, column = divmod(place, len(shown))
        label, metric = list(METRICS.items())[row]
        name, study = list(shown.items())[column]
        plot_curves(panel, study, name, metric)
        if column == 0:
            panel.set_ylabel(label.replace(", ", ",\n"))
        if row == 0:
            panel.set_title(title(name, study))
    for panel in axes[-len(shown) :]:
        panel.set_xlabel(SHARPNESS_LABEL)
    legend_below(figure, axes[0], len(CURVES) + 1, rf"numbers: $\rho$; {BARS}, CKA's over triples alone")
    return figure
