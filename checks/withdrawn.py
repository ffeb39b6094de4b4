"""Verdicts that a mistake in the data has taken back until they are measured again."""

from dataclasses import replace

from checks.claim import Claim, Finding, Verdict
from checks.evidence import Evidence

__all__ = ["withdrawn"]

_DATA = "cifar10-jpeg"
_RESTING = frozenset(
    (*(f"{name}-{_DATA}" for name in ("c2", "c3", "c6")), f"c6-{_DATA}-chosen", f"c7-{_DATA}-corrupted", "lazy-real")
)
"""Claims that rest on a part of the test images."""
_REASON = (
    f"The test images of {_DATA} were read class by class, the first ones stood for all: 500 for corruptions, 1,000 for CKA, 400 "
    "for the lazy limit, every one of them an airplane. What they say is of airplanes, not of CIFAR-10. Test sets now have a "
    "class-stratified order; the verdict comes back when this is measured again."
)


def _without_order(evidence: Evidence) -> bool:
    """Whether any ensemble was measured before test sets had an order of their own."""
    runs = evidence.of(_DATA).runs
    return any("test_order" not in run["provenance"] for run in runs)


def _check(claim: Claim, evidence: Evidence) -> Finding:
    return Finding(Verdict.WITHDRAWN, remark=_REASON) if _without_order(evidence) else claim.check(evidence)


def withdrawn(claim: Claim) -> Claim:
    """A claim whose check gives no verdict while it rests on those images.

    Args:
        claim: Any claim.

    Returns:
        The same if it does not rest on them.
    """
    if claim.id not in _RESTING:
        return claim
    return replace(claim, check=lambda evidence: _check(claim, evidence))
