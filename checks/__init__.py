"""The claims of the paper as data: what is stated, how it is checked, and the verdict."""

from checks import (
    bounds,
    bridge,
    data_models,
    ensembles,
    finite_size,
    lazy_limit,
    lazy_real,
    lazy_to_rich,
    random_features,
    rule,
    sharpness,
    theorems,
)
from checks.claim import Claim, Finding, Verdict
from checks.evidence import Evidence, load_evidence
from checks.report import render

__all__ = ["CLAIMS", "Claim", "Evidence", "Finding", "Verdict", "load_evidence", "render"]

CLAIMS: tuple[Claim, ...] = (
    *theorems.CLAIMS,
    *sharpness.CLAIMS,
    *bounds.CLAIMS,
    *finite_size.CLAIMS,
    *data_models.CLAIMS,
    *random_features.CLAIMS,
    *bridge.CLAIMS,
    *lazy_limit.CLAIMS,
    *lazy_to_rich.CLAIMS,
    *lazy_real.CLAIMS,
    *rule.CLAIMS,
    *ensembles.CLAIMS,
)
"""All claims, in the order of the report."""
