"""Measurement of one trained member: its outputs, features and sharpness, written to a file beside it."""

from pathlib import Path

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from sharpdiv.empirical.curvature.loss_surface import NormalizedLogits
from sharpdiv.empirical.curvature.measures import MEASURES
from sharpdiv.empirical.data.splits import ImageData
from sharpdiv.empirical.devices import float32_products, float64
from sharpdiv.empirical.models import ResNet, folded
from sharpdiv.empirical.predictions.representation import layer_features
from sharpdiv.empirical.runs.config import RunConfig
from sharpdiv.empirical.runs.folders import run_folder
from sharpdiv.empirical.runs.measure_config import MeasureConfig
from sharpdiv.empirical.runs.measured_images import corrupted_digest, corrupted_images, images_of_split, run_data
from sharpdiv.empirical.runs.member import load_member
from sharpdiv.empirical.store import digest, load_tensors, save_tensors

__all__ = ["OF_MEMBERS", "accuracy", "measure_member"]

OF_MEMBERS = ("train_accuracy", "train_loss", "last_epoch_loss", "weight_norm", "sam_samples")
"""Numbers of a member: the first two in evaluation mode, un-augmented; the third as it was trained; images treated with SAM."""


@float32_products()
def measure_member(root: Path, config: RunConfig, seed: int, device: torch.device, how: MeasureConfig) -> None:
    """Measure logits, probabilities under corruption, features and sharpness of one trained member, unless it is done.

    Args:
        root: folder of all runs.
        config: configuration of the run.
        seed: seed of the member.
        device: device to measure on.
        how: settings of the measurement.

    Raises:
        StoreError: if the member is not trained, or a stored file is damaged.

    Example: see ``train_runs``: ``measure_runs`` calls it.
    """
    folder = run_folder(root, config)
    path = folder / f"measured-{seed}.safetensors"
    trained_path = folder / f"member-{seed}.safetensors"
    # A measurement belongs to the very weights and images it was made of, and to its settings.
    identity = {"run": config.run_id, "member": load_tensors(trained_path)[1]["sha256"], "how": digest(how.to_json())}
    identity["corrupted"] = corrupted_digest(config, how)
    if path.exists() and {name: load_tensors(path)[1].get(name) for name in identity} == identity:
        return
    data = run_data(config)
    member = load_member(trained_path, config, data, seed, device)
    network = folded(member.model)
    images, _ = images_of_split(data, how)
    corrupted = corrupted_images(config, how, root)[1].flatten(0, 1)
    train_logits = _logits(network, data, data.train_images)
    tensors = {
        "logits": _logits(network, data, images),
        "validation_logits": _logits(network, data, data.validation_images),
        "corrupted_probs": torch.stack([_logits(network, data, x).softmax(dim=1) for x in corrupted]),
        "train_accuracy": accuracy(train_logits, data.train_labels),
        "train_loss": nn.functional.cross_entropy(train_logits.double(), data.train_labels),
        "last_epoch_loss": torch.tensor(member.losses[-1], dtype=torch.float64),
        "weight_norm": _weight_norm(member.model),
        "sam_samples": torch.tensor(sum(member.sam_samples)),
        **_features(member.model, data, images[: how.feature_samples]),
        **_sharpness(member.model, data, how),
    }
    save_tensors(path, tensors, identity)


@torch.inference_mode()
def _logits(network: ResNet, data: ImageData, images: Tensor) -> Float[Tensor, "samples classes"]:
    """Outputs of a network in evaluation mode, on the CPU."""
    device = next(network.parameters()).device
    batches = (data.normalize(x.to(device)).contiguous(memory_format=torch.channels_last) for x in images.split(100))
    outputs = [network(batch) for batch in batches]
    return torch.cat(outputs).cpu() if outputs else torch.zeros(0, data.classes)


def _weight_norm(model: nn.Module) -> Float[Tensor, ""]:
    """Euclidean norm of the weights of convolutions and head: all but norms and biases."""
    weights = [float64(p.detach()).square().sum() for p in model.parameters() if p.ndim > 1]
    return torch.stack(weights).sum().sqrt().cpu()


def accuracy(logits: Float[Tensor, "samples classes"], labels: Int[Tensor, " samples"]) -> Float[Tensor, ""]:
    """Fraction of the samples whose label has the largest logit or probability.

    Args:
        logits: logits or probabilities.
        labels: true classes, counted from 0.

    Returns:
        A scalar in float64.

    Examples:
        >>> import torch
        >>> from sharpdiv.empirical.runs.measure_member import accuracy
        >>> accuracy(torch.tensor([[2.0, 1.0], [0.0, 3.0]]), torch.tensor([0, 0])).item()
        0.5
    """
    return (logits.argmax(dim=1) == labels).double().mean()


def _features(model: nn.Module, data: ImageData, images: Tensor) -> dict[str, Tensor]:
    """Features behind every block, averaged over positions."""
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
    taken = {name: MEASURES[name].take(network, batches, how) for name in how.sharpness}
    return {f"sharpness.{name}": torch.tensor(value, dtype=torch.float64).reshape(2) for name, value in taken.items()}
