"""Fig. 1c of the paper: diversity against sharpness of trained ensembles, and both against rho."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from checks import Evidence
from figures.measured import DATA_SETS, bars, corrupted_mean, designs, member_sharpness, required
from figures.style import COLORS, new_figure

__all__ = ["draw"]


def draw(evidence: Evidence, data: str = "digits") -> Figure:
    """Point clouds of ensembles with fitted lines, coloured by corrupted accuracy; and the means against rho.

    Args:
        evidence: measured ensembles.
        data: data set they were trained on.

    Returns:
        Two panels.

    Raises:
        StoreError: if nothing of that has been measured.
    """
    evidence = designs(evidence).get(data, Evidence())
    required(evidence.runs, f"ensembles of all methods measured on {data}")
    figure, (left, right) = new_figure(1, 2)
    shade = [100 * corrupted_mean(run, "accuracy_ensemble") for run in evidence.runs]
    shading: dict[str, Any] = {"vmin": min(shade), "vmax": max(shade), "cmap": "viridis"}
    points = None
    for methods, marker, color, label in (
        (("sgd", "sam"), "o", COLORS["sam"], "SGD and SAM"),
        (("sharpbalance",), "s", COLORS["sharpbalance"], "SharpBalance"),
    ):
        runs = [run for run in evidence.runs if run["config"]["method"] in methods]
        x = np.array([member_sharpness(run) for run in runs])
        y = np.array([run["metrics"]["der"] for run in runs])
        points = left.scatter(
            x,
            y,
            c=[100 * corrupted_mean(run, "accuracy_ensemble") for run in runs],
            marker=marker,
            edgecolors=color,
            linewidths=1.4,
            s=55,
            **shading,
        )
        left.scatter([], [], marker=marker, facecolors="none", edgecolors=color, label=label)
        if len(x) > 2:
            slope, offset = np.polyfit(x, y, 1)
            ends = np.array([x.min(), x.max()])
            left.plot(ends, slope * ends + offset, color=color, lw=1.4, ls="--")
    if points is not None:
        figure.colorbar(points, ax=left, label="ensemble accuracy, corrupted images, %")
    left.set(
        xlabel="adaptive worst-case sharpness",
        ylabel="DER",
        title=f"{DATA_SETS[data]}: one marker per ensemble of three",
    )
    left.legend(loc="lower right")
    _against_rho(right, evidence)
    return figure


def _against_rho(axes: Axes, evidence: Evidence) -> None:
    curve = evidence.measured("sgd", "sam")
    twin = axes.twinx()
    twin.grid(visible=False)
    twin.spines["right"].set_visible(True)
    step = 0.012 * curve.rho.max()  # so that bars stand side by side
    lowest = 0.0
    for place, target, values, color, marker, label in (
        (-step, axes, curve.der, COLORS["sam"], "o", "DER (left)"),
        (0.0, axes, curve.eir, COLORS["control"], "^", "EIR (left)"),
        (step, twin, curve.sharpness, COLORS["bound"], "s", "sharpness (right)"),
    ):
        middle, (below, above) = bars(values)
        target.errorbar(curve.rho + place, middle, (below, above), color=color, marker=marker, capsize=3, label=label)
        lowest = min(lowest, float((middle - below).min())) if target is axes else lowest
    axes.set(
        xlabel="rho of SAM (0 is SGD)",
        ylabel="DER, EIR",
        title="Means, 95% t intervals over ensembles" if evidence.ensembles > 1 else "95% intervals over test points",
    )
    axes.set_ylim(1.3 * lowest, 1.7 * curve.der[0].mean(axis=0).max())  # room for the legend
    twin.set_ylim(bottom=0)
    twin.set_ylabel("sharpness")
    handles = [handle for each in (axes, twin) for handle in each.get_legend_handles_labels()[0]]
    axes.legend(handles, [str(handle.get_label()) for handle in handles], loc="upper right")
