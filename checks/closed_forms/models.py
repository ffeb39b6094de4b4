"""The solvable models side by side: what SAM does to sharpness, diversity and EIR in each."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from jaxtyping import Float

from sharpdiv.checks.claim import Claim, Finding, Row, Value, Verdict, number
from sharpdiv.checks.evidence import Evidence
from sharpdiv.checks.quantity import several
from sharpdiv.theory.feature_learning.diagonal.closed_forms import diagonal_tradeoff
from sharpdiv.theory.feature_learning.diagonal.setting import DiagonalSetting
from sharpdiv.theory.feature_learning.two_layer.closed_forms import two_layer_tradeoff
from sharpdiv.theory.feature_learning.two_layer.setting import TwoLayerSetting
from sharpdiv.theory.kernels import LinearizedNetwork, ensemble_errors, linearize
from sharpdiv.theory.random_features.closed_forms import random_feature_tradeoff
from sharpdiv.theory.random_features.setting import RandomFeatureSetting
from sharpdiv.theory.setting import Setting
from sharpdiv.theory.theorems.sam import sam_tradeoff

__all__ = ["CLAIMS", "MODELS", "NAMES", "Model", "over_critical"]

NAMES = ("sharpness", "diversity", "eir")
"""What is compared, in this order."""

_Curves = dict[str, Float[np.ndarray, " rho"]]
_SHARE = 0.5
_ROUNDING = 1e-9


@dataclass(frozen=True)
class Model:
    """A solvable model at a stated setting."""

    name: str
    """model"""
    detail: str
    """setting"""
    curves: Callable[[Float[np.ndarray, " rho"]], _Curves]
    """from values of rho over the critical one to the three quantities"""
    sharpness: str = "kappa"
    """which measure of sharpness"""

    def changes(self, shares: Float[np.ndarray, " rho"]) -> _Curves:
        """Logarithms of ratios to rho = 0.

        Args:
            shares: rho over the critical one.

        Returns:
            For each quantity, NaN where there is no closed form.
        """
        found = self.curves(np.concatenate([[0.0], shares]))
        return {name: np.log(found[name][1:] / found[name][0]) for name in NAMES}


class _Predicted(Protocol):
    """What all predictions have."""

    @property
    def critical_rho(self) -> float | None:
        """Unit of rho."""


def over_critical(
    predict: Callable[[np.ndarray], _Predicted], flatness: str = "sharpness"
) -> Callable[[np.ndarray], _Curves]:
    """Curves of one of the predictions, over rho in units of its critical one.

    Args:
        predict: from values of rho to the prediction.
        flatness: which measure of sharpness.

    Returns:
        Function from shares of the critical rho to the three quantities.
    """

    def curves(shares: Float[np.ndarray, " rho"]) -> _Curves:
        found = predict(shares * (predict(np.zeros(1)).critical_rho or np.nan))
        return {name: getattr(found, flatness if name == "sharpness" else name) for name in NAMES}

    return curves


_SAMPLES, _TEST, _DIMENSIONS, _WIDTH, _MEMBERS, _STEPS, _RATE = 60, 300, 20, 100, 8, 30, 0.3


def _linearized() -> list[LinearizedNetwork]:
    """Two-layer ReLU networks in their tangent kernels at initialization, on normal inputs and a linear teacher."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((_SAMPLES + _TEST, _DIMENSIONS)) / np.sqrt(_DIMENSIONS)
    y = X @ rng.standard_normal((_DIMENSIONS, 1))
    members = []
    for _ in range(_MEMBERS):
        W, a = rng.standard_normal((_WIDTH, _DIMENSIONS)), rng.standard_normal(_WIDTH)
        hidden = X @ W.T
        active = (hidden > 0) * a
        kernel = (hidden.clip(0) @ hidden.clip(0).T + (active @ active.T) * (X @ X.T)) / _WIDTH
        rows = kernel[:, None, :_SAMPLES, None]
        members.append(linearize(rows[:_SAMPLES], rows[_SAMPLES:], y))
    return members


