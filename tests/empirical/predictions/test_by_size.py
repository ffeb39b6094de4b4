"""Curves over the size of the ensemble: their ends, numbers worked by hand, and subsets that are drawn."""

import itertools
import math

import pytest
import torch

from sharpdiv.empirical.predictions.metrics import diversity
from sharpdiv.empirical.predictions.sizes import by_size
from tests.empirical.predictions.made_up import predictions, shapes
from tests.laws import Mutation, law

FIRST_MEMBERS = Mutation(
    "only the first members",
    "sharpdiv.empirical.predictions.sizes._subsets",
    lambda _: lambda members, size, _g: (torch.arange(members) < size).double()[None] / size,
)


@law(
    FIRST_MEMBERS,
    Mutation(
        "sum of probabilities",
        "sharpdiv.empirical.predictions.sizes._subsets",
        lambda f: lambda m, s, g: f(m, s, g) * s,
    ),
    **shapes,
)
def test_curves_over_sizes(seed: int, members: int, samples: int, classes: int) -> None:
    """From the mean member to the ensemble; Brier scores fall by the variance, ``1 - 1/s`` of it for size s.

    A subset's mean prediction is the mean of those of its subsets with one member less, so convex scores cannot rise.
    """
    probs, labels = predictions(seed, members, samples, classes)
    curves, values = by_size(probs, labels), diversity(probs, labels)
    assert curves["size"] == list(range(1, members + 1))
    assert curves["subsets"] == [math.comb(members, s) for s in range(1, members + 1)]
    for name in ("accuracy", "nll", "brier", "ece"):
        assert curves[name][0] == pytest.approx(values[f"{name}_mean"], abs=1e-12)
        assert curves[name][-1] == pytest.approx(values[f"{name}_ensemble"], abs=1e-12)
    expected = [values["brier_mean"] - (1 - 1 / s) * values["variance"] for s in curves["size"]]  # type: ignore[operator]
    assert curves["brier"] == pytest.approx(expected, abs=1e-12)
    assert all(b <= a + 1e-12 for a, b in itertools.pairwise(curves["nll"]))


@law(FIRST_MEMBERS)
def test_curves_worked_by_hand() -> None:
    """One sample, label 0, three members with p(0) = .6, .2, .1: pairs have .4, .35, .15, all of them .3."""
    p = torch.tensor([0.6, 0.2, 0.1], dtype=torch.float64)
    curves = by_size(torch.stack([p, 1 - p], dim=1)[:, None], torch.tensor([0]))
    assert curves["accuracy"] == pytest.approx([1 / 3, 0, 0])
    nll = [-math.log(0.6 * 0.2 * 0.1) / 3, -math.log(0.4 * 0.35 * 0.15) / 3, -math.log(0.3)]
    assert curves["nll"] == pytest.approx(nll)
    assert curves["brier"] == pytest.approx([2 * (0.16 + 0.64 + 0.81) / 3, 2 * (0.36 + 0.4225 + 0.7225) / 3, 0.98])
    assert curves["ece"] == pytest.approx([(0.4 + 0.8 + 0.9) / 3, (0.6 + 0.65 + 0.85) / 3, 0.7])


@law(
    Mutation(
        "one subset many times",
        "sharpdiv.empirical.predictions.sizes._subsets",
        lambda f: lambda m, s, g: (drawn := f(m, s, g))[:1].expand_as(drawn),
    ),
    Mutation(
        "members drawn with replacement",
        "sharpdiv.empirical.predictions.sizes.torch.Tensor.argsort",
        lambda _: lambda self, dim: (self * self.shape[dim]).long(),
    ),
)
def test_many_members_are_sampled() -> None:
    """Twelve members: 100 subsets of sizes 3 to 9, whose mean Brier scores are known; z = 4 of the spread over all subsets."""
    probs, labels = predictions(3, 12, 30, 4)
    curves, values = by_size(probs, labels, seed=1), diversity(probs, labels)
    assert curves["subsets"] == [12, 66, *[100] * 7, 66, 12, 1]
    truth = torch.nn.functional.one_hot(labels, 4)
    for size in range(3, 10):
        means = torch.stack([probs[list(s)].mean(dim=0) for s in itertools.combinations(range(12), size)])
        scores = (means - truth).square().sum(dim=2).mean(dim=1)
        expected = values["brier_mean"] - (1 - 1 / size) * values["variance"]  # type: ignore[operator]
        assert float(scores.mean()) == pytest.approx(expected, rel=1e-9)
        assert curves["brier"][size - 1] == pytest.approx(expected, abs=4 * float(scores.std()) / 10)
    assert curves == by_size(probs, labels, seed=1) != by_size(probs, labels, seed=2)
