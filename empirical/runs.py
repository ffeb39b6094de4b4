"""Runs: a configuration, its folder, and the steps from initialisation to a measured ensemble.

Every step writes one file and is skipped when that file is there, so whatever was interrupted resumes where it was and
ends with the same bits: on the CPU a member's training depends on its configuration and seed alone.

    runs/<run id>/config.json                      the configuration
    runs/<run id>/member-<seed>-epoch<T_d>.safetensors   SGD only: the state SharpBalance starts from
    runs/<run id>/sets.safetensors                 SharpBalance only: scores and sharpness-aware sets
    runs/<run id>/member-<seed>.safetensors        the trained member; .json beside it: seconds, device, versions
    runs/<run id>/measured-<seed>.safetensors      its test probabilities, clean and corrupted, and its sharpness
    runs/<run id>/predictions.npz                  probs (members, samples, classes) and labels (samples,)
    runs/<run id>/result.json                      configuration, provenance and every measured number
"""

import io
import platform
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from empirical.config import RunConfig
from empirical.corruptions import CORRUPTIONS, SEVERITIES, corrupt
from empirical.data import ImageData, digits
from empirical.errors import InputError, StoreError
from empirical.metrics import diversity
from empirical.per_sample import evaluation_mode, per_sample_sharpness
from empirical.sharpbalance import sharpness_aware_sets
from empirical.sharpness import worst_case_sharpness
from empirical.store import digest, load_json, load_tensors, save_json, save_tensors, write_atomically
from empirical.training import Member, load_member, new_member, save_member, stream, train
from empirical.workers import Piece, choose_device, work

__all__ = ["MeasureConfig", "Progress", "load_result", "measure", "measure_runs", "open_run", "train_runs"]

Progress = Callable[[str, int, int], None]
"""Told of progress: what is going on, units of work done, units in all."""


@dataclass(frozen=True)
class MeasureConfig:
    """How a trained ensemble is measured; defaults as in Andriushchenko et al. (2023) and the authors' code."""

    radius: float = 0.5
    """of the adaptive l2 ball of worst-case sharpness"""
    plain_radius: float = 0.1
    """of the ball without adaptive scaling, a second opinion"""
    iterations: int = 20
    """ascent steps"""
    sharpness_samples: int = 1024
    """first training images, un-augmented"""
    sharpness_batch: int = 128
    """images in a batch of the sharpness"""
    corrupted_samples: int = 300
    """first test images, under every corruption and severity"""


def run_folder(root: Path, config: RunConfig) -> Path:
    """Folder of a run; its name ends in the configuration's hash.

    Returns:
        A path that need not exist.
    """
    return root / config.run_id


def open_run(folder: Path) -> RunConfig:
    """Configuration of the run in a folder.

    Returns:
        The configuration.

    Raises:
        StoreError: if ``config.json`` is missing, damaged or another run's.
    """
    path = folder / "config.json"
    try:
        config = RunConfig.from_json(load_json(path))
    except InputError as error:
        raise StoreError(f"{path}: {error}") from error
    if config.run_id != folder.resolve().name:
        raise StoreError(f"{path} describes {config.run_id}, not the run of its folder {folder.name}")
    return config


def load_result(folder: Path) -> dict[str, Any]:
    """Measured numbers of a run.

    Returns:
        The content of ``result.json``.
    """
    return load_json(folder / "result.json")


def _create(root: Path, config: RunConfig) -> Path:
    """The run's folder with its configuration, checked if it is there."""
    folder = run_folder(root, config)
    if (folder / "config.json").exists():
        open_run(folder)
    else:
        save_json(folder / "config.json", config.to_json())
    return folder


def _data(config: RunConfig) -> ImageData:
    return {"digits": digits}[config.data](config.train_samples, config.split_seed)


def _train_first_phase(root: Path, config: RunConfig, seed: int, device: torch.device) -> None:
    """Train an SGD member to the switch epoch and keep its state."""
    folder = _create(root, config)
    path = folder / f"member-{seed}-epoch{config.switch}.safetensors"
    if path.exists():
        load_tensors(path)
        return
    data = _data(config)
    member = new_member(config, data, seed, device)
    aware = torch.zeros(len(data.train_labels), dtype=torch.bool)
    _train_and_save(path, member, config, data, config.switch, aware)


