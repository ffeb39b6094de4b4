"""Bootstrap intervals against a plain loop on the same draws, and their coverage of known population values."""

import itertools
import math
from dataclasses import astuple
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
import torch
from hypothesis import strategies as st

from sharpdiv.empirical.errors import InputError
from sharpdiv.empirical.predictions import metrics
from sharpdiv.empirical.predictions.bootstrap import Interval, bootstrap
from tests.laws import Mutation, law

shapes: dict[str, Any] = {
    "seed": st.integers(0, 10_000),
    "members": st.integers(2, 4),
    "samples": st.integers(1, 25),
    "classes": st.integers(2, 5),
}


def predictions(seed: int, members: int, samples: int, classes: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Members that share a signal, and labels drawn from their mean prediction: calibrated, and wrong about a third of the time."""
    generator = torch.Generator().manual_seed(seed)
    common = 2 * torch.randn(1, samples, classes, generator=generator, dtype=torch.float64)
    probs = (common + torch.randn(members, samples, classes, generator=generator)).softmax(dim=2)
    return probs, torch.multinomial(probs.mean(dim=0), 1, generator=generator)[:, 0]


def numbers(probs: torch.Tensor, labels: torch.Tensor) -> dict[str, float]:
    """What has an interval; NaN for None."""
    values = metrics.diversity(probs, labels)
    return {
        name: math.nan if value is None else float(value)
        for name, value in values.items()
        if not isinstance(value, list | bool)
    }


OTHER_DRAWS = Mutation(
    "draws of another seed",
    "sharpdiv.empirical.predictions.bootstrap._counts",
    lambda f: lambda n, replicates, seed: f(n, replicates, seed + 1),
)


@law(
    OTHER_DRAWS,
    Mutation(
        "points drawn once at most",
        "sharpdiv.empirical.predictions.bootstrap._counts",
        lambda f: lambda *a: (n / n.sum(dim=1, keepdim=True) * n.shape[1] for c in f(*a) for n in [c.clamp(max=1)]),
    ),
    Mutation(
        "one-sided percentiles",
        "sharpdiv.empirical.predictions.bootstrap.torch.Tensor.quantile",
        lambda f: lambda self, q, dim: f(self, (2 * q - 0.5).clamp(0, 1), dim=dim),
    ),
    examples=25,
    **shapes,
)
def test_agrees_with_a_plain_loop(seed: int, members: int, samples: int, classes: int) -> None:
    """Each replicate's predictions are gathered, and their metrics computed as of any predictions."""
    probs, labels = predictions(seed, members, samples, classes)
    intervals = bootstrap(probs, labels, 12, seed, level=0.8)
    drawn = torch.randint(samples, (12, samples), generator=torch.Generator().manual_seed(seed))
    replicates = [numbers(probs[:, rows], labels[rows]) for rows in drawn]
    values = numbers(probs, labels)
    assert intervals.keys() == values.keys()
    for name, interval in intervals.items():
        low, high = np.quantile([replicate[name] for replicate in replicates], [0.1, 0.9])
        found = [math.nan if v is None else v for v in (interval.value, interval.low, interval.high)]
        # Ratios divide by errors of at least 1/100: rounding of sums of 25 numbers of order 27 stays below 1e-11.
        assert found == pytest.approx([values[name], low, high], rel=1e-9, abs=1e-11, nan_ok=True), name


@pytest.mark.slow
@law(
    Mutation(
        "twice the points",
        "sharpdiv.empirical.predictions.bootstrap._counts",
        lambda f: lambda n, r, s: (c.unflatten(0, (-1, 2)).mean(dim=1) for c in f(n, 2 * r, s)),
    ),
    Mutation(
        "half the points",
        "sharpdiv.empirical.predictions.bootstrap._counts",
        lambda f: lambda n, r, s: (2 * c[:, : n // 2].repeat(1, 2) for c in f(n, r, s)),
    ),
)
def test_intervals_cover_the_population() -> None:
    """Test sets of 200 from a population of 80 kinds of points, whose metrics are the population's values.

    300 test sets: the coverage of 95% intervals has a standard error of sqrt(.95 * .05 / 300) = 1.3%, and z = 4. The percentile
    interval's own error is of order 1 / 200, and 1 / 300 from as many replicates. Calibration errors are left out: they are biased.
    """
    probs, labels = predictions(7, 3, 80, 4)
    population = numbers(probs, labels)
    generator = torch.Generator().manual_seed(0)
    covered = dict.fromkeys((name for name in population if not name.startswith("ece")), 0)
    for seed in range(300):
        rows = torch.randint(80, (200,), generator=generator)
        intervals = bootstrap(probs[:, rows], labels[rows], 300, seed)
        for name in covered:
            low, high = intervals[name].low, intervals[name].high
            assert low is not None
            assert high is not None
            covered[name] += low <= population[name] <= high
    rates = {name: count / 300 for name, count in covered.items()}
    assert rates == {name: pytest.approx(0.95, abs=4 * math.sqrt(0.95 * 0.05 / 300)) for name in rates}


@law(
    Mutation(
        "draws without the seed",
        "sharpdiv.empirical.predictions.bootstrap.torch.randint",
        lambda f: lambda *a, generator: f(*a),
    ),
    examples=10,
    **shapes,
)
def test_draws_do_not_depend_on_chunks(seed: int, members: int, samples: int, classes: int) -> None:
    """All replicates at once, two at a time, or one by one."""
    probs, labels = predictions(seed, members, samples, classes)
    whole = bootstrap(probs, labels, 7, seed)
    for chunk in (2 * samples, 1):
        with patch("sharpdiv.empirical.predictions.bootstrap._CHUNK", chunk):
            parts = bootstrap(probs, labels, 7, seed)
        for name, interval in whole.items():
            # The products of matrices of other shapes round differently.
            expected = [v if v is None else pytest.approx(v, abs=1e-11) for v in astuple(interval)]
            assert list(astuple(parts[name])) == expected


@law(
    Mutation(
        "level of the outside",
        "sharpdiv.empirical.predictions.bootstrap.torch.Tensor.quantile",
        lambda f: lambda self, q, dim: f(self, (0.5 - q).abs(), dim=dim),
    ),
    examples=20,
    **shapes,
)
def test_intervals_grow_with_the_level(seed: int, members: int, samples: int, classes: int) -> None:
    probs, labels = predictions(seed, members, samples, classes)
    levels = [bootstrap(probs, labels, 20, seed, level) for level in (0.5, 0.8, 0.99)]
    for narrow, wide in itertools.pairwise(levels):
        for name, interval in narrow.items():
            if interval.low is None or interval.high is None:
                assert wide[name].low is wide[name].high is None
            else:
                assert wide[name].low <= interval.low <= interval.high <= wide[name].high  # type: ignore[operator]


def test_worked_by_hand() -> None:
    """Identical members, one right and one wrong sample: a replicate has 0, 1 or 2 right with probabilities 1/4, 1/2, 1/4.

    The outer percentiles are the extremes: accuracy 0 and 1. Replicates without errors leave the ratios without interval.
    """
    probs = torch.tensor([[[0.9, 0.1], [0.9, 0.1]]], dtype=torch.float64).repeat(2, 1, 1)
    intervals = bootstrap(probs, torch.tensor([0, 1]), 100, seed=0)
    assert intervals["accuracy_mean"] == Interval(0.5, 0.0, 1.0)
    assert intervals["der"] == Interval(0.0, None, None)
    # .1^2 or .9^2, twice.
    brier = intervals["brier_ensemble"]
    assert [brier.value, brier.low, brier.high] == pytest.approx([0.82, 0.02, 1.62])
    # The confidence .9 is right in both samples, in one or in none.
    ece = intervals["ece_ensemble"]
    assert [ece.value, ece.low, ece.high] == pytest.approx([0.4, 0.1, 0.9])
    certain = bootstrap(probs, torch.tensor([0, 0]), 5)
    assert certain["eir"] == Interval(None, None, None)
    assert certain["accuracy_vote"] == Interval(1.0, 1.0, 1.0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"replicates": 0}, "replicates must be at least 1, got 0"),
        ({"level": 1.0}, "level must lie strictly between 0 and 1, got 1.0"),
        ({"level": float("nan")}, "level"),
        ({"probs": torch.ones(2, 3, 4)}, "sum to one"),
    ],
)
def test_bad_arguments_are_refused(options: dict[str, Any], message: str) -> None:
    arguments = {"probs": torch.full((2, 3, 4), 0.25), "labels": torch.zeros(3, dtype=torch.int64)} | options
    with pytest.raises(InputError, match=message):
        bootstrap(**arguments)
