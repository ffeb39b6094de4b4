"""What a symbolic proof is."""

from dataclasses import dataclass

import sympy as sp

__all__ = ["Proof", "equal"]


@dataclass(frozen=True)
class Proof:
    """A statement and whether SymPy could show it.

    Examples:
        >>> import sympy
        >>> from sharpdiv.theory.symbolic.proof import Proof, equal
        >>> x = sympy.Symbol("x")
        >>> Proof("square", "A binomial formula", "(x + 1)^2", equal((x + 1) ** 2, x**2 + 2 * x + 1)).holds
        True
    """

    id: str
    """short name"""
    title: str
    """what is stated, in words"""
    latex: str
    """the statement in math mode, as LaTeX without dollar signs; nothing in it is escaped for another format"""
    holds: bool
    """whether every difference of two sides simplifies to 0"""


def equal(left: sp.Expr, right: sp.Expr) -> bool:
    """Whether two polynomials are the same.

    Args:
        left: a polynomial.
        right: another one.

    Returns:
        Whether their difference expands to 0.

    Examples:
        >>> import sympy
        >>> from sharpdiv.theory.symbolic.proof import equal
        >>> x = sympy.Symbol("x")
        >>> equal((x + 1) * (x - 1), x**2 - 1)
        True
    """
    return bool(sp.expand(left - right) == 0)
