"""Runs beside the lazy limit of their own networks: both against rho."""

from typing import Any

from matplotlib.figure import Figure

from checks import Evidence
from empirical import StoreError
from figures.style import COLORS, new_figure

__all__ = ["draw"]

_PANELS = {
    "disagreement": "disagreement",
    "eir": "EIR",
    "member_error": "member error",
    "sharpness": "sharpness, relative",
}


def draw(evidence: Evidence) -> Figure:
    """A row of panels for each comparison.

    Args:
        evidence: with what ``sharpdiv compare`` writes.

    Returns:
        The figure.

    Raises:
        StoreError: if there is no comparison.
    """
    if not evidence.comparisons:
        raise StoreError("this figure shows runs beside their predictions; sharpdiv compare RUN ... makes those")
    figure, panels = new_figure(len(evidence.comparisons), len(_PANELS), width=3.6, height=3.1)
    for row, comparison in enumerate(evidence.comparisons):
        for axes, (name, label) in zip(panels[row * len(_PANELS) :], _PANELS.items(), strict=False):
            points = comparison["points"]
            for side, methods, style, color, text in (
                ("predicted", ("sgd", "sam"), "o--", COLORS["gd"], "lazy limit, SGD and SAM"),
                ("measured", ("sgd", "sam"), "o", COLORS["sam"], "measured, SGD and SAM"),
                ("measured", ("sharpbalance",), "s", COLORS["sharpbalance"], "measured, SharpBalance"),
            ):
                chosen = [p for p in points if p["method"] in methods and p[side]]
                if chosen:
                    axes.plot(*_means(chosen, side, name, style), style, color=color, ms=5, lw=1.2, label=text)
            axes.set(xlabel="rho", ylabel=label)
        config = comparison["config"]
        panels[row * len(_PANELS)].set_title(f"{config['data']}, width {config['width']}")
        panels[row * len(_PANELS)].legend(fontsize=7)
    return figure


def _means(points: list[dict[str, Any]], side: str, name: str, style: str) -> tuple[list[float], list[float]]:
    """Every point, or where a line joins them their mean at each rho."""
    if "-" not in style:
        return [p["rho"] for p in points], [p[side][name] for p in points]
    rhos = sorted({p["rho"] for p in points})
    groups = [[p[side][name] for p in points if p["rho"] == rho] for rho in rhos]
    return rhos, [sum(group) / len(group) for group in groups]
