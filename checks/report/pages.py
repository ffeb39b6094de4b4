"""A page for each claim, as Markdown: verdict, statement, how it was checked, every comparison and number."""

from collections.abc import Sequence
from pathlib import Path

from sharpdiv.checks.claim import Claim, Effect, Finding, Verdict
from sharpdiv.checks.report.words import WHOSE, firmness, signed
from sharpdiv.empirical.atomic import write_atomically

__all__ = ["FOLDER", "page", "write_pages"]

FOLDER = "paper_checks"
"""Name of the folder of pages, beside the summary."""


def page(claim: Claim, finding: Finding) -> str:
    """All that is known of one claim.

    Args:
        claim: what was checked.
        finding: what came out.

    Returns:
        Markdown.
    """
    facts = {
        "Statement": _prose(claim.statement),
        "Whose": WHOSE[claim.subject],
        "Source": claim.source,
        "How checked": _prose(claim.method),
        "Tolerance": _prose(claim.tolerance),
        "Seed": "none" if claim.seed is None else str(claim.seed),
        "Command": f"`{claim.run_with}`" if claim.run_with != "none yet" else claim.run_with,
    }
    if claim.command and finding.verdict != Verdict.NOT_RUN:
        facts["From committed results"] = f"`sharpdiv check --only {claim.id}`"
    if firm := firmness(claim, finding):
        facts["Status"] = firm
    lines = [f"# {claim.title}", "", f"**{signed(finding.verdict)}.**"]
    if finding.remark:
        lines[-1] += f" {_prose(finding.remark)}"
    if claim.formula:
        lines += ["", f"$${claim.formula}$$"]
    lines += ["", *(f"- {name}: {text}" for name, text in facts.items())]
    if finding.effects:
        lines += ["", "| comparison | estimate, 95% interval | n |", "| --- | --- | --- |", *map(_row, finding.effects)]
    if finding.numbers:
        lines += ["", "| measured | value |", "| --- | --- |"]
        lines += [f"| {_cell(label)} | {_cell(str(value))} |" for label, value in finding.numbers]
    return "\n".join([*lines, "", "[All claims](../paper_checks.md)", ""])


def _row(effect: Effect) -> str:
    text = f"{effect.estimate:.4g}"
    if effect.low < effect.high:
        text += f" [{effect.low:.4g}, {effect.high:.4g}]"
    size = f"{effect.n} {effect.of}" if effect.n else ""
    return f"| {_cell(effect.label)}: {_cell(effect.unit)} | {text} | {size} |"


def _prose(text: str) -> str:
    """Words whose stars are symbols (w*), not Markdown's."""
    return text if "`" in text else text.replace("*", "\\*")


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def write_pages(folder: Path, findings: Sequence[tuple[Claim, Finding]]) -> None:
    """Write a page for each claim, and remove those of claims that are gone.

    Args:
        folder: of the pages, and of nothing else: other pages in it are taken for those of claims that are gone.
        findings: claims with what their checks found.
    """
    for claim, finding in findings:
        write_atomically(folder / f"{claim.id}.md", page(claim, finding).encode())
    names = {f"{claim.id}.md" for claim, _ in findings}
    for path in folder.glob("*.md"):
        if path.name not in names:
            path.unlink()
