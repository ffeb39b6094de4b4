"""What is measured of one member of anybody's ensemble: outputs, training accuracy, sharpness, features."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from sharpdiv.empirical.batches import Batch, outputs_of
from sharpdiv.empirical.curvature.loss_surface import NormalizedLogits
from sharpdiv.empirical.curvature.measures import MEASURES
from sharpdiv.empirical.curvature.untouched import untouched
from sharpdiv.empirical.devices import float64
from sharpdiv.empirical.ensembles.fixed import FixedBatches, on_device
from sharpdiv.empirical.errors import DivergenceError, InputError
from sharpdiv.empirical.predictions.checked import checked_labels
from sharpdiv.empirical.predictions.representation import layer_features
from sharpdiv.empirical.runs.measure_config import MeasureConfig

__all__ = ["Member", "Work", "device_of", "measure_member", "predict"]

_SUM_TOLERANCE = 1e-3  # as far as sums of probabilities in single precision may be off


@dataclass(frozen=True)
class Work:
    """What is to be measured of every member."""

    how: MeasureConfig
    """settings"""
    test: FixedBatches
    """what predictions are made for"""
    train: FixedBatches | None
    """what training accuracy is taken on"""
    sharpness: Sequence[Batch]
    """what sharpness is taken on; none for no sharpness"""
    corrupted: Mapping[str, Sequence[FixedBatches]]
    """test data by corruption and severity"""
    layers: tuple[str, ...]
    """names of the layers whose features are compared"""


@dataclass(frozen=True)
class Member:
    """What was measured of one member; tensors are on the CPU."""

    name: str
    """what it is called in messages and results"""
    logits: Float[Tensor, "samples classes"]
    """its outputs, in float64"""
    corrupted: Mapping[str, Sequence[Float[Tensor, "_ classes"]]]
    """the same for corrupted data"""
    train: tuple[float, float] | None
    """accuracy and loss on the training data"""
    sharpness: Mapping[str, tuple[float, float]]
    """value and standard error by measure"""
    features: Mapping[str, Float[Tensor, "some _"]]
    """features of the first test samples by layer"""


def measure_member(model: nn.Module, name: str, work: Work) -> tuple[Member, Int[Tensor, " samples"]]:
    """Measure one network where it is, in evaluation mode; afterwards it is what it was.

    Args:
        model: network with outputs ``(samples, classes)``.
        name: what it is called in messages.
        work: what is to be measured.

    Returns:
        The measurements, and labels of the test data.

    Raises:
        InputError: if the network does not fit the data, or cannot be measured; the message names it.
        DivergenceError: if its outputs or losses are not finite.

    Example: see ``measure_ensemble``, which calls it.
    """
    device = device_of(model, name)
    try:
        with untouched(model):
            logits, labels = predict(model, work.test, device)
            corrupted = {
                kind: [predict(model, level, device)[0] for level in levels] for kind, levels in work.corrupted.items()
            }
            train = _fit(model, work.train, device) if work.train else None
            features = _features(model, work, device)
        return Member(name, logits, corrupted, train, _sharpness(model, work, device), features), labels
    except (InputError, DivergenceError) as error:
        raise type(error)(f"{name}: {error}") from error


def device_of(model: nn.Module, name: str) -> torch.device:
    """The one device of a network's weights and buffers.

    Args:
        model: any module.
        name: what it is called in a message.

    Returns:
        The device; the CPU for a network without weights.

    Raises:
        InputError: if it is no network, or on several devices.

    Examples:
        >>> import torch
        >>> from sharpdiv.empirical.ensembles.members import device_of
        >>> device_of(torch.nn.Linear(1, 1), "member 1")
        device(type='cpu')
    """
    if not isinstance(model, nn.Module):
        raise InputError(f"{name} must be a torch.nn.Module, got {type(model).__name__}")
    found = {tensor.device for tensor in (*model.parameters(), *model.buffers())}
    if len(found) > 1:
        raise InputError(f"{name} is on {' and '.join(sorted(map(str, found)))}; it must be on one device")
    return found.pop() if found else torch.device("cpu")


@torch.no_grad()
def predict(
    model: nn.Module, data: Iterable[Batch], device: torch.device
) -> tuple[Float[Tensor, "samples classes"], Int[Tensor, " samples"]]:
    """Outputs of a network as it is, and labels.

    Args:
        model: network in evaluation mode.
        data: batches of inputs and labels.
        device: the network's.

    Returns:
        Outputs in float64 and labels, on the CPU.

    Raises:
        InputError: if outputs are no logits ``(samples, classes)``, or labels do not fit.
        DivergenceError: if outputs are not finite.

    Examples:
        >>> import torch
        >>> from sharpdiv.empirical.ensembles.members import predict
        >>> data = [(torch.tensor([[1.0, 2.0]]), torch.tensor([1]))]
        >>> predict(torch.nn.Identity(), data, torch.device("cpu"))
        (tensor([[1., 2.]], dtype=torch.float64), tensor([1]))
    """
    outputs, labels = [], []
    for batch in data:
        found = _outputs(model, on_device(batch, device))
        outputs.append(float64(found).cpu())
        labels.append(checked_labels(batch[1], *found.shape).cpu())
    logits = torch.cat(outputs)
    if not torch.isfinite(logits).all():
        raise DivergenceError("outputs are not finite; did its training diverge?")
    if logits.min() >= 0 and (logits.sum(dim=1) - 1).abs().max() < _SUM_TOLERANCE:
        raise InputError("outputs are probabilities, and logits are expected: leave the softmax out, or return its log")
    return logits, torch.cat(labels)


def _outputs(model: nn.Module, batch: Batch) -> Float[Tensor, "samples classes"]:
    """Outputs for a batch; what the network raises becomes one line."""
    inputs, targets = batch
    try:
        found = outputs_of(model, inputs)
    except (InputError, torch.OutOfMemoryError):
        raise
    except (RuntimeError, TypeError, ValueError, LookupError, AttributeError) as error:
        raise InputError(f"does not take this data ({type(error).__name__}: {error})") from error
    if found.ndim != 2 or found.shape[1] < 2 or not found.is_floating_point():
        raise InputError(
            f"outputs must be logits (samples, classes >= 2), got {found.dtype} of shape {tuple(found.shape)}"
        )
    if len(found) != len(targets):
        raise InputError(f"there are {len(found)} outputs for {len(targets)} samples")
    return found


@torch.no_grad()
def _fit(model: nn.Module, data: FixedBatches, device: torch.device) -> tuple[float, float]:
    """Accuracy and mean cross entropy."""
    logits, labels = predict(model, data, device)
    accuracy = (logits.argmax(dim=1) == labels).double().mean()
    return float(accuracy), float(nn.functional.cross_entropy(logits, labels))


def _features(model: nn.Module, work: Work, device: torch.device) -> dict[str, Tensor]:
    """Features of the first test samples."""
    if not work.layers:
        return {}
    found = [
        layer_features(model, on_device(batch, device)[0], work.layers)
        for batch in work.test.first(work.how.feature_samples)
    ]
    return {layer: torch.cat([part[layer] for part in found]).cpu() for layer in work.layers}


def _sharpness(model: nn.Module, work: Work, device: torch.device) -> dict[str, tuple[float, float]]:
    """Every measure asked for, with its standard error where it is an estimate (0 where not)."""
    if not work.sharpness:
        return {}
    batches = [on_device(batch, device) for batch in work.sharpness]
    network = NormalizedLogits(model) if work.how.normalize_logits else model
    return {name: MEASURES[name].take(network, batches, work.how) for name in work.how.sharpness}
