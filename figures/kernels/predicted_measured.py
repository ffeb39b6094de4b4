"""Predicted against measured: every network, optimizer, radius and step of the lazy-to-rich dial."""

from itertools import cycle

import numpy as np
from matplotlib.figure import Figure

from sharpdiv.checks.kernels.alpha_curves import curves
from sharpdiv.checks.kernels.alpha_network import DialNetwork
from sharpdiv.checks.results import Evidence
from sharpdiv.empirical.errors import StoreError
from sharpdiv.figures.figure import figure
from sharpdiv.figures.style import ALPHAS, new_figure

__all__ = ["draw"]

_PANELS = {"diversity": "D", "sharpness": "kappa in a small ball", "ensemble_error": "squared error of the ensemble"}
_MARKERS = "os^vDP"


@figure(
    "predicted_measured",
    finding="What tangent kernels predict is what lazy networks measure",
    caption=(
        "Predicted against trained: D, κ in a small ball and squared error of the ensemble, a point for each "
        "network, optimizer, ρ and number of steps; coloured by the output scale α, a marker for each "
        "network."
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
    figure, panels = new_figure(1, len(_PANELS))
    for axes, (name, label) in zip(panels, _PANELS.items(), strict=True):
        everything = []
        for network, marker in zip(networks, cycle(_MARKERS)):
            for alpha in network.alphas:
                points = _points(network, alpha, name)
                everything.append(points)
                axes.plot(*points, marker, ms=2.5, mew=0, alpha=0.7, color=ALPHAS.get(alpha))
        values = np.concatenate(everything, axis=None)
        ends = np.array([np.nanmin(values), np.nanmax(values)])
        axes.plot(ends, ends, color="0.4", lw=1, ls="--")
        axes.set(title=label, xlabel="predicted from the kernels", ylabel="trained")
    panels[0].set(xscale="log", yscale="log")
    for alpha in sorted({alpha for network in networks for alpha in network.alphas}):
        panels[0].plot([], [], "o", ms=4, mew=0, color=ALPHAS.get(alpha), label=f"alpha = {alpha:g}")
    for network, marker in zip(networks, cycle(_MARKERS)):
        panels[-1].plot([], [], marker, ms=4, mew=0, color="0.4", label=network.name)
    for axes in (panels[0], panels[-1]):
        axes.legend(loc="upper left")
    return figure


def _points(network: DialNetwork, alpha: float, name: str) -> np.ndarray:
    """Predicted and measured values ``(2, points)`` of all optimizers."""
    pairs = []
    for optimizer, found in network.measured[alpha].items():
        members = len(found.loss)
        sides = (curves(network, optimizer, members=members), curves(network, optimizer, alpha))
        pairs.append(np.stack([side.values[name][0].ravel() for side in sides]))
    return np.concatenate(pairs, axis=1)
