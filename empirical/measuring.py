"""Measurement of trained runs: predictions clean and corrupted, sharpness and features of members, metrics of ensembles.

runs/<run id>/measured-<seed>.safetensors      a member's logits, probabilities under corruption, features, sharpness
runs/<run id>/predictions.npz                  probs, logits (members, samples, classes) and labels (samples,)
runs/<run id>/result.json                      configuration, provenance and every measured number; under corruption a list over
                                               severities for each metric, to six digits
runs/<run id>/record.npz                       the same and what claims are computed from, small: see ``record.py``
"""

import io
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor, nn

from empirical.average_sharpness import average_case_sharpness
from empirical.bootstrap import bootstrap
from empirical.config import RunConfig
from empirical.corruption_files import PUBLISHED_CORRUPTIONS, PublishedKind, load_published
from empirical.corruptions import CORRUPTIONS, SEVERITIES, corrupt
from empirical.data import TEST_ORDER, ImageData, stratified_order
from empirical.datasets import data_folder
from empirical.errors import InputError, StoreError
from empirical.hessian import hessian_eigenvalues, hessian_trace
from empirical.loss_surface import NormalizedLogits
from empirical.metrics import Metrics, by_size, diversity, logit_variance
from empirical.models import ResNet, folded
from empirical.per_sample import per_sample_sharpness
from empirical.provenance import provenance
from empirical.record import RunRecord, save_record
from empirical.representation import layer_features, member_cka
from empirical.runs import Progress, load_run_data, open_run, run_folder, training_record
from empirical.sharpness import one_step_sharpness, worst_case_sharpness
from empirical.store import digest, load_json, load_tensors, save_json, save_tensors, write_atomically
from empirical.training import load_member
from empirical.workers import Piece, choose_device, work

__all__ = ["MeasureConfig", "Sharpness", "load_result", "measure", "measure_runs"]

Sharpness = Literal[
    "worst_l2_adaptive",
    "worst_l2",
    "worst_linf_adaptive",
    "worst_linf",
    "average_l2_adaptive",
    "average_l2",
    "one_step",
    "hessian_top",
    "hessian_trace",
    "fisher_trace",
]
Batches = list[tuple[Tensor, Tensor]]

_OF_MEMBERS = ("train_accuracy", "train_loss", "last_epoch_loss", "weight_norm", "sam_samples")
"""Numbers of a member: the first two in evaluation mode, un-augmented; the third as it was trained; images treated with SAM."""

_PUBLISHED: dict[str, tuple[PublishedKind, str]] = {
    "cifar10": ("cifar10-c", "CIFAR-10-C"),
    "cifar100": ("cifar100-c", "CIFAR-100-C"),
    "tiny-imagenet": ("tiny-imagenet-c", "Tiny-ImageNet-C"),
}
"""Published corrupted test set of a data set, and the folder below that of the data sets that it is unpacked to."""