def _lazy(shares: Float[np.ndarray, " rho"]) -> _Curves:
    """SAM at the rate 0.3 / x_max, whose critical rho is (2/0.3 - 1) / x_max, of each member's own kernel."""
    members, errors, kappas = _linearized(), [], []
    for member in members:
        trained = member.training(_RATE / member.largest, shares * (2 / _RATE - 1) / member.largest, _STEPS)
        errors.append((member.predictions(trained) - member.labels)[:, _SAMPLES:, 0])
        kappas.append(member.sharpness(trained, 0.1))
    products = np.einsum("irt,jrt->rij", np.array(errors), np.array(errors)) / _TEST
    found = ensemble_errors(products)
    return {"sharpness": np.mean(kappas, axis=0), "diversity": found["diversity"], "eir": found["eir"]}


_TWO_LAYER, _DIAGONAL = TwoLayerSetting(m=1), DiagonalSetting(m=1)

MODELS = (
    Model("quadratic", "Setting()", over_critical(lambda rho: sam_tradeoff(Setting(), rho))),
    Model(
        "random features",
        "RandomFeatureSetting()",
        over_critical(lambda rho: random_feature_tradeoff(RandomFeatureSetting(), rho)),
    ),
    Model(
        "lazy network",
        f"{_MEMBERS} two-layer ReLU networks, {_WIDTH} hidden units, n = {_SAMPLES}, d = {_DIMENSIONS}, k = {_STEPS}",
        _lazy,
    ),
    Model(
        "two-layer linear, m = 1",
        "TwoLayerSetting(m=1)",
        over_critical(lambda rho: two_layer_tradeoff(_TWO_LAYER, rho)),
    ),
    Model(
        "two-layer linear, full batch",
        "TwoLayerSetting()",
        over_critical(lambda rho: two_layer_tradeoff(replace(_TWO_LAYER, m=None), rho)),
    ),
    Model(
        "diagonal linear, m = 1",
        "DiagonalSetting(m=1)",
        over_critical(lambda rho: diagonal_tradeoff(_DIAGONAL, rho), "trace"),
        "trace",
    ),
    Model(
        "diagonal linear, full batch",
        "DiagonalSetting(m=None)",
        over_critical(lambda rho: diagonal_tradeoff(replace(_DIAGONAL, m=None), rho), "trace"),
        "trace",
    ),
)
"""Every kind of model that this package solves; where rho of groups of m matters, per sample and full batch."""


def _sign(symbol: str, change: float) -> Value:
    if np.isnan(change):
        return f"{symbol} no closed form"
    if abs(change) < _ROUNDING:
        return f"{symbol} does not move"
    return number(change, name=f"{symbol} {'falls' if change < 0 else 'rises'} (", unit=")")


def _table(_: Evidence) -> Finding:
    rows: list[Row] = []
    together = {}
    for model in MODELS:
        changes = [float(model.changes(np.array([_SHARE]))[name][0]) for name in NAMES]
        symbols = (model.sharpness, "D", "EIR")
        signs = several([_sign(symbol, change) for symbol, change in zip(symbols, changes, strict=True)])
        rows.append((f"{model.name} ({model.detail})", signs))
        if not np.isnan(changes).any():
            together[model.name] = all(change < -_ROUNDING for change in changes)
    verdict = (
        Verdict.HOLDS if all(together.values()) else Verdict.CONDITIONAL if any(together.values()) else Verdict.FAILS
    )
    where = "; ".join(name for name, falls in together.items() if falls)
    return Finding(
        verdict,
        tuple(rows),
        f"All three fall in: {where or 'none'}.",
        reasons={Verdict.CONDITIONAL: "where one weight multiplies another"},
    )


CLAIMS = (
    Claim(
        id="models",
        subject="transfer",
        title="The trade-off, model by model",
        statement="Raising rho lowers sharpness, D and EIR together (C1) in every solvable model: quadratic, random features, lazy "
        "networks, two-layer and diagonal linear networks.",
        source="our transfer of C1, which the paper states of trained networks, to all models that are solved here",
        about=("C1",),
        where="closed forms",
        method=f"Closed forms of SAM at rho = 0 and at {_SHARE:g} of each model's critical rho, at the settings in the table; "
        "signs and logarithms of ratios. The lazy network's kernels are those of drawn networks.",
        tolerance="holds if all three fall in every model with a closed form, within conditions if in some, fails if in none",
        seed=0,
        check=_table,
        figures=("models",),
    ),
)
