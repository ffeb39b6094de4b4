"""Moments of the Marchenko-Pastur law, from its free cumulants and as Narayana sums."""

from functools import cache

import sympy as sp

from sharpdiv.theory.errors import require_integer
from sharpdiv.theory.spectra.narayana import narayana
from sharpdiv.theory.symbolic.proof import Proof, equal
from sharpdiv.theory.symbolic.symbols import r

__all__ = ["free_moments", "moment", "narayana_every_order", "narayana_moments", "narayana_sum"]


def free_moments(cumulants: tuple[sp.Expr, ...]) -> tuple[sp.Expr, ...]:
    """Moments of a law from its free cumulants, by the free moment-cumulant relation.

    With the generating functions ``M(z) = 1 + sum m_n z^n`` and ``C(y) = 1 + sum kappa_n y^n`` it is ``M(z) = C(z M(z))``,
    so ``m_n = sum_k kappa_k [z^(n-k)] M(z)^k``, whose right side needs lower moments only.

    Args:
        cumulants: ``kappa_1, kappa_2, ...``.

    Returns:
        ``1, m_1, m_2, ...``, as many moments as cumulants.

    Examples:
        >>> import sympy
        >>> from sharpdiv.theory.symbolic import free_moments
        >>> r = sympy.Symbol("r")
        >>> free_moments((r, r))  # all cumulants r: the Marchenko-Pastur law
        (1, r, r**2 + r)
        >>> free_moments(tuple(map(sympy.Integer, (0, 1, 0, 0))))  # the second alone: the semicircle law
        (1, 0, 1, 0, 2)
    """
    moments = [sp.Integer(1)]

    @cache
    def coefficient(power: int, order: int) -> sp.Expr:
        """``[z^order] M(z)^power``."""
        if power == 0:
            return sp.Integer(order == 0)
        return sp.expand(sum(moments[i] * coefficient(power - 1, order - i) for i in range(order + 1)))

    for order in range(1, len(cumulants) + 1):
        terms = [kappa * coefficient(k, order - k) for k, kappa in enumerate(cumulants[:order], 1)]
        moments.append(sp.expand(sum(terms)))
    return tuple(moments)


@cache
def moment(m: int) -> sp.Expr:
    """m-th moment of the Marchenko-Pastur law: the free Poisson law of rate r and jump 1, all free cumulants r.

    Args:
        m: order.

    Returns:
        A polynomial in ``r``.

    Raises:
        DomainError: if the order is negative.

    Examples:
        >>> from sharpdiv.theory.symbolic import moment
        >>> moment(3)
        r**3 + 3*r**2 + r
    """
    require_integer("moment's order", m, 0)
    return free_moments((r,) * m)[m]


def narayana_sum(m: int) -> sp.Expr:
    """The m-th moment of the Marchenko-Pastur law as the paper writes it.

    Args:
        m: order.

    Returns:
        A polynomial in ``r``.

    Examples:
        >>> from sharpdiv.theory.symbolic.moments import narayana_sum
        >>> narayana_sum(3)
        r**3 + 3*r**2 + r
    """
    return sum((narayana(m, level) * r**level for level in range(1, m + 1)), start=sp.Integer(m == 0))


def narayana_moments(order: int = 10) -> Proof:
    """Moments derived from free cumulants are the paper's Narayana sums.

    Args:
        order: largest m.

    Returns:
        The proof for ``m <= order``.

    Examples:
        >>> from sharpdiv.theory.symbolic import narayana_moments
        >>> narayana_moments(order=4).holds
        True
    """
    return Proof(
        "narayana-moments",
        f"Marchenko-Pastur moments from free cumulants are Narayana sums, m up to {order}",
        r"\tau(W^m) = \sum_{l=1}^m N(m,l) r^l,\quad N(m,l) = \tfrac{1}{m} \tbinom{m}{l} \tbinom{m}{l-1},"
        rf"\quad m \le {order}",
        all(equal(moment(m), narayana_sum(m)) for m in range(order + 1)),
    )


def narayana_every_order() -> Proof:
    """The same for every m, by Lagrange inversion.

    ``y = z M(z)`` solves ``y = z C(y)``, so ``[z^m] M = [y^m] C(y)^(m+1) / (m+1)``. With ``C(y) = 1 + r y/(1 - y)`` the
    coefficient of ``r^l`` is ``C(m+1, l) [y^(m-l)] (1 - y)^(-l) / (m+1) = C(m+1, l) C(m-1, l-1) / (m+1)``.

    Returns:
        The proof that this is the Narayana number, m and l being symbols.

    Examples:
        >>> from sharpdiv.theory.symbolic import narayana_every_order
        >>> narayana_every_order().holds
        True
    """
    m, level = sp.symbols("m l", integer=True, positive=True)
    lagrange = sp.binomial(m + 1, level) * sp.binomial(m - 1, level - 1) / (m + 1)
    narayana_number = sp.binomial(m, level) * sp.binomial(m, level - 1) / m
    return Proof(
        "narayana-every-order",
        "Lagrange inversion of the free cumulant relation gives the Narayana numbers for every m and l",
        r"[z^m r^l] M(z) = \tfrac{1}{m+1} \tbinom{m+1}{l} \tbinom{m-1}{l-1}"
        r" = \tfrac{1}{m} \tbinom{m}{l} \tbinom{m}{l-1} = N(m,l)",
        bool(sp.combsimp(lagrange / narayana_number) == 1),
    )
