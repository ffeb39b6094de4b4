"""Planes of trained runs: measured once, kept, drawn from; the members and images are the run's own."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from sharpdiv.checks.results import load_evidence
from sharpdiv.empirical.connectivity import run_planes
from sharpdiv.empirical.connectivity.batch_norm import recalibrate_batch_norm
from sharpdiv.empirical.connectivity.of_runs import open_members
from sharpdiv.empirical.connectivity.planes import LossPlane, loss_on_plane
from sharpdiv.empirical.connectivity.run_planes import PlaneConfig, RunPlane, plane_runs, save_planes
from sharpdiv.empirical.errors import InputError, StoreError
from sharpdiv.empirical.runs.config import RunConfig
from sharpdiv.empirical.runs.ensembles import load_run_data, train_runs
from sharpdiv.empirical.runs.member import load_member
from sharpdiv.empirical.store import load_json, save_json

RUN = RunConfig("sgd", seeds=(1, 2, 3), train_samples=41, width=2, blocks=(1,), epochs=2, batch_size=20)
HOW = PlaneConfig(points=3, grid=2, train_samples=1000, test_samples=30)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    train_runs([RUN], folder, workers=1)
    return folder


@pytest.fixture
def planes(root: Path) -> list[RunPlane]:
    return plane_runs([RUN], root, how=HOW, workers=1)


def test_a_plane_is_that_of_the_members_on_the_images_of_the_run(root: Path, planes: list[RunPlane]) -> None:
    """Loss and error of the last member, recalibrated and evaluated by hand."""
    (found,) = planes
    data = load_run_data(RUN)
    path = root / RUN.run_id / "member-3.safetensors"
    network = load_member(path, RUN, data, 3, torch.device("cpu")).model
    images = data.normalize(data.train_images)
    halves = list(zip(images.tensor_split(2), data.train_labels.tensor_split(2), strict=True))  # 41 images by about 20
    recalibrate_batch_norm(network, halves)
    with torch.no_grad():
        logits = network.eval()(data.normalize(data.test_images[:30]))
    labels = data.test_labels[:30]
    test = found.planes["test"]
    # single precision, kept to six digits
    assert test.member_loss[2] == pytest.approx(nn.functional.cross_entropy(logits, labels).item(), rel=2e-5)
    assert test.member_error is not None
    assert test.member_error[2] == pytest.approx((logits.argmax(dim=1) != labels).double().mean().item(), rel=1e-5)
    assert found.samples == {"train": 41, "test": 30}
    assert found.planes["train"].loss.shape == (2, 2)
    assert found.barriers["train"].loss.shape == (3, 3)
    np.testing.assert_allclose(test.members[1, 0], found.barriers["test"].distance[0, 1], rtol=1e-5)


def test_what_is_measured_is_not_measured_again(
    root: Path, planes: list[RunPlane], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Unless settings or weights are others."""
    taken = []

    def told(*arguments: Any, **options: Any) -> LossPlane:
        taken.append(torch.backends.cudnn.allow_tf32)
        return loss_on_plane(*arguments, **options)

    monkeypatch.setattr("sharpdiv.empirical.connectivity.run_planes.loss_on_plane", told)
    (again,) = plane_runs([RUN], root, how=HOW, workers=1)
    assert not taken
    assert again.to_json() == planes[0].to_json()
    plane_runs([RUN], root, how=replace(HOW, grid=3), workers=1)
    assert taken == [False, False]  # products are IEEE's, as its provenance says
    path = root / RUN.run_id / "plane.json"
    value = load_json(path)
    save_json(path, {**value, "provenance": {**value["provenance"], "members": ["0"] * 3}})
    plane_runs([RUN], root, how=replace(HOW, grid=3), workers=1)
    assert len(taken) == 4


def test_planes_are_read_as_they_were_written(planes: list[RunPlane], tmp_path: Path) -> None:
    save_planes(tmp_path / "planes.json", planes)
    (found,) = load_evidence(tmp_path).planes
    assert found.config == RUN
    assert found.planes == planes[0].planes
    assert found.to_json() == planes[0].to_json()
    assert found.provenance["members"] == planes[0].provenance["members"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"schema": 2}, "planes have layout 2, this version reads 1"),
        ({"planes": [{}]}, "is not of a layout that this version reads"),
        ({"planes": 3}, "is not of a layout that this version reads"),
    ],
)
def test_files_of_another_layout_are_refused(
    change: dict[str, object], message: str, planes: list[RunPlane], tmp_path: Path
) -> None:
    save_planes(tmp_path / "planes.json", planes)
    save_json(tmp_path / "planes.json", load_json(tmp_path / "planes.json") | change)
    with pytest.raises(StoreError, match=message):
        load_evidence(tmp_path)


def test_the_committed_planes_are_one_ensemble_of_each_method() -> None:
    path = Path(__file__).parents[3] / "results" / "planes.json"
    assert path.stat().st_size < 1.5e6
    found = run_planes.planes_from_json(load_json(path))
    assert [run.config.method for run in found] == ["sgd", "sam", "sharpbalance"]
    assert {(run.config.data, run.config.seeds) for run in found} == {("digits", (1004, 1005, 1006))}
    json.dumps([run.to_json() for run in found], allow_nan=False)
    for run in found:
        plane = run.planes["train"]
        assert plane.member_loss.max() < 0.1  # networks that interpolate
        np.testing.assert_allclose(plane.members[1, 0], run.barriers["train"].distance[0, 1], rtol=1e-5)


def test_runs_that_do_not_fit_are_refused(root: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"has 2$"):
        plane_runs([replace(RUN, seeds=(1, 2))], root)
    with pytest.raises(InputError, match="at least 2, got 1 and 30"):
        open_members(root / RUN.run_id, 1, 30)
    (root / RUN.run_id / "member-2.safetensors").rename(tmp_path / "away")
    try:
        with pytest.raises(StoreError, match="has no trained member of seed 2; sharpdiv train"):
            open_members(root / RUN.run_id)
    finally:
        (tmp_path / "away").rename(root / RUN.run_id / "member-2.safetensors")
