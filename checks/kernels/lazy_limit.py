"""Claims about the lazy limit, checked on the dial of small networks (``alpha_sweep.py``): predictions where they must be right."""

from functools import partial

import numpy as np

from sharpdiv.checks.claim import Claim, Finding, Row, Value, Verdict, number
from sharpdiv.checks.evidence import Evidence
from sharpdiv.checks.kernels.alpha_curves import COMPARED_AT, SYMBOLS, curves
from sharpdiv.checks.quantity import percent as share
from sharpdiv.checks.quantity import several

__all__ = ["CLAIMS", "COMMAND", "SETTING", "missing", "percent"]

COMMAND = "sharpdiv reproduce --profile cpu"
"""what runs the dial"""
SETTING = (
    "Residual networks of three stages on 200 digits, tested on 400 (100 and 200 in the quick profile): ReLU with each norm and "
    "GELU without norm at width 8, ReLU "
    "without norm at width 16, not all combinations; full-batch un-normalized SAM on centred squared loss, "
    "learning rate 0.5 / x_max, rho up to 0.95 of the limit 3 / x_max, members and radii as in the results; predicted from "
    "each member's tangent kernel at its initialisation; kappa in a ball so small that it is "
    "the norm of the gradient times the radius"
)
"""what the dial is, for a claim"""
_HEAD = "relu-none-8-head"
_EXACT = {"D, errors and loss": 1e-10, "kappa": 1e-7}


def missing(*names: str) -> Finding:
    """What a check says without the networks it needs.

    Returns:
        The finding.
    """
    return Finding(Verdict.NOT_RUN, remark=f"No results of {' and '.join(names)}; run {COMMAND}.")


def percent(value: float, name: str = "") -> Value:
    """A share for a report.

    Args:
        value: of 1.
        name: of one of several.

    Returns:
        Two digits below 100%; ``diverged`` if it is not finite.
    """
    return share(value, f".{2 if value < 0.995 else 3}g", name=name) if np.isfinite(value) else f"{name}diverged"


def _exact(evidence: Evidence) -> Finding:
    network = next((n for n in evidence.networks if n.name == _HEAD), None)
    if network is None:
        return missing(_HEAD)
    numbers: list[Row] = []
    worst = dict.fromkeys(_EXACT, 0.0)
    for alpha, optimizers in network.measured.items():
        for optimizer, found in optimizers.items():
            # Where normalized SAM is outside the domain of its formula there is no prediction; what else is missing diverged.
            predicted = np.isfinite(network.predicted[optimizer].loss).all(axis=0)
            for quantity in (name for name in SYMBOLS if name != "eir"):
                largest = float(np.max(np.abs(found.relative_error[quantity][predicted])))
                group = "kappa" if quantity == "sharpness" else "D, errors and loss"
                worst[group] = float(np.maximum(worst[group], largest))
                label = f"alpha = {alpha:g}, {optimizer}: {SYMBOLS[quantity]}, largest relative difference"
                numbers.append((label, number(largest, form=".1e")))
    met = all(worst[group] <= limit for group, limit in _EXACT.items())
    here = set.intersection(*(set(optimizers) for optimizers in network.measured.values()))
    if met and (lacking := sorted(_OPTIMIZERS - here)):
        return missing(*(f"{_HEAD}, {name}" for name in lacking))
    return Finding(Verdict.HOLDS if met else Verdict.FAILS, tuple(numbers))


_OPTIMIZERS = {"sam", "blocks", "normalized"}
_GATES = ("diversity", "sharpness", "member_error", "ensemble_error")


def _gate(names: tuple[str, ...], alpha: float, limits: dict[str, float], evidence: Evidence) -> Finding:
    """Largest relative difference over radii at the steps of comparison, and over all steps without a gate."""
    measured = {n.name: n for n in evidence.networks if "sam" in n.measured.get(alpha, {})}
    if lacking := [name for name in names if name not in measured]:
        return missing(*lacking)
    networks = [measured[name] for name in names]
    numbers: list[Row] = []
    met = []
    for network in networks:
        steps = network.snapshots
        column = steps.index(COMPARED_AT)
        for optimizer, found in network.measured[alpha].items():
            name = f"{network.name}, {optimizer}"
            for quantity in _GATES:
                largest = np.abs(found.relative_error[quantity]).max(axis=0)
                if quantity in limits and optimizer == "sam":
                    met.append(bool(largest[column] <= limits[quantity]))
                by_step = [percent(error, f"{k}: ") for k, error in zip(steps, largest, strict=True)]
                numbers.append((f"{name}: {SYMBOLS[quantity]}, largest over rho by k", several(by_step)))
            distance = found.distance[:, column]
            values = several([percent(distance.min()), percent(distance.max())], " to ")
            numbers.append((f"{name}: distance of the functions at k = {COMPARED_AT}", values))
    return Finding(Verdict.HOLDS if all(met) else Verdict.FAILS, tuple(numbers))