@dataclass(frozen=True)
class MeasureConfig:
    """How a trained ensemble is measured; defaults as in Andriushchenko et al. (2023) and the authors' code.

    Raises:
        InputError: if a number is outside its domain, or a measure does not exist or not of normalised logits.
    """

    split: Literal["test", "validation"] = "test"
    """images that predictions are made on"""
    sharpness: tuple[Sharpness, ...] = ("worst_l2_adaptive", "worst_l2")
    """measures of sharpness to take; the first is what claims are about"""
    adaptive_l2_radius: float = 0.5
    """of the worst and average case in the adaptive l2 ball"""
    l2_radius: float = 0.1
    """of the l2 ball without adaptive scaling"""
    adaptive_linf_radius: float = 0.002
    """of the adaptive linf ball"""
    linf_radius: float = 0.001
    """of the linf ball without adaptive scaling"""
    average_radius: float = 0.1
    """standard deviation, relative to each weight if adaptive, of the average case"""
    one_step_rho: float = 0.1
    """length of SAM's own ascent step"""
    normalize_logits: bool = False
    """measure sharpness of the network with normalised logits"""
    iterations: int = 20
    """ascent steps of the worst case"""
    restarts: int = 1
    """ascents of the worst case, all but the first from random points"""
    draws: int = 20
    """random perturbations of the average case, for each batch"""
    trace_draws: int = 20
    """random directions of the Hessian's trace, for each batch"""
    eigenvalue_tolerance: float = 1e-2
    """relative error of the Hessian's largest eigenvalue"""
    sharpness_samples: int = 1024
    """first training images, un-augmented"""
    sharpness_batch: int = 128
    """images in a batch of the sharpness"""
    corrupted: Literal["generated", "published"] = "generated"
    """corrupted images: made here from those of the split (14 corruptions), or the published files of the test set (15)"""
    corrupted_samples: int = 300
    """first images, under every corruption and severity"""
    stored_samples: int = 4000
    """first images whose probabilities the record keeps"""
    feature_samples: int = 1000
    """first images, whose features are compared between members"""
    replicates: int = 2000
    """of the bootstrap over images"""
    seed: int = 0
    """of random starts, perturbations and directions"""

    def __post_init__(self) -> None:
        if unknown := set(self.sharpness) - set(get_args(Sharpness)):
            raise InputError(f"sharpness must be of {', '.join(get_args(Sharpness))}; got {', '.join(sorted(unknown))}")
        if self.normalize_logits and "fisher_trace" in self.sharpness:
            raise InputError("per-sample scores have no normalised logits; leave out fisher_trace or normalize_logits")
        for name, value in asdict(self).items():
            number = isinstance(value, int | float) and not isinstance(value, bool)
            if number and not (0 < value < float("inf") or (name == "seed" and value == 0)):
                raise InputError(f"{name} must be finite and positive, got {value}")

    def to_json(self) -> dict[str, Any]:
        """All fields as JSON values.

        Returns:
            A dictionary.
        """
        return {**asdict(self), "sharpness": list(self.sharpness)}


def load_result(folder: Path) -> dict[str, Any]:
    """Measured numbers of a run.

    Returns:
        The content of ``result.json``.
    """
    return load_json(folder / "result.json")


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
    if not all((folder / name).exists() for name in ("result.json", "predictions.npz", "record.npz")):
        return False
    result = load_result(folder)
    if result.get("config") != config.to_json():
        raise StoreError(f"{folder / 'result.json'} is another run's; delete it and run again")
    return bool(result.get("measure") == how.to_json())


# A process measures many members of many runs on the same images: they are kept by what they depend on.
_load = lru_cache(maxsize=1)(load_run_data)


def _source(config: RunConfig) -> RunConfig:
    """The same for all runs on the same data."""
    names = ("data", "train_samples", "validation_samples", "split_seed")
    return RunConfig("sgd", **{name: getattr(config, name) for name in names})


def _data_of(config: RunConfig) -> ImageData:
    return _load(_source(config))


def _images(data: ImageData, how: MeasureConfig) -> tuple[Tensor, Tensor]:
    """Images and labels that predictions are made on."""
    if how.split == "validation" and not len(data.validation_labels):
        raise InputError("the run holds no images out for validation; train with validation samples or measure on test")
    if how.split == "validation":
        return data.validation_images, data.validation_labels
    return data.test_images, data.test_labels


@lru_cache(maxsize=1)
def _corrupted(
    source: RunConfig, how: MeasureConfig
) -> tuple[
    tuple[str, ...], UInt8[Tensor, "corruptions severities samples channels height width"], Int[Tensor, " samples"]
]:
    """Names, images and labels: the first images under every corruption and severity, alike for every run and device."""
    if how.corrupted == "published":
        return _published(source, how)
    images, labels = (values[: how.corrupted_samples] for values in _images(_load(source), how))
    corrupted = [
        torch.stack([corrupt(images, name, severity, seed=10 * kind + severity) for severity in SEVERITIES])
        for kind, name in enumerate(CORRUPTIONS)
    ]
    return CORRUPTIONS, torch.stack(corrupted), labels


