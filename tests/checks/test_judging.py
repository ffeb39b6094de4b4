"""Comparisons and families of them: against the textbook's, examples by hand, and studies in which there is nothing."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import strategies as st
from scipy import stats

from checks import Finding, Verdict, shapes
from checks.ensembles import accuracies
from checks.everywhere import judged
from checks.evidence import Measured
from checks.judging import (
    LEVEL,
    Comparison,
    fitted_slope,
    holm,
    interpolated,
    judge,
    matched,
    order_p,
    slopes,
    spearman,
)
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


STUDIES = 300
BOUND = 0.05 + 3 * np.sqrt(0.05 * 0.95 / STUDIES)
"""The level and three binomial standard errors."""


# --------------------------------------------------------------------------------------------------------- comparison


def test_standard_error_interval_and_p_by_hand() -> None:
    """1, 2, 6: mean 3, s^2 = 7. With v = 2/3 the variance is 7/3 + 2/3 = 3; t of two degrees of freedom has 4.3027 at 2.5%."""
    found = Comparison("", np.array([1.0, 2.0, 6.0]), 2 / 3)
    assert (found.value, found.stderr) == pytest.approx((3, np.sqrt(3)), rel=1e-12)
    reach = np.sqrt(4.3027**2 * 7 / 3 + 1.95996**2 * 2 / 3)
    assert (found.low, found.high) == pytest.approx((3 - reach, 3 + reach), rel=1e-4)
    # 80% of noncentral t are beyond 4.3027 at 5.65, of normal numbers beyond 1.96 at 1.96 + 0.8416.
    assert found.detectable == pytest.approx(np.sqrt(5.65**2 * 7 / 3 + 2.8016**2 * 2 / 3), rel=1e-3)
    # The interval of confidence 1 - p ends at 0.
    t, z = stats.t.isf(found.p / 2, 2), stats.norm.isf(found.p / 2)
    assert np.sqrt(t**2 * 7 / 3 + z**2 * 2 / 3) == pytest.approx(3, rel=1e-6)


def test_without_test_points_it_is_the_t_test() -> None:
    values = np.random.default_rng(1).normal(size=6)
    expected = stats.ttest_1samp(values, 0)
    found = Comparison.of("", values[None])
    assert found.p == pytest.approx(expected.pvalue, rel=1e-9)
    assert (found.low, found.high) == pytest.approx(tuple(expected.confidence_interval()), rel=1e-9)


def test_one_ensemble_has_an_interval_over_test_points_and_no_p() -> None:
    replicates = np.array([[1.0], [0.5], [1.5], [1.0]])
    found = Comparison.of("", replicates)
    assert (found.low, found.high) == pytest.approx((1 - 1.96 * 0.5, 1 + 1.96 * 0.5), abs=1e-4)
    assert np.isnan(found.p)
    assert str(found) == "1 [0.02002, 1.98] of these networks"
    assert str(Comparison.of("", replicates[:1])) == "1 of these networks"


def test_ensembles_that_are_all_alike_and_numbers_that_are_none() -> None:
    assert Comparison("", np.zeros(3)).p == 1
    assert Comparison("", np.ones(3)).p == 0
    assert np.isnan(Comparison("", np.full(3, np.nan)).p)
    # Alike as they are, it is test points that decide then: z = 2.
    assert Comparison("", np.ones(3), 0.25).p == pytest.approx(2 * stats.norm.sf(2), rel=1e-9)


def _satterthwaite(found: Comparison) -> float:
    ratio = 1 + found.points_variance / found.ensembles_variance
    return float(2 * stats.t.sf(abs(found.value) / found.stderr, (found.ensembles - 1) * ratio**2))


@law(
    Mutation("one t with Satterthwaite's freedom", "checks.judging.Comparison.p", lambda _: property(_satterthwaite)),
    Mutation("Student's t without test points", "checks.judging.ndtri", lambda _: lambda tail: 0 * tail),
)
def test_ensembles_that_are_alike_by_chance_are_not_certain() -> None:
    """12 comparisons in which there is nothing, of two ensembles, where test points have a fiftieth or all of the variance."""
    rng = np.random.default_rng(8)
    for ensembles, points in ((1.0, 0.1), (0.01, 1.0)):
        fails = 0
        for _ in range(STUDIES):
            values = ensembles * rng.normal(size=(12, 2)) + points * rng.normal(size=(12, 1))
            family = [Comparison(str(i), row, points**2) for i, row in enumerate(values)]
            fails += judge(family, 1).verdict == Verdict.FAILS
        assert fails <= BOUND * STUDIES


@pytest.mark.parametrize("ensembles", [2, 3])
@pytest.mark.parametrize("points", [0.0, 0.2, 1.0, 4.0])
def test_intervals_cover_as_promised(ensembles: int, points: float) -> None:
    """Of 2,000 studies 95% or more, within 3 binomial standard errors (1.5%), and not all: where both parts are alike, 99%."""
    rng = np.random.default_rng(2)
    covered = []
    for _ in range(2000):
        found = Comparison("", rng.normal(size=ensembles) + rng.normal(0, points), points**2)
        covered.append(found.low < 0 < found.high)
    assert 0.95 - 0.015 < np.mean(covered) < 0.99 + 0.005
    if not points:
        assert np.mean(covered) < 0.95 + 0.015


@pytest.mark.parametrize("ensembles", [2, 3, 6])
def test_the_detectable_difference_is_detected_in_four_of_five_studies(ensembles: int) -> None:
    """Of ensembles that vary as those that it was computed from; 4,000 studies within 3 standard errors (1.9%)."""
    rng = np.random.default_rng(5)
    shape = np.arange(float(ensembles)) - (ensembles - 1) / 2
    size = Comparison("", shape / shape.std(ddof=1)).detectable
    found = [Comparison("", size + rng.normal(size=ensembles)).p < LEVEL for _ in range(4000)]
    assert np.mean(found) == pytest.approx(0.8, abs=0.019)


def test_what_is_not_finite_has_no_p() -> None:
    for variance in (np.nan, np.inf):
        assert np.isnan(Comparison("", np.array([0.1, 0.2, 0.3]), variance).p)


@law(
    Mutation(
        "one-sided",
        "tests.checks.test_judging.order_p",
        lambda f: lambda x, y: f(x, y) / 2,
    ),
    examples=20,
    seed=st.integers(0, 1000),
    count=st.integers(3, 6),
)
def test_p_of_orders_of_one_ensemble_is_scipys_of_all_permutations(seed: int, count: int) -> None:
    """Ties included; by hand, only the sorted and the reversed of count! orders are as extreme as a perfect one."""
    x, y = np.random.default_rng(seed).integers(count, size=(2, 1, count)).astype(float)
    exact = stats.permutation_test(
        (x[0],),
        lambda each, axis: spearman(y[0], each),
        permutation_type="pairings",
        n_resamples=np.inf,
        vectorized=True,
    )
    assert order_p(x, y) == pytest.approx(np.mean(np.abs(exact.null_distribution) >= abs(exact.statistic) - 1e-9))
    line = np.arange(float(count))[None]
    assert order_p(line, line) == pytest.approx(2 / np.prod(np.arange(1, count + 1)))


def test_p_of_orders_of_three_ensembles_is_that_of_shuffles() -> None:
    """20,000 shuffles, within 3 binomial standard errors."""
    rng = np.random.default_rng(3)
    x, y = np.tile(np.arange(5.0), (3, 1)), np.array([[0, 2, 1, 4, 3], [1, 0, 3, 2, 4], [3, 1, 4, 0, 2]], dtype=float)
    shuffled = rng.permuted(np.broadcast_to(y, (20_000, 3, 5)), axis=-1)
    sums = spearman(x, shuffled).sum(axis=1)
    expected = np.mean(np.abs(sums) >= spearman(x, y).sum() - 1e-9)
    assert order_p(x, y) == pytest.approx(expected, abs=3 * np.sqrt(expected / 20_000))


def test_another_tests_p_is_a_floor() -> None:
    assert Comparison("", np.ones(3), least_p=0.2).p == 0.2
    assert Comparison("", np.array([-1.0, 0.5, 1.0]), least_p=0.2).p == Comparison("", np.array([-1.0, 0.5, 1.0])).p


def test_spearman_is_scipys() -> None:
    x, y = np.random.default_rng(4).integers(4, size=(2, 20, 6)).astype(float)
    expected = [stats.spearmanr(a, b).statistic for a, b in zip(x, y, strict=True)]
    assert spearman(x, y) == pytest.approx(np.array(expected), rel=1e-9)
    assert spearman(x, np.ones((20, 6))) == pytest.approx(np.zeros(20), abs=0)


def test_the_slope_is_that_of_simple_regression() -> None:
    x, y = np.random.default_rng(6).normal(size=(2, 7))
    assert fitted_slope(x, y) == pytest.approx(stats.linregress(x, y).slope, rel=1e-9)


def test_between_points_a_curve_is_straight_and_outside_there_is_none() -> None:
    """The points of the second ensemble, unsorted: (0, 5), (1, 1), (3, 2)."""
    x, y = np.array([[0.0, 1.0, 2.0], [3.0, 0.0, 1.0]]), np.array([[[0.0, 2.0, 4.0], [2.0, 5.0, 1.0]]])
    found = interpolated(x, y, np.array([[0.5, 2.0], [2.0, 3.1]]))
    assert found[0, 0] == pytest.approx([1, 4], abs=1e-12)
    assert found[0, 1, 0] == pytest.approx(1.5, abs=1e-12)
    assert np.isnan(found[0, 1, 1])


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


@pytest.mark.parametrize(
    ("diversity", "sharpness", "verdict", "remark"),
    [
        ([(-1, 1e-6), (-1, 1e-6)], (-1, 1e-6), Verdict.HOLDS, ""),
        ([(-1, 1e-6), (1, 1e-6)], (-1, 1e-6), Verdict.FAILS, "Opposite: 1. Clear: 0; top."),
        ([(-1, 1e-6), (-1, 0.06)], (-1, 1e-6), Verdict.CONDITIONAL, "Clear: 0; top. Not clear: 1."),
        ([(-1, 1e-6), (-1, 0.06)], (-1, 0.06), Verdict.INCONCLUSIVE, "Clear: 0. Not clear: 1; top."),
        ([(-1, 0.06), (-1, np.nan)], (-1, 1e-6), Verdict.INCONCLUSIVE, "Clear: top. Not clear: 0; 1."),
    ],
)
def test_verdicts_on_metrics(
    diversity: list[tuple[int, float]], sharpness: tuple[int, float], verdict: Verdict, remark: str
) -> None:
    found = judged([_with_p(*each, str(i)) for i, each in enumerate(diversity)], [_with_p(*sharpness, "top")])
    assert (found.verdict, found.remark, len(found.numbers)) == (verdict, remark, 3)


# ----------------------------------------------------------------------------------------------------------- no effect


def _study(rng: np.random.Generator, rho: int, fall: float = 0.0) -> Measured:
    """Three ensembles of noise: of each ensemble, of test points that all share, and of the test points of each.

    Logarithms of sharpness fall by ``fall`` for each rho, and DER is linear in them, with slope 0.1.
    """
    points, replicates = 80, 80
    drawn = np.random.default_rng(0).multinomial(points, np.full(points, 1 / points), size=replicates) / points
    drawn = np.vstack([np.full(points, 1 / points), drawn])
    log_sharpness = -fall * np.arange(rho) + 0.05 * rng.normal(size=(3, rho))

    def mean(level: np.ndarray) -> np.ndarray:
        noise = 0.2 * rng.normal(size=(rho, points)) + 0.2 * rng.normal(size=(3, rho, points))
        values = level[..., None] + 0.02 * rng.normal(size=(3, rho, 1)) + noise
        return np.einsum("erp,bp->ber", values, drawn)

    half = np.full((3, rho), 0.5)
    disagreement = mean(1 + 0.1 * log_sharpness)
    rest = (np.ones_like(disagreement), mean(half), mean(half), mean(half))
    return Measured(np.arange(float(rho)), np.exp(log_sharpness)[None], disagreement, *rest)


def _no_tradeoff(rng: np.random.Generator) -> Finding:
    curve = _study(rng, 5)
    return judge(slopes({"sharpness": curve.sharpness, "disagreement": curve.disagreement, "EIR": curve.eir}), -1)


def _one_of_three_lacks(rng: np.random.Generator) -> Finding:
    """Where an effect is missing in one comparison only, a claim of all is likeliest to be called true."""
    curve = _study(rng, 5, fall=3.0)
    return judge(slopes({"sharpness": curve.sharpness, "disagreement": curve.disagreement, "EIR": curve.eir}), -1)


def _no_metric(rng: np.random.Generator) -> Finding:
    values = rng.normal(size=(9, 1, 3, 5)) + rng.normal(size=(1, 3, 5))
    found = slopes({str(i): each for i, each in enumerate(values)})
    return judged(found[:7], found[7:])


def _no_shape(rng: np.random.Generator) -> Finding:
    return shapes.judged({str(i): _study(rng, 3, fall=0.5) for i in range(3)}, -1)


def _no_variant(rng: np.random.Generator) -> Finding:
    curve, points = _study(rng, 6, fall=0.5), _study(rng, 4, fall=0.2)
    inside = replace(points, sharpness=points.sharpness * np.exp(-1.0))
    # On the line: DER is 1 + 0.1 log sharpness, lower by 0.1 at a sharpness lower by a factor e.
    return judge(matched("", curve, replace(inside, disagreement=points.disagreement - 0.1)), 1)


def _no_gain(rng: np.random.Generator) -> Finding:
    ours, theirs = _study(rng, 3), _study(rng, 3)
    return judge([*accuracies("", ours, "SAM", theirs), *accuracies("", ours, "SGD", theirs, at=0.0)], 1)


def _no_correlation(rng: np.random.Generator) -> Finding:
    """Few values of rho and two ensembles, whose correlations are often equal."""
    x, y = rng.normal(size=(2, 2, 4))
    return judge([Comparison("", spearman(x, y), least_p=order_p(x, y))], 1)


@pytest.mark.parametrize(
    "study", [_no_tradeoff, _one_of_three_lacks, _no_metric, _no_shape, _no_variant, _no_gain, _no_correlation]
)
def test_nothing_is_rarely_called_something(study: Callable[[np.random.Generator], Finding]) -> None:
    rng = np.random.default_rng(7)
    verdicts = Counter(study(rng).verdict for _ in range(STUDIES))
    assert verdicts[Verdict.FAILS] <= BOUND * STUDIES, verdicts
    assert verdicts[Verdict.HOLDS] + verdicts[Verdict.CONDITIONAL] <= BOUND * STUDIES, verdicts
