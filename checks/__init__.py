"""The claims of the paper as data: what is stated, how it is checked, and the verdict."""

from checks import (
    bounds,
    bridge,
    calibration,
    cost,
    data_models,
    ensembles,
    everywhere,
    finite_size,
    lazy_limit,
    lazy_real,
    lazy_to_rich,
    paper_size,
    random_features,
    shapes,
    sharpness,
    theorems,
    variants,
    withdrawn,
)
from checks.claim import Claim, Finding, Verdict
from checks.evidence import Evidence, load_evidence
from checks.report import render

__all__ = ["CLAIMS", "Claim", "Evidence", "Finding", "Verdict", "load_evidence", "render"]

_ALL: tuple[Claim, ...] = (
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
    *ensembles.CLAIMS,
    *everywhere.CLAIMS,
    *shapes.CLAIMS,
    *variants.CLAIMS,
    *calibration.CLAIMS,
    *cost.CLAIMS,
    *paper_size.CLAIMS,
)
CLAIMS = tuple(withdrawn.withdrawn(claim) for claim in _ALL)
"""All claims, in the order of the report."""
