"""What both theorems do with a range of rho: one training for un-normalized SAM, a domain for normalized SAM."""

import warnings
from collections.abc import Callable
from dataclasses import fields
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from sharpdiv.theory.errors import DomainWarning
from sharpdiv.theory.filters import Training, critical_rho, is_stable
from sharpdiv.theory.setting import Setting
from sharpdiv.theory.spectra.base import Spectrum
from sharpdiv.theory.theorems.normalized import OUTSIDE, is_valid, normalized_critical_rho, normalized_training
from sharpdiv.theory.theorems.tradeoff import ERRORS, Tradeoff

__all__ = ["predict_over_rho"]


def predict_over_rho(
    setting: Setting,
    rho: Float[np.ndarray, " rho"],
    law: Spectrum,
    limit: Spectrum,
    predict: Callable[[Training], dict[str, Any]],
    *,
    normalized: bool,
) -> Tradeoff:
    """Prediction of one method over a range of rho.

    Args:
        setting: the problem.
        rho: SAM radii.
        law: of the data that a member trains on.
        limit: the same in the limit, whose upper edge decides on stability.
        predict: fields of the prediction for some training.
        normalized: the ascent step has length rho; NaN, with a ``DomainWarning``, where that has no formula.

    Returns:
        Arrays over rho.
    """
    if not normalized:
        return Tradeoff.of(
            rho,
            **predict(Training(setting.learning_rate, rho[None], setting.steps)),
            stable=is_stable(limit, setting.learning_rate, rho),
            critical_rho=critical_rho(limit, setting.learning_rate),
        )
    critical = normalized_critical_rho(setting, law)

    def inside(some: np.ndarray) -> Tradeoff:
        known = predict(normalized_training(setting, some, law))
        return Tradeoff.of(some, **known, stable=np.ones(some.size, dtype=bool), critical_rho=critical)

    return _where_valid(rho, is_valid(normalized_training(setting, rho, law)), inside, critical)


def _where_valid(
    rho: Float[np.ndarray, " rho"],
    valid: Bool[np.ndarray, " rho"],
    predict: Callable[[np.ndarray], Tradeoff],
    critical: float | None,
) -> Tradeoff:
    """Prediction at the valid values of rho, NaN at the others, which are reported as unstable with a ``DomainWarning``."""
    if valid.all():
        return predict(rho)
    warnings.warn(f"{OUTSIDE}; NaN elsewhere", DomainWarning, stacklevel=4)
    names = [item.name for item in fields(Tradeoff) if item.name.startswith("sharpness")]
    full: dict[str, Any] = {name: np.full(rho.shape, np.nan) for name in (*ERRORS, "eir", *names)}
    reasons = {"diversity": OUTSIDE}
    if valid.any():
        known = predict(rho[valid])
        reasons = known.reasons | reasons
        for name, values in full.items():
            values[valid] = getattr(known, name)
    return Tradeoff.of(rho, **full, stable=valid, critical_rho=critical, reasons=reasons)
