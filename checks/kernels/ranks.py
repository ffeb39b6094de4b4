"""Rank correlation of curves over rho."""

import numpy as np
from jaxtyping import Float
from scipy import stats

__all__ = ["spearman"]


def spearman(x: Float[np.ndarray, "*#batch points"], y: Float[np.ndarray, "*batch points"]) -> np.ndarray:
    """Spearman's correlation over the last axis.

    Args:
        x: one quantity.
        y: the other.

    Returns:
        Correlations in [-1, 1], without that axis; 0 where a quantity does not change.
    """
    ranks, others = (stats.rankdata(values, axis=-1) - (x.shape[-1] + 1) / 2 for values in (x, y))
    scale = np.sqrt((ranks**2).sum(axis=-1) * (others**2).sum(axis=-1))
    return np.asarray((ranks * others).sum(axis=-1) / np.where(scale > 0, scale, 1))
