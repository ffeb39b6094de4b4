"""Appendix of the paper: other measures of diversity against sharpness."""

from matplotlib.figure import Figure

from checks import Evidence
from checks.everywhere import DIVERSITY
from figures.measured import (
    DATA_SETS,
    designs,
    ensembles_shown,
    legend_below,
    member_sharpness,
    plot_means,
    required,
)
from figures.style import COLORS, new_figure

__all__ = ["draw"]

_METRICS = {name: metric for name, metric in DIVERSITY.items() if name not in {"DER", "EIR"}}
"""Those that no other figure shows."""


def draw(evidence: Evidence) -> Figure:
    """Five measures of diversity of SAM and SharpBalance, one point for each rho.

    Args:
        evidence: measured ensembles.

    Returns:
        A row for each measure, a column for each data set.

    Raises:
        StoreError: if nothing of that has been measured.
    """
    shown = required(designs(evidence), "measures of diversity on each data set")
    figure, axes = new_figure(len(_METRICS), len(shown), width=3.7, height=2.2)
    for place, panel in enumerate(axes):
        row, column = divmod(place, len(shown))
        name, metric = list(_METRICS.items())[row]
        data, design = list(shown.items())[column]
        for methods, color, marker, label in (
            (("sgd", "sam"), COLORS["sam"], "o", "SGD and SAM"),
            (("sharpbalance",), COLORS["sharpbalance"], "s", "SharpBalance"),
        ):
            look = {"color": color, "marker": marker, "ms": 4.5, "lw": 1.3, "label": label}
            plot_means(panel, design.by_rho(*methods).values(), member_sharpness, metric, **look)
        if column == 0:
            panel.set_ylabel(name)
        if row == 0:
            panel.set_title(f"{DATA_SETS[data]}, {ensembles_shown(design)}")
    for panel in axes[-len(shown) :]:
        panel.set_xlabel("adaptive worst-case sharpness")
    legend_below(figure, axes[0], 2, "mean over ensembles at each rho; dots: single ensembles")
    return figure
