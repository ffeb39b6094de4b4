"""Estimates from seeds crossed with test points: their error, and the verdict that they allow.

Every network meets every test point, so an estimate varies for two reasons: other seeds give other networks, and another test set
would be easier or harder for all of them. Both are seen by leaving out: a statistic is computed without each unit (a seed, or a
triple of seeds that were trained together), without each group of test points, and without both. The pseudo-values of that
jackknife are a table of units by groups whose two-way analysis of variance has the variance of the estimate: what a group does to
one unit alone is counted once, not once for the units and again for the points. That is the multi-reader multi-case method of
Dorfman, Berbaum and Metz (1992). Jackknifed U-statistics over pairs or triples of seeds are from Arvesen (1969).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np
from jaxtyping import Bool, Float
from scipy import stats

from sharpdiv.checks.quantity import Quantity

__all__ = [
    "GROUPS",
    "LEVEL",
    "POWER",
    "Decision",
    "Estimate",
    "Primary",
    "decide",
    "estimated",
    "holm",
    "interpolated",
    "jackknife_variances",
    "leave_out_means",
    "satterthwaite",
]

LEVEL = 0.05
"""Of significance, two-sided for a direction."""
POWER = 0.8
"""With which a planned number of seeds should decide."""
GROUPS = 40
"""Of test points: consecutive ones of the stratified order, so that groups are alike."""
_MOST_SEEDS = 100_000
_NO_VALUE = "no value for some seeds: outside the compared range, or the logarithm of a quantity that is not above 0"

Array = Float[np.ndarray, "*studies"]
Table = Float[np.ndarray, "groups_and_all units_and_all"]
"""A statistic of everything (first row and column), without each group of test points, without each unit, and without both; one row
if test points do not enter."""


def leave_out_means(
    values: Float[np.ndarray, "*studies groups tuples"], touched: Bool[np.ndarray, "units tuples"]
) -> Float[np.ndarray, "*studies groups_and_all units_and_all"]:
    """Means over tuples of seeds and groups of test points, of everything and with one left out.

    Args:
        values: for each group of equally many test points (one row if there are none), of every seed, pair or triple.
        touched: whether leaving a unit out leaves out the tuple.

    Returns:
        The table; NaN where nothing is left.
    """
    groups = values.shape[-2]
    points = values
    if groups > 1:
        mean = values.mean(axis=-2, keepdims=True)
        points = np.concatenate([mean, (groups * mean - values) / (groups - 1)], axis=-2)
    kept = np.vstack([np.ones(touched.shape[1]), ~touched])
    counts = kept.sum(axis=1)
    return points @ kept.T / np.where(counts > 0, counts, np.nan)


@dataclass(frozen=True)
class Estimate:
    """A statistic that is 0 if there is no effect, with its error over seeds and test points."""

    value: float
    """of all the data"""
    units: int
    """independent units: seeds, or triples of them"""
    units_variance: float
    """part of the variance that falls as one over the units; what groups do to single units is in it"""
    points_variance: float = 0.0
    """part that all units share, which only more test points make smaller"""
    obstacle: str = ""
    """why there is no value, if so"""

    @property
    def stderr(self) -> float:
        """Standard error."""
        return float(np.sqrt(self.units_variance + self.points_variance))

    @property
    def freedom(self) -> float:
        """Degrees of freedom by Satterthwaite, of the units' part and of the points' part."""
        return float(satterthwaite(self.units_variance, self.points_variance, self.units))

    def interval(self, level: float = LEVEL) -> tuple[float, float]:
        """Student's interval.

        Args:
            level: one minus the confidence.

        Returns:
            Its ends.
        """
        reach = float(stats.t.isf(level / 2, self.freedom)) * self.stderr
        return self.value - reach, self.value + reach

    @property
    def p(self) -> float:
        """Two-sided p-value of no effect; NaN if there is no value."""
        if self.obstacle or not self.stderr:
            return float(np.nan) if self.obstacle or self.value == 0 else 0.0
        return float(2 * stats.t.sf(abs(self.value) / self.stderr, self.freedom))

    def p_within(self, delta: float) -> float:
        """P-value of an effect of at least ``delta`` on either side: two one-sided tests (Schuirmann 1987).

        Args:
            delta: smallest effect of interest.

        Returns:
            Small if the effect is certainly smaller; NaN if there is no value.
        """
        if self.obstacle:
            return float(np.nan)
        if not self.stderr:
            return 0.0 if abs(self.value) < delta else 1.0
        return float(stats.t.sf((delta - abs(self.value)) / self.stderr, self.freedom))

    def with_units(self, units: int) -> "Estimate":
        """What the error would be with another number of units.

        Args:
            units: how many.

        Returns:
            The same value.
        """
        return replace(self, units=units, units_variance=self.units_variance * self.units / units)

    def units_to_decide(self, delta: float) -> int | None:
        """Units with which a true effect of this size would be decided with 80% power by itself, for a direction or against one.

        Args:
            delta: smallest effect of interest.

        Returns:
            The least number; None if no number of units is enough on these test points.
        """
        if self.obstacle:
            return None
        low, high = 3, _MOST_SEEDS
        if not self._decides(high, delta):
            return None
        while low < high:
            middle = (low + high) // 2
            low, high = (low, middle) if self._decides(middle, delta) else (middle + 1, high)
        return low

    def _decides(self, units: int, delta: float) -> bool:
        planned = self.with_units(units)
        # A shifted t for the noncentral one: a per cent or two of power, and no series that fails far out.
        needed = (stats.t.isf(LEVEL / 2, planned.freedom) + stats.t.isf(1 - POWER, planned.freedom)) * planned.stderr
        inside = (stats.t.isf(LEVEL, planned.freedom) + stats.t.isf(1 - POWER, planned.freedom)) * planned.stderr
        return bool(abs(self.value) >= needed or delta - abs(self.value) >= inside)

    def __str__(self) -> str:
        if self.obstacle:
            return self.obstacle
        return str(self.quantity())

    def quantity(self, adjusted: float | None = None) -> Quantity:
        """For a finding.

        Args:
            adjusted: p-value after Holm's adjustment, if there is one.

        Returns:
            The value with its interval and p-value; only for an estimate without an obstacle.
        """
        low, high = self.interval()
        return Quantity(self.value, low=low, high=high, p=self.p, adjusted=adjusted)


def estimated(table: Table) -> Estimate:
    """Value and variance of a statistic.

    Args:
        table: of the statistic.

    Returns:
        The estimate; with an obstacle where the statistic has no value with something left out.
    """
    units, value = table.shape[1] - 1, float(table[0, 0])
    if not np.isfinite(table).all():
        return Estimate(value, units, np.nan, obstacle=_NO_VALUE)
    of_units, of_points = jackknife_variances(table)
    return Estimate(value, units, float(of_units), float(of_points))


def jackknife_variances(table: Float[np.ndarray, "*studies groups_and_all units_and_all"]) -> tuple[Array, Array]:
    """The two parts of a statistic's variance, from the analysis of variance of its pseudo-values.

    Args:
        table: of the statistic, of one study or of many.

    Returns:
        The part that falls as one over the units, and the part that all units share, 0 where test points do not enter.
    """
    units, groups = table.shape[-1] - 1, table.shape[-2] - 1
    value, of_unit = table[..., :1, :1], table[..., :1, 1:]
    if not groups:
        pseudo = (units * value - (units - 1) * of_unit)[..., 0, :]
        return np.asarray(pseudo.var(axis=-1, ddof=1) / units), np.zeros(table.shape[:-2])
    pseudo = (
        units * groups * value
        - (units - 1) * groups * of_unit
        - units * (groups - 1) * table[..., 1:, :1]
        + (units - 1) * (groups - 1) * table[..., 1:, 1:]
    )
    by_unit, by_group = pseudo.mean(axis=-2, keepdims=True), pseudo.mean(axis=-1, keepdims=True)
    rest = pseudo - by_unit - by_group + pseudo.mean(axis=(-2, -1), keepdims=True)
    of_units = np.asarray(by_unit[..., 0, :].var(axis=-1, ddof=1) / units)
    of_rest = (rest**2).sum(axis=(-2, -1)) / ((units - 1) * (groups - 1) * units * groups)
    return of_units, np.asarray(np.maximum(by_group[..., 0].var(axis=-1, ddof=1) / groups - of_rest, 0.0))


def satterthwaite(of_units: float | Array, of_points: float | Array, units: int) -> Array:
    """Degrees of freedom of the sum of two estimated variances (Satterthwaite 1946).

    Args:
        of_units: part with one degree less than the units.
        of_points: part with one degree less than the groups of test points.
        units: seeds or triples.

    Returns:
        At most the sum of both; the units' own where the sum is 0.
    """
    first, second = np.asarray(of_units, dtype=float), np.asarray(of_points, dtype=float)
    parts = first**2 / (units - 1) + second**2 / (GROUPS - 1)
    return np.where(parts > 0, (first + second) ** 2 / np.where(parts > 0, parts, 1.0), units - 1.0)


def interpolated(
    x: Float[np.ndarray, "points *#axes"], y: Float[np.ndarray, "points *#axes"], at: np.ndarray
) -> np.ndarray:
    """A curve through points at some places, piecewise linear, for every element of the other axes by itself.

    Args:
        x: places of the curve's points, in any order.
        y: their heights.
        at: where to read it.

    Returns:
        Heights; NaN outside the points.
    """
    x, y, at = (np.broadcast_to(a, np.broadcast_shapes(x.shape, y.shape, (1, *at.shape))) for a in (x, y, at[None]))
    order = x.argsort(axis=0)
    x, y, at = np.take_along_axis(x, order, axis=0), np.take_along_axis(y, order, axis=0), at[0]
    right = (x < at).sum(axis=0).clip(1, len(x) - 1)[None]
    x0, x1 = (np.take_along_axis(x, place, axis=0)[0] for place in (right - 1, right))
    y0, y1 = (np.take_along_axis(y, place, axis=0)[0] for place in (right - 1, right))
    width = np.where(x1 > x0, x1 - x0, 1.0)
    return np.where((at >= x[0]) & (at <= x[-1]), y0 + (y1 - y0) * (at - x0) / width, np.nan)


def holm(p: Sequence[float]) -> list[float]:
    """P-values adjusted so that all that are below a level are false with at most that probability (Holm 1979).

    Args:
        p: of a family of tests, dependent or not; NaN for those that could not be made, which count all the same.

    Returns:
        The adjusted ones, in the same order.
    """
    values = np.asarray(p, dtype=float)
    order = values.argsort()
    adjusted = np.empty_like(values)
    adjusted[order] = np.maximum.accumulate(values[order] * np.arange(len(values), 0, -1)).clip(max=1)
    return [float(each) for each in adjusted]


class Decision(StrEnum):
    """What a primary comparison shows."""

    HOLDS = "holds"
    FAILS = "fails"
    NO_EFFECT = "no effect"
    INCONCLUSIVE = "inconclusive"


@dataclass(frozen=True)
class Primary:
    """The one comparison that decides a claim."""

    p: float
    """two-sided, of no effect"""
    side: int
    """of the effect: 1 or -1"""
    direction: int
    """that the claim gives it"""
    p_within: float = float("nan")
    """of an effect that is not smaller than the smallest of interest; NaN where that has no meaning"""


def decide(family: Sequence[Primary]) -> list[Decision]:
    """Verdicts on the claims of a family.

    P-values of directions are adjusted by Holm over the family, those of equivalence likewise; a claim has no effect if its effect
    is certainly smaller than what is of interest, even if it is certainly not 0.

    Args:
        family: all primary comparisons of a data set.

    Returns:
        A decision on each.
    """
    directions, equivalences = holm([c.p for c in family]), holm([c.p_within for c in family])
    decisions = []
    for comparison, p, p_within in zip(family, directions, equivalences, strict=True):
        decision = Decision.INCONCLUSIVE
        if p_within < LEVEL:
            decision = Decision.NO_EFFECT
        elif p < LEVEL:
            decision = Decision.HOLDS if comparison.side == comparison.direction else Decision.FAILS
        decisions.append(decision)
    return decisions
