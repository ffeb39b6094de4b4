"""C4 on trained networks: steepness of the trade-off against width and sparsity."""

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from jaxtyping import Float

from checks.claim import Claim, Finding, Verdict
from checks.designs import DESIGNS, POWER
from checks.evidence import SEED, Evidence, draws, interval, point_weights
from checks.judging import of_one_ensemble, power, sign, verdict
from empirical.store import unpack

__all__ = ["CLAIMS", "steepness"]

_DATA = "fashion-mnist"
_SEEDS = (13, 17, 27)
_RHOS = (0.0, 0.1, 0.3)
_NAMES = ("slope of DER", "slope of EIR")


def _steeper(field: str, base: float, others: tuple[float, ...], sense: int, evidence: Evidence) -> Finding:
    """Steepness at other values of a field minus that at its base; ``sense`` is the sign that the paper gives it."""
    slopes: dict[float, tuple[np.ndarray, np.ndarray]] = {}
    for number, value in enumerate((base, *others)):
        shape = {"width": 8, "sparsity": 0.0} | {field: value}
        found = [run for method in ("sgd", "sam") for run in evidence.of(_DATA).where(method=method, **shape).runs]
        runs = {run["config"]["rho"]: run for run in found if tuple(run["config"]["seeds"]) == _SEEDS}
        if all(rho in runs for rho in _RHOS):
            slopes[value] = steepness([runs[rho] for rho in _RHOS], SEED + 3 + number)
    if missing := [f"{value:g}" for value in (base, *others) if value not in slopes]:
        reason = f"No measured ensembles of {field} {' and '.join(missing)} on {_DATA}"
        return Finding(Verdict.NOT_RUN, remark=f"{reason}; run {DESIGNS[_DATA].command}.")
    numbers, signs = [], []
    for value, found_here in slopes.items():
        numbers += [(f"{field} {value:g}: {n}", str(interval(s))) for n, s in zip(_NAMES, found_here, strict=True)]
    for value in others:
        der, eir = (here - there for here, there in zip(slopes[value], slopes[base], strict=True))
        signs.append(sense * sign(interval(der)))
        numbers += [
            (f"{field} {value:g} minus {base:g}: {n}", power(d)) for n, d in zip(_NAMES, (der, eir), strict=True)
        ]
    finding = Finding(
        verdict(signs),
        tuple(numbers),
        "One ensemble of three for each network. The intervals of DER cover test points and the spread of these three members, "
        "which three show but roughly; those of EIR cover test points alone and do not decide.",
    )
    return of_one_ensemble(finding, 1)


def steepness(
    runs: list[dict[str, Any]], seed: int
) -> tuple[Float[np.ndarray, " replicates"], Float[np.ndarray, " replicates"]]:
    """Least-squares slopes of DER and of EIR against the natural logarithm of sharpness.

    Test points are resampled. For DER every replicate also takes the slope without one member, the same one at every rho, and adds
    its deviation from the mean of such slopes times ``sqrt(members - 1)``: a variance as the jackknife's. Drawing members with
    replacement would count a member that is drawn twice as a pair that never disagrees.

    Args:
        runs: one ensemble's, at several values of rho.
        seed: of the draw of members.

    Returns:
        Both, the first replicate being the data themselves.
    """
    tables = [_table(run) for run in runs]
    members = len(tables[0].sharpness)
    without = np.stack([_der_slope(tables, weights) for weights in 1 - np.eye(members)])
    left_out = draws(seed, members)[:, 0]
    deviation = without[left_out, np.arange(len(left_out))] - without.mean(axis=0)
    deviation[0] = 0
    everyone = np.ones(members)
    eir = np.stack([1 - table.ensemble_error / table.errors.mean(axis=0) for table in tables])
    return (
        _der_slope(tables, everyone) + np.sqrt(members - 1) * deviation,
        _fitted(_log_sharpness(tables, everyone), eir),
    )


@dataclass(frozen=True)
class _Table:
    """One run, resampled over test points."""

    sharpness: Float[np.ndarray, " members"]
    differ: Float[np.ndarray, "pairs replicates"]
    errors: Float[np.ndarray, "members replicates"]
    ensemble_error: Float[np.ndarray, " replicates"]


def _table(run: dict[str, Any]) -> _Table:
    predicted, labels = unpack(run["predicted"]), unpack(run["labels"])
    first, second = np.triu_indices(len(predicted), 1)
    rows = np.vstack(
        [predicted[first] != predicted[second], predicted != labels, unpack(run["predicted_ensemble"]) != labels]
    )
    means = rows @ point_weights(len(labels), SEED).T
    sharpness = np.array(run["members"]["sharpness"]["worst_l2_adaptive"])
    return _Table(sharpness, means[: len(first)], means[len(first) : -1], means[-1])


def _der_slope(tables: list[_Table], weights: Float[np.ndarray, " members"]) -> Float[np.ndarray, " replicates"]:
    """Of the members with weight 1."""
    first, second = np.triu_indices(len(weights), 1)
    pairs = weights[first] * weights[second]
    der = [(pairs @ t.differ / pairs.sum()) / (weights @ t.errors / weights.sum()) for t in tables]
    return _fitted(_log_sharpness(tables, weights), np.stack(der))


def _log_sharpness(tables: list[_Table], weights: Float[np.ndarray, " members"]) -> Float[np.ndarray, " rho"]:
    return np.log([weights @ table.sharpness / weights.sum() for table in tables])


def _fitted(x: Float[np.ndarray, " rho"], y: Float[np.ndarray, "rho replicates"]) -> Float[np.ndarray, " replicates"]:
    """Least-squares slope."""
    centred = x - x.mean()
    return centred @ y / (centred @ centred)


CLAIMS = tuple(
    Claim(
        id_,
        "paper",
        f"C4: the trade-off is steeper in {which} models",
        f"The slope of DER against the logarithm of sharpness is larger in {which} networks.",
        f"C4, Fig. 5; here on {_DATA}",
        f"{_DATA}: one ensemble of three for each {field} ({', '.join(f'{value:g}' for value in (base, *others))}), at rho "
        f"{', '.join(f'{rho:g}' for rho in _RHOS)} (sharpdiv reproduce --profile cpu)",
        "95% percentile interval of 2,000 bootstrap replicates over test points, and for DER over members by the jackknife"
        f"{POWER}; inconclusive if an interval contains 0",
        2024,
        partial(_steeper, field, base, others, sense),
        DESIGNS[_DATA].command,
    )
    for id_, which, field, base, others, sense in (
        ("c4-size", "narrower", "width", 8.0, (16.0, 32.0), -1),
        ("c4-sparsity", "sparser", "sparsity", 0.0, (0.5, 0.8), 1),
    )
)
