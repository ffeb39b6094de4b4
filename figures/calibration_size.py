"""Appendix of the paper: calibration error and likelihood against the size of the ensemble."""

import numpy as np
from matplotlib.figure import Figure

from checks import Evidence
from checks.calibration import SIXES
from figures.measured import DATA_SETS, METHODS, compared, ensembles_shown, legend_below, required, rho_of
from figures.style import new_figure

__all__ = ["draw", "largest"]

_ROWS = (
    ("by_size", "ece", "ECE, clean"),
    ("by_size", "nll", "NLL, clean, nats"),
    ("corrupted_by_size", "ece", "ECE, corrupted"),
    ("corrupted_by_size", "nll", "NLL, corrupted, nats"),
)


def largest(evidence: Evidence) -> dict[str, Evidence]:
    """The three methods at an equal rho, in the larger ensembles of the main design's networks where there are such.

    Returns:
        Evidence by name of the data set.
    """
    sixes = evidence.whole(SIXES)
    larger = {SIXES[0].data: sixes} if sixes.runs else {}
    return compared(evidence) | larger


def draw(evidence: Evidence) -> Figure:
    """ECE and NLL of ensembles of 1, 2, ... members: means over all subsets of that size.

    Args:
        evidence: measured ensembles.

    Returns:
        A row for each measure, a column for each data set.

    Raises:
        StoreError: if nothing of that has been measured.
    """
    shown = required(largest(evidence), "ensembles of the three methods at an equal rho")
    figure, axes = new_figure(len(_ROWS), len(shown), width=3.7, height=2.1)
    for place, panel in enumerate(axes):
        row, column = divmod(place, len(shown))
        images, metric, label = _ROWS[row]
        data, design = list(shown.items())[column]
        for method, (name, color) in METHODS.items():
            curves = [run[images] for run in design.where(method=method).runs]
            sizes = curves[0]["size"]
            values = np.array([curve[metric] for curve in curves])
            panel.plot(sizes, values.mean(axis=0), marker="o", ms=4, lw=1.3, color=color, label=name)
            panel.plot(sizes, values.T, ".", ms=3.5, alpha=0.45, color=color)
        panel.set_xticks(sizes)
        if column == 0:
            panel.set_ylabel(label)
        if row == 0:
            panel.set_title(f"{DATA_SETS[data]}, {ensembles_shown(design)}, rho = {rho_of(design):g}")
    for panel in axes[-len(shown) :]:
        panel.set_xlabel("members of the ensemble")
    legend_below(
        figure,
        axes[0],
        len(METHODS),
        "rho: the largest that all shown have in common; means over subsets of the members and ensembles; dots: single ensembles",
    )
    return figure
