"""The signs and words of the report: verdicts that are told apart at a glance, whose a statement is, how firm it is."""

from collections import Counter
from collections.abc import Iterable

from sharpdiv.checks.claim import Claim, Effect, Finding, Subject, Verdict
from sharpdiv.checks.quantity import Quantity, Value

__all__ = ["SIGNS", "WHOSE", "counts", "decisive", "firmness", "signed"]

SIGNS = {
    Verdict.HOLDS: "✓",
    Verdict.CONDITIONAL: "◐",
    Verdict.FAILS: "✗",
    Verdict.NO_EFFECT: "≈",
    Verdict.INCONCLUSIVE: "?",
    Verdict.NOT_RUN: "–",
}
"""A sign of each verdict, which differs in shape, not only in colour."""

WHOSE: dict[Subject, str] = {
    "paper": "statements of the paper",
    "transfer": "the paper's, carried over by this project to another model",
    "networks": "this project's about trained networks",
    "implementation": "this project's about its own code",
}
"""Whose statement it is, in the order of the report."""


def signed(verdict: Verdict) -> str:
    """Sign and word of a verdict.

    Returns:
        Text such as ``✓ holds``.
    """
    return f"{SIGNS[verdict]} {verdict}"


def counts(findings: Iterable[tuple[Claim, Finding]]) -> str:
    """How many of each verdict there are.

    Args:
        findings: of one kind of statement.

    Returns:
        Text such as ``2 ✓ holds, 1 ✗ fails``.
    """
    found = Counter(finding.verdict for _, finding in findings)
    return ", ".join(f"{found[verdict]} {signed(verdict)}" for verdict in Verdict if found[verdict])


def firmness(claim: Claim, finding: Finding) -> str:
    """Whether a verdict on trained networks is confirmed or exploratory.

    Args:
        claim: what was checked.
        finding: what came out.

    Returns:
        One word; empty where the distinction has no meaning: of closed forms, and where nothing was run.
    """
    if finding.verdict == Verdict.NOT_RUN or (finding.confirmed is None and claim.subject != "networks"):
        return ""
    return "confirmed" if finding.confirmed else "exploratory"


def decisive(finding: Finding) -> tuple[str, str]:
    """The number that a verdict rests on, with its interval: of several comparisons the one that speaks most against the claim.

    Args:
        finding: what came out.

    Returns:
        What it is, and its text; both empty where there is none.
    """
    if finding.decisive:
        return finding.decisive, _short(dict(finding.numbers)[finding.decisive])
    if deciding := [effect for effect in finding.effects if effect.decides]:
        effect = min(deciding, key=_clearness)
        interval = f" [{effect.low:.3g}, {effect.high:.3g}]" if effect.low < effect.high else ""
        return f"{effect.unit}, {effect.label}", f"{effect.estimate:.3g}{interval}"
    for label, value in finding.numbers:
        if not isinstance(value, str):
            return label, _short(value)
    return "", ""


def _clearness(effect: Effect) -> float:
    """How far an estimate is on the claimed side, in lengths of its interval if it has one; below 0 where it is not."""
    if effect.direction:
        inside = effect.direction * (effect.estimate - effect.reference)
    elif effect.stated:
        inside = min(effect.estimate - effect.stated[0], effect.stated[1] - effect.estimate)
    else:
        inside = -abs(effect.estimate - effect.reference)
    return inside / (effect.high - effect.low or 1.0)


def _short(value: Value) -> str:
    """Three digits and the interval, without p-values."""
    if isinstance(value, Quantity) and value.low is not None and value.high is not None:
        return f"{value.value:.3g} [{value.low:.3g}, {value.high:.3g}]"
    return str(value)
