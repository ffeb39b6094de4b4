"""Metrics of predictions of any framework."""

import json
from pathlib import Path

import numpy as np
import pytest

from sharpdiv.empirical.predictions.bootstrap import bootstrap
from sharpdiv.empirical.predictions.files import load_predictions
from tests.cli.calling import run

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


def test_metrics_has_every_key(capsys: pytest.CaptureFixture[str], predictions: Path, tmp_path: Path) -> None:
    status, out, _ = run(capsys, "metrics", str(predictions / "good.npz"), "--json", "-")
    assert status == 0
    assert set(json.loads(out)) == METRICS | {"intervals"}
    status, table, _ = run(capsys, "metrics", str(predictions / "good.npz"), "--json", str(tmp_path / "m.json"))
    assert "accuracy_ensemble" in table
    assert json.loads((tmp_path / "m.json").read_text()) == json.loads(out)


def test_intervals_are_those_of_the_bootstrap(capsys: pytest.CaptureFixture[str], predictions: Path) -> None:
    path = predictions / "good.npz"
    expected = bootstrap(*load_predictions(path), replicates=50)
    found = json.loads(run(capsys, "metrics", str(path), "--replicates", "50", "--json", "-")[1])
    assert found["intervals"] == {name: [each.low, each.high] for name, each in expected.items()}
    assert {name: found[name] for name in expected} == {name: each.value for name, each in expected.items()}
    table = run(capsys, "metrics", str(path), "--replicates", "50")[1]
    assert f"[{expected['kl'].low:.4g}, {expected['kl'].high:.4g}]" in table
    without = run(capsys, "metrics", str(path), "--replicates", "0", "--json", "-")[1]
    assert set(json.loads(without)) == METRICS
    assert "[" not in run(capsys, "metrics", str(path), "--replicates", "0")[1]


def test_ensembles_beside_each_other(capsys: pytest.CaptureFixture[str], predictions: Path) -> None:
    """As README's pattern gives them: files of one name in many folders, a column each, told apart."""
    paths = [str(predictions / "good.npz"), str(predictions / "other" / "good.npz")]
    status, out, _ = run(capsys, "metrics", *paths, "--replicates", "0")
    assert status == 0
    headings = out.splitlines()[0].split()
    assert headings[1] == "other/good.npz"
    assert headings[0].endswith("/good.npz")
    found = json.loads(run(capsys, "metrics", *paths, "--json", "-")[1])
    alone = json.loads(run(capsys, "metrics", paths[0], "--json", "-")[1])
    assert found == {"predictions": dict.fromkeys(paths, alone)}


def test_members_in_files_of_their_own(capsys: pytest.CaptureFixture[str], predictions: Path, tmp_path: Path) -> None:
    """Logits of each member as text, labels in a file: the same numbers as those of the one file."""
    probs, labels = load_predictions(predictions / "good.npz")
    for i, member in enumerate(probs.numpy()):
        np.savetxt(tmp_path / f"member{i}.csv", 3 + np.log(member), delimiter=",")
    np.savetxt(tmp_path / "labels.txt", labels.numpy(), fmt="%d")
    paths = sorted(map(str, tmp_path.glob("member*.csv")))
    options = ("--logits", "--labels", str(tmp_path / "labels.txt"), "--replicates", "20", "--json")
    status, out, err = run(capsys, "metrics", *paths, *options, "-")
    assert (status, err) == (0, "")
    one = json.loads(run(capsys, "metrics", str(predictions / "good.npz"), "--replicates", "20", "--json", "-")[1])
    found = json.loads(out)
    # Single precision sums to one within 1e-7 only, a softmax to rounding.
    assert found.pop("intervals") == {name: pytest.approx(v, abs=1e-6) for name, v in one.pop("intervals").items()}
    assert found == {name: pytest.approx(value, abs=1e-6) for name, value in one.items()}
    assert "3 members" in run(capsys, "metrics", *paths, *options, str(tmp_path / "m.json"))[1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("", "metrics needs at least one file of predictions"),
        ("{npz}/good.npz --replicates -1", "--replicates must be at least 0, got -1"),
        ("{npz}/good.npz --logits", "good.npz calls its numbers probs; leave --logits out"),
        ("{npz}/good.npz {npz}/good.npz", "good.npz is given twice"),
        ("{npz}/good.npz --labels {npz}/wide.txt", "wide.txt must hold one label in each line, got 2 numbers"),
        ("{npz}/good.npz --labels {npz}/none.npy", "none.npy does not exist"),
        ("{npz}/wide.txt", "wide.txt must hold one label in each line, got 2 numbers"),
        ("{npz}/predictions.pickle", "predictions.pickle must be a file of predictions: .npz, .npy, .csv"),
        ("{npz}/range.npz", "range.npz: labels must lie between 0 and 3"),
    ],
)
def test_bad_files_are_named(
    capsys: pytest.CaptureFixture[str], predictions: Path, arguments: str, message: str
) -> None:
    status, out, err = run(capsys, "metrics", *arguments.format(npz=predictions).split())
    assert (status, out) == (2, "")
    assert message in err
    assert err.count("\n") == 1
