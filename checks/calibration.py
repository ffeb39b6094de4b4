"""C7 on trained networks: calibration and likelihood of ensembles of three, and their curves over the size."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from checks.claim import Claim, Finding, Verdict
from checks.designs import AT_FIXED_POINTS, DESIGNS, PLANS, of_methods, on_whole, setting
from checks.evidence import Evidence
from checks.judging import Comparison, judge
from empirical import RunConfig

__all__ = ["CLAIMS", "SIXES", "lowest", "threes"]

_METRICS = {"nll": "NLL", "ece": "ECE"}
_METHODS = {"sgd": "SGD", "sam": "SAM", "sharpbalance": "SharpBalance"}
SIXES = PLANS["fashion-mnist-sizes"]
"""Plan of the larger ensembles."""


def threes(plan: Sequence[RunConfig]) -> tuple[RunConfig, ...]:
    """SGD, and the others at every rho of SharpBalance.

    Returns:
        Of a plan, what is compared.
    """
    rhos = {run.rho for run in of_methods(plan, "sharpbalance")}
    return tuple(run for run in plan if run.method == "sgd" or run.rho in rhos)


def _calibration(data: str, field: str, evidence: Evidence) -> Finding:
    plan = threes(DESIGNS[data].runs)
    found = on_whole(partial(lowest, field), plan, evidence)
    if found.verdict == Verdict.NOT_RUN:
        return found
    shown = _curves(field, evidence.whole(plan)) + _curves(field, evidence.of(data).whole(SIXES))
    return replace(found, numbers=(*shown, *found.numbers))


def lowest(field: str, evidence: Evidence) -> Finding:
    """C7: NLL and ECE of SharpBalance minus SAM's at equal rho and SGD's.

    At the size of the ensembles: of smaller ones, subsets of the same members, the differences are nearly the same.

    Args:
        field: of a result, ``by_size`` or ``corrupted_by_size``.
        evidence: the ensembles.

    Returns:
        Verdict on the ensembles given.
    """
    values = {
        (method, rho, metric): np.array([[run[field][metric][-1] for run in runs]])
        for method in _METHODS
        for rho, runs in evidence.by_rho(method).items()
        for metric in _METRICS
    }
    comparisons = [
        Comparison.of(
            f"{name} at rho = {rho:g}: SharpBalance minus {_METHODS[rival]}",
            values["sharpbalance", rho, metric] - values[rival, 0.0 if rival == "sgd" else rho, metric],
        )
        for metric, name in _METRICS.items()
        for rival in ("sgd", "sam")
        for rho in evidence.by_rho("sharpbalance")
    ]
    return judge(comparisons, -1)


def _curves(field: str, evidence: Evidence) -> list[tuple[str, str]]:
    """Means over the ensembles, for every size."""
    shown = []
    for metric, name in _METRICS.items():
        for method, label in _METHODS.items():
            for rho, runs in evidence.by_rho(method).items():
                curves = [run[field][metric] for run in runs]
                text = ", ".join(f"{value:.4g}" for value in np.mean(curves, axis=0))
                at = f" at rho = {rho:g}" if rho else ""
                shown.append((f"{name} of {label}{at}, sizes 1 to {len(curves[0])}, of {len(curves)}", text))
    return shown


CLAIMS = tuple(
    Claim(
        f"c7-{data}{suffix}",
        "paper",
        f"C7 on trained networks: calibration, {images} images",
        f"In ensembles of three SharpBalance has lower ECE and NLL than SGD, and than SAM at equal rho, on {images} images. Other "
        "sizes, of which the paper says the same, are shown.",
        f"C7, appendix; here on {data}",
        f"{setting(threes(design.runs))}. Smaller sizes are means over all subsets of the members{larger}",
        AT_FIXED_POINTS,
        None,
        partial(_calibration, data, field),
        design.command,
    )
    for data, design in DESIGNS.items()
    for larger in ["; larger ones are of one ensemble of six" if data == SIXES[0].data else ""]
    for suffix, images, field in (("", "clean", "by_size"), ("-corrupted", "corrupted", "corrupted_by_size"))
)
