"""Comparisons and families of them: against the textbook's, examples by hand, and studies in which there is nothing."""

import numpy as np
import pytest
from scipy import stats

from sharpdiv.checks.claim import Verdict
from sharpdiv.checks.statistics import LEVEL, Comparison, aligned, judge
from tests.laws import Mutation, law

STUDIES = 60
BOUND = 0.05 + 3 * np.sqrt(0.05 * 0.95 / STUDIES)
"""The level and three binomial standard errors."""


# --------------------------------------------------------------------------------------------------------- comparison


@law(
    Mutation(
        "normal quantiles", "sharpdiv.checks.statistics.stats.t.isf", lambda _: lambda q, freedom: stats.norm.isf(q)
    ),
    Mutation(
        "p of one side", "sharpdiv.checks.statistics.Comparison.p", lambda f: property(lambda self: f.fget(self) / 2)
    ),
)
def test_it_is_the_t_test() -> None:
    values = np.random.default_rng(1).normal(size=6)
    expected = stats.ttest_1samp(values, 0)
    found = Comparison("", values)
    assert found.p == pytest.approx(expected.pvalue, rel=1e-9)
    assert (found.low, found.high) == pytest.approx(tuple(expected.confidence_interval()), rel=1e-9)


def test_by_hand() -> None:
    """1, 2, 6: mean 3, s^2 = 7; t of two degrees of freedom has 4.3027 at 2.5%, and 80% of it beyond that if shifted by 5.65."""
    found = Comparison("", np.array([1.0, 2.0, 6.0]))
    assert (found.value, found.stderr) == pytest.approx((3, np.sqrt(7 / 3)), rel=1e-12)
    assert found.detectable == pytest.approx(5.65 * np.sqrt(7 / 3), rel=1e-3)


def test_one_ensemble_ensembles_that_are_alike_and_numbers_that_are_none() -> None:
    assert np.isnan(Comparison("", np.ones(1)).p)
    assert str(Comparison("", np.ones(1))) == "1 of these networks"
    assert Comparison("", np.zeros(3)).p == 1
    assert Comparison("", np.ones(3)).p == 0
    assert "p < 1e-12" in str(Comparison("", np.ones(3)))  # certainty is not printed as p = 0
    assert np.isnan(Comparison("", np.array([0.1, 0.2, np.nan])).p)


@pytest.mark.slow
@pytest.mark.parametrize("ensembles", [2, 3, 6])
def test_the_detectable_difference_is_detected_in_four_of_five_studies(ensembles: int) -> None:
    """Of ensembles that vary as those that it was computed from; 1,000 studies within 3 standard errors (3.8%)."""
    rng = np.random.default_rng(5)
    shape = np.arange(float(ensembles)) - (ensembles - 1) / 2
    size = Comparison("", shape / shape.std(ddof=1)).detectable
    found = [Comparison("", size + rng.normal(size=ensembles)).p < LEVEL for _ in range(1000)]
    assert np.mean(found) == pytest.approx(0.8, abs=0.038)


# -------------------------------------------------------------------------------------------------------------- judge


def _with_p(value: float, p: float, label: str = "") -> Comparison:
    """Two ensembles whose mean is of the sign of ``value`` and has that p-value: t of one degree of freedom."""
    t = stats.t.isf(p / 2, 1)
    return Comparison(label, np.sign(value) * np.array([t - 1, t + 1]))


@pytest.mark.parametrize(
    ("family", "verdict", "remark"),
    [
        ([(1, 0.04), (1, 0.04)], Verdict.HOLDS, ""),
        ([(1, 0.04), (1, 0.06)], Verdict.INCONCLUSIVE, ""),
        # Clear by itself, not in a family of two.
        ([(1, 0.04), (-1, 0.04)], Verdict.INCONCLUSIVE, ""),
        ([(1, 0.04), (-1, 0.02)], Verdict.FAILS, "Opposite: 1."),
        ([], Verdict.INCONCLUSIVE, ""),
    ],
)
def test_verdicts_of_a_family(family: list[tuple[int, float]], verdict: Verdict, remark: str) -> None:
    comparisons = [_with_p(sign, p, str(i)) for i, (sign, p) in enumerate(family)]
    found = judge(comparisons, 1)
    assert (found.verdict, found.remark, len(found.numbers)) == (verdict, remark, len(family))
    assert judge([_with_p(-sign, p, str(i)) for i, (sign, p) in enumerate(family)], -1).verdict == verdict


def test_what_cannot_be_compared_is_unclear_and_shown() -> None:
    missing = Comparison("b", np.full(2, np.nan), obstacle="no overlap")
    found = judge([_with_p(1, 1e-6, "a"), missing], 1)
    assert found.verdict == Verdict.INCONCLUSIVE
    assert found.numbers[1] == ("b", "no overlap")
    assert found.remark == "1 of 2 comparisons cannot be made."
    # It counts in the family: .03 alone would be clear.
    assert judge([_with_p(-1, 0.03, "a"), missing], 1).verdict == Verdict.INCONCLUSIVE


@law(
    Mutation("as measured", f"{__name__}.aligned", lambda _: lambda predicted, measured, _: measured),
    Mutation("any prediction has a sign", "sharpdiv.checks.statistics.LEVEL", lambda _: 1.0),
)
def test_what_was_measured_counts_in_the_direction_that_was_predicted() -> None:
    falls, rises = _with_p(-1, 0.001, "theory"), _with_p(1, 0.01, "trained")
    assert aligned(falls, rises, "").value == -rises.value
    assert aligned(rises, rises, "").value == rises.value
    assert "no clear sign" in aligned(_with_p(1, 0.5), rises, "").obstacle


@pytest.mark.long
@pytest.mark.slow
@law(
    Mutation("unadjusted", "sharpdiv.checks.statistics.holm", lambda _: list),
)
def test_nothing_is_rarely_called_something() -> None:
    """Families of twelve comparisons of three ensembles in which there is nothing."""
    rng = np.random.default_rng(8)
    found = [
        judge([Comparison(str(i), row) for i, row in enumerate(rng.normal(size=(12, 3)))], 1).verdict
        for _ in range(STUDIES)
    ]
    assert found.count(Verdict.FAILS) <= BOUND * STUDIES
    assert Verdict.HOLDS not in found
