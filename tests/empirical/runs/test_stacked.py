"""Stacked training writes what training alone does, to rounding, and goes on wherever it was."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from sharpdiv.empirical.optim.stacked import Stack
from sharpdiv.empirical.runs import stacked as module
from sharpdiv.empirical.runs.config import RunConfig
from sharpdiv.empirical.runs.ensembles import load_run_data, train_runs
from sharpdiv.empirical.runs.folders import run_folder, trained_epochs, training_record
from sharpdiv.empirical.runs.member import load_member, save_member
from sharpdiv.empirical.runs.stacked import stackable, train_stacked
from sharpdiv.empirical.store import load_json, load_tensors
from tests.pretend import DEVICE, pretended

SAM = RunConfig(
    "sam",
    0.05,
    train_samples=41,
    width=2,
    blocks=(1,),
    epochs=4,
    switch_epoch=2,
    batch_size=10,
    seeds=(1, 2),
    augment="crop-flip",
    schedule="one-cycle",
)
BALANCE = replace(SAM, method="sharpbalance", rho=0.1)
SGD = BALANCE.start
CONFIGS = [SGD, SAM, replace(SAM, rho=0.1), BALANCE]


def files(root: Path) -> dict[str, Path]:
    """Files of members and first phases."""
    return {str(path.relative_to(root)): path for path in sorted(root.rglob("member-*.safetensors"))}


def bits(root: Path) -> dict[str, dict[str, Any]]:
    return {name: {n: t.tolist() for n, t in load_tensors(path)[0].items()} for name, path in files(root).items()}


def test_the_files_are_those_of_training_alone_to_rounding(tmp_path: Path) -> None:
    """Four epochs in float32; SharpBalance's second phase is left."""
    alone, together = tmp_path / "alone", tmp_path / "together"
    train_runs(CONFIGS, alone, workers=1)
    train_stacked(CONFIGS, together)
    assert files(together).keys() == {name for name in files(alone) if "sharpbalance" not in name}
    for name, path in files(together).items():
        (found, about), (expected, about_alone) = load_tensors(path), load_tensors(files(alone)[name])
        assert {n: about[n] for n in ("run", "seed")} == {n: about_alone[n] for n in ("run", "seed")}
        assert found.keys() == expected.keys()
        assert torch.equal(found["history.sam_samples"], expected["history.sam_samples"])
        for part, value in found.items():
            # Rounding of float32 grows by the curvature of every step: some hundred times in twenty.
            difference = (value.double() - expected[part].double()).abs().max()
            assert float(difference) <= 1e-3 * (1 + float(expected[part].double().abs().max())), (name, part)


def test_training_goes_on_from_what_was_stacked(tmp_path: Path) -> None:
    """All is planned as trained but for SharpBalance's second phase, which starts from the stacked first one, and says so."""
    train_stacked(CONFIGS, tmp_path)
    before = {name: path.read_bytes() for name, path in files(tmp_path).items()}
    assert [trained_epochs(tmp_path, config, 1) for config in CONFIGS] == [4, 4, 4, 2]
    train_runs(CONFIGS, tmp_path, workers=1)
    assert {name: path.read_bytes() for name, path in files(tmp_path).items() if name in before} == before
    data = load_run_data(BALANCE)
    path = run_folder(tmp_path, BALANCE) / "member-1.safetensors"
    assert load_member(path, BALANCE, data, 1, torch.device("cpu")).epoch == 4
    records = [training_record(tmp_path, config, 1) for config in CONFIGS]
    assert [record["stacked"] for record in records] == [6, 6, 6, 6]  # two members each of SGD and of SAM at two rho
    assert all(record["seconds"] > 0 for record in records)
    assert load_json(run_folder(tmp_path, SGD) / "member-1.json")["from_epoch"] == 2


def test_what_began_in_a_stack_says_so_also_where_each_member_goes_on_alone(tmp_path: Path) -> None:
    def interrupt(_: str, done: int, total: int) -> None:
        if done == 2 * len(SGD.seeds):  # the first epoch is kept
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_stacked([SGD], tmp_path, checkpoint_seconds=0.0, progress=interrupt)
    train_runs([SGD], tmp_path, workers=1)
    assert [training_record(tmp_path, SGD, seed)["stacked"] for seed in SGD.seeds] == [len(SGD.seeds)] * len(SGD.seeds)


@pytest.mark.slow
@pytest.mark.parametrize("at", [1, 2])
def test_an_interrupted_stack_ends_with_the_same_bits(at: int, tmp_path: Path) -> None:
    """Interrupted right behind an epoch whose state is kept, or before it is: at the exchange and on both sides of it."""
    train_stacked(CONFIGS, tmp_path / "whole", checkpoint_seconds=0.0)

    def interrupt(_: str, done: int, total: int) -> None:
        if done == 6 * (at + 1):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_stacked(CONFIGS, tmp_path / "cut", checkpoint_seconds=0.0, progress=interrupt)
    # Of SAM past the exchange nothing is kept at it.
    assert [trained_epochs(tmp_path / "cut", config, 2) for config in CONFIGS[:3]] == [at, at, at]
    train_stacked(CONFIGS, tmp_path / "cut", checkpoint_seconds=0.0)
    assert bits(tmp_path / "cut") == bits(tmp_path / "whole")
    assert not list(tmp_path.rglob("checkpoint-*"))


