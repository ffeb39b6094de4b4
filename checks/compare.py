"""A user's own runs beside what their tangent kernels at initialisation predict: the lazy limit of the very same networks.

Kernels are taken at each member's initialisation on the first training images, with batch norm frozen there, and members are
trained in closed form by full-batch un-normalised SAM, the model of the theory. Two numbers connect it with the runs, which have
another loss, batches, a schedule and normalised ascents: the number of steps is that at which gradient descent has the training
accuracy of the run with the smallest rho; radii are proportional to the runs', the largest at 0.95 of the limit of stability. So
the prediction is about directions and order over rho, at the strongest SAM that the theory allows. SharpBalance on
sharpness-aware sets has no closed form and is shown without one. Sharpness is the first measure of the runs, in units of that at
the smallest rho; predicted is the increase of the squared loss in a small ball.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import nn

from checks.dial import LIMIT, RADIUS, RATE
from checks.judging import rank_correlation
from empirical import InputError, RunConfig, load_data, load_result, open_run
from empirical.data import ImageData
from empirical.lazy import freeze_batch_norm
from empirical.runs import Progress, provenance
from empirical.tangent import tangent_kernel
from empirical.training import new_member
from empirical.workers import choose_device
from theory import LinearizedNetwork, linearize

__all__ = ["QUANTITIES", "compare_runs", "over_rho"]

QUANTITIES = ("disagreement", "der", "eir", "member_error", "ensemble_error", "sharpness")
"""What is predicted and measured; sharpness in units of that of the smallest rho, since its loss is another"""
_STEPS = (5, 10, 20, 40, 80, 160, 320)
_MAY_DIFFER = {"method", "rho", "seeds", "switch_epoch", "top_fraction", "rule", "adaptive", "m"}


def compare_runs(
    folders: Sequence[Path],
    *,
    train_samples: int = 200,
    test_samples: int = 400,
    device: str = "cpu",
    progress: Progress = lambda *_: None,
) -> dict[str, Any]:
    """Prediction and measurement of some runs that differ in method, rho and seeds only.

    Args:
        folders: of measured runs.
        train_samples: first training images, which kernels are taken on.
        test_samples: first test images, which predictions are made for.
        device: where kernels are taken.
        progress: told after every kernel.

    Returns:
        JSON values: ``steps``; ``points``, for every run ``measured`` and ``predicted`` (None with a ``reason``), each with
        the keys of ``QUANTITIES``; ``rank_correlation`` of both over rho for SGD and SAM (0 where
        one side does not change).

    Raises:
        InputError: if there are fewer than two runs, they differ in more than method, rho and seeds, are of one rho only, or of
            adaptive or m-sharp SAM.
        StoreError: if a run is not measured.
    """
    results = [load_result(folder) for folder in folders]
    configs = [open_run(folder) for folder in folders]
    _check_alike(configs)
    order = sorted(range(len(configs)), key=lambda i: (configs[i].method == "sharpbalance", configs[i].rho))
    configs, results = [configs[i] for i in order], [results[i] for i in order]
    data = load_data(configs[0].data, configs[0].train_samples, configs[0].validation_samples, configs[0].split_seed)
    place = choose_device(device)
    labels = torch.cat([data.train_labels[:train_samples], data.test_labels[:test_samples]]).numpy()
    seeds = sorted({seed for config in configs for seed in config.seeds})
    members = {}
    for count, seed in enumerate(seeds, start=1):
        members[seed] = _linearized(configs[0], data, seed, train_samples, labels, place)
        progress("kernels", count, len(seeds))
    accuracy = float(np.mean(results[0]["members"]["train_accuracy"]))
    steps = min(_STEPS, key=lambda k: abs(_training_accuracy(members, k, labels[:train_samples]) - accuracy))
    strongest = max(config.rho for config in configs if config.method != "sharpbalance")
    smallest = {c.run_id for c in configs if (c.method, c.rho) == (configs[0].method, configs[0].rho)}
    points = [
        {
            "run": config.run_id,
            "method": config.method,
            "rho": config.rho,
            "measured": _measured(result),
            **_predicted(config, members, 0.95 * LIMIT * config.rho / strongest, steps, labels[train_samples:]),
        }
        for config, result in zip(configs, results, strict=True)
    ]
    for side in ("predicted", "measured"):
        _relative_sharpness([(point["run"] in smallest, point[side]) for point in points if point[side]])
    shared = {name: value for name, value in configs[0].to_json().items() if name not in _MAY_DIFFER}
    return {
        "config": shared,
        "kernel": {"train_samples": train_samples, "test_samples": test_samples},
        "provenance": provenance(place),
        "steps": steps,
        "points": points,
        "rank_correlation": {name: rank_correlation(*over_rho(points, name))[0] for name in QUANTITIES},
    }


def _check_alike(configs: Sequence[RunConfig]) -> None:
    if len(configs) < 2:
        raise InputError(f"compare needs at least two runs, of different rho; got {len(configs)}")
    first = configs[0].to_json()
    for config in configs[1:]:
        other = config.to_json()
        if different := sorted(name for name in first if name not in _MAY_DIFFER and first[name] != other[name]):
            raise InputError(
                f"runs to compare may differ in method, rho and seeds; {config.run_id} differs in {', '.join(different)}"
            )
    if len({config.rho for config in configs if config.method != "sharpbalance"}) < 2:
        raise InputError("compare needs runs of SGD or SAM at two values of rho at least")
    if any(config.adaptive or config.m for config in configs):
        raise InputError("adaptive and m-sharp SAM have no closed form; compare runs of plain SAM")


def _linearized(
    config: RunConfig,
    data: ImageData,
    seed: int,
    train_samples: int,
    labels: Int[np.ndarray, " samples"],
    device: torch.device,
) -> LinearizedNetwork:
    """A member of a run at its initialisation."""
    test_samples = len(labels) - train_samples
    train, test = (
        data.normalize(images.to(device))
        for images in (data.train_images[:train_samples], data.test_images[:test_samples])
    )
    model: nn.Module = new_member(config, data, seed, device).model
    freeze_batch_norm(model, train)
    kernel = tangent_kernel(model, train, test)
    return linearize(kernel.train.cpu().numpy(), kernel.test.cpu().numpy(), np.eye(data.classes)[labels])


def _training_accuracy(members: dict[int, LinearizedNetwork], steps: int, labels: Int[np.ndarray, " train"]) -> float:
    """Of gradient descent, mean over members."""
    predicted = [
        m.predictions(m.training(RATE / m.largest, np.zeros(1), steps))[0, : len(labels)] for m in members.values()
    ]
    return float(np.mean([p.argmax(axis=1) == labels for p in predicted]))


def _predicted(
    config: RunConfig,
    members: dict[int, LinearizedNetwork],
    fraction: float,
    steps: int,
    labels: Int[np.ndarray, " test"],
) -> dict[str, Any]:
    """The prediction of one run with SAM's radius in units of ``1 / x_max``, or the reason for none."""
    if config.method == "sharpbalance":
        return {"predicted": None, "reason": "no closed form for SharpBalance on sharpness-aware sets"}
    outputs, kappas = [], []
    for seed in config.seeds:
        member = members[seed]
        training = member.training(RATE / member.largest, np.array([fraction / member.largest]), steps)
        outputs.append(member.predictions(training)[0, -len(labels) :])
        kappas.append(float(member.sharpness(training, RADIUS / member.largest**0.5)[0]))
    return {"predicted": _classified(np.stack(outputs), labels) | {"sharpness": float(np.mean(kappas))}}


