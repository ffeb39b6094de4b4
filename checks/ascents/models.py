"""Solvable models beside trained networks: which have the signs, and what they make of the size."""

from collections.abc import Mapping
from dataclasses import replace
from functools import cache

import numpy as np
from jaxtyping import Float

from sharpdiv.checks.ascents.changes import MISSING, change, changes, few_samples, ordinary
from sharpdiv.checks.ascents.networks import Ascent
from sharpdiv.checks.ascents.results import FittedRegime
from sharpdiv.checks.claim import Finding, Row, Value, Verdict, number
from sharpdiv.checks.closed_forms.models import MODELS, NAMES, Model, over_critical
from sharpdiv.checks.evidence import Evidence
from sharpdiv.checks.quantity import several
from sharpdiv.checks.statistics import judge
from sharpdiv.theory.feature_learning.diagonal.closed_forms import diagonal_tradeoff
from sharpdiv.theory.feature_learning.diagonal.setting import DiagonalSetting
from sharpdiv.theory.feature_learning.two_layer.closed_forms import two_layer_tradeoff
from sharpdiv.theory.feature_learning.two_layer.setting import TwoLayerSetting

__all__ = ["model_signs"]

_LEARNING = ("two-layer linear, m = 1", "diagonal linear, m = 1")
"""Models that are to have the signs; the others' Hessian does not depend on the weights."""
_SHARE = 0.5
"""rho over the critical one"""
_STABLE = np.linspace(0, 0.95, 96)
"""the same, over the stable range"""

Curve = tuple[Float[np.ndarray, " rho"], ...]
"""Changes of log trace, log D and log EIR, in this order."""


def model_signs(evidence: Evidence) -> Finding:
    """Trace, D and EIR of trained networks against the signs of every solvable model.

    Args:
        evidence: with results of a sweep or without.

    Returns:
        It holds if all three fall in every network and in both models that learn features. Exploratory: it was stated when the
        results were there.
    """
    found = [(each, few) for each in ordinary(evidence) if (few := few_samples(each))]
    if not found:
        return MISSING
    family = [change(each, few, quantity) for each, few in found for quantity in ("trace", "diversity", "eir")]
    rows = [_signs(model) for model in MODELS if "full batch" not in model.name]
    finding = judge(family, -1, rows=[*rows, *_sizes(found)])
    others = [name for name in _LEARNING if not (_changes(_named(name)) < 0).all()]
    if others:
        reason = f"not all three fall in {' and '.join(others)}"
        finding = replace(finding, verdict=Verdict.FAILS, remark=reason, reasons={Verdict.FAILS: reason})
    return replace(finding, confirmed=False)


def _named(name: str) -> Model:
    return next(model for model in MODELS if model.name == name)


def _changes(model: Model) -> Float[np.ndarray, " quantities"]:
    """Changes of log trace, log D and log EIR; the trace is constant where the Hessian is."""
    if model.name in _LEARNING:
        return np.array([np.interp(_SHARE, _STABLE, values) for values in _curves()[model.name]])
    found = model.changes(np.array([_SHARE]))
    return np.array([0.0, found["diversity"][0], found["eir"][0]])


def _signs(model: Model) -> Row:
    values = [number(float(value) if abs(value) > 1e-9 else 0.0) for value in _changes(model)]
    return f"{model.name}: change of log trace, log D, log EIR", several(values)


def _sizes(found: list[tuple[FittedRegime, Ascent]]) -> list[Row]:
    """The change of log D of every network, beside what the models make of another: in two-layer ones it is that of |a|^2."""
    rows: list[Row] = []
    for each, few in found:
        trace, diversity, norm = (changes(each, few, quantity)[0] for quantity in ("trace", "diversity", "last_norm"))
        if not np.isfinite([trace, diversity, norm]).all():  # members diverged
            continue
        values: list[Value] = [
            number(float(diversity), unit=" measured"),
            number(float(norm), unit=" of the last layer's squared norm"),
            *(_at_the_trace(name, float(trace)) for name in _LEARNING),
        ]
        rows.append((f"{each.name}: change of log D", several(values)))
    return rows


def _at_the_trace(name: str, trace: float) -> Value:
    """The change of log D of a model where its trace has changed so far."""
    traces, diversities, _ = _curves()[name]
    if trace > traces[0]:
        return f"{_short(name)} have no trace that rises"
    if trace < traces[-1]:
        return f"{_short(name)} are not stable at that trace"
    return number(float(np.interp(-trace, -traces, diversities)), unit=f" in {_short(name)} of that trace")


def _short(name: str) -> str:
    return name.removesuffix(", m = 1") + " networks"


@cache
def _curves() -> Mapping[str, Curve]:
    """Models that learn features by their trace, over the stable range."""
    predictions = (
        lambda rho: two_layer_tradeoff(TwoLayerSetting(m=1), rho),
        lambda rho: diagonal_tradeoff(DiagonalSetting(m=1), rho),
    )
    models = (Model(name, "", over_critical(p, "trace")) for name, p in zip(_LEARNING, predictions, strict=True))
    return {model.name: tuple(model.changes(_STABLE)[name] for name in NAMES) for model in models}
