"""What a comparison found, as a row of a forest plot: estimate, interval, and what it is to be seen against."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from scipy import stats

from sharpdiv.checks.quantity import Agreement, Quantity, Row

__all__ = ["Effect", "of_agreements"]


@dataclass(frozen=True, kw_only=True)
class Effect:
    """One comparison."""

    label: str
    """what is compared"""
    estimate: float
    """its value"""
    low: float
    """lower end of the 95% interval; the estimate itself where nothing is random, or one value cannot show how it varies"""
    high: float
    """upper end"""
    unit: str
    """what the number is, such as ``log ratio of D``"""
    reference: float = 0.0
    """value of no effect: 1 for a ratio"""
    delta: float | None = None
    """smallest effect of interest; None where none was fixed"""
    stated: tuple[float, float] | None = None
    """interval that the claim says it lies in, if it does"""
    direction: int = 0
    """side of the reference that the claim says: 1 or -1; 0 where it says none"""
    n: int | None = None
    """independent seeds, triples or draws; None where the number is not of a sample"""
    of: str = ""
    """what ``n`` counts"""
    decides: bool = False
    """whether the verdict rests on it"""


def of_agreements(rows: Iterable[Row]) -> tuple[Effect, ...]:
    """Ratios of what was simulated to what theory says, of the lines that have both.

    Args:
        rows: lines of a finding.

    Returns:
        One for each such line with a prediction that is not 0; intervals by t, normal ones where draws are not counted.
    """
    found = []
    for label, value in rows:
        if not isinstance(value, Agreement):
            continue
        theory, measured = value.parts[:2]
        if (
            isinstance(theory, Quantity)
            and isinstance(measured, Quantity)
            and np.isfinite(1 / (theory.value or np.nan))
        ):
            ratio, error = measured.value / theory.value, abs((measured.stderr or 0.0) / theory.value)
            half = error * float(stats.t.isf(0.025, value.draws - 1) if value.draws else stats.norm.isf(0.025))
            found.append(
                Effect(
                    label=label.split(": theory,")[0].split(": limit,")[0].split(": exact,")[0],
                    estimate=ratio,
                    low=ratio - half,
                    high=ratio + half,
                    unit="measured / theory",
                    reference=1.0,
                    n=value.draws,
                    of="draws" if value.draws else "",
                    decides=True,
                )
            )
    return tuple(found)
