"""Comparisons with a theory, as rows of a forest plot."""

import pytest
from scipy import stats

from sharpdiv.checks.effect import of_agreements
from sharpdiv.checks.quantity import beside_theory, number
from tests.laws import Mutation, law


@law(
    Mutation("normal intervals", "sharpdiv.checks.effect.stats.t.isf", lambda _: lambda p, _: stats.norm.isf(p)),
    Mutation(
        "as many degrees of freedom as draws", "sharpdiv.checks.effect.stats.t.isf", lambda f: lambda p, n: f(p, n + 1)
    ),
)
def test_intervals_of_few_draws_are_those_of_t() -> None:
    """5 draws: 2.776 standard errors, by tables."""
    (effect,) = of_agreements([("D: theory, measured", beside_theory(number(-2.0), number(-3.0, 0.5), 5))])
    assert (effect.label, effect.estimate, effect.n) == ("D", 1.5, 5)
    assert (effect.low, effect.high) == pytest.approx((1.5 - 2.776 * 0.25, 1.5 + 2.776 * 0.25), abs=2e-4)


def test_uncounted_draws_are_normal_and_what_has_no_ratio_is_no_row() -> None:
    (effect,) = of_agreements(
        [
            ("D", beside_theory(number(2.0), number(2.0, 1.0))),
            ("nothing predicted", beside_theory(number(0.0), number(2.0, 1.0), 9)),
            ("in words", "none"),
            ("a number", number(1.0)),
        ]
    )
    assert (effect.low, effect.high) == pytest.approx((1 - 0.98, 1 + 0.98), abs=1e-3)
