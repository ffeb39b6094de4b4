"""Fig. 5 of the paper: the trade-off of networks of several widths and sparsities."""

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from checks import Evidence
from checks.shapes import SHAPES
from figures.measured import BARS, DATA_SETS, ensembles_shown, legend_below, plot_curve, required
from figures.style import COLORS, new_figure

__all__ = ["draw", "shapes"]

_DATA = "fashion-mnist"
_LOOKS = ((COLORS["sam"], "o"), ("#56B4E9", "s"), ("#999999", "^"))
"""The base network in the colour of SAM."""


def shapes(evidence: Evidence) -> dict[str, dict[float, Evidence]]:
    """SGD and SAM of every shape, by what varies and its value, of the ensembles that are whole.

    Args:
        evidence: measured ensembles.

    Returns:
        Empty if there are none.
    """
    panels = {}
    for field, plan in SHAPES.items():
        if (found := evidence.whole(plan)).runs:
            values = dict.fromkeys(run["config"][field] for run in found.runs)
            panels[field] = {value: found.where(**{field: value}) for value in values}
    return panels


def draw(evidence: Evidence) -> Figure:
    """EIR, and accuracy of members on corrupted images, against sharpness.

    Args:
        evidence: measured ensembles.

    Returns:
        Two panels for the widths and two for the sparsities, if these have been measured.

    Raises:
        StoreError: if nothing of that has been measured.
    """
    shown = required(shapes(evidence), f"networks of several widths or sparsities on {_DATA}")
    figure, axes = new_figure(2, len(shown), width=4.4, height=2.9)
    for column, (name, series) in enumerate(shown.items()):
        upper, lower = axes[column], axes[column + len(shown)]
        _plot(upper, lower, series)
        base = next(iter(series.values()))
        rhos = ", ".join(f"{rho:g}" for rho in base.by_rho("sgd", "sam"))
        upper.set(title=f"{DATA_SETS[_DATA]}, {ensembles_shown(base)}, rho = {rhos}", ylabel="EIR")
        lower.set(xlabel="adaptive worst-case sharpness", ylabel="accuracy of members,\ncorrupted images, %")
        for value, (color, marker) in zip(series, _LOOKS, strict=False):
            axes[0].plot([], [], color=color, marker=marker, label=f"{name} {value:g}")
    entries = sum(len(series) for series in shown.values())
    legend_below(figure, axes[0], entries, f"joined in the order of rho; black: SGD; {BARS}")
    return figure


def _plot(upper: Axes, lower: Axes, series: dict[float, Evidence]) -> None:
    for evidence, (color, marker) in zip(series.values(), _LOOKS, strict=False):
        curve = evidence.measured("sgd", "sam")
        for axes, values in ((upper, curve.eir), (lower, 100 * curve.corrupted_member_accuracy)):
            plot_curve(axes, curve, values, color=color, marker=marker)
