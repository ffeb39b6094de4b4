"""Random-feature ensembles of two activations: theory for given data against trained networks."""

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from sharpdiv.checks.evidence import Evidence
from sharpdiv.figures.figure import figure
from sharpdiv.figures.style import COLORS, new_figure, plot_simulation
from sharpdiv.theory.plots import LABELS
from sharpdiv.theory.random_features.activations import ActivationName
from sharpdiv.theory.random_features.closed_forms import RandomFeatureTradeoff, random_feature_tradeoff
from sharpdiv.theory.random_features.setting import FeatureData, RandomFeatureSetting
from sharpdiv.theory.random_features.simulation import RandomFeatureSimulation, simulate_random_features

__all__ = ["draw"]

_N, _DIMENSIONS, _FEATURES = 300, 150, 200
_ACTIVATIONS: dict[ActivationName, str] = {"relu": "ReLU", "erf": "erf"}
_PANELS = (
    (LABELS["sharpness"], r"sharpness falls with $\rho$"),
    (LABELS["diversity"], "diversity rises"),
    (LABELS["eir"], "and so does EIR"),
    ("test error", "errors hardly move"),
)


@dataclass(frozen=True)
class _Method:
    blocks: int
    label: str
    color: str
    marker: str


_METHODS = (_Method(1, "SAM", COLORS["sam"], "o"), _Method(3, "SharpBalance", COLORS["sharpbalance"], "s"))
_ERRORS = {"a member": "-", "the ensemble": "--"}
"""Lines of the last panels."""
_SHARES = np.linspace(0, 0.7, 8)  # closer to the edge, finite p is heavy-tailed


@figure(
    "random_features",
    finding="With random features SAM lowers sharpness and raises diversity",
    caption=(
        "Sharpness, diversity D, EIR and test errors of ensembles of random-feature networks on one data set,"
        " n = 300, d = 150, 200 features, ReLU and erf: SAM on all of it, SharpBalance on 3 blocks. Lines: "
        "theory for these data; points: 12 draws of 3 networks with standard errors. All ρ share their draws, so that a panel's "
        "points lie off together, as those of D for erf on blocks: 3 standard errors above, with two other seeds "
        "within one."
    ),
    alt=(
        "Eight panels, a row for each activation. Sharpness falls with rho, diversity and EIR rise, errors of"
        " members and ensembles hardly move; simulated points lie on the lines or close to them."
    ),
)
def draw(_: Evidence) -> Figure:
    """Sharpness, diversity, EIR and errors of 3 members on one data set: SAM on all of it, SharpBalance on 3 blocks.

    Returns:
        Eight panels.
    """
    figure, axes = new_figure(4, 2, height=1.55)
    for panels, (name, shown) in zip((axes[::2], axes[1::2]), _ACTIVATIONS.items(), strict=True):
        setting = RandomFeatureSetting(n=_N, d=_DIMENSIONS, features=_FEATURES, activation=name)
        for method in _METHODS:
            _plot(panels, setting, method)
        for panel, (label, seen) in zip(panels, _PANELS, strict=True):
            panel.set(ylabel=label, title=f"{shown}: {seen}")
            panel.margins(y=0.12)
        panels[3].set(xlabel=r"$\rho$ over the critical $\rho$")
    figure.legend(handles=_legend(), loc="outside lower center", ncols=3)
    return figure


def _legend() -> list[Line2D]:
    """Theory of each method, kinds of errors, and simulations of each method."""
    theory = [Line2D([], [], color=method.color, label=f"{method.label}, theory") for method in _METHODS]
    errors = [
        Line2D([], [], color=COLORS["muted"], ls=style, label=f"error of {kind}") for kind, style in _ERRORS.items()
    ]
    look: dict[str, Any] = {"color": COLORS["gd"], "ms": 3, "ls": ""}
    points = [Line2D([], [], marker=m.marker, label=f"{m.label}, simulation", **look) for m in _METHODS]
    return theory + errors + points


@cache
def _data() -> FeatureData:
    generator = np.random.default_rng(0)
    inputs, teacher = generator.standard_normal((_N, _DIMENSIONS)), generator.standard_normal(_DIMENSIONS)
    return FeatureData(inputs, inputs @ teacher / np.sqrt(_DIMENSIONS), teacher)


@cache
def _curves(setting: RandomFeatureSetting, blocks: int) -> tuple[RandomFeatureTradeoff, RandomFeatureSimulation]:
    """Predicted and measured, on the same data."""
    critical = random_feature_tradeoff(setting, 0.0, blocks=blocks).critical_rho or np.nan
    rho = _SHARES * critical
    theory = random_feature_tradeoff(setting, rho, blocks=blocks, data=_data())
    sizes = {"draws": 12, "networks": 3, "test_samples": 1000}
    return theory, simulate_random_features(setting, rho, blocks=blocks, data=_data(), seed=1, **sizes)


def _plot(panels: list[Axes], setting: RandomFeatureSetting, method: _Method) -> None:
    theory, measured = _curves(setting, method.blocks)
    for place, name in enumerate(("sharpness", "diversity", "eir")):
        panels[place].plot(_SHARES, getattr(theory, name), color=method.color)
    for name, style in zip(("member_error", "ensemble_error"), _ERRORS.values(), strict=True):
        panels[3].plot(_SHARES, getattr(theory, name), color=method.color, ls=style)
        plot_simulation(panels[3], _SHARES, getattr(measured, name), method.marker)
    for axes, estimate in zip(panels, (measured.sharpness, measured.diversity, measured.eir), strict=False):
        plot_simulation(axes, _SHARES, estimate, method.marker)
