"""What was measured of a design that no claim is about, in a line for each condition: means, and no verdict."""

import numpy as np

from sharpdiv.checks.evidence import Evidence
from sharpdiv.empirical.runs.profiles import LABELS, Design
from sharpdiv.empirical.store import digest

__all__ = ["described"]

_SHOWN = {
    "accuracy of members": "accuracy_mean",
    "of ensembles": "accuracy_ensemble",
    "corrupted": "corrupted_accuracy_ensemble",
    "diversity D": "variance",
    "DER": "der",
    "EIR": "eir",
}
"""What is said of a condition, and the number of a record that it is the mean of."""


def described(design: Design, evidence: Evidence) -> list[str]:
    """Means over the ensembles of each condition.

    Args:
        design: any design; one whose blocks are not all there is described by those that are.
        evidence: what was measured.

    Returns:
        A line for each condition that any ensemble was measured of.
    """
    records = {record.key: record for record in evidence.records}
    lines = []
    for name in design.conditions:
        runs = [records.get(digest(of[name].to_json())) for of in design.runs_of_blocks.values()]
        there = [run for run in runs if run is not None]
        if there:
            numbers = [run.numbers() for run in there]
            shown = [f"{label} {np.mean([each[key] for each in numbers]):.4g}" for label, key in _SHOWN.items()]
            sharpness = np.mean([run.sharpness(run.first_measure) for run in there])
            rho = f" at rho = {design.conditions[name].rho:g}" if design.conditions[name].rho else ""
            what = f"{len(there)} of {len(runs)} ensembles"
            lines.append(f"{LABELS[name]}{rho}, {what}: {', '.join(shown)}, sharpness {sharpness:.4g}")
    return lines
