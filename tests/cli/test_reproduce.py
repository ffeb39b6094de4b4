"""The main job: planned, interrupted and continued, with what is there already."""

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sharpdiv import reproduce as job
from sharpdiv.checks.ascents.networks import DESCENT, FittedNetwork, Regime, Sweep
from sharpdiv.checks.registry import CLAIMS
from sharpdiv.checks.results import load_evidence
from sharpdiv.empirical.connectivity.run_planes import PlaneConfig, RunPlane, plane_runs
from sharpdiv.empirical.errors import InputError
from sharpdiv.empirical.runs import ensembles as runs
from sharpdiv.empirical.runs import member as training
from sharpdiv.empirical.runs.config import RunConfig
from sharpdiv.empirical.runs.measure_config import MeasureConfig
from sharpdiv.empirical.runs.profiles import DESIGNS, Design
from sharpdiv.empirical.runs.record import RunRecord, load_record, save_record
from tests.cli.calling import run


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


SMALL_RUN = RunConfig(
    "sgd",
    seeds=(1, 2),
    train_samples=40,
    validation_samples=20,
    width=2,
    blocks=(1,),
    epochs=4,
    switch_epoch=2,
    batch_size=20,
)


HOW = MeasureConfig(
    sharpness=("one_step",),
    sharpness_samples=10,
    corrupted_samples=3,
    stored_samples=20,
    feature_samples=10,
    replicates=5,
)


DESIGN = Design(
    "tiny",
    {
        "sgd": SMALL_RUN,
        "sam-mid": replace(SMALL_RUN, method="sam", rho=0.1),
        "code": replace(SMALL_RUN, method="sharpbalance", rho=0.1, first_phase="sam", rule="code"),
    },
    ((1, 2), (3, 4)),
    HOW,
    replace(HOW, corrupted_samples=2),
)


SWEEP = Sweep(
    "ascents-tiny.json", (FittedNetwork("two-layer", "relu", 0.5, 20, (0.4,), (DESCENT,), (Regime(),), 2, 10),)
)
"""Two members of one network, and some steps of gradient descent."""
RECORDS = [f"tiny/{config.run_id}.npz" for config in DESIGN.all_runs]


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
def test_an_interrupted_main_job_continues(
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    trained: list[tuple[str, int]],
) -> None:
    """What a block measured stays, to the byte; the rest ends as if nothing had happened."""
    whole, target = tmp_path / "whole", tmp_path / "runs" / "reproduce"
    status, out, err = reproduce(capsys, whole)
    assert (status, err) == (0, "")
    assert "Training and measuring 6 ensembles, 12 networks" in out
    assert "tiny: block of seeds 1, 2 is measured" in out
    assert "tiny: block of seeds 3, 4 is measured" in out
    assert "alternating-sum" in out
    assert "c1-digits" in out
    assert (whole / "reproduce" / "paper_checks.md").exists()
    assert [found.name for found in load_evidence(whole / "reproduce").ascents] == [
        "two-layer relu, scale 0.5, f, alpha = 1"
    ]
    assert sorted(records(whole / "reproduce")) == sorted(RECORDS)
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
    arrays = (empty[0], empty, empty[0], np.ones((1, 1, 1)), empty > 0, empty * 0.0)
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
        job.measure_block(DESIGN, (1, 2), tmp_path, target, **options)
    assert sorted(records(target)) == sorted(RECORDS[:3])
    assert len(trained) == 6

    made = job.reproduce(runs=tmp_path, progress=lambda *report: seen.append(report), **options)
    assert made.plan == ()
    assert [claim.id for claim, _ in made.findings] == ["alternating-sum", "c1-digits"]
    assert made.report == target / "paper_checks.md"
    assert "[c1](paper_checks/c1-digits.md)" in made.report.read_text()
    assert sorted(page.stem for page in (target / "paper_checks").iterdir()) == ["alternating-sum", "c1-digits"]
    assert made.html == target / "report.html"
    assert 'id="c1-digits"' in made.html.read_text()
    assert made.beside == ()
    assert {what for what, _, _ in seen} == {"ascents", "training", "measuring"}
    assert said[:-2] == [
        "Timing a step of each network",
        "tiny: block of seeds 1, 2 is measured",
        f"Training and measuring 3 ensembles, 6 networks, in {tmp_path}",
        "tiny: block of seeds 3, 4 is measured",
        "Checking 2 claims",
    ]
    assert [line.split()[0] for line in said[-2:]] == ["alternating-sum", "c1-digits"]
    assert capsys.readouterr() == ("", "")


