"""What a symbolic proof is."""

from dataclasses import dataclass

import sympy as sp

__all__ = ["Proof", "equal"]


@dataclass(frozen=True)
class Proof:
    """A statement and whether SymPy could show it."""

    id: str
    """short name"""
    title: str
    """what is stated, in words"""
    latex: str
    """the statement, as LaTeX without dollar signs and what Markdown takes for itself (escaped punctuation, bars)"""
    holds: bool
    """whether every difference of two sides simplifies to 0"""


def equal(left: sp.Expr, right: sp.Expr) -> bool:
    """Whether two polynomials are the same."""
    return bool(sp.expand(left - right) == 0)
