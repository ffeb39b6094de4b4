"""From statistics of ensembles to verdicts: one type of comparison, and one rule for families of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import permutations

import numpy as np
from jaxtyping import Float
from scipy import stats
from scipy.optimize import brentq
from scipy.special import ndtri, stdtrit

from checks.claim import Finding, Verdict
from checks.evidence import Measured

__all__ = [
    "LEVEL",
    "Comparison",
    "aligned",
    "by_rho",
    "fitted_line",
    "fitted_slope",
    "holm",
    "judge",
    "matched",
    "rank_correlation",
    "slopes",
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
        if self.ensembles == 1 or self.obstacle or np.isnan(self.value):
            return float(np.nan)
        if not self.value:
            return 1.0
        # In the logarithm, from 1e-100, which stands for certainty.
        lowest = float(np.log(1e-100))
        if self._reach(np.exp(lowest) / 2) <= abs(self.value):
            return 0.0
        return float(np.exp(brentq(lambda log: self._reach(np.exp(log) / 2) - abs(self.value), lowest, 0.0)))

    @property
    def detectable(self) -> float:
        """True value that such a test would see with about 80% power."""
        return self._reach(LEVEL / 2, 1 - _POWER)

    def _reach(self, *tails: float) -> float:
        """Upper quantiles at some probabilities, summed and in units of the value."""
        student = -sum(stdtrit(self.ensembles - 1, tail) for tail in tails) if self.ensembles > 1 else 0.0
        normal = -sum(ndtri(tail) for tail in tails)
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


def by_rho(label: str, curve: Measured, values: Float[np.ndarray, "replicates ensembles rho"]) -> tuple[str, str]:
    """A row of a finding: the mean over ensembles for every rho.

    Returns:
        Label and values.
    """
    points = (f"{r:g}: {v:.4g}" for r, v in zip(curve.rho, values[0].mean(axis=0), strict=True))
    return (f"{label} by rho", ", ".join(points))


def slopes(quantities: Mapping[str, Float[np.ndarray, "_ ensembles rho"]]) -> list[Comparison]:
    """Mean change from one rho to the next of some quantities: the least-squares slope on the rank of rho.

    Returns:
        A comparison of each.
    """
    statistic = "mean change from one rho to the next"
    return [
        Comparison.of(name, fitted_slope(np.arange(float(values.shape[-1])), values), statistic)
        for name, values in quantities.items()
    ]


def fitted_slope(x: Float[np.ndarray, "*#batch points"], y: Float[np.ndarray, "*batch points"]) -> np.ndarray:
    """Least-squares slope over the last axis.

    Returns:
        Slopes, without that axis.
    """
    centred = x - x.mean(axis=-1, keepdims=True)
    return np.asarray((centred * y).sum(axis=-1) / (centred**2).sum(axis=-1))


def fitted_line(x: np.ndarray, y: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Value of the least-squares line over the last axis.

    Args:
        x: of the points.
        y: of the points.
        at: where to take the line.

    Returns:
        Values of the shape of ``at``, broadcast over all axes but the last.
    """
    return y.mean(axis=-1, keepdims=True) + fitted_slope(x, y)[..., None] * (at - x.mean(axis=-1, keepdims=True))


def matched(name: str, curve: Measured, points: Measured) -> list[Comparison]:
    """DER of some points minus that of a line at the points' own sharpness.

    The line is fitted to DER on the logarithm of sharpness of the curve's points, for each ensemble, and is nothing outside them.

    Args:
        name: of the points.
        curve: to compare with.
        points: of the same ensembles and replicates.

    Returns:
        One for each rho of the points; without a value where an ensemble is outside the range of its line.
    """
    x, at = np.log(curve.sharpness), np.log(points.sharpness)
    differences = points.der - fitted_line(x, curve.der, at)
    outside = ((at < x.min(axis=-1, keepdims=True)) | (at > x.max(axis=-1, keepdims=True)))[0].sum(axis=0)
    found = []
    for column, rho in enumerate(points.rho):
        label = f"{name} at rho = {rho:g}, sharpness {points.sharpness[0, :, column].mean():.4g}: DER above the line"
        comparison = Comparison.of(label, differences[..., column])
        if outside[column]:
            obstacle = f"outside the range of the line in {outside[column]} of {comparison.ensembles} ensembles"
            comparison = Comparison(label, np.full(comparison.ensembles, np.nan), obstacle=obstacle)
        found.append(comparison)
    return found


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


def rank_correlation(x: Float[np.ndarray, " points"], y: Float[np.ndarray, " points"]) -> tuple[float, float]:
    """Spearman's correlation with its two-sided p value: exact, from all orders, for up to 8 points, then Student's t.

    Args:
        x: the points on one side.
        y: as many.

    Returns:
        Correlation and p value; 0 and 1 where one side does not change.
    """
    found = float(spearman(x, y))
    if len(x) > 8 and found:
        return found, float(stats.spearmanr(x, y).pvalue)
    orders = spearman(x, np.array(list(permutations(y)))) if len(x) <= 8 else np.zeros(1)
    return found, float(np.mean(np.abs(orders) >= abs(found) - 1e-12))
