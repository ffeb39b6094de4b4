"""Fig. 5 of the paper: the trade-off of networks of several widths and sparsities."""

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from checks import Evidence
from figures.measured import DATA_SETS, by_rho, ensembles_shown, legend_below, plot_intervals, required
from figures.style import COLORS, new_figure

__all__ = ["draw", "shapes"]

_DATA = "fashion-mnist"
_PANELS: dict[str, list[dict[str, float]]] = {
    "width": [{"width": width, "sparsity": 0.0} for width in (8, 16, 32)],
    "sparsity": [{"width": 8, "sparsity": share} for share in (0.0, 0.5, 0.8)],
}
_LOOKS = ((COLORS["sam"], "o"), ("#56B4E9", "s"), ("#999999", "^"))
"""The base network in the colour of SAM."""


def shapes(evidence: Evidence) -> dict[str, dict[float, Evidence]]:
    """SGD and SAM of every shape, by what varies and its value: the ensembles and radii that all of its values have.

    Args:
        evidence: measured ensembles.

    Returns:
        Only what was measured at two values and two radii or more.
    """
    panels = {}
    for name, fields in _PANELS.items():
        found = {shape[name]: evidence.where(data=_DATA, **shape).of_size(3) for shape in fields}
        radii = {value: set(by_rho(series, "sgd", "sam")) for value, series in found.items()}
        values = [value for value in found if radii[value]]
        common = set.intersection(*(radii[value] for value in values)) if values else set()
        if len(values) > 1 and len(common) > 1:
            runs = [
                run for value in values for rho in sorted(common) for run in by_rho(found[value], "sgd", "sam")[rho]
            ]
            paired = Evidence(tuple(runs)).complete()
            panels[name] = {value: paired.where(**{name: value}) for value in values}
    return {name: series for name, series in panels.items() if all(e.runs for e in series.values())}


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
        rhos = ", ".join(f"{rho:g}" for rho in by_rho(base, "sgd", "sam"))
        upper.set(title=f"{DATA_SETS[_DATA]}, {ensembles_shown(base)}, rho = {rhos}", ylabel="EIR")
        lower.set(xlabel="adaptive worst-case sharpness", ylabel="accuracy of members,\ncorrupted images, %")
        for value, (color, marker) in zip(series, _LOOKS, strict=False):
            axes[0].plot([], [], color=color, marker=marker, label=f"{name} {value:g}")
    entries = sum(len(series) for series in shown.values())
    legend_below(figure, axes[0], entries, "joined in the order of rho; black: SGD; bars: 95% bootstrap intervals")
    return figure


def _plot(upper: Axes, lower: Axes, series: dict[float, Evidence]) -> None:
    for evidence, (color, marker) in zip(series.values(), _LOOKS, strict=False):
        curve = evidence.measured("sgd", "sam")
        for axes, values in ((upper, curve.eir), (lower, 100 * curve.corrupted_member_accuracy)):
            plot_intervals(axes, curve.sharpness, values, color=color, marker=marker)
            sgd = curve.rho == 0
            axes.plot(curve.sharpness[0, sgd], values[0, sgd], marker, color=COLORS["gd"], ms=5.5, zorder=3)
