"""Moments at finite (n, d), from Gaussian integration by parts, and the first correction to the limit."""

from functools import cache

import sympy as sp

from sharpdiv.theory.errors import DomainError
from sharpdiv.theory.symbolic.moments import narayana_sum
from sharpdiv.theory.symbolic.proof import Proof, equal
from sharpdiv.theory.symbolic.symbols import d, n, r

__all__ = ["finite_size", "joint_moment"]

_u = sp.Symbol("u")


@cache
def joint_moment(powers: tuple[int, ...]) -> sp.Expr:
    """``E prod_l tr W^(p_l)`` for ``W = A'A``, A of shape (n, d) with independent normal entries of variance 1/d.

    Integration by parts, ``d E[A_ai f] = E[df/dA_ai]``, of ``t_m = sum_ai A_ai (A W^(m-1))_ai`` gives the loop equation

        ``d E[t_m F] = (n+m-1) E[t_(m-1) F] + sum_(j=1)^(m-1) E[t_j t_(m-1-j) F] + sum_l 2 p_l E[t_(m+p_l-1) F/t_(p_l)]``

    with ``t_p = tr W^p``, ``t_0 = d`` and F a product of ``t_(p_l)``.

    Args:
        powers: ``p_l``, in any order.

    Returns:
        A polynomial in ``n``, ``d`` and ``1/d``.

    Raises:
        DomainError: if a power is negative.

    Examples:
        >>> from sharpdiv.theory.symbolic import joint_moment
        >>> joint_moment((1, 1))  # n (n d + 2) / d
        n**2 + 2*n/d
    """
    if any(power < 0 for power in powers):
        raise DomainError(f"powers of W must be non-negative, got {powers}")
    if not any(powers):
        return d ** len(powers)
    m, *rest = sorted(powers, reverse=True)
    others = tuple(rest)
    total = (n + m - 1) * joint_moment((m - 1, *others))
    total += sum(joint_moment((j, m - 1 - j, *others)) for j in range(1, m))
    for place, power in enumerate(others):
        total += 2 * power * joint_moment((m + power - 1, *others[:place], *others[place + 1 :]))
    return sp.expand(total / d)


def finite_size(order: int = 5) -> Proof:
    """Moments at finite (n, d), n = r d, start with the Marchenko-Pastur law and a correction from its two edges.

    With ``t = sqrt(r)`` and ``|u| = 1`` the support is ``x = (1 + t u)(1 + t/u)``: edges at ``u = 1`` and ``-1``, and the
    mean over the arcsine law ``dx / (pi sqrt((x_+ - x)(x - x_-)))`` is the constant term in u.

    Args:
        order: largest m.

    Returns:
        The proof for ``1 <= m <= order``.

    Examples:
        >>> from sharpdiv.theory.symbolic import finite_size
        >>> finite_size(order=2).holds
        True
    """
    t = sp.Symbol("t", positive=True)
    support = (1 + t * _u) * (1 + t / _u)

    def holds(m: int) -> bool:
        exact = sp.expand((joint_moment((m,)) / d).subs(n, r * d))
        power = sp.expand(support**m)
        correction = (power.subs(_u, 1) + power.subs(_u, -1)) / 4 - power.coeff(_u, 0) / 2
        return equal(exact.coeff(d, 0), narayana_sum(m)) and equal(exact.coeff(d, -1).subs(r, t**2), correction)

    return Proof(
        "finite-size",
        f"Leading finite-size correction of the moments of W, m up to {order}",
        r"\mathbb{E} \tfrac{1}{d} \operatorname{tr} W^m = \sum_l N(m,l) r^l + \frac{1}{d} \Bigl[\frac{x_+^m + x_-^m}{4}"
        r" - \frac{1}{2\pi} \int_{x_-}^{x_+} \frac{x^m dx}{\sqrt{(x_+ - x)(x - x_-)}}\Bigr] + O(d^{-2}),\quad"
        rf" x_\pm = (1 \pm \sqrt{{r}})^2,\quad m \le {order}",
        all(holds(m) for m in range(1, order + 1)),
    )
