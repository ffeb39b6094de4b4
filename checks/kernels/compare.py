"""A user's own runs beside what their tangent kernels at initialisation predict: the lazy limit of the very same networks.

Kernels are taken at each member's initialisation on the first training images, with batch norm frozen there, and members are
trained in closed form by full-batch un-normalized SAM, the model of the theory. Two numbers connect it with the runs, which have
another loss, batches, a schedule and normalized ascents: the number of steps is the first at which gradient descent has the
training accuracy of the runs with the smallest rho; radii are proportional to the runs', the largest at 0.95 of the limit of
stability. So the prediction is about directions over rho, at the strongest SAM that the theory allows. SharpBalance on
sharpness-aware sets has no closed form and is shown without one.

D and errors are squared ones of predicted labels and of probabilities, EIR is made of those; disagreement is that of the largest
outputs. Sharpness is the first measure of the runs, in units of that at the smallest rho; predicted is the increase of the squared
loss in a small ball.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import nn

from sharpdiv.checks.kernels.dials import LIMIT, RADIUS, RATE
from sharpdiv.checks.statistics import spearman
from sharpdiv.empirical.curvature.tangent_kernel import tangent_kernel
from sharpdiv.empirical.data.splits import load_data
from sharpdiv.empirical.errors import InputError
from sharpdiv.empirical.lazy.training import freeze_batch_norm
from sharpdiv.empirical.provenance import provenance
from sharpdiv.empirical.runs.config import RunConfig
from sharpdiv.empirical.runs.ensembles import Progress, open_run
from sharpdiv.empirical.runs.measuring import load_result
from sharpdiv.empirical.runs.member import new_member
from sharpdiv.empirical.runs.record import load_record
from sharpdiv.empirical.workers import choose_device
from sharpdiv.theory.kernels import LinearizedNetwork, ensemble_errors, linearize
from sharpdiv.theory.theorems.tradeoff import improvement_rate

__all__ = ["QUANTITIES", "compare_runs", "over_rho"]

QUANTITIES = ("diversity", "eir", "member_error", "ensemble_error", "disagreement", "sharpness")
"""What is predicted and measured"""
_STEPS = tuple(5 * 2**j for j in range(15))
_MAY_DIFFER = {"method", "rho", "seeds", "switch_epoch", "first_phase", "top_fraction", "rule", "adaptive", "m"}


def compare_runs(
    paths: Sequence[Path],
    *,
    train_samples: int = 200,
    test_samples: int = 400,
    device: str = "cpu",
    progress: Progress = lambda *_: None,
) -> dict[str, Any]:
    """Prediction and measurement of some runs that differ in method, rho and seeds only.

    Args:
        paths: folders of measured runs, or their records (``.npz``).
        train_samples: first training images, which kernels are taken on.
        test_samples: first test images, which predictions are made for.
        device: where kernels are taken.
        progress: told after every kernel.

    Returns:
        JSON values: ``steps``; ``training_accuracy``, which they are chosen by, of the ``run`` and ``predicted``; ``sharpness``,
        the name of the measure; ``points``, for every run ``measured`` and ``predicted`` (None with a ``reason``), each with the
        keys of ``QUANTITIES``; ``rank_correlation`` of the mean curves over rho for SGD and SAM (0 where one side does not change,
        None for two values of rho, whose correlation says nothing).

    Raises:
        InputError: if there are fewer than two runs, they differ in more than method, rho and seeds or were not measured in one
            way, are of one rho only, have not the same seeds at every rho of SGD and SAM, are of adaptive or m-sharp SAM, or have
            not so many images.
        StoreError: if a run is not measured.
    """
    runs = [_measured_run(path) for path in paths]
    runs.sort(key=lambda run: (run[0].method == "sharpbalance", run[0].rho, run[0].seeds))
    _check_alike([config for config, _ in runs])
    how = _one_measurement(runs)
    first = runs[0][0]
    place = choose_device(device)
    seeds = sorted({seed for config, _ in runs for seed in config.seeds})
    members, labels = _linearized(first, seeds, (train_samples, test_samples), place, progress)
    reached = float(
        np.mean([r["members"]["train_accuracy"] for c, r in runs if (c.method, c.rho) == (first.method, first.rho)])
    )
    steps, accuracy = _steps_to(reached, members, labels[:train_samples])
    points = _points(runs, members, steps, train_samples)
    return {
        "config": {name: value for name, value in first.to_json().items() if name not in _MAY_DIFFER},
        "kernel": {"train_samples": train_samples, "test_samples": test_samples},
        "provenance": provenance(place),
        "steps": steps,
        "training_accuracy": {"run": reached, "predicted": accuracy},
        "sharpness": how["sharpness"][0],
        "points": points,
        "rank_correlation": {name: _rank_correlation(points, name) for name in QUANTITIES},
    }


def _measured_run(path: Path) -> tuple[RunConfig, dict[str, Any]]:
    """Configuration and result of a run."""
    if path.suffix == ".npz":
        summary = load_record(path).summary
        return RunConfig.from_json(summary["config"]), summary
    return open_run(path), load_result(path)


def _rank_correlation(points: Sequence[dict[str, Any]], name: str) -> float | None:
    predicted, measured = (side.mean(axis=0) for side in over_rho(points, name))
    return float(spearman(predicted, measured)) if len(predicted) > 2 else None


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
    predicted = [config for config in configs if config.method != "sharpbalance"]
    rhos = {config.rho for config in predicted}
    if len(rhos) < 2:
        raise InputError("compare needs runs of SGD or SAM at two values of rho at least")
    ensembles = {config.seeds for config in predicted}
    if missing := sorted({(rho, s) for rho in rhos for s in ensembles} - {(c.rho, c.seeds) for c in predicted}):
        rho, seeds = missing[0]
        raise InputError(
            f"compare needs the same seeds at every rho of SGD and SAM; no run has rho {rho:g} with {seeds}"
        )
    if any(config.adaptive or config.m for config in configs):
        raise InputError("adaptive and m-sharp SAM have no closed form; compare runs of plain SAM")


def _one_measurement(runs: Sequence[tuple[RunConfig, dict[str, Any]]]) -> dict[str, Any]:
    """The settings that all were measured with."""
    settings: dict[str, Any] = runs[0][1]["measure"]
    for config, result in runs[1:]:
        if different := sorted(name for name in settings if settings[name] != result["measure"][name]):
            raise InputError(
                f"runs to compare must be measured in one way; {config.run_id} differs in {', '.join(different)}: "
                "measure it again with sharpdiv measure"
            )
    return settings


def _linearized(
    config: RunConfig, seeds: Sequence[int], samples: tuple[int, int], device: torch.device, progress: Progress
) -> tuple[dict[int, LinearizedNetwork], Int[np.ndarray, " samples"]]:
    """Members of a run at their initialisation, by seed, and the labels of the first training and test images."""
    data = load_data(config.data, config.train_samples, config.validation_samples, config.split_seed)
    sets = ((data.train_images, data.train_labels), (data.test_images, data.test_labels))
    for name, (images, _), count in zip(("training", "test"), sets, samples, strict=True):
        if not 1 <= count <= len(images):
            raise InputError(f"the number of {name} images must be from 1 to {len(images)}, got {count}")
    train, test = (data.normalize(images[:n].to(device)) for (images, _), n in zip(sets, samples, strict=True))
    labels = torch.cat([labels[:n] for (_, labels), n in zip(sets, samples, strict=True)]).numpy()
    members = {}
    for count, seed in enumerate(seeds, start=1):
        model: nn.Module = new_member(config, data, seed, device).model
        freeze_batch_norm(model, train)
        kernel = tangent_kernel(model, train, test)
        members[seed] = linearize(kernel.train.cpu().numpy(), kernel.test.cpu().numpy(), np.eye(data.classes)[labels])
        progress("kernels", count, len(seeds))
    return members, labels


def _steps_to(
    reached: float, members: dict[int, LinearizedNetwork], labels: Int[np.ndarray, " train"]
) -> tuple[int, float]:
    """The first of some numbers of steps at which gradient descent has a training accuracy, and its accuracy there."""
    for steps in _STEPS:
        predicted = [
            m.predictions(m.training(RATE / m.largest, np.zeros(1), steps))[0, : len(labels)] for m in members.values()
        ]
        accuracy = float(np.mean([p.argmax(axis=1) == labels for p in predicted]))
        if accuracy >= reached:
            break
    return steps, accuracy


def _points(
    runs: Sequence[tuple[RunConfig, dict[str, Any]]],
    members: dict[int, LinearizedNetwork],
    steps: int,
    train_samples: int,
) -> list[dict[str, Any]]:
    """Every run as its place, measured and predicted."""
    strongest = max(config.rho for config, _ in runs if config.method != "sharpbalance")
    points = []
    for config, result in runs:
        place = {"run": config.run_id, "method": config.method, "rho": config.rho, "seeds": list(config.seeds)}
        fraction = 0.95 * LIMIT * config.rho / strongest
        side = _predicted(config, members, fraction, steps, train_samples)
        points.append({**place, "measured": _measured(result), **side})
    smallest = runs[0][0].method, runs[0][0].rho
    for name in ("predicted", "measured"):
        unit = float(np.mean([p[name]["sharpness"] for p in points if (p["method"], p["rho"]) == smallest]))
        for point in points:
            if point[name]:
                point[name]["sharpness"] /= unit
    return points


def _predicted(
    config: RunConfig, members: dict[int, LinearizedNetwork], fraction: float, steps: int, train_samples: int
) -> dict[str, Any]:
    """The prediction of one run with SAM's radius in units of ``1 / x_max``, or the reason for none."""
    if config.method == "sharpbalance":
        return {"predicted": None, "reason": "no closed form for SharpBalance on sharpness-aware sets"}
    outputs, kappas = [], []
    for seed in config.seeds:
        member = members[seed]
        training = member.training(RATE / member.largest, np.array([fraction / member.largest]), steps)
        outputs.append(member.predictions(training)[0, train_samples:])
        kappas.append(float(member.sharpness(training, RADIUS / member.largest**0.5)[0]))
    h = np.stack(outputs)
    errors = h - members[config.seeds[0]].labels[train_samples:]
    squared = ensemble_errors(np.einsum("mtc,ntc->mn", errors, errors) / h.shape[1])
    classes = h.argmax(axis=2)
    first, second = np.triu_indices(len(h), 1)
    disagreement = float((classes[first] != classes[second]).mean())
    values = {name: float(value) for name, value in squared.items()}
    return {"predicted": values | {"disagreement": disagreement, "sharpness": float(np.mean(kappas))}}


