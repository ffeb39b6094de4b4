"""Anybody's ensembles: every number is that of the function called by hand, and what cannot be measured is refused in one line."""

import gc
import weakref
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from sharpdiv.empirical.curvature.loss_surface import NormalizedLogits
from sharpdiv.empirical.curvature.measures import MEASURES
from sharpdiv.empirical.ensembles.measuring import measure_ensemble
from sharpdiv.empirical.ensembles.result import MeasuredEnsemble
from sharpdiv.empirical.errors import DivergenceError, InputError, NotMeasuredError, StoreError
from sharpdiv.empirical.predictions.bootstrap import bootstrap
from sharpdiv.empirical.predictions.files import load_predictions
from sharpdiv.empirical.predictions.metrics import diversity, logit_variance
from sharpdiv.empirical.predictions.representation import layer_features, member_cka
from sharpdiv.empirical.predictions.sizes import by_size
from sharpdiv.empirical.runs.measure_config import MeasureConfig
from tests.empirical.networks import batch, mlp, state
from tests.laws import types_unchecked

HOW = MeasureConfig(
    sharpness=("worst_l2", "one_step", "hessian_trace"),
    iterations=2,
    trace_draws=2,
    sharpness_samples=20,
    sharpness_batch=8,
    feature_samples=15,
    replicates=30,
)
TEST, TRAIN = batch(1, size=40), batch(2, size=30)


def models(count: int = 3) -> list[nn.Module]:
    return [mlp(seed) for seed in range(count)]


def loader(data: tuple[Tensor, Tensor], size: int = 7, *, shuffle: bool = False) -> DataLoader[tuple[Tensor, ...]]:
    return DataLoader(TensorDataset(*data), batch_size=size, shuffle=shuffle)


def by_hand(networks: list[nn.Module], inputs: Tensor) -> Tensor:
    """Logits of networks in evaluation mode, all samples at once."""
    with torch.no_grad():
        return torch.stack([network.eval()(inputs).double() for network in networks])


@pytest.fixture(scope="module")
def found() -> MeasuredEnsemble:
    corrupted = {"noise": [loader((TEST[0] + level, TEST[1])) for level in (0.5, 1.0)]}
    return measure_ensemble(
        models(), loader(TEST), train=loader(TRAIN), how=HOW, layers=("first", "last"), corrupted=corrupted
    )


def test_predictions_and_metrics_are_those_of_the_networks(found: MeasuredEnsemble) -> None:
    logits = by_hand(models(), TEST[0])
    assert found.logits.dtype == found.probs.dtype == np.float64
    # Batches of another size round otherwise in float32.
    np.testing.assert_allclose(found.logits, logits.numpy(), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found.probs, torch.from_numpy(found.logits).softmax(dim=2).numpy(), rtol=1e-15)
    probs, labels = torch.from_numpy(found.probs), TEST[1]
    assert found.labels.tolist() == labels.tolist()
    expected = diversity(probs, labels)
    assert found.metrics == expected | {"logit_variance": logit_variance(torch.from_numpy(found.logits))}
    assert found.intervals == bootstrap(probs, labels, HOW.replicates)
    assert found.by_size == by_size(probs, labels)
    assert found.metric("disagreement") == expected["disagreement"]


def test_sharpness_is_the_measure_on_the_first_training_samples(found: MeasuredEnsemble) -> None:
    """The loader has batches of 7, sharpness those of 8 that are asked for: 8, 8 and 4."""
    inputs, labels = TRAIN
    cuts = [slice(0, 8), slice(8, 16), slice(16, 20)]
    batches = [(inputs[cut], labels[cut]) for cut in cuts]
    assert found.sharpness_samples == 20
    for name in HOW.sharpness:
        expected = [MEASURES[name].take(model, batches, HOW) for model in models()]
        assert found.sharpness(name) == tuple(value for value, _ in expected)
        assert found.sharpness_by_measure[name].stderr == tuple(stderr for _, stderr in expected)


