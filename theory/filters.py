"""Optimizers on a quadratic are polynomial filters of W, and every prediction integrates their powers.

One step of full-batch un-normalized SAM, ``w+ = w - eta grad f(w + rho grad f(w))``, on ``f(w) = |A(w - w*)|^2 / 2`` is
``w+ - w* = q(W)(w - w*)`` with ``q(x) = 1 - eta x (1 + rho x)``; gradient descent is rho = 0.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Complex, Float

from sharpdiv.theory.errors import DomainError, require_finite, require_integer
from sharpdiv.theory.spectra.base import SpectralFunction, Spectrum

__all__ = [
    "Filter",
    "Training",
    "critical_rho",
    "integral",
    "is_stable",
    "monotone_rho",
    "phi",
    "power_degree",
    "sam_filter",
]


def sam_filter(
    x: Float[np.ndarray, " nodes"] | Complex[np.ndarray, " nodes"],
    learning_rate: float,
    rho: Float[np.ndarray, "..."],
) -> Float[np.ndarray, "... nodes"] | Complex[np.ndarray, "... nodes"]:
    """One-step residual filter ``q(x) = 1 - eta x (1 + rho x)`` of un-normalized SAM; gradient descent at rho = 0.

    Args:
        x: eigenvalues.
        learning_rate: eta.
        rho: values of rho, an array of any shape, which leads the result's.

    Returns:
        ``q`` of shape ``(*rho.shape, nodes)``.

    Examples:
        >>> import numpy as np
        >>> from sharpdiv.theory import sam_filter
        >>> sam_filter(np.array([0.0, 1.0, 2.0]), 0.25, np.array([0.0, 1.0])).tolist()
        [[1.0, 0.75, 0.5], [1.0, 0.5, -0.5]]
    """
    return np.asarray(1 - learning_rate * x * (1 + rho[..., None] * x))


class Filter(ABC):
    """What some full-batch steps leave, ``w_k - w* = a(W)(w_0 - w*)``: a polynomial a for each rho.

    Examples:
        >>> import numpy as np
        >>> from sharpdiv.theory import Filter
        >>> class TwoRates(Filter):  # gradient descent, a step at the rate 1 and one at 1/2
        ...     degree = 2
        ...     def residual(self, x):
        ...         return ((1 - x) * (1 - x / 2))[None]
        >>> TwoRates().noise(np.array([0.0, 1.0, 2.0])).tolist()  # 1/x where everything is learnt, 0 where nothing is
        [[0.0, 1.0, 0.5]]
    """

    @property
    @abstractmethod
    def degree(self) -> int:
        """Degree of a."""

    @property
    def resolved_degree(self) -> int:
        """Degree of a polynomial that is a to rounding: that of a, unless more is known."""
        return self.degree

    @abstractmethod
    def residual(
        self, x: Float[np.ndarray, " nodes"] | Complex[np.ndarray, " nodes"]
    ) -> Float[np.ndarray, "rho nodes"] | Complex[np.ndarray, "rho nodes"]:
        """The residual filter a.

        Args:
            x: eigenvalues.

        Returns:
            One row for each rho; NaN where there is no formula.
        """

    def learnt(
        self, x: Float[np.ndarray, " nodes"] | Complex[np.ndarray, " nodes"]
    ) -> Float[np.ndarray, "rho nodes"] | Complex[np.ndarray, "rho nodes"]:
        """``1 - a``, the share of the teacher that is learnt.

        Args:
            x: eigenvalues.

        Returns:
            One row for each rho.
        """
        return 1 - self.residual(x)

    def noise(
        self, x: Float[np.ndarray, " nodes"] | Complex[np.ndarray, " nodes"]
    ) -> Float[np.ndarray, "rho nodes"] | Complex[np.ndarray, "rho nodes"]:
        """``(1 - a)^2 / x``, a polynomial that is 0 at 0: what a unit of label noise leaves in the weights.

        Args:
            x: eigenvalues.

        Returns:
            One row for each rho.
        """
        learnt = self.learnt(x)
        return np.divide(learnt**2, x, out=np.zeros_like(learnt), where=x != 0)


@dataclass(frozen=True)
class Training(Filter):
    """Some full-batch steps of SAM: they leave ``w_k - w* = a(W)(w_0 - w*)`` with ``a(x) = prod_t (1 - eta x (1 + rho_t x))``.

    Un-normalized SAM has one rho for all steps, so that ``a = q^k``; normalized SAM divides rho by the gradient's norm, which
    changes from step to step.

    Examples:
        >>> import numpy as np
        >>> from sharpdiv.theory import Training
        >>> descent = Training(0.5, np.array([[0.0]]), repeats=3)  # at x = 1 each of three steps halves the error
        >>> descent.residual(np.array([0.0, 1.0, 2.0])).tolist()
        [[1.0, 0.125, 0.0]]
    """

    learning_rate: float
    """eta"""
    radii: Float[np.ndarray, "distinct rho"]
    """rho_t in the order of steps, or one row if all are equal"""
    repeats: int
    """how often each row is used"""

    @property
    def degree(self) -> int:
        """Degree of a."""
        return 2 * len(self.radii) * self.repeats

    @property
    def resolved_degree(self) -> int:
        """Degree of a polynomial that is a to rounding: of a power of one filter it grows with the square root of the steps."""
        return power_degree(self.repeats) if len(self.radii) == 1 else self.degree

    def residual(
        self, x: Float[np.ndarray, " nodes"] | Complex[np.ndarray, " nodes"]
    ) -> Float[np.ndarray, "rho nodes"] | Complex[np.ndarray, "rho nodes"]:
        """The residual filter a.

        Args:
            x: eigenvalues.

        Returns:
            One row for each rho.
        """
        left = np.ones((self.radii.shape[1], x.size), dtype=x.dtype)
        for row in self.radii:  # one after the other: all steps at all nodes would fill the memory
            left = left * sam_filter(x, self.learning_rate, row)
        return _power(left, self.repeats)

    def learnt(
        self, x: Float[np.ndarray, " nodes"] | Complex[np.ndarray, " nodes"]
    ) -> Float[np.ndarray, "rho nodes"] | Complex[np.ndarray, "rho nodes"]:
        """``1 - a``, which keeps its digits where little is learnt.

        Args:
            x: eigenvalues.

        Returns:
            One row for each rho.
        """
        once = np.zeros((self.radii.shape[1], x.size), dtype=x.dtype)
        for row in self.radii:
            once = _learnt_after(once, self.learning_rate * x * (1 + row[:, None] * x))
        total, exponent = np.zeros_like(once), self.repeats
        while exponent:
            if exponent % 2:
                total = _learnt_after(total, once)
            exponent //= 2
            once = _learnt_after(once, once) if exponent else once
        return np.asarray(total)


def _learnt_after(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """What is learnt by some steps and some more: the second learn a share of what the first left."""
    return first + (1 - first) * second


def _power(base: np.ndarray, exponent: int) -> np.ndarray:
    """Integer power by repeated squaring: cheaper than NumPy's power, and safe for the tiny imaginary part of a complex step."""
    result = np.ones_like(base)
    while exponent:
        if exponent % 2:
            result = result * base
        exponent //= 2
        if exponent:
            base = base * base
    return result


