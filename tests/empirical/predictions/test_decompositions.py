"""Decompositions of the ensemble's loss: exact identities, plain loops from the definitions, and numbers worked by hand."""

import math
from typing import Any, Literal

import numpy as np
import pytest
import torch
from hypothesis import strategies as st

from sharpdiv.empirical.errors import InputError
from sharpdiv.empirical.predictions.decompositions import ambiguity_decomposition, bias_variance_diversity, jensen_gap
from sharpdiv.empirical.predictions.metrics import diversity
from sharpdiv.empirical.predictions.scores import nll, of_truth
from tests.empirical.predictions.made_up import predictions, shapes
from tests.laws import Mutation, law, types_unchecked

PLACE = "sharpdiv.empirical.predictions.decompositions"
Loss = Literal["squared_error", "cross_entropy"]


def made_up(seed: int, members: int, samples: int, classes: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Predictions, every third of them certain, so that probabilities are exactly 0."""
    probs, labels = predictions(seed, members, samples, classes)
    certain = torch.nn.functional.one_hot(probs.argmax(dim=2), classes).double()
    pick = torch.rand(members, samples, 1, generator=torch.Generator().manual_seed(seed)) < 1 / 3
    return torch.where(pick, certain, probs), labels


def centre(loss: str, rows: np.ndarray) -> np.ndarray:
    """Of predictions ``(predictors, classes)``."""
    if loss == "squared_error":
        return np.asarray(rows.mean(axis=0))
    unnormalized = np.exp(np.log(np.maximum(rows, 1e-12)).mean(axis=0))
    return np.asarray(unnormalized / unnormalized.sum())


def cost(loss: str, row: np.ndarray, label: int) -> float:
    if loss == "squared_error":
        return float(sum((p - (c == label)) ** 2 for c, p in enumerate(row)))
    return -math.log(max(row[label], 1e-12))


def divergence(loss: str, middle: np.ndarray, row: np.ndarray) -> float:
    """Of a prediction from a centre, which is a distribution without zeros where it is a geometric mean."""
    if loss == "squared_error":
        return float(((row - middle) ** 2).sum())
    return float(sum(q * (math.log(q) - math.log(max(p, 1e-12))) for q, p in zip(middle, row, strict=True)))


@law(
    Mutation(
        "cross-entropy of the arithmetic mean",
        f"{PLACE}._about_geometric_mean",
        lambda f: lambda p, y: (nll(of_truth(p.mean(dim=0), y)), f(p, y)[1]),
    ),
    Mutation(
        "unbiased variance",
        f"{PLACE}._about_arithmetic_mean",
        lambda f: lambda p, y: (f(p, y)[0], f(p, y)[1] * len(p) / (len(p) - 1)),
    ),
    Mutation("error of the true class only", f"{PLACE}._squared_error", lambda f: lambda p, y: f(p, y) / 2),
    loss=st.sampled_from(["squared_error", "cross_entropy"]),
    **shapes,
)
def test_ambiguity_of_convex_losses(loss: Loss, seed: int, members: int, samples: int, classes: int) -> None:
    probs, labels = made_up(seed, members, samples, classes)
    terms = ambiguity_decomposition(probs, labels, loss=loss)
    # Differences of sums of at most 6 numbers of up to 28.
    torch.testing.assert_close(terms.ensemble, terms.average - terms.diversity, rtol=0, atol=1e-12)
    for i, label in enumerate(labels.tolist()):
        rows = probs[:, i].numpy()
        middle = centre(loss, rows)
        expected = [
            cost(loss, middle, label),
            np.mean([cost(loss, row, label) for row in rows]),
            np.mean([divergence(loss, middle, row) for row in rows]),
        ]
        found = [float(term[i]) for term in (terms.ensemble, terms.average, terms.diversity)]
        # Clipped probabilities sum to 1 + 1e-12 for each class that is clipped.
        assert found == pytest.approx(expected, rel=1e-9, abs=1e-10)
        assert terms.diversity[i] > -1e-12 * classes
    other = ambiguity_decomposition(probs, (labels + 1) % classes, loss=loss)
    assert torch.equal(other.diversity, terms.diversity)


@law(
    Mutation("vote by mean probability", f"{PLACE}.vote", lambda _: lambda _p, m: m.argmax(dim=1)),
    Mutation("the first member's vote", f"{PLACE}.vote", lambda _: lambda p, _m: p[0]),
    **shapes,
)
def test_ambiguity_of_the_vote(seed: int, members: int, samples: int, classes: int) -> None:
    """Good diversity less bad; summed over samples the gain of the vote, ``eir_vote`` times the members' error."""
    probs, labels = made_up(seed, members, samples, classes)
    terms = ambiguity_decomposition(probs, labels, loss="zero_one")
    torch.testing.assert_close(terms.ensemble, terms.average - terms.diversity, rtol=0, atol=1e-15)
    means, values = terms.mean(), diversity(probs, labels)
    assert means["ensemble"] == pytest.approx(1 - values["accuracy_vote"], abs=1e-14)  # type: ignore[operator]
    assert means["average"] == pytest.approx(1 - values["accuracy_mean"], abs=1e-14)  # type: ignore[operator]
    for i, label in enumerate(labels.tolist()):
        right = [int(row.argmax()) == label for row in probs[:, i]]
        bad = sum(right) / members if terms.ensemble[i] else 0.0
        good = 0.0 if terms.ensemble[i] else 1 - sum(right) / members
        assert float(terms.diversity[i]) == pytest.approx(good - bad, abs=1e-15)


@law(
    Mutation("gap of all classes", f"{PLACE}.of_truth", lambda _: lambda p, y: p.mean(dim=-1)),
    Mutation("bits", f"{PLACE}.nll", lambda f: lambda p: f(p) / math.log(2)),
    **shapes,
)
def test_jensen_gap_is_the_gain_in_likelihood(seed: int, members: int, samples: int, classes: int) -> None:
    probs, labels = made_up(seed, members, samples, classes)
    gap, values = jensen_gap(probs, labels), diversity(probs, labels)
    means = gap.mean()
    assert means["ensemble"] == pytest.approx(values["nll_ensemble"], abs=1e-12)
    assert means["average"] == pytest.approx(values["nll_mean"], abs=1e-12)
    torch.testing.assert_close(gap.ensemble, gap.average - gap.diversity, rtol=0, atol=1e-12)
    assert gap.diversity.min() > -1e-12
    for i, label in enumerate(labels.tolist()):
        clipped = [max(float(p), 1e-12) for p in probs[:, i, label]]
        whole = max(float(probs[:, i, label].mean()), 1e-12)
        assert float(gap.diversity[i]) == pytest.approx(np.mean([math.log(whole / p) for p in clipped]), abs=1e-12)


def centres(name: str, change: Any) -> Mutation:
    return Mutation(name, f"{PLACE}._CENTRES", lambda right: {loss: change(right[loss]) for loss in right})


@law(
    centres("twice the divergence", lambda f: lambda p, y: (f(p, y)[0], 2 * f(p, y)[1])),
    centres("loss of the first for that of the centre", lambda f: lambda p, y: (f(p[:1], y)[0], f(p, y)[1])),
    Mutation(
        "arithmetic centres only",
        f"{PLACE}._CENTRES",
        lambda right: dict.fromkeys(right, right["squared_error"]),
    ),
    examples=25,
    loss=st.sampled_from(["squared_error", "cross_entropy"]),
    trials=st.integers(2, 4),
    **(shapes | {"samples": st.integers(1, 12)}),
)
def test_bias_variance_and_diversity(
    loss: Loss, trials: int, seed: int, members: int, samples: int, classes: int
) -> None:
    probs, labels = made_up(seed, trials * members, samples, classes)
    every = probs.unflatten(0, (trials, members))
    terms = bias_variance_diversity(every, labels, loss=loss)
    torch.testing.assert_close(terms.ensemble, terms.bias + terms.variance - terms.diversity, rtol=0, atol=1e-12)
    for i, label in enumerate(labels.tolist()):
        rows = every[:, :, i].numpy()
        over_trials = [centre(loss, rows[:, m]) for m in range(members)]
        over_members = [centre(loss, row) for row in rows]
        expected = [
            np.mean([cost(loss, each, label) for each in over_members]),
            np.mean([cost(loss, each, label) for each in over_trials]),
            np.mean([divergence(loss, over_trials[m], rows[t, m]) for t in range(trials) for m in range(members)]),
            np.mean([divergence(loss, over_members[t], rows[t, m]) for t in range(trials) for m in range(members)]),
        ]
        found = [float(term[i]) for term in (terms.ensemble, terms.bias, terms.variance, terms.diversity)]
        assert found == pytest.approx(expected, rel=1e-9, abs=1e-10)
    # Trials that repeat each other have no variance, and bias is the members' loss.
    repeated = bias_variance_diversity(every[:1].repeat(trials, 1, 1, 1), labels, loss=loss)
    once = ambiguity_decomposition(every[0], labels, loss=loss)
    torch.testing.assert_close(repeated.variance, torch.zeros(samples, dtype=torch.float64), rtol=0, atol=1e-11)
    torch.testing.assert_close(repeated.bias, once.average, rtol=0, atol=1e-11)
    torch.testing.assert_close(repeated.diversity, once.diversity, rtol=0, atol=1e-12)


def test_worked_by_hand() -> None:
    """Two members, (3/4, 1/4) and (1/4, 3/4): both means are (1/2, 1/2), and the geometric one has normalizer sqrt(3)/2."""
    probs, label = [[[0.75, 0.25]], [[0.25, 0.75]]], [0]
    terms = ambiguity_decomposition(probs, label, loss="cross_entropy").mean()
    expected = {"ensemble": math.log(2), "average": -math.log(3 / 16) / 2, "diversity": -math.log(math.sqrt(3) / 2)}
    assert terms == pytest.approx(expected)
    # Certain and opposed: 12 log 10 of the wrong one, halved; the geometric mean is undecided.
    opposed = ambiguity_decomposition([[[1.0, 0.0]], [[0.0, 1.0]]], label, loss="cross_entropy").mean()
    six = 6 * math.log(10)
    assert opposed == pytest.approx({"ensemble": math.log(2), "average": six, "diversity": six - math.log(2)})
    # Three votes, two of them wrong: the vote turns an error of 2/3 into one. Two right: it turns 1/3 into none.
    votes = [[[0.9, 0.1], [0.9, 0.1]], [[0.2, 0.8], [0.6, 0.4]], [[0.2, 0.8], [0.4, 0.6]]]
    effect = ambiguity_decomposition(votes, [0, 0], loss="zero_one")
    assert effect.ensemble.tolist() == [1, 0]
    assert effect.average.tolist() == pytest.approx([2 / 3, 1 / 3])
    assert effect.diversity.tolist() == pytest.approx([-1 / 3, 1 / 3])
    # Under the other label the same votes gain what they lost.
    assert ambiguity_decomposition(votes, [1, 1], loss="zero_one").diversity.tolist() == pytest.approx([1 / 3, -1 / 3])
    # Members that differ on other classes gain nothing by the arithmetic mean, and something by the geometric one.
    elsewhere, truth = [[[0.5, 0.4, 0.1]], [[0.5, 0.1, 0.4]]], [0]
    assert jensen_gap(elsewhere, truth).mean()["diversity"] == pytest.approx(0, abs=1e-15)
    normalizer = 0.5 + 2 * math.sqrt(0.04)
    geometric = ambiguity_decomposition(elsewhere, truth, loss="cross_entropy").mean()
    assert geometric["diversity"] == pytest.approx(-math.log(normalizer))


@pytest.mark.parametrize(
    ("probs", "loss", "message"),
    [
        (torch.full((2, 2, 1, 2), 0.5), "zero_one", "loss must be one of squared_error, cross_entropy, got 'zero_one'"),
        (torch.full((2, 1, 2), 0.5), "squared_error", "trials >= 2, members >= 2, samples, classes"),
        (torch.full((1, 2, 1, 2), 0.5), "squared_error", "trials >= 2"),
        (torch.full((2, 1, 1, 2), 0.5), "squared_error", "members >= 2"),
        (torch.full((2, 2, 1, 2), 0.6), "squared_error", "sum to one"),
        (torch.full((2, 2, 1, 1), 1.0), "squared_error", "classes >= 2"),
    ],
)
def test_bad_trials_are_refused(probs: torch.Tensor, loss: Any, message: str) -> None:
    with types_unchecked(), pytest.raises(InputError, match=message):
        bias_variance_diversity(probs, [0], loss=loss)


def test_an_unknown_loss_is_refused() -> None:
    loss: Any = "hinge"
    with (
        types_unchecked(),
        pytest.raises(InputError, match="one of squared_error, cross_entropy, zero_one, got 'hinge'"),
    ):
        ambiguity_decomposition(torch.full((2, 1, 2), 0.5), [0], loss=loss)
