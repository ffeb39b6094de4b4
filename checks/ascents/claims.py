"""Predictions of the models that learn features, for small networks at equal training loss.

The pilot (seeds 0 to 3 of two-layer networks, 0 and 1 of the residual one, which enter nowhere) chose rates, radii and losses. The
claims were stated before a member of the seeds that decide, 1000 and on, was trained, and made stricter once, after an attack with
planted results, while the first of them trained and before any was looked at; but for ``ascent-models``, which came after.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from sharpdiv.checks.ascents.changes import (
    COMMAND,
    EARLY,
    MISSING,
    SYMBOLS,
    change,
    changes,
    comparable,
    few_samples,
    ordinary,
)
from sharpdiv.checks.ascents.models import model_signs
from sharpdiv.checks.ascents.networks import FULL_BATCH, SWEEPS, Regime
from sharpdiv.checks.ascents.results import FittedRegime
from sharpdiv.checks.claim import Claim, Finding, Row, Verdict
from sharpdiv.checks.evidence import Evidence
from sharpdiv.checks.members import jackknife
from sharpdiv.checks.statistics import LEVEL, Comparison, judge

__all__ = ["CLAIMS"]


def _in_both(evidence: Evidence, regime: Regime) -> list[tuple[FittedRegime, FittedRegime]]:
    """Networks trained ordinarily and in another regime."""
    others = {found.network.name: found for found in comparable(evidence) if found.regime == regime}
    pairs = [(found, others.get(found.network.name)) for found in ordinary(evidence)]
    return [(found, other) for found, other in pairs if other is not None]


def _together(evidence: Evidence) -> Finding:
    """Trace, D and EIR fall where ascents are of few samples."""
    found = [(each, few) for each in ordinary(evidence) if (few := few_samples(each))]
    if not found:
        return MISSING
    rows = [change(each, few, quantity).row() for each, few in found for quantity in ("member_error", "last_norm")]
    family = [change(each, few, quantity) for each, few in found for quantity in ("trace", "diversity", "eir")]
    return judge(family, -1, rows=rows)


def _against_full_batch(evidence: Evidence) -> Finding:
    """D falls, and by less where one ascent is of all samples, at a rho several times as large."""
    found = [(each, few) for each in ordinary(evidence) if (few := few_samples(each)) and FULL_BATCH in each.fitted]
    if not found:
        return MISSING
    rows = [change(each, FULL_BATCH, quantity).row() for each, _ in found for quantity in ("trace", "diversity", "eir")]
    # Where D falls in neither, the larger rise of the two is no fall.
    family = [change(each, few, "diversity") for each, few in found]
    family += [
        jackknife(
            f"{each.name}: {few.name} against {FULL_BATCH.name}",
            changes(each, few, "diversity") - changes(each, FULL_BATCH, "diversity"),
            "difference of the log ratios of D",
        )
        for each, few in found
    ]
    return judge(family, -1, rows=rows)


_POWER = (-1.25, -0.75)
_SHARE = (0.5, 1.5)
_NOTHING = (-0.05, 0.05)


def _within(
    comparisons: Sequence[Comparison],
    bounds: tuple[float, float],
    rows: Sequence[Row],
    opposite: str = "",
) -> Finding:
    """Verdict on values that should all lie between two bounds: intervals inside hold, one outside or an opposite fails."""
    low, high = bounds
    outside = [c.label for c in comparisons if not c.obstacle and (c.low > high or c.high < low)]
    inside = all(not c.obstacle and low < c.low and c.high < high for c in comparisons)
    verdict = Verdict.FAILS if outside or opposite else Verdict.HOLDS if inside else Verdict.INCONCLUSIVE
    remarks = [f"Outside [{low:g}, {high:g}]: {'; '.join(outside)}."] if outside else []
    remark = " ".join([*remarks, *filter(None, [opposite])])
    effects = tuple(effect for c in comparisons if (effect := c.effect(stated=bounds)))
    return Finding(verdict, (*rows, *(c.row() for c in comparisons)), remark, effects)


def _power_of_m(evidence: Evidence) -> Finding:
    """The exponent of m in the fall of trace and D."""
    family: list[Comparison] = []
    shown: list[Comparison] = []
    for each in ordinary(evidence):
        few = few_samples(each)
        ways = [ascent for ascent in each.fitted if few and ascent.fraction == few.fraction and ascent.m]
        if len(ways) < 3:
            continue
        sizes = np.log([ascent.m for ascent in ways])
        for quantity in ("trace", "diversity"):
            shown += [change(each, ascent, quantity) for ascent in ways]
            falls = -np.stack([changes(each, ascent, quantity) for ascent in ways])
            # What rises has no exponent; where it clearly does the claim fails.
            slopes = np.polyfit(sizes, np.log(falls), 1)[0] if (falls > 0).all() else np.full_like(falls[0], np.nan)
            family.append(jackknife(each.name, slopes, f"exponent of m in the fall of log {SYMBOLS[quantity]}"))
    of_all = judge(shown, -1)
    rising = of_all.remark if of_all.verdict == Verdict.FAILS else ""
    return _within(family, _POWER, [c.row() for c in shown], rising) if family else MISSING


def _of_norms(evidence: Evidence) -> Finding:
    """The share of the change of log D that the change of the last layer's norm is."""
    found = [(each, few) for each in ordinary(evidence) if (few := few_samples(each))]
    if not found:
        return MISSING
    with np.errstate(invalid="ignore", divide="ignore"):  # where nothing changes
        shares = [
            jackknife(
                f"{each.name}, {few.name}",
                changes(each, few, "last_norm") / changes(each, few, "diversity"),
                "change of log |a|^2 over change of log D",
            )
            for each, few in found
        ]
    return _within(shares, _SHARE, ())


