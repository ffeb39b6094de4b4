"""Training and measuring one ensemble, and plans."""

import json
import re
from pathlib import Path

import pytest
import torch

from sharpdiv.cli.train import print_plan
from sharpdiv.empirical.runs.config import RunConfig, read_fields
from sharpdiv.empirical.runs.folders import create
from sharpdiv.empirical.runs.gpu_time import LAUNCH_SECONDS, Work
from sharpdiv.empirical.runs.plan import PlannedRun
from tests.cli.calling import run


@pytest.mark.long
@pytest.mark.slow
def test_train_measure_and_divergence(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    tiny = (
        "--train-samples 40 --width 8 --blocks 1 1 --epochs 2 --switch-epoch 1 --batch-size 20 --seeds 1 2 --workers 1"
    )
    status, out, err = run(capsys, "train", "--method", "sgd", *tiny.split(), "--runs", str(tmp_path))
    assert (status, err) == (0, "")
    status, table, _ = run(capsys, "measure", out.strip())
    assert status == 0
    assert "sharpness" in table
    diverging = ("--learning-rate", "1e20")
    status, _, err = run(capsys, "train", "--method", "sgd", *tiny.split(), *diverging, "--runs", str(tmp_path))
    assert status == 1
    assert "diverged" in err


def test_a_configuration_from_a_file_is_planned_and_saved(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    source, copy = tmp_path / "run.toml", tmp_path / "copy.json"
    source.write_text(
        'method = "sam"\nrho = 0.2\nseeds = [1, 2]\ntrain_samples = 40\nwidth = 2\nblocks = [1]\naugment = true\n'
    )
    options = ("--rho", "0.3", "--epochs", "2", "--batch-size", "20")
    arguments = (
        "train",
        "--config",
        str(source),
        *options,
        "--runs",
        str(tmp_path),
        "--dry-run",
        "--save-config",
        str(copy),
    )
    status, out, err = run(capsys, *arguments)
    assert (status, err) == (0, "")
    assert "digits-sam-rho0.3-" in out
    assert "Nothing was trained" in out
    assert not list(tmp_path.glob("digits-*"))
    saved = json.loads(copy.read_text())
    assert (saved["rho"], saved["seeds"], saved["augment"], saved["m"]) == (0.3, [1, 2], "crop-flip", "none")
    assert (
        run(capsys, "train", "--config", str(copy), "--runs", str(tmp_path), "--dry-run")[1].split("sam")[1][:20] in out
    )


def test_of_a_runs_own_file_the_exchange_stays_in_the_middle(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """It has T_d filled in, which half of other epochs is not; one that was chosen stays."""
    for chosen in (None, 1):
        config = RunConfig(
            "sharpbalance", rho=0.1, train_samples=40, width=2, blocks=(1,), epochs=4, switch_epoch=chosen
        )
        file = create(tmp_path, config) / "config.json"
        saved = tmp_path / "copy.json"
        options = ("--epochs", "6", "--runs", str(tmp_path), "--dry-run", "--save-config", str(saved))
        assert run(capsys, "train", "--config", str(file), *options)[0] == 0
        assert read_fields(saved)["switch_epoch"] == chosen


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--workers", "-3", "--dry-run"], "workers must be at least 1, got -3"),
        (["--workers", "0", "--dry-run"], "workers must be at least 1, got 0"),
        (["--stacked", "--clip-norm", "1"], "--stacked is for SGD and SAM of whole batches in float32"),
        (["--split-seed", "99999999999999999999"], "split_seed must have 63 bits at most"),
        (["--train-samples", "None"], "digits has no test set of its own"),
    ],
)
def test_what_cannot_be_is_said_before_anything_is_trained(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, options: list[str], message: str
) -> None:
    small = ("--width", "2", "--blocks", "1", "--epochs", "2", "--seeds", "1", "2", "--runs", str(tmp_path))
    status, _, err = run(capsys, "train", "--method", "sgd", *small, *options)
    assert (status, err.count("\n")) == (2, 1)
    assert message in err


def test_plans_are_in_readable_units(capsys: pytest.CaptureFixture[str]) -> None:
    plans = [PlannedRun("short", 0, 2, 10, 1.5), PlannedRun("long", 1, 2, 9000, 5400.0)]
    print_plan(plans, "cpu", 2)
    table = [re.split(r" {2,}", line) for line in capsys.readouterr().out.splitlines()]
    assert table == [
        ["run", "trained", "passes left", "process time"],
        ["short", "0 of 2", "10", "1.5 seconds"],
        ["long", "1 of 2", "9000", "1.50 hours"],
        ["Training: about 45.01 minutes with 2 at once on cpu, measuring not counted."],
    ]


def test_plans_for_gpus_say_their_hours(capsys: pytest.CaptureFixture[str]) -> None:
    """30% of 19.5 and of 67 TFLOP/s in float32; an hour of the host."""
    work = Work(0.3 * 19.5e12 * 7200, round(3600 / LAUNCH_SECONDS))
    print_plan([PlannedRun("large", 0, 2, 10, None, work), PlannedRun("short", 0, 2, 10, 1.5)], "cpu", 2)
    out = capsys.readouterr().out
    assert "computed and not measured" in out
    assert "Training: about" not in out  # of a part
    table = [line.split() for line in out.splitlines()]
    assert ["A100", "2.0", "1.0", "1.0", "1.0"] in table
    assert ["H100", "1.0", "1.0", "1.0", "1.0"] in table


@pytest.mark.parametrize(("workers", "hours"), [(1, "2.00"), (2, "1.00"), (8, "1.00")])
def test_processes_that_share_a_gpu_share_its_time(
    workers: int, hours: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sharpdiv.cli.train.choose_device", torch.device)
    monkeypatch.setattr("sharpdiv.cli.train.default_workers", lambda _: 2)  # GPUs
    print_plan([PlannedRun("run", 0, 2, 10, 7200.0)], "cuda", workers)
    assert f"Training: about {hours} hours" in capsys.readouterr().out
