"""Laws of the ensemble metrics, and numbers worked by hand."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from empirical import InputError, diversity, load_predictions, metrics
from tests.laws import Mutation, law

shapes: dict[str, Any] = {
    "seed": st.integers(0, 10_000),
    "members": st.integers(2, 5),
    "samples": st.integers(1, 40),
    "classes": st.integers(2, 6),
}


def predictions(seed: int, members: int, samples: int, classes: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn(members, samples, classes, generator=generator, dtype=torch.float64)
    return logits.softmax(dim=2), torch.randint(classes, (samples,), generator=generator)


def numbers(probs: torch.Tensor, labels: torch.Tensor) -> list[float]:
    values = metrics.diversity(probs, labels)
    values["accuracy_members"] = sorted(values["accuracy_members"])  # type: ignore[arg-type]
    return [
        np.nan if v is None else v for value in values.values() for v in (value if isinstance(value, list) else [value])
    ]


@law(
    Mutation("vote of the first member", "empirical.metrics.vote", lambda _: lambda predicted, _m: predicted[0]),
    Mutation(
        "last member counted twice with the first", "empirical.metrics._pair_mean", lambda f: lambda m: f(m) + m[0, -1]
    ),
    **shapes,
)
def test_order_of_members_and_samples_does_not_matter(seed: int, members: int, samples: int, classes: int) -> None:
    probs, labels = predictions(seed, members, samples, classes)
    generator = torch.Generator().manual_seed(seed + 1)
    rows, columns = torch.randperm(members, generator=generator), torch.randperm(samples, generator=generator)
    assert numbers(probs[rows][:, columns], labels[columns]) == pytest.approx(
        numbers(probs, labels), rel=1e-9, nan_ok=True
    )


@law(
    Mutation(
        "label 0 is special",
        "empirical.metrics._calibration_error",
        lambda f: lambda p, y: f(p, y) + (y == 0).double().mean().item(),
    ),
    **shapes,
)
def test_names_of_classes_do_not_matter(seed: int, members: int, samples: int, classes: int) -> None:
    probs, labels = predictions(seed, members, samples, classes)
    names = torch.randperm(classes, generator=torch.Generator().manual_seed(seed + 1))
    renamed = torch.empty_like(probs)
    renamed[..., names] = probs
    assert numbers(renamed, names[labels]) == pytest.approx(numbers(probs, labels), rel=1e-9, nan_ok=True)


@law(
    Mutation("pairs with themselves", "empirical.metrics._pair_mean", lambda _: lambda m: (m + 1).mean()),
    **shapes,
)
def test_identical_members_have_no_diversity(seed: int, members: int, samples: int, classes: int) -> None:
    probs, labels = predictions(seed, 1, samples, classes)
    values = metrics.diversity(probs.repeat(members, 1, 1), labels)
    for name in ("disagreement", "variance", "kl"):
        assert values[name] == pytest.approx(0, abs=1e-12)
    for name in ("der", "eir", "eir_vote"):
        assert values[name] is None or values[name] == pytest.approx(0, abs=1e-12)
    assert values["accuracy_ensemble"] == pytest.approx(values["accuracy_mean"])
    assert values["nll_ensemble"] == pytest.approx(values["nll_mean"])


def biased_variance(function: Any) -> Any:
    return lambda self, dim, *, unbiased: function(self, dim, unbiased=False)


@law(
    Mutation("biased variance", "empirical.metrics.torch.Tensor.var", biased_variance),
    **shapes,
)
def test_brier_score_decomposes_into_variance(seed: int, members: int, samples: int, classes: int) -> None:
    """Mean Brier score - ensemble's = (1 - 1/M) variance (Krogh and Vedelsby)."""
    probs, labels = predictions(seed, members, samples, classes)
    truth = torch.nn.functional.one_hot(labels, classes)
    brier = (probs - truth).square().sum(dim=2).mean() - (probs.mean(dim=0) - truth).square().sum(dim=1).mean()
    variance = metrics.diversity(probs, labels)["variance"]
    assert (1 - 1 / members) * variance == pytest.approx(float(brier), rel=1e-9)  # type: ignore[operator]


