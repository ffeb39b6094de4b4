"""Our metrics against those of torchmetrics, where definitions coincide."""

import math
from itertools import combinations
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import strategies as st

from sharpdiv.empirical.predictions import pairs
from sharpdiv.empirical.predictions.metrics import diversity
from sharpdiv.empirical.predictions.uncertainty import mutual_information
from tests.empirical.predictions.made_up import predictions, shapes
from tests.laws import Mutation, law

torchmetrics = pytest.importorskip("torchmetrics", reason="the extra oracle (or torchmetrics) is not installed")

SCORES = "sharpdiv.empirical.predictions.scores"
METRICS = "sharpdiv.empirical.predictions.metrics"
SINGLE: Any = {"rel": 1e-5, "abs": 1e-6}  # theirs bin and sum in float32: 40 terms of 2^-24 each


@law(
    Mutation("14 bins", f"{SCORES}.torch.Tensor.ceil", lambda f: lambda t: f(t * 14 / 15)),
    Mutation("bits", f"{SCORES}.nll", lambda f: lambda p: f(p) / math.log(2)),
    Mutation("the first member's votes alone", f"{METRICS}._votes", lambda f: lambda p, c: f(p[:1].expand_as(p), c)),
    examples=20,
    **(shapes | {"classes": st.integers(3, 6)}),
)
def test_metrics_of_the_ensemble_and_its_members(seed: int, members: int, samples: int, classes: int) -> None:
    """Accuracy, calibration error, likelihood, Brier score, of the ensemble and as means over members; divergence.

    Their bins are closed on the left, ours on the right, so the calibration errors differ where a confidence lies on an edge; it
    is never there in random predictions. Their mean over classes is 1/classes of our Brier score. They have no plain likelihood:
    perplexity is its exponential, of logits. For two classes their calibration error is of the probability of class 1, not of
    the top class. All compute in the type they are given, binning in float32.
    """
    probs, labels = predictions(seed, members, samples, classes)
    found, theirs = diversity(probs, labels), torchmetrics.functional
    one_hot = torch.nn.functional.one_hot(labels, classes).double()
    for suffix, sets in (("ensemble", [probs.mean(dim=0)]), ("mean", list(probs))):
        expected = {
            "accuracy": [theirs.classification.multiclass_accuracy(p, labels, classes, average="micro") for p in sets],
            "ece": [
                theirs.classification.multiclass_calibration_error(p, labels, classes, n_bins=15, norm="l1")
                for p in sets
            ],
            "nll": [theirs.text.perplexity(p.log()[None], labels[None]).log() for p in sets],
            "brier": [classes * theirs.mean_squared_error(p, one_hot) for p in sets],
        }
        for name, values in expected.items():
            assert found[f"{name}_{suffix}"] == pytest.approx(np.mean([float(v) for v in values]), **SINGLE), name
    divergence = np.mean([float(theirs.kl_divergence(a, b)) for a in probs for b in probs]) * members / (members - 1)
    assert found["kl"] == pytest.approx(divergence, **SINGLE)
    predicted = probs.argmax(dim=2)
    apart = [
        1 - float(theirs.classification.multiclass_accuracy(a, b, classes, average="micro"))
        for a, b in combinations(predicted, 2)
    ]
    assert found["disagreement"] == pytest.approx(np.mean(apart), **SINGLE)


@law(
    Mutation(
        "agreement by chance from one member's frequencies",
        "sharpdiv.empirical.predictions.pairs.pair_matrices",
        lambda f: lambda p, y: f(p[[0, 0]], y),
    ),
    Mutation(
        "a correlation of being right in one and wrong in the other",
        "sharpdiv.empirical.predictions.pairs.pair_matrices",
        lambda f: lambda p, y: f(torch.stack([p[0], p[1].flip(1)]), y),
    ),
    examples=20,
    seed=st.integers(0, 1000),
    samples=st.integers(10, 60),
    classes=st.integers(3, 6),
)
def test_pairs_of_members(seed: int, samples: int, classes: int) -> None:
    """Cohen's kappa; correlation of being wrong, which is Pearson's of two 0-1 variables."""
    probs, labels = predictions(seed, 2, samples, classes)
    found, predicted, theirs = pairs.pair_matrices(probs, labels), probs.argmax(dim=2), torchmetrics.functional
    kappa = theirs.classification.multiclass_cohen_kappa(*predicted, classes)
    wrong = (predicted != labels).float()
    expected = {"kappa": kappa, "error_correlation": theirs.pearson_corrcoef(*wrong) if wrong.std(dim=1).all() else 0}
    for name, value in expected.items():
        ours = getattr(found, name)[0, 1]
        assert ours.isnan() or float(ours) == pytest.approx(float(value), abs=1e-5), name


@law(
    Mutation("bits", "sharpdiv.empirical.predictions.uncertainty.nll", lambda f: lambda p: f(p) / math.log(2)),
    examples=20,
    **(shapes | {"members": st.just(2)}),
)
def test_mutual_information_of_two_is_their_jensen_shannon_divergence(
    seed: int, members: int, samples: int, classes: int
) -> None:
    probs, _ = predictions(seed, members, samples, classes)
    expected = torchmetrics.functional.regression.jensen_shannon_divergence(*probs)
    assert float(mutual_information(probs).mean()) == pytest.approx(float(expected), **SINGLE)