def _subtracted(evidence: Evidence) -> Finding:
    """With f D falls, and with f - f_0 by less."""
    pairs = [
        (each, other, few)
        for each, other in _in_both(evidence, Regime(subtract_initial=True))
        if (few := few_samples(each)) and few in other.fitted
    ]
    if not pairs:
        return MISSING
    rows = [change(other, few, quantity).row() for _, other, few in pairs for quantity in ("trace", "diversity")]
    # Without a fall with f there is none to hide.
    family = [
        jackknife(f"{each.name}, {few.name}", -changes(each, few, "diversity"), "fall of log D")
        for each, _, few in pairs
    ]
    family += [
        jackknife(
            f"{each.network.name}, {few.name}",
            changes(other, few, "diversity") - changes(each, few, "diversity"),
            "log ratio of D, with f - f_0 less with f",
        )
        for each, other, few in pairs
    ]
    return judge(family, 1, rows=rows)


def _early(evidence: Evidence) -> Finding:
    """Early in training with f - f_0 D rises."""
    pairs = [
        (other, few) for _, other in _in_both(evidence, Regime(subtract_initial=True)) if (few := few_samples(other))
    ]
    return judge([change(other, few, "diversity", EARLY) for other, few in pairs], 1) if pairs else MISSING


def _lazy(evidence: Evidence) -> Finding:
    """In the lazy regime nothing moves."""
    found = [each for each in comparable(evidence) if each.regime.alpha > 1]
    ways = [(each, ascent) for each in found for ascent in (FULL_BATCH, few_samples(each)) if ascent in each.fitted]
    family = [change(each, ascent, q) for each, ascent in ways if ascent for q in ("trace", "diversity")]
    return _within(family, _NOTHING, ()) if family else MISSING


_METHOD = (
    "Two-layer networks (48 hidden units, no biases) on 160 random digits, and a residual one (three stages, group norm, width 8) "
    "on 100, tested on 400; squared loss, gradient descent and un-normalized SAM with learning rate 0.3 / x_max and rho as stated, "
    "x_max the largest eigenvalue of the member's own kernel; one ascent for every m samples, drawn anew in every step; members "
    "of all ways to train have the same initializations and are compared where the training loss first is the stated one."
)
_MEMBERS = (
    "95% t intervals over members of the jackknife's pseudo-values, paired by initialization; test points held fixed; "
)
_FAMILY = (
    f"{_MEMBERS}holds if every comparison is on the claimed side with p < {LEVEL:g}, fails if one is on the other with "
    f"p < {LEVEL:g} after Holm's adjustment over all of them"
)


