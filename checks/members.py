"""Ensembles from inner products of their members' errors, whole and without each member in turn (the jackknife)."""

import numpy as np
from jaxtyping import Float, Int

from sharpdiv.checks.statistics import Comparison

__all__ = ["jackknife", "shares_of_members", "square", "without_each"]

_FEWEST = 6  # members: with fewer a jackknifed ratio is far from Student's t


def square(triangle: Float[np.ndarray, "... pairs"], members: int) -> Float[np.ndarray, "... members members"]:
    """Symmetric matrices from their lower triangles.

    Args:
        triangle: rows of the triangle, one after the other.
        members: number of rows of a matrix.

    Returns:
        The matrices.
    """
    full = np.empty((*triangle.shape[:-1], members, members))
    rows, columns = np.tril_indices(members)
    full[..., rows, columns] = full[..., columns, rows] = triangle
    return full


def shares_of_members(members: int) -> Float[np.ndarray, "subsets members"]:
    """Weights of the mean over all members, and over those without each in turn.

    Args:
        members: number of members.

    Returns:
        One row for each of ``1 + members`` subsets.
    """
    kept = np.vstack([np.ones(members), 1 - np.eye(members)])
    return kept / kept.sum(axis=1, keepdims=True)


def without_each(
    products: Float[np.ndarray, "*points members members"], groups: Int[np.ndarray, " members"]
) -> dict[str, Float[np.ndarray, "subsets *points"]]:
    """Diversity and errors of an ensemble and of those without each of its members.

    Args:
        products: inner products of the members' errors, mean over test points.
        groups: D is taken over pairs of different groups, and an ensemble has one member of each.

    Returns:
        diversity, member_error, ensemble_error and eir, for the ensemble itself first; NaN where a member diverged.
    """
    own = np.einsum("...mm->...m", products)
    distance = (own[..., None] + own[..., None, :]) / 2 - products
    weights = shares_of_members(len(groups))
    kept = (weights > 0).astype(float)
    among = np.einsum("bm,mn,bn->bmn", kept, (groups[:, None] != groups).astype(float), kept)
    with np.errstate(invalid="ignore"):  # one member of two has no pair
        among /= among.sum(axis=(1, 2), keepdims=True)
    spread = np.einsum("bmn,...mn->b...", among, distance)
    member = np.einsum("bm,...m->b...", weights, own)
    gain = (1 - 1 / len(set(groups.tolist()))) * spread
    return {"diversity": spread, "member_error": member, "ensemble_error": member - gain, "eir": gain / member}


def jackknife(label: str, values: Float[np.ndarray, " subsets"], statistic: str = "") -> Comparison:
    """A statistic of an ensemble, with the uncertainty that comes from its members; test points are held fixed.

    Args:
        label: name of what is compared.
        values: values of the statistic, of the ensemble and without each member.
        statistic: name of the statistic.

    Returns:
        Comparison of the pseudo-values ``M T - (M-1) T_-i`` (Tukey 1958); none for fewer than six members or what has no value.
    """
    count = len(values) - 1
    obstacle = "" if count >= _FEWEST else f"{count} members, an interval needs {_FEWEST}"
    if not np.isfinite(values).all():
        obstacle = "diverged, or the loss is not reached"
    pseudo_values = count * values[0] - (count - 1) * values[1:]
    return Comparison(label, pseudo_values, obstacle=obstacle, statistic=statistic)
