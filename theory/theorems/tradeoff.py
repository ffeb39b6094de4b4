"""Prediction of one ensemble over a range of rho: what both theorems return."""

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from sharpdiv.theory.curves import Curves
from sharpdiv.theory.errors import DomainError

__all__ = ["BOUNDS", "ERRORS", "NO_BOUND", "NO_LIMIT", "RIGOROUS", "SHARPNESS", "Tradeoff", "improvement_rate"]

SHARPNESS = ("sharpness", "sharpness_ensemble", "sharpness_member")
"""Where kappa is measured: at the mean over the ensemble's randomness, at the mean of its members, at one member."""
BOUNDS = ("sharpness_lower", "sharpness_upper")
"""The published bounds."""
RIGOROUS = ("sharpness_lower_rigorous", "sharpness_upper_rigorous")
"""Bounds that are proven at finite (n, d)."""
ERRORS = ("diversity", "member_error", "ensemble_error")
NO_LIMIT = "no closed form at finite (n, d); the limit has one, and the rigorous bounds hold"
_NO_ERROR = "the member error is 0"
_AT_FINITE_SIZE = (
    "proven at finite (n, d), for isotropic data and un-normalized SAM: take data_law(setting, finite=True)"
)
NO_BOUND = "published for un-normalized SAM on isotropic data without label noise only"


@dataclass(frozen=True, eq=False)
class Tradeoff(Curves):
    """Diversity, sharpness and errors against rho; every array has shape ``(rho,)``; NaN is what has no formula.

    Raises:
        DomainError: if a value overflows.

    Examples:
        >>> from sharpdiv.theory import Setting, sharpbalance_tradeoff
        >>> curve = sharpbalance_tradeoff(Setting(), (0.0, 2.0), blocks=3)
        >>> curve.stable.tolist(), round(curve.critical_rho, 4)
        ([True, False], 1.1369)
        >>> curve.reasons["sharpness_lower"]
        'no lower bound is published for SharpBalance'
    """

    rho: Float[np.ndarray, " rho"]
    """values of SAM's rho"""
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
    """exact limit of kappa at the mean weights of the ensemble's members"""
    sharpness_member: Float[np.ndarray, " rho"]
    """exact limit of kappa at a single member"""
    sharpness_lower: Float[np.ndarray, " rho"]
    """published lower bound of ``sharpness``; minus infinity where it says nothing"""
    sharpness_upper: Float[np.ndarray, " rho"]
    """published upper bound of ``sharpness``"""
    sharpness_lower_rigorous: Float[np.ndarray, " rho"]
    """lower bound of ``sharpness`` proven at finite (n, d)"""
    sharpness_upper_rigorous: Float[np.ndarray, " rho"]
    """upper bound of ``sharpness`` proven at finite (n, d)"""
    reasons: dict[str, str]
    """why a field is NaN, by its name; every field that is NaN somewhere has one"""

    def __post_init__(self) -> None:
        for name in (*ERRORS, *SHARPNESS, "sharpness_upper", "sharpness_upper_rigorous"):
            values = getattr(self, name)
            if np.any(np.isinf(values)) or (name in ERRORS and np.any(np.isnan(values) & self.stable)):
                raise DomainError(
                    f"{name} overflows; lower rho, steps, the learning rate or the initialization's variance"
                )

    @classmethod
    def of(cls, rho: Float[np.ndarray, " rho"], **known: Any) -> "Tradeoff":
        """A prediction from what is known of it; NaN for the rest.

        Args:
            rho: values of SAM's rho.
            **known: fields by name.

        Returns:
            Arrays over rho.
        """
        unknown = np.full(rho.shape, np.nan)
        blank = {item.name: unknown for item in fields(cls) if item.name.startswith("sharpness")}
        given: dict[str, Any] = {"reasons": {}} | known
        reasons = {"eir": _NO_ERROR} | dict.fromkeys(RIGOROUS, _AT_FINITE_SIZE) | given.pop("reasons")
        found: dict[str, Any] = blank | given
        missing = {name: why for name, why in reasons.items() if np.any(np.isnan(found[name]))}
        return cls(rho=rho, **found, reasons=missing)


def improvement_rate(
    member: Float[np.ndarray, "*shape"], ensemble: Float[np.ndarray, "*shape"]
) -> Float[np.ndarray, "*shape"]:
    """Ensemble improvement rate ``(member - ensemble) / member``.

    Args:
        member: errors of one member.
        ensemble: errors of the ensemble, of the same shape.

    Returns:
        The errors' shape; NaN where the member error is 0 and there is nothing to improve.

    Examples:
        >>> import numpy as np
        >>> from sharpdiv.theory.theorems.tradeoff import improvement_rate
        >>> improvement_rate(np.array([4.0, 0.0]), np.array([3.0, 0.0])).tolist()
        [0.25, nan]
    """
    return np.divide(member - ensemble, member, out=np.full_like(member, np.nan), where=member > 0)
