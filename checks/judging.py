"""From statistics of ensembles to verdicts: one type of comparison, and one rule for families of them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property

import numpy as np
from jaxtyping import Float
from scipy import stats
from scipy.optimize import brentq
from scipy.special import ndtri, stdtrit

from checks.claim import Finding, Verdict
from checks.crossed import holm

__all__ = [
    "LEVEL",
    "Comparison",
    "aligned",
    "judge",
    "spearman",
]

LEVEL = 0.05
"""Of significance, two-sided."""
_POWER = 0.8


@dataclass(frozen=True)
class Comparison:
    """A statistic that is 0 if there is no effect, of every ensemble (or jackknifed: every member's pseudo-value).

    Its mean has the variance ``s^2 / n + v``: s^2 is that over the n ensembles, measured on the same test points, v that of the
    mean over test points. What test points do to each ensemble by itself is in both, so the sum is rather too large.

    Half-widths of the two parts' own intervals, Student's and the normal one, are added in squares (Howe 1974). One t with
    Satterthwaite's degrees of freedom would not do: it takes few ensembles that are alike by chance for certain, and finds effects
    where there are none.
    """

    label: str
    """what is compared"""
    per_ensemble: Float[np.ndarray, " ensembles"]
    """the statistic"""
    points_variance: float = 0.0
    """v; 0 if test points do not enter, or are held fixed"""
    obstacle: str = ""
    """why it cannot be made, if so"""
    statistic: str = ""
    """what of it, where the label does not say"""
    least_p: float = 0.0
    """of another test, which p may not be below"""

    @classmethod
    def of(cls, label: str, replicates: Float[np.ndarray, "replicates ensembles"], statistic: str = "") -> "Comparison":
        """Comparison from a statistic that was resampled over test points.

        Args:
            label: what is compared.
            replicates: of the statistic; the first is the data's own, and may be the only one.
            statistic: what of it.

        Returns:
            With the variance over the other replicates.
        """
        resampled = replicates[1:].mean(axis=1)
        variance = float(resampled.var(ddof=1)) if len(resampled) else 0.0
        return cls(label, replicates[0], variance, statistic=statistic)

    @property
    def value(self) -> float:
        """Mean over ensembles."""
        return float(self.per_ensemble.mean())

    @property
    def ensembles(self) -> int:
        """How many."""
        return len(self.per_ensemble)

    @property
    def ensembles_variance(self) -> float:
        """``s^2 / n``; 0 for one ensemble, which cannot show it."""
        return float(self.per_ensemble.var(ddof=1)) / self.ensembles if self.ensembles > 1 else 0.0

    @property
    def stderr(self) -> float:
        """Standard error of the value."""
        return float(np.sqrt(self.ensembles_variance + self.points_variance))

    @property
    def low(self) -> float:
        """Lower end of the 95% interval."""
        return self.value - self._reach(LEVEL / 2)

    @property
    def high(self) -> float:
        """Upper end of the 95% interval."""
        return self.value + self._reach(LEVEL / 2)

    @cached_property
    def p(self) -> float:
        """Two-sided, of no effect: 1 less the confidence of the interval that ends at 0.

        NaN for one ensemble, and where no comparison can be made.
        """
        if self.ensembles == 1 or self.obstacle or not np.isfinite(self.value + self.stderr):
            return float(np.nan)
        if not self.value:
            return 1.0
        # In the logarithm, from 1e-100, which stands for certainty.
        lowest = float(np.log(1e-100))
        if self._reach(np.exp(lowest) / 2) <= abs(self.value):
            return self.least_p
        found = np.exp(brentq(lambda log: self._reach(np.exp(log) / 2) - abs(self.value), lowest, 0.0))
        return max(float(found), self.least_p)

    @property
    def detectable(self) -> float:
        """True value that such a test would see with about 80% power, by itself, if the variances are as measured."""
        student = _noncentrality(self.ensembles - 1) if self.ensembles > 1 else 0.0
        return self._in_squares(student, -ndtri(LEVEL / 2) - ndtri(1 - _POWER))

    def _reach(self, tail: float) -> float:
        """Upper quantile at some probability, in units of the value."""
        return self._in_squares(-stdtrit(self.ensembles - 1, tail) if self.ensembles > 1 else 0.0, -ndtri(tail))

    def _in_squares(self, student: float, normal: float) -> float:
        return float(np.sqrt(student**2 * self.ensembles_variance + normal**2 * self.points_variance))

    def row(self, adjusted: float = np.nan) -> tuple[str, str]:
        """For a finding.

        Args:
            adjusted: p-value, if there is one.

        Returns:
            Label and values.
        """
        label = f"{self.label}: {self.statistic}" if self.statistic else self.label
        return label, str(self) if np.isnan(adjusted) else f"{self}, adjusted p = {adjusted:.2g}"

    def __str__(self) -> str:
        if self.obstacle:
            return self.obstacle
        if self.ensembles == 1:
            within = f" [{self.low:.4g}, {self.high:.4g}]" if self.stderr else ""
            return f"{self.value:.4g}{within} of these networks"
        return (
            f"{self.value:.4g} [{self.low:.4g}, {self.high:.4g}], p = {self.p:.2g} (80% power: {self.detectable:.2g})"
        )


@cache
def _noncentrality(freedom: int) -> float:
    """Of Student's t, at which the two-sided test has the power."""
    threshold = -stdtrit(freedom, LEVEL / 2)
    return float(brentq(lambda shift: stats.nct.sf(threshold, freedom, shift) - _POWER, 0, 10 * threshold))


def judge(
    comparisons: Sequence[Comparison],
    direction: int,
    groups: Sequence[set[str]] = (),
    rows: Sequence[tuple[str, str]] = (),
    remark: str = "",
) -> Finding:
    """Verdict on a family of comparisons that should all be on one side of 0.

    It holds if each is by its own p-value (an intersection-union test needs no adjustment), fails if one is on the other side by
    its adjusted one, and is inconclusive otherwise.

    Args:
        comparisons: the family.
        direction: 1 if values should be above 0, -1 if below.
        groups: labels; the claim holds within conditions if it does not hold but one of each group is clear after adjustment.
        rows: what to tell before the comparisons.
        remark: what to say before the exceptions.

    Returns:
        Verdict, all comparisons, and in the remark what is opposite, and of groups what is clear and what is not.
    """
    adjusted = holm([c.p for c in comparisons])
    right = {c.label for c, p in zip(comparisons, adjusted, strict=True) if p < LEVEL and c.value * direction > 0}
    wrong = {c.label for c, p in zip(comparisons, adjusted, strict=True) if p < LEVEL and c.value * direction < 0}
    verdict = Verdict.INCONCLUSIVE
    if wrong:
        verdict = Verdict.FAILS
    elif comparisons and all(c.p < LEVEL and c.value * direction > 0 for c in comparisons):
        verdict = Verdict.HOLDS
    elif groups and all(right & group for group in groups):
        verdict = Verdict.CONDITIONAL
    labels = [c.label for c in comparisons]
    named = {"Opposite": [name for name in labels if name in wrong]}
    if groups and verdict != Verdict.HOLDS:
        named |= {"Clear": [name for name in labels if name in right]}
        named |= {"Not clear": [name for name in labels if name not in right | wrong]}
    remarks = [remark, *(f"{what}: {'; '.join(names)}." for what, names in named.items() if names)]
    if obstacles := sum(bool(c.obstacle) for c in comparisons):
        remarks.append(f"{obstacles} of {len(comparisons)} comparisons cannot be made.")
    shown = [c.row(p if len(comparisons) > 1 else np.nan) for c, p in zip(comparisons, adjusted, strict=True)]
    return Finding(verdict, (*rows, *shown), " ".join(filter(None, remarks)))


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


def spearman(x: Float[np.ndarray, "*#batch points"], y: Float[np.ndarray, "*batch points"]) -> np.ndarray:
    """Spearman's correlation over the last axis.

    Args:
        x: one quantity.
        y: the other.

    Returns:
        Correlations in [-1, 1], without that axis; 0 where a quantity does not change.
    """
    ranks, others = (stats.rankdata(values, axis=-1) - (x.shape[-1] + 1) / 2 for values in (x, y))
    scale = np.sqrt((ranks**2).sum(axis=-1) * (others**2).sum(axis=-1))
    return np.asarray((ranks * others).sum(axis=-1) / np.where(scale > 0, scale, 1))
