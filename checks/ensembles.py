"""Claims about trained networks, checked on measured ensembles with bootstrap intervals."""

from functools import partial

import numpy as np

from checks.claim import Claim, Finding, Verdict
from checks.evidence import Evidence, Interval, Measured, interval, slope

__all__ = ["CLAIMS"]

_INTERVAL = (
    "95% percentile interval of 2,000 bootstrap replicates, over ensembles and then over test points (sharpness: over "
    "ensembles); inconclusive if it contains 0"
)
_ONE_ENSEMBLE = (
    "95% percentile interval of 2,000 bootstrap replicates, over test points (sharpness: over the three members); inconclusive if "
    "it contains 0"
)
_SETTINGS = {
    "digits": (
        "digits: 3 ensembles of 3 residual networks of width 8 on 200 images, SAM at 4 values of rho (sharpdiv reproduce)",
        _INTERVAL,
        "make reproduce",
        "Intervals over so few ensembles are narrower than they should be. The profile's weight decay and number of epochs were "
        "chosen so that SAM's effect shows, on trial runs that included the first ensemble's seeds.",
    ),
    "cifar10-jpeg": (
        "cifar10-jpeg (CIFAR-10 as JPEG): 1 ensemble of 3 residual networks of width 16, one block a stage, 10,000 images, "
        "60 epochs, SAM at 3 values of rho (sharpdiv reproduce --profile cpu)",
        _ONE_ENSEMBLE,
        "sharpdiv reproduce --profile cpu",
        "One ensemble: the intervals do not say what other seeds would give.",
    ),
}
"""Setting, tolerance, command and what to bear in mind, for each data set."""


def _no_results(data: str) -> Finding:
    return Finding(Verdict.NOT_RUN, remark=f"No measured ensembles; run {_SETTINGS[data][2]}.")


def _sign(measured: Interval) -> int:
    """1 if the interval is above 0, -1 if below, 0 if it contains 0."""
    return int(measured.low > 0) - int(measured.high < 0)


def _verdict(signs: list[int]) -> Verdict:
    """From signs that should all be 1."""
    if min(signs) < 0:
        return Verdict.FAILS
    return Verdict.HOLDS if min(signs) > 0 else Verdict.INCONCLUSIVE


def _by_rho(label: str, curve: Measured, values: np.ndarray) -> tuple[str, str]:
    points = (f"{r:g}: {v:.4g}" for r, v in zip(curve.rho, values[0], strict=True))
    return (f"{label} by rho", ", ".join(points))


def _training_accuracy(evidence: Evidence) -> str:
    """Of SGD and SAM, mean over members and ensembles: an effect of underfitting would show here."""
    accuracy: dict[float, list[float]] = {}
    for run in evidence.runs:
        if run["config"]["method"] != "sharpbalance":
            accuracy.setdefault(run["config"]["rho"], []).extend(run["members"]["train_accuracy"])
    return ", ".join(f"{rho:g}: {np.mean(values):.4g}" for rho, values in sorted(accuracy.items()))


def _tradeoff(data: str, evidence: Evidence) -> Finding:
    evidence = evidence.of(data)
    if not evidence.runs:
        return _no_results(data)
    curve = evidence.measured("sgd", "sam")
    quantities = {
        "sharpness": curve.sharpness,
        "disagreement": curve.disagreement,
        "DER": curve.der,
    }
    slopes = {name: interval(slope(values)) for name, values in quantities.items()}
    return Finding(
        _verdict([-_sign(slopes[name]) for name in quantities]),
        (
            *(_by_rho(name, curve, values) for name, values in quantities.items()),
            _by_rho("sharpness without adaptive scaling", curve, curve.sharpness_plain),
            *((f"{name}: mean change from one rho to the next", str(s)) for name, s in slopes.items()),
            ("training accuracy by rho, un-augmented, in evaluation mode", _training_accuracy(evidence)),
        ),
        _SETTINGS[data][3],
    )


