"""Runs beside the lazy limit of their own networks: both against rho."""

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sharpdiv.checks.evidence import Evidence
from sharpdiv.checks.kernels.compared import KernelComparison
from sharpdiv.empirical.data.datasets import DATASETS
from sharpdiv.empirical.errors import StoreError
from sharpdiv.figures.figure import figure
from sharpdiv.figures.style import COLORS, MARKERS, new_figure

__all__ = ["draw"]

_PANELS = {
    "diversity": "diversity $D$",
    "eir": "EIR of squared errors",
    "member_error": "squared member error",
    "ensemble_error": "squared ensemble error",
    "sharpness": "sharpness",
}


def _finding(comparison: KernelComparison) -> str:
    predicted, measured = (side.mean(axis=0) for side in comparison.over_rho("diversity"))
    changes = [100 * (side[-1] / side[0] - 1) for side in (predicted, measured)]
    return f"{changes[0]:+.2g}% in the lazy limit, {changes[1]:+.2g}% measured ({_title(comparison)})"


@figure(
    "lazy_comparison",
    finding=lambda evidence: f"What the largest ρ does to D: {'; '.join(map(_finding, evidence.comparisons))}",
    caption=(
        "Diversity, EIR, errors and sharpness of measured runs and of the lazy limit of their own networks "
        "over ρ, each in units of its mean at the smallest ρ, as only changes compare; sharpness: κ in the limit, of the runs the "
        "first measure that was taken."
    ),
    alt=(
        "A row of panels for each comparison: a dashed line for the lazy limit and points for measured "
        "ensembles, against rho."
    ),
    needs=lambda evidence: evidence.comparisons,
)
def draw(evidence: Evidence) -> Figure:
    """A row of panels for each comparison; each side in units of its mean at the smallest rho, as only changes compare.

    Args:
        evidence: with what ``sharpdiv compare`` writes.

    Returns:
        The figure.

    Raises:
        StoreError: if there is no comparison.
    """
    if not evidence.comparisons:
        raise StoreError("this figure shows runs beside their predictions; sharpdiv compare RUN ... makes those")
    figure, panels = new_figure(2 * len(evidence.comparisons), 3, height=1.7)
    for row, comparison in enumerate(evidence.comparisons):
        *places, last = panels[6 * row : 6 * row + 6]
        last.axis("off")
        for axes, (name, label) in zip(places, _PANELS.items(), strict=True):
            _plot(axes, comparison, name)
            axes.set(xlabel=r"$\rho$", ylabel="relative", title=label)
        about = f"{_title(comparison)}\nlazy limit at $k = {comparison.steps}$"
        last.legend(*places[0].get_legend_handles_labels(), loc="center", title=about)
    return figure


def _title(comparison: KernelComparison) -> str:
    """Title of the data set and width of runs of ours; the name of others."""
    data = comparison.config.get("data")
    return f"{DATASETS[data].title}, width {comparison.config['width']}" if data else comparison.name


def _plot(axes: Axes, comparison: KernelComparison, name: str) -> None:
    """The mean prediction, and every measured ensemble."""
    predicted, measured = (side.mean(axis=0) for side in comparison.over_rho(name))
    axes.plot(
        comparison.rhos, predicted / predicted[0], "--", color=COLORS["ink"], lw=0.9, label="lazy limit, SGD and SAM"
    )
    for methods, marker, color, text in (
        (("sgd", "sam"), MARKERS["sam"], COLORS["sam"], "measured, SGD and SAM"),
        (("sharpbalance",), MARKERS["sharpbalance"], COLORS["sharpbalance"], "measured, SharpBalance"),
    ):
        if chosen := [p for p in comparison.points if p.method in methods]:
            values = [p.measured[name] / measured[0] for p in chosen]
            axes.plot([p.rho for p in chosen], values, marker, color=color, alpha=0.8, label=text)
