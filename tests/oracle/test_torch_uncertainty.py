"""Our metrics against those of torch-uncertainty, where definitions coincide."""

import math
from typing import Any

import pytest
import torch
from hypothesis import strategies as st

from sharpdiv.empirical.predictions.metrics import diversity
from sharpdiv.empirical.predictions.uncertainty import entropy_of_mean, mean_entropy, mutual_information
from tests.empirical.predictions.made_up import predictions, shapes
from tests.laws import Mutation, law

theirs: Any = pytest.importorskip(
    "torch_uncertainty.metrics.classification",
    reason="torch-uncertainty is not in the extra oracle, as it imports torchvision; install both to compare",
    exc_type=ImportError,
)

PLACE = "sharpdiv.empirical.predictions"
SINGLE: Any = {"rel": 1e-5, "abs": 1e-6}  # theirs sum in float32: 40 terms of 2^-24 each


def value(metric: Any, *arguments: torch.Tensor) -> float:
    metric.update(*arguments)
    return float(metric.compute())


@law(
    Mutation("bits", f"{PLACE}.scores.nll", lambda f: lambda p: f(p) / math.log(2)),
    Mutation("14 bins", f"{PLACE}.scores.torch.Tensor.ceil", lambda f: lambda t: f(t * 14 / 15)),
    examples=20,
    **(shapes | {"classes": st.integers(3, 6)}),
)
def test_calibration_likelihood_and_brier_score(seed: int, members: int, samples: int, classes: int) -> None:
    probs, labels = predictions(seed, members, samples, classes)
    found, mean = diversity(probs, labels), probs.mean(dim=0)
    expected = {
        "nll_ensemble": value(theirs.CategoricalNLL(), mean, labels),
        "brier_ensemble": value(theirs.BrierScore(num_classes=classes), mean, labels),
        "ece_ensemble": value(theirs.CalibrationError("multiclass", num_bins=15, num_classes=classes), mean, labels),
    }
    for name, number in expected.items():
        assert found[name] == pytest.approx(number, **SINGLE), name


@law(
    Mutation("bits", f"{PLACE}.uncertainty.nll", lambda f: lambda p: f(p) / math.log(2)),
    examples=20,
    **shapes,
)
def test_uncertainty_and_disagreement(seed: int, members: int, samples: int, classes: int) -> None:
    """Their axes are samples, members, classes."""
    probs, labels = predictions(seed, members, samples, classes)
    turned = probs.transpose(0, 1)
    assert float(entropy_of_mean(probs).mean()) == pytest.approx(value(theirs.Entropy(), probs.mean(dim=0)), **SINGLE)
    assert float(mean_entropy(probs).mean()) == pytest.approx(value(theirs.Entropy(), turned), **SINGLE)
    assert float(mutual_information(probs).mean()) == pytest.approx(value(theirs.MutualInformation(), turned), **SINGLE)
    assert diversity(probs, labels)["disagreement"] == pytest.approx(value(theirs.Disagreement(), turned), **SINGLE)
