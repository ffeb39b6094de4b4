"""The HTML report from the command line: of which claims, figures and results, and that nothing is done twice."""

from pathlib import Path

import pytest

from sharpdiv.checks.registry import CLAIMS
from sharpdiv.cli import report
from sharpdiv.empirical.runs.profiles import DESIGNS
from tests.checks.planted import planted_evidence
from tests.cli.calling import run

FEW = tuple(claim for claim in CLAIMS if claim.id in {"alternating-sum", "tradeoff-turning-points", "c1-digits"})


@pytest.fixture(autouse=True)
def _few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three claims, one of them about trained ensembles, and no figure that takes long."""
    monkeypatch.setattr(report, "all_claims", lambda: FEW)
    monkeypatch.setattr(report, "drawable", lambda _: ["sam_simulation"])


@pytest.mark.slow
def test_a_report_of_the_committed_results(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(report, "evidence", lambda _: planted_evidence(DESIGNS["digits"], 3))
    status, out, err = run(capsys, "report", "--out", str(tmp_path / "new" / "report.html"))
    assert (status, err) == (0, "")
    assert [line.split()[0] for line in out.splitlines()[:-1]] == [claim.id for claim in FEW]
    assert out.splitlines()[-1] == str(tmp_path / "new" / "report.html")
    text = (tmp_path / "new" / "report.html").read_text(encoding="utf-8")
    assert all(f'id="{claim.id}"' in text for claim in FEW)
    assert 'data-figure="sam_simulation"' in text
    assert '"sam_simulation": {"dark": "data:image/png;base64,' in text
    assert 'id="points-digits"' in text
    assert "beside-title" not in text
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["report.html"]


def test_other_results_are_shown_beside_the_committed_ones(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(report, "evidence", lambda _: planted_evidence(DESIGNS["digits"], 3))
    monkeypatch.setattr(report, "load_evidence", lambda _: planted_evidence(DESIGNS["digits"], sign=-1.0))
    monkeypatch.setattr(report, "drawable", lambda _: [])
    status, _, _ = run(capsys, "report", "--results", str(tmp_path), "--out", str(tmp_path / "report.html"))
    assert status == 0
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "0 of 1 are the same" in text
    assert "9 seeds here, 24 there" in text


def test_results_that_are_not_there(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    status, out, err = run(capsys, "report", "--results", str(tmp_path / "none"))
    assert (status, out) == (2, "")
    assert "does not exist" in err
