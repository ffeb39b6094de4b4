"""Optimizers on a quadratic are polynomial filters of W, and phi integrates their powers.

One step of full-batch un-normalised SAM, ``w+ = w - eta grad f(w + rho grad f(w))``, on ``f(w) = |A(w - w*)|^2 / 2`` is
``w+ - w* = q(W)(w - w*)`` with ``q(x) = 1 - eta x (1 + rho x)``; gradient descent is rho = 0.
"""

import numpy as np
from jaxtyping import Bool, Float

from theory.errors import DomainError, require_finite, require_integer
from theory.spectrum import Spectrum

__all__ = ["critical_rho", "is_stable", "phi", "sam_filter"]


def sam_filter(
    x: Float[np.ndarray, " nodes"], learning_rate: float, rho: Float[np.ndarray, "..."]
) -> Float[np.ndarray, "... nodes"]:
    """One-step residual filter ``q(x) = 1 - eta x (1 + rho x)`` of un-normalised SAM; gradient descent at rho = 0.

    Args:
        x: eigenvalues.
        learning_rate: eta.
        rho: any shape; it leads the result's shape.

    Returns:
        ``q`` of shape ``(*rho.shape, nodes)``.
    """
    return np.asarray(1 - learning_rate * x * (1 + rho[..., None] * x))


def phi(
    i: int, j: int, spectrum: Spectrum, learning_rate: float, rho: float | Float[np.ndarray, "..."]
) -> Float[np.ndarray, "..."]:
    """The paper's spectral functional ``phi(i, j)``, the integral of ``q(x)^i x^j``.

    It is the limit of ``E tr[M^i W^j] / d`` with ``M = I - eta W - eta rho W^2``.

    Args:
        i: power of the filter, 2k in a variance after k steps, k in a mean.
        j: power of the eigenvalue.
        spectrum: of W.
        learning_rate: eta.
        rho: any shape.

    Returns:
        ``phi(i, j)`` of rho's shape.

    Raises:
        DomainError: if an argument is negative or not finite, the polynomial's degree ``2 i + j`` is above what the
            spectrum integrates exactly, or the value overflows.
    """
    require_integer("i", i, 0)
    require_integer("j", j, 0)
    require_finite("learning rate", learning_rate)
    rho = np.asarray(rho, dtype=float)
    require_finite("rho", rho.ravel().tolist())
    if 2 * i + j > spectrum.exact_degree:
        raise DomainError(
            f"phi({i}, {j}) integrates a polynomial of degree {2 * i + j}, the spectrum is exact up to "
            f"{spectrum.exact_degree}; construct it with a higher degree"
        )
    with np.errstate(over="ignore", invalid="ignore"):
        value = spectrum.integrate(lambda x: sam_filter(x, learning_rate, rho) ** i * x**j)
    if not np.all(np.isfinite(value)):
        raise DomainError(
            f"phi({i}, {j}) overflows: SAM diverges at learning rate {learning_rate}; lower rho, steps or the rate"
        )
    return value


def critical_rho(spectrum: Spectrum, learning_rate: float) -> float | None:
    """Largest rho below which SAM contracts every direction but the null space.

    ``|q(x)| < 1`` on the support except 0 while ``eta x (1 + rho x) < 2`` at its upper end.

    Args:
        spectrum: of the data that a member trains on.
        learning_rate: eta, positive.

    Returns:
        ``(2 / (eta x_max) - 1) / x_max``, or None where even rho = 0 does not contract (``eta x_max >= 2``).

    Raises:
        DomainError: if the learning rate is not positive and finite.
    """
    require_finite("learning rate", learning_rate, positive=True)
    if learning_rate * spectrum.largest >= 2:
        return None
    if spectrum.largest == 0:
        return np.inf
    return float((2 / (learning_rate * spectrum.largest) - 1) / spectrum.largest)


def is_stable(spectrum: Spectrum, learning_rate: float, rho: Float[np.ndarray, "..."]) -> Bool[np.ndarray, "..."]:
    """Whether SAM contracts every direction but the null space: ``rho < critical_rho``.

    Args:
        spectrum: of the data that a member trains on.
        learning_rate: eta, positive.
        rho: any shape.

    Returns:
        Booleans of rho's shape.
    """
    critical = critical_rho(spectrum, learning_rate)
    return np.asarray(rho < critical) if critical is not None else np.zeros(rho.shape, dtype=bool)
