"""Families of tests: Holm's adjustment and decisions, against the stepwise procedure, by hand and by simulation."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import strategies as st

from sharpdiv.checks.ensembles.crossed import Decision, Primary, decide, holm
from tests.laws import Mutation, law

HERE = __name__


def _stepwise(p: list[float]) -> list[float]:
    """Holm (1979): the k-th smallest of m times m - k + 1, not below those before, not above 1."""
    order = sorted(range(len(p)), key=lambda i: (np.isnan(p[i]), p[i]))
    adjusted, largest = [float("nan")] * len(p), 0.0
    for place, i in enumerate(order):
        largest = max(largest, (len(p) - place) * p[i]) if not np.isnan(p[i]) else float("nan")
        adjusted[i] = min(1.0, largest) if not np.isnan(largest) else float("nan")
    return adjusted


def _uncounted(f: Callable[[list[float]], list[float]]) -> Callable[[list[float]], list[float]]:
    """Over those only that could be made."""

    def wrong(p: list[float]) -> list[float]:
        made = iter(f([each for each in p if not np.isnan(each)] or [1.0]))
        return [each if np.isnan(each) else next(made) for each in p]

    return wrong


@law(
    Mutation("Bonferroni", f"{HERE}.holm", lambda _: lambda p: [min(1.0, len(p) * x) for x in p]),
    Mutation("unadjusted", f"{HERE}.holm", lambda _: list),
    Mutation("not made monotone", "sharpdiv.checks.ensembles.crossed.np.maximum", lambda _: np.add),
    Mutation("those that could not be made left out", f"{HERE}.holm", _uncounted),
    examples=80,
    p=st.lists(st.one_of(st.floats(0, 1), st.just(float("nan"))), min_size=1, max_size=8),
)
def test_holm_is_the_stepwise_procedure(p: list[float]) -> None:
    assert holm(p) == pytest.approx(_stepwise(p), rel=1e-12, nan_ok=True)


@law(
    Mutation("Bonferroni", f"{HERE}.holm", lambda _: lambda p: [min(1.0, len(p) * x) for x in p]),
    Mutation("unadjusted", f"{HERE}.holm", lambda _: list),
)
def test_holm_by_hand() -> None:
    """0.005 times 4, 0.01 times 3, 0.03 times 2; 0.04 times 1 is below 0.06, so it stays at that."""
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02], rel=1e-12)


@law(
    Mutation("not made monotone", "sharpdiv.checks.ensembles.crossed.np.maximum", lambda _: np.add),
    examples=50,
    p=st.lists(st.floats(0, 1), min_size=1, max_size=8),
)
def test_holm_keeps_the_order_and_lies_between_none_and_bonferroni(p: list[float]) -> None:
    adjusted = np.array(holm(p))
    assert (np.diff(adjusted[np.argsort(p, kind="stable")]) >= 0).all()
    assert (np.array(p) <= adjusted).all()
    assert (adjusted <= np.minimum(1, len(p) * np.array(p))).all()


def test_false_discoveries_in_a_family_of_nothing_are_as_rare_as_promised() -> None:
    """600 families of 8 true hypotheses: at most 5% have any below .05, up to 3 binomial standard errors (2.7%)."""
    p = np.random.default_rng(0).random((600, 8))
    false = np.mean([min(holm(list(row))) < 0.05 for row in p])
    assert 0.02 < false < 0.05 + 0.027


NAN = float("nan")
HOLDS, FAILS, NO_EFFECT, INCONCLUSIVE = Decision.HOLDS, Decision.FAILS, Decision.NO_EFFECT, Decision.INCONCLUSIVE
FAMILIES = [
    ([Primary(0.04, 1, 1)], [HOLDS]),
    ([Primary(0.04, -1, 1)], [FAILS]),
    ([Primary(0.04, -1, -1)], [HOLDS]),
    ([Primary(0.05, 1, 1)], [INCONCLUSIVE]),
    # Certainly not 0 and certainly too small to matter.
    ([Primary(0.001, 1, 1, 0.001)], [NO_EFFECT]),
    ([Primary(0.001, -1, 1, 0.2)], [FAILS]),
    ([Primary(0.5, 1, 1, 0.04)], [NO_EFFECT]),
    ([Primary(0.5, 1, 1, 0.06)], [INCONCLUSIVE]),
    ([Primary(NAN, 0, 1, NAN)], [INCONCLUSIVE]),
    ([Primary(NAN, 0, 1, 0.0)], [NO_EFFECT]),
    # Clear by themselves, not in a family of two; the smaller one of two is adjusted more.
    ([Primary(0.04, 1, 1), Primary(0.3, 1, 1)], [INCONCLUSIVE, INCONCLUSIVE]),
    ([Primary(0.02, 1, 1), Primary(0.04, 1, 1)], [HOLDS, HOLDS]),
    ([Primary(0.5, 1, 1, 0.04), Primary(0.5, 1, 1, 0.5)], [INCONCLUSIVE, INCONCLUSIVE]),
    ([Primary(0.5, 1, 1, 0.02), Primary(0.5, 1, 1, 0.04)], [NO_EFFECT, NO_EFFECT]),
    # What could not be asked counts, in both adjustments.
    ([Primary(0.03, 1, 1), Primary(NAN, 0, 1)], [INCONCLUSIVE, INCONCLUSIVE]),
    ([Primary(0.02, -1, 1), Primary(NAN, 0, 1)], [FAILS, INCONCLUSIVE]),
    ([Primary(0.5, 1, 1, 0.03), Primary(1e-9, 1, 1, NAN)], [INCONCLUSIVE, HOLDS]),
    # Two adjustments, each over the family.
    ([Primary(0.02, 1, 1, 0.9), Primary(0.9, 1, 1, 0.02)], [HOLDS, NO_EFFECT]),
    ([], []),
]


@law(
    Mutation("unadjusted", "sharpdiv.checks.ensembles.crossed.holm", lambda _: list),
    Mutation(
        "the claim's side not asked", f"{HERE}.decide", lambda f: lambda c: f([replace(x, side=x.direction) for x in c])
    ),
    Mutation("equivalence not asked", f"{HERE}.decide", lambda f: lambda c: f([replace(x, p_within=NAN) for x in c])),
    Mutation("at another level", "sharpdiv.checks.ensembles.crossed.LEVEL", lambda _: 0.1),
)
def test_decisions_by_hand() -> None:
    for family, decisions in FAMILIES:
        assert decide(family) == decisions, family
