"""Solvable models beside trained networks: who has the signs, and how much of the size."""

from dataclasses import replace

import numpy as np
from jaxtyping import Float

from sharpdiv.checks.ascents.changes import MISSING, change, changes, few_samples, ordinary
from sharpdiv.checks.ascents.networks import Ascent, FittedNetwork
from sharpdiv.checks.ascents.results import FittedRegime
from sharpdiv.checks.claim import Finding, Row, Value, Verdict, number
from sharpdiv.checks.closed_forms.models import MODELS, NAMES
from sharpdiv.checks.evidence import Evidence
from sharpdiv.checks.quantity import several
from sharpdiv.checks.statistics import judge
from sharpdiv.theory.feature_learning.diagonal.closed_forms import diagonal_tradeoff
from sharpdiv.theory.feature_learning.diagonal.setting import DiagonalSetting
from sharpdiv.theory.feature_learning.two_layer.closed_forms import two_layer_tradeoff
from sharpdiv.theory.feature_learning.two_layer.setting import TwoLayerSetting

__all__ = ["model_signs"]

_SHARES = np.linspace(0, 0.95, 96)
"""rho over the critical one, up to the edge of the stable range"""
_STILL = 1e-9

Curve = tuple[Float[np.ndarray, " rho"], Float[np.ndarray, " rho"]]
"""Changes of log trace and of log D."""


def model_signs(evidence: Evidence) -> Finding:
    """Trace, D and EIR of trained networks against the signs of every solvable model.

    Args:
        evidence: with results of a sweep or without.

    Returns:
        It holds if all three fall in every network, as in the models in which one weight multiplies another and in no other; none
        without results. The rule was written when the results were there: exploratory.
    """
    found = [(each, few) for each in ordinary(evidence) if (few := few_samples(each))]
    if not found:
        return MISSING
    family = [change(each, few, quantity) for each, few in found for quantity in ("trace", "diversity", "eir")]
    rows, falling = _signs()
    finding = judge(family, -1, rows=[*rows, *_sizes(found)], remark=f"All three fall in: {'; '.join(falling)}.")
    products = tuple(model.name for model in MODELS if "linear, m = 1" in model.name)
    if not set(products) <= set(falling) or set(falling) & {model.name for model in MODELS[:3]}:
        finding = replace(finding, verdict=Verdict.FAILS)
    return replace(finding, confirmed=False)


def _signs() -> tuple[list[Row], list[str]]:
    """Changes in every model at half its critical rho, and the names of those in which all three fall."""
    rows: list[Row] = []
    falling = []
    for model in MODELS:
        found = [float(model.changes(np.array([0.5]))[name][0]) for name in NAMES]
        if np.isnan(found).any():
            continue
        values: list[Value] = [number(value if abs(value) > _STILL else 0.0) for value in found]
        rows.append((f"{model.name}: change of log {model.sharpness}, log D, log EIR", several(values)))
        if all(value < -_STILL for value in found):
            falling.append(model.name)
    return rows, falling


def _sizes(found: list[tuple[FittedRegime, Ascent]]) -> list[Row]:
    """The change of log D of every network, beside what each explanation makes of the change of another quantity."""
    rows: list[Row] = []
    sizes: list[tuple[FittedNetwork, float, list[float]]] = []
    for each, few in found:
        trace, diversity, norm = (changes(each, few, quantity)[0] for quantity in ("trace", "diversity", "last_norm"))
        made = [_at(curve, trace) for curve in _curves().values()] + [float(norm)]
        if not np.isfinite([diversity, *made]).all():  # members diverged
            continue
        sizes.append((each.network, diversity, made))
        values: list[Value] = [number(value, unit=f" by {name}") for name, value in zip(_names(), made, strict=True)]
        rows.append((f"{each.name}: change of log D, {diversity:.3g} measured", several(values)))
    for place, name in enumerate(_names()):
        whose: dict[str, list[tuple[float, float]]] = {"all networks": [], "two-layer networks of ReLU": []}
        for network, diversity, made in sizes:
            whose["all networks"].append((diversity, made[place]))
            if (network.kind, network.activation) == ("two-layer", "relu"):
                whose["two-layer networks of ReLU"].append((diversity, made[place]))
        shares = [_share(np.array(pairs), of) for of, pairs in whose.items() if pairs]
        if shares:
            rows.append((f"share of the squared changes of log D that {name} explains", several(shares)))
    return rows


def _share(pairs: Float[np.ndarray, "networks 2"], whose: str) -> Value:
    """Of changes measured and explained; 1 if they are equal, below 0 where no change at all would have been nearer."""
    measured, explained = pairs.T
    if not (whole := np.square(measured).sum()):
        return f"nothing to explain in {whose}"
    return number(float(1 - np.square(measured - explained).sum() / whole), unit=f" of {whose}")


def _names() -> list[str]:
    return [*(f"the trace as in {name}" for name in _curves()), "the last layer's norm"]


def _curves() -> dict[str, Curve]:
    """Models that learn features, at m = 1: what D does where the trace has fallen so far."""
    two_layer, diagonal = TwoLayerSetting(m=1), DiagonalSetting(m=1)
    unit = (
        two_layer_tradeoff(two_layer, np.zeros(1)).critical_rho,
        diagonal_tradeoff(diagonal, np.zeros(1)).critical_rho,
    )
    curves = (
        two_layer_tradeoff(two_layer, _SHARES * (unit[0] or np.nan)),
        diagonal_tradeoff(diagonal, _SHARES * (unit[1] or np.nan)),
    )
    names = ("two-layer linear networks", "diagonal linear networks")
    return {
        name: (np.log(curve.trace / curve.trace[0]), np.log(curve.diversity / curve.diversity[0]))
        for name, curve in zip(names, curves, strict=True)
    }


def _at(curve: Curve, trace: float) -> float:
    """The change of log D where the trace has changed so far; beyond the stable range in proportion to its end."""
    traces, diversities = curve
    if trace < traces[-1]:
        return float(diversities[-1] / traces[-1] * trace)
    return float(np.interp(-trace, -traces, diversities))
