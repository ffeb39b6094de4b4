"""Measurement of runs: every number is the one its function gives for the stored networks."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from sharpdiv.empirical.curvature.measures import MEASURES, Batches, Measure, SharpnessSettings
from sharpdiv.empirical.curvature.worst_case import worst_case_sharpness
from sharpdiv.empirical.data.corruptions import CORRUPTIONS, corrupt
from sharpdiv.empirical.data.datasets import DATASETS
from sharpdiv.empirical.data.raw_images import RawImages
from sharpdiv.empirical.data.splits import ImageData, load_data
from sharpdiv.empirical.errors import InputError
from sharpdiv.empirical.predictions.metrics import diversity
from sharpdiv.empirical.provenance import provenance
from sharpdiv.empirical.runs import assembling, measure_member, measured_images
from sharpdiv.empirical.runs.config import RunConfig
from sharpdiv.empirical.runs.ensembles import train_runs
from sharpdiv.empirical.runs.folders import run_folder
from sharpdiv.empirical.runs.measure_config import MeasureConfig
from sharpdiv.empirical.runs.measuring import measure, measure_runs
from sharpdiv.empirical.runs.member import load_member
from sharpdiv.empirical.runs.record import load_record
from sharpdiv.empirical.store import load_json, load_tensors
from tests.laws import Mutation, law

TINY = RunConfig(
    "sgd",
    seeds=(1, 2, 3),
    train_samples=60,
    validation_samples=30,
    width=8,
    blocks=(1, 1),
    epochs=3,
    batch_size=20,
    switch_epoch=1,
)
ALL = MeasureConfig(
    sharpness=tuple(MEASURES),
    iterations=2,
    draws=2,
    trace_draws=2,
    sharpness_samples=24,
    sharpness_batch=12,
    corrupted_samples=10,
    stored_samples=50,
    feature_samples=20,
    replicates=50,
)
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    train_runs([TINY], folder, workers=1)
    return folder


@pytest.fixture(scope="module")
def result(root: Path) -> dict[str, Any]:
    (found,) = measure_runs([TINY], root, how=ALL, workers=1)
    return found.to_json()


def test_predictions_are_the_networks_own(root: Path, result: dict[str, Any]) -> None:
    data = load_data("digits", 60, 30)
    probs = []
    for seed in TINY.seeds:
        path = run_folder(root, TINY) / f"member-{seed}.safetensors"
        model = load_member(path, TINY, data, seed, CPU).model.eval()
        with torch.no_grad():
            probs.append(model(data.normalize(data.test_images)).double().softmax(dim=1))
    stacked = torch.stack(probs)
    with np.load(run_folder(root, TINY) / "predictions.npz") as file:
        # Batches of another size and another memory format sum in another order: float32 rounding of logits of order 1.
        assert file["probs"] == pytest.approx(stacked.numpy(), abs=1e-5)
        assert (file["labels"] == data.test_labels.numpy()).all()
    expected = diversity(stacked, data.test_labels)
    for name in ("disagreement", "variance", "kl", "nll_ensemble", "brier_mean"):
        # The same rounding, relative to numbers of some 1e-2; and a prediction on the boundary may tip, as below.
        assert result["metrics"][name] == pytest.approx(expected[name], rel=1e-3)
    kept = load_record(run_folder(root, TINY) / "record.npz")
    assert (kept.predicted != stacked.argmax(dim=2).numpy()).mean() < 1e-3
    assert kept.labels.tolist() == data.test_labels.tolist()
    assert result["by_size"]["accuracy"][-1] == result["metrics"]["accuracy_ensemble"]
    low, high = result["intervals"]["disagreement"]
    assert low <= result["metrics"]["disagreement"] <= high


def test_sharpness_is_of_the_first_training_images(root: Path, result: dict[str, Any]) -> None:
    data = load_data("digits", 60, 30)
    path = run_folder(root, TINY) / "member-2.safetensors"
    model = load_member(path, TINY, data, 2, CPU).model
    images, labels = data.normalize(data.train_images[:24]), data.train_labels[:24]
    batches = list(zip(images.split(12), labels.split(12), strict=True))
    ours = result["members"]["sharpness"]
    assert ours["worst_l2_adaptive"][1] == pytest.approx(
        worst_case_sharpness(model, batches, 0.5, iterations=2), rel=1e-4
    )
    assert set(ours) == set(MEASURES)
    assert all(len(values) == 3 and np.isfinite(values).all() for values in ours.values())
    errors = result["members"]["sharpness_stderr"]
    assert min(errors["hessian_trace"]) > 0
    assert errors["worst_l2"] == [0, 0, 0]


def test_corrupted_images_are_those_of_the_split(root: Path, result: dict[str, Any]) -> None:
    data = load_data("digits", 60, 30)
    assert set(result["corrupted"]) == set(CORRUPTIONS)
    stored, _ = load_tensors(run_folder(root, TINY) / "measured-1.safetensors")
    model = load_member(run_folder(root, TINY) / "member-1.safetensors", TINY, data, 1, CPU).model.eval()
    kind, level = CORRUPTIONS.index("contrast"), 4
    images = corrupt(data.test_images[:10], "contrast", 5, seed=10 * kind + 5)
    with torch.no_grad():
        expected = model(data.normalize(images)).softmax(dim=1)
    assert stored["corrupted_probs"][kind * 5 + level].numpy() == pytest.approx(expected.numpy(), abs=1e-5)
    kept = load_record(run_folder(root, TINY) / "record.npz")
    assert kept.corrupted_wrong.shape == (3 + 1, 5 * len(CORRUPTIONS), 10)


def networks(root: Path) -> list[torch.nn.Module]:
    data, folder = load_data("digits", 60, 30), run_folder(root, TINY)
    paths = {seed: folder / f"member-{seed}.safetensors" for seed in TINY.seeds}
    return [load_member(path, TINY, data, seed, CPU).model.eval() for seed, path in paths.items()]


def with_ensemble(members: list[torch.Tensor]) -> torch.Tensor:
    probs = torch.stack(members).double()
    return torch.cat([probs, probs.mean(dim=0, keepdim=True)])


def test_the_record_keeps_the_predictions(root: Path, result: dict[str, Any]) -> None:
    """Its arrays again from predictions.npz, which holds everything in full precision."""
    kept = load_record(run_folder(root, TINY) / "record.npz")
    with np.load(run_folder(root, TINY) / "predictions.npz") as file:
        probs, logits, labels = file["probs"], file["logits"], file["labels"]
    assert kept.summary == result == load_json(run_folder(root, TINY) / "result.json")
    assert np.array_equal(kept.labels, labels)
    assert np.array_equal(kept.predicted, logits.argmax(axis=2))
    assert np.array_equal(kept.predicted_ensemble, probs.mean(axis=0).argmax(axis=1))
    assert kept.probs.shape == (3, 50, 10)
    # Half a step of 1/64 for the rounding, and as much when they are divided by their sum.
    large = probs[:, :50] > np.exp(-31)
    assert np.abs(np.log(kept.probs[large]) - np.log(probs[:, :50][large])).max() <= 1 / 64
    assert np.exp(logits - logits.max(axis=2, keepdims=True)) == pytest.approx(
        probs / probs.max(axis=2, keepdims=True), rel=1e-12
    )


@pytest.fixture(scope="module", autouse=True)
def _copy(root: Path, result: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> None:
    global COPY
    COPY = Path(shutil.copytree(root, tmp_path_factory.mktemp("copy") / "runs"))


COPY = Path()
"""Of the measured run, to be put together from its members again."""


@law(
    Mutation("hits for errors", "sharpdiv.empirical.runs.assembling._errors", lambda f: lambda *a: ~f(*a)),
    Mutation("in bits", "sharpdiv.empirical.runs.assembling.nll", lambda f: lambda *a: f(*a) / np.log(2)),
    Mutation(
        "the last corruption first", "torch.Tensor.double", lambda f: lambda t: f(t.roll(1, 1) if t.ndim == 4 else t)
    ),
)
def test_the_record_keeps_what_corruption_does() -> None:
    """Every corruption and severity of the first ten test images, corrupted here and shown to the networks themselves."""
    assembling.assemble(COPY, TINY, ALL, CPU)
    kept, data = load_record(run_folder(COPY, TINY) / "record.npz"), load_data("digits", 60, 30)
    labels, models, columns = data.test_labels[:10], networks(COPY), kept.to_json()["corrupted"]
    losses = []
    for kind, name in enumerate(CORRUPTIONS):
        for severity in range(1, 6):
            images = data.normalize(corrupt(data.test_images[:10], name, severity, seed=10 * kind + severity))
            with torch.no_grad():
                probs = with_ensemble([model(images).softmax(dim=1) for model in models])
            first, second = probs.topk(2, dim=2).values.unbind(dim=2)
            sure = first - second > 1e-4  # folded networks round otherwise, to some 1e-6, and may tip what is closer
            wrong = probs.argmax(dim=2) != labels
            ours = torch.from_numpy(kept.corrupted_wrong[:, 5 * kind + severity - 1])
            assert torch.equal(ours[sure], wrong[sure])
            losses.append(-probs[:, torch.arange(10), labels].clamp_min(1e-12).log())
    # As above: 1e-6 of probabilities that are mostly above 1e-2, averaged over 70; then float32.
    assert kept.corrupted_nll == pytest.approx(torch.stack(losses).mean(dim=0).numpy(), rel=1e-3)
    accuracy = 1 - kept.corrupted_wrong[3].reshape(len(CORRUPTIONS), 5, 10).mean(axis=2)
    assert np.array([columns[name]["accuracy_ensemble"] for name in CORRUPTIONS]) == pytest.approx(accuracy, rel=1e-5)


def test_a_result_says_what_it_was_made_of(root: Path, result: dict[str, Any]) -> None:
    found = result["provenance"]
    here = provenance(CPU)
    assert set(here) == {
        *("device", "platform", "processor", "instructions", "python", "torch", "numpy", "safetensors"),
        *("sharpdiv", "commit", "protocol"),
    }
    assert {name: found[name] for name in here} == here
    assert (found["data_sha256"], found["test_order"]) == (load_data("digits", 60).source, "stratified-0")
    assert len(found["trained"]) == 3
    for trained in found["trained"]:
        assert trained.pop("seconds") > 0
        assert trained.pop("data_sha256") == found["data_sha256"]
        assert trained == here


def test_numbers_of_members_are_those_of_the_trained_networks(root: Path, result: dict[str, Any]) -> None:
    """In evaluation mode and un-augmented, but for the last epoch's loss, which is the one of training."""
    data, members = load_data("digits", 60, 30), result["members"]
    images, folder = data.normalize(data.train_images), run_folder(root, TINY)
    for i, model in enumerate(networks(root)):
        with torch.no_grad():
            logits = model(images).double()
        loss = float(torch.nn.functional.cross_entropy(logits, data.train_labels))
        assert members["train_loss"][i] == pytest.approx(loss, rel=1e-4)  # float32 logits, folded or not
        hits = float((logits.argmax(dim=1) == data.train_labels).double().mean())
        assert members["train_accuracy"][i] == pytest.approx(hits, abs=1 / 60)
        tensors, _ = load_tensors(folder / f"member-{TINY.seeds[i]}.safetensors")
        assert members["last_epoch_loss"][i] == tensors["history.loss"][-1]
        weights = [t for name, t in tensors.items() if name.startswith("model.") and name.endswith("weight")]
        norm = torch.cat([w.flatten() for w in weights if w.ndim > 1]).double().norm()
        assert members["weight_norm"][i] == pytest.approx(float(norm), rel=1e-6)
        # Batch statistics of 20 images against running ones of 3 epochs of 3 steps: nowhere near equal.
        assert abs(members["last_epoch_loss"][i] - loss) > 0.01 * loss