def _published(source: RunConfig, how: MeasureConfig) -> tuple[tuple[str, ...], Tensor, Tensor]:
    if source.data not in _PUBLISHED or how.split != "test":
        raise InputError(
            f"corrupted images are published of the test images of {', '.join(_PUBLISHED)}; use generated ones"
        )
    kind, folder = _PUBLISHED[source.data]
    names = PUBLISHED_CORRUPTIONS[:15]
    read = [[load_published(data_folder() / folder, name, severity, kind) for severity in SEVERITIES] for name in names]
    labels = read[0][0][1]
    # CIFAR's files have the test set's own order, so that this makes the first images the same ones; Tiny-ImageNet-C is sorted
    # by class, and its first images are others in the same shares.
    some = stratified_order(labels)[: how.corrupted_samples]
    images = torch.stack([torch.stack([level[some] for level, _ in levels]) for levels in read])
    return names, images, labels[some]


def _measure_member(root: Path, config: RunConfig, seed: int, device: torch.device, how: MeasureConfig) -> None:
    """Logits, probabilities under corruption, features and sharpness of one trained member."""
    folder = run_folder(root, config)
    path = folder / f"measured-{seed}.safetensors"
    trained_path = folder / f"member-{seed}.safetensors"
    # A measurement belongs to the very weights it was made of, and to its settings.
    identity = {"run": config.run_id, "member": load_tensors(trained_path)[1]["sha256"], "how": digest(how.to_json())}
    if path.exists() and {name: load_tensors(path)[1].get(name) for name in identity} == identity:
        return
    data = _data_of(config)
    member = load_member(trained_path, config, data, seed, device)
    images, _ = _images(data, how)
    corrupted = _corrupted(_source(config), how)[1].flatten(0, 1)
    train_logits = _logits(member.model, data, data.train_images)
    tensors = {
        "logits": _logits(member.model, data, images),
        "validation_logits": _logits(member.model, data, data.validation_images),
        "corrupted_probs": torch.stack([_logits(member.model, data, x).softmax(dim=1) for x in corrupted]),
        "train_accuracy": _accuracy(train_logits, data.train_labels),
        "train_loss": nn.functional.cross_entropy(train_logits.double(), data.train_labels),
        "last_epoch_loss": torch.tensor(member.losses[-1], dtype=torch.float64),
        "weight_norm": _weight_norm(member.model),
        "sam_samples": torch.tensor(sum(member.sam_samples)),
        **_features(member.model, data, images[: how.feature_samples]),
        **_sharpness(member.model, data, how),
    }
    save_tensors(path, tensors, identity)


@torch.inference_mode()
def _logits(model: ResNet, data: ImageData, images: Tensor) -> Float[Tensor, "samples classes"]:
    """Outputs in evaluation mode, on the CPU."""
    device = next(model.parameters()).device
    network = folded(model)
    batches = (data.normalize(x.to(device)).contiguous(memory_format=torch.channels_last) for x in images.split(100))
    outputs = [network(batch) for batch in batches]
    return torch.cat(outputs).cpu() if outputs else torch.zeros(0, data.classes)


def _weight_norm(model: nn.Module) -> Float[Tensor, ""]:
    """Euclidean norm of the weights of convolutions and head: all but norms and biases."""
    weights = [p.detach().double().square().sum() for p in model.parameters() if p.ndim > 1]
    return torch.stack(weights).sum().sqrt().cpu()


def _accuracy(logits: Float[Tensor, "samples classes"], labels: Int[Tensor, " samples"]) -> Float[Tensor, ""]:
    return (logits.argmax(dim=1) == labels).double().mean()


def _features(model: nn.Module, data: ImageData, images: Tensor) -> dict[str, Tensor]:
    """Features behind every stage, averaged over positions."""
    device = next(model.parameters()).device
    layers = [name for name, module in model.named_modules() if name.startswith("blocks.") and name.count(".") == 1]
    features = layer_features(model, data.normalize(images.to(device)), layers)
    return {f"features.{name}": value.cpu() for name, value in features.items()}


