"""Matrices over pairs of members: loops from the definitions, other people's code, numbers worked by hand, missing values."""

import math
import warnings

import numpy as np
import pytest
import torch
from sklearn.metrics import cohen_kappa_score

from sharpdiv.empirical.predictions.metrics import diversity
from sharpdiv.empirical.predictions.pairs import pair_matrices
from tests.empirical.predictions.made_up import predictions, shapes
from tests.empirical.predictions.test_decompositions import made_up
from tests.laws import Mutation, law

PLACE = "sharpdiv.empirical.predictions.pairs"


def plain_pair(a: np.ndarray, b: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """Of two members ``(samples, classes)``; NaN where a denominator is zero."""
    first, second = a.argmax(axis=1), b.argmax(axis=1)
    right = [(x == y, z == y) for x, z, y in zip(first, second, labels, strict=True)]
    n11, n00 = right.count((True, True)), right.count((False, False))
    n10, n01 = right.count((True, False)), right.count((False, True))
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")  # both say so where there is no value
        correlation = np.corrcoef(first != labels, second != labels)[0, 1]
        kappa = cohen_kappa_score(first, second)
    apart = n11 * n00 + n10 * n01
    logs = np.log(np.maximum(a, 1e-12)) - np.log(np.maximum(b, 1e-12))
    return {
        "disagreement": float(np.mean(first != second)),
        "kl": float((a * logs).sum() / len(labels)),
        "double_fault": n00 / len(labels),
        "kappa": kappa,
        "yule_q": (n11 * n00 - n10 * n01) / apart if apart else math.nan,
        "error_correlation": correlation,
    }


@law(
    Mutation("divergence from the row", f"{PLACE}._kl", lambda f: lambda p: f(p).T),
    Mutation(
        "chance of equal classes",
        f"{PLACE}._kappa",
        lambda _: lambda agreeing, p, c: (agreeing / p.shape[1] - 1 / c) / (1 - 1 / c),
    ),
    Mutation("zero where there is no value", f"{PLACE}._ratio", lambda f: lambda a, b: torch.nan_to_num(f(a, b))),
    Mutation("odds turned round", f"{PLACE}._ratio", lambda f: lambda a, b: f(-a, b)),
    **shapes,
)
def test_agrees_with_loops_over_pairs(seed: int, members: int, samples: int, classes: int) -> None:
    probs, labels = made_up(seed, members, samples, classes)
    found = vars(pair_matrices(probs, labels))
    for i in range(members):
        for j in range(members):
            expected = plain_pair(probs[i].numpy(), probs[j].numpy(), labels.numpy())
            values = {name: float(matrix[i, j]) for name, matrix in found.items()}
            # Sums of at most 240 numbers of up to 28.
            assert values == pytest.approx(expected, rel=1e-9, abs=1e-12, nan_ok=True)


@law(
    Mutation("a member differs from itself", f"{PLACE}._kl", lambda f: lambda p: f(p) + 1),
    Mutation(
        "pairs that share a class",
        f"{PLACE}.checked_predictions",
        lambda f: lambda p, y: (f(p, y)[0].flip(1), f(p, y)[1]),
    ),
    **shapes,
)
def test_means_are_those_of_all_metrics(seed: int, members: int, samples: int, classes: int) -> None:
    """Disagreement and KL; and errors of two members are those of both, halved, plus those of one: the mean double fault."""
    probs, labels = predictions(seed, members, samples, classes)
    pairs, values = pair_matrices(probs, labels), diversity(probs, labels)
    means = pairs.means()
    assert means["disagreement"] == pytest.approx(values["disagreement"], abs=1e-12)
    assert means["kl"] == pytest.approx(values["kl"], rel=1e-9, abs=1e-12)
    error = 1 - values["accuracy_mean"]  # type: ignore[operator]
    assert float(pairs.double_fault.diagonal().mean()) == pytest.approx(error, abs=1e-12)
    one_wrong = (probs.argmax(dim=2) != labels).double().mean(dim=0)
    both = (one_wrong.square() * members**2 - one_wrong * members).mean() / (members * (members - 1))
    assert means["double_fault"] == pytest.approx(float(both), abs=1e-12)


def test_worked_by_hand() -> None:
    """Ten samples of label 0: both right on 4, the first only on 2, the second only on 1, none on 3."""
    first = torch.tensor([0.8] * 6 + [0.2] * 4)
    second = torch.tensor([0.8] * 4 + [0.2] * 2 + [0.8] + [0.2] * 3)
    probs = torch.stack([torch.stack([p, 1 - p], dim=1) for p in (first, second)])
    means = pair_matrices(probs, torch.zeros(10, dtype=torch.int64)).means()
    assert means == pytest.approx(
        {
            "disagreement": 0.3,
            "kl": 0.3 * (0.8 * math.log(4) + 0.2 * math.log(1 / 4)),
            "double_fault": 0.3,
            "kappa": (0.7 - 0.5) / (1 - 0.5),  # by chance .6 * .5 + .4 * .5
            "yule_q": (4 * 3 - 2 * 1) / (4 * 3 + 2 * 1),
            "error_correlation": (4 * 3 - 2 * 1) / math.sqrt(6 * 4 * 5 * 5),
        },
        rel=1e-6,  # of numbers in single precision
    )


def test_without_errors_there_are_no_ratios() -> None:
    certain = pair_matrices([[[1.0, 0.0]], [[1.0, 0.0]], [[0.0, 1.0]]], [0])
    assert certain.kappa[0].isnan().tolist() == [True, True, False]
    means = certain.means()
    assert means["kappa"] is means["yule_q"] is means["error_correlation"] is None
    assert means["disagreement"] == pytest.approx(2 / 3)
    assert means["kl"] == pytest.approx(4 / 6 * 12 * math.log(10))  # four ordered pairs of opposites, clipped