@pytest.mark.slow
@pytest.mark.parametrize("saves", [1, 7, 10, 13, 16, 19, 21, 24, 29, 31])
def test_a_stack_that_is_killed_while_it_is_kept_ends_with_the_same_bits(
    saves: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of six members some are a checkpoint ahead, at the exchange, or trained: rounding depends on who is in the stack."""
    train_stacked(CONFIGS, tmp_path / "whole", checkpoint_seconds=0.0)
    save, done = save_member, 0

    def die(*args: Any) -> None:
        nonlocal done
        if done == saves:
            raise KeyboardInterrupt
        done += 1
        save(*args)

    stacks: list[int] = []
    step = Stack.step

    def counted(self: Stack, *args: Any) -> torch.Tensor:
        stacks.append(len(self._models))
        return step(self, *args)

    with monkeypatch.context() as context:
        context.setattr(module, "save_member", die)
        with pytest.raises(KeyboardInterrupt):
            train_stacked(CONFIGS, tmp_path / "cut", checkpoint_seconds=0.0)
    monkeypatch.setattr(Stack, "step", counted)
    train_stacked(CONFIGS, tmp_path / "cut", checkpoint_seconds=0.0)
    assert set(stacks) == {6}
    assert bits(tmp_path / "cut") == bits(tmp_path / "whole")
    assert not list(tmp_path.rglob("checkpoint-*"))


def test_a_stack_that_is_killed_behind_its_last_state_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as context:
        context.setattr(module, "remove_checkpoints", lambda *_, **__: None)
        train_stacked([SGD], tmp_path, checkpoint_seconds=0.0)
    before = bits(tmp_path)
    assert len(list(tmp_path.rglob("checkpoint-1-*"))) == 4  # at every epoch but the last
    train_stacked([SGD], tmp_path)
    assert bits(tmp_path) == before
    assert not list(tmp_path.rglob("checkpoint-*"))


def test_members_that_are_behind_catch_up(tmp_path: Path) -> None:
    """One has a state of the exchange and one has none: both end, and the other's file is left as it was."""
    train_stacked([SGD], tmp_path)
    (run_folder(tmp_path, SGD) / "member-2.safetensors").unlink()
    (run_folder(tmp_path, SGD) / "member-2-epoch2.safetensors").unlink()
    (run_folder(tmp_path, SGD) / "member-1.safetensors").unlink()
    seen: list[tuple[int, int]] = []
    train_stacked([SGD], tmp_path, progress=lambda _, done, total: seen.append((done, total)))
    assert seen == [(3, 8), (4, 8), (6, 8), (8, 8)]  # one from 0 to 2, then both
    assert [trained_epochs(tmp_path, SGD, seed) for seed in SGD.seeds] == [4, 4]


def test_a_member_that_diverges_leaves_the_stack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Others end; it is not kept, so that training alone says what happened."""
    step = Stack.step

    def diverging(self: Stack, *args: Any) -> torch.Tensor:
        losses = step(self, *args)
        losses[self._rho == 0.1] = math.nan
        return losses

    monkeypatch.setattr(Stack, "step", diverging)
    train_stacked(CONFIGS, tmp_path)
    assert [trained_epochs(tmp_path, config, 1) for config in CONFIGS[:3]] == [4, 4, 0]


def test_what_can_be_stacked() -> None:
    assert stackable(SGD)
    assert stackable(replace(SAM, adaptive=True, sparsity=0.5, precision="tf32"))
    for changes in ({"m": 5}, {"clip_norm": 1.0}, {"precision": "bfloat16"}, {"compile": True}):
        assert not stackable(replace(SAM, **changes))
    groups = module._groups([SGD, SAM, replace(SAM, seeds=(3, 4)), replace(SAM, adaptive=True), replace(SGD, width=4)])
    assert [len(group) for group in groups] == [3, 1, 1]


@pytest.mark.slow
def test_stacks_have_the_bits_of_the_cpu_on_a_device_and_wait_once_an_epoch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train_stacked([SGD, SAM], tmp_path / "here")
    monkeypatch.setattr(module, "choose_device", lambda _: DEVICE)
    waited: list[int] = []
    with pretended() as watch:
        train_stacked(
            [SGD, SAM],
            tmp_path / "there",
            checkpoint_seconds=60.0,
            progress=lambda *_: waited.append(watch.waits.total()),
        )
    assert bits(tmp_path / "there") == bits(tmp_path / "here")
    assert waited[1] - waited[0] == waited[3] - waited[2] == 1, watch.waits
