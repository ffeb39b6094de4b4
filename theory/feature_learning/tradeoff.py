"""What is predicted and measured of ensembles that learn features, over rho: one record for each model of this package."""

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from sharpdiv.theory.curves import Curves
from sharpdiv.theory.errors import DomainError
from sharpdiv.theory.estimate import Estimate
from sharpdiv.theory.theorems.tradeoff import improvement_rate

__all__ = ["LearnedSimulation", "LearnedTradeoff"]

_NO_ERROR = "the member error is 0"


@dataclass(frozen=True, eq=False)
class LearnedTradeoff(Curves):
    """Diversity, sharpness and errors of an ensemble against rho; every array has shape ``(rho,)``; NaN is what is not known.

    Raises:
        DomainError: if a value overflows, or is NaN without a reason.

    Examples:
        >>> import numpy as np
        >>> from sharpdiv.theory.feature_learning.tradeoff import LearnedTradeoff
        >>> known = {name: np.ones(1) for name in ("diversity", "training_loss", "trace", "sharpness")}
        >>> curve = LearnedTradeoff.of(
        ...     np.zeros(1), member_error=np.full(1, 4.0), ensemble_error=np.full(1, 3.0), critical_rho=1.0, **known
        ... )
        >>> curve.eir.tolist(), curve.stable.tolist()
        ([0.25], [True])
    """

    rho: Float[np.ndarray, " rho"]
    """values of SAM's rho"""
    diversity: Float[np.ndarray, " rho"]
    """variance of the prediction at an independent test point over the members; on s blocks the part between them is divided by s
    in two-layer networks, as in the quadratic problem, and by s - 1 in diagonal ones"""
    member_error: Float[np.ndarray, " rho"]
    """mean squared error of one member at an independent test point, against the target without noise"""
    ensemble_error: Float[np.ndarray, " rho"]
    """mean squared error of the mean of the members"""
    eir: Float[np.ndarray, " rho"]
    """ensemble improvement rate, (member error - ensemble error) / member error; NaN where the member error is 0"""
    training_loss: Float[np.ndarray, " rho"]
    """``|f(X) - y|^2 / (2n)`` of one member"""
    trace: Float[np.ndarray, " rho"]
    """trace of the Hessian of one member's training loss"""
    sharpness: Float[np.ndarray, " rho"]
    """kappa of one member: largest increase of its training loss within a ball of the weights"""
    stable: Bool[np.ndarray, " rho"]
    """whether rho is below ``critical_rho``"""
    critical_rho: float | None
    """rho from which on nothing is predicted, as SAM does not fit the data any more (two layers) or the derivation ends (diagonal);
    None if not even gradient descent fits"""
    reasons: dict[str, str]
    """why a field is NaN, by its name; every field that is NaN somewhere has one"""

    def __post_init__(self) -> None:
        for name, values in self.columns().items():
            if np.any(np.isinf(values)):
                raise DomainError(f"{name} overflows; lower rho, the learning rate or the scale of the initialization")
            if values.dtype.kind == "f" and np.any(np.isnan(values)) and name not in self.reasons:
                raise DomainError(
                    f"{name} is not a number; lower rho, the learning rate or the scale of the initialization"
                )

    @classmethod
    def of(cls, rho: Float[np.ndarray, " rho"], *, critical_rho: float | None, **known: Any) -> "LearnedTradeoff":
        """A prediction from what is known of it; NaN for the rest, which must have a reason.

        Args:
            rho: values of SAM's rho.
            critical_rho: rho from which on nothing is predicted.
            **known: fields by name; ``reasons`` for those that are missing.

        Returns:
            Arrays over rho.

        Example: see ``LearnedTradeoff``.
        """
        blank = {
            item.name: np.full(rho.shape, np.nan) for item in fields(cls) if item.name not in {"rho", "eir", "stable"}
        }
        reasons = {"eir": _NO_ERROR} | known.pop("reasons", {})
        found = {
            name: known.get(name, value) for name, value in blank.items() if name not in {"critical_rho", "reasons"}
        }
        found["eir"] = improvement_rate(found["member_error"], found["ensemble_error"])
        stable = np.zeros(rho.shape, bool) if critical_rho is None else rho < critical_rho
        missing = {name: why for name, why in reasons.items() if np.any(np.isnan(found[name]))}
        return cls(rho=rho, stable=stable, critical_rho=critical_rho, reasons=missing, **found)


@dataclass(frozen=True, eq=False)
class LearnedSimulation(Curves):
    """What was measured of trained members, one estimate for each quantity of ``LearnedTradeoff``.

    Examples:
        >>> import numpy as np
        >>> from sharpdiv.theory.feature_learning.tradeoff import LearnedSimulation
        >>> draws = {name: np.ones((5, 1)) for name in ("diversity", "training_loss", "trace", "sharpness")}
        >>> errors = {"member_error": np.full((5, 1), 4.0), "ensemble_error": np.full((5, 1), 3.0)}
        >>> found = LearnedSimulation.of(np.zeros(1), **errors, **draws)
        >>> found.eir.mean.tolist()
        [0.25]
    """

    rho: Float[np.ndarray, " rho"]
    """values of SAM's rho"""
    diversity: Estimate
    """variance of the prediction at an independent test point over the members, as in ``LearnedTradeoff``"""
    member_error: Estimate
    """mean squared error of one member"""
    ensemble_error: Estimate
    """mean squared error of the mean of the members"""
    eir: Estimate
    """ratio of means, with a jackknife standard error"""
    training_loss: Estimate
    """``|f(X) - y|^2 / (2n)`` of one member"""
    trace: Estimate
    """trace of the Hessian of one member's training loss"""
    sharpness: Estimate
    """kappa of one member"""

    @classmethod
    def of(cls, rho: Float[np.ndarray, " rho"], **draws: Float[np.ndarray, "draws rho"]) -> "LearnedSimulation":
        """Means over independent draws.

        Args:
            rho: values of SAM's rho.
            **draws: every quantity but ``eir``, a row for each draw of data and members.

        Returns:
            Estimates over rho.

        Example: see ``LearnedSimulation``.
        """
        eir = Estimate.of_improvement(draws["member_error"], draws["ensemble_error"])
        return cls(rho=rho, eir=eir, **{name: Estimate.of(values) for name, values in draws.items()})
