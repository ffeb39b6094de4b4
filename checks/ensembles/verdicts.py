"""Verdicts that survive: those on a user's own networks beside those on the committed ones."""

from collections.abc import Sequence
from dataclasses import dataclass

from sharpdiv.checks.claim import Claim, Finding, Verdict
from sharpdiv.checks.ensembles.claims import CLAIMS
from sharpdiv.checks.ensembles.study import Study
from sharpdiv.checks.evidence import Evidence
from sharpdiv.empirical.runs.profiles import DESIGNS, Design

__all__ = ["Beside", "beside"]


@dataclass(frozen=True)
class Beside:
    """One claim on two sets of networks."""

    claim: str
    """its id"""
    yours: Verdict
    """on the networks that were just trained"""
    committed: Verdict
    """on those whose results come with the project"""
    why: str
    """why they may differ; empty if they do not"""


def beside(findings: Sequence[tuple[Claim, Finding]], yours: Evidence, committed: Evidence) -> list[Beside]:
    """Claims about trained ensembles that both have a verdict on.

    Args:
        findings: on a user's own networks.
        yours: those networks.
        committed: the project's.

    Returns:
        A row for each, in their order.
    """
    rows = []
    for claim, finding in findings:
        if claim not in CLAIMS or finding.verdict == Verdict.NOT_RUN:
            continue
        theirs = claim.check(committed).verdict
        if theirs == Verdict.NOT_RUN:
            continue
        why = "" if finding.verdict == theirs else _why(claim, yours, committed)
        rows.append(Beside(claim.id, finding.verdict, theirs, why))
    return rows


def _why(claim: Claim, yours: Evidence, committed: Evidence) -> str:
    design = DESIGNS[claim.design]
    studies = [found for evidence in (yours, committed) if (found := evidence.study(design))]
    reasons = []
    if len({study.seeds for study in studies}) > 1:
        reasons.append(f"{studies[0].seeds} seeds here, {studies[1].seeds} there")
    if len(machines := {_machine(design, study) for study in studies}) > 1:
        reasons.append(f"another processor trains other networks from the same seeds ({'; '.join(sorted(machines))})")
    return (
        "; ".join(reasons)
        or "the same seeds on the same processor: the results or the code differ, and they should not"
    )


def _machine(design: Design, study: Study) -> str:
    origin = study.conditions[next(iter(design.conditions))].blocks[0].origin
    return f"{origin.processor}, {origin.instructions}"
