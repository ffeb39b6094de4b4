"""Batches as users have them: one tensor, several for a network's positional arguments, or named ones."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from sharpdiv.empirical.errors import InputError

__all__ = ["Batch", "Inputs", "Loss", "mask_of"]

Inputs = Tensor | Sequence[Tensor] | Mapping[str, Tensor]
"""Inputs of a network, first axis samples: one tensor, positional arguments, or keyword arguments."""

Loss = Callable[..., Tensor]
"""Mean loss of a network's outputs and the targets."""


@dataclass(frozen=True)
class Batch:
    """Samples of one batch.

    Example:
        >>> import torch
        >>> from sharpdiv.empirical.optim.batches import Batch
        >>> batch = Batch.of({"left": torch.ones(3, 2), "right": torch.zeros(3)}, torch.arange(3))
        >>> len(batch), list(batch.at(torch.tensor([0, 2])).named["left"].shape)
        (3, [2, 2])
    """

    positional: tuple[Tensor, ...]
    """positional arguments of the network"""
    named: dict[str, Tensor]
    """keyword arguments of the network"""
    targets: Tensor
    """targets"""

    @classmethod
    def of(cls, inputs: object, targets: object) -> "Batch":
        """The batch of some inputs and targets.

        Args:
            inputs: a tensor, a tuple or list of tensors, or a dict of tensors.
            targets: a tensor.

        Returns:
            The batch.

        Raises:
            InputError: if these are no tensors of as many samples.
        """
        named = dict(inputs) if isinstance(inputs, Mapping) else {}
        rest = tuple(inputs) if isinstance(inputs, tuple | list) else (inputs,)
        positional = () if isinstance(inputs, Mapping) else rest
        for value in (*positional, *named.values(), targets):
            if not isinstance(value, Tensor) or not value.ndim:
                got = type(value).__name__ if not isinstance(value, Tensor) else "a tensor without axes"
                raise InputError(
                    f"inputs and targets must be tensors, or tuples or dicts of them, samples first; got {got}"
                )
        batch = cls(positional, named, targets)  # type: ignore[arg-type]  # they were looked at one by one
        lengths = [len(value) for value in (*batch._inputs, batch.targets)]
        if len(lengths) < 2 or len(set(lengths)) > 1 or not lengths[0]:
            raise InputError(f"inputs and targets must have as many samples, one or more; got {lengths}")
        return batch

    @property
    def _inputs(self) -> tuple[Tensor, ...]:
        return (*self.positional, *self.named.values())

    @property
    def device(self) -> torch.device:
        """Device of the inputs."""
        return self._inputs[0].device

    def __len__(self) -> int:
        return len(self.targets)

    def at(self, index: Tensor) -> "Batch":
        """Some of the samples.

        Args:
            index: their places in the batch, on the batch's device.

        Returns:
            A batch of them.
        """
        named = {name: value[index] for name, value in self.named.items()}
        return Batch(tuple(value[index] for value in self.positional), named, self.targets[index])

    def loss(self, model: nn.Module, loss: Loss) -> Tensor:
        """Mean loss of a network.

        Args:
            model: the network.
            loss: mean loss of outputs and targets.

        Returns:
            A scalar.

        Raises:
            InputError: if the loss gives a number for each sample.
        """
        value = loss(model(*self.positional, **self.named), self.targets)
        if value.numel() != 1:
            raise InputError(f"the loss must be the mean over the batch, got shape {list(value.shape)}; reduce it")
        return value


def mask_of(aware: object, samples: int) -> Tensor:
    """A mask of a batch, checked.

    Args:
        aware: what should be one.
        samples: number of samples of the batch.

    Returns:
        The mask.

    Raises:
        InputError: if it is not a Boolean tensor with an entry for each sample.

    Example:
        >>> import torch
        >>> from sharpdiv.empirical.optim.batches import mask_of
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
