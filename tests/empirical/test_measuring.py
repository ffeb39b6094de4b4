"""Measurement of runs: every number is the one its function gives for the stored networks."""

from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import torch

from empirical import (
    CORRUPTIONS,
    InputError,
    MeasureConfig,
    RunConfig,
    corrupt,
    diversity,
    load_data,
    load_result,
    measure,
    measure_runs,
    train_runs,
    worst_case_sharpness,
)
from empirical.measuring import Sharpness
from empirical.runs import run_folder
from empirical.store import load_tensors, unpack
from empirical.training import load_member

TINY = RunConfig(
    "sgd",
    seeds=(1, 2, 3),
    train_samples=60,
    validation_samples=30,
    width=2,
    blocks=(1, 1),
    epochs=3,
    batch_size=20,
    switch_epoch=1,
)
ALL = MeasureConfig(
    sharpness=get_args(Sharpness),
    iterations=2,
    draws=2,
    trace_draws=2,
    sharpness_samples=24,
    sharpness_batch=12,
    corrupted_samples=10,
    feature_samples=20,
    replicates=50,
)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    train_runs([TINY], folder, workers=1)
    return folder


@pytest.fixture(scope="module")
def result(root: Path) -> dict[str, Any]:
    (found,) = measure_runs([TINY], root, how=ALL, workers=1)
    return found


def test_predictions_are_the_networks_own(root: Path, result: dict[str, Any]) -> None:
    data = load_data("digits", 60, 30)
    probs = []
    for seed in TINY.seeds:
        path = run_folder(root, TINY) / f"member-{seed}.safetensors"
        model = load_member(path, TINY, data, seed, torch.device("cpu")).model.eval()
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
    assert (unpack(result["predicted"]) != stacked.argmax(dim=2).numpy()).mean() < 1e-3
    assert unpack(result["labels"]).tolist() == data.test_labels.tolist()
    assert result["by_size"]["accuracy"][-1] == result["metrics"]["accuracy_ensemble"]
    low, high = result["intervals"]["disagreement"]
    assert low <= result["metrics"]["disagreement"] <= high


def test_sharpness_is_of_the_first_training_images(root: Path, result: dict[str, Any]) -> None:
    data = load_data("digits", 60, 30)
    path = run_folder(root, TINY) / "member-2.safetensors"
    model = load_member(path, TINY, data, 2, torch.device("cpu")).model
    images, labels = data.normalize(data.train_images[:24]), data.train_labels[:24]
    batches = list(zip(images.split(12), labels.split(12), strict=True))
    ours = result["members"]["sharpness"]
    assert ours["worst_l2_adaptive"][1] == pytest.approx(
        worst_case_sharpness(model, batches, 0.5, iterations=2), rel=1e-4
    )
    assert set(ours) == set(get_args(Sharpness))
    assert all(len(values) == 3 and np.isfinite(values).all() for values in ours.values())
    errors = result["members"]["sharpness_stderr"]
    assert min(errors["hessian_trace"]) > 0
    assert errors["worst_l2"] == [0, 0, 0]


def test_corrupted_images_are_those_of_the_split(root: Path, result: dict[str, Any]) -> None:
    data = load_data("digits", 60, 30)
    assert set(result["corrupted"]) == set(CORRUPTIONS)
    stored, _ = load_tensors(run_folder(root, TINY) / "measured-1.safetensors")
    model = load_member(
        run_folder(root, TINY) / "member-1.safetensors", TINY, data, 1, torch.device("cpu")
    ).model.eval()
    kind, level = CORRUPTIONS.index("contrast"), 4
    images = corrupt(data.test_images[:10], "contrast", 5, seed=10 * kind + 5)
    with torch.no_grad():
        expected = model(data.normalize(images)).softmax(dim=1)
    assert stored["corrupted_probs"][kind * 5 + level].numpy() == pytest.approx(expected.numpy(), abs=1e-5)
    assert unpack(result["corrupted_errors"]["members"]).max() <= 3 * 5 * len(CORRUPTIONS)


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


def test_held_out_images_can_be_measured(root: Path, result: dict[str, Any]) -> None:
    how = replace(ALL, split="validation", sharpness=("one_step",))
    held = measure(run_folder(root, TINY), how=how)
    assert unpack(held["labels"]).tolist() == load_data("digits", 60, 30).validation_labels.tolist()
    assert held["measure"]["split"] == "validation"
    assert load_result(run_folder(root, TINY)) == held
    again = measure(run_folder(root, TINY), how=ALL)  # other settings: measured anew
    assert again["metrics"] == result["metrics"]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"iterations": 0}, "iterations must be finite and positive"),
        ({"adaptive_l2_radius": float("nan")}, "adaptive_l2_radius must be finite"),
        ({"seed": -1}, "seed must be"),
        ({"normalize_logits": True}, "normalised logits"),
    ],
)
def test_bad_settings_are_refused(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        replace(ALL, **wrong)


def test_what_does_not_exist_is_refused(root: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="published of the test images of cifar10"):
        measure(run_folder(root, TINY), how=replace(ALL, corrupted="published"))
    config = replace(TINY, validation_samples=0)
    train_runs([config], tmp_path, workers=1)
    with pytest.raises(InputError, match="no images out for validation"):
        measure(run_folder(tmp_path, config), how=replace(ALL, split="validation"))


def test_normalised_logits_change_the_sharpness(root: Path, result: dict[str, Any]) -> None:
    how = replace(ALL, normalize_logits=True, sharpness=("one_step",))
    assert (
        measure(run_folder(root, TINY), how=how)["members"]["sharpness"]["one_step"]
        != result["members"]["sharpness"]["one_step"]
    )