@law(
    Mutation("divergence with the sign turned", "empirical.metrics._pair_mean", lambda f: lambda m: -f(m)),
    **shapes,
)
def test_inequalities(seed: int, members: int, samples: int, classes: int) -> None:
    """Jensen: the ensemble's likelihood beats the mean member's; divergences and fractions have their ranges."""
    values = metrics.diversity(*predictions(seed, members, samples, classes))
    assert values["nll_ensemble"] <= values["nll_mean"] + 1e-12  # type: ignore[operator]
    assert values["kl"] >= 0  # type: ignore[operator]
    assert 0 <= values["disagreement"] <= 1  # type: ignore[operator]
    assert 0 <= values["ece_ensemble"] <= 1  # type: ignore[operator]
    if values["der"] is not None:
        # If two members differ at least one is wrong, and each pair counts the errors of two.
        assert values["der"] <= 2 + 1e-12  # type: ignore[operator]


@law(
    Mutation("vote by mean probability", "empirical.metrics.vote", lambda _: lambda p, m: m.argmax(dim=1)),
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
    certain = torch.tensor([[[0.6, 0.4]], [[0.5, 0.5]]], dtype=torch.float64)
    expected = (0.6 * math.log(1.2) + 0.4 * math.log(0.8) + 0.5 * math.log(0.5 / 0.6) + 0.5 * math.log(0.5 / 0.4)) / 2
    assert metrics.diversity(certain, torch.tensor([0]))["kl"] == pytest.approx(expected)


@law(Mutation("bins closed on the left", "empirical.metrics.torch.Tensor.ceil", lambda _: lambda t: t.floor() + 1))
def test_a_confidence_on_an_edge_belongs_to_the_lower_bin() -> None:
    """.6 = 9/15 closes bin 9 and shares it with .59: -.6 (wrong) and +.41 (right) cancel in part."""
    rows = [[0.6, 0.4], [0.59, 0.41]]
    probs = torch.tensor([rows, rows], dtype=torch.float64)
    assert metrics.diversity(probs, torch.tensor([1, 0]))["ece_ensemble"] == pytest.approx((0.6 - 0.41) / 2)


def test_no_errors_leave_the_ratios_without_value() -> None:
    values = diversity(torch.tensor([[[0.9, 0.1]], [[0.8, 0.2]]]), torch.tensor([0]))
    assert values["der"] is values["eir"] is values["eir_vote"] is None


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
        (GOOD, LABELS[:2], "labels must have shape"),
        (GOOD, LABELS + 4, "between 0 and 3 for 4 classes, got 4 to 4"),
        (GOOD, LABELS - 1, "between 0 and 3"),
    ],
)
def test_bad_predictions_are_refused(probs: torch.Tensor, labels: torch.Tensor, message: str) -> None:
    with pytest.raises(InputError, match=message):
        diversity(probs, labels)


@given(cut=st.integers(0, 400), position=st.integers(0, 400), value=st.integers(0, 255))
def test_damaged_files_are_refused_or_unchanged(
    tmp_path_factory: pytest.TempPathFactory, cut: int, position: int, value: int
) -> None:
    """A truncated or overwritten .npz is a typed error, or (where the byte did not matter) the same predictions."""
    path = tmp_path_factory.getbasetemp() / "damaged.npz"
    np.savez(path, probs=GOOD.numpy(), labels=LABELS.numpy())
    content = bytearray(path.read_bytes())
    content = content[: len(content) - cut]
    if position < len(content):
        content[position] = value
    path.write_bytes(bytes(content))
    try:
        probs, labels = load_predictions(path)
    except InputError:
        return
    assert torch.equal(probs, GOOD.double())
    assert torch.equal(labels, LABELS)


def test_arrays_of_the_wrong_kind_are_named(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", probs=GOOD.numpy())
    with pytest.raises(InputError, match="no array 'labels'"):
        load_predictions(tmp_path / "a.npz")
    np.savez(tmp_path / "b.npz", probs=GOOD.numpy(), labels=LABELS.double().numpy())
    with pytest.raises(InputError, match="labels must be integer"):
        load_predictions(tmp_path / "b.npz")
    np.save(tmp_path / "c.npy", GOOD.numpy())
    with pytest.raises(InputError, match=r"not a readable \.npz"):
        load_predictions(tmp_path / "c.npy")
    with pytest.raises(InputError, match="does not exist"):
        load_predictions(tmp_path / "d.npz")
