"""Runs beside the lazy limit of their own networks: both against rho."""

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sharpdiv.checks.kernels.compared import KernelComparison
from sharpdiv.checks.results import Evidence
from sharpdiv.empirical.data.datasets import DATASETS
from sharpdiv.empirical.errors import StoreError
from sharpdiv.figures.figure import figure
from sharpdiv.figures.style import COLORS, new_figure

__all__ = ["draw"]

_PANELS = {
    "diversity": "D",
    "eir": "EIR of squared errors",
    "member_error": "squared member error",
    "ensemble_error": "squared ensemble error",
    "sharpness": "sharpness",
}


@figure(
    "lazy_comparison",
    finding="Trained runs beside the lazy limit of their own networks",
    caption=(
        "Diversity, EIR, errors and sharpness of measured runs and of the lazy limit of their own networks "
        "over ρ, each in units of its mean at the smallest ρ, as only changes compare."
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
    figure, panels = new_figure(len(evidence.comparisons), len(_PANELS), height=1.9)
    for row, comparison in enumerate(evidence.comparisons):
        places = panels[row * len(_PANELS) : (row + 1) * len(_PANELS)]
        for axes, (name, label) in zip(places, _PANELS.items(), strict=True):
            _plot(axes, comparison, name)
            axes.set(xlabel="rho", ylabel=f"relative {label}")
        places[0].set_title(f"{_title(comparison)}; lazy limit at k = {comparison.steps}", loc="left")
        places[0].legend(fontsize=6.5)
    return figure


def _title(comparison: KernelComparison) -> str:
    """Title of the data set and width of runs of ours; the name of others."""
    data = comparison.config.get("data")
    return f"{DATASETS[data].title}, width {comparison.config['width']}" if data else comparison.name


def _plot(axes: Axes, comparison: KernelComparison, name: str) -> None:
    """The mean prediction, and every measured ensemble."""
    predicted, measured = (side.mean(axis=0) for side in comparison.over_rho(name))
    axes.plot(
        comparison.rhos, predicted / predicted[0], "--", color=COLORS["gd"], lw=1.2, label="lazy limit, SGD and SAM"
    )
    for methods, marker, color, text in (
        (("sgd", "sam"), "o", COLORS["sam"], "measured, SGD and SAM"),
        (("sharpbalance",), "s", COLORS["sharpbalance"], "measured, SharpBalance"),
    ):
        if chosen := [p for p in comparison.points if p.method in methods]:
            values = [p.measured[name] / measured[0] for p in chosen]
            axes.plot([p.rho for p in chosen], values, marker, color=color, ms=4, alpha=0.8, label=text)