def _measured(result: dict[str, Any]) -> dict[str, float]:
    """The same of probabilities, in the conventions of ``ensemble_errors``."""
    metrics = result["metrics"]
    member, ensemble = metrics["brier_mean"], metrics["brier_ensemble"]
    first = result["measure"]["sharpness"][0]
    return {
        "diversity": metrics["variance"],
        "member_error": member,
        "ensemble_error": ensemble,
        "eir": float(improvement_rate(np.asarray(member), np.asarray(ensemble))),
        "disagreement": metrics["disagreement"],
        "sharpness": float(np.mean(result["members"]["sharpness"][first])),
    }


def over_rho(
    points: Sequence[dict[str, Any]], name: str
) -> tuple[Float[np.ndarray, "ensembles rho"], Float[np.ndarray, "ensembles rho"]]:
    """Predicted and measured curves over rho of SGD and SAM.

    Args:
        points: of a comparison.
        name: of the quantity.

    Returns:
        Both, for each ensemble.
    """
    chosen = sorted((p for p in points if p["predicted"]), key=lambda p: (p["seeds"], p["rho"]))
    ensembles = len({tuple(p["seeds"]) for p in chosen})
    predicted, measured = (
        np.array([p[side][name] for p in chosen]).reshape(ensembles, -1) for side in ("predicted", "measured")
    )
    return predicted, measured
