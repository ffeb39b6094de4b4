"""Prediction of one ensemble over a range of rho: what both theorems return."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from theory.errors import DomainError, DomainWarning

__all__ = ["BOUNDS", "NO_BOUND", "NO_LIMIT", "SHARPNESS", "Tradeoff", "improvement_rate", "where_valid"]

SHARPNESS = ("sharpness", "sharpness_ensemble", "sharpness_member")
"""Where kappa is measured: at the mean over the ensemble's randomness, at the mean of its members, at one member."""
BOUNDS = ("sharpness_lower", "sharpness_upper")
"""The published bounds."""
_ERRORS = ("diversity", "member_error", "ensemble_error")
NO_LIMIT = "no closed form at finite (n, d); the limit has one, and the rigorous bounds hold"
NO_BOUND = "published for un-normalised SAM on isotropic data without label noise only"


@dataclass(frozen=True)
class Tradeoff:
    """Diversity, sharpness and errors against rho; every array has shape ``(rho,)``; NaN is what has no formula.

    Raises:
        DomainError: if a value overflows.
    """

    rho: Float[np.ndarray, " rho"]
    """SAM radii"""
    diversity: Float[np.ndarray, " rho"]
    """variance of the prediction at an independent test point over the ensemble's randomness"""
    member_error: Float[np.ndarray, " rho"]
    """mean squared error of one member at an independent test point"""
    ensemble_error: Float[np.ndarray, " rho"]
    """mean squared error of the mean of the members"""
    eir: Float[np.ndarray, " rho"]
    """ensemble improvement rate, (member error - ensemble error) / member error; NaN where the member error is 0"""
    stable: Bool[np.ndarray, " rho"]
    """whether every direction but the null space contracts in every step"""
    critical_rho: float | None
    """rho at which contraction is lost (None if even rho = 0 does not contract)"""
    sharpness: Float[np.ndarray, " rho"]
    """exact limit of kappa at the mean over the ensemble's randomness"""
    sharpness_ensemble: Float[np.ndarray, " rho"]
    """the same at the mean weights of the ensemble's members"""
    sharpness_member: Float[np.ndarray, " rho"]
    """the same at a single member"""
    sharpness_lower: Float[np.ndarray, " rho"]
    """published lower bound of ``sharpness``; minus infinity where it says nothing"""
    sharpness_upper: Float[np.ndarray, " rho"]
    """published upper bound of ``sharpness``"""
    sharpness_lower_rigorous: Float[np.ndarray, " rho"]
    """lower bound of ``sharpness`` proven at finite (n, d)"""
    sharpness_upper_rigorous: Float[np.ndarray, " rho"]
    """upper bound of ``sharpness`` proven at finite (n, d)"""
    reasons: dict[str, str]
    """why a field is NaN, by its name"""

    def __post_init__(self) -> None:
        for name in (*_ERRORS, *SHARPNESS, "sharpness_upper", "sharpness_upper_rigorous"):
            values = getattr(self, name)
            if np.any(np.isinf(values)) or (name in _ERRORS and np.any(np.isnan(values) & self.stable)):
                raise DomainError(
                    f"{name} overflows; lower rho, steps, the learning rate or the initialisation's variance"
                )

    @classmethod
    def of(cls, rho: Float[np.ndarray, " rho"], **known: Any) -> "Tradeoff":
        """A prediction from what is known of it; NaN for the rest.

        Args:
            rho: SAM radii.
            **known: fields by name.

        Returns:
            Arrays over rho.
        """
        unknown = np.full(rho.shape, np.nan)
        blank = {item.name: unknown for item in fields(cls) if item.name.startswith("sharpness")}
        return cls(rho=rho, **(blank | {"reasons": {}} | known))


def where_valid(
    rho: Float[np.ndarray, " rho"],
    valid: Bool[np.ndarray, " rho"],
    predict: Callable[[np.ndarray], Tradeoff],
    critical_rho: float | None,
    why: str,
) -> Tradeoff:
    """Prediction at the valid values of rho, NaN at the others, which are reported as unstable with a ``DomainWarning``.

    Args:
        rho: SAM radii.
        valid: where the formula may be used.
        predict: the prediction at some of them.
        critical_rho: edge of the domain.
        why: the reason given for the NaNs.

    Returns:
        Arrays over all of rho.
    """
    if valid.all():
        return predict(rho)
    warnings.warn(f"{why}; NaN elsewhere", DomainWarning, stacklevel=3)
    names = [item.name for item in fields(Tradeoff) if item.name.startswith("sharpness")]
    full: dict[str, Any] = {name: np.full(rho.shape, np.nan) for name in (*_ERRORS, "eir", *names)}
    reasons = {"diversity": why}
    if valid.any():
        known = predict(rho[valid])
        reasons = known.reasons | reasons
        for name, values in full.items():
            values[valid] = getattr(known, name)
    return Tradeoff.of(rho, **full, stable=valid, critical_rho=critical_rho, reasons=reasons)


def improvement_rate(
    member: Float[np.ndarray, " rho"], ensemble: Float[np.ndarray, " rho"]
) -> Float[np.ndarray, " rho"]:
    """Ensemble improvement rate ``(member - ensemble) / member``.

    Returns:
        Shape ``(rho,)``; NaN where the member error is 0 and there is nothing to improve.
    """
    return np.divide(member - ensemble, member, out=np.full_like(member, np.nan), where=member > 0)
