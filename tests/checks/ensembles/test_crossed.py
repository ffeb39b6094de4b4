"""Seeds crossed with test points: leaving out, analysis of variance, families of tests, against brute force and simulation."""

from collections.abc import Callable
from dataclasses import replace
from itertools import combinations, pairwise

import numpy as np
import pytest
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy import stats

from sharpdiv.checks.ensembles.crossed import (
    GROUPS,
    LEVEL,
    POWER,
    Estimate,
    estimated,
    interpolated,
    leave_out_means,
)
from sharpdiv.checks.quantity import p_text
from tests.laws import Mutation, law

HERE = __name__
SEEDS = st.integers(0, 10_000)


# --------------------------------------------------------------------------------------------------------- leaving out


def _pairs(units: int) -> tuple[np.ndarray, np.ndarray]:
    """All pairs, and which units touch them."""
    pairs = np.array(list(combinations(range(units), 2)))
    return pairs, (pairs[None] == np.arange(units)[:, None, None]).any(axis=2)


def _mean_square(raw: np.ndarray) -> float:
    """Of all differences of two columns; NaN of one column."""
    columns = raw.T
    squares = [np.square(a - b).mean() for a, b in combinations(columns, 2)]
    return float(np.mean(squares)) if squares else float("nan")


@law(
    Mutation("keeps only what it leaves out", f"{HERE}.leave_out_means", lambda f: lambda v, t: f(v, ~t)),
    Mutation(
        "a pair leaves with its first seed only",
        f"{HERE}.leave_out_means",
        lambda f: lambda v, t: f(v, t & (t.cumsum(axis=0) == 1)),
    ),
    Mutation(
        "no group is left out",
        f"{HERE}.leave_out_means",
        lambda f: lambda v, t: np.vstack([f(v, t)[:1]] * (len(v) + (len(v) > 1))),
    ),
    seed=SEEDS,
    units=st.integers(2, 6),
    groups=st.sampled_from([1, 2, 5]),
)
def test_means_with_units_and_groups_left_out_are_those_of_what_is_left(seed: int, units: int, groups: int) -> None:
    """Recomputed from raw numbers whose rows and columns are deleted; rounding of sums of 75 numbers in float64."""
    raw = np.random.default_rng(seed).normal(size=(groups, units))
    pairs, touched = _pairs(units)
    table = leave_out_means(np.square(raw[:, pairs[:, 0]] - raw[:, pairs[:, 1]]), touched)
    rows = [raw, *(np.delete(raw, g, axis=0) for g in range(groups) if groups > 1)]
    expected = [[_mean_square(kept) for kept in (r, *(np.delete(r, u, axis=1) for u in range(units)))] for r in rows]
    assert_allclose(table, expected, rtol=1e-12, atol=1e-14)


def test_a_unit_may_be_a_block_of_seeds() -> None:
    values, touched = (
        np.array([[1.0, 2.0, 4.0, 8.0]]),
        np.array([[True, True, False, False], [False, False, True, True]]),
    )
    assert_allclose(leave_out_means(values, touched), [[3.75, 6.0, 1.5]])


# --------------------------------------------------------------------------------------------------- analysis of variance


def _anova(cells: np.ndarray) -> tuple[float, float]:
    """Variances of the grand mean of a table (groups, units): what falls with units, and what they share (Searle 1971)."""
    groups, units = cells.shape
    mean = cells.mean()
    squares = {
        "units": groups * sum((cells[:, u].mean() - mean) ** 2 for u in range(units)) / (units - 1),
        "groups": units * sum((cells[g].mean() - mean) ** 2 for g in range(groups)) / (groups - 1),
    }
    rest = sum(
        (cells[g, u] - cells[g].mean() - cells[:, u].mean() + mean) ** 2 for g in range(groups) for u in range(units)
    )
    shared = squares["groups"] - rest / ((units - 1) * (groups - 1))
    return squares["units"] / units / groups, max(shared, 0.0) / units / groups


def _counted_twice(f: Callable[[np.ndarray], Estimate]) -> Callable[[np.ndarray], Estimate]:
    """Mean square of groups with what they do to single units, which the mean square of units has, too."""
    return lambda table: replace(f(table), points_variance=f(table.T).units_variance) if len(table) > 1 else f(table)


