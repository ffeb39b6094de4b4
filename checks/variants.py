"""C5 and C6 on trained networks: SharpBalance on smaller sets and on sets by other rules."""

from functools import partial
from typing import Any, Literal

import numpy as np

from checks.claim import Claim, Finding, Verdict
from checks.designs import DESIGNS, lacking
from checks.evidence import Evidence, Measured, interval
from checks.judging import matched, of_one_ensemble, power, sign, verdict

__all__ = ["CLAIMS"]

_DATA = "fashion-mnist"
_PAPER = {"rule": "paper", "top_fraction": 0.5}
_VARIANTS: dict[str, dict[str, Any]] = {
    "a quarter of the samples": {"rule": "paper", "top_fraction": 0.25},
    "rule code": {"rule": "code", "top_fraction": 0.5},
    "rule random": {"rule": "random", "top_fraction": 0.5},
    "rule same": {"rule": "same", "top_fraction": 0.5},
}
Rival = Literal["SAM", "the paper's rule"]


def _compared(quantity: Literal["diversity", "accuracy"], rival: Rival, evidence: Evidence) -> Finding:
    """Every variant minus a rival; the claim is that variants are above SAM, and that none is above the paper's rule."""
    grid = evidence.of(_DATA).where(width=8, sparsity=0.0).of_size(3).complete()
    paper = grid.where(**_PAPER)
    variants = {name: grid.where(method="sharpbalance", **fields) for name, fields in _VARIANTS.items()}
    if lacks := lacking(_DATA, paper, "sgd", "sam", "sharpbalance"):
        return lacks
    if missing := [name for name, found in variants.items() if not found.runs]:
        reason = f"No measured ensembles of SharpBalance with {', '.join(missing)} on {_DATA}"
        return Finding(Verdict.NOT_RUN, remark=f"{reason}; run {DESIGNS[_DATA].command}.")
    base = paper.measured("sgd", "sam") if rival == "SAM" else paper.measured("sharpbalance")
    compare = _diversity if quantity == "diversity" else _accuracy
    numbers, signs = [], []
    for name, found in variants.items():
        for label, difference in compare(base, found.measured("sharpbalance")):
            text = f"{name}, {label}, minus {rival}"
            if isinstance(difference, float):
                numbers.append((text, f"no overlap in {difference:.0%} of the replicates"))
                signs.append(0)
                continue
            signs.append(sign(interval(difference)) * (1 if rival == "SAM" else -1))
            numbers.append((text, power(difference)))
    finding = Finding(verdict(signs), tuple(numbers), f"{grid.ensembles} of {DESIGNS[_DATA].ensembles} ensembles.")
    return of_one_ensemble(finding, grid.ensembles)


def _diversity(base: Measured, variant: Measured) -> list[tuple[str, np.ndarray | float]]:
    return [(f"rho = {rho:g}: DER at sharpness {at:.4g}", difference) for rho, at, difference in matched(base, variant)]


def _accuracy(base: Measured, variant: Measured) -> list[tuple[str, np.ndarray | float]]:
    """Of the ensembles, clean and corrupted, at equal rho."""
    rows: list[tuple[str, np.ndarray | float]] = []
    for column, rho in enumerate(variant.rho):
        index = int(np.flatnonzero(base.rho == rho)[0])
        for name, ours, theirs in (
            ("clean", 1 - variant.ensemble_error, 1 - base.ensemble_error),
            ("corrupted", variant.corrupted_ensemble_accuracy, base.corrupted_ensemble_accuracy),
        ):
            rows.append((f"rho = {rho:g}: {name} ensemble accuracy", ours[:, column] - theirs[:, index]))
    return rows


_SETS = "smaller sets, and than sets by the code's rule, at random, or the same for all"
_CLAIMED: tuple[tuple[Literal["diversity", "accuracy"], Rival, str, str, str], ...] = (
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

CLAIMS = tuple(
    Claim(
        id_,
        "paper",
        title,
        statement,
        f"{id_[:2].upper()}, ablations of the authors' code; here on {_DATA}",
        f"{DESIGNS[_DATA].setting}; {', '.join(_VARIANTS)}; the rules at rho = 0.2",
        DESIGNS[_DATA].tolerance
        + (
            "; the rival's curve is interpolated between its points, inside the overlap of the ranges only"
            if quantity == "diversity"
            else ""
        ),
        2024,
        partial(_compared, quantity, rival),
        DESIGNS[_DATA].command,
    )
    for quantity, rival, id_, title, statement in _CLAIMED
)
