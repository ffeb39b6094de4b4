"""Marchenko-Pastur moments from Narayana numbers: the paper's alternating sum, and exact rational arithmetic.

The paper writes ``phi(i, j)`` as a multinomial expansion of ``(1 - eta x - eta rho x^2)^i x^j`` whose powers of x are
replaced by moments ``sum_l N(m, l) r^l``. In floating point that sum cancels catastrophically; in rationals it is the
referee of the quadrature, with which it shares nothing but the definition.
"""

from fractions import Fraction
from functools import lru_cache
from math import comb

from sharpdiv.theory.errors import DomainError, require_integer

__all__ = ["alternating_phi", "exact_phi", "filter_polynomial", "moment", "narayana"]


def narayana(m: int, level: int) -> int:
    """Narayana number ``N(m, l) = C(m, l) C(m, l-1) / m``, for ``1 <= l <= m``.

    Args:
        m: order of the moment.
        level: l, power of the ratio.

    Returns:
        An exact integer.

    Examples:
        >>> from sharpdiv.theory.spectra.narayana import narayana
        >>> [narayana(4, level) for level in range(1, 5)]  # their sum is a Catalan number
        [1, 6, 6, 1]
    """
    return comb(m, level) * comb(m, level - 1) // m


@lru_cache(maxsize=4096)
def moment(m: int, ratio: Fraction) -> Fraction:
    """Exact m-th moment ``sum_l N(m, l) r^l`` of the Marchenko-Pastur law (1 for m = 0).

    Args:
        m: order.
        ratio: r = n/d, positive.

    Returns:
        A rational number.

    Raises:
        DomainError: if m is negative or the ratio is not positive.

    Examples:
        >>> from fractions import Fraction
        >>> from sharpdiv.theory.spectra.narayana import moment
        >>> print(moment(2, Fraction(1, 2)))  # r (1 + r)
        3/4
    """
    require_integer("moment's order", m, 0)
    if ratio <= 0:
        raise DomainError(f"ratio must be positive, got {ratio}")
    # Horner's rule in the ratio; the empty sum of m = 0 is the total mass 1.
    value = Fraction(0)
    for level in range(m, 0, -1):
        value = (value + narayana(m, level)) * ratio
    return value if m else Fraction(1)


def _terms(i: int, j: int, ratio: Fraction, learning_rate: Fraction, rho: Fraction) -> list[Fraction]:
    """Terms of the multinomial expansion: a factors ``-eta x``, b factors ``-eta rho x^2``."""
    return [
        comb(i, a) * comb(i - a, b) * (-learning_rate) ** (a + b) * rho**b * moment(a + 2 * b + j, ratio)
        for a in range(i + 1)
        for b in range(i - a + 1)
    ]


def filter_polynomial(i: int, j: int, learning_rate: Fraction, rho: Fraction) -> list[Fraction]:
    """Coefficients of ``(1 - eta x - eta rho x^2)^i x^j``, lowest power first.

    Args:
        i: power of the filter.
        j: power of the eigenvalue.
        learning_rate: eta.
        rho: SAM's rho.

    Returns:
        ``2 i + j + 1`` rational numbers.

    Examples:
        >>> from fractions import Fraction
        >>> from sharpdiv.theory.spectra.narayana import filter_polynomial
        >>> print(*filter_polynomial(1, 1, Fraction(1, 10), Fraction(2)))  # x - x^2/10 - x^3/5
        0 1 -1/10 -1/5
    """
    # In integers over one denominator, as q p' = i q' p of p = q^i has them: two products for each power of x.
    scale = learning_rate.denominator * rho.denominator
    linear, square = -learning_rate.numerator * rho.denominator, -learning_rate.numerator * rho.numerator
    denominator = scale**i
    before, last = 0, denominator
    coefficients = [last]
    for m in range(1, 2 * i + 1):
        before, last = last, ((i - m + 1) * linear * last + (2 * i - m + 2) * square * before) // (m * scale)
        coefficients.append(last)
    return [Fraction(0)] * j + [Fraction(c, denominator) for c in coefficients]


def exact_phi(i: int, j: int, ratio: Fraction, learning_rate: Fraction, rho: Fraction) -> Fraction:
    """``phi(i, j)`` of the Marchenko-Pastur law in exact rational arithmetic.

    Args:
        i: power of the filter.
        j: power of the eigenvalue.
        ratio: r = n/d, positive.
        learning_rate: eta.
        rho: SAM's rho.

    Returns:
        A rational number.

    Examples:
        >>> from fractions import Fraction
        >>> from sharpdiv.theory.spectra.narayana import exact_phi
        >>> print(exact_phi(2, 0, Fraction(2), Fraction(1, 10), Fraction(0)))  # 1 - 2 eta r + eta^2 r (1 + r)
        33/50
    """
    polynomial = filter_polynomial(i, j, learning_rate, rho)
    return sum((c * moment(m, ratio) for m, c in enumerate(polynomial) if c), start=Fraction(0))


def alternating_phi(i: int, j: int, ratio: float, learning_rate: float, rho: float) -> float:
    """``phi(i, j)`` as the paper writes it, summed in double precision from correctly rounded terms.

    Kept to measure its cancellation (never used for a prediction): even with perfect terms the sum is off by about the
    largest term times 1e-16.

    Args:
        i: power of the filter.
        j: power of the eigenvalue.
        ratio: r = n/d, positive.
        learning_rate: eta.
        rho: SAM's rho.

    Returns:
        A float that may have no correct digit.

    Examples:
        >>> from fractions import Fraction
        >>> from sharpdiv.theory.spectra.narayana import alternating_phi, exact_phi
        >>> exact = float(exact_phi(40, 0, Fraction(20), Fraction(1, 16), Fraction(0)))
        >>> abs(alternating_phi(40, 0, 20.0, 1 / 16, 0.0) / exact - 1) > 1  # off by more than 100 percent
        True
    """
    total = 0.0
    for term in _terms(i, j, Fraction(ratio), Fraction(learning_rate), Fraction(rho)):
        total += float(term)
    return total
