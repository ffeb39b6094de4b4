"""Real training beside the lazy limit of the same networks: does the limit order what rho does?"""

from typing import Any

from checks.claim import Claim, Finding, Verdict
from checks.compare import QUANTITIES, over_rho
from checks.evidence import Evidence
from checks.judging import LEVEL, Comparison, aligned, judge, rank_correlation, slopes

__all__ = ["CLAIMS"]

_COMMAND = "sharpdiv reproduce --profile cpu"


def _check(evidence: Evidence) -> Finding:
    if not evidence.comparisons:
        return Finding(
            Verdict.NOT_RUN, remark=f"No runs beside their predictions; {_COMMAND} and sharpdiv compare make those."
        )
    found: list[Comparison] = []
    rows: list[tuple[str, str]] = []
    for comparison in evidence.comparisons:
        directions, more = _directions(comparison)
        found += directions
        rows += more
    return judge(found, 1, rows=rows)


def _directions(comparison: dict[str, Any]) -> tuple[list[Comparison], list[tuple[str, str]]]:
    """What each quantity does over rho, counted in the predicted direction; and the predictions, with rank correlations."""
    config = comparison["config"]
    found, rows = [], []
    for name in QUANTITIES:
        curves = over_rho(comparison["points"], name)
        label = f"{config['data']}, width {config['width']}, {name.replace('_', ' ')}"
        predicted, measured = (slopes({label: side[None]})[0] for side in curves)
        found.append(
            aligned(predicted, measured, "measured change from one rho to the next, in the predicted direction")
        )
        rows.append((f"{label}: predicted change from one rho to the next", str(predicted)))
        rank = rank_correlation(*(side.mean(axis=0) for side in curves))[0]
        rows.append((f"{label}: rank correlation of the mean curves, predicted and measured", f"{rank:.2f}"))
    return found, rows


CLAIMS = (
    Claim(
        "lazy-real",
        "networks",
        "Real training beside the lazy limit of the same networks",
        "With rho, D, EIR, errors, disagreement and sharpness of real training (cross-entropy, minibatches, batch norm, "
        "augmentation, normalised SAM) change in the direction that the lazy limit of the networks' own initialisations predicts.",
        "theory of this project (tangent kernels); C1",
        "Kernels of each member on 200 training images at its initialisation; full-batch un-normalised SAM with radii "
        "proportional to the runs', the largest at 0.95 of the limit; least-squares slopes on the rank of rho of each ensemble.",
        "95% t intervals over ensembles, test points held fixed; holds if every measured slope has the sign of the predicted one "
        f"with p < {LEVEL:g}, fails if one has the other with p < {LEVEL:g} after Holm's adjustment over all of them; a prediction "
        "whose own sign is not clear decides nothing",
        None,
        _check,
        _COMMAND,
    ),
)
