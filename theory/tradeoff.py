"""Prediction of one ensemble over a range of rho: what both theorems return."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from theory.errors import DomainError

__all__ = ["Tradeoff", "improvement_rate"]


@dataclass(frozen=True)
class Tradeoff:
    """Diversity, sharpness and errors against rho; every array has shape ``(rho,)``."""

    rho: Float[np.ndarray, " rho"]
    """SAM radii"""
    diversity: Float[np.ndarray, " rho"]
    """variance of the prediction at an independent test point (entries of variance 1/d) over the ensemble's
    randomness"""
    sharpness: Float[np.ndarray, " rho"]
    """exact limit of kappa at the mean over the ensemble's randomness"""
    sharpness_lower: Float[np.ndarray, " rho"] | None
    """published lower bound (None for SharpBalance, which has none)"""
    sharpness_upper: Float[np.ndarray, " rho"]
    """published upper bound"""
    member_error: Float[np.ndarray, " rho"]
    """mean squared error of one member at an independent test point"""
    ensemble_error: Float[np.ndarray, " rho"]
    """mean squared error of the mean of the members"""
    eir: Float[np.ndarray, " rho"]
    """ensemble improvement rate, (member error - ensemble error) / member error; NaN where the member error is 0"""
    stable: Bool[np.ndarray, " rho"]
    """whether every direction but the null space contracts"""
    critical_rho: float | None
    """rho at which contraction is lost (None if even rho = 0 does not contract)"""

    def __post_init__(self) -> None:
        for name in ("diversity", "sharpness", "sharpness_upper", "member_error", "ensemble_error"):
            if not np.all(np.isfinite(getattr(self, name))):
                raise DomainError(
                    f"{name} overflows; lower rho, steps, the learning rate or the initialisation's variance"
                )


def improvement_rate(
    member: Float[np.ndarray, " rho"], ensemble: Float[np.ndarray, " rho"]
) -> Float[np.ndarray, " rho"]:
    """Ensemble improvement rate ``(member - ensemble) / member``.

    Returns:
        Shape ``(rho,)``; NaN where the member error is 0 and there is nothing to improve.
    """
    return np.divide(member - ensemble, member, out=np.full_like(member, np.nan), where=member > 0)
