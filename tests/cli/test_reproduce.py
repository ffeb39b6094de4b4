"""The main job: planned, interrupted and continued, with what is there already."""

import itertools
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sharpdiv import reproduce as job
from sharpdiv.checks.ascents.networks import DESCENT, FittedNetwork, Regime, Sweep
from sharpdiv.checks.registry import CLAIMS
from sharpdiv.checks.results import load_evidence
from sharpdiv.cli import report
from sharpdiv.empirical.engines.pool import Pool
from sharpdiv.empirical.errors import InputError
from sharpdiv.empirical.runs import ensembles as runs
from sharpdiv.empirical.runs import member as training
from sharpdiv.empirical.runs.config import RunConfig
from sharpdiv.empirical.runs.record import RunRecord, load_record, save_record
from tests.cli.calling import run
from tests.cli.small_design import DESIGN, RECORDS, SMALL_RUN, measure_blocks


def test_the_main_job_has_a_plan(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Three blocks of twelve conditions, which start from one another: nothing is trained besides."""
    status, out, _ = run(capsys, "reproduce", "--dry-run", "--runs", str(tmp_path))
    assert status == 0
    lines = [line for line in out.splitlines() if line.startswith("digits-")]
    assert len(lines) == 36
    assert all(" 0 of 3 " in line for line in lines)
    assert "dial gelu-none-8" in out
    assert "ascents two-layer relu, scale 0.5" in out
    assert not list(tmp_path.iterdir())


SWEEP = Sweep(
    "ascents-tiny.json", (FittedNetwork("two-layer", "relu", 0.5, 20, (0.4,), (DESCENT,), (Regime(),), 2, 10),)
)
"""Two members of one network, and some steps of gradient descent."""


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """The main job on two small blocks and a small sweep, checking a claim or two; tells of every member of runs that it trains."""
    told: list[tuple[str, int]] = []
    train_member = runs._train_member

    def tell(root: Path, config: RunConfig, seed: int, *rest: Any) -> None:
        told.append((config.run_id, seed))
        train_member(root, config, seed, *rest)

    monkeypatch.setattr("sharpdiv.reproduce.PROFILES", {"quick": (DESIGN,)})
    monkeypatch.setattr("sharpdiv.reproduce.DIALS", {})
    monkeypatch.setattr("sharpdiv.reproduce.SWEEPS", {"quick": SWEEP})
    monkeypatch.setattr(
        "sharpdiv.reproduce.CLAIMS", tuple(c for c in CLAIMS if c.id in {"alternating-sum", "c1-digits"})
    )
    monkeypatch.setattr("sharpdiv.reproduce.drawable", lambda _: [])
    monkeypatch.setattr(runs, "_train_member", tell)
    return told


def reproduce(capsys: pytest.CaptureFixture[str], folder: Path, *options: str) -> tuple[int, str, str]:
    return run(capsys, "reproduce", "--runs", str(folder), "--workers", "1", *options)


def records(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*.npz"))}


def measured(path: Path) -> dict[str, Any]:
    """A record without its wall times."""
    values = vars(load_record(path))
    trained = [member | {"seconds": 0} for member in values["summary"]["provenance"].pop("trained")]
    arrays = {name: value.tolist() for name, value in values.items() if name != "summary"}
    return {"summary": values["summary"], "trained": trained, **arrays}


@pytest.mark.long
@pytest.mark.slow
def do_at_once(capsys: pytest.CaptureFixture[str], runs: Path) -> None:
    """The main job without an interruption."""
    status, out, err = reproduce(capsys, runs)
    assert (status, err) == (0, "")
    for said in ("Training and measuring 6 ensembles, 12 networks", "block of seeds 1, 2 is", "block of seeds 3, 4 is"):
        assert said in out
    assert "alternating-sum" in out
    assert "c1-digits" in out
    assert (runs / "reproduce" / "paper_checks.md").exists()
    ascents = [found.name for found in load_evidence(runs / "reproduce").ascents]
    assert ascents == ["two-layer relu, scale 0.5, f, alpha = 1"]
    assert sorted(records(runs / "reproduce")) == sorted(RECORDS)


def test_an_interrupted_main_job_continues(
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    trained: list[tuple[str, int]],
) -> None:
    """What a block measured stays, to the byte; the rest ends as if nothing had happened."""
    whole, target = tmp_path / "whole", tmp_path / "runs" / "reproduce"
    do_at_once(capsys, whole)
    assert len(trained) == 12
    epoch = training._train_epoch

    def stop(member: training.Member, *rest: Any) -> None:
        if (member.seed, member.epoch) == (4, 3):
            raise KeyboardInterrupt
        epoch(member, *rest)

    with monkeypatch.context() as context:
        context.setattr(training, "_train_epoch", stop)
        status, out, err = reproduce(capsys, tmp_path / "runs")
    assert (status, err.count("\n")) == (130, 1)
    assert "finished work is kept" in err
    assert "tiny: block of seeds 1, 2 is measured" in out
    first = records(target)
    assert sorted(first) == sorted(RECORDS[:3])

    trained.clear()
    status, out, _ = reproduce(capsys, tmp_path / "runs")
    assert status == 0
    assert "Training and measuring 3 ensembles, 6 networks" in out
    assert {seed for _, seed in trained} == {3, 4}
    after = records(target)
    assert sorted(after) == sorted(RECORDS)
    assert {name: after[name] for name in first} == first
    for name in RECORDS:
        assert measured(target / name) == measured(whole / "reproduce" / name)

    trained.clear()
    status, out, _ = reproduce(capsys, tmp_path / "runs")
    assert status == 0
    assert "Training and measuring 0 ensembles, 0 networks" in out
    assert not trained
    assert records(target) == after


@pytest.mark.long
@pytest.mark.slow
def test_a_main_job_out_of_time_says_what_is_left_and_goes_on(
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    trained: list[tuple[str, int]],
) -> None:
    """The first block of seeds is whole, and nothing of the second one is lost."""
    ticks = itertools.count()
    with monkeypatch.context() as context:  # a tick before a piece of this process, and one after it but for cheap ones
        context.setattr("sharpdiv.empirical.engines.working.monotonic", lambda: float(next(ticks)))
        context.setattr(job, "_deadline", lambda minutes: None if minutes is None else 48.0)
        context.setattr(job, "Pool", lambda *arguments, **_: Pool(*arguments))
        status, out, err = reproduce(capsys, tmp_path, "--minutes", "9")
    assert (status, err) == (0, "")
    assert out.splitlines()[1:] == [
        "tiny: block of seeds 1, 2 is measured",
        "The time is up: 25 of 47 pieces of work are done, 1 of 2 blocks measured",
        "The same command goes on from here, to the same bits; "
        f"sharpdiv report --results {tmp_path}/reproduce shows what is measured so far",
    ]
    assert sorted(records(tmp_path / "reproduce")) == sorted(RECORDS[:3])
    assert not (tmp_path / "reproduce" / "report.html").exists()
    assert {seed for _, seed in trained} == {1, 2}
    status, out, _ = reproduce(capsys, tmp_path)
    assert status == 0
    assert "Training and measuring 3 ensembles, 6 networks" in out
    assert "tiny: block of seeds 3, 4 is measured" in out
    assert (tmp_path / "reproduce" / "report.html").exists()


@pytest.mark.long
@pytest.mark.slow
def test_what_is_there_already_is_not_made_again(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, trained: list[tuple[str, int]]
) -> None:
    """--have takes the records of the profile's runs, no others, and never over one's own."""
    reproduce(capsys, tmp_path / "theirs")
    have, target = tmp_path / "theirs" / "reproduce", tmp_path / "mine" / "reproduce"
    sam = DESIGN.runs((3, 4))["sam-mid"]
    (have / "tiny" / f"{sam.run_id}.npz").unlink()
    shutil.copy(have / RECORDS[0], have / "tiny" / "another.npz")
    before = records(have)
    trained.clear()
    status, out, err = reproduce(capsys, tmp_path / "mine", "--have", str(have))
    assert (status, err) == (0, "")
    assert "Training and measuring 1 ensembles, 2 networks" in out
    assert trained == [(sam.run_id, 3), (sam.run_id, 4)]
    made = sorted(path.name for path in (tmp_path / "mine").iterdir() if path != target)
    assert made == ["ascents", "corrupted", sam.run_id]
    found = records(target)
    assert sorted(found) == sorted(RECORDS)
    assert {name: found[name] for name in RECORDS if sam.run_id not in name} == {
        name: content for name, content in before.items() if "another" not in name
    }
    assert records(have) == before  # only read
    # One's own record is kept where theirs is another.
    (have / RECORDS[0]).write_bytes(b"theirs")
    status, out, _ = reproduce(capsys, tmp_path / "mine", "--have", str(have))
    assert (status, records(target)) == (0, found)


def test_what_is_there_already_is_not_planned(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, trained: list[tuple[str, int]]
) -> None:
    have = tmp_path / "theirs" / "reproduce"
    empty = np.zeros((1, 1), dtype=int)
    arrays = (empty[0], empty, empty[0], np.ones((1, 1, 1)), empty[None] > 0, empty * 0.0)
    measured_as = [DESIGN.measurement(name).to_json() for name in [*DESIGN.conditions, *DESIGN.conditions]]
    for name, how in list(zip(RECORDS, measured_as, strict=True))[1:]:
        save_record(have / name, RunRecord({"measure": how}, *arrays))
    status, out, _ = reproduce(capsys, tmp_path / "mine", "--have", str(have), "--dry-run")
    assert status == 0
    assert [line.split()[0] for line in out.splitlines() if " of 2 " in line] == [SMALL_RUN.run_id, "ascents"]
    assert "Nothing was trained." in out
    assert not trained
    assert not (tmp_path / "mine").exists()  # nor copied


def test_the_main_job_takes_the_data_sets_asked_for(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "sharpdiv.empirical.runs.plan._seconds_of_step", lambda *_: pytest.fail("large steps are timed")
    )
    arguments = ("reproduce", "--profile", "paper", "--dry-run", "--runs", str(tmp_path), "--data")
    _, out, _ = run(capsys, *arguments, "cifar100")
    assert {line.split("-")[0] for line in out.splitlines() if " 0 of 3 " in line} == {"cifar100"}
    assert "dial" not in out
    assert {line.split()[0] for line in out.splitlines() if line.startswith(("A100", "H100"))} == {"A100", "H100"}
    status, _, error = run(capsys, *arguments, "fashion-mnist")
    assert (status, error.strip()) == (2, "sharpdiv: error: profile paper has nothing on fashion-mnist")


@pytest.mark.long
@pytest.mark.slow
def test_the_main_job_is_a_function(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, trained: list[tuple[str, int]]
) -> None:
    """It returns what it made, and prints nothing but what it is asked to say; so does a block of it."""
    said: list[str] = []
    seen: list[tuple[str, int, int]] = []
    target = tmp_path / "reproduce"
    options: dict[str, Any] = {"workers": 1, "say": said.append}
    plan = job.reproduce(runs=tmp_path, dry_run=True, **options)
    sweep = "ascents two-layer relu, scale 0.5, f, alpha = 1"
    assert {planned.run_id for planned in plan.plan} == {sweep, *(config.run_id for config in DESIGN.all_runs)}
    assert (plan.report, plan.html, plan.findings, plan.figures, plan.beside) == (None, None, (), (), ())
    assert not trained

    for _ in range(2):  # the second time nothing is left to do
        measure_blocks(replace(DESIGN, blocks=((1, 2),)), tmp_path, options["say"])
    assert sorted(records(target)) == sorted(RECORDS[:3])
    assert len(trained) == 6

    made = job.reproduce(runs=tmp_path, progress=lambda *report: seen.append(report), **options)
    assert made.plan == ()
    assert [claim.id for claim, _ in made.findings] == ["alternating-sum", "c1-digits"]
    assert made.report == target / "paper_checks.md"
    assert "not run: c1" in made.report.read_text()  # no design of that name
    assert sorted(page.stem for page in (target / "paper_checks").iterdir()) == ["alternating-sum", "c1-digits"]
    assert made.html == target / "report.html"
    assert 'id="c1-digits"' in made.html.read_text()
    assert made.beside == ()
    assert {what for what, _, _ in seen} == {"training and measuring"}
    assert [done for _, done, _ in seen] == sorted(done for _, done, _ in seen)
    assert seen[-1][1] == seen[-1][2]
    assert said[:-2] == [
        "Planning: a step of each small network is timed here, on cpu",
        "tiny: block of seeds 1, 2 is measured",
        f"Training and measuring 3 ensembles, 6 networks, in {tmp_path}",
        "tiny: block of seeds 3, 4 is measured",
        "Checking 2 claims",
    ]
    assert [line.split()[0] for line in said[-2:]] == ["alternating-sum", "c1-digits"]
    assert capsys.readouterr() == ("", "")


def test_the_main_job_refuses_what_it_cannot_do(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="profile paper has nothing on digits"):
        job.reproduce("paper", data=["digits"], runs=tmp_path)
    with pytest.raises(InputError, match="minutes must be finite and positive, got 0"):
        job.reproduce(minutes=0.0, runs=tmp_path)
    file = tmp_path / "cluster.toml"
    for dry_run in (False, True):
        with pytest.raises(InputError, match=r"cluster.toml cannot be read"):
            job.reproduce(on=file, runs=tmp_path, dry_run=dry_run)
    for options, arguments, message in (
        ("", {"workers": 2}, r"workers are those of .*cluster.toml; leave them out beside it"),
        ("gpus_per_job = 1", {}, "cluster.toml reserves GPUs, which device 'cpu' leaves unused"),
        ("", {"device": "cuda"}, "needs GPUs, and .*cluster.toml reserves none"),
    ):
        file.write_text(f'kind = "local"\n{options}\n')
        with pytest.raises(InputError, match=message):
            job.reproduce(on=file, runs=tmp_path, dry_run=True, **arguments)
    with pytest.raises(InputError, match="takes a folder of results"):
        job.reproduce(have=tmp_path / "none", runs=tmp_path)


def test_a_time_limit_counts_from_the_start_of_the_command(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Loading and planning take some of it, and ending what goes on takes the last seconds."""
    given: list[float] = []

    def stop(*_: object, minutes: float, **__: object) -> job.Reproduction:
        given.append(minutes)
        return job.Reproduction(left=("a",))

    monkeypatch.setattr(report, "elapsed", lambda: 90.0)
    monkeypatch.setattr(report, "do_main_job", stop)
    assert run(capsys, "reproduce", "--runs", str(tmp_path), "--minutes", "9")[0] == report.TIME_UP
    assert given == [7.5]
    run(capsys, "reproduce", "--runs", str(tmp_path), "--minutes", "1")  # all of it is gone
    run(capsys, "reproduce", "--runs", str(tmp_path), "--minutes", "-1")  # for others to refuse, as it was given
    assert given[1:] == [1e-6, -1.0]
    monkeypatch.setattr("time.monotonic", lambda: 1000.0)
    assert [job._deadline(minutes) for minutes in (None, 9.0, 0.5)] == [None, 1530.0, 1025.0]


def test_a_long_job_is_planned_before_it_starts(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trained: list[tuple[str, int]]
) -> None:
    monkeypatch.setattr("sharpdiv.reproduce.PROFILES", {"cpu": (DESIGN,)})
    monkeypatch.setattr("sharpdiv.reproduce._work", lambda job, *_: job.say("measured"))
    status, out, _ = reproduce(capsys, tmp_path, "--profile", "cpu")
    assert status == 0
    steps = ("Planning: ", "process time", "Training: about", "Training and measuring 6", "measured\n", "Report: ")
    assert [out.index(step) for step in steps] == sorted(out.index(step) for step in steps)


def test_stacked_members_are_refused_where_networks_are_compared(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    status, _, error = reproduce(capsys, tmp_path, "--stacked")
    assert status == 2
    assert "networks of profile quick are compared" in error
    assert not list(tmp_path.iterdir())


@pytest.mark.long
@pytest.mark.slow
def test_the_main_job_stacks_members_and_describes_what_no_claim_is_about(
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    trained: list[tuple[str, int]],
) -> None:
    """SGD and SAM are trained before anybody asks for them one by one; records say how many members there were."""
    monkeypatch.setattr("sharpdiv.reproduce.PROFILES", {"gpu": (DESIGN,)})
    monkeypatch.setattr("sharpdiv.reproduce.SWEEPS", {})
    status, out, err = reproduce(capsys, tmp_path, "--profile", "gpu", "--stacked")
    assert (status, err) == (0, "")
    assert "SGD, 2 of 2 ensembles: accuracy of members" in out
    assert "SharpBalance as the authors' code at rho = 0.1, 2 of 2 ensembles: accuracy of members" in out
    for name in RECORDS:
        summary = load_record(tmp_path / "reproduce" / name).summary
        assert [member["stacked"] for member in summary["provenance"]["trained"]] == [4, 4]
