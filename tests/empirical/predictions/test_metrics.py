"""Laws of the ensemble metrics, a reference in plain loops, and numbers worked by hand."""

import itertools
import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import strategies as st
from scipy.optimize import linprog

from sharpdiv.empirical.errors import InputError
from sharpdiv.empirical.predictions import metrics
from sharpdiv.empirical.predictions.metrics import METRICS, Metric, diversity, vote
from sharpdiv.empirical.predictions.sizes import by_size
from tests.empirical.predictions.made_up import predictions, shapes
from tests.laws import Mutation, law

Columns = dict[str, torch.Tensor]


def numbers(probs: torch.Tensor, labels: torch.Tensor) -> list[float]:
    values = metrics.diversity(probs, labels)
    values["accuracy_members"] = sorted(values["accuracy_members"])  # type: ignore[arg-type]
    return [
        np.nan if v is None else v for value in values.values() for v in (value if isinstance(value, list) else [value])
    ]


def columns(name: str, **changes: Callable[[Columns, torch.Tensor, torch.Tensor], torch.Tensor]) -> Mutation:
    """Some columns of the point statistics computed in a wrong way, from the right ones and the arguments."""
    return Mutation(
        name,
        "sharpdiv.empirical.predictions.metrics._columns",
        lambda f: lambda p, y: (right := f(p, y)) | {c: change(right, p, y) for c, change in changes.items()},
    )


BOUND_FROM_DER = Mutation(
    "bound from pairs of different members",
    "sharpdiv.empirical.predictions.metrics.PointStatistics.metrics",
    lambda f: lambda self, counts: with_wrong_bound(f(self, counts), self.classes),
)


def with_wrong_bound(right: dict[str, Any], classes: int) -> dict[str, Any]:
    return right | {"competence_bound": (2 * (classes - 1) * right["der"] - 3 * classes + 4) / classes}


def plain_calibration_error(probs: np.ndarray, labels: np.ndarray) -> float:
    """Bin by bin: the share of its points times the gap of accuracy and confidence."""
    total = 0.0
    for low, high in itertools.pairwise(np.linspace(0, 1, 16)):
        inside = [i for i, p in enumerate(probs) if low < p.max() <= high]
        if inside:
            accuracy = np.mean([probs[i].argmax() == labels[i] for i in inside])
            total += len(inside) / len(labels) * abs(accuracy - np.mean([probs[i].max() for i in inside]))
    return total


