"""C7 on trained networks: calibration and likelihood of ensembles of three, and their curves over the size."""

from dataclasses import replace
from functools import partial

import numpy as np

from checks.claim import Claim, Finding, Verdict
from checks.designs import DESIGNS, PLANS, TOLERANCE, on_whole, setting
from checks.evidence import Evidence
from checks.judging import Comparison, judge

__all__ = ["CLAIMS", "SIXES"]

_DATA = "fashion-mnist"
_METRICS = {"nll": "NLL", "ece": "ECE"}
_METHODS = {"sgd": "SGD", "sam": "SAM", "sharpbalance": "SharpBalance"}
SIXES = PLANS[f"{_DATA}-sizes"]
"""Plan of the larger ensembles."""
_THREES = tuple(run for run in PLANS[_DATA] if run.rho in {six.rho for six in SIXES})


def _calibration(field: str, evidence: Evidence) -> Finding:
    found = on_whole(partial(_lowest, field), _THREES, evidence)
    if found.verdict == Verdict.NOT_RUN:
        return found
    return replace(
        found,
        numbers=(*_curves(field, evidence.whole(_THREES)), *_curves(field, evidence.whole(SIXES)), *found.numbers),
    )


def _lowest(field: str, evidence: Evidence) -> Finding:
    """At the size of the ensembles: of smaller ones, subsets of the same members, the differences are nearly the same."""
    values = {
        (method, metric): np.array(
            [[run[field][metric][-1] for run in runs] for runs in evidence.by_rho(method).values()]
        )
        for method in _METHODS
        for metric in _METRICS
    }
    comparisons = [
        Comparison.of(
            f"{name}: SharpBalance minus {_METHODS[rival]}", values["sharpbalance", metric] - values[rival, metric]
        )
        for metric, name in _METRICS.items()
        for rival in ("sgd", "sam")
    ]
    return judge(comparisons, -1)


def _curves(field: str, evidence: Evidence) -> list[tuple[str, str]]:
    """Means over the ensembles, for every size."""
    shown = []
    for metric, name in _METRICS.items():
        for method, label in _METHODS.items():
            curves = [run[field][metric] for run in evidence.where(method=method).runs]
            if curves:
                text = ", ".join(f"{value:.4g}" for value in np.mean(curves, axis=0))
                shown.append((f"{name} of {label} at sizes 1 to {len(curves[0])}, of {len(curves)}", text))
    return shown


CLAIMS = tuple(
    Claim(
        id_,
        "paper",
        f"C7: calibration of ensembles, {images} images",
        f"In ensembles of three SharpBalance has lower ECE and NLL than SGD and SAM, on {images} images. Other sizes, of which the "
        "paper says the same, are shown.",
        f"C7, appendix; here on {_DATA}",
        f"{setting(_THREES)}. Smaller sizes are means over all subsets of the members; larger ones are of one ensemble of six. "
        "Test points are held fixed",
        TOLERANCE,
        None,
        partial(_calibration, field),
        DESIGNS[_DATA].command,
    )
    for id_, images, field in (
        ("c7-calibration", "clean", "by_size"),
        ("c7-calibration-corrupted", "corrupted", "corrupted_by_size"),
    )
)
