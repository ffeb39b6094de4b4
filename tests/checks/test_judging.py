"""Families of comparisons: trends against the textbook's, adjusted p-values against an example by hand, their laws."""

import numpy as np
import pytest
from hypothesis import strategies as st
from scipy import stats

from checks import Verdict, evidence
from checks.ensembles import rank_correlation
from checks.everywhere import judged
from checks.evidence import Interval
from checks.judging import Trend, holm, trend
from empirical import InputError
from tests.laws import Mutation, law


@law(
    Mutation("Bonferroni", "tests.checks.test_judging.holm", lambda _: lambda p: [min(1.0, len(p) * x) for x in p]),
    Mutation("unadjusted", "tests.checks.test_judging.holm", lambda _: list),
)
def test_holm_by_hand() -> None:
    """0.005 times 4, 0.01 times 3, 0.03 times 2; 0.04 times 1 is below 0.06, so it stays at that."""
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02], rel=1e-12)


@law(
    Mutation("not made monotone", "checks.judging.np.maximum", lambda _: np.add),
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


def test_two_columns_are_the_paired_t_test() -> None:
    values = np.random.default_rng(1).normal(size=(6, 2))
    expected = stats.ttest_rel(values[:, 1], values[:, 0])
    found = trend(values)
    assert found.p == pytest.approx(expected.pvalue, rel=1e-9)
    assert (found.change.low, found.change.high) == pytest.approx(tuple(expected.confidence_interval()), rel=1e-9)


def test_one_unit_is_simple_regression() -> None:
    values = np.random.default_rng(2).normal(size=(1, 7))
    expected = stats.linregress(np.arange(7), values[0])
    found = trend(values)
    assert (found.change.value, found.p) == pytest.approx((expected.slope, expected.pvalue), rel=1e-9)


def test_effects_of_units_do_not_matter() -> None:
    values = np.random.default_rng(3).normal(size=(4, 5))
    shifted = values + np.array([[0.0], [10.0], [-7.0], [3.0]])
    assert trend(shifted).p == pytest.approx(trend(values).p, rel=1e-9)


def test_a_trend_without_freedom_noise_or_number() -> None:
    with pytest.raises(InputError, match="got 2 of 1"):
        trend(np.ones((1, 2)))
    assert trend(np.ones((3, 4))).p == 1
    assert trend(np.arange(4.0)[None] * np.ones((3, 1))).p == 0
    assert np.isnan(trend(np.full((3, 4), np.nan)).p)


def test_rank_correlation_is_scipys() -> None:
    x, y = np.random.default_rng(4).integers(4, size=(2, 20, 6)).astype(float)
    expected = [stats.spearmanr(a, b).statistic for a, b in zip(x, y, strict=True)]
    assert rank_correlation(x, y) == pytest.approx(np.array(expected), rel=1e-9)


def test_the_detectable_difference_is_detected_in_four_of_five_studies() -> None:
    """Normal estimates of standard error 1 around 2.8: beyond 1.96 with probability 0.80, here of 4,000 within 2%."""
    rng = np.random.default_rng(5)
    size = evidence.detectable(rng.normal(size=200_001))
    assert np.mean(size + rng.normal(size=4000) > 1.96) == pytest.approx(0.8, abs=0.02)


def _trend(change: float, p: float) -> Trend:
    return Trend(Interval(change, change - 1.0, change + 1.0), p)


@pytest.mark.parametrize(
    ("diversity", "sharpness", "verdict", "remark"),
    [
        ([(-1.0, 1e-6), (-1.0, 1e-6)], (-1.0, 1e-6), Verdict.HOLDS, ""),
        ([(-1.0, 1e-6), (1.0, 1e-6)], (-1.0, 1e-6), Verdict.CONDITIONAL, "Rises: 1."),
        ([(-1.0, 1e-6), (-1.0, 0.06)], (-1.0, 1e-6), Verdict.CONDITIONAL, "Not clear: 1."),
        ([(1.0, 1e-6), (-1.0, 0.2)], (-1.0, 1e-6), Verdict.FAILS, "Rises: 0. Not clear: 1."),
        # Each would be clear alone; in a family of three none is.
        ([(-1.0, 0.04), (-1.0, 0.04)], (-1.0, 0.02), Verdict.INCONCLUSIVE, "Not clear: 0, 1, sharpness top."),
        ([(-1.0, np.nan), (-1.0, np.nan)], (-1.0, 1e-6), Verdict.INCONCLUSIVE, "Not clear: 0, 1."),
    ],
)
def test_verdicts_of_a_family(
    diversity: list[tuple[float, float]], sharpness: tuple[float, float], verdict: Verdict, remark: str
) -> None:
    finding = judged({str(i): _trend(*each) for i, each in enumerate(diversity)}, {"top": _trend(*sharpness)})
    assert finding.verdict == verdict
    assert finding.remark == remark
    assert len(finding.numbers) == 3
