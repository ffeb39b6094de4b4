"""Metrics of predictions of any framework."""

import json
from pathlib import Path

import pytest

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
    assert set(json.loads(out)) == METRICS
    status, table, _ = run(capsys, "metrics", str(predictions / "good.npz"), "--json", str(tmp_path / "m.json"))
    assert "accuracy_ensemble" in table
    assert json.loads((tmp_path / "m.json").read_text()) == json.loads(out)
