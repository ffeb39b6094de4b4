"""Masks of a batch: which of its samples take the ascent."""

import torch
from torch import Tensor

from sharpdiv.empirical.errors import InputError

__all__ = ["mask_of"]


def mask_of(aware: object, samples: int) -> Tensor:
    """A mask of a batch, checked.

    Args:
        aware: what should be one.
        samples: number of samples of the batch.

    Returns:
        The mask.

    Raises:
        InputError: if it is not a Boolean tensor with an entry for each sample.

    Examples:
        >>> import torch
        >>> from sharpdiv.empirical.optim.masks import mask_of
        >>> mask_of(torch.tensor([0, 2]), samples=4)
        Traceback (most recent call last):
        ...
        sharpdiv.empirical.errors.InputError: aware must be a Boolean tensor of shape [4], got torch.int64 of shape [2]; of \
indices i make one by mask = torch.zeros(4, dtype=torch.bool); mask[i] = True
    """
    if isinstance(aware, Tensor) and aware.dtype == torch.bool and aware.shape == (samples,):
        return aware
    got = f"{aware.dtype} of shape {list(aware.shape)}" if isinstance(aware, Tensor) else type(aware).__name__
    advice = f"of indices i make one by mask = torch.zeros({samples}, dtype=torch.bool); mask[i] = True"
    if isinstance(aware, Tensor) and aware.dtype == torch.bool:
        advice = "cut it like the batch, mask[indices]"
    raise InputError(f"aware must be a Boolean tensor of shape [{samples}], got {got}; {advice}")
