"""Sharpness on a quadratic is a trust-region problem with strong duality, so it has an exact value.

``kappa = max_{|e| <= rho_0} e'We/2 + e'g`` with ``g`` the gradient at the mean weights. Its dual is ``min_{mu >= x_max}
mu rho_0^2 / 2 + g'(mu - W)^{-1} g / 2``, whose minimiser solves the secular equation ``g'(mu - W)^{-2} g = rho_0^2``
(Moré and Sorensen 1983). All functions work with ``gap = mu - x_max``, which keeps its relative accuracy at the edge of
the spectrum.
"""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float

from sharpdiv.theory.errors import ConvergenceError, DomainError, require_finite

__all__ = ["dual_sharpness", "trust_region_maximum"]

_LARGEST_GAP = 1e140  # its square, times the square of an eigenvalue, is still a double


def trust_region_maximum(
    eigenvalues: Float[np.ndarray, "*#batch d"], gradient: Float[np.ndarray, "*#batch d"], radius: float
) -> Float[np.ndarray, "*batch"]:
    """Exact ``max_{|e| <= radius} e'We/2 + e'g`` of given matrices, in the eigenbasis of W.

    The secular equation is ``sum_i g_i^2 / (mu - x_i)^2 = radius^2``. In the hard case (no gradient along the top
    eigenvector and the rest too short) mu is ``x_max`` and the top eigenvector fills the radius.

    Args:
        eigenvalues: eigenvalues of W ``(..., d)``, non-negative.
        gradient: g in the eigenbasis ``(..., d)``, whose shape broadcasts against that of ``eigenvalues``.
        radius: rho_0, radius of the ball.

    Returns:
        The maximum for each batch entry.

    Raises:
        DomainError: if an input is not finite, an eigenvalue negative, the radius not positive, or their ratio overflows.
        ConvergenceError: if the secular equation was not solved.

    Examples:
        >>> import numpy as np
        >>> from sharpdiv.theory import trust_region_maximum
        >>> W, g = np.array([1.0, 2.0]), np.array([[0.0, 0.0], [0.0, 3.0]])
        >>> trust_region_maximum(W, g, radius=0.5).round(6).tolist()  # x_max radius^2 / 2, and radius |g| more
        [0.25, 1.75]
    """
    require_finite("radius", radius, positive=True)
    if not (np.all(np.isfinite(eigenvalues)) and np.all(np.isfinite(gradient)) and np.all(eigenvalues >= 0)):
        raise DomainError("eigenvalues must be finite and non-negative and the gradient finite")
    batch = np.broadcast_shapes(eigenvalues.shape, gradient.shape)[:-1]
    eigenvalues, gradient = np.atleast_2d(eigenvalues), np.atleast_2d(gradient)
    largest = eigenvalues.max(axis=-1)
    below = largest[..., None] - eigenvalues
    squares = gradient**2

    def evaluate(gap: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        # Where a gap is 0, so is the gradient along the top eigenvector, which contributes nothing.
        distance = gap[..., None] + below
        inverse = np.divide(1, distance, out=np.zeros_like(distance), where=distance > 0)
        weighted = squares * inverse
        return weighted.sum(axis=-1), np.einsum("...i,...i->...", weighted, inverse)

    top = np.where(below == 0, squares, 0).sum(axis=-1)
    total = squares.sum(axis=-1) + np.zeros_like(top)
    return _dual_minimum(evaluate, largest, below.max(axis=-1), np.sqrt(top), np.sqrt(total), radius).reshape(batch)


def dual_sharpness(
    resolvent: Callable[[np.ndarray], np.ndarray],
    largest: float,
    squared_gradient: Float[np.ndarray, " rho"],
    radius: float,
) -> Float[np.ndarray, " rho"]:
    """Exact sharpness in the limit, from the resolvent ``g'(mu - W)^{-1} g`` as an analytic function of mu.

    Its derivative, which the secular equation needs, comes from a complex step and so is exact to rounding.

    Args:
        resolvent: function from gaps ``(rho,)``, complex, to values ``(rho,)`` at ``mu = largest + gap``.
        largest: upper end of the spectrum of W.
        squared_gradient: ``|g|^2``, one for each rho; it bounds the bracket.
        radius: rho_0, radius of the ball.

    Returns:
        kappa for each rho.

    Raises:
        DomainError: if the radius is not positive, ``|g|^2`` not finite and non-negative, or their ratio overflows.
        ConvergenceError: if the secular equation was not solved.

    Examples:
        >>> import numpy as np
        >>> from sharpdiv.theory import MarchenkoPastur, dual_sharpness
        >>> law, norm = MarchenkoPastur(4.0), 20**0.5  # |g|^2 of g = W w*, |w*| = 1, is r (1 + r)
        >>> kappa = dual_sharpness(law.resolvent(lambda x: x[None] ** 2), law.largest, np.array([norm**2]), radius=0.01)
        >>> bool(0.01 * norm + law.smallest * 0.01**2 / 2 < kappa < 0.01 * norm + law.largest * 0.01**2 / 2)
        True
    """
    require_finite("radius", radius, positive=True)
    for value in squared_gradient.ravel().tolist():
        if not np.isfinite(value):
            raise DomainError(
                "the gradient overflows; lower rho, steps, the learning rate, or what the weights start from"
            )
        if value < 0:
            raise DomainError(
                f"squared gradient must be non-negative, got {value:.3g}: it is smaller than its rounding"
            )
    norm = np.sqrt(squared_gradient)
    if not norm.any():
        return np.full_like(norm, largest * radius**2 / 2)

    def evaluate(gap: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        step = 1e-20 * gap
        value = resolvent(gap + 1j * step)
        return value.real, -value.imag / step

    # A continuous density vanishes at its edge, so no gradient sits on the top eigenvector; this close to the edge the
    # dual's value no longer changes. An entry without gradient gets a harmless positive gap.
    edge = 1e-13 * np.where(norm > 0, norm, norm.max())
    return _dual_minimum(evaluate, largest, largest, edge, np.maximum(norm, edge), radius)


def _bracket(
    largest: np.ndarray | float, width: np.ndarray | float, top: np.ndarray, norm: np.ndarray, radius: float
) -> tuple[np.ndarray, np.ndarray]:
    """Gaps below and above the solution of the secular equation; the arguments are those of ``_dual_minimum``."""
    if np.any(norm / radius > _LARGEST_GAP):
        raise DomainError(
            f"sharpness overflows: |g| / radius is {(norm / radius).max():.3g}; lower rho, steps or the learning rate"
        )
    # The bracket's ends are exact solutions of one-eigenvalue problems; widen them by more than their rounding.
    low = np.maximum(top / radius, norm / radius - width) * (1 - 1e-9)
    high = norm / radius * (1 + 1e-9)
    # A smaller gap than rounding of the edge changes nothing, and a nearly hard case would bisect towards it for ever.
    low = np.maximum(low, 1e-15 * np.asarray(largest))
    high = np.maximum(high, low)
    return low, high


def _dual_minimum(
    evaluate: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]],
    largest: np.ndarray | float,
    width: np.ndarray | float,
    top: np.ndarray,
    norm: np.ndarray,
    radius: float,
) -> np.ndarray:
    """Minimum of ``(largest + gap) radius^2 / 2 + R(gap) / 2`` over the gap, for every entry at once.

    The secular equation ``S = -R' = radius^2`` is solved as ``S^(-1/2) = 1/radius``, which is concave and nearly linear in the gap,
    by secants kept in the bracket ``[max(|g_top|, |g| - width radius), |g|] / radius``. Where even the bracket's lower end is too
    far (the hard case) it is the answer. The minimum is stationary, so a gap good to 1e-9 gives a value good to rounding.

    Args:
        evaluate: function from gaps to ``(R, S)``.
        largest: upper end of the spectrum.
        width: width of the spectrum.
        top: norm of the gradient along the top eigenvector.
        norm: norm of the gradient.
        radius: rho_0, radius of the ball.

    Returns:
        The minimum, of the gaps' shape.

    Raises:
        DomainError: if ``|g| / radius`` overflows.
        ConvergenceError: if the equation was not solved, with the residual.
    """
    low, high = _bracket(largest, width, top, norm, radius)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):

        def excess(gap: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            value, secular = evaluate(gap)
            residual = radius / np.sqrt(secular) - 1
            if np.any(np.isnan(residual)):
                raise DomainError(
                    "sharpness has no value in doubles, its secular equation over- or underflows: lower rho, steps or the rate"
                )
            return value, residual

        value, residual = excess(low)
        hard = residual >= 0
        gap, before, before_residual = low, high, excess(high)[1]
        for _ in range(100):
            done = hard | (np.abs(residual) <= 1e-10) | (high - low <= 1e-15 * high)
            if done.all():
                return np.asarray(((largest + gap) * radius**2 + value) / 2)
            secant = gap - residual * (gap - before) / (residual - before_residual)
            following = np.where((secant > low) & (secant < high), secant, (low + high) / 2)
            before, before_residual = gap, residual
            gap = np.where(done, gap, following)
            value, residual = excess(gap)
            low, high = np.where(residual < 0, gap, low), np.where(residual > 0, gap, high)
    raise ConvergenceError(f"secular equation not solved: residual {np.abs(residual[~done]).max():.2e} after 100 steps")
