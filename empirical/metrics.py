"""Metrics of an ensemble's predictions ``(members, samples, classes)``, from any framework."""

from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from empirical.errors import InputError

__all__ = ["diversity", "load_predictions", "vote"]

_CLIP = 1e-12  # floor of a probability inside a logarithm
_BINS = 15  # of the calibration error (Guo et al. 2017)
_SUM_TOLERANCE = 1e-3  # half-precision softmax outputs sum to one within this

Metrics = dict[str, float | list[float] | None]


def diversity(probs: Tensor, labels: Tensor) -> Metrics:
    """Accuracy, diversity, calibration and likelihood of an ensemble.

    Keys: ``accuracy_members`` (list), ``accuracy_mean``, ``accuracy_ensemble`` (mean probabilities), ``accuracy_vote``
    (majority, ties to the higher mean probability); ``disagreement``, mean over member pairs of the fraction of samples
    with different predictions; ``der = disagreement / mean member error``; ``eir = (mean member error - ensemble error)
    / mean member error`` from mean probabilities and ``eir_vote`` from the vote (all three None at zero error);
    ``variance``, unbiased over members, summed over classes, averaged over samples; ``kl``, mean over ordered pairs of
    members, in nats; ``nll_mean``, ``nll_ensemble``, in nats, ``ece_mean``, ``ece_ensemble``: 15 equal-width
    right-closed bins of the top probability. Probabilities are clipped at 1e-12 in logarithms.

    Args:
        probs: ``(members, samples, classes)``, rows sum to one.
        labels: ``(samples,)``, classes from 0.

    Returns:
        The metrics, as Python numbers.

    Raises:
        InputError: if there are fewer than two members, no samples, entries that are not probabilities, labels out of
            range, or shapes that do not match.
    """
    probs, labels = _checked(probs, labels)
    members, _, _ = probs.shape
    predicted = probs.argmax(dim=2)
    mean_probs = probs.mean(dim=0)
    correct = predicted == labels
    accuracy_members = correct.double().mean(dim=1)
    accuracy_mean = accuracy_members.mean()
    accuracy_ensemble = (mean_probs.argmax(dim=1) == labels).double().mean()
    accuracy_vote = (vote(predicted, mean_probs) == labels).double().mean()
    disagreement = _pair_mean((predicted[:, None] != predicted[None]).double().mean(dim=2))

    log_probs = probs.clamp_min(_CLIP).log()
    # Clip both factors alike, so that a certain prediction contributes 0 against itself.
    entropy = (probs * log_probs).sum(dim=2).mean(dim=1)
    cross = torch.einsum("isc,jsc->ij", probs, log_probs) / probs.shape[1]
    nll_members = -log_probs.gather(2, labels.expand(members, -1)[..., None]).mean(dim=(1, 2))
    nll_ensemble = -mean_probs.clamp_min(_CLIP).log().gather(1, labels[:, None]).mean()

    error = 1 - float(accuracy_mean)
    return {
        "accuracy_members": accuracy_members.tolist(),
        "accuracy_mean": float(accuracy_mean),
        "accuracy_ensemble": float(accuracy_ensemble),
        "accuracy_vote": float(accuracy_vote),
        "disagreement": float(disagreement),
        "der": float(disagreement) / error if error else None,
        "eir": float(accuracy_ensemble - accuracy_mean) / error if error else None,
        "eir_vote": float(accuracy_vote - accuracy_mean) / error if error else None,
        "variance": float(probs.var(dim=0, unbiased=True).sum(dim=1).mean()),
        "kl": float(_pair_mean(entropy[:, None] - cross)),
        "nll_mean": float(nll_members.mean()),
        "nll_ensemble": float(nll_ensemble),
        "ece_mean": sum(_calibration_error(p, labels) for p in probs) / members,
        "ece_ensemble": _calibration_error(mean_probs, labels),
    }