def power_degree(power: int) -> int:
    """Degree that resolves q^power to rounding.

    Args:
        power: power of the one-step filter q.

    Returns:
        Degree of a polynomial in the eigenvalue.

    Examples:
        >>> from sharpdiv.theory.filters import power_degree
        >>> power_degree(10), power_degree(10_000)
        (20, 1720)
    """
    # Chebyshev coefficients of y^m beyond order j add up to 2 exp(-j^2 / 2m) at most, and y = q(x) doubles the degree.
    return 2 * min(power, int(np.ceil(8.6 * np.sqrt(power))))


def integral(spectrum: Spectrum, function: SpectralFunction, degree: int) -> Float[np.ndarray, "..."]:
    """Integral of a polynomial, checked for degree and overflow.

    Args:
        spectrum: the measure.
        function: the polynomial, from nodes ``(nodes,)`` to values ``(..., nodes)``.
        degree: degree of the polynomial.

    Returns:
        Shape ``(...,)``.

    Raises:
        DomainError: if the spectrum does not integrate this degree exactly, or the value overflows.

    Examples:
        >>> from sharpdiv.theory import MarchenkoPastur
        >>> from sharpdiv.theory.filters import integral
        >>> round(float(integral(MarchenkoPastur(2.0), lambda x: x**2, degree=2)), 6)  # r (1 + r)
        6.0
    """
    if degree > spectrum.exact_degree:
        raise DomainError(
            f"a polynomial of degree {degree} is to be integrated, the spectrum is exact up to {spectrum.exact_degree:g}; "
            "construct it with a higher degree, or lower steps"
        )
    with np.errstate(over="ignore", invalid="ignore"):
        value = spectrum.integrate(function)
    if not np.all(np.isfinite(value)):
        raise DomainError("the iteration overflows: SAM diverges; lower rho, steps or the learning rate")
    return value


