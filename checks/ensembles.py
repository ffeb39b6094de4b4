"""Claims about the main design on every data set, checked on measured ensembles."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np
from jaxtyping import Int

from checks.claim import Claim, Finding
from checks.designs import DESIGNS, TOLERANCE, of_methods, on_whole, setting
from checks.evidence import Evidence, Measured
from checks.judging import Comparison, by_rho, judge, matched, order_p, slopes, spearman

__all__ = [
    "CLAIMS",
    "accuracies",
    "best_accuracy",
    "chosen_accuracy",
    "improvement_rate",
    "matched_diversity",
    "robust_members",
    "tradeoff",
]

_UNDERFITTING = 0.01  # fall of training accuracy that is told: one image in a hundred


def tradeoff(evidence: Evidence) -> Finding:
    """C1: sharpness, disagreement and DER against rho.

    Returns:
        Verdict on the ensembles given.
    """
    curve = evidence.measured("sgd", "sam")
    quantities = {"sharpness": curve.sharpness, "disagreement": curve.disagreement, "DER": curve.der}
    training, remark = _training(evidence)
    rows = (*(by_rho(name, curve, values) for name, values in quantities.items()), training)
    return judge(slopes(quantities), -1, rows=rows, remark=remark)


def _training(evidence: Evidence) -> tuple[tuple[str, str], str]:
    """Training accuracy of SGD and SAM, and a remark where SAM's is lower: part of its effects is underfitting then."""
    accuracy = {
        rho: float(np.mean([run["members"]["train_accuracy"] for run in runs]))
        for rho, runs in evidence.by_rho("sgd", "sam").items()
    }
    text = ", ".join(f"{rho:g}: {value:.4g}" for rho, value in accuracy.items())
    lower = [f"{rho:g}" for rho, value in accuracy.items() if value < accuracy[0.0] - _UNDERFITTING]
    remark = f"Training accuracy falls at rho {', '.join(lower)}: part of the change is underfitting." if lower else ""
    return ("training accuracy by rho, un-augmented, in evaluation mode", text), remark


def improvement_rate(evidence: Evidence) -> Finding:
    """C1: EIR against rho.

    Returns:
        Verdict on the ensembles given.
    """
    curve = evidence.measured("sgd", "sam")
    training, remark = _training(evidence)
    return judge(slopes({"EIR": curve.eir}), -1, rows=(by_rho("EIR", curve, curve.eir), training), remark=remark)


def _correlation(evidence: Evidence) -> Finding:
    curve = evidence.measured("sgd", "sam")
    quantities = {"DER": curve.der, "disagreement": curve.disagreement, "EIR": curve.eir}
    sharpness = np.broadcast_to(curve.sharpness, curve.der.shape)
    decides, *others = (
        Comparison.of(f"rank correlation of sharpness and {name} over rho", spearman(sharpness, values))
        for name, values in quantities.items()
    )
    each = spearman(curve.sharpness[0], curve.der[0])
    by_orders = order_p(curve.sharpness[0], curve.der[0])
    text = f"{', '.join(f'{r:.2g}' for r in each)}; exact p of their orders {by_orders:.2g}"
    rows = (*(comparison.row() for comparison in others), ("the same of DER in each ensemble", text))
    remark = f"Over {len(curve.rho)} values of rho; DER decides."
    return judge([replace(decides, least_p=by_orders)], 1, rows=rows, remark=remark)


def robust_members(evidence: Evidence) -> Finding:
    """C2: members' accuracy on corrupted images against rho.

    Returns:
        Verdict on the ensembles given.
    """
    curve = evidence.measured("sgd", "sam")
    accuracy = curve.corrupted_member_accuracy
    rows = (
        by_rho("corrupted member accuracy", curve, accuracy),
        by_rho("clean member error", curve, curve.member_error),
    )
    kinds = ", ".join(evidence.runs[0]["corrupted"])
    remark = f"Generated corruptions, each at five severities: {kinds}."
    return judge(slopes({"corrupted member accuracy": accuracy}), 1, rows=rows, remark=remark)


def matched_diversity(evidence: Evidence) -> Finding:
    """C5: DER of SharpBalance against the curve of SGD and SAM.

    Returns:
        Verdict on the ensembles given.
    """
    sam, balance = evidence.measured("sgd", "sam"), evidence.measured("sharpbalance")
    rows = (
        by_rho("DER of SharpBalance", balance, balance.der),
        by_rho("sharpness of SharpBalance", balance, balance.sharpness),
    )
    return judge(matched("SharpBalance", sam, balance), 1, rows=rows)


def best_accuracy(evidence: Evidence) -> Finding:
    """C6: SharpBalance's ensemble accuracy minus SAM's at equal rho and SGD's.

    Returns:
        Verdict on the ensembles given.
    """
    others, balance = evidence.measured("sgd", "sam"), evidence.measured("sharpbalance")
    rows = [
        by_rho(f"{name} ensemble accuracy, {who}", curve, values)
        for who, curve in (("SGD (0) and SAM", others), ("SharpBalance", balance))
        for name, values in _accuracies(curve).items()
    ]
    sgd = accuracies("SharpBalance", balance, "SGD", others, at=0.0)
    return judge([*accuracies("SharpBalance", balance, "SAM", others), *sgd], 1, rows=rows)


