"""Theorem 2's Q: the exact form follows from freeness, and wrong ones are rejected."""

from collections.abc import Callable

import pytest
import sympy as sp

from sharpdiv.theory.symbolic import block_q, symbols, words
from sharpdiv.theory.symbolic.block_q import ClosedForm
from sharpdiv.theory.theorems.blocks import q_exact, q_paper
from tests.laws import Mutation, law
from tests.theory.symbolic.wrong import INDEPENDENT, UNMERGED


def plus(form: ClosedForm, change: ClosedForm) -> ClosedForm:
    return lambda *moments: form(*moments) + change(*moments)


WRONG_EXACT: dict[str, ClosedForm] = {
    "q_paper": q_paper,
    "2 m1^2 for m1^2": plus(q_exact, lambda s, r, m0, m1, *_: s * (s - 1) * m1**2),
    "no -m0^2 r1^2": plus(q_exact, lambda s, r, m0, *_: s * (s - 1) * m0**2 * r**2),
    "3 r1 m0 m1 for 4": plus(q_exact, lambda s, r, m0, m1, *_: -s * (s - 1) * (s - 2) * r * m0 * m1),
    "r1 q0 for r1 (1 + r1) q0": plus(q_exact, lambda s, r, m0, m1, m2, q0, *_: -s * (s - 1) * r**2 * q0),
    "no term of four blocks": plus(q_exact, lambda s, r, m0, *_: -sp.ff(s, 4) * r**2 * m0**2),
}


WRONG_PAPER: dict[str, ClosedForm] = {
    "q_exact": q_exact,
    "m1^2 for 2 m1^2": plus(q_paper, lambda s, r, m0, m1, *_: -s * (s - 1) * m1**2),
    "1.4 r1^2 q0 for 1.5": plus(q_paper, lambda s, r, m0, m1, m2, q0, *_: -0.1 * sp.ff(s, 3) * r**2 * q0),
    "4 r1 m0 m1 for 3": plus(q_paper, lambda s, r, m0, m1, *_: sp.ff(s, 3) * r * m0 * m1),
}


@pytest.mark.parametrize("wrong", WRONG_EXACT.values(), ids=WRONG_EXACT)
def test_a_wrong_exact_q_is_rejected(wrong: ClosedForm) -> None:
    assert not block_q.free_expansion(wrong).holds
    assert not block_q.difference_identity(q_paper, wrong).holds


@pytest.mark.parametrize("wrong", WRONG_PAPER.values(), ids=WRONG_PAPER)
def test_a_wrong_published_q_is_rejected(wrong: ClosedForm) -> None:
    assert not block_q.difference_identity(wrong, q_exact).holds


POWERS_OF_S = Mutation(
    "s^k for the falling factorial",
    "sharpdiv.theory.symbolic.block_q.falling",
    lambda _: lambda levels: sum(symbols.s**k * level for k, level in levels.items()),
)


@law(
    INDEPENDENT,
    UNMERGED,
    POWERS_OF_S,
    Mutation("M^2k for M^k", "sharpdiv.theory.symbolic.block_q.FILTER", lambda _: (2, 0)),
    Mutation("W^2 for W", "sharpdiv.theory.symbolic.block_q.GRAM", lambda _: (0, 2)),
)
def test_the_exact_q_follows_from_freeness() -> None:
    assert block_q.free_expansion(q_exact).holds


def independent_one_block(expression: Callable[[sp.Symbol, sp.Symbol], sp.Expr]) -> sp.Expr:
    """A and W of one block taken as uncorrelated."""
    first, second = sp.symbols("A W")
    terms = sp.Poly(expression(first, second), first, second).terms()
    return sp.expand(sum(c * words.block_moment(p, 0) * words.block_moment(0, j) for (p, j), c in terms))


@law(
    Mutation(
        "A and W of one block uncorrelated",
        "sharpdiv.theory.symbolic.block_q._one_block",
        lambda _: independent_one_block,
    ),
    Mutation("W a multiple of the identity", "sharpdiv.theory.symbolic.words.moment", lambda _: lambda m: symbols.r**m),
)
def test_the_brackets_are_a_covariance_and_a_mean_square() -> None:
    assert block_q.bracket_is_a_square().holds


@law(
    Mutation(
        "r1 more in the square",
        "sharpdiv.theory.symbolic.block_q._brackets",
        lambda f: lambda: (f()[0], f()[1] + symbols.r1),
    ),
    Mutation(
        "covariance not squared",
        "sharpdiv.theory.symbolic.block_q._brackets",
        lambda f: lambda: (sp.sqrt(f()[0]), f()[1]),
    ),
)
def test_the_gap_is_made_of_the_two_brackets() -> None:
    assert block_q.difference_identity(q_paper, q_exact).holds