def phi(
    i: int, j: int, spectrum: Spectrum, learning_rate: float, rho: float | Float[np.ndarray, "..."]
) -> float | Float[np.ndarray, "..."]:
    """The paper's spectral functional ``phi(i, j)``, the integral of ``q(x)^i x^j``.

    It is the limit of ``E tr[M^i W^j] / d`` with ``M = I - eta W - eta rho W^2``.

    Args:
        i: power of the filter, 2k in a variance after k steps, k in a mean.
        j: power of the eigenvalue.
        spectrum: spectral measure of W.
        learning_rate: eta.
        rho: a number, or an array of any shape.

    Returns:
        ``phi(i, j)`` of rho's shape; a number for a number.

    Raises:
        DomainError: if an argument is negative or not finite, the polynomial's degree ``2 i + j`` is above what the
            spectrum integrates exactly, or the value overflows.

    Examples:
        >>> from sharpdiv.theory import MarchenkoPastur, phi
        >>> round(phi(2, 0, MarchenkoPastur(2.0), 0.1, 0.0), 6)  # at rho = 0: 1 - 2 eta r + eta^2 r (1 + r)
        0.66
    """
    require_integer("i", i, 0)
    require_integer("j", j, 0)
    require_finite("learning rate", learning_rate)
    require_finite("rho", np.asarray(rho).ravel().tolist())
    rho = np.asarray(rho, dtype=float)
    value = integral(spectrum, lambda x: _power(sam_filter(x, learning_rate, rho), i) * x**j, 2 * i + j)
    return value if rho.ndim else float(value)


def critical_rho(spectrum: Spectrum, learning_rate: float) -> float | None:
    """Largest rho below which SAM contracts every direction but the null space.

    ``|q(x)| < 1`` on the support except 0 while ``eta x (1 + rho x) < 2`` at its upper end.

    Args:
        spectrum: spectral measure of the data that a member trains on.
        learning_rate: eta, positive.

    Returns:
        ``(2 / (eta x_max) - 1) / x_max``, infinity where no eigenvalue is positive, or None where even rho = 0 does not contract
        (``eta x_max >= 2``).

    Raises:
        DomainError: if the learning rate is not positive and finite.

    Examples:
        >>> from sharpdiv.theory import MarchenkoPastur, critical_rho
        >>> law = MarchenkoPastur(4.0)
        >>> rho = critical_rho(law, 0.1)
        >>> round(0.1 * law.largest * (1 + rho * law.largest), 6)
        2.0
    """
    require_finite("learning rate", learning_rate, positive=True)
    if learning_rate * spectrum.largest >= 2:
        return None
    if spectrum.largest == 0:
        return np.inf
    return float((2 / (learning_rate * spectrum.largest) - 1) / spectrum.largest)


def monotone_rho(spectrum: Spectrum, learning_rate: float) -> float:
    """Largest rho for which no mode changes its sign, ``0 <= q(x) <= 1`` on the support.

    Args:
        spectrum: spectral measure of the data that a member trains on.
        learning_rate: eta.

    Returns:
        ``(1 / (eta x_max) - 1) / x_max``, negative where even gradient descent changes signs, infinity where no eigenvalue is
        positive.

    Raises:
        DomainError: if the learning rate is not positive and finite.

    Examples:
        >>> from sharpdiv.theory import MarchenkoPastur
        >>> from sharpdiv.theory.filters import monotone_rho
        >>> law = MarchenkoPastur(4.0)
        >>> rho = monotone_rho(law, 0.1)
        >>> round(0.1 * law.largest * (1 + rho * law.largest), 6)  # q is 0 at the upper edge
        1.0
    """
    require_finite("learning rate", learning_rate, positive=True)
    if spectrum.largest == 0:
        return np.inf
    return float((1 / (learning_rate * spectrum.largest) - 1) / spectrum.largest)


def is_stable(spectrum: Spectrum, learning_rate: float, rho: Float[np.ndarray, "..."]) -> Bool[np.ndarray, "..."]:
    """Whether SAM contracts every direction but the null space: ``rho < critical_rho``.

    Args:
        spectrum: spectral measure of the data that a member trains on.
        learning_rate: eta, positive.
        rho: values of rho, an array of any shape.

    Returns:
        Booleans of rho's shape.

    Examples:
        >>> import numpy as np
        >>> from sharpdiv.theory import MarchenkoPastur, is_stable
        >>> is_stable(MarchenkoPastur(4.0), 0.1, np.array([0.0, 0.13, 0.14])).tolist()
        [True, True, False]
    """
    critical = critical_rho(spectrum, learning_rate)
    return np.asarray(rho < critical) if critical is not None else np.zeros(rho.shape, dtype=bool)
