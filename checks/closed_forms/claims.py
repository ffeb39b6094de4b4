"""All claims about closed forms: they need nothing that was measured, and are there without PyTorch."""

from sharpdiv.checks.claim import Claim
from sharpdiv.checks.closed_forms import (
    bounds,
    data_models,
    feature_learning,
    finite_size,
    learned_sharpbalance,
    learned_tradeoff,
    models,
    random_features,
    sharpness,
    theorems,
)

__all__ = ["CLAIMS"]

CLAIMS: tuple[Claim, ...] = (
    *theorems.CLAIMS,
    *sharpness.CLAIMS,
    *bounds.CLAIMS,
    *finite_size.CLAIMS,
    *data_models.CLAIMS,
    *random_features.CLAIMS,
    *feature_learning.CLAIMS,
    *learned_tradeoff.CLAIMS,
    *learned_sharpbalance.CLAIMS,
    *models.CLAIMS,
)
"""In the order of the report."""
