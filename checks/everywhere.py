"""C3 on trained networks: the trade-off by every metric of diversity and every measure of sharpness at once."""

from functools import partial
from typing import Any

import numpy as np
from jaxtyping import Float

from checks.claim import Claim, Finding, Verdict
from checks.designs import DESIGNS, lacking
from checks.evidence import Evidence
from checks.judging import LEVEL, Trend, holm, of_one_ensemble, trend

__all__ = ["CLAIMS", "judged"]

_DIVERSITY = {
    "disagreement": "disagreement",
    "der": "DER",
    "eir": "EIR",
    "variance": "variance of probabilities",
    "kl": "KL divergence",
    "logit_variance": "variance of logits",
}
"""Metrics of an ensemble, and their names in the report."""


def _every_metric(data: str, evidence: Evidence) -> Finding:
    evidence = evidence.main(data)
    if missing := lacking(data, evidence, "sgd", "sam"):
        return missing
    diversity = {name: trend(values) for name, values in _diversities(evidence).items()}
    sharpness = {name: trend(values) for name, values in _sharpnesses(evidence).items()}
    return of_one_ensemble(judged(diversity, sharpness), evidence.ensembles)


def _diversities(evidence: Evidence) -> dict[str, Float[np.ndarray, "ensembles rho"]]:
    """Every metric of diversity of every ensemble."""
    rows = _rows(evidence)
    metrics = {label: [[run["metrics"][name] for run in row] for row in rows] for name, label in _DIVERSITY.items()}
    last = max(rows[0][0]["cka"])
    metrics["1 - CKA of the last stage"] = [[1 - run["cka"][last] for run in row] for row in rows]
    return {label: np.array(values, dtype=float) for label, values in metrics.items()}


def _sharpnesses(evidence: Evidence) -> dict[str, Float[np.ndarray, "members rho"]]:
    """Every measure of sharpness of every member."""
    rows = _rows(evidence)
    return {
        name: np.concatenate([np.array([run["members"]["sharpness"][name] for run in row]).T for row in rows])
        for name in rows[0][0]["members"]["sharpness"]
    }


def _rows(evidence: Evidence) -> list[list[dict[str, Any]]]:
    """Runs of SGD and SAM: a row for each ensemble, by rho."""
    runs = [run for run in evidence.runs if run["config"]["method"] != "sharpbalance"]
    seeds = sorted({tuple(run["config"]["seeds"]) for run in runs})
    by_rho = sorted(runs, key=lambda run: float(run["config"]["rho"]))
    return [[run for run in by_rho if tuple(run["config"]["seeds"]) == each] for each in seeds]


def judged(diversity: dict[str, Trend], sharpness: dict[str, Trend]) -> Finding:
    """Verdict on a family of trends that should all fall.

    Args:
        diversity: of every metric.
        sharpness: of every measure.

    Returns:
        Every change with its adjusted p-value, and the exceptions in the remark.
    """
    family = diversity | {f"sharpness {name}": each for name, each in sharpness.items()}
    adjusted = dict(zip(family, holm([each.p for each in family.values()]), strict=True))
    clear = {name for name, p in adjusted.items() if p < LEVEL}
    falls = {name for name in clear if family[name].change.value < 0}
    rises, open_ = [n for n in family if n in clear - falls], [n for n in family if n not in clear]
    shows = bool(falls & diversity.keys()) and bool(falls - diversity.keys())
    exceptions = [f"{what}: {', '.join(names)}." for what, names in (("Rises", rises), ("Not clear", open_)) if names]
    if len(falls) == len(family):
        verdict = Verdict.HOLDS
    elif shows:
        verdict = Verdict.CONDITIONAL
    else:
        verdict = Verdict.FAILS if rises else Verdict.INCONCLUSIVE
    numbers = tuple(
        (f"{name}: mean change from one rho to the next", f"{each.change}, adjusted p = {adjusted[name]:.2g}")
        for name, each in family.items()
    )
    return Finding(verdict, numbers, " ".join(exceptions))


CLAIMS = tuple(
    Claim(
        f"c3-{data}",
        "paper",
        "C3 on trained networks: every metric",
        "Raising rho lowers every metric of diversity and every measure of sharpness.",
        f"C3, Fig. 4 and appendix; here on {data}",
        f"{design.setting}; every metric that was measured",
        "least squares on the rank of rho with an effect for each ensemble (sharpness: for each member), Student's t; p-values of "
        f"all metrics and measures together adjusted by Holm's method, clear below {LEVEL:g}; the intervals are 95%, not adjusted. "
        "Holds within conditions if a metric of diversity and a measure of sharpness clearly fall, but not all do; fails if one "
        "clearly rises and there is no such pair",
        None,
        partial(_every_metric, data),
        design.command,
    )
    for data, design in DESIGNS.items()
)
