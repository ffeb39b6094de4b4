"""The claims of the paper as data: what is stated, how it is checked, and the verdict."""

from checks import bridge, ensembles, theorems
from checks.claim import Claim, Finding, Verdict
from checks.evidence import Evidence, load_evidence
from checks.report import render

__all__ = ["CLAIMS", "Claim", "Evidence", "Finding", "Verdict", "load_evidence", "render"]

CLAIMS: tuple[Claim, ...] = (*theorems.CLAIMS, *bridge.CLAIMS, *ensembles.CLAIMS)
"""All claims, in the order of the report."""
