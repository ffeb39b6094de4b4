"""What SAM changes at equal training loss: logarithms of ratios to gradient descent, with and without each member."""

import numpy as np
from jaxtyping import Float

from sharpdiv.checks.ascents.networks import DESCENT, Ascent, Regime
from sharpdiv.checks.ascents.results import FittedRegime
from sharpdiv.checks.claim import Finding, Verdict
from sharpdiv.checks.evidence import Evidence
from sharpdiv.checks.members import jackknife, shares_of_members, square, without_each
from sharpdiv.checks.statistics import Comparison

__all__ = [
    "COMMAND",
    "EARLY",
    "LATE",
    "MISSING",
    "SYMBOLS",
    "change",
    "changes",
    "comparable",
    "few_samples",
    "ordinary",
]

COMMAND = "sharpdiv reproduce --profile cpu"
"""What trains the sweep over ascents."""
MISSING = Finding(Verdict.NOT_RUN, remark=f"There is no sweep over ascents in these results; run {COMMAND}.")
SYMBOLS = {
    "diversity": "D",
    "trace": "trace",
    "eir": "EIR",
    "member_error": "member error",
    "last_norm": "|a|^2",
}
"""Quantities as lines of a finding call them."""
EARLY, LATE = 0, -1
"""Of the losses that members are compared at."""


def few_samples(found: FittedRegime) -> Ascent | None:
    """The way to train whose ascents are of the fewest samples, by the largest rho.

    Args:
        found: a network in a regime.

    Returns:
        None if there is only full batch.
    """
    ways = [ascent for ascent in found.fitted if ascent.m]
    return min(ways, key=lambda ascent: (ascent.m, -ascent.fraction)) if ways else None


def changes(found: FittedRegime, ascent: Ascent, quantity: str, level: int = LATE) -> Float[np.ndarray, " subsets"]:
    """Logarithm of the ratio of a quantity to that of gradient descent, at one training loss.

    Args:
        found: a network in a regime.
        ascent: a way to train it.
        quantity: diversity, eir, member_error, ensemble_error, trace, last_norm, norm or steps.
        level: place of the loss.

    Returns:
        Of the ensemble, and without each of its members in turn.
    """
    after, before = (_values(found, way, quantity, level) for way in (ascent, DESCENT))
    with np.errstate(invalid="ignore", divide="ignore"):  # an EIR below 0 has none
        return np.log(after / before)


def _values(found: FittedRegime, ascent: Ascent, quantity: str, level: int) -> Float[np.ndarray, " subsets"]:
    fitted = found.fitted[ascent]
    members = len(fitted.steps)
    if quantity in {"trace", "last_norm", "norm", "steps"}:
        return shares_of_members(members) @ getattr(fitted, quantity)[:, level]
    return without_each(square(fitted.products[level], members), np.arange(members))[quantity]


def change(found: FittedRegime, ascent: Ascent, quantity: str, level: int = LATE) -> Comparison:
    """The same as a comparison, over the jackknife's pseudo-values of the members.

    Args:
        found: a network in a regime.
        ascent: a way to train it.
        quantity: diversity, eir, member_error, trace or last_norm.
        level: place of the loss.

    Returns:
        0 where nothing changes.
    """
    label = f"{found.name}, loss {found.losses[level]:g}, {ascent.name}"
    statistic = f"log ratio of {SYMBOLS[quantity]} to gradient descent"
    return jackknife(label, changes(found, ascent, quantity, level), statistic)


def comparable(evidence: Evidence) -> list[FittedRegime]:
    """Where there is gradient descent, to which all is compared.

    Args:
        evidence: with results of a sweep or without.

    Returns:
        Networks in regimes.
    """
    return [found for found in evidence.ascents if DESCENT in found.fitted]


def ordinary(evidence: Evidence) -> list[FittedRegime]:
    """Networks that are trained on their outputs as they are.

    Args:
        evidence: with results of a sweep or without.

    Returns:
        One regime of each network.
    """
    return [found for found in comparable(evidence) if found.regime == Regime()]
