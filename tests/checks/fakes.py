"""Made-up results of ensembles, in which what a check looks for is planted."""

from dataclasses import replace
from typing import Any

import numpy as np
import torch

from checks import Evidence
from checks.designs import DESIGNS, MAIN
from empirical.config import Data, Method
from empirical.store import pack

__all__ = ["SEEDS", "fake_evidence", "fake_run"]

SEEDS = tuple(dict.fromkeys(run.seeds for run in DESIGNS["digits"].runs))
"""Of the planned ensembles."""

_CORRUPTED = 200


def _packed(values: np.ndarray) -> dict[str, Any]:
    return pack(torch.as_tensor(values))


def fake_run(
    seed: int,
    method: Method,
    rho: float,
    sharpness: float,
    agreement: float,
    ensemble: int = 0,
    data: Data = "digits",
    *,
    right: bool = False,
    members: int = 3,
    **fields: Any,
) -> dict[str, Any]:
    """A result with members of 20% error that copy the first member on a fraction of the test points.

    Args:
        seed: of all draws.
        method: of training.
        rho: of training.
        sharpness: of the members, up to noise.
        agreement: fraction of the test points on which the first member is copied.
        ensemble: number of its seeds.
        data: data set.
        right: whether the ensemble is always right, rather than as the first member.
        members: how many, 3 or 6.
        **fields: of the configuration, where it is not the main design's.

    Returns:
        What checks read of a ``result.json``.
    """
    rng = np.random.default_rng((seed, ensemble, int(1000 * rho), len(method)))
    labels = np.random.default_rng(0).integers(10, size=600)
    wrong = rng.random((members, 600)) < 0.2
    predicted = np.where(wrong, (labels + rng.integers(1, 10, size=(members, 600))) % 10, labels)
    predicted = np.where(rng.random(600) < agreement, predicted[:1], predicted)
    seeds = sum(SEEDS[ensemble : ensemble + members // 3], ())
    config = replace(MAIN[data][0], method=method, rho=rho, **({"seeds": seeds} | fields)).to_json()
    return {
        "config": config,
        "members": {
            "sharpness": {
                "worst_l2_adaptive": (sharpness + rng.normal(0, 0.01, members)).tolist(),
                "worst_l2": [sharpness] * members,
            },
            "train_accuracy": [0.9, 0.95, 1.0],
        },
        "predicted": _packed(predicted),
        "predicted_ensemble": _packed(labels if right else predicted[0]),
        "labels": _packed(labels),
        "corrupted": {"noise": {"accuracy_ensemble": [0.8] * 5}},
        "corrupted_errors": {
            "members": _packed(np.full(_CORRUPTED, 3)),
            "ensemble": _packed(np.full(_CORRUPTED, 0 if right else 1)),
        },
    }


def fake_evidence(seed: int, sign: float, ensembles: int = 3, data: Data = "digits") -> Evidence:
    """The main design, with sharpness and diversity that move with rho by ``sign``; SharpBalance's members never agree.

    Args:
        seed: of all draws.
        sign: 1 or -1.
        ensembles: for every method and rho.
        data: data set.

    Returns:
        All its runs.
    """
    runs = []
    for config in MAIN[data]:
        ensemble, rho = SEEDS.index(config.seeds), config.rho
        shift, agreement = (0.2, 0.0) if config.method == "sharpbalance" else (rho, 0.4 - sign * rho)
        if ensemble < ensembles:
            runs.append(fake_run(seed, config.method, rho, 1 + sign * shift, agreement, ensemble, data))
    return Evidence(tuple(runs))
