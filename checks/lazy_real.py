"""Real training beside the lazy limit of the same networks: does the limit order what rho does?"""

import numpy as np

from checks.claim import Claim, Finding, Verdict
from checks.compare import QUANTITIES, over_rho
from checks.evidence import Evidence
from checks.judging import holm, rank_correlation

__all__ = ["CLAIMS"]

_COMMAND = "sharpdiv compare RUN ..."


def _check(evidence: Evidence) -> Finding:
    if not evidence.comparisons:
        return Finding(Verdict.NOT_RUN, remark=f"No runs beside their predictions; {_COMMAND} makes those.")
    numbers, found = [], []
    for comparison in evidence.comparisons:
        config = comparison["config"]
        for name in QUANTITIES:
            predicted, measured = over_rho(comparison["points"], name)
            correlation, p = rank_correlation(predicted, measured)
            found.append((correlation, p))
            ends = f"{predicted[0]:.4g} to {predicted[-1]:.4g}, {measured[0]:.4g} to {measured[-1]:.4g}"
            label = f"{config['data']}, width {config['width']}, {name.replace('_', ' ')}"
            numbers.append((f"{label}: predicted, measured at the ends of rho", ends))
            numbers.append((f"{label}: rank correlation", f"{correlation:.2f} (p = {p:.2g})"))
    adjusted = holm([p for _, p in found])
    signs = [int(np.sign(r)) if p <= 0.05 else 0 for (r, _), p in zip(found, adjusted, strict=True)]
    verdict = Verdict.FAILS if min(signs) < 0 else Verdict.HOLDS if min(signs) > 0 else Verdict.INCONCLUSIVE
    opposite = sum(r < 0 for r, _ in found)
    remark = f"{opposite} of {len(found)} correlations are negative; after Holm's adjustment {sum(map(bool, signs))} are clear."
    return Finding(verdict, tuple(numbers), remark)


CLAIMS = (
    Claim(
        "lazy-real",
        "networks",
        "Real training beside the lazy limit of the same networks",
        "Over rho, the lazy limit of the networks' own initialisations orders the disagreement, EIR, errors and sharpness of real "
        "training (cross-entropy, minibatches, batch norm, augmentation, normalised SAM).",
        "theory of this project (tangent kernels); C1",
        "Kernels of each member on 200 training images at its initialisation; full-batch un-normalised SAM with radii "
        "proportional to the runs', the largest at 0.95 of the limit; predictions classified by their largest output.",
        "rank correlation over the values of rho, exact p values from all orders, Holm over the family at 5%; fails if a clear one "
        "is negative, holds if all are clear and positive",
        None,
        _check,
        _COMMAND,
    ),
)