def plain_diversity(probs: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
    """The definitions, as loops over members, pairs and samples."""
    members, samples, classes = probs.shape
    mean, predicted, rows = probs.mean(axis=0), probs.argmax(axis=2), range(samples)
    pairs = list(itertools.permutations(range(members), 2))
    votes = []
    for i in rows:
        counts = [(int((predicted[:, i] == c).sum()), mean[i, c]) for c in range(classes)]
        votes.append(max(range(classes), key=lambda c, counts=counts: counts[c]))  # type: ignore[misc]
    error = float(np.mean([predicted[m, i] != labels[i] for m in range(members) for i in rows]))
    ensemble_error = float(np.mean([mean[i].argmax() != labels[i] for i in rows]))
    vote_error = float(np.mean([votes[i] != labels[i] for i in rows]))
    disagreement = float(np.mean([predicted[a, i] != predicted[b, i] for a, b in pairs for i in rows]))
    met_itself = float(np.mean([a != b for i in rows for a in predicted[:, i] for b in predicted[:, i]]))
    onehot = np.eye(classes)[labels]
    each = [*probs, mean]
    nll = [-np.mean([math.log(max(p[i, labels[i]], 1e-12)) for i in rows]) for p in each]
    brier = [np.mean([np.sum((p[i] - onehot[i]) ** 2) for i in rows]) for p in each]
    ece = [plain_calibration_error(p, labels) for p in each]
    kl = [np.sum(probs[a, i] * np.log(probs[a, i] / probs[b, i])) for a, b in pairs for i in rows]
    return {
        "accuracy_members": [float(np.mean(predicted[m] == labels)) for m in range(members)],
        "accuracy_mean": 1 - error,
        "accuracy_ensemble": 1 - ensemble_error,
        "accuracy_vote": 1 - vote_error,
        "disagreement": disagreement,
        "variance": np.mean([probs[:, i].var(axis=0, ddof=1).sum() for i in rows]),
        "kl": np.mean(kl),
        "nll_mean": np.mean(nll[:-1]),
        "nll_ensemble": nll[-1],
        "brier_mean": np.mean(brier[:-1]),
        "brier_ensemble": brier[-1],
        "der": disagreement / error if error else None,
        "eir": (error - ensemble_error) / error if error else None,
        "eir_vote": (error - vote_error) / error if error else None,
        "competence_bound": (2 * (classes - 1) / classes * met_itself / error - (3 * classes - 4) / classes)
        if error
        else None,
        "ece_mean": np.mean(ece[:-1]),
        "ece_ensemble": ece[-1],
        "competent": plain_competence((predicted != labels).sum(axis=0), members),
    }


def plain_competence(wrong: np.ndarray, members: int) -> bool:
    """The definition on a grid of t that holds every multiple of 1 / members and points between."""
    W = [Fraction(int(w), members) for w in wrong]
    half = Fraction(1, 2)
    grid = [half * Fraction(i, 4 * members) for i in range(4 * members + 1)]
    return all(sum(t <= w < half for w in W) >= sum(half <= w <= 1 - t for w in W) for t in grid)


@law(
    columns("Brier score of the true class only", brier_mean=lambda c, _p, _y: c["brier_mean"] / 2),
    columns("Brier score of the mean member", brier_ensemble=lambda c, _p, _y: c["brier_mean"]),
    columns("divergence of the mean", kl=lambda c, _p, _y: c["kl"] / 2),
    Mutation(
        "vote by mean probability",
        "sharpdiv.empirical.predictions.metrics.vote",
        lambda _: lambda _p, m: m.argmax(dim=1),
    ),
    Mutation("14 bins", "sharpdiv.empirical.predictions.scores.torch.Tensor.ceil", lambda f: lambda t: f(t * 14 / 15)),
    Mutation("always competent", "sharpdiv.empirical.predictions.metrics._competent", lambda _: lambda right: True),
    BOUND_FROM_DER,
    **shapes,
)
def test_agrees_with_plain_loops(seed: int, members: int, samples: int, classes: int) -> None:
    probs, labels = predictions(seed, members, samples, classes)
    values, expected = metrics.diversity(probs, labels), plain_diversity(probs.numpy(), labels.numpy())
    assert values.keys() >= expected.keys()
    for name, value in expected.items():
        # Sums of at most 1200 numbers of order 1 (27 in logarithms): rounding stays below 1e-12.
        assert values[name] == (value if value is None else pytest.approx(value, rel=1e-9, abs=1e-12)), name


@law(
    columns("variance of the first member", variance=lambda _c, p, _y: p[0].square().sum(dim=1, keepdim=True)),
    Mutation(
        "vote of the first member",
        "sharpdiv.empirical.predictions.metrics.vote",
        lambda _: lambda predicted, _m: predicted[0],
    ),
    **shapes,
)
def test_order_of_members_and_samples_does_not_matter(seed: int, members: int, samples: int, classes: int) -> None:
    probs, labels = predictions(seed, members, samples, classes)
    generator = torch.Generator().manual_seed(seed + 1)
    rows, columns = torch.randperm(members, generator=generator), torch.randperm(samples, generator=generator)
    assert numbers(probs[rows][:, columns], labels[columns]) == pytest.approx(
        numbers(probs, labels), rel=1e-9, abs=1e-12, nan_ok=True
    )


@law(
    columns("label 0 is special", nll_mean=lambda c, _p, y: c["nll_mean"] + (y == 0).double()[:, None]),
    **shapes,
)
def test_names_of_classes_do_not_matter(seed: int, members: int, samples: int, classes: int) -> None:
    probs, labels = predictions(seed, members, samples, classes)
    names = torch.randperm(classes, generator=torch.Generator().manual_seed(seed + 1))
    renamed = torch.empty_like(probs)
    renamed[..., names] = probs
    assert numbers(renamed, names[labels]) == pytest.approx(numbers(probs, labels), rel=1e-9, abs=1e-12, nan_ok=True)


@law(
    columns("a member disagrees with itself", disagreement=lambda c, p, _y: c["disagreement"] + 1 / len(p)),
    **shapes,
)
def test_identical_members_have_no_diversity(seed: int, members: int, samples: int, classes: int) -> None:
    probs, labels = predictions(seed, 1, samples, classes)
    values = metrics.diversity(probs.repeat(members, 1, 1), labels)
    for name in ("disagreement", "variance", "kl"):
        assert values[name] == pytest.approx(0, abs=1e-12)
    for name in ("der", "eir", "eir_vote"):
        assert values[name] is None or values[name] == pytest.approx(0, abs=1e-12)
    for name in ("accuracy", "nll", "brier", "ece"):
        assert values[f"{name}_ensemble"] == pytest.approx(values[f"{name}_mean"], abs=1e-12)


BIASED_VARIANCE = columns("biased variance", variance=lambda c, p, _y: c["variance"] * (1 - 1 / len(p)))


@law(BIASED_VARIANCE, **shapes)
def test_brier_score_decomposes_into_variance(seed: int, members: int, samples: int, classes: int) -> None:
    """Mean Brier score - ensemble's = (1 - 1/M) variance (Krogh and Vedelsby)."""
    values = metrics.diversity(*predictions(seed, members, samples, classes))
    gain = values["brier_mean"] - values["brier_ensemble"]  # type: ignore[operator]
    # A difference of numbers of order 1.
    assert (1 - 1 / members) * values["variance"] == pytest.approx(gain, rel=1e-9, abs=1e-13)  # type: ignore[operator]


@law(
    columns("divergence with the sign turned", kl=lambda c, _p, _y: -c["kl"]),
    columns("vote cannot err", accuracy_vote=lambda c, _p, _y: torch.full_like(c["accuracy_vote"], 2.0)),
    **shapes,
)
def test_inequalities(seed: int, members: int, samples: int, classes: int) -> None:
    """Jensen: the ensemble's likelihood beats the mean member's; divergences and fractions have their ranges."""
    values = metrics.diversity(*predictions(seed, members, samples, classes))
    assert values["nll_ensemble"] <= values["nll_mean"] + 1e-12  # type: ignore[operator]
    assert values["kl"] >= 0  # type: ignore[operator]
    for name in ("disagreement", "ece_ensemble", "ece_mean"):
        assert 0 <= values[name] <= 1  # type: ignore[operator]
    assert 0 <= values["brier_ensemble"] <= values["brier_mean"] + 1e-12 <= 2 + 1e-12  # type: ignore[operator]
    if values["der"] is not None:
        # If two members differ at least one is wrong, and each pair counts the errors of two.
        assert values["der"] <= 2 + 1e-12  # type: ignore[operator]
        # Theisen et al. (2023): holds without competence, as no class disagrees less with the members than their vote.
        assert values["eir_vote"] <= (1 - 1 / members) * values["der"] + 1e-12  # type: ignore[operator]


def ballots(members: int, classes: int) -> tuple[torch.Tensor, torch.Tensor]:
    """One sample (label 0) for every way to spread the votes over the classes; a tie goes against the label."""
    spread = [v for v in itertools.product(range(members + 1), repeat=classes) if sum(v) == members]
    predicted = torch.tensor([[c for c, n in enumerate(v) for _ in range(n)] for v in spread]).T
    # Members that vote for the label are less sure.
    sure = torch.where(predicted == 0, 0.6, 0.9).double()[..., None]
    votes = torch.nn.functional.one_hot(predicted, classes)
    probs = votes * sure + (1 - votes) * (1 - sure) / (classes - 1)
    return probs, torch.zeros(len(spread), dtype=torch.int64)


@law(
    columns("pairs of different members", disagreement=lambda c, p, _y: c["disagreement"] / (1 - 1 / len(p))),
    columns("vote too good", right=lambda c, _p, _y: c["right"] * 1.1),
    examples=12,
    members=st.integers(2, 6),
    classes=st.integers(2, 4),
)
def test_bound_of_competent_ensembles_cannot_be_violated(members: int, classes: int) -> None:
    """Theisen et al. (2023), theorem 2, for *all* competent ensembles of a size.

    Times the mean error both sides, and the conditions of competence, are linear in the frequencies of the ballots: the worst
    ensemble is the solution of a linear program. Its value is 0, for an ensemble without errors.
    """
    probs, labels = ballots(members, classes)
    points = metrics.point_statistics(probs, labels)
    column = dict(zip(points.widths, points.table.split(list(points.widths.values()), dim=1), strict=True))
    error = 1 - column["right"].mean(dim=1)
    bound = 2 * (classes - 1) / classes * (1 - 1 / members) * column["disagreement"][:, 0]
    slack = error - 1 + column["accuracy_vote"][:, 0] - bound + (3 * classes - 4) / classes * error
    wrong = (probs.argmax(dim=2) != 0).sum(dim=0)
    conditions = [
        (2 * wrong >= members).double() * (wrong <= members - i) - (2 * wrong < members).double() * (wrong >= i)
        for i in range(members // 2 + 1)
    ]
    worst = linprog(
        slack.numpy(),
        A_ub=torch.stack(conditions).numpy(),
        b_ub=np.zeros(len(conditions)),
        A_eq=np.ones((1, len(slack))),
        b_eq=[1.0],
    )
    assert worst.status == 0
    # The solver's feasibility tolerance is 1e-7.
    assert worst.fun == pytest.approx(0, abs=1e-6)


@law(
    Mutation(
        "half wrong is a minority",
        "sharpdiv.empirical.predictions.metrics._competent",
        lambda f: lambda right: f(right[:, 1:]),
    ),
    Mutation(
        "t = 0 only", "sharpdiv.empirical.predictions.metrics._competent", lambda _: lambda right: right.mean() > 0.5
    ),
    examples=150,
    wrong=st.lists(st.integers(0, 6), min_size=1, max_size=8),
    members=st.integers(2, 6),
)
def test_competence_is_its_definition(wrong: list[int], members: int) -> None:
    wrong = [min(w, members) for w in wrong]
    predicted = torch.tensor([[int(m < w) for w in wrong] for m in range(members)])
    probs = torch.nn.functional.one_hot(predicted, 2).double()
    competent = metrics.diversity(probs, torch.zeros(len(wrong), dtype=torch.int64))["competent"]
    assert competent is plain_competence(np.array(wrong), members)


@law(BOUND_FROM_DER)
def test_bound_worked_by_hand() -> None:
    """Two classes, three members, one wrong on the first sample and two on the second.

    W is 1/3 and 2/3, each half the time: competent. The members' mean error is 1/2, the vote's too: eir_vote = 0. A pair differs
    with probability 2/3 (4/9 if a member can meet itself): der = 4/3, der' = 8/9, and the bound der' - 1 = -1/9 holds, whereas
    der - 1 = 1/3 would not. Four classes, same errors, all wrong answers different: pairs differ in 2/3 and 1 of cases,
    so der' = 2 (2/3) (2/3 + 1)/2 = 10/9 and the bound is 3/2 * 10/9 - 2 = -1/3.
    """
    predicted = torch.tensor([[1, 1], [0, 1], [0, 0]])
    probs = torch.nn.functional.one_hot(predicted, 2).double()
    values = metrics.diversity(probs, torch.tensor([0, 0]))
    assert values["competent"] is True
    assert values["eir_vote"] == pytest.approx(0)
    assert values["der"] == pytest.approx(4 / 3)
    assert values["competence_bound"] == pytest.approx(-1 / 9)
    probs = torch.nn.functional.one_hot(torch.tensor([[1, 2], [0, 3], [0, 0]]), 4).double()
    assert metrics.diversity(probs, torch.tensor([0, 0]))["competence_bound"] == pytest.approx(-1 / 3)
    # One of two members wrong: W = 1/2, and no minority to weigh against it.
    assert metrics.diversity(probs[:2, :1], torch.tensor([0]))["competent"] is False


@law(
    Mutation(
        "vote by mean probability",
        "sharpdiv.empirical.predictions.metrics.vote",
        lambda _: lambda p, m: m.argmax(dim=1),
    ),
)
def test_numbers_worked_by_hand() -> None:
    """Two classes, three members, two samples.

    Sample 0 (label 0): members predict 0, 0, 1 with p(0) = .6, .6, 0: mean p(0) = .4, so the mean is wrong and the vote right.
    Sample 1 (label 1): p(0) = .2, .2, .2: all right.
    """
    first = torch.tensor([[0.6, 0.2], [0.6, 0.2], [0.0, 0.2]], dtype=torch.float64)
    values = metrics.diversity(torch.stack([first, 1 - first], dim=2), torch.tensor([0, 1]))
    assert values["accuracy_members"] == [1.0, 1.0, 0.5]
    assert values["accuracy_ensemble"] == 0.5
    assert values["accuracy_vote"] == 1.0
    assert values["disagreement"] == pytest.approx(2 / 3 / 2)
    assert values["der"] == pytest.approx((1 / 3) / (1 / 6))
    assert values["eir"] == pytest.approx((1 / 6 - 1 / 2) / (1 / 6))
    assert values["eir_vote"] == pytest.approx(1.0)
    assert values["variance"] == pytest.approx(2 * 0.12 / 2)  # unbiased variance of .6, .6, 0 is .12, in both classes
    logs = [-math.log(p) for p in (0.6, 0.6, 1e-12, 0.8, 0.8, 0.8)]
    assert values["nll_mean"] == pytest.approx(sum(logs) / 6)
    assert values["nll_ensemble"] == pytest.approx(-(math.log(0.4) + math.log(0.8)) / 2)
    # Ensemble: .6 for class 1, wrong, closes bin 9 from the right; .8 for class 1, right, closes bin 12.
    assert values["ece_ensemble"] == pytest.approx((0.6 + 0.2) / 2)
    # Members 1 and 2: .6 right, .8 right; member 3: 1.0 wrong, .8 right.
    assert values["ece_mean"] == pytest.approx(((0.4 + 0.2) / 2 * 2 + (1.0 + 0.2) / 2) / 3)
    # Squared errors, twice since both classes err alike: .16, .16, 1, then .04 for all.
    assert values["brier_mean"] == pytest.approx(2 * (0.16 + 0.16 + 1 + 3 * 0.04) / 6)
    assert values["brier_ensemble"] == pytest.approx(2 * (0.36 + 0.04) / 2)
    # One of three is wrong on sample 0, none on sample 1.
    assert values["competent"] is True
    assert values["competence_bound"] == pytest.approx(2 / 3 * 2 - 1)
    certain = torch.tensor([[[0.6, 0.4]], [[0.5, 0.5]]], dtype=torch.float64)
    expected = (0.6 * math.log(1.2) + 0.4 * math.log(0.8) + 0.5 * math.log(0.5 / 0.6) + 0.5 * math.log(0.5 / 0.4)) / 2
    assert metrics.diversity(certain, torch.tensor([0]))["kl"] == pytest.approx(expected)


@law(
    Mutation(
        "bins closed on the left",
        "sharpdiv.empirical.predictions.scores.torch.Tensor.ceil",
        lambda _: lambda t: (t * (1 + 2**-20)).floor() + 1,
    )
)
def test_a_confidence_on_an_edge_belongs_to_the_lower_bin() -> None:
    """.6 = 9/15 closes bin 9 and shares it with .59: -.6 (wrong) and +.41 (right) cancel in part."""
    rows = [[0.6, 0.4], [0.59, 0.41]]
    probs = torch.tensor([rows, rows], dtype=torch.float64)
    assert metrics.diversity(probs, torch.tensor([1, 0]))["ece_ensemble"] == pytest.approx((0.6 - 0.41) / 2)


def test_no_errors_leave_the_ratios_without_value() -> None:
    values = diversity(torch.tensor([[[0.9, 0.1]], [[0.8, 0.2]]]), torch.tensor([0]))
    assert values["der"] is values["eir"] is values["eir_vote"] is values["competence_bound"] is None
    assert values["competent"] is True


GOOD = torch.full((2, 3, 4), 0.25)
LABELS = torch.zeros(3, dtype=torch.int64)


@pytest.mark.parametrize(
    ("probs", "labels", "message"),
    [
        (GOOD[:1], LABELS, "at least 2 members, got 1"),
        (GOOD[0], LABELS, "shape"),
        (GOOD[..., :1], LABELS, "shape"),
        (GOOD[:, :0], LABELS[:0], "shape"),
        (GOOD * 2, LABELS, "sum to one"),
        (GOOD - 1, LABELS, "non-negative"),
        (GOOD * float("nan"), LABELS, "finite"),
        (GOOD.to(torch.complex64), LABELS, "probs must be floating, got torch.complex64"),
        (GOOD.long(), LABELS, "probs must be floating, got torch.int64"),
        (GOOD, LABELS.bool(), "labels must be integers, got torch.bool"),
        (GOOD, LABELS.to(torch.complex64), "labels must be integers, got torch.complex64"),
        (GOOD, LABELS[:2], "labels must have shape"),
        (GOOD, LABELS + 4, "between 0 and 3 for 4 classes, got 4 to 4"),
        (GOOD, LABELS - 1, "between 0 and 3"),
    ],
)
def test_bad_predictions_are_refused(probs: torch.Tensor, labels: torch.Tensor, message: str) -> None:
    for function in (diversity, by_size):
        with pytest.raises(InputError, match=message):
            function(probs, labels)


@pytest.mark.parametrize("name", ["der", "gaps", "accuracy_vote", "eir"])
def test_an_added_metric_replaces_none_of_ours(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(METRICS, name, Metric(name, "mine", lambda probs, _: probs.sum(dim=(0, 2))))
    with pytest.raises(InputError, match=f"called {name}, as another one of ours"):
        diversity(torch.full((2, 3, 2), 0.5), torch.zeros(3, dtype=torch.int64))


def test_a_class_without_votes_never_wins_whatever_decides_ties() -> None:
    """Such as mean logits, which are below 0."""
    assert vote(torch.tensor([[0], [0]]), torch.tensor([[-5.0, -3.0]])).tolist() == [0]
