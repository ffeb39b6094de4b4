"""Predictions of a user's as tensors that can be counted with: checked, in double precision."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from sharpdiv.empirical.devices import float64
from sharpdiv.empirical.errors import InputError

__all__ = [
    "Array",
    "as_tensor",
    "checked_labels",
    "checked_members",
    "checked_predictions",
    "checked_probs",
    "normalized",
]

Array = Tensor | np.ndarray | Sequence[Any]
"""Numbers as users have them: a tensor, an array, or lists of either or of numbers."""

_SUM_TOLERANCE = 1e-3  # sums of probabilities in single precision, of many classes and by any softmax
_IGNORED = -100  # label that torch's losses skip


def as_tensor(values: Array, name: str) -> Tensor:
    """Numbers of any container as a tensor of their own type; a tensor stays on its device.

    Args:
        values: a tensor, an array of NumPy's (copied), numbers in lists, or a list of tensors, which are stacked.
        name: what they are called in a message.

    Returns:
        The tensor, without its graph; numbers in lists become float64 and int64.

    Raises:
        InputError: if they are not real numbers, of rows that differ in length, or masked.

    Examples:
        >>> from sharpdiv.empirical.predictions.checked import as_tensor
        >>> as_tensor([[0.5, 0.5]], "probs")
        tensor([[0.5000, 0.5000]], dtype=torch.float64)
    """
    if isinstance(values, Tensor):
        return values.detach()
    try:
        if isinstance(values, Sequence) and values and all(isinstance(each, Tensor) for each in values):
            return torch.stack([each.detach() for each in values])
        array = np.asarray(values)
    except (ValueError, TypeError, RuntimeError) as error:
        raise InputError(
            f"{name} must be an array of numbers, its rows of one length; got what is not ({error})"
        ) from error
    if np.ma.is_masked(values):
        raise InputError(f"{name} must have all their numbers, got a masked array; leave the masked samples out")
    if array.dtype.kind not in "biuf":
        raise InputError(f"{name} must be real numbers, got {array.dtype}")
    kept = np.float64 if array.dtype.kind == "f" and array.itemsize > 8 else array.dtype.newbyteorder("=")
    with np.errstate(over="ignore"):  # of an extended precision: the infinity is refused
        return torch.from_numpy(np.array(array, dtype=kept, order="C"))


def checked_members(values: Array, name: str) -> Float[Tensor, "members samples classes"]:
    """Outputs of all members in double precision, after checks of what probabilities and logits have in common.

    Args:
        values: outputs ``(members, samples, classes)``.
        name: what they are called in a message.

    Returns:
        The same numbers.

    Raises:
        InputError: if there are fewer than two members or classes, no samples, or numbers that are not finite or not floating.

    Examples:
        >>> import torch
        >>> from sharpdiv.empirical.predictions.checked import checked_members
        >>> checked_members(torch.zeros(2, 1, 3), "logits").dtype
        torch.float64
    """
    values = as_tensor(values, name)
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


def normalized(probs: Tensor) -> Float[Tensor, "*axes classes"]:
    """Probabilities in double precision whose sums are off by no more than their type explains.

    Types coarser than float32 are divided by their sums. With unit roundoff u (half of ``torch.finfo(dtype).eps``) and smallest
    positive number s, a rounded probability is off by at most ``u p + s / 2``, and by another ``u p`` if the softmax divided by a
    rounded sum: sums are off by at most ``2 u / (1 - u) + classes s / 2``, .0079 for bfloat16. Sums of float32 and float64
    may be off by .001 and stay as they are.

    Args:
        probs: probabilities ``(..., classes)`` of any floating type.

    Returns:
        The probabilities in float64.

    Raises:
        InputError: if sums are off by more.

    Examples:
        >>> import torch
        >>> from sharpdiv.empirical.predictions.checked import normalized
        >>> rounded = torch.tensor([1 / 3, 1 / 3, 1 / 3]).bfloat16()  # .333984375, three times
        >>> float(rounded.double().sum()), float(normalized(rounded).sum())
        (1.001953125, 1.0)
    """
    given, probs = torch.finfo(probs.dtype), float64(probs)
    roundoff = given.eps / 2
    explained = 2 * roundoff / (1 - roundoff) + probs.shape[-1] * given.smallest_normal * given.eps / 2
    allowed = max(_SUM_TOLERANCE, explained)
    sums = probs.sum(dim=-1, keepdim=True)
    worst = float((sums - 1).abs().max())
    if worst > allowed:
        raise InputError(
            f"probs must sum to one over classes, some are off by {worst:.3g}, and {given.dtype} explains {allowed:.2g}; "
            "give them in the type they were computed in, or divide them by their sums"
        )
    return probs / sums if given.eps > torch.finfo(torch.float32).eps else probs


def checked_probs(probs: Array) -> Float[Tensor, "members samples classes"]:
    """Probabilities in double precision, after all checks that need no labels.

    Args:
        probs: probabilities ``(members, samples, classes)``, whose rows sum to one.

    Returns:
        The same probabilities.

    Raises:
        InputError: as ``diversity``.

    Examples:
        >>> from sharpdiv.empirical.predictions.checked import checked_probs
        >>> checked_probs([[[0.5, 0.5]], [[0.25, 0.75]]]).shape
        torch.Size([2, 1, 2])
    """
    probs = as_tensor(probs, "probs")
    if checked_members(probs, "probs").min() < 0:
        raise InputError("probs must be non-negative; are these logits? apply a softmax first")
    return normalized(probs)


def checked_labels(labels: Array, samples: int, classes: int) -> Int[Tensor, " samples"]:
    """Labels in int64, after all checks.

    Args:
        labels: true classes ``(samples,)``, counted from 0, of any integer type.
        samples: number of samples.
        classes: number of classes.

    Returns:
        The same labels.

    Raises:
        InputError: if they are not integers, too many or too few, or out of range.

    Examples:
        >>> import numpy as np
        >>> from sharpdiv.empirical.predictions.checked import checked_labels
        >>> checked_labels(np.array([1, 0], dtype=np.uint16), samples=2, classes=2)
        tensor([1, 0])
    """
    labels = as_tensor(labels, "labels")
    if labels.shape != (samples,):
        raise InputError(f"labels must have shape ({samples},) to match probs, got {tuple(labels.shape)}")
    if labels.is_floating_point() or labels.is_complex() or labels.dtype == torch.bool:
        raise InputError(f"labels must be integers, got {labels.dtype}")
    labels = labels.long()
    if (labels == _IGNORED).any():
        raise InputError(f"labels hold {_IGNORED}, which marks samples that losses ignore; leave these samples out")
    if labels.min() < 0 or labels.max() >= classes:
        raise InputError(
            f"labels must lie between 0 and {classes - 1} for {classes} classes, "
            f"got {int(labels.min())} to {int(labels.max())}"
        )
    return labels


def checked_predictions(
    probs: Array, labels: Array
) -> tuple[Float[Tensor, "members samples classes"], Int[Tensor, " samples"]]:
    """Probabilities in double precision and labels beside them, after all checks.

    Args:
        probs: probabilities ``(members, samples, classes)``, whose rows sum to one.
        labels: true classes ``(samples,)``, counted from 0.

    Returns:
        The same probabilities and labels, on one device.

    Raises:
        InputError: as ``diversity``.

    Examples:
        >>> import torch
        >>> from sharpdiv.empirical.predictions.checked import checked_predictions
        >>> probs, labels = checked_predictions(torch.full((2, 1, 2), 0.5), torch.tensor([1], dtype=torch.uint8))
        >>> probs.dtype, labels.dtype
        (torch.float64, torch.int64)
    """
    probs = checked_probs(probs)
    return probs, checked_labels(labels, *probs.shape[1:]).to(probs.device)
