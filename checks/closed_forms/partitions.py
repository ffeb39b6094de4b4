"""Moments of real Wishart matrices as a sum over partitions, the referee of the recurrence that the theory uses."""

from collections.abc import Sequence
from fractions import Fraction
from itertools import accumulate
from math import factorial
from operator import mul

__all__ = ["partition_moment"]

_GUARD_BITS = 64


def partition_moment(m: int, n: int, d: int) -> Fraction:
    """Exact ``E tr(W^m) / d``, W = A'A of n rows N(0, 1/d), by the zonal expansion of a power sum.

    Its coefficients vanish except on partitions ``(a, b, 1^c)`` of m (Hanlon, Stanley and Stembridge 1992): with G = sqrt(d) A
    standard normal, ``E tr (G'G)^m`` is

        ``2m sum prod_{s != (1,1)} ct(s) prod_s (d + ct(s)) (n + ct(s)) / ((2 arm + leg + 1)(2 arm + leg + 2))``

    with ``ct = 2 (column - 1) - (row - 1)``. The terms alternate in sign and far exceed their sum, which is an integer:
    they are summed in fixed point with 64 bits after the point and rounded once.

    Returns:
        A rational number.
    """
    if m == 0:
        return Fraction(1)

    def products(contents: Sequence[int]) -> list[int]:
        """Products of ``ct (d + ct) (n + ct)`` over the first boxes of a row or column; the corner's ct is left out."""
        return list(accumulate(((ct or 1) * (d + ct) * (n + ct) for ct in contents), mul, initial=1))

    first_row = products([2 * j for j in range(m)])
    second_row = products([2 * j - 1 for j in range(m)])
    column = products([-i for i in range(2, m)])
    total = 0
    for a in range(1, m + 1):
        for b in range(min(a, m - a), -1, -1):
            c = m - a - b
            if c and not b:
                continue  # a third row needs a second one
            numerator = first_row[a] * second_row[b] * column[c]
            total += (numerator << _GUARD_BITS) // _hooks(a, b, c)
    # Each of at most m^2 floors is off by less than 2^-64.
    rounded = (2 * m * total + (1 << (_GUARD_BITS - 1))) >> _GUARD_BITS
    return Fraction(rounded, d ** (m + 1))


def _hooks(a: int, b: int, c: int) -> int:
    """Product of ``(2 arm + leg + 1)(2 arm + leg + 2)`` over the boxes of the partition ``(a, b, 1^c)``."""
    if b == 0:
        return factorial(2 * a)
    corner = (2 * a + c) * (2 * a + c + 1)
    first_row = factorial(2 * a - 1) // factorial(2 * (a - b) + 1) * factorial(2 * (a - b))
    second_row = (2 * b + c - 1) * (2 * b + c) * factorial(2 * (b - 1))
    return corner * first_row * second_row * factorial(c) * factorial(c + 1)