def _sharpness(model: nn.Module, data: ImageData, how: MeasureConfig) -> dict[str, Tensor]:
    """Every measure asked for, with its standard error where it is an estimate (0 where not)."""
    device = next(model.parameters()).device
    images = data.normalize(data.train_images[: how.sharpness_samples].to(device))
    labels = data.train_labels[: how.sharpness_samples].to(device)
    batches = list(zip(images.split(how.sharpness_batch), labels.split(how.sharpness_batch), strict=True))
    network = NormalizedLogits(model) if how.normalize_logits else model
    measures = _measures(network, batches, how)
    return {
        f"sharpness.{name}": torch.tensor(measures[name](), dtype=torch.float64).reshape(2) for name in how.sharpness
    }


def _measures(
    model: nn.Module, batches: Batches, how: MeasureConfig
) -> dict[Sharpness, Callable[[], tuple[float, float]]]:
    def worst(radius: float, adaptive: bool, norm: Literal["l2", "linf"]) -> Callable[[], tuple[float, float]]:
        generator = torch.Generator().manual_seed(how.seed)
        return lambda: (
            worst_case_sharpness(
                model,
                batches,
                radius,
                adaptive,
                norm,
                iterations=how.iterations,
                restarts=how.restarts,
                generator=generator,
            ),
            0.0,
        )

    def average(adaptive: bool) -> Callable[[], tuple[float, float]]:
        generator = torch.Generator().manual_seed(how.seed)
        return lambda: average_case_sharpness(
            model, batches, how.average_radius, adaptive, draws=how.draws, generator=generator
        )

    def top_eigenvalue() -> float:
        return float(hessian_eigenvalues(model, batches, tolerance=how.eigenvalue_tolerance, seed=how.seed)[0])

    def fisher() -> tuple[float, float]:
        scores = torch.cat([per_sample_sharpness(model, x, y) for x, y in batches]).double()
        return float(scores.mean()), float(scores.std() / len(scores) ** 0.5)

    return {
        "worst_l2_adaptive": worst(how.adaptive_l2_radius, True, "l2"),
        "worst_l2": worst(how.l2_radius, False, "l2"),
        "worst_linf_adaptive": worst(how.adaptive_linf_radius, True, "linf"),
        "worst_linf": worst(how.linf_radius, False, "linf"),
        "average_l2_adaptive": average(True),
        "average_l2": average(False),
        "one_step": lambda: (one_step_sharpness(model, batches, how.one_step_rho), 0.0),
        "hessian_top": lambda: (top_eigenvalue(), 0.0),
        "hessian_trace": lambda: hessian_trace(model, batches, how.trace_draws, seed=how.seed),
        "fisher_trace": fisher,
    }