def test_training_fit_features_and_corruptions_by_hand(found: MeasuredEnsemble) -> None:
    logits = by_hand(models(), TRAIN[0])
    right = (logits.argmax(dim=2) == TRAIN[1]).double().mean(dim=1)
    loss = [nn.functional.cross_entropy(each, TRAIN[1]).item() for each in logits]
    assert found.of_members("train_accuracy") == pytest.approx(right.tolist())
    assert found.of_members("train_loss") == pytest.approx(loss, rel=1e-5)  # float32 of the networks
    for layer in ("first", "last"):
        features = [layer_features(model, TEST[0][:15], [layer])[layer] for model in models()]
        assert found.cka(layer) == pytest.approx(member_cka(features), rel=1e-4)
    for level, metrics in zip((0.5, 1.0), found.corrupted["noise"], strict=True):
        expected = diversity(by_hand(models(), TEST[0] + level).softmax(dim=2), TEST[1])
        assert metrics["accuracy_members"] == expected["accuracy_members"]
        assert metrics["nll_mean"] == pytest.approx(expected["nll_mean"], rel=1e-5)


def test_normalized_logits_are_measured_where_asked_for() -> None:
    how = replace(HOW, sharpness=("one_step",), normalize_logits=True, sharpness_batch=30, sharpness_samples=30)
    found = measure_ensemble(models(2), TEST, train=TRAIN, how=how)
    expected = [MEASURES["one_step"].take(NormalizedLogits(model), [TRAIN], how)[0] for model in models(2)]
    assert found.sharpness("one_step") == tuple(expected)


