"""Means of random draws, taken separately for each batch of a fixed list, with their standard errors."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

__all__ = ["Estimate", "stratified_mean"]


class Estimate(NamedTuple):
    """A mean and its standard error."""

    mean: float
    """unbiased estimate"""
    stderr: float
    """standard error of the mean over the random draws; the data are fixed"""


def stratified_mean(
    draws: Float[np.ndarray, "batches draws"], shares: Float[np.ndarray, " batches"] | float
) -> Estimate:
    """``sum_b share_b mean_b`` with the error ``sqrt(sum_b share_b^2 var_b / draws)``, var unbiased.

    Args:
        draws: independent values, at least two for each batch.
        shares: weight of each batch in the sum.

    Returns:
        The mean with its standard error.

    Examples:
        >>> import numpy as np
        >>> from sharpdiv.empirical.curvature.estimates import stratified_mean
        >>> draws = np.array([[1.0, 3.0], [10.0, 10.0]])  # means 2 and 10, the first with the standard error 1
        >>> stratified_mean(draws, np.array([0.5, 0.5]))
        Estimate(mean=6.0, stderr=0.5)
    """
    variance = draws.var(axis=1, ddof=1) / draws.shape[1]
    return Estimate(float((shares * draws.mean(axis=1)).sum()), float(np.sqrt((shares**2 * variance).sum())))