def _assemble(root: Path, config: RunConfig, how: MeasureConfig, device: torch.device) -> None:
    """Metrics of the whole ensemble from its members' measurements, written to ``result.json``."""
    folder = run_folder(root, config)
    data = _data_of(config)
    _, labels = _images(data, how)
    measured = [load_tensors(folder / f"measured-{seed}.safetensors")[0] for seed in config.seeds]
    corrupted = torch.stack([m["corrupted_probs"] for m in measured]).double()
    logits = torch.stack([m["logits"] for m in measured]).double()
    probs = logits.softmax(dim=2)
    features = [name for name in measured[0] if name.startswith("features.")]
    intervals = bootstrap(probs, labels, how.replicates)
    result = {
        "config": config.to_json(),
        "measure": how.to_json(),
        "provenance": {
            **provenance(device),
            "data_sha256": data.source,
            "test_order": TEST_ORDER,
            "trained": [training_record(root, config, seed) for seed in config.seeds],
        },
        "metrics": diversity(probs, labels) | {"logit_variance": logit_variance(logits)},
        "intervals": {name: [value.low, value.high] for name, value in intervals.items()},
        "by_size": by_size(probs, labels),
        "cka": {name.removeprefix("features."): member_cka([m[name] for m in measured]) for name in features},
        "members": {
            "seed": list(config.seeds),
            "sharpness": {name: [float(m[f"sharpness.{name}"][0]) for m in measured] for name in how.sharpness},
            "sharpness_stderr": {name: [float(m[f"sharpness.{name}"][1]) for m in measured] for name in how.sharpness},
            **{name: [m[name].item() for m in measured] for name in _OF_MEMBERS},
        },
        "validation": _held_out(torch.stack([m["validation_logits"] for m in measured]), data.validation_labels),
        **_on_corrupted(config, how, corrupted),
    }
    _, _, corrupted_labels = _corrupted(_source(config), how)
    with_ensemble = torch.cat([corrupted, corrupted.mean(dim=0, keepdim=True)])
    record = RunRecord(
        result,
        labels.numpy(),
        probs.argmax(dim=2).numpy(),
        probs.mean(dim=0).argmax(dim=1).numpy(),
        probs[:, : how.stored_samples].numpy(),
        _errors(with_ensemble, corrupted_labels).numpy(),
        _nll(with_ensemble, corrupted_labels).mean(dim=1).numpy(),
    )
    save_record(folder / "record.npz", record)
    buffer = io.BytesIO()
    np.savez_compressed(buffer, probs=probs.numpy(), logits=logits.numpy(), labels=labels.numpy())
    write_atomically(folder / "predictions.npz", buffer.getvalue())
    save_json(folder / "result.json", result)


def _on_corrupted(config: RunConfig, how: MeasureConfig, probs: Tensor) -> dict[str, Any]:
    """Metrics on corrupted images, of probabilities ``(members, corruptions and severities, samples, classes)``."""
    names, _, labels = _corrupted(_source(config), how)
    probs = probs.unflatten(1, (len(names), len(SEVERITIES)))
    return {
        "corrupted": {
            name: _by_severity([diversity(level, labels) for level in probs[:, kind].unbind(dim=1)])
            for kind, name in enumerate(names)
        },
        "corrupted_by_size": by_size(probs.flatten(1, 3), labels.repeat(len(names) * len(SEVERITIES))),
    }


def _by_severity(levels: list[Metrics]) -> dict[str, list[Any]]:
    """A list over severities for each metric but the list of members, to six digits: all else would swell the results."""
    return {name: [_six_digits(level[name]) for level in levels] for name in levels[0] if name != "accuracy_members"}


def _six_digits(value: Any) -> Any:
    return float(f"{value:.6g}") if isinstance(value, float) else value


def _held_out(
    logits: Float[Tensor, "members samples classes"], labels: Int[Tensor, " samples"]
) -> dict[str, Any] | None:
    """What is chosen by: accuracy on images that were neither trained nor tested on; None if the run has none."""
    if not len(labels):
        return None
    ensemble = logits.double().softmax(dim=2).mean(dim=0)
    return {
        "samples": len(labels),
        "accuracy_members": [_accuracy(each, labels).item() for each in logits],
        "accuracy_ensemble": _accuracy(ensemble, labels).item(),
        "nll_ensemble": _nll(ensemble, labels).mean().item(),
    }


def _nll(
    probs: Float[Tensor, "*axes samples classes"], labels: Int[Tensor, " samples"]
) -> Float[Tensor, "*axes samples"]:
    """Negative log-likelihood, of probabilities that are at least 1e-12 as in ``diversity``."""
    truth = probs.gather(-1, labels.expand(probs.shape[:-1])[..., None])[..., 0]
    return -truth.clamp_min(1e-12).log()


def _errors(
    probs: Float[Tensor, "*axes samples classes"], labels: Int[Tensor, " samples"]
) -> Bool[Tensor, "*axes samples"]:
    return probs.argmax(dim=-1) != labels
