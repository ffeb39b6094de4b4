"""Fig. 4 of the paper: the trade-off of SAM on several data sets, one point per rho."""

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from checks import Evidence
from checks.evidence import Measured
from figures.measured import BARS, DATA_SETS, designs, ensembles_shown, legend_below, plot_intervals, required
from figures.style import COLORS, new_figure

__all__ = ["draw"]


def draw(evidence: Evidence) -> Figure:
    """EIR, and accuracy of members on corrupted images, against sharpness.

    Args:
        evidence: measured ensembles.

    Returns:
        Two panels for each data set.

    Raises:
        StoreError: if nothing of that has been measured.
    """
    shown = required(designs(evidence), "the trade-off on each data set")
    curves = {data: design.measured("sgd", "sam") for data, design in shown.items()}
    shades = _shades({float(rho) for curve in curves.values() for rho in curve.rho})
    figure, axes = new_figure(2, len(shown), width=3.7, height=2.9)
    for column, (data, curve) in enumerate(curves.items()):
        upper, lower = axes[column], axes[column + len(shown)]
        _plot(upper, curve, curve.eir, shades)
        _plot(lower, curve, 100 * curve.corrupted_member_accuracy, shades)
        upper.set(title=f"{DATA_SETS[data]}, {ensembles_shown(shown[data])}", ylabel="EIR")
        lower.set(xlabel="adaptive worst-case sharpness", ylabel="accuracy of members,\ncorrupted images, %")
    for rho, color in shades.items():
        axes[0].plot([], [], "o", color=color, label=f"SAM, rho = {rho:g}" if rho else "SGD")
    legend_below(figure, axes[0], len(shades), f"means over ensembles; {BARS}")
    return figure


def _shades(rhos: set[float]) -> dict[float, str]:
    """Black for SGD, and the darker a blue the larger rho."""
    blues = mpl.colormaps["Blues"](np.linspace(0.4, 1, len(rhos - {0.0})))
    return {0.0: COLORS["gd"]} | dict(zip(sorted(rhos - {0.0}), map(mpl.colors.to_hex, blues), strict=True))


def _plot(axes: Axes, curve: Measured, values: np.ndarray, shades: dict[float, str]) -> None:
    axes.plot(curve.sharpness[0].mean(axis=0), values[0].mean(axis=0), color="0.7", lw=1, zorder=1)
    for point, rho in enumerate(curve.rho):
        at = slice(point, point + 1)
        plot_intervals(axes, curve.sharpness[..., at], values[..., at], marker="o", color=shades[float(rho)])
