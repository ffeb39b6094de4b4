"""Predicted against measured: every network, optimizer, radius and step of the lazy-to-rich dial."""

from collections.abc import Sequence
from itertools import cycle
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy import stats

from sharpdiv.checks.evidence import Evidence
from sharpdiv.checks.kernels.alpha_curves import curves
from sharpdiv.checks.kernels.alpha_network import DialNetwork
from sharpdiv.empirical.errors import StoreError
from sharpdiv.figures.figure import figure
from sharpdiv.figures.kernels.lazy_to_rich import title
from sharpdiv.figures.style import ALPHAS, COLORS, new_figure

__all__ = ["draw"]

_PANELS = {
    "diversity": "diversity $D$",
    "sharpness": r"sharpness $\kappa$ in a small ball",
    "ensemble_error": "squared error of the ensemble",
}
_MARKERS = "os^vDP"


@figure(
    "predicted_measured",
    finding=lambda evidence: _finding(evidence.trained_in_all_layers),
    caption=(
        "Predicted against trained: D, κ in a small ball and squared error of the ensemble, a point for each network, optimizer, "
        "ρ and number of steps; coloured by the output scale α, a marker for each network; bars: 95% intervals of the trained, "
        "over members."
    ),
    alt="Three panels of points around the diagonal: on it for large alpha, scattered for alpha 1.",
    needs=lambda evidence: evidence.trained_in_all_layers,
)
def draw(evidence: Evidence) -> Figure:
    """One point for each ensemble, radius and number of steps, coloured by alpha; a marker for each network.

    Args:
        evidence: with the lazy-to-rich dial.

    Returns:
        A panel each for D, sharpness and ensemble error.

    Raises:
        StoreError: if there is no dial.
    """
    networks = evidence.trained_in_all_layers
    if not networks:
        raise StoreError("this figure shows the lazy-to-rich dial, which is not in the results; run sharpdiv reproduce")
    figure, panels = new_figure(1, len(_PANELS), height=2.3)
    for axes, (name, label) in zip(panels, _PANELS.items(), strict=True):
        ends = []
        for network, marker in zip(networks, cycle(_MARKERS)):
            for alpha in network.alphas:
                predicted, trained, reach = _points(network, alpha, name)
                look: dict[str, Any] = {"color": ALPHAS.get(alpha), "marker": marker, "ms": 2, "mew": 0, "alpha": 0.6}
                # As an image also in SVG and PDF: there are thousands.
                axes.errorbar(predicted, trained, reach, ls="", elinewidth=0.3, rasterized=True, **look)
                ends += [np.nanmin([predicted, trained]), np.nanmax([predicted, trained])]
        axes.axline((min(ends), min(ends)), (max(ends), max(ends)), color=COLORS["muted"], lw=0.8, ls="--")
        axes.set(
            title=label, xlabel="predicted from the kernels", ylabel="trained", ylim=(0.8 * min(ends), 1.1 * max(ends))
        )
        axes.ticklabel_format(style="plain")  # a common factor would stand where labels do
    panels[0].set(xscale="log", yscale="log")
    _legend(figure, panels[0], networks)
    return figure


def _legend(figure: Figure, axes: Axes, networks: Sequence[DialNetwork]) -> None:
    for alpha in sorted({alpha for network in networks for alpha in network.alphas}):
        axes.plot([], [], "o", color=ALPHAS.get(alpha), label=rf"$\alpha = {alpha:g}$")
    for network, marker in zip(networks, cycle(_MARKERS)):
        axes.plot([], [], marker, color=COLORS["muted"], label=title(network))
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=5)


def _points(network: DialNetwork, alpha: float, name: str) -> np.ndarray:
    """Predicted and trained values of all optimizers, and how far the 95% interval of the trained reaches ``(3, points)``."""
    found = []
    for optimizer, measured in network.measured[alpha].items():
        members = len(measured.loss)
        predicted = curves(network, optimizer, members=members).values[name][0]
        trained = curves(network, optimizer, alpha).values[name]
        variance = (members - 1) * trained[1:].var(axis=0)  # the jackknife's
        reach = stats.t.ppf(0.975, members - 1) * np.sqrt(variance)
        found.append(np.stack([each.ravel() for each in (predicted, trained[0], reach)]))
    return np.concatenate(found, axis=1)


def _finding(networks: Sequence[DialNetwork]) -> str:
    """Medians over everything that is drawn, at the ends of the dial."""
    ends = []
    for pick in (max, min):
        points = np.concatenate([_points(each, pick(each.alphas), "diversity") for each in networks], axis=1)
        ends.append((pick(networks[0].alphas), 100 * np.nanmedian(np.abs(points[1] / points[0] - 1))))
    (lazy, small), (rich, large) = ends
    return f"Half of all predicted D are within {small:.2g}% of the trained at α = {lazy:g}, within {large:.2g}% at α = {rich:g}"
