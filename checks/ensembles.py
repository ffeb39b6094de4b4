"""Claims about the main design on every data set, checked on measured ensembles with bootstrap intervals."""

from collections.abc import Callable
from functools import partial

import numpy as np
from jaxtyping import Float
from scipy import stats

from checks.claim import Claim, Finding
from checks.designs import DESIGNS, lacking
from checks.evidence import Evidence, interval, slope
from checks.judging import by_rho, matched, of_one_ensemble, power, sign, verdict

__all__ = ["CLAIMS", "rank_correlation"]


def _training_accuracy(evidence: Evidence) -> str:
    """Of SGD and SAM, mean over members and ensembles: an effect of underfitting would show here."""
    accuracy: dict[float, list[float]] = {}
    for run in evidence.runs:
        if run["config"]["method"] != "sharpbalance":
            accuracy.setdefault(run["config"]["rho"], []).extend(run["members"]["train_accuracy"])
    return ", ".join(f"{rho:g}: {np.mean(values):.4g}" for rho, values in sorted(accuracy.items()))


def _tradeoff(data: str, evidence: Evidence) -> Finding:
    curve = evidence.measured("sgd", "sam")
    quantities = {
        "sharpness": curve.sharpness,
        "disagreement": curve.disagreement,
        "DER": curve.der,
    }
    slopes = {name: slope(values) for name, values in quantities.items()}
    return Finding(
        verdict([-sign(interval(values)) for values in slopes.values()]),
        (
            *(by_rho(name, curve, values) for name, values in quantities.items()),
            by_rho("sharpness without adaptive scaling", curve, curve.sharpness_plain),
            *((f"{name}: mean change from one rho to the next", power(values)) for name, values in slopes.items()),
            ("training accuracy by rho, un-augmented, in evaluation mode", _training_accuracy(evidence)),
        ),
        DESIGNS[data].caution,
    )


def _improvement_rate(_: str, evidence: Evidence) -> Finding:
    curve = evidence.measured("sgd", "sam")
    change = slope(curve.eir)
    return Finding(
        verdict([-sign(interval(change))]),
        (by_rho("EIR", curve, curve.eir), ("mean change from one rho to the next", power(change))),
    )


def _correlation(_: str, evidence: Evidence) -> Finding:
    curve = evidence.measured("sgd", "sam")
    quantities = {"DER": curve.der, "disagreement": curve.disagreement, "EIR": curve.eir}
    found = {name: interval(rank_correlation(curve.sharpness, values)) for name, values in quantities.items()}
    numbers = ((f"rank correlation of sharpness and {name} over rho", str(value)) for name, value in found.items())
    return Finding(verdict([sign(found["DER"])]), tuple(numbers), f"Over {len(curve.rho)} values of rho; DER decides.")


def rank_correlation(
    x: Float[np.ndarray, "replicates rho"], y: Float[np.ndarray, "replicates rho"]
) -> Float[np.ndarray, " replicates"]:
    """Spearman's correlation over rho, in every replicate.

    Args:
        x: one quantity.
        y: the other.

    Returns:
        Correlations in [-1, 1], NaN where a quantity is constant.
    """
    ranks = [stats.rankdata(values, axis=1) - (values.shape[1] + 1) / 2 for values in (x, y)]
    norms = np.prod([(rank**2).sum(axis=1) for rank in ranks], axis=0)
    with np.errstate(invalid="ignore"):
        return (ranks[0] * ranks[1]).sum(axis=1) / np.sqrt(norms)


def _robust_members(_: str, evidence: Evidence) -> Finding:
    curve = evidence.measured("sgd", "sam")
    change = slope(curve.corrupted_member_accuracy)
    return Finding(
        verdict([sign(interval(change))]),
        (
            by_rho("corrupted member accuracy", curve, curve.corrupted_member_accuracy),
            by_rho("clean member error", curve, curve.member_error),
            ("mean change of corrupted accuracy from one rho to the next", power(change)),
        ),
        f"Generated corruptions, each at five severities: {', '.join(evidence.runs[0]['corrupted'])}.",
    )


def _matched(_: str, evidence: Evidence) -> Finding:
    sam, balance = evidence.measured("sgd", "sam"), evidence.measured("sharpbalance")
    numbers, signs, compared = [], [], False
    for rho, at, difference in matched(sam, balance):
        label = f"rho = {rho:g}, sharpness {at:.4g}: DER of SharpBalance minus SAM's at that sharpness"
        if isinstance(difference, float):
            numbers.append((label, f"no overlap in {difference:.0%} of the replicates"))
            signs.append(0)
            continue
        compared = True
        signs.append(sign(interval(difference)))
        numbers.append((label, power(difference)))
    numbers += [
        by_rho("DER of SharpBalance", balance, balance.der),
        by_rho("sharpness of SharpBalance", balance, balance.sharpness),
    ]
    remark = (
        ""
        if compared
        else "The ranges of sharpness do not overlap safely, so nothing can be compared at equal sharpness."
    )
    return Finding(verdict(signs), tuple(numbers), remark)


