"""C4 on trained networks: steepness of the trade-off against width and sparsity."""

from collections.abc import Callable
from functools import partial

import numpy as np
from jaxtyping import Float

from checks.claim import Claim, Finding, Verdict
from checks.designs import DESIGNS, PLANS, TOLERANCE, of_methods, on_whole, setting
from checks.evidence import Evidence, Measured
from checks.judging import LEVEL, Comparison, fitted_slope, judge, slopes
from empirical import RunConfig

__all__ = ["CLAIMS", "SHAPES", "judged", "steeper", "steepness"]

_DATA = "fashion-mnist"
_MAIN = PLANS[_DATA]
_SCALES: dict[str, Callable[[np.ndarray], np.ndarray]] = {"log sharpness": np.log, "sharpness": np.asarray}


def _plan(others: tuple[RunConfig, ...]) -> tuple[RunConfig, ...]:
    """The main design at the rho of some other networks, and those."""
    rhos = {run.rho for run in others}
    return (*(run for run in of_methods(_MAIN, "sgd", "sam") if run.rho in rhos), *others)


SHAPES = {"width": _plan(PLANS[f"{_DATA}-widths"]), "sparsity": _plan(PLANS[f"{_DATA}-sparsities"])}
"""Plan for each field."""


def steeper(field: str, sense: int, evidence: Evidence) -> Finding:
    """C4: the slope of DER against sharpness in some networks minus that in the first.

    Args:
        field: of the configuration in which networks differ.
        sense: the sign of the differences that the paper gives.
        evidence: SGD and SAM of every network, in the order of a plan.

    Returns:
        Verdict on the ensembles given.
    """
    values = dict.fromkeys(run["config"][field] for run in evidence.runs)
    curves = {f"{field} {value:g}": evidence.where(**{field: value}).measured("sgd", "sam") for value in values}
    return judged(curves, sense)


def steepness(
    sharpness: Float[np.ndarray, "1 ensembles rho"], of: Float[np.ndarray, "replicates ensembles rho"]
) -> Float[np.ndarray, "replicates ensembles"]:
    """Slope of a quantity against sharpness: the ratio of both mean changes from one rho to the next.

    Means are over ensembles first. A line through the points of each ensemble would be the flatter the less its sharpness falls
    among its noise, and that differs between networks.

    Args:
        sharpness: of SGD and SAM of one network, or its logarithm.
        of: the quantity.

    Returns:
        Values of each ensemble that the ratio is the mean of, with the variance of the ratio (by its linear part).
    """
    rank = np.arange(float(of.shape[-1]))
    change, fall = fitted_slope(rank, of), fitted_slope(rank, sharpness)
    ratio = change.mean(axis=1, keepdims=True) / fall.mean()
    return ratio + (change - ratio * fall) / fall.mean()


def judged(curves: dict[str, Measured], sense: int) -> Finding:
    """Verdict on slopes of DER against sharpness: each network's minus the first one's.

    A slope needs sharpness to fall clearly over rho.

    Args:
        curves: SGD and SAM of every network, the same ensembles.
        sense: the sign of the differences that the paper gives.

    Returns:
        Holds within conditions if it holds on one scale of sharpness only.
    """
    first, *others = curves
    families: dict[str, list[Comparison]] = {}
    rows = []
    for scale, transform in _SCALES.items():
        falls = slopes({f"{name}: {scale}": transform(c.sharpness) for name, c in curves.items()})
        flat = {name for name, fall in zip(curves, falls, strict=True) if fall.p >= LEVEL or fall.value >= 0}
        fallen = {name: c for (name, c), fall in zip(curves.items(), falls, strict=True) if fall.value < 0}
        steep = {name: steepness(transform(c.sharpness), c.der) for name, c in fallen.items()}
        eir = {name: steepness(transform(c.sharpness), c.eir) for name, c in fallen.items()}
        rows += [fall.row() for fall in falls]
        rows += [Comparison.of(f"{name}: slope of DER against {scale}", values).row() for name, values in steep.items()]
        rows += [Comparison.of(f"{name}: slope of EIR against {scale}", values).row() for name, values in eir.items()]
        families[scale] = []
        for name in others:
            label = f"{name} minus {first}: slope of DER against {scale}"
            if unclear := [each for each in (first, name) if each in flat]:
                obstacle = f"sharpness does not clearly fall in {' and '.join(unclear)}"
                families[scale].append(Comparison(label, np.full(falls[0].ensembles, np.nan), obstacle=obstacle))
            else:
                families[scale].append(Comparison.of(label, steep[name] - steep[first]))
    found = judge([comparison for family in families.values() for comparison in family], sense, rows=rows)
    if found.verdict != Verdict.HOLDS and any(judge(f, sense).verdict == Verdict.HOLDS for f in families.values()):
        return Finding(Verdict.CONDITIONAL, found.numbers, f"{found.remark} The two scales disagree.".strip())
    return found


CLAIMS = tuple(
    Claim(
        id_,
        "paper",
        f"C4: the trade-off is steeper in {which} models",
        f"The slope of DER against sharpness, and against its logarithm, is larger in {which} networks.",
        f"C4, Fig. 5; here on {_DATA}",
        f"{setting(SHAPES[field])}; the same in networks of {field} "
        f"{', '.join(f'{value:g}' for value in dict.fromkeys(getattr(run, field) for run in SHAPES[field]))}; a slope is the "
        "ratio of the mean changes of DER and of sharpness from one rho to the next, over ensembles together",
        f"{TOLERANCE}. Holds within conditions if it holds on one scale of sharpness only",
        2024,
        partial(on_whole, partial(steeper, field, sense), SHAPES[field]),
        DESIGNS[_DATA].command,
    )
    for id_, which, field, sense in (("c4-size", "narrower", "width", -1), ("c4-sparsity", "sparser", "sparsity", 1))
)