def _improvement_rate(data: str, evidence: Evidence) -> Finding:
    evidence = evidence.of(data)
    if not evidence.runs:
        return _no_results(data)
    curve = evidence.measured("sgd", "sam")
    change = interval(slope(curve.eir))
    return Finding(
        _verdict([-_sign(change)]),
        (_by_rho("EIR", curve, curve.eir), ("mean change from one rho to the next", str(change))),
    )


def _robust_members(data: str, evidence: Evidence) -> Finding:
    evidence = evidence.of(data)
    if not evidence.runs:
        return _no_results(data)
    curve = evidence.measured("sgd", "sam")
    change = interval(slope(curve.corrupted_member_accuracy))
    return Finding(
        _verdict([_sign(change)]),
        (
            _by_rho("corrupted member accuracy", curve, curve.corrupted_member_accuracy),
            _by_rho("clean member error", curve, curve.member_error),
            ("mean change of corrupted accuracy from one rho to the next", str(change)),
        ),
        f"Generated corruptions, each at five severities: {', '.join(evidence.runs[0]['corrupted'])}.",
    )


def _matched(data: str, evidence: Evidence) -> Finding:
    evidence = evidence.of(data)
    if not evidence.runs:
        return _no_results(data)
    sam, balance = evidence.measured("sgd", "sam"), evidence.measured("sharpbalance")
    numbers, signs = [], []
    for column, rho in enumerate(balance.rho):
        at = balance.sharpness[:, column]
        on_curve = np.array([_interpolated(k, d, x) for k, d, x in zip(sam.sharpness, sam.der, at, strict=True)])
        inside = ~np.isnan(on_curve)
        label = f"rho = {rho:g}, sharpness {at[0]:.4g}: DER of SharpBalance minus SAM's at that sharpness"
        if not inside[0] or inside.mean() < 0.95:
            numbers.append((label, f"no overlap in {1 - inside.mean():.0%} of the replicates"))
            continue
        difference = interval((balance.der[:, column] - on_curve)[inside])
        signs.append(_sign(difference))
        numbers.append((label, str(difference)))
    numbers += [
        _by_rho("DER of SharpBalance", balance, balance.der),
        _by_rho("sharpness of SharpBalance", balance, balance.sharpness),
    ]
    verdict = _verdict(signs) if signs else Verdict.INCONCLUSIVE
    remark = (
        "" if signs else "The ranges of sharpness do not overlap safely, so nothing can be compared at equal sharpness."
    )
    return Finding(verdict, tuple(numbers), remark)


def _interpolated(sharpness: np.ndarray, diversity: np.ndarray, at: float) -> float:
    """Piecewise linear SAM curve through its points in order of sharpness; NaN outside their range."""
    order = np.argsort(sharpness)
    return float(np.interp(at, sharpness[order], diversity[order], left=np.nan, right=np.nan))


def _best_accuracy(data: str, evidence: Evidence) -> Finding:
    evidence = evidence.of(data)
    if not evidence.runs:
        return _no_results(data)
    others, balance = evidence.measured("sgd", "sam"), evidence.measured("sharpbalance")
    numbers, signs = [], []
    for name, ours, theirs in (
        ("clean", 1 - balance.ensemble_error, 1 - others.ensemble_error),
        ("corrupted", balance.corrupted_ensemble_accuracy, others.corrupted_ensemble_accuracy),
    ):
        numbers += [
            _by_rho(f"{name} ensemble accuracy, SGD (0) and SAM", others, theirs),
            _by_rho(f"{name} ensemble accuracy, SharpBalance", balance, ours),
        ]
        for column, rho in enumerate(balance.rho):
            for index in np.flatnonzero(np.isin(others.rho, (0.0, rho))):
                rival = f"SAM at {rho:g}" if others.rho[index] else "SGD"
                difference = interval(ours[:, column] - theirs[:, index])
                signs.append(_sign(difference))
                numbers.append((f"{name}: SharpBalance at rho = {rho:g} minus {rival}", str(difference)))
    return Finding(
        _verdict(signs), tuple(numbers), "Fails if SharpBalance is clearly below a rival in any of these comparisons."
    )