def _best_accuracy(_: str, evidence: Evidence) -> Finding:
    others, balance = evidence.measured("sgd", "sam"), evidence.measured("sharpbalance")
    numbers, signs = [], []
    for name, ours, theirs in (
        ("clean", 1 - balance.ensemble_error, 1 - others.ensemble_error),
        ("corrupted", balance.corrupted_ensemble_accuracy, others.corrupted_ensemble_accuracy),
    ):
        numbers += [
            by_rho(f"{name} ensemble accuracy, SGD (0) and SAM", others, theirs),
            by_rho(f"{name} ensemble accuracy, SharpBalance", balance, ours),
        ]
        for column, rho in enumerate(balance.rho):
            for index in np.flatnonzero(np.isin(others.rho, (0.0, rho))):
                rival = f"SAM at {rho:g}" if others.rho[index] else "SGD"
                difference = ours[:, column] - theirs[:, index]
                signs.append(sign(interval(difference)))
                numbers.append((f"{name}: SharpBalance at rho = {rho:g} minus {rival}", power(difference)))
    return Finding(
        verdict(signs), tuple(numbers), "Fails if SharpBalance is clearly below a rival in any of these comparisons."
    )


def _on_main(
    check: Callable[[str, Evidence], Finding], methods: tuple[str, ...], data: str, evidence: Evidence
) -> Finding:
    """The check on the main design, if that has the methods; with a remark if it has fewer ensembles than it should."""
    evidence = evidence.main(data)
    if missing := lacking(data, evidence, *methods):
        return missing
    found = of_one_ensemble(check(data, evidence), evidence.ensembles)
    planned = DESIGNS[data].ensembles
    if evidence.ensembles == planned:
        return found
    fewer = f"Only {evidence.ensembles} of {planned} ensembles are complete; {DESIGNS[data].command} trains the rest."
    return Finding(found.verdict, found.numbers, f"{found.remark} {fewer}".strip())


_SAM = ("sgd", "sam")
_ALL = ("sgd", "sam", "sharpbalance")
_ON_NETWORKS: tuple[tuple[str, str, str, str, Callable[[str, Evidence], Finding], tuple[str, ...], str], ...] = (
    (
        "c1-{}",
        "C1 on trained networks: sharpness against diversity",
        "Raising rho lowers sharpness, and with it disagreement and DER.",
        "C1, Fig. 4",
        _tradeoff,
        _SAM,
        "",
    ),
    (
        "c1-{}-eir",
        "C1 on trained networks: improvement rate",
        "Raising rho lowers the ensemble improvement rate.",
        "C1, Fig. 4",
        _improvement_rate,
        _SAM,
        "",
    ),
    (
        "c1-{}-correlation",
        "C1 on trained networks: correlation of sharpness and diversity",
        "Over the values of rho sharper networks are more diverse: sharpness and DER are positively correlated.",
        "C1, Fig. 1c and 4",
        _correlation,
        _SAM,
        "; Spearman's correlation of the means at every rho, in every replicate",
    ),
    (
        "c2-{}",
        "C2 on trained networks: robustness of members",
        "Raising rho raises the accuracy of members on corrupted images.",
        "C2, Fig. 4",
        _robust_members,
        _SAM,
        "",
    ),
    (
        "c5-{}",
        "C5 on trained networks: diversity at equal sharpness",
        "At matched sharpness SharpBalance has the larger diversity (DER).",
        "C5, Fig. 1c",
        _matched,
        _ALL,
        "; the SAM curve is interpolated between its points, inside the overlap of the ranges only; a rho without overlap in more "
        "than 5% of the replicates is left out",
    ),
    (
        "c6-{}",
        "C6 on trained networks: accuracy of the ensemble",
        "At equal rho the ensemble accuracy of SharpBalance is above that of SAM, and above SGD's, clean and corrupted.",
        "C6, Fig. 7",
        _best_accuracy,
        _ALL,
        "",
    ),
)
"""Id, title, statement, source, check, methods it needs, and what to add to the tolerance, for every data set."""

CLAIMS = tuple(
    Claim(
        id_.format(data),
        "paper",
        title,
        statement,
        f"{source}; here on {data}",
        design.setting,
        design.tolerance + more,
        2024,
        partial(_on_main, check, methods, data),
        design.command,
    )
    for data, design in DESIGNS.items()
    for id_, title, statement, source, check, methods, more in _ON_NETWORKS
)