def _train_and_save(path: Path, member: Member, config: RunConfig, data: ImageData, until: int, aware: Tensor) -> None:
    """Train, and write the member with a record of what it took beside it."""
    started = time.perf_counter()
    train(member, config, data, until, aware)
    record = {"seconds": time.perf_counter() - started, "device": str(next(member.model.parameters()).device)}
    save_json(path.with_suffix(".json"), record | {"torch": torch.__version__, "numpy": np.__version__})
    save_member(path, member, config.run_id)  # last: this file says that the member is done


def _first_phase_path(root: Path, config: RunConfig, seed: int) -> Path:
    first = config.first_phase
    return run_folder(root, first) / f"member-{seed}-epoch{first.switch}.safetensors"


def _load_first_phase(root: Path, config: RunConfig, seed: int, device: torch.device, data: ImageData) -> Member:
    path = _first_phase_path(root, config, seed)
    return load_member(path, config, data, seed, device, run=config.first_phase.run_id)


def _exchange(root: Path, config: RunConfig, device: torch.device) -> None:
    """Score every training sample by every member at the switch epoch and form the sharpness-aware sets."""
    folder = _create(root, config)
    path = folder / "sets.safetensors"
    if path.exists():
        _load_sets(path, config)
        return
    data = _data(config)
    images, labels = data.normalize(data.train_images).to(device), data.train_labels.to(device)
    scores = []
    for seed in config.seeds:
        model = _load_first_phase(root, config, seed, device, data).model
        batches = zip(images.split(128), labels.split(128), strict=True)
        scores.append(torch.cat([per_sample_sharpness(model, x, y) for x, y in batches]))
    # Random sets differ between ensembles, or averaging over ensembles would not average over them.
    generator = torch.Generator().manual_seed(stream(config.split_seed, *config.seeds))
    sets = sharpness_aware_sets(torch.stack(scores).cpu(), config.top_fraction, config.rule, generator)
    save_tensors(path, {"scores": torch.stack(scores), "sets": sets}, {"run": config.run_id})


def _load_sets(path: Path, config: RunConfig) -> Tensor:
    """Sharpness-aware sets ``(members, samples)`` of this run."""
    tensors, metadata = load_tensors(path)
    if metadata.get("run") != config.run_id or "sets" not in tensors:
        raise StoreError(f"{path} is not of run {config.run_id}; delete it and run again")
    return tensors["sets"]


def _train_member(root: Path, config: RunConfig, seed: int, device: torch.device) -> None:
    """Train a member to the end: from its first phase if it shares one, from scratch otherwise."""
    folder = _create(root, config)
    path = folder / f"member-{seed}.safetensors"
    if path.exists():
        load_tensors(path)
        return
    data = _data(config)
    aware = torch.full((len(data.train_labels),), config.method == "sam")
    if config.method == "sam":
        member = new_member(config, data, seed, device)
    else:
        member = _load_first_phase(root, config, seed, device, data)
    if config.method == "sharpbalance":
        aware = _load_sets(folder / "sets.safetensors", config)[config.seeds.index(seed)]
    _train_and_save(path, member, config, data, config.epochs, aware)


def _measure_member(root: Path, config: RunConfig, seed: int, device: torch.device, how: MeasureConfig) -> None:
    """Test probabilities, clean and corrupted, and sharpness of one trained member."""
    folder = run_folder(root, config)
    path = folder / f"measured-{seed}.safetensors"
    trained_path = folder / f"member-{seed}.safetensors"
    # A measurement belongs to the very weights it was made of, and to its settings.
    identity = {"run": config.run_id, "member": load_tensors(trained_path)[1]["sha256"], "how": digest(asdict(how))}
    if path.exists() and {name: load_tensors(path)[1].get(name) for name in identity} == identity:
        return
    data = _data(config)
    model = load_member(trained_path, config, data, seed, device).model
    images = data.normalize(data.train_images[: how.sharpness_samples]).to(device)
    labels = data.train_labels[: how.sharpness_samples].to(device)
    batches = list(zip(images.split(how.sharpness_batch), labels.split(how.sharpness_batch), strict=True))
    few = data.test_images[: how.corrupted_samples]
    corrupted = [
        # The same noise for every run, member and device, different for every corruption and severity.
        _probabilities(model, data, corrupt(few, name, severity, seed=10 * kind + severity).to(device))
        for kind, name in enumerate(CORRUPTIONS)
        for severity in SEVERITIES
    ]
    trained = _probabilities(model, data, data.train_images.to(device))
    tensors = {
        "probs": _probabilities(model, data, data.test_images.to(device)),
        "corrupted_probs": torch.stack(corrupted).unflatten(0, (len(CORRUPTIONS), len(SEVERITIES))),
        "train_accuracy": (trained.argmax(dim=1) == data.train_labels).double().mean(),
        "sharpness": torch.tensor(worst_case_sharpness(model, batches, how.radius, iterations=how.iterations)),
        "sharpness_plain": torch.tensor(
            worst_case_sharpness(model, batches, how.plain_radius, adaptive=False, iterations=how.iterations)
        ),
    }
    save_tensors(path, tensors, identity)