@law(
    Mutation("test points held fixed", f"{HERE}.estimated", lambda f: lambda t: replace(f(t), points_variance=0.0)),
    Mutation("units held fixed", f"{HERE}.estimated", lambda f: lambda t: replace(f(t), units_variance=0.0)),
    Mutation("rows and columns exchanged", f"{HERE}.estimated", lambda f: lambda t: f(t.T)),
    Mutation("what groups do to single units counted twice", f"{HERE}.estimated", _counted_twice),
    seed=SEEDS,
    units=st.integers(2, 8),
    groups=st.sampled_from([2, 5, GROUPS]),
)
def test_of_linear_data_it_is_the_analysis_of_variance(seed: int, units: int, groups: int) -> None:
    """Pseudo-values of a mean are the data; products with up to 320 in float64 leave 1e-12 of it."""
    rng = np.random.default_rng(seed)
    cells = rng.normal(size=units) + rng.normal(size=(groups, 1)) + 0.5 * rng.normal(size=(groups, units))
    found = estimated(leave_out_means(cells, np.eye(units, dtype=bool)))
    assert found.value == pytest.approx(cells.mean(), rel=1e-12, abs=1e-14)
    assert (found.units_variance, found.points_variance) == pytest.approx(_anova(cells), rel=1e-8, abs=1e-12)
    assert found.units == units


@law(
    Mutation(
        "biased", f"{HERE}.estimated", lambda f: lambda t: replace(f(t), units_variance=0.9 * f(t).units_variance)
    ),
    Mutation("normal", f"{HERE}.Estimate.freedom", lambda _: property(lambda self: 1e9)),
    seed=SEEDS,
    units=st.integers(2, 8),
)
def test_without_test_points_it_is_the_t_test(seed: int, units: int) -> None:
    values = np.random.default_rng(seed).normal(0.5, 1, units)
    found, expected = estimated(leave_out_means(values[None], np.eye(units, dtype=bool))), stats.ttest_1samp(values, 0)
    assert found.p == pytest.approx(expected.pvalue, rel=1e-9)
    assert found.interval() == pytest.approx(tuple(expected.confidence_interval()), rel=1e-9)
    assert found.interval(0.2) == pytest.approx(tuple(expected.confidence_interval(0.8)), rel=1e-9)


@law(
    Mutation(
        "pairs taken for independent",
        f"{HERE}.leave_out_means",
        lambda f: lambda v, t: f(v, np.eye(v.shape[1], dtype=bool)),
    ),
    Mutation(
        "biased", f"{HERE}.estimated", lambda f: lambda t: replace(f(t), units_variance=0.9 * f(t).units_variance)
    ),
    seed=SEEDS,
    units=st.integers(3, 7),
)
def test_over_pairs_it_is_the_jackknife_of_the_sample_variance(seed: int, units: int) -> None:
    """Half the mean square difference of pairs is the unbiased variance; Tukey's formula over what is left without each."""
    values = np.random.default_rng(seed).normal(size=units)
    pairs, touched = _pairs(units)
    found = estimated(leave_out_means(np.square(values[pairs[:, 0]] - values[pairs[:, 1]])[None] / 2, touched))
    without = np.array([np.delete(values, u).var(ddof=1) for u in range(units)])
    assert found.value == pytest.approx(values.var(ddof=1), rel=1e-12)
    spread = (units - 1) / units * np.square(without - without.mean()).sum()
    assert found.units_variance == pytest.approx(spread, rel=1e-9)
    assert found.units == units


# ------------------------------------------------------------------------------------------------ errors of the first kind

STUDIES = 2000
ERROR = np.sqrt(LEVEL * (1 - LEVEL) / STUDIES)
"""Standard error of a share of 5%: 0.49%."""


def _rejected(units: int, shares: tuple[float, float, float], effect: float = 0.0) -> float:
    """Share of two-sided tests at 5% that reject, where the standard error of the estimate is 1 in truth.

    Effects of units, of groups and of both are drawn for all studies at once; parts have these shares of the variance.
    """
    rng = np.random.default_rng(1)
    between, among, rest = np.sqrt(np.array(shares) / sum(shares) * (units, GROUPS, units * GROUPS))
    cells = (
        effect
        + between * rng.standard_normal((STUDIES, 1, units))
        + among * rng.standard_normal((STUDIES, GROUPS, 1))
        + rest * rng.standard_normal((STUDIES, GROUPS, units))
    )
    alone = np.eye(units, dtype=bool)
    return float(np.mean([estimated(leave_out_means(study, alone)).p < LEVEL for study in cells]))


@pytest.mark.long
@pytest.mark.slow
@law(
    Mutation("test points held fixed", f"{HERE}.estimated", lambda f: lambda t: replace(f(t), points_variance=0.0)),
    Mutation("units held fixed", f"{HERE}.estimated", lambda f: lambda t: replace(f(t), units_variance=0.0)),
    Mutation("what groups do to single units counted twice", f"{HERE}.estimated", _counted_twice),
    Mutation("normal", f"{HERE}.Estimate.freedom", lambda _: property(lambda self: 1e9)),
)
def test_nothing_is_found_in_five_per_cent_of_studies() -> None:
    """Within 3 standard errors of 2,000 studies (1.5%), and 1% for Satterthwaite's degrees of freedom above."""
    for units, shares in ((8, (1.0, 0.0, 0.0)), (8, (1.0, 1.0, 1.0)), (24, (0.1, 1.0, 0.3)), (24, (0.0, 0.0, 1.0))):
        assert LEVEL - 3 * ERROR < _rejected(units, shares) < LEVEL + 3 * ERROR + 0.01, (units, shares)


