"""Quantities of the conditions of a study, and the statistics that compare them.

Every statistic is a logarithm of a ratio or a difference of such, so that its smallest effect of interest is a relative one.
"""

from collections.abc import Callable

import numpy as np

from sharpdiv.checks.ensembles.conditions import CURVE, best_balance, chosen, rival
from sharpdiv.checks.ensembles.crossed import Estimate, Primary, Table, estimated, holm, interpolated
from sharpdiv.checks.ensembles.study import Study
from sharpdiv.empirical.curvature.measures import MEASURES

__all__ = [
    "DIVERSITY",
    "LEVELS",
    "MAIN_SHARPNESS",
    "SHARPNESS",
    "Quantity",
    "against_rival",
    "at_equal_loss",
    "calibration",
    "der",
    "every_metric",
    "gap",
    "improvement_rate",
    "inside_against_across",
    "least_clear",
    "log_ratio",
    "mean_of",
    "metric_estimates",
    "robustness",
    "sharpness",
    "steepness",
    "training_loss",
]

MAIN_SHARPNESS = "worst_linf"
"""Measure of sharpness that decides, chosen on the pilot's seeds."""

SHARPNESS = {
    name: MEASURES[name].label
    for name in (
        "worst_linf",
        "hessian_trace",
        "fisher_trace",
        "worst_l2_adaptive",
        "worst_l2",
        "worst_linf_adaptive",
        "average_l2_adaptive",
        "average_l2",
        "one_step",
        "hessian_top",
    )
}
"""Names of the measures of sharpness."""

Quantity = Callable[[Study, str, str], Table]
"""From a study, a condition and the units that are left out to a table."""


def mean_of(quantity: str) -> Quantity:
    """A quantity that ``Study.mean`` has.

    Args:
        quantity: its name there.

    Returns:
        The quantity.
    """
    return lambda study, name, units: study.mean(name, quantity, units)


def der(study: Study, name: str, units: str) -> Table:
    """Disagreement-error ratio: disagreement of pairs by the members' mean error.

    Args:
        study: study of the condition.
        name: name of the condition.
        units: units that are left out, ``seeds`` or ``blocks``.

    Returns:
        The table.
    """
    return study.mean(name, "disagreement", units) / study.mean(name, "member error", units)


def improvement_rate(study: Study, name: str, units: str) -> Table:
    """Ensemble improvement rate of three members, on the images whose probabilities are kept.

    Args:
        study: study of the condition.
        name: name of the condition.
        units: units that are left out, ``seeds`` or ``blocks``.

    Returns:
        The table.
    """
    error = study.mean(name, "first member error", units)
    return (error - study.mean(name, "ensemble error", units)) / error


def _cka_distance(study: Study, name: str, units: str) -> Table:
    """1 - CKA of the last stage's features, a number of each block."""
    del units
    return study.block_number(name, lambda record: 1 - record.cka())


DIVERSITY: dict[str, Quantity] = {
    "D, variance of the softmax": mean_of("D"),
    "disagreement": mean_of("disagreement"),
    "DER": der,
    "EIR": improvement_rate,
    "KL divergence": mean_of("KL"),
    "variance of logits": mean_of("logit variance"),
    "1 - CKA, last stage": _cka_distance,
}
"""Metrics of diversity; larger is more diverse."""


def sharpness(measure: str) -> Quantity:
    """A measure of sharpness, mean over members.

    Args:
        measure: a key of ``SHARPNESS``.

    Returns:
        The quantity; it raises ``NotMeasuredError`` for a study whose records lack the measure.
    """
    return lambda study, name, units: study.number(name, lambda record: record.sharpness(measure), units)


def _training_accuracy(study: Study, name: str, units: str) -> Table:
    return study.number(name, lambda record: record.of_members("train_accuracy"), units)


def training_loss(study: Study, name: str, units: str) -> Table:
    """Cross-entropy on the training images, un-augmented, in evaluation mode, mean over members.

    Args:
        study: study of the condition.
        name: name of the condition.
        units: units that are left out, ``seeds`` or ``blocks``.

    Returns:
        The table.
    """
    return study.number(name, lambda record: record.of_members("train_loss"), units)


LEVELS: dict[str, Quantity] = {
    "sharpness": sharpness(MAIN_SHARPNESS),
    "D": mean_of("D"),
    "DER": der,
    "EIR of three": improvement_rate,
    "member error": mean_of("member error"),
    "ensemble error": mean_of("block error"),
    "member error on corrupted images": mean_of("corrupted member error"),
    "ensemble error on corrupted images": mean_of("corrupted block error"),
    "NLL of three": mean_of("NLL"),
    "NLL of three on corrupted images": mean_of("corrupted NLL"),
    "training loss": training_loss,
    "training accuracy": _training_accuracy,
}
"""Quantities that claims describe in every condition."""


def log_ratio(quantity: Quantity, name: str, other: str) -> Callable[[Study], Table]:
    """Logarithm of the ratio of a quantity in two conditions.

    Args:
        quantity: quantity that is compared.
        name: condition above the line.
        other: condition below it.

    Returns:
        The statistic.
    """

    def statistic(study: Study) -> Table:
        units = study.units(name, other)
        return np.log(quantity(study, name, units)) - np.log(quantity(study, other, units))

    return statistic