def _training_record(root: Path, config: RunConfig, seed: int) -> dict[str, Any]:
    """Device, versions and seconds of a member's training; SharpBalance's and SGD's seconds include the first phase."""
    paths = [run_folder(root, config) / f"member-{seed}.json"]
    if config.method != "sam":
        paths.append(_first_phase_path(root, config, seed).with_suffix(".json"))
    records = [load_json(path) for path in paths if path.exists()]
    seconds = sum(record["seconds"] for record in records) if len(records) == len(paths) else None
    return {**(records[0] if records else {}), "seconds": seconds}


def _errors(
    probs: Float[Tensor, "*axes samples classes"], labels: Int[Tensor, " samples"]
) -> Bool[Tensor, "*axes samples"]:
    return probs.argmax(dim=-1) != labels


@torch.inference_mode()
def _probabilities(
    model: torch.nn.Module, data: ImageData, images: Float[Tensor, "samples channels height width"]
) -> Float[Tensor, "samples classes"]:
    """Softmax outputs in evaluation mode, on the CPU in double precision."""
    with evaluation_mode(model):
        logits = torch.cat([model(batch) for batch in data.normalize(images).split(500)])
    return logits.cpu().double().softmax(dim=1)  # MPS has no double precision


def _assemble(root: Path, config: RunConfig, how: MeasureConfig, device: torch.device) -> dict[str, Any]:
    """Metrics of the whole ensemble from its members' measurements, written to ``result.json``."""
    folder = run_folder(root, config)
    data = _data(config)
    measured = [load_tensors(folder / f"measured-{seed}.safetensors")[0] for seed in config.seeds]
    probs = torch.stack([m["probs"] for m in measured])
    corrupted = torch.stack([m["corrupted_probs"] for m in measured])
    members = [load_tensors(folder / f"member-{seed}.safetensors")[1] for seed in config.seeds]
    few = data.test_labels[: how.corrupted_samples]
    result = {
        "config": config.to_json(),
        "measure": asdict(how),
        "provenance": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "numpy": np.__version__,
            "safetensors": safetensors.__version__,
            "platform": f"{platform.system()} {platform.machine()}",
            "measured_on": str(device),
            "trained": [_training_record(root, config, seed) for seed in config.seeds],
        },
        "metrics": diversity(probs, data.test_labels),
        "members": {
            "seed": list(config.seeds),
            "sharpness": [float(m["sharpness"]) for m in measured],
            "sharpness_plain": [float(m["sharpness_plain"]) for m in measured],
            "train_accuracy": [float(m["train_accuracy"]) for m in measured],
            "train_loss": [float(m["loss"]) for m in members],
            "sam_samples": [int(m["sam_samples"]) for m in members],
        },
        "corrupted": {
            name: [diversity(corrupted[:, kind, level], few) for level in range(len(SEVERITIES))]
            for kind, name in enumerate(CORRUPTIONS)
        },
        # What bootstrapping over test points needs: predictions, and errors counted over corruptions and severities.
        "corrupted_errors": {
            "members": _errors(corrupted, few).sum(dim=(0, 1, 2)).tolist(),
            "ensemble": _errors(corrupted.mean(dim=0), few).sum(dim=(0, 1)).tolist(),
        },
        "predicted": probs.argmax(dim=2).tolist(),
        "predicted_ensemble": probs.mean(dim=0).argmax(dim=1).tolist(),
        "labels": data.test_labels.tolist(),
    }
    buffer = io.BytesIO()
    np.savez_compressed(buffer, probs=probs.numpy(), labels=data.test_labels.numpy())
    write_atomically(folder / "predictions.npz", buffer.getvalue())
    save_json(folder / "result.json", result)
    return result