def _bounded(bounds: tuple[float, float]) -> str:
    low, high = bounds
    return f"{_MEMBERS}holds if every 95% interval lies in [{low:g}, {high:g}], fails if one lies outside, unadjusted"


def _on_all(check: Callable[[Evidence], Finding], evidence: Evidence) -> Finding:
    """What a check finds; it holds of all networks of the sweep or not yet."""
    found = check(evidence)
    there = {each.network.name for each in evidence.ascents}
    missing = [network.name for network in SWEEPS["cpu"].networks if network.name not in there]
    if found.verdict != Verdict.HOLDS or not missing:
        return found
    remark = f"It holds of the networks that are there; not trained yet: {'; '.join(missing)}."
    return replace(found, verdict=Verdict.INCONCLUSIVE, remark=remark)


def _claim(
    name: str,
    title: str,
    statement: str,
    tolerance: str,
    check: Callable[[Evidence], Finding],
    method: str = _METHOD,
    figures: tuple[str, ...] = (),
) -> Claim:
    return Claim(
        id=f"ascent-{name}",
        subject="networks",
        title=title,
        statement=statement,
        source="derived here (two-layer linear and diagonal networks)",
        method=method,
        tolerance=tolerance,
        seed=None,
        check=partial(_on_all, check),
        about=("Reasons",),
        where="digits",
        command=COMMAND,
        figures=figures,
    )


CLAIMS = (
    _claim(
        "together",
        "Sharpness, diversity and improvement fall together",
        "At equal training loss, late in training, SAM with ascents of few samples lowers the trace of the Hessian, D and EIR.",
        _FAMILY,
        _together,
        figures=("models",),
    ),
    _claim(
        "models",
        "Two-layer and diagonal linear networks have the signs of trained ones",
        "SAM with ascents of one sample lowers trace, D and EIR in both models at the settings in the table, as in every network "
        "at equal training loss (there, the comparisons of ascent-together). In quadratic problems, random features and lazy "
        "networks the Hessian does not depend on the weights, and its trace cannot fall.",
        f"{_FAMILY}; it fails, too, if one of the three does not fall in one of the two models. Sizes decide nothing. Stated when "
        "the results were there",
        model_signs,
        method=f"Models: closed forms at half of each one's critical rho, full batch but where m = 1 is said. Networks: {_METHOD}",
        figures=("models",),
    ),
    _claim(
        "full-batch",
        "Full-batch ascents hardly lower diversity",
        "At equal training loss SAM with ascents of few samples lowers D, and by more than full-batch SAM does with ten times its "
        "rho (3.3 times in the residual network).",
        _FAMILY,
        _against_full_batch,
    ),
    _claim(
        "size",
        "The effect goes like one over the samples of an ascent",
        "At one rho and training loss the falls of log trace and of log D are proportional to a power of m near -1.",
        f"{_bounded(_POWER)}, or if trace or D rises with p < {LEVEL:g} after Holm's adjustment",
        _power_of_m,
    ),
    _claim(
        "norms",
        "The last layer's norm tells what diversity does",
        "The change of the logarithm of the last layer's squared norm is about the change of log D (1 in the two-layer linear "
        "network of many dimensions).",
        _bounded(_SHARE),
        _of_norms,
    ),
    _claim(
        "initial",
        "Training on f - f_0 hides the fall of diversity",
        "At equal training loss D falls, and by less where the initial outputs are subtracted.",
        _FAMILY,
        _subtracted,
    ),
    _claim(
        "early",
        "Early in training on f - f_0 diversity rises",
        "At the highest loss D rises by SAM with ascents of few samples where the initial outputs are subtracted.",
        _FAMILY,
        _early,
    ),
    _claim(
        "lazy",
        "In the lazy regime nothing moves",
        "With outputs ten times as large, less the initial ones, neither trace nor D moves at equal training loss.",
        _bounded(_NOTHING),
        _lazy,
    ),
)
