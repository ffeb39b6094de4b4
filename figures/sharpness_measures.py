"""Appendix of the paper: other measures of sharpness against rho."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from checks import Evidence
from checks.everywhere import SHARPNESS
from figures.measured import DATA_SETS, Run, designs, legend_below, member_sharpness, plot_means, required
from figures.style import COLORS, new_figure

__all__ = ["draw"]

_MEASURES = {name: label for name, label in SHARPNESS.items() if name != "worst_l2_adaptive"}
_LOOKS = dict(zip(DATA_SETS, (("o", ":"), ("s", "-"), ("^", "--"), ("D", "-."), ("v", ":"), ("P", "-")), strict=True))


def draw(evidence: Evidence) -> Figure:
    """Every measure but the main one, of members trained by SAM and SharpBalance, over its value for SGD.

    Args:
        evidence: measured ensembles.

    Returns:
        One panel for each measure, without those that no data set has.

    Raises:
        StoreError: if nothing of that has been measured.
    """
    found = required(designs(evidence), "measures of sharpness on each data set")
    shown = {measure: {d: e for d, e in found.items() if _has(e, measure)} for measure in _MEASURES}
    shown = {measure: measured for measure, measured in shown.items() if measured}
    columns = min(len(shown), 3)
    figure, axes = new_figure(-(-len(shown) // columns), columns, width=3.6, height=2.5)
    for panel, (measure, measured) in zip(axes, shown.items(), strict=False):
        for data, design in measured.items():
            _plot(panel, design, measure, data)
        panel.set(title=_MEASURES[measure], xlabel="rho (0 is SGD)", ylabel="ratio to SGD")
        panel.set_ylim(bottom=0)
    for panel in axes[len(shown) :]:
        panel.remove()
    legend_below(figure, axes[0], len(found), "mean over ensembles; dots: single ensembles")
    return figure


def _has(evidence: Evidence, measure: str) -> bool:
    return all(measure in run["members"]["sharpness"] for run in evidence.runs)


def _plot(axes: Axes, design: Evidence, measure: str, data: str) -> None:
    marker, line = _LOOKS[data]
    unit = float(np.mean([member_sharpness(run, measure) for run in design.where(method="sgd").runs]))

    def ratio(run: Run) -> float:
        return member_sharpness(run, measure) / unit

    for methods, color, label in (
        (("sgd", "sam"), COLORS["sam"], "SAM"),
        (("sharpbalance",), COLORS["sharpbalance"], "SharpBalance"),
    ):
        look = {
            "color": color,
            "ls": line,
            "marker": marker,
            "ms": 4,
            "lw": 1.3,
            "label": f"{label}, {DATA_SETS[data]}",
        }
        plot_means(axes, design.by_rho(*methods).values(), lambda run: run["config"]["rho"], ratio, **look)
