"""Real training beside the lazy limit of the same networks: does rho do there what the limit says?"""

import numpy as np

from sharpdiv.checks.claim import Claim, Finding, Row, Verdict, number
from sharpdiv.checks.evidence import Evidence
from sharpdiv.checks.kernels.compared import QUANTITIES, KernelComparison
from sharpdiv.checks.kernels.ranks import spearman
from sharpdiv.checks.statistics import LEVEL, Comparison, judge

__all__ = ["CLAIMS"]

_COMMAND = "sharpdiv reproduce --profile cpu"
_WITHIN = 0.1  # of the value at the smallest rho


def _check(evidence: Evidence) -> Finding:
    if not evidence.comparisons:
        return Finding(
            Verdict.NOT_RUN, remark=f"No runs beside their predictions; {_COMMAND} and sharpdiv compare make those."
        )
    found: list[Comparison] = []
    rows: list[Row] = []
    for comparison in evidence.comparisons:
        name = comparison.name
        reached = (
            f"training accuracy {comparison.accuracy_predicted:.3g}, of the runs {comparison.accuracy_measured:.3g}"
        )
        text = f"{comparison.steps}: {reached}"
        rows.append((f"{name}: steps in the lazy limit", text))
        for quantity in QUANTITIES:
            left, more = _changes(comparison, quantity, f"{name}, {quantity.replace('_', ' ')}")
            found.append(left)
            rows += more
    return judge(found, 1, rows, wrong_ones=("Further off", f"changes are more than {_WITHIN:g} from the limit's"))


def _changes(comparison: KernelComparison, quantity: str, label: str) -> tuple[Comparison, list[Row]]:
    """Relative changes, measured and predicted: what is left of the distance that is allowed, and each by itself."""
    curves = comparison.over_rho(quantity)
    predicted, measured = (side[:, -1] / side[:, 0] - 1 for side in curves)
    difference = measured - predicted
    # The side of 0 where the mean is: on the other it is within what is allowed for certain.
    within = _WITHIN - np.sign(difference.mean()) * difference
    found = Comparison(label, within, statistic=f"{_WITHIN:g} less the distance of the two changes")
    rank = float(spearman(*(side.mean(axis=0) for side in curves)))
    rows = [
        Comparison(label, predicted, statistic="predicted change from the smallest to the largest rho").row(),
        Comparison(label, measured, statistic="measured change from the smallest to the largest rho").row(),
        (f"{label}: rank correlation of the mean curves, predicted and measured", number(rank, form=".2f")),
    ]
    return found, rows


CLAIMS = (
    Claim(
        id="lazy-real",
        subject="networks",
        title="Real training beside the lazy limit of the same networks",
        statement="From the smallest to the largest rho, D, EIR, errors, disagreement and sharpness of real training "
        "(cross-entropy, "
        "minibatches, batch norm, augmentation, normalized SAM) change by as much as the lazy limit of the networks' own "
        f"initialisations says, within {_WITHIN:g} of their value.",
        source="theory of this project (tangent kernels)",
        about=("Theorems",),
        where="kernels beside networks",
        method="Kernels of each member on 200 training images at its initialisation, where the runs have all of theirs; full-batch "
        "un-normalized SAM with radii proportional to the runs', the largest at 0.95 of the limit: more SAM than that is unstable, "
        "so a change that is larger than predicted has no counterpart in the limit.",
        tolerance="t over ensembles of the distance of every two relative changes, test points held fixed; holds if all are "
        f"within {_WITHIN:g} with p < {LEVEL:g}, fails if one is outside with p < {LEVEL:g} after Holm's "
        "adjustment over all of them",
        seed=None,
        check=_check,
        command=_COMMAND,
        figures=("lazy_comparison",),
    ),
)
