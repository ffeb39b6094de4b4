"""Means over random draws, with their standard errors."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from sharpdiv.theory.curves import ByValue
from sharpdiv.theory.errors import DomainError
from sharpdiv.theory.theorems.tradeoff import improvement_rate

__all__ = ["Estimate"]

_LARGEST = 1e150  # the sum of a million squares is still a double


@dataclass(frozen=True, eq=False)
class Estimate(ByValue):
    """Mean over data draws with its standard error (None for a single draw); arrays over rho.

    Examples:
        >>> import numpy as np
        >>> from sharpdiv.theory import Estimate
        >>> found = Estimate.of(np.array([[1.0], [2.0], [3.0]]))  # three draws at one rho
        >>> found.mean.tolist(), found.stderr.round(4).tolist()
        ([2.0], [0.5774])
    """

    mean: Float[np.ndarray, " rho"]
    """mean over data draws"""
    stderr: Float[np.ndarray, " rho"] | None
    """standard error of the mean over data draws"""

    @classmethod
    def of(cls, values: Float[np.ndarray, "draws rho"]) -> "Estimate":
        """Mean of independent draws.

        Args:
            values: one row for each draw.

        Returns:
            The mean, with its standard error over the draws.

        Raises:
            DomainError: if the squares of values, which the standard error needs, overflow.
        """
        draws = len(values)
        _require_squares(values)
        return cls(values.mean(axis=0), values.std(axis=0, ddof=1) / np.sqrt(draws) if draws > 1 else None)

    @classmethod
    def of_improvement(
        cls, member: Float[np.ndarray, "draws rho"], ensemble: Float[np.ndarray, "draws rho"]
    ) -> "Estimate":
        """Improvement rate as a ratio of mean errors.

        Args:
            member: error of one member, one row for each draw.
            ensemble: error of the ensemble in the same draws.

        Returns:
            The ratio, with a jackknife standard error: one draw at a time is left out.

        Raises:
            DomainError: if squares of errors overflow.
        """
        draws = len(member)
        _require_squares(member)
        mean = improvement_rate(member.mean(axis=0), ensemble.mean(axis=0))
        if draws == 1:
            return cls(mean, None)
        without = [(errors.sum(axis=0) - errors) / (draws - 1) for errors in (member, ensemble)]
        return cls(mean, np.sqrt((draws - 1) * improvement_rate(*without).var(axis=0)))


def _require_squares(values: np.ndarray) -> None:
    if np.any(np.abs(values) > _LARGEST):
        raise DomainError(
            f"a value of {np.abs(values).max():.3g} was measured, whose square overflows; lower rho, steps or the learning rate"
        )
