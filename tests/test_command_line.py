"""The command line as scripts of users see it: JSON keys, exit status, one line for an error."""

import json
import shutil
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import checks
import sharpdiv
from empirical import MeasureConfig, RunConfig, runs, training
from empirical.profiles import Design
from empirical.record import load_record
from empirical.store import write_atomically

POINT = {
    "rho",
    "diversity",
    "sharpness",
    "sharpness_ensemble",
    "sharpness_member",
    "sharpness_lower",
    "sharpness_upper",
    "member_error",
    "ensemble_error",
    "eir",
    "stable",
    "critical_rho",
}
METRICS = {
    *(
        "accuracy_members",
        "accuracy_mean",
        "accuracy_ensemble",
        "accuracy_vote",
        "disagreement",
        "der",
        "eir",
        "eir_vote",
    ),
    *("variance", "kl", "nll_mean", "nll_ensemble", "ece_mean", "ece_ensemble"),
    "brier_mean",
    "brier_ensemble",
    "competence_bound",
    "competent",
}


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    status = sharpdiv._run(list(arguments))
    out, err = capsys.readouterr()
    return status, out, err


def points(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[dict[str, Any]]:
    status, out, err = run(capsys, *arguments, "--json", "-")
    assert (status, err) == (0, "")
    return list(json.loads(out)["points"])


@pytest.mark.parametrize(
    "arguments",
    [
        ("gd",),
        ("gd", "--blocks", "3"),
        ("sam", "--rho", "0.1", "0.3"),
        ("sharpbalance", "--rho", "0.1", "--blocks", "3"),
    ],
)
def test_theory_and_simulation_share_their_keys(capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]) -> None:
    size = ("--n", "60", "--d", "10")
    theory = points(capsys, "theory", *arguments, *size)
    simulation = points(capsys, "simulate", *arguments, *size, "--draws", "3", "--inits", "4")
    for predicted, measured in zip(theory, simulation, strict=True):
        assert set(predicted) - {"reason"} == set(measured) - {"reason"} == POINT
        for name in ("diversity", "sharpness", "member_error", "ensemble_error", "eir"):
            assert isinstance(predicted[name], float)
            assert set(measured[name]) == {"mean", "stderr"}
        for name in ("rho", "stable", "critical_rho", "sharpness_upper", "sharpness_lower"):
            assert predicted[name] == measured[name]


FEATURE_POINT = {"rho", "diversity", "sharpness", "member_error", "ensemble_error", "eir", "stable", "critical_rho"}
SMALL = ("--n", "60", "--d", "30", "--features", "40", "--steps", "3")


@pytest.mark.parametrize("arguments", [("gd",), ("sam", "--rho", "0:0.4:3"), ("sharpbalance", "--rho", "0.1")])
def test_random_features_share_their_keys(capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]) -> None:
    theory = points(capsys, "theory", "random-features", *arguments, *SMALL)
    size = ("--draws", "2", "--networks", "2", "--test-samples", "50")
    simulation = points(capsys, "simulate", "random-features", *arguments, *SMALL, *size)
    for predicted, measured in zip(theory, simulation, strict=True):
        assert set(predicted) == set(measured) == FEATURE_POINT
        assert set(measured["eir"]) == {"mean", "stderr"}


def test_ranges_of_rho_and_finite_size(capsys: pytest.CaptureFixture[str]) -> None:
    found = points(capsys, "theory", "sam", "--rho", "0:0.1:5", "0.3", "--finite", "--n", "60", "--d", "10")
    assert [point["rho"] for point in found] == pytest.approx([0, 0.025, 0.05, 0.075, 0.1, 0.3])
    for point in found:
        assert set(point) - {"reason"} == POINT | {"sharpness_lower_rigorous", "sharpness_upper_rigorous"}
        assert point["sharpness"] is None
        assert "sharpness: no closed form at finite (n, d)" in point["reason"]
        assert point["sharpness_lower_rigorous"] < point["sharpness_upper_rigorous"]


