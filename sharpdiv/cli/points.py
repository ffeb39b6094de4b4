"""Points of theory and simulation: one JSON object for each rho, and their table."""

import math
import warnings
from typing import Any

from sharpdiv.cli.ensembles import Ensemble, Model
from sharpdiv.theory.errors import DomainWarning
from sharpdiv.theory.setting import Setting
from sharpdiv.theory.spectra.data_law import data_law
from sharpdiv.theory.theorems.sam import sam_tradeoff
from sharpdiv.theory.theorems.sharpbalance import sharpbalance_tradeoff
from sharpdiv.theory.theorems.tradeoff import Tradeoff

__all__ = [
    "MEASURED",
    "PLACES",
    "feature_point",
    "learned_point",
    "measured",
    "point",
    "simulated_point",
    "tradeoff",
    "with_reason",
]

MEASURED = ("diversity", "sharpness", "member_error", "ensemble_error", "eir")
"""What both theory and simulation give for every model."""
LEARNED = (*MEASURED, "trace", "training_loss")
"""What both give for networks that learn features."""
PLACES = ("sharpness_ensemble", "sharpness_member")
"""Further places where sharpness is taken, in the JSON only."""
_REASONS = {
    "eir": "the member error is 0",
    "critical_rho": "the learning rate is too large: not even rho = 0 contracts",
}
"""Why what any quadratic problem has may be null."""
RIGOROUS = ("sharpness_lower_rigorous", "sharpness_upper_rigorous")
"""Bounds that are proven at finite (n, d)."""


def tradeoff(setting: Setting, ensemble: Ensemble, model: Model, *, finite: bool) -> Tradeoff:
    """Closed forms at every rho.

    Args:
        setting: the quadratic problem.
        ensemble: with its blocks filled in.
        model: covariance and optimizer.
        finite: exact at (n, d).
    """
    law = data_law(setting, covariance=model.covariance(), finite=finite)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DomainWarning)  # said by the points themselves
        if ensemble.blocks is None:
            return sam_tradeoff(setting, ensemble.radii, members=ensemble.size, law=law, optimizer=model.steps)
        return sharpbalance_tradeoff(setting, ensemble.radii, blocks=ensemble.blocks, law=law, optimizer=model.steps)


def point(curve: Tradeoff, i: int, *, finite: bool) -> dict[str, Any]:
    """One rho as the contract's JSON object; what has no value is null."""
    names = ("rho", "diversity", "sharpness", *PLACES, "sharpness_lower", "sharpness_upper")
    names += (*(RIGOROUS if finite else ()), "member_error", "ensemble_error", "eir")
    found: dict[str, Any] = {name: _finite(getattr(curve, name)[i]) for name in names}
    return found | {"stable": bool(curve.stable[i]), "critical_rho": curve.critical_rho}


def with_reason(point: dict[str, Any], curve: Tradeoff) -> dict[str, Any]:
    """The point, and why some of it is null."""
    reasons = {
        "sharpness_lower": "J has no value",
        "sharpness_lower_rigorous": "proven up to 20 steps, for SAM without label noise",
        "sharpness_upper_rigorous": "proven without label noise only",
        **_REASONS,
        **curve.reasons,
    }
    if point["diversity"] is None:
        return point | {"reason": reasons["diversity"]}
    missing = {reasons[name]: name for name in reversed(point) if point[name] is None}
    return point | ({"reason": "; ".join(f"{name}: {why}" for why, name in missing.items())} if missing else {})


def feature_point(curve: Any, i: int) -> dict[str, Any]:
    """One rho of a random-feature ensemble."""
    found = {name: _finite(getattr(curve, name)[i]) for name in ("rho", *MEASURED)}
    found |= {"stable": bool(curve.stable[i]), "critical_rho": curve.critical_rho}
    missing = [f"{name}: {_REASONS[name]}" for name in _REASONS if found[name] is None]
    return found | ({"reason": "; ".join(missing)} if missing else {})


def learned_point(curve: Any, i: int) -> dict[str, Any]:
    """One rho of networks that learn features; what has no value is null, with the reason."""
    found = {name: _finite(getattr(curve, name)[i]) for name in ("rho", *LEARNED)}
    found |= {"stable": bool(curve.stable[i]), "critical_rho": curve.critical_rho}
    missing = {curve.reasons[name]: name for name in reversed(LEARNED) if found[name] is None}
    return found | ({"reason": "; ".join(f"{name}: {why}" for why, name in missing.items())} if missing else {})


def simulated_point(curve: Any, simulation: Any, i: int) -> dict[str, Any]:
    """One rho of trained networks that learn features, beside the edge that theory has; what is measured needs no reason."""
    found = {name: value for name, value in learned_point(curve, i).items() if name != "reason"}
    return found | measured(simulation, LEARNED, i)


def measured(simulation: Any, names: tuple[str, ...], i: int) -> dict[str, Any]:
    """Estimates as mean and standard error."""
    estimates = {name: getattr(simulation, name) for name in names}
    return {
        name: {"mean": _finite(e.mean[i]), "stderr": None if e.stderr is None else _finite(e.stderr[i])}
        for name, e in estimates.items()
    }


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