_BINNED = {"diversity": 0.1, "loss": 0.01, "sharpness": 0.05}


def _spectrum_only(evidence: Evidence) -> Finding:
    """The form that knows binned spectra only against the one that knows the kernels."""
    if not evidence.networks:
        return missing("the dial")
    numbers: list[Row] = []
    met = []
    for network in evidence.networks:
        steps = network.snapshots
        exact = curves(network, "sam", members=network.members)
        for name, limit in _BINNED.items():
            errors = np.abs(network.spectrum[name] / exact.values[name][0] - 1).max(axis=0)
            met.append(bool(errors[steps.index(COMPARED_AT)] <= limit))
            by_step = [percent(error, f"{k}: ") for k, error in zip(steps, errors, strict=True)]
            numbers.append((f"{network.name}: {SYMBOLS[name]}, largest relative error over rho by k", several(by_step)))
    return Finding(Verdict.HOLDS if all(met) else Verdict.FAILS, tuple(numbers))


_SOURCE = "theory of this project (tangent kernels)"

CLAIMS = (
    Claim(
        id="lazy-exact",
        subject="implementation",
        title="Rung 1: prediction from kernels where it is exact",
        statement="If only the last layer is trained, the predictions from the kernel are exact for SAM on all data, on disjoint "
        "blocks, and normalized SAM.",
        source=_SOURCE,
        method="Last layer only, float64; sharpness by 10 steps of Auto-PGD there, by the secular equation here.",
        tolerance="D, errors and loss within 1e-10 (rounding of float64 over 40 steps); kappa, which the ascent finds from below, "
        "within 1e-7",
        seed=None,
        check=_exact,
        command=COMMAND,
    ),
    Claim(
        id="lazy-gelu",
        subject="implementation",
        title="Rung 2: GELU networks at alpha = 100",
        statement=f"At alpha = 100 and k = {COMPARED_AT} GELU networks trained by SAM on all data follow the prediction from their "
        "kernels: D within 2%, kappa within 3%, errors within 1%.",
        source=_SOURCE,
        method=SETTING + ".",
        tolerance=f"the limits stated, at every rho at k = {COMPARED_AT}; other steps and optimizers are shown",
        seed=None,
        check=partial(
            _gate,
            ("gelu-none-8",),
            100.0,
            {"diversity": 0.02, "sharpness": 0.03, "member_error": 0.01, "ensemble_error": 0.01},
        ),
        command=COMMAND,
        figures=("predicted_measured",),
    ),
    Claim(
        id="lazy-normed",
        subject="implementation",
        title="Rung 3: ReLU networks with norms at alpha = 10",
        statement=f"At alpha = 10 and k = {COMPARED_AT} ReLU networks with group norm or frozen batch norm, trained by "
        "SAM on all data, "
        "have the predicted D within 5% and errors within 3%; their functions differ by more, as shown.",
        source=_SOURCE,
        method=SETTING + ".",
        tolerance=f"the limits stated, at every rho at k = {COMPARED_AT}; kappa, other steps and optimizers are shown",
        seed=None,
        check=partial(
            _gate,
            ("relu-group-8", "relu-batch-8"),
            10.0,
            {"diversity": 0.05, "member_error": 0.03, "ensemble_error": 0.03},
        ),
        command=COMMAND,
        figures=("predicted_measured",),
    ),
    Claim(
        id="lazy-spectrum",
        subject="implementation",
        title="Prediction from binned spectra alone",
        statement="32 bins of the spectra, y-weighted for loss and sharpness and with the two-point measure for D, "
        "replace the kernels: "
        "loss within 1%, kappa within 5%, D within 10%.",
        source=_SOURCE,
        method=SETTING + "; no training.",
        tolerance=f"the limits stated, at every rho at k = {COMPARED_AT}; they are a judgement of what binning may cost. "
        "Other steps are "
        "shown: near the limit of rho the top mode still oscillates at small k, and a bin blurs that",
        seed=None,
        check=_spectrum_only,
        command=COMMAND,
    ),
)
