"""C5 and C6 on trained networks: SharpBalance on smaller sets and on sets by other rules."""

from functools import partial
from typing import Any, Literal

from checks.claim import Claim, Finding
from checks.designs import DESIGNS, PLANS, TOLERANCE, on_whole, setting
from checks.ensembles import accuracies
from checks.evidence import Evidence
from checks.judging import judge, matched

__all__ = ["CLAIMS", "PAPER", "VARIANTS"]

_DATA = "fashion-mnist"
PAPER: dict[str, Any] = {"rule": "paper", "top_fraction": 0.5}
"""The main design's sets."""
VARIANTS: dict[str, dict[str, Any]] = {
    "a quarter of the samples": {"rule": "paper", "top_fraction": 0.25},
    "rule code": {"rule": "code", "top_fraction": 0.5},
    "rule random": {"rule": "random", "top_fraction": 0.5},
    "rule same": {"rule": "same", "top_fraction": 0.5},
}
"""Other sets."""
Quantity = Literal["diversity", "accuracy"]
_RIVALS = {"SAM": ("sgd", "sam"), "the paper's rule": ("sharpbalance",)}


def _compared(quantity: Quantity, rival: str, evidence: Evidence) -> Finding:
    """Every variant minus a rival; the claim is that variants are above SAM, and that the paper's rule is above them."""
    base = evidence.where(**PAPER).measured(*_RIVALS[rival])
    comparisons = []
    for name, sets in VARIANTS.items():
        found = evidence.where(method="sharpbalance", **sets).measured("sharpbalance")
        if quantity == "accuracy":
            comparisons += accuracies(name, found, rival, base)
        elif rival == "SAM":
            comparisons += matched(name, base, found)
        else:
            comparisons += matched(f"{name}, minus {rival}", evidence.measured(*_RIVALS["SAM"]), found, base)
    return judge(comparisons, 1 if rival == "SAM" else -1)


_SETS = "smaller sets, and than sets by the code's rule, at random, or the same for all"
_CLAIMED: tuple[tuple[Quantity, str, str, str, str], ...] = (
    (
        "diversity",
        "SAM",
        "c5-variants",
        "C5: diversity of SharpBalance's variants",
        "At matched sharpness SharpBalance's variants, smaller sets and other rules, all have the larger diversity (DER) than SAM.",
    ),
    (
        "diversity",
        "the paper's rule",
        "c5-rules",
        "C5: the sets matter for diversity",
        f"At matched sharpness the paper's rule gives a larger diversity (DER) than {_SETS}.",
    ),
    (
        "accuracy",
        "SAM",
        "c6-variants",
        "C6: accuracy of SharpBalance's variants",
        "At equal rho SharpBalance's variants, smaller sets and other rules, all have the higher ensemble accuracy than SAM.",
    ),
    (
        "accuracy",
        "the paper's rule",
        "c6-rules",
        "C6: the sets matter for accuracy",
        f"At equal rho the paper's rule gives a higher ensemble accuracy than {_SETS}.",
    ),
)
"""Quantity, rival, id, title and statement."""

_STATISTIC = {
    "diversity": "DER above that of SGD and SAM of each ensemble, interpolated in the logarithm of sharpness, inside its range",
    "accuracy": "at equal rho",
}
CLAIMS = tuple(
    Claim(
        id_,
        "paper",
        title,
        statement,
        f"{id_[:2].upper()}, ablations of the authors' code; here on {_DATA}",
        f"{setting(PLANS[_DATA])}; {', '.join(VARIANTS)}, the rules at rho = 0.2; {_STATISTIC[quantity]}",
        TOLERANCE,
        2024,
        partial(on_whole, partial(_compared, quantity, rival), PLANS[_DATA] + PLANS[f"{_DATA}-variants"]),
        DESIGNS[_DATA].command,
    )
    for quantity, rival, id_, title, statement in _CLAIMED
)
