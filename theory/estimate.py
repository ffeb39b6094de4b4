"""Means over random draws, with their standard errors."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from sharpdiv.theory.curves import ByValue
from sharpdiv.theory.theorems.tradeoff import improvement_rate

__all__ = ["Estimate"]


@dataclass(frozen=True, eq=False)
class Estimate(ByValue):
    """Mean over data draws with its standard error (None for a single draw); arrays over rho.

    Example:
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
        """
        draws = len(values)
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
        """
        draws = len(member)
        mean = improvement_rate(member.mean(axis=0), ensemble.mean(axis=0))
        if draws == 1:
            return cls(mean, None)
        without = [(errors.sum(axis=0) - errors) / (draws - 1) for errors in (member, ensemble)]
        return cls(mean, np.sqrt((draws - 1) * improvement_rate(*without).var(axis=0)))
