"""What can go wrong while a run trains: killed processes, damaged checkpoints, a second process, a full disk, Ctrl-C."""

import os
import random
import signal
import socket
import time
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
import torch

from sharpdiv.empirical.engines.workers import start_context
from sharpdiv.empirical.errors import StoreError
from sharpdiv.empirical.optim.sharpbalance import sharpbalance_step
from sharpdiv.empirical.runs import ensembles as runs
from sharpdiv.empirical.runs import member as training
from sharpdiv.empirical.runs.config import RunConfig
from sharpdiv.empirical.runs.ensembles import train_runs
from sharpdiv.empirical.runs.folders import create, locked, run_folder
from sharpdiv.empirical.store import load_json, load_tensors

TINY = RunConfig(
    "sharpbalance",
    0.1,
    seeds=(1, 2),
    train_samples=60,
    width=8,
    blocks=(1, 1),
    epochs=12,
    batch_size=20,
    augment="crop-flip",
)
FROM_SAM = replace(TINY, first_phase="sam", schedule="one-cycle", epochs=8, switch_epoch=5)
KILLS = 30
NOBODY = 2**30  # more than any process has as its number


def weights(root: Path, config: RunConfig) -> dict[int, Any]:
    found = {seed: load_tensors(run_folder(root, config) / f"member-{seed}.safetensors") for seed in config.seeds}
    return {seed: ({n: t.tolist() for n, t in tensors.items()}, meta) for seed, (tensors, meta) in found.items()}


def train_here(root: Path, config: RunConfig = TINY) -> None:
    torch.set_num_threads(1)
    train_runs([config], root, workers=1, checkpoint_seconds=0.0)


@pytest.mark.long
@pytest.mark.slow
def test_thirty_kills_at_random_moments_change_no_bit(tmp_path: Path) -> None:
    train_here(tmp_path / "undisturbed")
    expected = weights(tmp_path / "undisturbed", TINY)
    # A server that has loaded PyTorch forks every process: what is killed is training, not its start.
    context = start_context()
    draw, kills = random.Random(7), 0  # noqa: S311
    root = tmp_path / "killed"
    while kills < KILLS:
        process = context.Process(target=train_here, args=(root,))
        process.start()
        process.join(draw.uniform(0.05, 0.4))
        if process.is_alive() and process.pid:
            os.kill(process.pid, signal.SIGKILL)
            kills += 1
        process.join()
        if (
            run_folder(root, TINY) / "member-2.safetensors"
        ).exists():  # done before it was killed often enough: once more
            assert weights(root, TINY) == expected
            root = tmp_path / f"killed-{kills}"
    train_here(root)
    assert weights(root, TINY) == expected
    assert not list(root.rglob(".*.tmp"))
    assert not list(root.rglob("checkpoint-*"))


def train_until_killed(root: Path, epoch: int) -> None:
    """The process is gone in the middle of this epoch of the first member: nothing is written, nothing cleaned up."""

    def stop(*arguments: Any, **options: Any) -> torch.Tensor:
        value = sharpbalance_step(*arguments, **options)
        steps.append(value)
        if len(steps) == 3 * epoch + 2:  # of three in an epoch
            os.kill(os.getpid(), signal.SIGKILL)
        return value

    steps: list[torch.Tensor] = []
    with patch("sharpdiv.empirical.runs.member.sharpbalance_step", stop):
        train_here(root, FROM_SAM)


