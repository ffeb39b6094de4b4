"""From statistics of independent ensembles or members to verdicts: one type of comparison, and one rule for families of them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
from jaxtyping import Float
from scipy import stats
from scipy.optimize import brentq

from sharpdiv.checks.claim import Effect, Finding, Row, Value, Verdict
from sharpdiv.checks.ensembles.crossed import LEVEL, POWER, holm
from sharpdiv.checks.quantity import Quantity, p_text

__all__ = ["LEVEL", "Comparison", "aligned", "judge"]


@dataclass(frozen=True)
class Comparison:
    """A statistic that is 0 if there is no effect, of every ensemble (or jackknifed: every member's pseudo-value).

    Test points are held fixed.
    """

    label: str
    """what is compared"""
    per_ensemble: Float[np.ndarray, " ensembles"]
    """the statistic"""
    obstacle: str = ""
    """why it cannot be made, if so"""
    statistic: str = ""
    """what of it, where the label does not say"""

    @property
    def value(self) -> float:
        """Mean over ensembles."""
        return float(self.per_ensemble.mean())

    @property
    def ensembles(self) -> int:
        """How many."""
        return len(self.per_ensemble)

    @property
    def stderr(self) -> float:
        """Standard error of the value; 0 for one ensemble, which cannot show it."""
        return float(stats.sem(self.per_ensemble)) if self.ensembles > 1 else 0.0

    @property
    def low(self) -> float:
        """Lower end of Student's 95% interval."""
        return self.value - self._reach

    @property
    def high(self) -> float:
        """Upper end of Student's 95% interval."""
        return self.value + self._reach

    @property
    def _reach(self) -> float:
        return float(stats.t.isf(LEVEL / 2, self.ensembles - 1)) * self.stderr if self.stderr else 0.0

    @property
    def p(self) -> float:
        """Two-sided, of no effect; NaN for one ensemble, and where no comparison can be made."""
        if self.ensembles == 1 or self.obstacle or not np.isfinite(self.value + self.stderr):
            return float(np.nan)
        if not self.value:
            return 1.0
        return float(2 * stats.t.sf(abs(self.value) / self.stderr, self.ensembles - 1)) if self.stderr else 0.0

    @property
    def detectable(self) -> float:
        """True value that such a test would see with about 80% power, by itself, if the variance is as measured."""
        return _noncentrality(self.ensembles - 1) * self.stderr if self.ensembles > 1 else 0.0

    @property
    def name(self) -> str:
        """What is compared, and which statistic of it."""
        return f"{self.label}: {self.statistic}" if self.statistic else self.label

    def row(self, adjusted: float = np.nan) -> Row:
        """For a finding.

        Args:
            adjusted: p-value, if there is one.

        Returns:
            Label and values.
        """
        return self.name, self.quantity(None if np.isnan(adjusted) else adjusted)

    def quantity(self, adjusted: float | None = None) -> Value:
        """Value, interval and p-value, or why there are none.

        Args:
            adjusted: p-value, if there is one.

        Returns:
            For a line of a finding.
        """
        if self.obstacle:
            return self.obstacle if adjusted is None else f"{self.obstacle}, adjusted {p_text(adjusted)}"
        if self.ensembles == 1:
            return Quantity(self.value, unit=" of these networks", adjusted=adjusted)
        low, high, detectable = self.low, self.high, self.detectable
        return Quantity(self.value, low=low, high=high, p=self.p, detectable=detectable, adjusted=adjusted)

    def effect(
        self, direction: int = 0, *, stated: tuple[float, float] | None = None, decides: bool = True
    ) -> Effect | None:
        """For a forest plot.

        Args:
            direction: side of 0 that a claim says.
            stated: interval that a claim says the value lies in.
            decides: whether the verdict rests on it.

        Returns:
            None where the comparison cannot be made.
        """
        if self.obstacle or not np.isfinite(self.value):
            return None
        return Effect(
            label=self.label,
            estimate=self.value,
            low=self.low,
            high=self.high,
            unit=self.statistic or self.label,
            stated=stated,
            direction=direction,
            n=self.ensembles,
            of="ensembles or members",
            decides=decides,
        )

    def __str__(self) -> str:
        return str(self.quantity())


@cache
def _noncentrality(freedom: int) -> float:
    """Of Student's t, at which the two-sided test has the power."""
    threshold = stats.t.isf(LEVEL / 2, freedom)
    return float(brentq(lambda shift: stats.nct.sf(threshold, freedom, shift) - POWER, 0, 10 * threshold))


def judge(
    comparisons: Sequence[Comparison],
    direction: int,
    rows: Sequence[Row] = (),
    remark: str = "",
    wrong_ones: tuple[str, str] = ("Opposite", "comparisons have the opposite sign"),
) -> Finding:
    """Verdict on a family of comparisons that should all be on one side of 0.

    It holds if each is by its own p-value (an intersection-union test needs no adjustment), fails if one is on the other side by
    its adjusted one, and is inconclusive otherwise.

    Args:
        comparisons: the family.
        direction: 1 if values should be above 0, -1 if below.
        rows: what to tell before the comparisons.
        remark: what to say before the exceptions.
        wrong_ones: what those on the other side are called, and what is said of so many.

    Returns:
        Verdict, all comparisons, and in the remark what is opposite.
    """
    adjusted = holm([c.p for c in comparisons])
    wrong = [c.label for c, p in zip(comparisons, adjusted, strict=True) if p < LEVEL and c.value * direction < 0]
    verdict = Verdict.INCONCLUSIVE
    if wrong:
        verdict = Verdict.FAILS
    elif comparisons and all(c.p < LEVEL and c.value * direction > 0 for c in comparisons):
        verdict = Verdict.HOLDS
    called, said = wrong_ones
    remarks = [remark, f"{called}: {'; '.join(wrong)}." if wrong else ""]
    if obstacles := sum(bool(c.obstacle) for c in comparisons):
        remarks.append(f"{obstacles} of {len(comparisons)} comparisons cannot be made.")
    shown = [c.row(p if len(comparisons) > 1 else np.nan) for c, p in zip(comparisons, adjusted, strict=True)]
    effects = tuple(effect for c in comparisons if (effect := c.effect(direction)))
    reasons = {Verdict.FAILS: f"{len(wrong)} of {len(comparisons)} {said}"}
    return Finding(verdict, (*rows, *shown), " ".join(filter(None, remarks)), effects, reasons=reasons)


def aligned(predicted: Comparison, measured: Comparison, statistic: str) -> Comparison:
    """What was measured, counted in the direction that was predicted.

    Args:
        predicted: whose sign counts; it must be clear by its own p-value.
        measured: has the label.
        statistic: what the result is called.

    Returns:
        Above 0 where both have one sign; nothing where the prediction has none.
    """
    if not predicted.p < LEVEL:
        return replace(measured, obstacle=predicted.obstacle or "the prediction has no clear sign", statistic=statistic)
    return replace(measured, per_ensemble=np.sign(predicted.value) * measured.per_ensemble, statistic=statistic)