def vote(
    predicted: Int[Tensor, "members samples"], mean_probs: Float[Tensor, "samples classes"]
) -> Int[Tensor, " samples"]:
    """Majority vote of the members, ties to the class of the higher mean probability.

    Args:
        predicted: classes.
        mean_probs: decides between classes with equally many votes.

    Returns:
        The winning classes.
    """
    counts = torch.nn.functional.one_hot(predicted, mean_probs.shape[1]).sum(dim=0)
    winners = counts == counts.max(dim=1, keepdim=True).values
    return torch.where(winners, mean_probs, -torch.ones_like(mean_probs)).argmax(dim=1)


def _checked(probs: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    if probs.ndim != 3 or probs.shape[2] < 2 or not probs.shape[1]:
        raise InputError(f"probs must have shape (members, samples, classes >= 2), got {tuple(probs.shape)}")
    if probs.shape[0] < 2:
        raise InputError(f"diversity needs at least 2 members, got {probs.shape[0]}")
    if labels.shape != probs.shape[1:2]:
        raise InputError(f"labels must have shape ({probs.shape[1]},) to match probs, got {tuple(labels.shape)}")
    probs = probs.double()
    if not torch.isfinite(probs).all() or probs.min() < 0:
        raise InputError("probs must be finite and non-negative; are these logits? apply a softmax first")
    worst = float((probs.sum(dim=2) - 1).abs().max())
    if worst > _SUM_TOLERANCE:
        raise InputError(f"probs must sum to one over classes, some are off by {worst:.3g}")
    if labels.is_floating_point() or labels.dtype == torch.bool:
        raise InputError(f"labels must be integers, got {labels.dtype}")
    if labels.min() < 0 or labels.max() >= probs.shape[2]:
        raise InputError(
            f"labels must lie between 0 and {probs.shape[2] - 1} for {probs.shape[2]} classes, "
            f"got {int(labels.min())} to {int(labels.max())}"
        )
    return probs, labels.to(device=probs.device, dtype=torch.int64)


def _pair_mean(matrix: Float[Tensor, "members members"]) -> Tensor:
    """Mean over ordered pairs of different members."""
    members = len(matrix)
    return (matrix.sum() - matrix.diagonal().sum()) / (members * (members - 1))


def _calibration_error(probs: Float[Tensor, "samples classes"], labels: Int[Tensor, " samples"]) -> float:
    confidence, predicted = probs.max(dim=1)
    correct = (predicted == labels).double()
    bins = (confidence * _BINS).ceil().long().clamp(1, _BINS) - 1
    gaps = torch.zeros(_BINS, dtype=torch.float64, device=probs.device).index_add(0, bins, correct - confidence)
    return float(gaps.abs().sum() / len(labels))


def load_predictions(path: Path) -> tuple[Float[Tensor, "members samples classes"], Int[Tensor, " samples"]]:
    """Read ``probs`` and ``labels`` from an .npz file written by any framework.

    Returns:
        What ``diversity`` takes.

    Raises:
        InputError: if the file cannot be read, or lacks an array or a numeric type; the message names it.
    """
    try:
        # Opened here: np.load leaks its own handle when the archive is damaged.
        with path.open("rb") as handle, np.load(handle, allow_pickle=False) as file:
            arrays = {name: file[name] for name in ("probs", "labels") if name in file.files}
    except FileNotFoundError:
        raise InputError(f"{path} does not exist") from None
    # A damaged archive fails in many ways: bad zip, bad checksum, short read, object arrays, a plain .npy.
    except Exception as error:
        raise InputError(f"{path} is not a readable .npz file of plain arrays ({error})") from error
    for name, shape, kinds in (("probs", "(members, samples, classes)", "f"), ("labels", "(samples,)", "iu")):
        if name not in arrays:
            raise InputError(f"{path} has no array {name!r} of shape {shape}")
        if not isinstance(arrays[name], np.ndarray):
            raise InputError(f"{path}: {name} is not an array")
        if arrays[name].dtype.kind not in kinds:
            raise InputError(
                f"{path}: {name} must be {'floating' if kinds == 'f' else 'integer'}, got {arrays[name].dtype}"
            )
    return torch.as_tensor(arrays["probs"].astype(np.float64)), torch.as_tensor(arrays["labels"].astype(np.int64))