def _classified(h: Float[np.ndarray, "members test classes"], labels: Int[np.ndarray, " test"]) -> dict[str, float]:
    """Metrics of the largest outputs, as ``diversity`` has them of probabilities."""
    predicted = h.argmax(axis=2)
    first, second = np.triu_indices(len(h), 1)
    disagreement = float((predicted[first] != predicted[second]).mean())
    member, ensemble = float((predicted != labels).mean()), float((h.mean(axis=0).argmax(axis=1) != labels).mean())
    return {
        "disagreement": disagreement,
        "der": disagreement / member,
        "eir": (member - ensemble) / member,
        "member_error": member,
        "ensemble_error": ensemble,
    }


def _measured(result: dict[str, Any]) -> dict[str, float]:
    metrics = result["metrics"]
    first = result["measure"]["sharpness"][0]
    return {
        **{name: metrics[name] for name in ("disagreement", "der", "eir")},
        "member_error": 1 - metrics["accuracy_mean"],
        "ensemble_error": 1 - metrics["accuracy_ensemble"],
        "sharpness": float(np.mean(result["members"]["sharpness"][first])),
    }


def _relative_sharpness(points: list[tuple[bool, dict[str, float]]]) -> None:
    """Divide by the mean over those points that are marked, the ones of the smallest rho."""
    unit = float(np.mean([point["sharpness"] for marked, point in points if marked]))
    for _, point in points:
        point["sharpness"] /= unit


def over_rho(
    points: Sequence[dict[str, Any]], name: str
) -> tuple[Float[np.ndarray, " rho"], Float[np.ndarray, " rho"]]:
    """Predicted and measured means over ensembles at each rho of SGD and SAM.

    Args:
        points: of a comparison.
        name: of the quantity.

    Returns:
        Both curves, where there is a prediction.
    """
    chosen = [point for point in points if point["predicted"]]
    rhos = sorted({point["rho"] for point in chosen})
    predicted, measured = (
        np.array([np.mean([p[side][name] for p in chosen if p["rho"] == rho]) for rho in rhos])
        for side in ("predicted", "measured")
    )
    return predicted, measured