@pytest.mark.long
@pytest.mark.slow
def test_a_shorter_measurement_does_not_pass_for_a_whole_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Records of the quick profile are taken again for the whole design, of the same networks."""
    target, whole = tmp_path / "reproduce", replace(DESIGN, blocks=((1, 2),))
    short = replace(whole, how=replace(HOW, corrupted_samples=2))
    monkeypatch.setitem(DESIGNS, "tiny", whole)
    corrupted: dict[str, int] = {}
    networks: list[dict[Path, int]] = []
    for name, design in (("short", short), ("whole", whole)):
        job.measure_block(design, (1, 2), tmp_path, target, workers=1)
        corrupted[name] = load_record(target / RECORDS[0]).corrupted_nll.shape[1]
        networks.append({path: path.stat().st_mtime_ns for path in tmp_path.rglob("member-?.safetensors")})
    assert networks[0] == networks[1]
    assert len(networks[0]) == 6
    assert corrupted == {"short": 2, "whole": 3}
    # All of it being there, the short one takes it as it is; of a mixture, nothing.
    assert job._as_measured(short, [target]).how == HOW
    longer = replace(short, blocks=((1, 2), (3, 4)))
    assert job._as_measured(longer, [target]).how == short.how


@pytest.mark.slow
def test_planes_of_the_first_block_are_measured_once_where_its_networks_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not where records alone were taken from elsewhere; planes come with them then."""
    measured: list[str] = []

    def small(configs: Sequence[RunConfig], *arguments: Any, **options: Any) -> list[RunPlane]:
        measured.extend(config.method for config in configs)
        return plane_runs(configs, *arguments, **options)

    monkeypatch.setattr("sharpdiv.reproduce.plane_runs", small)
    conditions = {
        "sgd": SMALL_RUN,
        "sam-mid": replace(SMALL_RUN, method="sam", rho=0.1),
        "sharpbalance-mid": replace(SMALL_RUN, method="sharpbalance", rho=0.1),
    }
    design = Design("digits", conditions, ((1, 2, 3), (4, 5, 6)), HOW, HOW)
    target, mine, how = tmp_path / "theirs", tmp_path / "mine", PlaneConfig(2, 2, 40, 20)
    job._look_between(design, tmp_path / "none", mine, how=how, workers=1)
    assert not mine.exists()
    runs.train_runs(design.runs((1, 2, 3)).values(), tmp_path, workers=1)
    for _ in range(2):
        job._look_between(design, tmp_path, target, how=how, workers=1)
    assert measured == ["sgd", "sam", "sharpbalance"]
    assert [plane.config for plane in load_evidence(target).planes] == list(design.runs((1, 2, 3)).values())
    job._take(target, mine, [replace(design, name="tiny")])
    assert not mine.exists()
    job._take(target, mine, [design])
    assert (mine / "planes.json").read_bytes() == (target / "planes.json").read_bytes()


def test_the_main_job_refuses_what_it_cannot_do(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="profile paper has nothing on digits"):
        job.reproduce("paper", data=["digits"], runs=tmp_path)
    with pytest.raises(InputError, match="takes a folder of results"):
        job.reproduce(have=tmp_path / "none", runs=tmp_path)


def test_a_long_job_is_planned_before_it_starts(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trained: list[tuple[str, int]]
) -> None:
    monkeypatch.setattr("sharpdiv.reproduce.PROFILES", {"cpu": (DESIGN,)})
    monkeypatch.setattr("sharpdiv.reproduce.measure_block", lambda *_, say, **__: say("measured"))
    status, out, _ = reproduce(capsys, tmp_path, "--profile", "cpu")
    assert status == 0
    steps = ("Timing a step", "process time", "Training: about", "Training and measuring 6", "measured\n", "Report: ")
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
