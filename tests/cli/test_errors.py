"""Bad input: one line, and status 2."""

from pathlib import Path

import pytest

from tests.cli.calling import run


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
        ("theory two-layer sam --rho 0.1 --m 7", "m must divide n"),
        ("theory two-layer sharpbalance --rho 0.1 --blocks 7", "7"),
        ("simulate two-layer sam --rho 9", "does not fit"),
        ("theory sam --rho 0.1 --blocks 3", "--blocks goes with sharpbalance"),
        ("theory sam --rho 0.1 --n many", "--n"),
        ("theory adam --rho 0.1", "adam"),
        ("theory sam --rho 0.1 --colour red", "--colour"),
        ("simulate sam --rho 0.1 --draws 0", "draws"),
        ("simulate sam --rho 0.1 --seed -1", "--seed"),
        ("check --only theorem1-uper", "did you mean 'theorem1-upper'?"),
        ("check --only c1-digits --write", "--write"),
        ("check --only alternating-sum --results {npz}/other", "good.npz is not the record of a run"),
        ("check --only alternating-sum --results {npz}/good.npz", "good.npz is not the record of a run"),
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


@pytest.mark.filterwarnings("default")  # as users have it
def test_a_warning_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    setting = ("--n", "400", "--d", "20", "--features", "40", "--steps", "3")
    status, out, err = run(capsys, "theory", "random-features", "sam", "--rho", "0.1", *setting)
    assert status == 0
    assert out
    (line,) = err.splitlines()
    assert line.startswith("sharpdiv: warning: 400 samples of a member are more than d^2/10 at d = 20")
