"""Ensembles that are not ours beside their lazy limit: for networks of our own runs the numbers are those of the runs."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from sharpdiv.checks.kernels.compare import compare_runs
from sharpdiv.checks.kernels.compare_own import compare_ensembles
from sharpdiv.checks.kernels.compared import QUANTITIES, KernelComparison
from sharpdiv.empirical.ensembles.images import our_images
from sharpdiv.empirical.ensembles.measuring import measure_ensemble
from sharpdiv.empirical.ensembles.result import MeasuredEnsemble
from sharpdiv.empirical.errors import InputError, NotMeasuredError
from sharpdiv.empirical.runs.config import RunConfig
from sharpdiv.empirical.runs.ensembles import train_runs
from sharpdiv.empirical.runs.folders import run_folder
from sharpdiv.empirical.runs.measure_config import MeasureConfig
from sharpdiv.empirical.runs.measured_images import run_data
from sharpdiv.empirical.runs.measuring import measure_runs
from sharpdiv.empirical.runs.member import load_member, new_member
from tests.empirical.networks import batch, state

CPU = torch.device("cpu")
SGD = RunConfig("sgd", seeds=(1, 2), train_samples=40, width=8, blocks=(1, 1), epochs=2, batch_size=20, switch_epoch=1)
RUNS = [SGD, replace(SGD, method="sam", rho=0.1)]
HOW = MeasureConfig(iterations=2, sharpness_samples=20, corrupted_samples=10, feature_samples=10, replicates=20)


@pytest.mark.long
@pytest.mark.slow
def test_networks_of_our_runs_have_the_numbers_of_the_runs(tmp_path: Path) -> None:
    """Our runs are measured by code of their own, with batch norm folded into convolutions: equal up to rounding in float32."""
    train_runs(RUNS, tmp_path, workers=1)
    records = measure_runs(RUNS, tmp_path, how=HOW, workers=1)
    data, images = run_data(SGD), our_images("digits", HOW, train_samples=40)
    ensembles: dict[float, MeasuredEnsemble] = {}
    for run, record in zip(RUNS, records, strict=True):
        paths = {seed: run_folder(tmp_path, run) / f"member-{seed}.safetensors" for seed in run.seeds}
        members = [load_member(paths[seed], run, data, seed, CPU).model for seed in run.seeds]
        layers = list(record.to_json()["cka"])
        found = measure_ensemble(
            members, images.test, train=images.train, how=HOW, layers=layers, corrupted=dict(images.corrupted)
        )
        expected = record.numbers()
        assert found.numbers().keys() == expected.keys()
        for name, value in expected.items():
            assert found.numbers()[name] == pytest.approx(value, rel=1e-3, abs=1e-6), name
        ensembles[run.rho] = found
    initial = [new_member(SGD, data, seed, CPU).model for seed in SGD.seeds]
    before = [state(model) for model in initial]
    compared = compare_ensembles(initial, ensembles, images.train, images.test, train_samples=20, test_samples=30)
    for model, values in zip(initial, before, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(state(model), values, strict=True))
    of_runs = compare_runs([run_folder(tmp_path, run) for run in RUNS], train_samples=20, test_samples=30)
    assert (compared.steps, compared.accuracy_predicted) == (of_runs.steps, of_runs.accuracy_predicted)
    for own, ours in zip(compared.points, of_runs.points, strict=True):
        assert own.predicted == pytest.approx(ours.predicted)
        assert own.measured == pytest.approx(ours.measured, rel=1e-3)


TEST, TRAIN = batch(1, size=20), batch(2, size=20)
QUICK = MeasureConfig(sharpness=("one_step",), replicates=5)


def networks(count: int = 2, seed: int = 0) -> list[nn.Module]:
    torch.manual_seed(seed)
    return [nn.Linear(5, 3) for _ in range(count)]


def found(models: list[nn.Module] | None = None, **changed: object) -> MeasuredEnsemble:
    options: dict[str, object] = {"test": TEST, "train": TRAIN, "how": QUICK, **changed}
    return measure_ensemble(models or networks(seed=1), **options)  # type: ignore[arg-type]


def compare(ensembles: Mapping[float, MeasuredEnsemble], **changed: object) -> KernelComparison:
    options: dict[str, object] = {"train": TRAIN, "test": TEST, "train_samples": 10, "test_samples": 15, **changed}
    initial = options.pop("initial", networks())
    return compare_ensembles(initial, ensembles, **options)  # type: ignore[arg-type]


def test_both_sides_are_there_and_it_is_kept() -> None:
    compared = compare({0.0: found(), 0.2: found(networks(seed=2)), 0.1: found(networks(seed=3))}, name="mine")
    assert [(point.method, point.rho) for point in compared.points] == [("sgd", 0.0), ("sam", 0.1), ("sam", 0.2)]
    for point in compared.points:
        assert point.predicted
        assert set(point.predicted) == set(point.measured) == set(QUANTITIES)
        assert np.isfinite([*point.predicted.values(), *point.measured.values()]).all()
    assert compared.points[0].measured["sharpness"] == compared.points[0].predicted["sharpness"] == 1  # type: ignore[index]
    assert compared.name == "mine"
    assert KernelComparison.from_json(compared.to_json()) == compared


REFUSED: dict[str, tuple[Callable[[], object], str]] = {
    "one rho": (lambda: compare({0.0: found()}), "at least two values of rho"),
    "negative": (lambda: compare({-0.1: found(), 0.1: found()}), "none below 0"),
    "sizes": (lambda: compare({0.0: found(), 0.1: found(networks(3))}), "of one size; that of rho 0.1 has 3 members"),
    "settings": (
        lambda: compare({0.0: found(), 0.1: found(how=replace(QUICK, seed=1))}),
        "same settings; that of rho 0.1",
    ),
    "test data": (lambda: compare({0.0: found(), 0.1: found(test=batch(5, size=20))}), "on the same test data"),
    "other test data": (lambda: compare({0.0: found(), 0.1: found()}, test=batch(5, size=20)), "first labels differ"),
    "too few": (lambda: compare({0.0: found(), 0.1: found()}, initial=networks(1)), "each of the 2 members, got 1"),
    "too many samples": (
        lambda: compare({0.0: found(), 0.1: found()}, test_samples=21),
        "test samples must be from 1 to 20",
    ),
    "no samples": (
        lambda: compare({0.0: found(), 0.1: found()}, train_samples=0),
        "training samples must be at least 1",
    ),
    "by name": (
        lambda: compare({0.0: found(), 0.1: found()}, train={"input": TRAIN[0], "labels": TRAIN[1]}),
        "inputs that are one tensor, got dict",
    ),
    "labels": (
        lambda: compare({0.0: found(), 0.1: found()}, train=(TRAIN[0], TRAIN[1] + 5)),
        "labels of the training data must be integers from 0 to 2",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_compared_is_refused(case: str) -> None:
    call, message = REFUSED[case]
    with pytest.raises(InputError, match=message):
        call()


def test_ensembles_without_sharpness_are_named() -> None:
    with pytest.raises(NotMeasuredError, match=r"rho 0\.1 needs its sharpness"):
        compare({0.0: found(), 0.1: found(train=None)})