def _not_run(reason: str, _: Evidence) -> Finding:
    return Finding(Verdict.NOT_RUN, remark=reason)


_ON_NETWORKS = (
    (
        "c1-{}",
        "C1 on trained networks: sharpness against diversity",
        "Raising rho lowers sharpness, and with it disagreement and DER.",
        "C1, Fig. 4",
        _tradeoff,
        "",
    ),
    (
        "c1-{}-eir",
        "C1 on trained networks: improvement rate",
        "Raising rho lowers the ensemble improvement rate.",
        "C1, Fig. 4",
        _improvement_rate,
        "",
    ),
    (
        "c2-{}",
        "C2 on trained networks: robustness of members",
        "Raising rho raises the accuracy of members on corrupted images.",
        "C2, Fig. 4",
        _robust_members,
        "",
    ),
    (
        "c5-{}",
        "C5 on trained networks: diversity at equal sharpness",
        "At matched sharpness SharpBalance has the larger diversity (DER).",
        "C5, Fig. 1c",
        _matched,
        "; the SAM curve is interpolated between its points, inside the overlap of the ranges only; a rho without overlap in more "
        "than 5% of the replicates is left out",
    ),
    (
        "c6-{}",
        "C6 on trained networks: accuracy of the ensemble",
        "At equal rho the ensemble accuracy of SharpBalance is above that of SAM, and above SGD's, clean and corrupted.",
        "C6, Fig. 7",
        _best_accuracy,
        "",
    ),
)
"""Id, title, statement, source, check, and what to add to the tolerance, for every data set."""

CLAIMS = (
    *(
        Claim(
            id_.format(data),
            "paper",
            title,
            statement,
            f"{source}; here on {data}",
            setting,
            tolerance + more,
            2024,
            partial(check, data),
            command,
        )
        for data, (setting, tolerance, command, _) in _SETTINGS.items()
        for id_, title, statement, source, check, more in _ON_NETWORKS
    ),
    *(
        Claim(
            id_,
            "paper",
            title,
            statement,
            source,
            "Not checked by this version.",
            "none",
            None,
            partial(_not_run, reason),
            command,
        )
        for id_, title, statement, source, reason, command in (
            (
                "c3-everywhere",
                "C3: the trade-off on every data set and metric",
                "The trade-off shows on CIFAR-10, CIFAR-100 and TinyImageNet with every diversity and sharpness metric.",
                "C3, Fig. 4 and appendix",
                "Needs ResNet-18 ensembles on the paper's data sets, which take a GPU.",
                "sharpdiv reproduce --profile paper --device cuda",
            ),
            (
                "c4-size",
                "C4: the trade-off is steeper in smaller or sparser models",
                "Less over-parameterised models have the steeper trade-off.",
                "C4, Fig. 5",
                "Needs ensembles of several widths and sparsities, which no profile trains yet.",
                "sharpdiv train --width W --sparsity S",
            ),
            (
                "c7-calibration",
                "C7: calibration against ensemble size",
                "SharpBalance has the lowest ECE and NLL at every ensemble size.",
                "C7, appendix",
                "Needs ensembles of more than three members, which no profile trains yet.",
                "sharpdiv train --seeds S ...",
            ),
            (
                "c8-cost",
                "C8: SharpBalance costs little more than SAM",
                "Training with SharpBalance is a small overhead over SAM.",
                "C8",
                "Needs timings on an otherwise idle machine, which results of several processes are not.",
                "make bench",
            ),
            (
                "appendix-transformers",
                "Appendix: ViT-T/16 and ALBERT",
                "The trade-off and SharpBalance's advantage show on fine-tuned transformers.",
                "appendix",
                "This toolkit trains residual networks only.",
                "none",
            ),
            (
                "appendix-rivals",
                "Appendix: comparison with EoA and SAM+",
                "SharpBalance ensembles beat ensembles of averages and SAM+.",
                "appendix",
                "Neither rival is part of this toolkit.",
                "none",
            ),
        )
    ),
)
