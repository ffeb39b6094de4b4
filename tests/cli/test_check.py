"""Claims: which are checked, what is printed, the status."""

import json
from pathlib import Path

import numpy as np
import pytest

from sharpdiv.checks.registry import CLAIMS
from sharpdiv.cli import check
from tests.cli.calling import run


def test_check_prints_verdicts_and_numbers(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = run(capsys, "check", "--only", "tradeoff-figure2-range")
    assert status == 0  # failing claims of the paper are findings
    assert "fails" in out
    status, out, _ = run(capsys, "check", "--only", "alternating-sum", "--json", "-")
    assert json.loads(out)["claims"][0]["verdict"] == "holds"


@pytest.mark.slow
def test_a_wrong_implementation_exits_1(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sharpdiv.checks.closed_forms.quadrature.phi", lambda *_: np.array(1.0))
    assert run(capsys, "check", "--only", "alternating-sum")[0] == 1


def test_claims_are_selected_by_pattern_and_by_the_papers_names(capsys: pytest.CaptureFixture[str]) -> None:
    def listed(*only: str) -> list[str]:
        status, out, _ = run(capsys, "check", "--list", "--only", *only)
        assert status == 0
        return [line.split()[0] for line in out.splitlines()]

    ids = [claim.id for claim in CLAIMS]
    first = [claim.id for claim in CLAIMS if "C1" in claim.about]
    assert {"c1-digits", "equal-loss-digits", "tradeoff-figure2-range"} <= set(first)
    assert listed("C1") == listed("c1") == first
    assert listed("c1-*") == [name for name in ids if name.startswith("c1-")]
    assert listed("lazy-rich", "C1", "c1-digits") == ["lazy-rich", *first]
    assert listed("c[12]-digits") == ["c1-digits", "c2-digits"]
    assert listed("*") == ids
    for wrong in ("C9", "z*", "C"):
        assert run(capsys, "check", "--list", "--only", wrong)[0] == 2


def test_a_list_checks_nothing(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check, "check_claims", None)
    status, out, err = run(capsys, "check", "--list")
    assert (status, err) == (0, "")
    assert len(out.splitlines()) == len(CLAIMS)
    for claim, line in zip(CLAIMS, out.splitlines(), strict=True):
        assert line.split()[:2] == [claim.id, claim.subject]
        assert line.endswith(claim.title)
    value = json.loads(run(capsys, "check", "--list", "--json", "-")[1])
    assert [entry["id"] for entry in value["claims"]] == [claim.id for claim in CLAIMS]
    assert "verdict" not in value["claims"][0]


def test_the_json_says_what_was_checked(capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = run(capsys, "check", "--only", "alternating-sum", "--json", "-")
    (entry,) = json.loads(out)["claims"]
    claim = next(claim for claim in CLAIMS if claim.id == "alternating-sum")
    told = (
        "id",
        "subject",
        "title",
        "statement",
        "formula",
        "source",
        "method",
        "tolerance",
        "seed",
        "where",
        "design",
    )
    assert {name: entry.pop(name) for name in told} == {name: getattr(claim, name) for name in told}
    assert entry.pop("command") == claim.run_with == "sharpdiv check --only alternating-sum"
    assert (entry.pop("about"), entry.pop("figures")) == ([], [])
    assert set(entry) == {"verdict", "confirmed", "remark", "reason", "decisive", "numbers", "effects"}
    exact, error, _ = entry["numbers"]
    assert exact["text"] == f"{exact['value']:.10g}"
    assert error["value"] < 1e-12


def test_an_installed_package_refuses_before_it_checks(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(check, "CHECKOUT", None)
    monkeypatch.setattr(check, "check_claims", None)
    status, out, err = run(capsys, "check", "--write")
    assert (status, out) == (2, "")
    assert "installed package" in err
    assert "--list" in run(capsys, "check", "--list", "--write")[2]
    assert "about the committed results" in run(capsys, "check", "--write", "--results", "runs")[2]


def test_the_report_is_renewed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(check, "CHECKOUT", tmp_path)
    monkeypatch.setattr("sharpdiv.checks.registry.CLAIMS", [claim for claim in CLAIMS if claim.id == "alternating-sum"])
    (tmp_path / "paper_checks").mkdir()
    (tmp_path / "paper_checks" / "gone.md").touch()
    status, out, _ = run(capsys, "check", "--write")
    assert (status, len(out.splitlines())) == (0, 1)
    assert "✓ [alternating-sum](paper_checks/alternating-sum.md)" in (tmp_path / "paper_checks.md").read_text()
    (page,) = (tmp_path / "paper_checks").iterdir()
    assert page.read_text().startswith("# The published alternating sum cancels")