def test_a_spectrum_of_the_data(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    text, binary = tmp_path / "spectrum.txt", tmp_path / "spectrum.npy"
    text.write_text("1, 1 # as isotropic as it gets\n1 1\n")
    np.save(binary, np.ones(2, dtype=int))
    plain = points(capsys, "theory", "sam", "--rho", "0.1")
    for path in (text, binary):
        found = points(capsys, "theory", "sam", "--rho", "0.1", "--data-spectrum", str(path))
        assert found[0]["sharpness"] == pytest.approx(plain[0]["sharpness"], rel=1e-8)
        assert "isotropic data" in found[0]["reason"]
    size = ("--n", "60", "--d", "12", "--learning-rate", "0.002", "--draws", "2", "--inits", "3")
    text.write_text("1 2 4")
    (point,) = points(
        capsys, "simulate", "sharpbalance", "--rho", "0.1", "--data-spectrum", str(text), "--blocks", "3", *size
    )
    assert point["sharpness"]["mean"] > 0
    assert "open" not in point["reason"]
    (point,) = points(capsys, "theory", "sharpbalance", "--rho", "0.1", "--data-spectrum", str(text), *size[:6])
    assert point["sharpness"] is None
    assert "open problem" in point["reason"]


def test_normalised_sam_says_where_it_ends(capsys: pytest.CaptureFixture[str]) -> None:
    inside, outside = points(capsys, "theory", "sam", "--rho", "1", "50", "--normalised")
    assert inside["stable"]
    assert not outside["stable"]
    assert outside["diversity"] is None
    assert outside["critical_rho"] == pytest.approx(inside["critical_rho"])
    assert "only while every step contracts" in outside["reason"]


def test_what_has_no_value_is_null_with_a_reason(capsys: pytest.CaptureFixture[str]) -> None:
    (point,) = points(capsys, "theory", "sharpbalance", "--rho", "0.1")
    assert point["sharpness_lower"] is None
    assert "no lower bound" in point["reason"]
    (point,) = points(capsys, "theory", "gd", "--learning-rate", "0.1")
    assert point["critical_rho"] is None
    assert point["stable"] is False
    assert "critical_rho" in point["reason"]
    (point,) = points(capsys, "simulate", "sam", "--rho", "0.1", "--draws", "1")
    assert point["diversity"]["stderr"] is None


def test_defaults_are_the_contract_s(capsys: pytest.CaptureFixture[str]) -> None:
    (point,) = points(capsys, "theory", "sam", "--rho", "0.1")
    # teacher norm sqrt(sigma^2 d) and 3 members: EIR = (2/3) / 2.
    assert point["eir"] == pytest.approx(1 / 3)
    assert point["critical_rho"] == pytest.approx(0.18965, rel=1e-4)


@pytest.fixture(scope="module")
def predictions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A good file and the bad ones, beside each other."""
    folder = tmp_path_factory.mktemp("npz")
    rng = np.random.default_rng(0)
    probs, labels = rng.dirichlet(np.ones(4), size=(3, 20)), rng.integers(4, size=20)
    (folder / "other").mkdir()
    for path in (folder / "good.npz", folder / "other" / "good.npz"):
        np.savez(path, probs=probs.astype(np.float32), labels=labels)
    for name, text in (("negative", "1 -1"), ("nan", "1 nan"), ("empty", "# nothing")):
        (folder / f"{name}.txt").write_text(text)
    np.savez(folder / "no-labels.npz", probs=probs)
    np.savez(folder / "sums.npz", probs=2 * probs, labels=labels)
    np.savez(folder / "one.npz", probs=probs[:1], labels=labels)
    np.savez(folder / "range.npz", probs=probs, labels=labels + 1)
    np.savez(folder / "objects.npz", probs=np.array([None]), labels=labels)
    with zipfile.ZipFile(folder / "garbage.npz", "w") as archive:
        archive.writestr("probs.npy", b"garbage")
        archive.writestr("labels.npy", b"")
    (folder / "truncated.npz").write_bytes((folder / "good.npz").read_bytes()[:300])
    return folder


def test_metrics_has_every_key(capsys: pytest.CaptureFixture[str], predictions: Path, tmp_path: Path) -> None:
    status, out, _ = run(capsys, "metrics", str(predictions / "good.npz"), "--json", "-")
    assert status == 0
    assert set(json.loads(out)) == METRICS
    status, table, _ = run(capsys, "metrics", str(predictions / "good.npz"), "--json", str(tmp_path / "m.json"))
    assert "accuracy_ensemble" in table
    assert json.loads((tmp_path / "m.json").read_text()) == json.loads(out)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("theory sam --rho -1", "rho must be finite and non-negative, got -1.0"),
        ("theory sam --rho nan", "rho must be finite and non-negative, got nan"),
        ("theory sam --rho 0.1 --n 0", "n must be an integer of at least 1, got 0"),
        ("theory sharpbalance --rho 0.1 --n 8 --blocks 9", "blocks must lie between 1 and n = 8"),
        ("theory sam", "sam needs --rho"),
        ("theory gd --rho 0.1", "gd is rho = 0"),
        ("theory sam --rho 0:1", "numbers or start:stop:count, got '0:1'"),
        ("theory sam --rho 0:1:1", "count from 2"),
        ("theory sam --rho many", "numbers or start:stop:count"),
        ("theory sam --rho 0.1 --finite --steps 80", "degree of the finite law"),
        ("theory sharpbalance --rho 0.1 --finite --blocks 7", "7 does not divide n = 3000"),
        ("theory sam --rho 0.1 --data-spectrum {npz}/none.txt", "does not exist"),
        ("theory sam --rho 0.1 --data-spectrum {npz}/good.npz", "does not hold numbers"),
        ("theory sam --rho 0.1 --data-spectrum {npz}/negative.txt", "must be finite and non-negative, got -1.0"),
        ("theory sam --rho 0.1 --data-spectrum {npz}/nan.txt", "must be finite and non-negative, got nan"),
        ("theory sam --rho 0.1 --data-spectrum {npz}/empty.txt", "non-empty list of eigenvalues"),
        ("theory sam --rho 0.1 --label-noise -1", "label noise must be finite and non-negative"),
        ("theory random-features sam", "sam needs --rho"),
        ("theory random-features sharpbalance --rho 0.1 --blocks 7", "7"),
        ("theory random-features sam --rho 0.1 --activation cosine", "activation"),
        ("simulate random-features sam --rho 0.1 --networks 1", "networks"),
        ("theory sam --rho 0.1 --blocks 3", "--blocks goes with sharpbalance"),
        ("theory sam --rho 0.1 --n many", "--n"),
        ("theory adam --rho 0.1", "adam"),
        ("theory sam --rho 0.1 --colour red", "--colour"),
        ("simulate sam --rho 0.1 --draws 0", "draws"),
        ("simulate sam --rho 0.1 --seed -1", "--seed"),
        ("check --only theorem1-uper", "did you mean 'theorem1-upper'?"),
        ("check --only c1-digits --write", "--write"),
        ("check --only alternating-sum --results {npz}/other", "good.npz is not a whole record of a run"),
        ("check --only alternating-sum --results {npz}/good.npz", "good.npz is not a whole record of a run"),
        ("check --only alternating-sum --results {npz}/negative.txt", "is neither a record (.npz) nor results (.json)"),
        ("theory sharpbalance --rho 0.1 --members 4", "--members goes with"),
        ("theory gd --blocks 1", "at least 2 blocks"),
        ("theory sam --rho 0.1 --radius 1e-154", "radius must lie between 1e-50 and 1e+50"),
        ("theory sam --rho 0.1 --radius 1e160", "radius"),
        ("theory sam --rho 0.1 --learning-rate 1e-310", "learning rate"),
        ("theory sam --rho 0.1 --steps 1000000", "at most 1000000"),
        ("theory sam --rho 30 --steps 40", "overflows"),
        ("check --results {npz}/none.json", "does not exist"),
        ("figures --results {npz}/none.json", "does not exist"),
        ("metrics {npz}/garbage.npz", "not a readable .npz"),
        ("train --method sam --rho 0.1 --workers 0", "workers"),
        ("figures --only tradeoff", "did you mean 'tradeoff_shapes'?"),
        ("theroy sam", "did you mean 'theory'?"),
        ("metrics {npz}/none.npz", "does not exist"),
        ("metrics {npz}/no-labels.npz", "no array 'labels'"),
        ("metrics {npz}/sums.npz", "sum to one"),
        ("metrics {npz}/one.npz", "at least 2 members, got 1"),
        ("metrics {npz}/range.npz", "labels must lie between 0 and 3"),
        ("metrics {npz}/objects.npz", "not a readable .npz"),
        ("metrics {npz}/truncated.npz", "not a readable .npz"),
        ("measure {npz}", "config.json does not exist"),
        ("train --method sam", "rho must be 0 for sgd and positive"),
        ("train --method sgd --seeds 1", "at least 2 different"),
        ("theory sam --rho 0.1 --json {npz}/good.npz/x.json", "good.npz"),
        ("train --method sgd --config {npz}/none.toml", "none.toml"),
        ("train --method sgd --config", "--config needs a file"),
        ("train --method sam --rho 0.1 --m 1", "m must be at least 2"),
        (
            "train --method sgd --data cifar10 --train-samples None --runs {npz}/runs --workers 1",
            "sharpdiv data fetch cifar10",
        ),
        ("data", "list, fetch, verify"),
        ("data fetch mnist", "mnist"),
        ("data fetch cifar10-jpeg", "source"),
        ("data verify mnist", "mnist"),
        ("measure {npz} --iterations 0", "iterations must be finite and positive"),
        ("reproduce --have {npz}/none", "--have takes a folder of results, got"),
        ("reproduce --have {npz}/good.npz", "--have takes a folder of results, got"),
    ],
)
def test_bad_input_is_one_line_and_status_2(
    capsys: pytest.CaptureFixture[str], predictions: Path, arguments: str, message: str
) -> None:
    status, out, err = run(capsys, *arguments.format(npz=predictions).split())
    assert status == 2
    assert out == ""
    assert err.startswith("sharpdiv: error: ")
    assert message in err
    assert err.count("\n") == 1


def test_check_prints_verdicts_and_numbers(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = run(capsys, "check", "--only", "theorem1-lower", "tradeoff-figure2-range")
    assert status == 0  # failing claims of the paper are findings
    assert "fails" in out
    assert "published bound: 0.1357" in out
    status, out, _ = run(capsys, "check", "--only", "alternating-sum", "--json", "-")
    assert json.loads(out)["claims"][0]["verdict"] == "holds"


def test_a_wrong_implementation_exits_1(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("checks.theorems.phi", lambda *_: np.array(1.0))
    assert run(capsys, "check", "--only", "alternating-sum")[0] == 1


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


def test_data_sets_are_listed_and_verified(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHARPDIV_DATA", str(tmp_path))
    status, out, _ = run(capsys, "data", "list")
    assert status == 0
    assert all(name in out for name in ("digits", "cifar10-jpeg", "tiny-imagenet"))
    status, out, _ = run(capsys, "data", "verify", "fashion-mnist")
    assert status == 1
    assert out.count("BAD") == 4


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


def test_the_main_job_has_a_plan(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Three blocks of twelve conditions, which start from one another: nothing is trained besides."""
    status, out, _ = run(capsys, "reproduce", "--dry-run", "--runs", str(tmp_path))
    assert status == 0
    lines = [line for line in out.splitlines() if line.startswith("digits-")]
    assert len(lines) == 36
    assert all(" 0 of 3 " in line for line in lines)
    assert "dial gelu-none-8" in out
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
RECORDS = [f"tiny/{config.run_id}.npz" for config in DESIGN.all_runs]


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """The main job on two small blocks, without the dial, checking a claim or two; tells of every member it trains."""
    told: list[tuple[str, int]] = []
    train_member = runs._train_member

    def tell(root: Path, config: RunConfig, seed: int, *rest: Any) -> None:
        told.append((config.run_id, seed))
        train_member(root, config, seed, *rest)

    monkeypatch.setattr("empirical.profiles.PROFILES", {"quick": (DESIGN,)})
    monkeypatch.setattr("checks.dial.DIALS", {})
    monkeypatch.setattr("checks.CLAIMS", tuple(c for c in checks.CLAIMS if c.id in {"alternating-sum", "c1-digits"}))
    monkeypatch.setattr("figures.drawable", lambda _: [])
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
    assert [path.name for path in (tmp_path / "mine").iterdir() if path != target] == [sam.run_id]
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
    for name in RECORDS[1:]:
        write_atomically(have / name, b"")
    status, out, _ = reproduce(capsys, tmp_path / "mine", "--have", str(have), "--dry-run")
    assert status == 0
    assert [line.split()[0] for line in out.splitlines() if " of 2 " in line] == [SMALL_RUN.run_id]
    assert "Nothing was trained." in out
    assert not trained
    assert not (tmp_path / "mine").exists()  # nor copied


def test_the_main_job_takes_the_data_sets_asked_for(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("empirical.plan._seconds_of_step", lambda *_: 1.0)  # large networks, slow to time
    arguments = ("reproduce", "--profile", "paper", "--dry-run", "--runs", str(tmp_path), "--data")
    _, out, _ = run(capsys, *arguments, "cifar100")
    assert {line.split("-")[0] for line in out.splitlines() if " 0 of 3 " in line} == {"cifar100"}
    assert "dial" not in out
    status, _, error = run(capsys, *arguments, "fashion-mnist")
    assert (status, error.strip()) == (2, "sharpdiv: error: profile paper has nothing on fashion-mnist")


@pytest.mark.parametrize("command", sharpdiv.COMMANDS)
def test_every_command_has_help(capsys: pytest.CaptureFixture[str], command: str) -> None:
    status, out, _ = run(capsys, command, "--help")
    assert status == 0
    assert f"usage: sharpdiv {command}" in out


def test_the_overview(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys)[1] == run(capsys, "--help")[1]
    assert all(name in run(capsys, "--help")[1] for name in sharpdiv.COMMANDS)
    assert run(capsys, "--version")[1].startswith("sharpdiv ")


def test_the_theory_needs_no_pytorch() -> None:
    """Importing it takes seconds, which a closed form should not cost."""
    code = "import sys, sharpdiv; sharpdiv._run(['theory', 'sam', '--rho', '0.1']); sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
