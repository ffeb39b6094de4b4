"""A user's runs beside their lazy limit: what is predicted of them, and what is refused."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sharpdiv.checks.kernels.compare import compare_runs
from sharpdiv.checks.kernels.compared import QUANTITIES
from sharpdiv.checks.results import load_evidence
from sharpdiv.cli import main
from sharpdiv.empirical.errors import InputError, StoreError
from sharpdiv.empirical.runs.config import RunConfig
from sharpdiv.empirical.runs.ensembles import train_runs
from sharpdiv.empirical.runs.folders import run_folder
from sharpdiv.empirical.runs.measure_config import MeasureConfig
from sharpdiv.empirical.runs.measuring import measure_runs
from sharpdiv.empirical.runs.record import RunRecord, load_record

SGD = RunConfig("sgd", seeds=(1, 2), train_samples=40, width=8, blocks=(1, 1), epochs=2, batch_size=20, switch_epoch=1)
RUNS = [
    SGD,
    replace(SGD, method="sam", rho=0.1),
    replace(SGD, method="sam", rho=0.2),
    replace(SGD, method="sharpbalance", rho=0.1),
]
QUICK = MeasureConfig(iterations=2, sharpness_samples=20, corrupted_samples=10, feature_samples=10, replicates=20)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    train_runs(RUNS, folder, workers=1)
    measure_runs(RUNS, folder, how=QUICK, workers=1)
    return folder


def folders(root: Path, *runs: RunConfig) -> list[Path]:
    return [run_folder(root, run) for run in runs]


def record(root: Path, run: RunConfig) -> RunRecord:
    return load_record(run_folder(root, run) / "record.npz")


@pytest.mark.long
@pytest.mark.slow
def test_measured_values_are_those_of_the_results_whatever_the_order(root: Path) -> None:
    found = compare_runs(folders(root, *reversed(RUNS)), train_samples=20, test_samples=30)
    assert [point.run for point in found.points] == [run.run_id for run in RUNS]
    for run, point in zip(RUNS, found.points, strict=True):
        assert point.measured["disagreement"] == record(root, run).metric("disagreement")
        assert point.measured["diversity"] == record(root, run).metric("variance")
    assert found.points[0].predicted
    assert found.points[0].measured["sharpness"] == found.points[0].predicted["sharpness"] == 1


def test_sgd_and_sam_have_a_prediction_and_sharpbalance_a_reason(root: Path) -> None:
    points = compare_runs(folders(root, *RUNS), train_samples=20, test_samples=30).points
    predicted = [point.predicted for point in points]
    assert [set(values) if values else None for values in predicted] == [*[set(QUANTITIES)] * 3, None]
    assert "no closed form" in points[3].reason
    # Full-batch SAM in the lazy limit lowers the sharpness, strictly while the filter stays in [0, 1].
    assert predicted[1]
    assert predicted[1]["sharpness"] < 1


def test_both_sides_have_one_convention(root: Path) -> None:
    """Krogh and Vedelsby's identity with the unbiased D: the ensemble's error is the members' less (1 - 1/M) D."""
    for point in compare_runs(folders(root, *RUNS), train_samples=20, test_samples=30).points:
        for found in filter(None, (point.predicted, point.measured)):
            assert np.isfinite(list(found.values())).all()
            gain = found["member_error"] - found["ensemble_error"]
            assert gain == pytest.approx(
                (1 - 1 / len(SGD.seeds)) * found["diversity"], rel=1e-5
            )  # float32 of the metrics
            assert found["eir"] == pytest.approx(gain / found["member_error"], rel=1e-5)


def test_the_steps_are_the_first_that_reach_the_training_accuracy(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Gradient descent fits twenty samples in the end; if it has no time for that, the miss is told."""
    found = compare_runs(folders(root, *RUNS[:2]), train_samples=20, test_samples=30)
    assert found.accuracy_measured == pytest.approx(np.mean(record(root, SGD).of_members("train_accuracy")))
    assert found.accuracy_predicted >= found.accuracy_measured
    monkeypatch.setattr("sharpdiv.checks.kernels.predicting._STEPS", (1,))
    short = compare_runs(folders(root, *RUNS[:2]), train_samples=20, test_samples=30)
    assert short.steps == 1
    assert short.accuracy_predicted <= found.accuracy_predicted


@pytest.mark.parametrize(
    ("runs", "message"),
    [
        (RUNS[:1], "at least two runs"),
        ([SGD, replace(SGD, method="sharpbalance", rho=0.1)], "two values of rho"),
        ([SGD, replace(SGD, method="sam", rho=0.1, width=16)], "differs in width"),
        ([SGD, replace(SGD, method="sam", rho=0.1, seeds=(3, 4))], "the same seeds at every rho"),
    ],
)
def test_runs_that_cannot_be_compared_are_refused(root: Path, runs: list[RunConfig], message: str) -> None:
    train_runs(runs, root, workers=1)
    measure_runs(runs, root, how=QUICK, workers=1)
    with pytest.raises(InputError, match=message):
        compare_runs(folders(root, *runs))


@pytest.mark.long
@pytest.mark.slow
def test_runs_that_were_measured_differently_are_refused(root: Path, tmp_path: Path) -> None:
    train_runs(RUNS[:2], tmp_path, workers=1)
    for run, how in zip(RUNS, (QUICK, replace(QUICK, iterations=3)), strict=False):
        measure_runs([run], tmp_path, how=how, workers=1)
    with pytest.raises(InputError, match="differs in iterations"):
        compare_runs(folders(tmp_path, *RUNS[:2]))


@pytest.mark.parametrize(("train", "test"), [(41, 30), (0, 30), (20, 10_000)])
def test_more_images_than_there_are_are_refused(root: Path, train: int, test: int) -> None:
    with pytest.raises(InputError, match="images must be from 1 to"):
        compare_runs(folders(root, *RUNS[:2]), train_samples=train, test_samples=test)


def test_a_run_that_is_not_measured_is_named(root: Path) -> None:
    other = replace(SGD, method="sam", rho=0.3)
    train_runs([other], root, workers=1)
    with pytest.raises(StoreError, match=r"sam-rho0\.3"):
        compare_runs(folders(root, SGD, other))


@pytest.mark.long
@pytest.mark.slow
def test_the_command_writes_numbers_and_figure_that_the_project_reads(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = [str(folder) for folder in folders(root, *RUNS)]
    options = ["--train-samples", "20", "--test-samples", "30", "--out", str(tmp_path)]
    assert main.run(["compare", *runs, *options, "--json", "-"]) == 0
    printed = json.loads(capsys.readouterr().out)
    (stored,) = load_evidence(tmp_path).comparisons
    assert stored.to_json() == printed
    assert (tmp_path / "lazy_comparison.png").stat().st_size > 10_000
    assert main.run(["compare", *runs, *options]) == 0
    out = capsys.readouterr().out
    assert "no closed form for SharpBalance" in out
    assert str(tmp_path / "comparison.json") in out


def test_the_command_refuses_a_single_run_in_one_line(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["compare", str(run_folder(root, SGD))]) == 2
    assert "at least two runs" in capsys.readouterr().err