@pytest.fixture(scope="module")
def from_sam(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with SharpBalance, and with its SAM ensemble trained by itself in ``alone``."""
    root = tmp_path_factory.mktemp("from-sam")
    train_here(root, FROM_SAM)
    train_here(root / "alone", FROM_SAM.start)
    return root


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.parametrize("epoch", [0, 3])
def test_a_kill_in_the_first_phase_of_sam_changes_no_bit(
    epoch: int, from_sam: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "killed"
    process = start_context().Process(target=train_until_killed, args=(root, epoch))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    sam = FROM_SAM.start
    assert sam.method == "sam"
    found = sorted(path.name for path in root.rglob("*.safetensors"))
    assert found == [f"checkpoint-1-{done}.safetensors" for done in range(max(epoch - 1, 1), epoch + 1)]
    assert len(list(run_folder(root, sam).glob("checkpoint-*"))) == len(found)
    begun: list[int] = []
    monkeypatch.setattr(runs, "train", recorded(training.train, begun))
    train_here(root, FROM_SAM)
    assert (sorted(begun[:2]), begun[2:]) == (
        [0, epoch],
        [5, 5],
    )  # both first phases, the longer first, then the second ones
    assert weights(root, FROM_SAM) == weights(from_sam, FROM_SAM)
    for seed in (1, 2):
        name = Path(sam.run_id) / f"member-{seed}-epoch5.safetensors"
        ours, theirs = load_tensors(root / name)[0], load_tensors(from_sam / name)[0]
        assert all(torch.equal(ours[n], theirs[n]) for n in theirs)
    assert not list(root.rglob("checkpoint-*"))
    # SAM itself goes on from there, to the bits of one trained from scratch.
    begun.clear()
    train_here(root, sam)
    assert begun == [5, 5]
    assert weights(root, sam) == weights(from_sam / "alone", sam)


def interrupted(root: Path, monkeypatch: pytest.MonkeyPatch, epoch: int, error: BaseException) -> None:
    """Train until an epoch of the second phase of the first member, where something happens."""
    original = training._train_epoch

    def stop(member: training.Member, *arguments: Any) -> None:
        if member.epoch == epoch:
            raise error
        original(member, *arguments)

    with monkeypatch.context() as context:
        context.setattr(training, "_train_epoch", stop)
        with pytest.raises(type(error)):
            train_here(root)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Any]:
    root = tmp_path_factory.mktemp("undisturbed")
    train_here(root)
    return weights(root, TINY)


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.parametrize("damage", ["truncated", "bit flipped", "emptied"])
def test_a_damaged_checkpoint_is_named_and_the_one_before_used(
    damage: str, undisturbed: dict[int, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupted(tmp_path, monkeypatch, 10, KeyboardInterrupt())
    folder = run_folder(tmp_path, TINY)
    kept = sorted(path.name for path in folder.glob("checkpoint-*"))
    assert kept == ["checkpoint-1-10.safetensors", "checkpoint-1-9.safetensors"]
    newest = folder / "checkpoint-1-10.safetensors"
    content = bytearray(newest.read_bytes())
    content[-40] ^= 1
    damaged: dict[str, bytes] = {"truncated": bytes(content[:-20]), "bit flipped": bytes(content), "emptied": b""}
    newest.write_bytes(damaged[damage])
    resumed_at: list[int] = []
    monkeypatch.setattr(runs, "train", recorded(training.train, resumed_at))
    with pytest.warns(
        RuntimeWarning, match=r"checkpoint-1-10\.safetensors is damaged .* going on from the checkpoint before"
    ):
        train_here(tmp_path)
    assert resumed_at == [6, 9]  # what is longer first
    assert weights(tmp_path, TINY) == undisturbed


def recorded(train: Any, epochs: list[int]) -> Any:
    def wrapped(member: training.Member, *arguments: Any) -> None:
        epochs.append(member.epoch)
        train(member, *arguments)

    return wrapped


@pytest.mark.slow
@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(28, "No space left on device")])
def test_ctrl_c_and_a_full_disk_leave_a_store_to_go_on_from(
    error: BaseException, undisturbed: dict[int, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if isinstance(error, OSError):
        calls = []

        def full(descriptor: int) -> None:
            calls.append(descriptor)
            if len(calls) == 20:
                raise error

        with monkeypatch.context() as context:
            context.setattr(os, "fsync", full)
            with pytest.raises(OSError, match="No space left"):
                train_here(tmp_path)
    else:
        interrupted(tmp_path, monkeypatch, 8, error)
    assert not list(tmp_path.rglob(".*.tmp"))
    for path in tmp_path.rglob("*.safetensors"):
        load_tensors(path)
    for path in tmp_path.rglob("*.json"):
        load_json(path)
    train_here(tmp_path)
    assert weights(tmp_path, TINY) == undisturbed


def test_what_killed_processes_were_writing_is_removed(tmp_path: Path) -> None:
    """Of an earlier process, and of a worker of this one."""
    leftover = tmp_path / f".member-1.safetensors.{socket.gethostname()}.{NOBODY}.tmp"
    leftover.touch()
    with locked([tmp_path]):
        assert not leftover.exists()
        leftover.touch()
    assert not leftover.exists()


def test_what_living_processes_are_writing_is_left_to_them(tmp_path: Path) -> None:
    """Measuring takes no lock, and other machines' processes cannot be asked: theirs is left alone for an hour."""
    here, elsewhere = tmp_path / f".a.{socket.gethostname()}.{os.getppid()}.tmp", tmp_path / ".a.b.elsewhere.123.tmp"
    for path in (here, elsewhere):
        path.touch()
    with locked([tmp_path]):
        pass
    assert here.exists()
    assert elsewhere.exists()
    os.utime(elsewhere, (0, 0))
    with locked([tmp_path]):
        assert not elsewhere.exists()
    assert here.exists()


def hold(root: Path, ready: Any) -> None:
    with locked([create(root, TINY)]):
        ready.set()
        time.sleep(60)


@pytest.mark.slow
def test_two_processes_cannot_train_the_same_run(tmp_path: Path) -> None:
    context = start_context()
    ready = context.Event()
    process = context.Process(target=hold, args=(tmp_path, ready))
    process.start()
    assert ready.wait(60)
    with pytest.raises(StoreError, match="is being trained by another process"):
        train_here(tmp_path)
    process.kill()
    process.join()
    train_here(tmp_path)  # the lock ends with its process


@pytest.mark.slow
def test_checkpoints_of_a_member_that_was_killed_at_its_end_are_removed(
    undisturbed: dict[int, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its file was written, and what is of no more use since was not removed."""
    with monkeypatch.context() as context:
        context.setattr(runs, "remove_checkpoints", lambda *_, **__: None)
        train_here(tmp_path)
    left = {path.name for path in tmp_path.rglob("checkpoint-*")}
    assert {"checkpoint-1-1.safetensors", "checkpoint-1-11.safetensors"} <= left
    train_here(tmp_path)
    assert not list(tmp_path.rglob("checkpoint-*"))
    assert weights(tmp_path, TINY) == undisturbed


@pytest.mark.slow
def test_a_missing_first_phase_is_trained_again(undisturbed: dict[int, Any], tmp_path: Path) -> None:
    train_here(tmp_path)
    first = run_folder(tmp_path, TINY.start)
    (first / "member-1-epoch6.safetensors").unlink()
    (run_folder(tmp_path, TINY) / "member-1.safetensors").unlink()
    train_here(tmp_path)
    assert weights(tmp_path, TINY) == undisturbed


@pytest.mark.slow
def test_checkpoints_are_no_more_frequent_than_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[str] = []

    def save(path: Path, *rest: Any) -> None:
        written.append(path.name)
        training.save_member(path, *rest)

    monkeypatch.setattr(runs, "save_member", save)
    train_runs([replace(TINY, method="sam")], tmp_path, workers=1, checkpoint_seconds=3600.0)
    assert written == ["member-1.safetensors", "member-2.safetensors"]
