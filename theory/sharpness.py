"""Sharpness on a quadratic is a trust-region problem with strong duality, so it has an exact value.

``kappa = max_{|e| <= rho_0} e'We/2 + e'g`` with ``g`` the gradient at the mean weights. Its dual is ``min_{mu >= x_max}
mu rho_0^2 / 2 + g'(mu - W)^{-1} g / 2``, whose minimiser solves the secular equation ``g'(mu - W)^{-2} g = rho_0^2``
(Moré and Sorensen 1983). All functions work with ``gap = mu - x_max``, which keeps its relative accuracy at the edge of
the spectrum.
"""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float
from scipy.optimize import elementwise

from theory.errors import ConvergenceError, DomainError, require_finite

__all__ = ["dual_sharpness", "trust_region_maximum"]

_LARGEST_GAP = 1e140  # its square, times the square of an eigenvalue, is still a double


def trust_region_maximum(
    eigenvalues: Float[np.ndarray, "*#batch d"], gradient: Float[np.ndarray, "*#batch d"], radius: float
) -> Float[np.ndarray, "*batch"]:
    """Exact ``max_{|e| <= radius} e'We/2 + e'g`` of given matrices, in the eigenbasis of W.

    The secular equation ``sum_i g_i^2 / (mu - x_i)^2 = radius^2`` is solved on the bracket ``[x_max + |g_top| / radius,
    x_max + |g| / radius]``. In the hard case (no gradient along the top eigenvector and the rest too short) mu is
    ``x_max`` and the top eigenvector fills the radius.

    Args:
        eigenvalues: of W, non-negative.
        gradient: g in the eigenbasis; broadcasts against ``eigenvalues``.
        radius: rho_0.

    Returns:
        The maximum for each batch entry.

    Raises:
        DomainError: if an input is not finite, an eigenvalue negative, the radius not positive, or their ratio overflows.
        ConvergenceError: if the secular equation was not solved.
    """
    require_finite("radius", radius, positive=True)
    eigenvalues, gradient = np.broadcast_arrays(eigenvalues, gradient)
    if not (np.all(np.isfinite(eigenvalues)) and np.all(np.isfinite(gradient)) and np.all(eigenvalues >= 0)):
        raise DomainError("eigenvalues must be finite and non-negative and the gradient finite")
    batch = eigenvalues.shape[:-1]
    eigenvalues = eigenvalues.reshape(-1, eigenvalues.shape[-1])
    squares = gradient.reshape(eigenvalues.shape) ** 2
    largest = eigenvalues.max(axis=-1)
    below = largest[:, None] - eigenvalues
    top = np.where(below == 0, squares, 0).sum(axis=-1)

    def secular(gap: np.ndarray, index: np.ndarray) -> np.ndarray:
        return _divide(squares[index], (gap[..., None] + below[index]) ** 2).sum(axis=-1)

    def resolvent(gap: np.ndarray, index: np.ndarray) -> np.ndarray:
        return _divide(squares[index], gap[..., None] + below[index]).sum(axis=-1)

    lower, upper = np.sqrt(top) / radius, np.sqrt(squares.sum(axis=-1)) / radius
    if np.any(upper > _LARGEST_GAP):
        raise DomainError(f"the gradient is too large for the radius: |g| / radius is {upper.max():.3g}")
    gap = _secular_root(secular, lower, upper, radius)
    value = ((largest + gap) * radius**2 + resolvent(gap, np.arange(gap.size))) / 2
    return np.asarray(value.reshape(batch))


def dual_sharpness(
    resolvent: Callable[[np.ndarray, np.ndarray], np.ndarray],
    largest: float,
    squared_gradient: Float[np.ndarray, " rho"],
    radius: float,
) -> Float[np.ndarray, " rho"]:
    """Exact sharpness in the limit, from the resolvent ``g'(mu - W)^{-1} g`` as an analytic function of mu.

    Its derivative, which the secular equation needs, comes from a complex step and so is exact to rounding.

    Args:
        resolvent: ``(gap, index)`` to values, both ``(active,)``: entry ``index`` at ``mu = largest + gap``; accepts
            complex gaps.
        largest: upper end of the spectrum of W.
        squared_gradient: ``|g|^2``, one for each rho; it bounds the bracket.
        radius: rho_0.

    Returns:
        kappa for each rho.

    Raises:
        DomainError: if the radius is not positive, ``|g|^2`` not finite and non-negative, or their ratio overflows.
        ConvergenceError: if the secular equation was not solved.
    """
    require_finite("radius", radius, positive=True)
    if not np.all(np.isfinite(squared_gradient) & (squared_gradient >= 0)):
        raise DomainError(f"squared gradient must be finite and non-negative, got {squared_gradient}")

    def secular(gap: np.ndarray, index: np.ndarray) -> np.ndarray:
        step = 1e-20 * gap
        return np.asarray(-resolvent(gap + 1j * step, index).imag / step)

    upper = np.sqrt(squared_gradient) / radius
    if np.any(upper > _LARGEST_GAP):
        raise DomainError(
            f"sharpness overflows: |g| / radius is {upper.max():.3g}; lower rho, steps or the learning rate"
        )
    # A continuous density vanishes at its edge, so no gradient sits on the top eigenvector; this close to the edge
    # the dual's value no longer changes.
    lower = 1e-13 * upper
    flat = upper == 0
    gap = np.zeros_like(upper)
    index = np.flatnonzero(~flat)
    gap[index] = _secular_root(lambda g, i: secular(g, index[i]), lower[index], upper[index], radius)
    value = largest * np.full_like(gap, radius**2 / 2)
    value[index] += (gap[index] * radius**2 + resolvent(gap[index], index).real) / 2
    return value


def _divide(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """Quotient with 0/0 = 0: a direction without gradient contributes nothing even where its denominator vanishes."""
    return np.divide(numerator, denominator, out=np.zeros(np.shape(numerator)), where=numerator != 0)


def _secular_root(
    secular: Callable[[np.ndarray, np.ndarray], np.ndarray], lower: np.ndarray, upper: np.ndarray, radius: float
) -> np.ndarray:
    """Gap at which the decreasing function ``secular(gap, index)`` equals ``radius^2``, for every index at once.

    Solved as ``secular^(-1/2) = 1/radius``, which is concave and nearly linear in the gap. Where even the lower end is
    too far (the hard case) the lower end is the answer.

    Returns:
        One gap for each index.

    Raises:
        ConvergenceError: if a root was not found.
    """
    index = np.arange(lower.size)
    # The bracket's ends are exact solutions for one-eigenvalue problems; widen them by more than their rounding.
    lower, upper = lower * (1 - 1e-9), upper * (1 + 1e-9)
    hard = secular(lower, index) <= radius**2
    easy = index[~hard]
    root = lower.copy()
    if easy.size:
        result = elementwise.find_root(
            lambda gap, i: 1 / np.sqrt(secular(gap, i)) - 1 / radius, (lower[easy], upper[easy]), args=(easy,)
        )
        if not np.all(result.success):
            worst = np.max(np.abs(result.f_x[~result.success])) * radius
            raise ConvergenceError(f"secular equation not solved: residual {worst:.2e} after {result.nit.max()} steps")
        root[easy] = result.x
    return root