class Named(nn.Module):
    """Takes keyword arguments and returns an object with logits, as transformers do."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.inner = mlp(seed)

    def forward(self, x: Tensor, scale: Tensor) -> "Named.Output":
        return Named.Output(self.inner(x * scale))

    class Output:
        """As their ModelOutput."""

        def __init__(self, logits: Tensor) -> None:
            self.logits = logits


def test_batches_of_keyword_arguments_give_the_same_numbers(found: MeasuredEnsemble) -> None:
    def named(data: tuple[Tensor, Tensor]) -> list[dict[str, Tensor]]:
        parts = zip(data[0].split(7), data[1].split(7), strict=True)
        return [{"x": x, "scale": torch.ones(len(x), 1), "labels": y} for x, y in parts]

    other = measure_ensemble(
        [Named(seed) for seed in range(3)],
        named(TEST),
        train=named(TRAIN),
        how=HOW,
        layers=("inner.first", "inner.last"),
    )
    assert other.metrics == found.metrics
    assert other.sharpness("worst_l2") == found.sharpness("worst_l2")
    assert other.cka("inner.last") == found.cka("last")
    how = replace(HOW, sharpness=("one_step",), normalize_logits=True)
    normalized = [
        measure_ensemble(each, data, train=train, how=how).sharpness("one_step")
        for each, data, train in ((models(), TEST, TRAIN), ([Named(s) for s in range(3)], named(TEST), named(TRAIN)))
    ]
    assert normalized[0] == normalized[1]


def test_networks_are_afterwards_what_they_were() -> None:
    networks = [model.train() for model in models(2)]
    before = [state(model) for model in networks]
    measure_ensemble(networks, TEST, train=TRAIN, how=HOW)
    assert all(module.training for model in networks for module in model.modules())
    for model, values in zip(networks, before, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(state(model), values, strict=True))


def test_of_an_iterator_one_network_is_alive_at_a_time() -> None:
    alive: list[weakref.ref[nn.Module]] = []

    def made() -> Iterator[nn.Module]:
        for seed in range(3):
            gc.collect()
            assert not any(ref() for ref in alive)
            model = mlp(seed)
            alive.append(weakref.ref(model))
            yield model
            del model

    found = measure_ensemble(made(), TEST, how=HOW)
    assert found.members == ("member 1", "member 2", "member 3")


def test_what_is_not_there_is_not_measured(found: MeasuredEnsemble) -> None:
    bare = measure_ensemble(models(), TEST, how=HOW)
    for ask in (
        lambda: bare.sharpness("worst_l2"),
        lambda: bare.of_members("train_accuracy"),
        lambda: bare.of_members("weight_norm"),
        lambda: bare.cka("first"),
        lambda: bare.metric("accuracy_members"),
        lambda: found.sharpness("fisher_trace"),
    ):
        with pytest.raises(NotMeasuredError):
            ask()
    numbers = bare.numbers()
    assert numbers.keys() | {"cka_first", "cka_last"} == found.numbers().keys()
    missing = {name for name, value in numbers.items() if value is None}
    assert missing >= {"train_accuracy", "corrupted_accuracy_mean", *(f"sharpness_{name}" for name in HOW.sharpness)}
    assert bare.to_json()["corrupted"] is None
    assert bare.to_json()["members"]["train_loss"] is None


def test_numbers_are_means_over_members_and_corruptions(found: MeasuredEnsemble) -> None:
    numbers = found.numbers()
    assert numbers["sharpness_worst_l2"] == np.mean(found.sharpness("worst_l2"))
    assert numbers["train_accuracy"] == np.mean(found.of_members("train_accuracy"))
    assert numbers["corrupted_accuracy_mean"] == np.mean([level["accuracy_mean"] for level in found.corrupted["noise"]])
    assert numbers["cka_first"] == found.cka("first")


@pytest.mark.parametrize("with_all", [True, False])
def test_a_file_gives_back_what_was_measured(found: MeasuredEnsemble, tmp_path: Path, with_all: bool) -> None:
    kept = found if with_all else measure_ensemble(models(), TEST, how=HOW)
    kept.save(tmp_path / "ensemble.npz")
    again = MeasuredEnsemble.load(tmp_path / "ensemble.npz")
    assert again.to_json() == kept.to_json()
    assert again.how == kept.how
    assert again.intervals == kept.intervals
    for name in ("probs", "logits", "labels"):
        assert np.array_equal(getattr(again, name), getattr(kept, name))
    probs, labels = load_predictions(tmp_path / "ensemble.npz")
    assert np.array_equal(probs.numpy(), kept.probs)
    assert labels.tolist() == kept.labels.tolist()
    assert kept.to_json()["schema"] == 1
    assert kept.to_json()["provenance"]["sharpdiv"]


def test_files_that_are_not_whole_are_refused(found: MeasuredEnsemble, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"\.npz"):
        found.save(tmp_path / "ensemble.json")
    with pytest.raises(StoreError, match="does not exist"):
        MeasuredEnsemble.load(tmp_path / "none.npz")
    np.savez(tmp_path / "bare.npz", probs=found.probs, logits=found.logits, labels=found.labels)
    with pytest.raises(StoreError, match="not a whole measured ensemble"):
        MeasuredEnsemble.load(tmp_path / "bare.npz")
    np.savez(
        tmp_path / "later.npz", probs=found.probs, logits=found.logits, labels=found.labels, summary='{"schema": 2}'
    )
    with pytest.raises(StoreError, match="layout 2"):
        MeasuredEnsemble.load(tmp_path / "later.npz")
    found.save(tmp_path / "good.npz")
    (tmp_path / "cut.npz").write_bytes((tmp_path / "good.npz").read_bytes()[:400])
    with pytest.raises(StoreError, match="not a whole measured ensemble"):
        MeasuredEnsemble.load(tmp_path / "cut.npz")


class Noisy(TensorDataset):
    """Augmented at random."""

    def __getitem__(self, index: int) -> tuple[Tensor, ...]:
        x, y = (each[index] for each in self.tensors)
        return x + torch.randn_like(x), y


class Growing:
    """Another batch each time it is read."""

    def __init__(self) -> None:
        self.length = 1

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        self.length += 1
        yield from [TEST] * self.length


def spoiled(seed: int, change: Callable[[nn.Module], None]) -> nn.Module:
    model = mlp(seed)
    change(model)
    return model


def nan(model: nn.Module) -> None:
    next(iter(model.parameters())).data[0, 0] = torch.nan


def wider() -> nn.Module:
    return nn.Linear(5, 4)


def labelled(label: int) -> tuple[Tensor, Tensor]:
    return TEST[0], torch.full_like(TEST[1], label)


REFUSED: dict[str, tuple[Callable[[], object], str]] = {
    "one network": (lambda: measure_ensemble(models(1), TEST, how=HOW), "at least 2 networks, got 1"),
    "one of an iterator": (lambda: measure_ensemble(iter(models(1)), TEST, how=HOW), "at least 2 networks, got 1"),
    "no network": (lambda: measure_ensemble([mlp(0), torch.ones], TEST, how=HOW), "member 2 must be a torch.nn.Module"),  # type: ignore[list-item]
    "none at the end": (
        lambda: measure_ensemble([*models(), None], TEST, how=HOW),  # type: ignore[list-item]
        "member 4 must be a torch.nn.Module, got NoneType",
    ),
    "shuffled": (
        lambda: measure_ensemble(models(), loader(TEST, shuffle=True), how=HOW),
        r"the test data: labels differ .* switch shuffling off",
    ),
    "shuffled training": (
        lambda: measure_ensemble(models(), TEST, train=loader(TRAIN, shuffle=True), how=HOW),
        r"the training data: labels differ",
    ),
    "augmented": (
        lambda: measure_ensemble(models(), DataLoader(Noisy(*TEST), batch_size=7), how=HOW),
        "inputs differ .* augmentation",
    ),
    "growing": (lambda: measure_ensemble(models(), Growing(), how=HOW), "batches, and .* when it was read again"),
    "generator": (lambda: measure_ensemble(models(), iter([TEST]), how=HOW), "read again for every member"),
    "a data set": (lambda: measure_ensemble(models(), TensorDataset(*TEST), how=HOW), "DataLoader"),  # type: ignore[arg-type]
    "other classes": (
        lambda: measure_ensemble([mlp(0), wider()], TEST, how=HOW),
        "member 2 has 4 outputs, member 1 3",
    ),
    "one output": (
        lambda: measure_ensemble([nn.Linear(5, 1)] * 2, TEST, how=HOW),
        r"member 1: outputs must be logits \(samples, classes >= 2\)",
    ),
    "three axes": (
        lambda: measure_ensemble([nn.Unflatten(1, (5, 1))] * 2, TEST, how=HOW),
        r"member 1: outputs must be .* shape \(40, 5, 1\)",
    ),
    "probabilities": (
        lambda: measure_ensemble([nn.Sequential(mlp(0), nn.Softmax(dim=1))] * 2, TEST, how=HOW),
        "member 1: outputs are probabilities",
    ),
    "labels beyond": (lambda: measure_ensemble(models(), labelled(3), how=HOW), "labels must lie between 0 and 2"),
    "labels below": (lambda: measure_ensemble(models(), labelled(-1), how=HOW), "labels must lie between 0 and 2"),
    "labels of training": (
        lambda: measure_ensemble(models(), TEST, train=labelled(9), how=HOW),
        "member 1: labels must lie",
    ),
    "soft labels": (
        lambda: measure_ensemble(models(), (TEST[0], torch.rand(40, 3)), how=HOW),
        "labels must have shape",
    ),
    "other inputs": (
        lambda: measure_ensemble(models(), (torch.ones(4, 9), torch.zeros(4, dtype=torch.long)), how=HOW),
        "member 1: does not take this data",
    ),
    "no such layer": (lambda: measure_ensemble(models(), TEST, how=HOW, layers=("head",)), "no layer 'head'"),
    "another device": (
        lambda: measure_ensemble([mlp(0), mlp(1).to("meta")], TEST, how=HOW),
        "member 2 is on meta, member 1 on cpu",
    ),
    "two devices": (
        lambda: measure_ensemble([nn.Sequential(nn.Linear(5, 5), nn.Linear(5, 3, device="meta"))] * 2, TEST, how=HOW),
        "member 1 is on cpu and meta",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_measured_is_refused_in_one_line(case: str) -> None:
    call, message = REFUSED[case]
    with types_unchecked(), pytest.raises(InputError, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)


def test_outputs_that_are_not_finite_name_the_member() -> None:
    with pytest.raises(DivergenceError, match="member 2: outputs are not finite"):
        measure_ensemble([mlp(0), spoiled(1, nan)], TEST, how=HOW)


def test_inputs_of_many_shapes_need_batches_that_fit() -> None:
    """Sequences padded by batch cannot be joined; in the size they have, they can be measured."""
    parts = [(torch.randn(4, length, 5), torch.tensor([0, 1, 2, 0])) for length in (3, 6)]
    networks = [nn.Sequential(nn.Linear(5, 3), Mean()) for _ in range(2)]
    with pytest.raises(InputError, match="set sharpness_batch to theirs"):
        measure_ensemble(networks, parts, train=parts, how=HOW)
    found = measure_ensemble(networks, parts, train=parts, how=replace(HOW, sharpness_batch=4))
    expected = MEASURES["one_step"].take(networks[0], parts, HOW)[0]
    assert found.sharpness("one_step")[0] == expected


class Mean(nn.Module):
    """Over positions."""

    def forward(self, x: Tensor) -> Tensor:
        return x.mean(dim=1)