def test_what_is_there_is_found_as_often_as_planned() -> None:
    """An effect of 80% power by the shifted t, which is right to 2%, and 3 standard errors of 2,000 studies (2.7%)."""
    for units, shares in ((8, (1.0, 0.0, 0.0)), (24, (1.0, 1.0, 1.0))):
        one = Estimate(1.0, units, shares[0] + shares[2], shares[1])
        size = float(stats.t.isf(LEVEL / 2, one.freedom) + stats.t.isf(1 - POWER, one.freedom))
        assert _rejected(units, shares, effect=size) == pytest.approx(POWER, abs=0.02 + 0.027)


# -------------------------------------------------------------------------------------------------------- one estimate


def _some(seed: int) -> Estimate:
    rng = np.random.default_rng(seed)
    points = float(rng.choice([0.0, 10 ** rng.uniform(-8, -2)]))
    return Estimate(float(rng.normal(0, 0.1)), int(rng.integers(3, 30)), float(10 ** rng.uniform(-6, -1)), points)


@law(
    Mutation("one-sided", f"{HERE}.Estimate.p", lambda f: property(lambda self: f.fget(self) / 2)),
    seed=SEEDS,
)
def test_an_interval_ends_at_0_for_the_level_p(seed: int) -> None:
    """Unless p underflows to where quantiles of t are no longer exact."""
    found = _some(seed)
    if found.p > 1e-10:
        assert min(abs(end) for end in found.interval(found.p)) == pytest.approx(0, abs=1e-6 * found.stderr)


@law(
    Mutation("at half the level", f"{HERE}.Estimate.p_within", lambda f: lambda self, d: 2 * f(self, d)),
    Mutation("a test of 0", f"{HERE}.Estimate.p_within", lambda _: lambda self, delta: self.p),
    seed=SEEDS,
    delta=st.floats(0.01, 0.3),
)
def test_equivalence_is_two_one_sided_tests(seed: int, delta: float) -> None:
    """It is certain at 5% where the 90% interval lies inside (Schuirmann 1987)."""
    found = _some(seed)
    low, high = found.interval(2 * LEVEL)
    assert (found.p_within(delta) < 0.05) == (-delta < low and high < delta)
    either = [stats.t.sf((delta + side * found.value) / found.stderr, found.freedom) for side in (-1, 1)]
    assert found.p_within(delta) == pytest.approx(max(either), rel=1e-9)


def test_degrees_of_freedom_by_hand() -> None:
    """(1 + 2)^2 / (1^2 / 4 + 2^2 / 39); of one part alone its own."""
    assert Estimate(0.0, 5, 1.0, 2.0).freedom == pytest.approx(9 / (1 / 4 + 4 / 39), rel=1e-12)
    assert Estimate(0.0, 5, 1.0).freedom == pytest.approx(4, rel=1e-12)
    assert Estimate(0.0, 5, 0.0, 2.0).freedom == pytest.approx(39, rel=1e-12)


def test_units_that_are_all_alike() -> None:
    assert Estimate(0.1, 3, 0.0).p == 0
    assert np.isnan(Estimate(0.0, 3, 0.0).p)
    assert [Estimate(x, 3, 0.0).p_within(0.05) for x in (0.0, 0.1)] == [0, 1]


def test_without_a_value_there_is_no_p_and_a_reason() -> None:
    table = np.ones((3, 4))
    table[2, 1] = np.nan
    found = estimated(table)
    assert "outside the compared range" in found.obstacle
    assert np.isnan([found.p, found.p_within(1.0)]).all()
    assert found.units_to_decide(0.1) is None
    assert str(found) == found.obstacle


def test_a_p_is_never_told_as_0() -> None:
    assert [p_text(p) for p in (0.0, 1e-13, 1e-12, 0.0123, 1.0)] == ["p < 1e-12"] * 2 + [
        "p = 1e-12",
        "p = 0.012",
        "p = 1",
    ]
    assert p_text(0.0, "adjusted p") == "adjusted p < 1e-12"
    assert str(Estimate(0.5, 3, 1e-40)).endswith("p < 1e-12")


# ----------------------------------------------------------------------------------------------------- number of units