def gap(name: str, quantity: Quantity, at: Quantity) -> Callable[[Study], Table]:
    """Logarithm of a quantity minus that of the curve of SGD and SAM, where another quantity is equal.

    The curve is piecewise linear in both logarithms.

    Args:
        name: name of a condition beside the curve.
        quantity: quantity that is compared.
        at: quantity that is equal.

    Returns:
        The statistic; NaN where the condition is outside the range of the curve.
    """

    def statistic(study: Study) -> Table:
        units = study.units(name, *CURVE)
        places = np.stack([np.log(at(study, each, units)) for each in CURVE])
        heights = np.stack([np.log(quantity(study, each, units)) for each in CURVE])
        found = np.log(quantity(study, name, units))
        return found - interpolated(places, heights, np.log(at(study, name, units)))

    return statistic


def at_equal_loss(study: Study) -> Table:
    """Log ratio of D of SAM to SGD, less what the difference of their training losses explains.

    The slope of log D against log loss is that from SGD with fewer epochs to SGD: interpolation where SAM's loss lies between
    theirs, extrapolation just beside them.

    Args:
        study: study of SAM, SGD and SGD with fewer epochs.

    Returns:
        The table.
    """
    units = study.units("sgd", "sgd-short", "sam-mid")
    log_d, loss = (
        {name: np.log(of(study, name, units)) for name in ("sgd", "sgd-short", "sam-mid")}
        for of in (mean_of("D"), training_loss)
    )
    slope = (log_d["sgd-short"] - log_d["sgd"]) / (loss["sgd-short"] - loss["sgd"])
    return log_d["sam-mid"] - log_d["sgd"] - slope * (loss["sam-mid"] - loss["sgd"])


def against_rival(quantity: str) -> Callable[[Study], Table]:
    """Log ratio of a quantity of SharpBalance to that of its rival.

    Args:
        quantity: name of the quantity in ``Study.mean``.

    Returns:
        The statistic.
    """

    def statistic(study: Study) -> Table:
        ours, theirs = (study.mean(name, quantity, "blocks") for name in (best_balance(study), rival(study)))
        return np.log(ours) - np.log(theirs)

    return statistic


def calibration(*, corrupted: bool) -> Callable[[Study], Table]:
    """Log ratio of the expected calibration error of the ensembles, SharpBalance to its rival; test points held fixed.

    Args:
        corrupted: whether on corrupted images.

    Returns:
        The statistic.
    """

    def statistic(study: Study) -> Table:
        ours, theirs = (
            study.block_number(name, lambda record: record.by_size("ece", corrupted=corrupted)[-1])
            for name in (best_balance(study), rival(study))
        )
        return np.log(ours) - np.log(theirs)

    return statistic


def robustness(study: Study) -> Table:
    """Log ratio of the members' error on corrupted images, SAM at its best rho by validation to SGD.

    Args:
        study: study of the conditions.

    Returns:
        The table.
    """
    best = chosen(study, CURVE[1:], "members")
    return log_ratio(mean_of("corrupted member error"), best, "sgd")(study)


def steepness(prefix: str) -> Callable[[Study], Table]:
    """Change of log D for a change of log sharpness, SAM against SGD, in other networks minus in the main ones.

    Args:
        prefix: what the other networks' conditions begin with.

    Returns:
        The statistic.
    """

    def slope(study: Study, sgd: str, sam: str) -> Table:
        of_d = log_ratio(mean_of("D"), sam, sgd)(study)
        return of_d / log_ratio(sharpness(MAIN_SHARPNESS), sam, sgd)(study)

    return lambda study: slope(study, f"{prefix}-sgd", f"{prefix}-sam") - slope(study, "sgd", "sam-mid")


def inside_against_across(study: Study) -> Table:
    """D of pairs that exchanged scores against pairs that did not, of one method.

    Args:
        study: study of SharpBalance.

    Returns:
        Table of log ratios.
    """
    inside, across = (study.mean("sharpbalance-mid", "D", "blocks", across=across) for across in (False, True))
    return np.log(inside) - np.log(across)


def metric_estimates(study: Study) -> tuple[list[str], list[Estimate]]:
    """Logarithms of the ratios of SAM to SGD, of every metric of diversity and measure of sharpness.

    Args:
        study: study of both.

    Returns:
        Labels, and an estimate of each.
    """
    measured = study.conditions["sgd"].blocks[0].measures
    quantities = DIVERSITY | {
        f"sharpness, {SHARPNESS[name]}": sharpness(name) for name in SHARPNESS if name in measured
    }
    return list(quantities), [estimated(log_ratio(of, "sam-mid", "sgd")(study)) for of in quantities.values()]


def every_metric(study: Study) -> tuple[list[str], list[Primary]]:
    """The same as comparisons, each of which should be below 0.

    Args:
        study: study of SAM and SGD.

    Returns:
        Labels, and a comparison of each.
    """
    labels, found = metric_estimates(study)
    return labels, [Primary(e.p, 0 if e.obstacle else int(np.sign(e.value)), -1) for e in found]


def least_clear(study: Study) -> Primary:
    """C3 as one comparison: p is the largest of all metrics, or the least adjusted one of those that rise if there are any.

    Args:
        study: study of SAM and SGD.

    Returns:
        The comparison.
    """
    _, found = every_metric(study)
    adjusted = holm([each.p for each in found])
    if not all(np.isfinite(each.p) for each in found):
        return Primary(float("nan"), 0, -1)
    if rising := [p for p, each in zip(adjusted, found, strict=True) if each.side > 0]:
        return Primary(min(rising), 1, -1)
    return Primary(max(each.p for each in found), -1, -1)
