"""``sharpdiv check``: claims and their verdicts."""

import re
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated

import tyro

from sharpdiv.checks.checking import check_claims
from sharpdiv.checks.claim import Claim, Finding
from sharpdiv.checks.closed_forms import claims as closed_forms
from sharpdiv.checks.evidence import Evidence
from sharpdiv.checks.report.pages import FOLDER, write_pages
from sharpdiv.checks.report.serialize import claim_json, finding_json
from sharpdiv.checks.report.summary import summary
from sharpdiv.cli.errors import UsageError, nearest
from sharpdiv.cli.options import Json
from sharpdiv.cli.show import show
from sharpdiv.empirical.atomic import write_atomically
from sharpdiv.paths import CHECKOUT, RESULTS

__all__ = ["check", "status"]


def check(
    *,
    only: tuple[str, ...] = (),
    list_: Annotated[bool, tyro.conf.arg(name="list")] = False,
    write: bool = False,
    results: Path | None = None,
    json: Json = None,
) -> int:
    """Check the paper's claims and print the table of verdicts.

    Exit status 1 if a statement of the implementation does not hold; a failing claim of the paper is a finding.

    Args:
        only: ids of claims, patterns of them such as 'c1-*', or what of the paper they are about, as the report counts them: C1
            to C8. Default all.
        list_: print the claims and check nothing.
        write: renew paper_checks.md and the pages of paper_checks/.
        results: file or folder of measured ensembles, as sharpdiv reproduce writes them; the committed ones unless given.
        json: where to write the verdicts with their numbers, intervals and units.
    """
    if write and results is not None and results.resolve() != RESULTS.resolve():
        raise UsageError(
            "--write renews the pages about the committed results; sharpdiv report --results is about others"
        )
    report = _report(whole=not (only or list_)) if write else None
    claims, found = _asked_for(only, results, ours=write, measured=not list_)
    if list_:
        lines = (f"{claim.id:<36} {claim.subject:<14} {claim.title}" for claim in claims)
        show({"claims": [claim_json(claim) for claim in claims]}, json, "\n".join(lines))
        return 0
    findings = check_claims(claims, found, workers=None, say=_silent if json == "-" else print)
    if report:
        write_atomically(report, summary(findings).encode())
        write_pages(report.with_name(FOLDER), findings)
    value = {"claims": [claim_json(claim) | finding_json(finding) for claim, finding in findings]}
    show(value, json, "\n".join(map(_numbers, *zip(*findings, strict=True))) if only else "")
    return status(findings)


def _report(*, whole: bool) -> Path:
    """The file that ``--write`` renews, asked for before hours of checking."""
    if not whole:
        raise UsageError("--write renews the whole of paper_checks.md and does not go with --only or --list")
    if CHECKOUT is None:
        raise UsageError("--write renews paper_checks.md of a checkout, and this is an installed package")
    return CHECKOUT / "paper_checks.md"


def _asked_for(
    only: Sequence[str], results: Path | None, *, ours: bool, measured: bool
) -> tuple[list[Claim], Evidence]:
    """Claims, and what was measured; closed forms need nothing of it and do not wait for PyTorch."""
    if only and results is None and {*only} <= {claim.id for claim in closed_forms.CLAIMS}:
        return _select(only, closed_forms.CLAIMS), Evidence()
    from sharpdiv.checks.registry import CLAIMS, all_claims
    from sharpdiv.cli.evidence import evidence

    claims = _select(only, CLAIMS if ours else all_claims())
    return claims, evidence(results) if measured else Evidence()


def _select(only: Sequence[str], claims: Sequence[Claim]) -> list[Claim]:
    """Claims by id, pattern or what of the paper they are about, in the order they are asked for; all if none is."""
    known = [claim.id for claim in claims]
    chosen: dict[str, None] = {} if only else dict.fromkeys(known)
    for word in only:
        about = word.upper() if re.fullmatch(r"[cC]\d+", word) else ""
        found = [claim.id for claim in claims if about in claim.about or fnmatchcase(claim.id, word)]
        if not found:
            raise UsageError(f"unknown claim {word!r}{nearest(word, known)}; sharpdiv check --list lists all")
        chosen |= dict.fromkeys(found)
    of_id = {claim.id: claim for claim in claims}
    return [of_id[name] for name in chosen]


def _numbers(claim: Claim, finding: Finding) -> str:
    """What was checked exactly, and what was measured."""
    numbers = (f"  {label}: {value}" for label, value in finding.numbers)
    return "\n".join([f"\n{claim.statement}", *numbers, *([f"  {finding.remark}"] if finding.remark else [])])


def _silent(line: str) -> None:
    """Nothing is said where standard output is all JSON."""


def status(findings: Iterable[tuple[Claim, Finding]]) -> int:
    """1 if a statement of the implementation does not hold; what is not run, such as an open problem, says so itself."""
    wrong = (f.verdict not in {"holds", "not run"} for claim, f in findings if claim.subject == "implementation")
    return int(any(wrong))
