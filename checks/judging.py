"""From resampled differences to verdicts: signs of intervals, comparison at equal sharpness, families of comparisons."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import permutations

import numpy as np
from jaxtyping import Float
from scipy import stats

from checks.claim import Finding, Verdict
from checks.evidence import Interval, Measured, detectable, interval
from empirical import InputError

__all__ = [
    "LEVEL",
    "Trend",
    "by_rho",
    "holm",
    "matched",
    "of_one_ensemble",
    "power",
    "rank_correlation",
    "sign",
    "trend",
    "verdict",
]

LEVEL = 0.05
"""Of significance, two-sided."""


def sign(measured: Interval) -> int:
    """Side of 0 that an interval lies on.

    Returns:
        1 if it is above 0, -1 if below, 0 if it contains 0.
    """
    return int(measured.low > 0) - int(measured.high < 0)


def verdict(signs: Sequence[int]) -> Verdict:
    """From signs that should all be 1.

    Returns:
        ``fails`` if one is -1, ``holds`` if all are 1, otherwise ``inconclusive``.
    """
    if min(signs, default=0) < 0:
        return Verdict.FAILS
    return Verdict.HOLDS if min(signs, default=0) > 0 else Verdict.INCONCLUSIVE


def of_one_ensemble(found: Finding, ensembles: int) -> Finding:
    """What one ensemble shows is of these very networks: it decides nothing about others.

    Args:
        found: by intervals over test points and members.
        ensembles: how many there are.

    Returns:
        The finding, inconclusive if there is one ensemble only.
    """
    if ensembles > 1 or found.verdict in {Verdict.NOT_RUN, Verdict.INCONCLUSIVE}:
        return found
    remark = f"Of these networks it {found.verdict}; one ensemble does not decide it for others. {found.remark}".strip()
    return Finding(Verdict.INCONCLUSIVE, found.numbers, remark)


def power(replicates: Float[np.ndarray, " replicates"]) -> str:
    """Interval of a difference with what could have been seen, for a report.

    Returns:
        Text such as ``0.1 [-0.1, 0.3] (80% power: 0.28)``.
    """
    return f"{interval(replicates)} (80% power: {detectable(replicates):.2g})"


def by_rho(label: str, curve: Measured, values: Float[np.ndarray, "replicates rho"]) -> tuple[str, str]:
    """A row of a finding: the data's own value for every rho.

    Returns:
        Label and values.
    """
    points = (f"{r:g}: {v:.4g}" for r, v in zip(curve.rho, values[0], strict=True))
    return (f"{label} by rho", ", ".join(points))


def matched(curve: Measured, points: Measured) -> Iterator[tuple[float, float, np.ndarray | float]]:
    """DER of some points minus that of a curve at the points' own sharpness.

    The curve is piecewise linear through its points in order of sharpness, and is nothing outside their range.

    Args:
        curve: to compare with.
        points: to be compared, resampled as the curve is.

    Yields:
        For every rho of the points: rho, their sharpness, and the replicates of the difference inside the curve's range; the share
        of the replicates outside it if that is above 5% or the data themselves are there.
    """
    for column, rho in enumerate(points.rho):
        at = points.sharpness[:, column]
        on_curve = np.array([_interpolated(k, d, x) for k, d, x in zip(curve.sharpness, curve.der, at, strict=True)])
        inside = ~np.isnan(on_curve)
        overlaps = inside[0] and inside.mean() >= 0.95
        found = (points.der[:, column] - on_curve)[inside] if overlaps else float(1 - inside.mean())
        yield float(rho), float(at[0]), found


def _interpolated(sharpness: np.ndarray, diversity: np.ndarray, at: float) -> float:
    order = np.argsort(sharpness)
    return float(np.interp(at, sharpness[order], diversity[order], left=np.nan, right=np.nan))


@dataclass(frozen=True)
class Trend:
    """Mean change from one column to the next."""

    change: Interval
    """with its 95% interval, of this change alone"""
    p: float
    """two-sided, of no change"""


def trend(values: Float[np.ndarray, "units columns"]) -> Trend:
    """Mean change from one column to the next, the same units in all columns.

    Least squares on the column's rank with an effect for each unit. The deviations from it, a bent curve among them, are taken for
    independent and normal with one variance, which gives Student's t with ``units (columns - 1) - 1`` degrees of freedom; for two
    columns it is the paired t test.

    Args:
        values: networks or ensembles by, for example, rho.

    Returns:
        Change, interval and p-value; all NaN if a value is.

    Raises:
        InputError: if no degree of freedom is left.
    """
    units, columns = values.shape
    freedom = units * (columns - 1) - 1
    if freedom < 1:
        raise InputError(f"a trend needs 2 columns of 2 units or 3 columns of 1, got {columns} of {units}")
    x = np.arange(columns) - (columns - 1) / 2
    centred = values - values.mean(axis=1, keepdims=True)
    change = float(centred.mean(axis=0) @ x / (x @ x))
    variance = ((centred - change * x) ** 2).sum() / freedom
    # Without any deviation the smallest positive number stands for 0: a change is certain then, and none is none.
    stderr = max(float(np.sqrt(variance / (units * (x @ x)))), np.finfo(float).tiny)
    reach = float(stats.t.ppf(1 - LEVEL / 2, freedom)) * stderr
    p = float(2 * stats.t.sf(abs(change) / stderr, freedom))
    return Trend(Interval(change, change - reach, change + reach), p)


def holm(p: Sequence[float]) -> list[float]:
    """P-values adjusted so that all that are below a level are false with at most that probability (Holm 1979).

    Args:
        p: of a family of tests, dependent or not.

    Returns:
        The adjusted ones, in the same order.
    """
    values = np.asarray(p, dtype=float)
    order = values.argsort()
    adjusted = np.empty_like(values)
    adjusted[order] = np.maximum.accumulate(values[order] * np.arange(len(values), 0, -1)).clip(max=1)
    return [float(each) for each in adjusted]


def rank_correlation(x: Float[np.ndarray, " points"], y: Float[np.ndarray, " points"]) -> tuple[float, float]:
    """Spearman's correlation with its two-sided p value: exact, from all orders, for up to 8 points, then Student's t.

    Args:
        x: the points on one side.
        y: as many.

    Returns:
        Correlation and p value; 0 and 1 where one side does not change.
    """
    ranks, others = (stats.rankdata(values) - (len(values) + 1) / 2 for values in (x, y))
    scale = float(np.sqrt((ranks @ ranks) * (others @ others)))
    if scale == 0:
        return 0.0, 1.0
    found = ranks @ others / scale
    if len(x) > 8:
        return float(found), float(stats.spearmanr(x, y).pvalue)
    orders = np.array(list(permutations(others))) @ ranks / scale
    return float(found), float(np.mean(np.abs(orders) >= abs(found) - 1e-12))