def chosen_accuracy(evidence: Evidence) -> Finding:
    """C6: the same where each method has the rho that is best on half of the test points, on the other half.

    Returns:
        Verdict on the ensembles given.
    """
    halves = {method: [evidence.measured(method, half=half) for half in (0, 1)] for method in _ALL}
    sgd, sam, balance = (_accuracies_at_chosen(*each) for each in halves.values())
    rows = [
        (f"rho of {name} that is best on each half", ", ".join(f"{c.rho[_best(c)[0]]:g}" for c in halves[method]))
        for method, name in (("sam", "SAM"), ("sharpbalance", "SharpBalance"))
    ]
    comparisons = [
        Comparison.of(f"{kind}: SharpBalance minus {name}", balance[kind] - rival[kind])
        for kind in balance
        for name, rival in (("SAM", sam), ("SGD", sgd))
    ]
    return judge(comparisons, 1, rows=rows)


def _accuracies_at_chosen(*halves: Measured) -> dict[str, np.ndarray]:
    """Accuracies on each half of the test points, at the rho with the least clean error on the other; the mean of both."""
    found = []
    for half, other in zip(halves, halves[::-1], strict=True):
        at = _best(other)[:, None, None]
        found.append({k: np.take_along_axis(v, at, axis=-1)[..., 0] for k, v in _accuracies(half).items()})
    return {kind: (found[0][kind] + found[1][kind]) / 2 for kind in found[0]}


def _best(curve: Measured) -> Int[np.ndarray, " replicates"]:
    """Place of the rho with the least clean error of the ensembles together."""
    return np.asarray(curve.ensemble_error.mean(axis=1).argmin(axis=-1))


def accuracies(name: str, curve: Measured, rival: str, other: Measured, at: float | None = None) -> list[Comparison]:
    """Ensemble accuracy, clean and corrupted, minus a rival's.

    Args:
        name: of the method.
        curve: its ensembles, at some rho.
        rival: its name.
        other: ensembles of the rival.
        at: rho of the rival; the same as the method's unless given.

    Returns:
        Two for each rho.
    """
    column = [int(np.flatnonzero(other.rho == (rho if at is None else at))[0]) for rho in curve.rho]
    differences = {kind: values - _accuracies(other)[kind][..., column] for kind, values in _accuracies(curve).items()}
    return [
        Comparison.of(f"{kind}: {name} at rho = {rho:g} minus {rival}", values[..., place])
        for kind, values in differences.items()
        for place, rho in enumerate(curve.rho)
    ]


def _accuracies(curve: Measured) -> dict[str, np.ndarray]:
    return {"clean": 1 - curve.ensemble_error, "corrupted": curve.corrupted_ensemble_accuracy}


_SAM = ("sgd", "sam")
_ALL = ("sgd", "sam", "sharpbalance")
_ON_NETWORKS: tuple[tuple[str, str, str, str, Callable[[Evidence], Finding], tuple[str, ...], str], ...] = (
    (
        "c1-{}",
        "C1 on trained networks: sharpness against diversity",
        "On average over rho, raising it lowers sharpness, and with it disagreement and DER.",
        "C1, Fig. 4",
        tradeoff,
        _SAM,
        "slopes on the rank of rho",
    ),
    (
        "c1-{}-eir",
        "C1 on trained networks: improvement rate",
        "On average over rho, raising it lowers the ensemble improvement rate.",
        "C1, Fig. 4",
        improvement_rate,
        _SAM,
        "slope on the rank of rho",
    ),
    (
        "c1-{}-correlation",
        "C1 on trained networks: correlation of sharpness and diversity",
        "Over the values of rho sharper networks are more diverse: sharpness and DER are positively correlated.",
        "C1, Fig. 1c and 4",
        _correlation,
        _SAM,
        "Spearman's correlation of each ensemble, whose few values t intervals take for more than they are: p is at least that of "
        "all orders of the values of rho in each ensemble",
    ),
    (
        "c2-{}",
        "C2 on trained networks: robustness of members",
        "On average over rho, raising it raises the accuracy of members on corrupted images.",
        "C2, Fig. 4",
        robust_members,
        _SAM,
        "slope on the rank of rho",
    ),
    (
        "c5-{}",
        "C5 on trained networks: diversity at equal sharpness",
        "At matched sharpness SharpBalance has the larger diversity (DER).",
        "C5, Fig. 1c",
        matched_diversity,
        _ALL,
        "reference: DER of SGD and SAM of each ensemble, interpolated in the logarithm of sharpness, inside its range only",
    ),
    (
        "c6-{}",
        "C6 on trained networks: accuracy of the ensemble",
        "At equal rho the ensemble accuracy of SharpBalance is above that of SAM, and above SGD's, clean and corrupted.",
        "C6, Fig. 7",
        best_accuracy,
        _ALL,
        "differences at every rho of SharpBalance; no method's rho is tuned",
    ),
    (
        "c6-{}-chosen",
        "C6 on trained networks: accuracy at the best rho of each method",
        "Where each method has its best rho, the ensemble accuracy of SharpBalance is above that of SAM and SGD, clean and "
        "corrupted.",
        "C6, Fig. 7",
        chosen_accuracy,
        _ALL,
        "rho, one for all ensembles, is that of the least clean error on every second test point, accuracy is taken on the others, "
        "and the reverse; both are drawn anew in each bootstrap replicate",
    ),
)
"""Id, title, statement, source, check, methods it needs, and the statistic, for every data set."""

CLAIMS = tuple(
    Claim(
        id_.format(data),
        "paper",
        title,
        statement,
        f"{source}; here on {data}",
        f"{setting(of_methods(design.runs, *methods))}; {statistic}",
        TOLERANCE,
        2024,
        partial(on_whole, check, of_methods(design.runs, *methods)),
        design.command,
    )
    for data, design in DESIGNS.items()
    for id_, title, statement, source, check, methods, statistic in _ON_NETWORKS
)