def test_what_is_chosen_by_is_of_the_validation_images(root: Path, result: dict[str, Any]) -> None:
    data, found = load_data("digits", 60, 30), result["validation"]
    images, labels = data.normalize(data.validation_images), data.validation_labels
    with torch.no_grad():
        probs = with_ensemble([model(images).softmax(dim=1) for model in networks(root)])
    accuracy = (probs.argmax(dim=2) == labels).double().mean(dim=1)
    assert found["samples"] == 30
    assert found["accuracy_members"] == pytest.approx(accuracy[:3].tolist())
    assert found["accuracy_ensemble"] == pytest.approx(float(accuracy[3]))
    nll = -probs[3, torch.arange(30), labels].log().mean()
    assert found["nll_ensemble"] == pytest.approx(float(nll), rel=1e-4)


def test_corrupted_metrics_are_short_columns_over_severities(root: Path, result: dict[str, Any]) -> None:
    folder = run_folder(root, TINY)
    stored = [load_tensors(folder / f"measured-{seed}.safetensors")[0]["corrupted_probs"] for seed in TINY.seeds]
    kind = CORRUPTIONS.index("fog")
    probs = torch.stack(stored).double()[:, 5 * kind : 5 * (kind + 1)]
    labels = load_data("digits", 60, 30).test_labels[:10]
    columns = result["corrupted"]["fog"]
    assert "accuracy_members" not in columns
    assert all(len(values) == 5 for values in columns.values())
    for name in ("accuracy_ensemble", "disagreement", "nll_mean", "competent"):
        expected = [diversity(probs[:, level], labels)[name] for level in range(5)]
        assert columns[name] == pytest.approx(expected, rel=5e-6)  # six digits: half of one in the sixth
    assert all(float(f"{value:.6g}") == value for value in columns["nll_mean"])


