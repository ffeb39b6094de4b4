"""C3 on trained networks: the trade-off by every metric of diversity and every measure of sharpness at once."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from checks.claim import Claim, Finding
from checks.designs import AT_FIXED_POINTS, DESIGNS, of_methods, on_whole, setting
from checks.evidence import Evidence
from checks.judging import Comparison, judge, slopes

__all__ = ["CLAIMS", "DIVERSITY", "SHARPNESS", "every_metric", "judged"]

DIVERSITY: dict[str, Callable[[dict[str, Any]], float]] = {
    "disagreement": lambda run: run["metrics"]["disagreement"],
    "DER": lambda run: run["metrics"]["der"],
    "EIR": lambda run: run["metrics"]["eir"],
    "variance of softmax": lambda run: run["metrics"]["variance"],
    "KL divergence, nats": lambda run: run["metrics"]["kl"],
    "variance of logits": lambda run: run["metrics"]["logit_variance"],
    "1 − CKA, last stage": lambda run: 1 - run["cka"][max(run["cka"])],
}
"""Metrics of an ensemble; larger is more diverse."""

SHARPNESS = {
    "worst_l2_adaptive": "worst case, adaptive l2",
    "worst_l2": "worst case, l2",
    "worst_linf_adaptive": "worst case, adaptive l-infinity",
    "worst_linf": "worst case, l-infinity",
    "average_l2_adaptive": "average, adaptive l2",
    "average_l2": "average, l2",
    "one_step": "one ascent step",
    "hessian_top": "largest eigenvalue of the Hessian",
    "hessian_trace": "trace of the Hessian",
    "fisher_trace": "trace of the Fisher information",
}
"""Names of the measures of sharpness of a member; the first is the main one."""


def every_metric(evidence: Evidence) -> Finding:
    """C3: every metric of diversity and measure of sharpness against rho.

    Returns:
        Verdict on the ensembles given.
    """
    groups = evidence.by_rho("sgd", "sam").values()
    measured = groups and next(iter(groups))[0]["members"]["sharpness"]

    def values(of: Callable[[dict[str, Any]], float]) -> np.ndarray:
        return np.array([[of(run) for run in runs] for runs in groups], dtype=float).T[None]

    diversity = {label: values(metric) for label, metric in DIVERSITY.items()}
    sharpness = {
        f"sharpness, {label}": values(partial(_sharpness, name))
        for name, label in SHARPNESS.items()
        if name in measured
    }
    return judged(slopes(diversity), slopes(sharpness))


def _sharpness(name: str, run: dict[str, Any]) -> float:
    return float(np.mean(run["members"]["sharpness"][name]))


def judged(diversity: list[Comparison], sharpness: list[Comparison]) -> Finding:
    """Verdict on slopes that should all be negative.

    Args:
        diversity: of every metric.
        sharpness: of every measure.

    Returns:
        Holds within conditions if one of each clearly falls but not all do.
    """
    kinds = [{comparison.label for comparison in kind} for kind in (diversity, sharpness)]
    return judge([*diversity, *sharpness], -1, kinds)


CLAIMS = tuple(
    Claim(
        f"c3-{data}",
        "paper",
        "C3 on trained networks: every metric",
        "On average over rho, raising it lowers every metric of diversity and every measure of sharpness.",
        f"C3, Fig. 4 and appendix; here on {data}",
        f"{setting(of_methods(design.runs, 'sgd', 'sam'))}; every metric that was measured, slopes on the rank of rho. Test points "
        "are held fixed, since not all metrics were kept for each of them",
        f"{AT_FIXED_POINTS}. Holds within conditions if a metric of diversity and a measure of sharpness are clear after "
        "adjustment, though not all, and none is opposite",
        None,
        partial(on_whole, every_metric, of_methods(design.runs, "sgd", "sam")),
        design.command,
    )
    for data, design in DESIGNS.items()
)
