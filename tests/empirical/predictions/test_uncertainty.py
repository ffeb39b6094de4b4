"""Entropies and information between members: plain loops, the identity that connects them, bounds, numbers worked by hand."""

import math

import numpy as np
import pytest
import torch

from sharpdiv.empirical.errors import InputError
from sharpdiv.empirical.predictions.uncertainty import entropy_of_mean, mean_entropy, mutual_information
from tests.empirical.predictions.made_up import shapes
from tests.empirical.predictions.test_decompositions import made_up
from tests.laws import Mutation, law

PLACE = "sharpdiv.empirical.predictions.uncertainty"


def plain_entropy(row: np.ndarray) -> float:
    return -sum(p * math.log(p) for p in row if p > 1e-12)


@law(
    Mutation("entropies in bits", f"{PLACE}._entropy", lambda f: lambda p: f(p) / math.log(2)),
    Mutation("zeros give no number", f"{PLACE}.nll", lambda _: lambda p: -p.log()),
    **shapes,
)
def test_total_is_within_plus_between(seed: int, members: int, samples: int, classes: int) -> None:
    probs, _ = made_up(seed, members, samples, classes)
    total, within, between = entropy_of_mean(probs), mean_entropy(probs), mutual_information(probs)
    torch.testing.assert_close(total, within + between, rtol=0, atol=1e-12)
    for i in range(samples):
        rows = probs[:, i].numpy()
        # A clipped term is below 1e-12 * 28.
        assert float(total[i]) == pytest.approx(plain_entropy(rows.mean(axis=0)), abs=1e-9)
        assert float(within[i]) == pytest.approx(np.mean([plain_entropy(row) for row in rows]), abs=1e-9)
    assert between.min() > -1e-12
    assert between.max() < math.log(min(members, classes)) + 1e-12
    assert total.max() < math.log(classes) + 1e-12


def test_worked_by_hand() -> None:
    """Opposed and sure, agreed and unsure, and one of each: H(3/4, 1/4) - log(2) / 2."""
    probs = [[[1.0, 0.0], [0.5, 0.5], [1.0, 0.0]], [[0.0, 1.0], [0.5, 0.5], [0.5, 0.5]]]
    log2, mixed = math.log(2), -0.75 * math.log(0.75) - 0.25 * math.log(0.25)
    assert entropy_of_mean(probs).tolist() == pytest.approx([log2, log2, mixed])
    assert mean_entropy(probs).tolist() == pytest.approx([0, log2, log2 / 2])
    assert mutual_information(probs).tolist() == pytest.approx([log2, 0, mixed - log2 / 2])


def test_bad_predictions_are_refused() -> None:
    for function in (entropy_of_mean, mean_entropy, mutual_information):
        with pytest.raises(InputError, match="non-negative"):
            function(torch.tensor([[[2.0, -1.0]]] * 2))
