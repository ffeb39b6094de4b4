"""Random-feature ensembles of two activations: theory for given data against trained networks."""

from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from checks import Evidence
from figures.style import COLORS, new_figure, plot_simulation
from theory.random_features import (
    ActivationName,
    FeatureData,
    RandomFeatureSetting,
    RandomFeatureTradeoff,
    random_feature_tradeoff,
)
from theory.random_features_simulation import RandomFeatureSimulation, simulate_random_features

__all__ = ["draw"]

_N, _DIMENSIONS, _FEATURES = 450, 225, 300
_ACTIVATIONS: tuple[ActivationName, ...] = ("relu", "erf")
_METHODS = ((1, "SAM", COLORS["sam"], "o"), (3, "SharpBalance", COLORS["sharpbalance"], "s"))
_SHARES = np.linspace(0, 0.8, 9)  # closer to the edge, finite p is heavy-tailed


def draw(_: Evidence) -> Figure:
    """Sharpness, diversity, EIR and errors of 3 members on one data set: SAM on all of it, SharpBalance on 3 blocks.

    Returns:
        Eight panels.
    """
    figure, axes = new_figure(2, 4, width=3.5, height=3.1)
    data = _data(np.random.default_rng(0))
    for row, name in enumerate(_ACTIVATIONS):
        panels = axes[4 * row : 4 * row + 4]
        setting = RandomFeatureSetting(n=_N, d=_DIMENSIONS, features=_FEATURES, activation=name)
        for blocks, label, color, marker in _METHODS:
            _method(panels, setting, data, blocks, label, color, marker)
    return figure