@law(
    Mutation(
        "ten fewer",
        f"{HERE}.Estimate.units_to_decide",
        lambda f: lambda self, delta: None if f(self, delta) is None else max(f(self, delta) - 10, 3),
    ),
    Mutation(
        "points fall with units, too",
        f"{HERE}.Estimate.with_units",
        lambda f: lambda self, n: replace(f(self, n), points_variance=self.points_variance * self.units / n),
    ),
    seed=SEEDS,
    delta=st.floats(0.01, 0.3),
)
def test_the_units_that_decide_are_the_least(seed: int, delta: float) -> None:
    """From them on every number decides: 80% power of a direction, or against an effect of interest."""
    found = _some(seed)
    counts = np.unique(np.geomspace(3, 100_000, 60).astype(int))
    needed = found.units_to_decide(delta)
    if needed is not None:
        counts = np.unique([*counts, needed, *range(max(needed - 12, 3), needed)])
    assert [_planned(found, int(n), delta) for n in counts] == [needed is not None and n >= needed for n in counts]


def _planned(found: Estimate, units: int, delta: float) -> bool:
    """Whether the estimate is as far from 0, or as far inside, as the quantiles of the level and of 80% power."""
    share = found.units_variance * found.units / units
    total = share + found.points_variance
    freedom = total**2 / (share**2 / (units - 1) + found.points_variance**2 / (GROUPS - 1))
    level, within, power = stats.t.ppf([1 - LEVEL / 2, 1 - LEVEL, POWER], freedom) * np.sqrt(total)
    return bool(abs(found.value) >= level + power or delta - abs(found.value) >= within + power)


@law(
    Mutation(
        "grows with the effect",
        f"{HERE}.Estimate.units_to_decide",
        lambda f: lambda self, delta: f(replace(self, value=1 / self.value), delta),
    ),
    examples=20,
    seed=SEEDS,
)
def test_a_larger_effect_and_less_noise_need_fewer_units(seed: int) -> None:
    """No smallest effect of interest, so that only a direction decides; values above and below 1."""
    found = replace(_some(seed), points_variance=0.0)
    numbers = [replace(found, value=x).units_to_decide(0.0) or np.inf for x in (0.02, 0.1, 0.5, 2.0)]
    assert all(fewer <= more for more, fewer in pairwise(numbers))
    louder = replace(found, units_variance=4 * found.units_variance)
    assert (found.units_to_decide(0.0) or np.inf) <= (louder.units_to_decide(0.0) or np.inf)


def test_too_few_test_points_are_told() -> None:
    assert Estimate(0.04, 8, 1e-4, 1e-2).units_to_decide(0.05) is None
    assert Estimate(0.04, 8, 1e-4, 0.0).units_to_decide(0.05) is not None


# -------------------------------------------------------------------------------------------------------------- curves


@law(
    Mutation(
        "points not ordered",
        "sharpdiv.checks.ensembles.crossed.np.take_along_axis",
        lambda f: lambda a, i, axis: _unsorted(f, a, i, axis),
    ),
    Mutation(
        "ends held outside", f"{HERE}.interpolated", lambda f: lambda x, y, at: np.nan_to_num(f(x, y, at), nan=1.0)
    ),
    Mutation("steps", f"{HERE}.interpolated", lambda f: lambda x, y, at: np.round(f(x, y, at))),
    seed=SEEDS,
    points=st.integers(2, 6),
)
def test_a_curve_is_numpys_inside_and_none_outside(seed: int, points: int) -> None:
    """Every element by itself; x, y and places of different shapes that fit."""
    rng = np.random.default_rng(seed)
    x, y, at = rng.normal(size=(points, 1, 3)), rng.normal(size=(points, 4, 3)), 1.5 * rng.normal(size=(4, 3))
    found = interpolated(x, y, at)
    for i, j in np.ndindex(4, 3):
        order = x[:, 0, j].argsort()
        expected = np.interp(at[i, j], x[order, 0, j], y[order, i, j], left=np.nan, right=np.nan)
        assert found[i, j] == pytest.approx(expected, rel=1e-9, abs=1e-12, nan_ok=True)


def _unsorted(f: Callable[..., np.ndarray], a: np.ndarray, indices: np.ndarray, axis: int) -> np.ndarray:
    return a if len(indices) == len(a) > 1 else f(a, indices, axis=axis)


def test_a_curve_goes_through_its_points_and_its_ends_are_inside() -> None:
    x, y = np.array([3.0, 0.0, 1.0]), np.array([2.0, 5.0, 1.0])
    assert_allclose([interpolated(x, y, np.array(at)) for at in x], y)
    assert_allclose(interpolated(x[:, None], y[:, None], np.array([0.5, 2.0, 3.1, -0.1])), [3, 1.5, np.nan, np.nan])