@pytest.fixture
def copied(root: Path, result: dict[str, Any], tmp_path: Path) -> Path:
    """The measured run's folder, to be measured otherwise."""
    return Path(shutil.copytree(run_folder(root, TINY), tmp_path / TINY.run_id))


@pytest.mark.long
@pytest.mark.slow
def test_held_out_images_can_be_measured(copied: Path, result: dict[str, Any]) -> None:
    how = replace(ALL, split="validation", sharpness=("one_step",))
    held = measure(copied, how=how)
    kept = load_record(copied / "record.npz")
    assert kept.labels.tolist() == load_data("digits", 60, 30).validation_labels.tolist()
    assert kept.to_json() == held.to_json() == load_json(copied / "result.json")
    assert held.to_json()["measure"]["split"] == "validation"
    again = measure(copied, how=replace(how, split="test"))  # other settings: measured anew
    assert again.to_json()["metrics"] == result["metrics"]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"iterations": 0}, "iterations must be finite and positive"),
        ({"adaptive_l2_radius": float("nan")}, "adaptive_l2_radius must be finite"),
        ({"seed": -1}, "seed must be"),
        (
            {"sharpness": ("worst_l2", "worst_l3")},
            "sharpness must be of worst_linf, .*, hessian_top; got worst_l3",
        ),
        ({"normalize_logits": True}, "fisher_trace cannot be taken of normalized logits"),
    ],
)
def test_bad_settings_are_refused(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        replace(ALL, **wrong)


@pytest.mark.long
@pytest.mark.slow
def test_what_does_not_exist_is_refused(root: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="published of the test images of cifar10"):
        measure(run_folder(root, TINY), how=replace(ALL, corrupted="published"))
    config = replace(TINY, validation_samples=0)
    train_runs([config], tmp_path, workers=1)
    with pytest.raises(InputError, match="no images out for validation"):
        measure(run_folder(tmp_path, config), how=replace(ALL, split="validation"))


@pytest.mark.long
@pytest.mark.slow
def test_normalized_logits_change_the_sharpness(copied: Path, result: dict[str, Any]) -> None:
    how = replace(ALL, normalize_logits=True, sharpness=("one_step",))
    found = measure(copied, how=how).sharpness("one_step")
    assert list(found) != result["members"]["sharpness"]["one_step"]


def test_another_measure_is_an_entry_of_the_registry(
    copied: Path, result: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def take(_: torch.nn.Module, batches: Batches, settings: SharpnessSettings) -> tuple[float, float]:
        return sum(len(inputs) for inputs, _ in batches) * settings.l2_radius, 0.25

    monkeypatch.setitem(MEASURES, "samples", Measure("samples", "samples in units of a tenth", take, ("l2_radius",)))
    # In this process: another one would not know the entry.
    (found,) = measure_runs([TINY], copied.parent, how=replace(ALL, sharpness=("samples", "one_step")), workers=1)
    members = found.to_json()["members"]
    assert members["sharpness"]["samples"] == pytest.approx([2.4] * 3)  # 24 images, a radius of 0.1
    assert members["sharpness_stderr"]["samples"] == [0.25] * 3
    assert members["sharpness"]["one_step"] == result["members"]["sharpness"]["one_step"]


def published(monkeypatch: pytest.MonkeyPatch, name: str) -> tuple[ImageData, list[tuple[str, int]]]:
    """A made-up data set, its files in an arbitrary order, with published corruptions: the images, plus the severity."""
    generator = torch.Generator().manual_seed(3)
    labels = torch.arange(10).repeat_interleave(30)[torch.randperm(300, generator=generator)]
    x = torch.randint(200, (300, 3, 4, 4), generator=generator, dtype=torch.uint8)
    raw, read = RawImages(x, labels, x.flip(1), labels, 10, "made up"), []

    def load(folder: Path, corruption: str, severity: int, kind: str) -> tuple[torch.Tensor, torch.Tensor]:
        read.append((corruption, severity))
        assert kind == f"{name}-c"
        return raw.test_images + severity, raw.test_labels

    monkeypatch.setattr("sharpdiv.empirical.data.splits.load_images", lambda _: raw)
    monkeypatch.setattr(measured_images, "load_published", load)
    measured_images._corrupted.cache_clear()
    return load_data(name, 100), read


@law(
    Mutation(
        "the first of the files",
        "sharpdiv.empirical.runs.measured_images.stratified_order",
        lambda _: lambda y: torch.arange(len(y)),
    ),
    Mutation(
        "one sample late", "sharpdiv.empirical.runs.measured_images.stratified_order", lambda f: lambda y: f(y).roll(1)
    ),
)
def test_published_corruptions_are_taken_in_the_order_of_the_test_set() -> None:
    """CIFAR's files have the published order of the test set: corrupted image i is test image i of what is in memory."""
    for name in ("cifar10", "cifar100"):
        with pytest.MonkeyPatch.context() as patch:
            data, read = published(patch, name)
            config = RunConfig("sgd", data=name, train_samples=100)
            how = replace(ALL, corrupted="published", corrupted_samples=45)
            names, images, labels = measured_images.corrupted_images(config, how)
        assert len(names) == 15
        assert read == [(kind, severity) for kind in names for severity in range(1, 6)]
        assert images.shape == (15, 5, 45, 3, 4, 4)
        assert torch.equal(labels, data.test_labels[:45])
        for severity in range(1, 6):
            assert all(torch.equal(kind[severity - 1], data.test_images[:45] + severity) for kind in images)
        assert set(torch.bincount(labels, minlength=10).tolist()) == {4, 5}
        measured_images._corrupted.cache_clear()


@pytest.mark.parametrize("writer", ["write_atomically", "save_json"])
def test_a_measurement_that_is_killed_among_its_files_is_put_together_again(
    writer: str, root: Path, result: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Measured in another way before: its predictions and numbers would pass for those of the new record."""
    few = replace(ALL, sharpness=("one_step",), split="validation")
    folder = run_folder(shutil.copytree(root, tmp_path / "runs"), TINY)

    def die(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as context:
        context.setattr(assembling, writer, die)
        with pytest.raises(KeyboardInterrupt):
            measure(folder, how=few, workers=1)
    assert load_record(folder / "record.npz").measured_as(few)  # the first of three
    measure(folder, how=few, workers=1)
    assert load_json(folder / "result.json")["measure"] == few.to_json()
    with np.load(folder / "predictions.npz") as file:
        assert len(file["labels"]) == TINY.validation_samples


def test_a_member_is_measured_again_where_its_corrupted_images_are_others(
    root: Path, result: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its own weights and settings are the same."""
    runs = shutil.copytree(root, tmp_path / "runs")
    path = run_folder(runs, TINY) / "measured-1.safetensors"
    before = path.read_bytes()
    measure_member.measure_member(runs, TINY, 1, CPU, ALL)
    assert path.read_bytes() == before
    monkeypatch.setattr(measure_member, "corrupted_digest", lambda *_: "others")
    measure_member.measure_member(runs, TINY, 1, CPU, ALL)
    assert load_tensors(path)[1]["corrupted"] == "others"


def test_published_files_that_were_repaired_are_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measured_images, "data_folder", lambda: tmp_path)
    source = RunConfig("sgd", data="cifar10")
    published = DATASETS["cifar10"].published
    assert published is not None
    (tmp_path / published.folder).mkdir(parents=True)
    file = tmp_path / published.folder / "fog.npy"
    file.write_bytes(b"cut off")
    before = measured_images._state(source)
    assert before == measured_images._state(source)
    file.write_bytes(b"whole again")
    assert measured_images._state(source) != before
