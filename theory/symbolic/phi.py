"""Integrals of powers of SAM's filter: phi as a polynomial, and psi, what label noise adds."""

from functools import cache
from math import comb

import sympy as sp

from sharpdiv.theory.errors import require_integer
from sharpdiv.theory.symbolic.moments import moment, narayana_sum
from sharpdiv.theory.symbolic.proof import Proof, equal
from sharpdiv.theory.symbolic.symbols import eta, rho

__all__ = ["phi_alternating_sum", "phi_polynomial", "psi_polynomial"]

_x = sp.Symbol("x")


def _filter(power: int) -> sp.Poly:
    """``q(x)^power`` with ``q(x) = 1 - eta x - eta rho x^2``."""
    return sp.Poly(1 - eta * _x - eta * rho * _x**2, _x) ** power


def _integral(polynomial: sp.Poly) -> sp.Expr:
    """Integral of a polynomial in x against the Marchenko-Pastur law."""
    return sp.expand(sum(c * moment(power) for (power,), c in polynomial.terms()))


@cache
def phi_polynomial(i: int, j: int) -> sp.Expr:
    """``phi(i, j)``, the integral of ``q(x)^i x^j`` against the Marchenko-Pastur law.

    Args:
        i: power of the filter.
        j: power of the eigenvalue.

    Returns:
        An expanded polynomial in ``r``, ``eta`` and ``rho``.

    Raises:
        DomainError: if a power is negative.

    Examples:
        >>> from sharpdiv.theory.symbolic import phi_polynomial
        >>> phi_polynomial(1, 0)  # 1 - eta r - eta rho r (1 + r)
        -eta*r**2*rho - eta*r*rho - eta*r + 1
    """
    require_integer("i", i, 0)
    require_integer("j", j, 0)
    return _integral(_filter(i) * sp.Poly(_x**j, _x))


@cache
def psi_polynomial(steps: int) -> sp.Expr:
    """``psi``, the integral of ``(1 - q(x)^k)^2 / x``: what label noise of unit variance adds to the error.

    Args:
        steps: k.

    Returns:
        An expanded polynomial in ``r``, ``eta`` and ``rho``.

    Raises:
        DomainError: if the number of steps is negative.

    Examples:
        >>> from sharpdiv.theory.symbolic import psi_polynomial
        >>> from sharpdiv.theory.symbolic.symbols import rho
        >>> psi_polynomial(1).subs(rho, 0)  # a step of gradient descent adds eta^2 tau(W)
        eta**2*r
    """
    require_integer("steps", steps, 0)
    return _integral(((1 - _filter(steps)) ** 2).exquo(sp.Poly(_x, _x)))


def phi_alternating_sum(powers: tuple[tuple[int, int], ...] = ((1, 0), (2, 1), (3, 2), (6, 0))) -> Proof:
    """The integral is the paper's multinomial sum, a factors ``-eta x`` and b factors ``-eta rho x^2``.

    Args:
        powers: pairs ``(i, j)``.

    Returns:
        The proof for these pairs.

    Examples:
        >>> from sharpdiv.theory.symbolic import phi_alternating_sum
        >>> phi_alternating_sum(((2, 1),)).holds
        True
    """

    def alternating(i: int, j: int) -> sp.Expr:
        return sum(
            comb(i, a) * comb(i - a, b) * (-eta) ** (a + b) * rho**b * narayana_sum(a + 2 * b + j)
            for a in range(i + 1)
            for b in range(i - a + 1)
        )

    pairs = ", ".join(f"({i},{j})" for i, j in powers)
    return Proof(
        "phi-alternating-sum",
        "phi is the published alternating sum over Narayana numbers",
        r"\varphi(i,j) = \int q^i x^j d\mu = \sum_{a+b \le i} \tfrac{i!}{a! b! (i-a-b)!} (-\eta)^{a+b} \rho^b"
        rf" \sum_l N(a+2b+j, l) r^l,\quad (i,j) \in \lbrace {pairs} \rbrace",
        all(equal(phi_polynomial(i, j), alternating(i, j)) for i, j in powers),
    )
