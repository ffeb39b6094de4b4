"""Wrong formulas that the proofs must reject, and numbers for their symbols."""

from fractions import Fraction
from functools import reduce
from math import comb, prod

import sympy as sp
from hypothesis import strategies as st

from sharpdiv.theory.symbolic import symbols, words
from sharpdiv.theory.symbolic.words import Letter
from tests.laws import Mutation

rationals = st.fractions(min_value=Fraction(1, 50), max_value=3, max_denominator=50)


def classical_moments(cumulants: tuple[sp.Expr, ...]) -> tuple[sp.Expr, ...]:
    """Moments from classical cumulants: all set partitions, not only the non-crossing ones."""
    moments = [sp.Integer(1)]
    for m in range(1, len(cumulants) + 1):
        moments.append(sp.expand(sum(comb(m - 1, k - 1) * cumulants[k - 1] * moments[m - k] for k in range(1, m + 1))))
    return tuple(moments)


CLASSICAL = Mutation(
    "classical cumulants", "sharpdiv.theory.symbolic.moments.free_moments", lambda _: classical_moments
)


NO_SQUARE = Mutation(
    "1 - eta x (1 + rho)",
    "sharpdiv.theory.symbolic.phi._filter",
    lambda _: lambda i: sp.Poly(1 - symbols.eta * sp.Symbol("x") * (1 + symbols.rho), sp.Symbol("x")) ** i,
)


MORE_STEPS = Mutation("k + 1 steps", "sharpdiv.theory.symbolic.phi._filter", lambda f: lambda i: f(i + 1))


def independent_trace(word: tuple[Letter, ...]) -> sp.Expr:
    """Classical independence: the letters of different blocks commute, and every block's product is alone."""
    blocks = {letter.block for letter in word}
    factors = [reduce(Letter.__mul__, (b for b in word if b.block == block)) for block in blocks]
    return sp.expand(prod((words.block_moment(b.filters, b.data) for b in factors), start=sp.Integer(1)))


INDEPENDENT = Mutation("classical independence", "sharpdiv.theory.symbolic.words.trace", lambda _: independent_trace)


UNMERGED = Mutation(
    "neighbours of one block taken as free", "sharpdiv.theory.symbolic.words._merged", lambda _: lambda word: word
)


def at(expression: sp.Expr, ratio: Fraction, rate: Fraction, rho: Fraction) -> sp.Expr:
    return sp.sympify(expression).subs(
        {symbols.r: sp.Rational(ratio), symbols.eta: sp.Rational(rate), symbols.rho: sp.Rational(rho)}
    )


def gram(block: int, power: int = 1) -> Letter:
    """A power of W of one block."""
    return Letter(block, filters=0, data=power)
