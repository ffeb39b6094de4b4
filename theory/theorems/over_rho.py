"""What both theorems do with a range of rho: a prediction inside the domain of the optimizer's formula, NaN outside."""

import warnings
from collections.abc import Callable
from dataclasses import fields
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from sharpdiv.theory.errors import DomainWarning
from sharpdiv.theory.optimizers import Optimizer
from sharpdiv.theory.setting import Setting
from sharpdiv.theory.spectra.base import Spectrum
from sharpdiv.theory.theorems.tradeoff import ERRORS, Tradeoff

__all__ = ["predict_over_rho"]


def predict_over_rho(
    setting: Setting,
    rho: Float[np.ndarray, " rho"],
    law: Spectrum,
    limit: Spectrum,
    predict: Callable[[Any], dict[str, Any]],
    optimizer: Optimizer,
) -> Tradeoff:
    """Prediction of one method over a range of rho.

    Args:
        setting: the problem.
        rho: values of SAM's rho.
        law: law of the data that a member trains on.
        limit: that law in the limit, whose upper edge decides on stability.
        predict: function from a filter to the fields of its prediction.
        optimizer: optimizer of every member; the prediction is NaN, with a ``DomainWarning``, where it has no formula.

    Returns:
        Arrays over rho.

    Examples:
        >>> import numpy as np
        >>> from sharpdiv.theory import MarchenkoPastur, Setting, optimizer_named
        >>> from sharpdiv.theory.theorems.over_rho import predict_over_rho
        >>> law, rho = MarchenkoPastur(20.0), np.array([0.0, 0.2])
        >>> errors = dict.fromkeys(("diversity", "member_error", "ensemble_error", "eir"), np.ones(2))
        >>> predict_over_rho(Setting(), rho, law, law, lambda training: errors, optimizer_named("sam")).stable.tolist()
        [True, False]
    """
    critical, stable = optimizer.critical_rho(setting, limit), optimizer.stable(setting, rho, limit)

    def inside(some: np.ndarray) -> Tradeoff:
        with np.errstate(over="ignore", invalid="ignore"):  # what overflows is refused by the prediction itself
            known = predict(optimizer.filter(setting, rho[some], law))
        return Tradeoff.of(rho[some], **known, stable=stable[some], critical_rho=critical)

    everywhere = not optimizer.outside
    valid = np.ones(rho.size, dtype=bool) if everywhere else stable
    return _where_valid(rho, valid, inside, critical, optimizer.outside)


def _where_valid(
    rho: Float[np.ndarray, " rho"],
    valid: Bool[np.ndarray, " rho"],
    predict: Callable[[np.ndarray], Tradeoff],
    critical: float | None,
    outside: str,
) -> Tradeoff:
    """Prediction at the valid values of rho, NaN at the others, which are reported as unstable with a ``DomainWarning``."""
    if valid.all():
        return predict(valid)
    warnings.warn(f"{outside}; NaN elsewhere", DomainWarning, stacklevel=4)
    names = [item.name for item in fields(Tradeoff) if item.name.startswith("sharpness")]
    full: dict[str, Any] = {name: np.full(rho.shape, np.nan) for name in (*ERRORS, "eir", *names)}
    reasons = dict.fromkeys(full, outside)
    if valid.any():
        known = predict(valid)
        reasons |= known.reasons | {"diversity": outside}
        for name, values in full.items():
            values[valid] = getattr(known, name)
    return Tradeoff.of(rho, **full, stable=valid, critical_rho=critical, reasons=reasons)
