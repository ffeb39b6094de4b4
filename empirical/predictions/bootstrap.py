"""Percentile bootstrap over test points (Efron and Tibshirani 1993, chapter 13) of every metric of an ensemble.

A replicate is a vector of counts, how often it drew each test point, so all replicates of all metrics are one matrix product.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from sharpdiv.empirical.errors import InputError
from sharpdiv.empirical.predictions.checked import Array
from sharpdiv.empirical.predictions.metrics import point_statistics

__all__ = ["Interval", "bootstrap"]

_CHUNK = 2**19  # counts at a time: 4 MiB


@dataclass(frozen=True)
class Interval:
    """A metric with its confidence interval; None where it has no value.

    Example: see ``bootstrap``.
    """

    value: float | None
    """metric of all test points"""
    low: float | None
    """lower end of the interval"""
    high: float | None
    """upper end of the interval"""


def bootstrap(
    probs: Array, labels: Array, replicates: int = 2000, seed: int = 0, level: float = 0.95
) -> dict[str, Interval]:
    """Percentile intervals over test points for every scalar metric of ``diversity``.

    The members are held fixed: the intervals say how far the metrics of *these* networks on new test points may be from those on
    the given ones, not what another training would give. A ratio has no interval if a replicate has no errors. The calibration
    errors have intervals of their spread only, not of confidence: noise within bins biases them upwards, resampling adds that bias
    again, and the population's value mostly lies below the interval. Compare them between ensembles on the same test points.

    Args:
        probs: probabilities ``(members, samples, classes)``, whose rows sum to one.
        labels: true classes ``(samples,)``, counted from 0.
        replicates: number of data sets drawn; Efron and Tibshirani advise at least 1,000 for percentiles.
        seed: seed of the draws, made on the CPU: the same on every device.
        level: confidence of the intervals, in (0, 1).

    Returns:
        Intervals by the names of ``diversity``, but for ``accuracy_members`` (a list) and ``competent`` (not a number).

    Raises:
        InputError: if there is no replicate, the level is out of range, and as ``diversity``.

    Examples:
        >>> import torch
        >>> from sharpdiv import bootstrap
        >>> probs = torch.tensor([[[0.9, 0.1], [0.8, 0.2]], [[0.7, 0.3], [0.4, 0.6]]])  # (members, samples, classes)
        >>> probs, labels = probs.repeat(1, 50, 1), torch.zeros(100, dtype=torch.int64)  # members disagree on half of the samples
        >>> interval = bootstrap(probs, labels, replicates=200, seed=0)["disagreement"]
        >>> interval.value, interval.low < 0.5 < interval.high
        (0.5, True)
    """
    if replicates < 1:
        raise InputError(f"replicates must be at least 1, got {replicates}")
    if not 0 < level < 1:
        raise InputError(f"level must lie strictly between 0 and 1, got {level}")
    points = point_statistics(probs, labels)
    table = points.table
    drawn = [points.metrics(counts.to(table.device)) for counts in _counts(len(table), replicates, seed)]
    values = points.metrics(torch.ones_like(table[:, 0])[None])
    draws = torch.stack([torch.cat([metrics[name] for metrics in drawn]) for name in values])
    levels = torch.tensor([(1 - level) / 2, (1 + level) / 2], dtype=table.dtype, device=table.device)
    # NaN marks a ratio without value; a percentile of draws with a NaN is NaN.
    rows = torch.cat([torch.cat(list(values.values()))[None], draws.quantile(levels, dim=1)]).T.tolist()
    return {
        name: Interval(*(None if math.isnan(number) else number for number in row))
        for name, row in zip(values, rows, strict=True)
    }


def _counts(samples: int, replicates: int, seed: int) -> Iterator[Float[Tensor, "some samples"]]:
    """How often each replicate draws each sample, for some replicates at a time."""
    generator = torch.Generator().manual_seed(seed)
    chunk = max(1, _CHUNK // samples)
    for start in range(0, replicates, chunk):
        some = min(chunk, replicates - start)
        drawn = torch.randint(samples, (some, samples), generator=generator)
        ones = torch.ones(some, samples, dtype=torch.float64)
        yield torch.zeros_like(ones).scatter_add_(1, drawn, ones)
