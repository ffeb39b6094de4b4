"""Claims about the two theorems, in the order of the report."""

from sharpdiv.checks.closed_forms import quadrature, sam_over_rho, sharpbalance_figures, theorem1, theorem2

__all__ = ["CLAIMS"]

CLAIMS = (
    *quadrature.CLAIMS,
    *theorem1.CLAIMS,
    *theorem2.CLAIMS,
    *sharpbalance_figures.CLAIMS,
    *sam_over_rho.CLAIMS,
)
