"""Predictions of a user's as tensors that can be counted with: checked, in double precision."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from sharpdiv.empirical.errors import InputError

__all__ = ["checked_members", "checked_predictions", "float64"]

_SUM_TOLERANCE = 1e-3  # half-precision softmax outputs sum to one within this


def float64(tensor: Tensor) -> Tensor:
    """A tensor in double precision, on the CPU where its device has none (MPS).

    Args:
        tensor: numbers of any type.

    Returns:
        The same numbers in float64.

    Example:
        >>> import torch
        >>> from sharpdiv.empirical.predictions.checked import float64
        >>> float64(torch.ones(2))
        tensor([1., 1.], dtype=torch.float64)
    """
    return (tensor.cpu() if tensor.device.type == "mps" else tensor).double()


def checked_members(values: Tensor, name: str) -> Float[Tensor, "members samples classes"]:
    """Outputs of all members in double precision, after checks of what probabilities and logits have in common.

    Args:
        values: outputs ``(members, samples, classes)``.
        name: what they are called in a message.

    Returns:
        The same numbers.

    Raises:
        InputError: if there are fewer than two members or classes, no samples, or numbers that are not finite or not floating.

    Example:
        >>> import torch
        >>> from sharpdiv.empirical.predictions.checked import checked_members
        >>> checked_members(torch.zeros(2, 1, 3), "logits").dtype
        torch.float64
    """
    if values.ndim != 3 or values.shape[2] < 2 or not values.shape[1]:
        raise InputError(f"{name} must have shape (members, samples, classes >= 2), got {tuple(values.shape)}")
    if values.shape[0] < 2:
        raise InputError(f"diversity needs at least 2 members, got {values.shape[0]}")
    if not values.is_floating_point():
        raise InputError(f"{name} must be floating, got {values.dtype}")
    values = float64(values)
    if not torch.isfinite(values).all():
        raise InputError(f"{name} must be finite, got NaN or infinity")
    return values


def checked_predictions(
    probs: Tensor, labels: Tensor
) -> tuple[Float[Tensor, "members samples classes"], Int[Tensor, " samples"]]:
    """Probabilities in double precision and labels beside them, after all checks.

    Args:
        probs: probabilities ``(members, samples, classes)``, whose rows sum to one.
        labels: true classes ``(samples,)``, counted from 0.

    Returns:
        The same probabilities and labels, on one device.

    Raises:
        InputError: as ``diversity``.

    Example:
        >>> import torch
        >>> from sharpdiv.empirical.predictions.checked import checked_predictions
        >>> probs, labels = checked_predictions(torch.full((2, 1, 2), 0.5), torch.tensor([1], dtype=torch.uint8))
        >>> probs.dtype, labels.dtype
        (torch.float64, torch.int64)
    """
    probs = checked_members(probs, "probs")
    if labels.shape != probs.shape[1:2]:
        raise InputError(f"labels must have shape ({probs.shape[1]},) to match probs, got {tuple(labels.shape)}")
    if probs.min() < 0:
        raise InputError("probs must be non-negative; are these logits? apply a softmax first")
    worst = float((probs.sum(dim=2) - 1).abs().max())
    if worst > _SUM_TOLERANCE:
        raise InputError(f"probs must sum to one over classes, some are off by {worst:.3g}")
    if labels.is_floating_point() or labels.is_complex() or labels.dtype == torch.bool:
        raise InputError(f"labels must be integers, got {labels.dtype}")
    labels = labels.to(device=probs.device, dtype=torch.int64)
    if labels.min() < 0 or labels.max() >= probs.shape[2]:
        raise InputError(
            f"labels must lie between 0 and {probs.shape[2] - 1} for {probs.shape[2]} classes, "
            f"got {int(labels.min())} to {int(labels.max())}"
        )
    return probs, labels