def train_runs(
    configs: Iterable[RunConfig],
    root: Path,
    *,
    device: str = "cpu",
    workers: int | None = None,
    progress: Progress = lambda *_: None,
) -> None:
    """Train every member of every run that is not trained yet.

    SharpBalance starts from the SGD ensemble of the same seeds at the switch epoch, trained once for all runs that
    share it.
    On the CPU each member trains on one thread, and several at once; the result does not depend on how many. Processes are
    spawned: a script that calls this needs ``if __name__ == "__main__"``.

    Args:
        configs: the ensembles.
        root: folder of all runs.
        device: ``cpu``, ``cuda`` or ``mps``.
        workers: processes; default one per CPU core, and 1 on a GPU.
        progress: told after every finished piece.

    Raises:
        DivergenceError: if a member diverges.
        StoreError: if a stored file is damaged.
    """
    place = choose_device(device)
    configs = list(configs)
    for config in configs:
        _create(root, config)
    starts = dict.fromkeys(c.first_phase for c in configs if c.method != "sam")

    def members(cost: int, step: Callable[..., None], chosen: Iterable[RunConfig]) -> list[Piece]:
        return [(cost, partial(step, root, c, seed, place)) for c in chosen for seed in c.seeds]

    # Costs in half trainings by SGD; SAM has two passes a step.
    first = members(1, _train_first_phase, starts)
    sam = members(4, _train_member, [c for c in configs if c.method == "sam"])
    exchange: list[Piece] = [(0, partial(_exchange, root, c, place)) for c in configs if c.method == "sharpbalance"]
    second = members(1, _train_member, [c for c in configs if c.method == "sgd"])
    balanced = members(2, _train_member, [c for c in configs if c.method == "sharpbalance"])
    work([first + sam, exchange, second + balanced], place, workers, partial(progress, "training"))


def measure_runs(
    configs: Iterable[RunConfig],
    root: Path,
    *,
    how: MeasureConfig | None = None,
    device: str = "cpu",
    workers: int | None = None,
    progress: Progress = lambda *_: None,
) -> list[dict[str, Any]]:
    """Measure every trained run that is not measured yet, and write each run's ``result.json`` and ``predictions.npz``.

    Args:
        configs: trained ensembles.
        root: folder of all runs.
        how: settings of the measurement.
        device: ``cpu``, ``cuda`` or ``mps``.
        workers: processes; default one per CPU core, and 1 on a GPU.
        progress: told after every finished piece.

    Returns:
        Each run's result.

    Raises:
        StoreError: if a member is not trained, or a stored file is damaged.
        DivergenceError: if a member's loss is not finite.
    """
    how = how or MeasureConfig()
    place = choose_device(device)
    configs = list(configs)
    stale = [c for c in configs if not _is_measured(root, c, how)]
    pieces: list[Piece] = [(1, partial(_measure_member, root, c, seed, place, how)) for c in stale for seed in c.seeds]
    work([pieces], place, workers, partial(progress, "measuring"))
    for config in stale:
        _assemble(root, config, how, place)
    return [load_result(run_folder(root, config)) for config in configs]


def measure(folder: Path, *, how: MeasureConfig | None = None, device: str = "cpu") -> dict[str, Any]:
    """Measure the run in a folder.

    Args:
        folder: of a trained run.
        how: settings of the measurement.
        device: ``cpu``, ``cuda`` or ``mps``.

    Returns:
        The run's result.
    """
    return measure_runs([open_run(folder)], folder.resolve().parent, how=how, device=device)[0]


def _is_measured(root: Path, config: RunConfig, how: MeasureConfig) -> bool:
    folder = run_folder(root, config)
    if not ((folder / "result.json").exists() and (folder / "predictions.npz").exists()):
        return False
    result = load_result(folder)
    if result.get("config") != config.to_json():
        raise StoreError(f"{folder / 'result.json'} is another run's; delete it and run again")
    return bool(result.get("measure") == asdict(how))
