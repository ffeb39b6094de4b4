"""A page for each claim: everything that is known of it, and pages of claims that are gone are removed."""

from pathlib import Path

import pytest

from sharpdiv.checks.claim import Claim, Finding, Verdict
from sharpdiv.checks.registry import CLAIMS
from sharpdiv.checks.report.pages import page, write_pages
from tests.checks.report.findings import MADE_UP
from tests.laws import Mutation, law


@law(
    Mutation("bars of cells not escaped", "sharpdiv.checks.report.pages._cell", lambda _: lambda text: text),
    Mutation("no effects", "sharpdiv.checks.report.pages._row", lambda _: lambda effect: ""),
    Mutation("stars are Markdown's", "sharpdiv.checks.report.pages._prose", lambda _: lambda text: text),
    Mutation("nobody's", "sharpdiv.checks.report.pages.WHOSE", lambda whose: dict.fromkeys(whose, "ours")),
)
def test_a_page_has_every_number_and_all_that_is_stated() -> None:
    whose = set()
    for claim, finding in MADE_UP:
        text = page(claim, finding)
        assert text.startswith(f"# {claim.title}\n")
        for label, value in finding.texts.items():
            assert f"| {label.replace('|', chr(92) + '|')} | {value} |" in text
        assert "| a comparison: log ratio | -0.25 [-0.5, -0.01] | 24  |" in text
        for fact in (claim.source, claim.formula):
            assert fact in text
        for words in (claim.statement, claim.method, claim.tolerance, finding.remark):
            assert (words if "`" in words else words.replace("*", r"\*")) in text
        whose.add(text.partition("\n- Whose: ")[2].partition("\n")[0])
    assert len(whose) == len({claim.subject for claim, _ in MADE_UP})


def test_the_status_of_verdicts_on_trained_networks_is_told() -> None:
    claim = next(claim for claim in CLAIMS if claim.id == "c1-digits")
    for confirmed, word in ((True, "confirmed"), (False, "exploratory")):
        assert f"\n- Status: {word}\n" in page(claim, Finding(Verdict.HOLDS, confirmed=confirmed))
    assert "- Status" not in page(claim, Finding(Verdict.NOT_RUN))
    assert "- Status: exploratory" in page(_of("networks"), Finding(Verdict.FAILS))
    assert "- Status" not in page(_of("implementation"), Finding(Verdict.HOLDS))


def _of(subject: str) -> Claim:
    return next(claim for claim in CLAIMS if claim.subject == subject)


def test_pages_of_claims_that_are_gone_are_removed_and_nothing_else(tmp_path: Path) -> None:
    write_pages(tmp_path, MADE_UP)
    (tmp_path / "picture.png").touch()
    write_pages(tmp_path, MADE_UP[:2])
    assert {path.name for path in tmp_path.iterdir()} == {
        *(f"{claim.id}.md" for claim, _ in MADE_UP[:2]),
        "picture.png",
    }


@pytest.mark.parametrize("claim", [claim for claim in CLAIMS if claim.formula], ids=lambda claim: claim.id)
def test_formulas_are_of_what_is_stated(claim: Claim) -> None:
    """GitHub sets what is between double dollar signs; the words stay beside it."""
    assert f"\n$${claim.formula}$$\n" in page(claim, Finding(Verdict.HOLDS))
    assert claim.statement
