"""What users have for batches, and what a measure makes of them: inputs as a network takes them, and targets.

Inputs are a tensor, a tuple of positional or a mapping of keyword arguments, all with samples on their first axis. A batch is a
pair of inputs and targets, with more behind them if it comes like that (indices, say), or a mapping with the targets under a name
of their own.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from sharpdiv.empirical.errors import InputError

__all__ = [
    "Batch",
    "Inputs",
    "Loss",
    "as_batch",
    "batches_of",
    "leaves",
    "mean_loss",
    "outputs_of",
    "refilled",
    "rows",
    "run_on",
    "samples_of",
]

Inputs = Tensor | Sequence[Any] | Mapping[str, Any]
"""argument of a network, its positional arguments, or its keyword arguments"""
Batch = tuple[Inputs, Tensor]
"""inputs and targets, first axis samples"""
Batches = Iterable[Any] | Mapping[str, Any]
"""batches in any form that ``batches_of`` takes: a list, a ``DataLoader``, or one batch"""
Loss = Callable[[Tensor, Tensor], Tensor]
"""function from outputs and targets to their mean loss over samples"""
_TARGETS = ("labels", "label", "targets", "target", "y")


def batches_of(data: Batches) -> Iterator[Batch]:
    """Batches of a data loader, a list or any other iterable; or the one batch that was given instead.

    Args:
        data: batches, or a pair of inputs and targets.

    Yields:
        Inputs and targets of every batch.

    Raises:
        InputError: if there is none, one is empty, or something else was given.

    Examples:
        >>> import torch
        >>> from sharpdiv.empirical.batches import batches_of
        >>> x, y = torch.zeros(3, 2), torch.zeros(3)
        >>> [len(targets) for _, targets in batches_of([(x, y), {"inputs": x, "labels": y}])]
        [3, 3]
        >>> [len(targets) for _, targets in batches_of((x, y))]  # a bare pair is one batch
        [3]
    """
    if isinstance(data, Dataset):
        raise InputError(
            "a data set gives samples one by one: pass torch.utils.data.DataLoader(data_set, batch_size=...)"
        )
    single = isinstance(data, Mapping) or (isinstance(data, tuple) and _is_pair(data))
    count = 0
    for count, batch in enumerate([data] if single else data, start=1):
        yield as_batch(batch, f"batch {count}")
    if not count:
        raise InputError("expected at least one batch, got none")


def _is_pair(data: tuple[Any, ...]) -> bool:
    """Whether a tuple is a batch itself: of inputs and targets, not of batches."""
    return len(data) >= 2 and all(isinstance(part, Tensor | np.ndarray) for part in data[1:])


def as_batch(batch: Any, name: str = "the batch") -> Batch:
    """Inputs and targets of what somebody calls a batch.

    Args:
        batch: pair of inputs and targets, perhaps with more behind, or mapping with targets.
        name: what it is called in a message.

    Returns:
        Inputs and targets as tensors.

    Raises:
        InputError: if it is something else, has no samples, or numbers of samples differ.

    Examples:
        >>> import torch
        >>> from sharpdiv.empirical.batches import as_batch
        >>> inputs, targets = as_batch({"ids": torch.ones(2, 5), "mask": torch.ones(2, 5), "labels": torch.zeros(2)})
        >>> sorted(inputs), tuple(targets.shape)
        (['ids', 'mask'], (2,))
    """
    inputs: Any
    if isinstance(batch, Mapping):
        named = [key for key in _TARGETS if key in batch]
        if len(named) != 1:
            raise InputError(f"{name} must have its targets under one of {', '.join(_TARGETS)}; got {', '.join(batch)}")
        inputs, targets = {key: value for key, value in batch.items() if key != named[0]}, batch[named[0]]
    elif isinstance(batch, Sequence) and len(batch) >= 2 and not isinstance(batch, str):
        inputs, targets = batch[0], batch[1]
    else:
        raise InputError(f"{name} must be a pair of inputs and targets or a mapping, got {type(batch).__name__}")
    inputs, targets = _map(_tensor, inputs), _tensor(targets)
    if not isinstance(targets, Tensor) or not targets.ndim:
        raise InputError(f"{name} must have targets with samples on the first axis, got {type(targets).__name__}")
    sizes = {len(leaf) for leaf in leaves(inputs) if isinstance(leaf, Tensor) and leaf.ndim}
    if sizes != {len(targets)}:
        found = " and ".join(map(str, sorted(sizes))) or "no"
        raise InputError(f"{name} has {found} inputs and {len(targets)} targets; both need samples on the first axis")
    if not len(targets):
        raise InputError(f"every batch needs samples, {name} has none")
    return inputs, targets


def mean_loss(model: nn.Module, batch: Batch, loss: Loss) -> Tensor:
    """Mean loss of a network on a batch.

    Args:
        model: network.
        batch: inputs and targets.
        loss: mean loss of outputs and targets.

    Returns:
        A scalar.

    Raises:
        InputError: if the loss gives a number for each sample.

    Examples:
        >>> import torch
        >>> from sharpdiv.empirical.batches import mean_loss
        >>> mean_loss(torch.nn.Identity(), (torch.ones(4, 1), torch.zeros(4, 1)), torch.nn.functional.mse_loss).item()
        1.0
    """
    found = loss(outputs_of(model, batch[0]), batch[1])
    if not isinstance(found, Tensor) or found.numel() != 1:
        got = f"shape {tuple(found.shape)}" if isinstance(found, Tensor) else type(found).__name__
        raise InputError(f"the loss must be one number, the mean over samples; got {got}: use reduction='mean'")
    return found.reshape(())


def samples_of(batch: Batch) -> int:
    """Number of samples in a batch.

    Args:
        batch: inputs and targets.

    Returns:
        The length of the first axis.

    Examples:
        >>> import torch
        >>> from sharpdiv.empirical.batches import samples_of
        >>> samples_of((torch.zeros(3, 2), torch.zeros(3)))
        3
    """
    return len(batch[1])


def rows(inputs: Inputs, which: slice | Tensor) -> Any:
    """Some samples of the inputs.

    Args:
        inputs: inputs of a network.
        which: samples that are taken, as a slice or by their places on the inputs' device.

    Returns:
        Inputs of the same structure.

    Examples:
        >>> import torch
        >>> from sharpdiv.empirical.batches import rows
        >>> {name: tuple(x.shape) for name, x in rows({"ids": torch.zeros(4, 7)}, slice(0, 1)).items()}
        {'ids': (1, 7)}
    """
    return _map(lambda leaf: leaf[which] if isinstance(leaf, Tensor) and leaf.ndim else leaf, inputs)


def refilled(inputs: Inputs, tensors: Iterable[Tensor]) -> Any:
    """Inputs of the same structure with other tensors.

    Args:
        inputs: inputs of a network.
        tensors: one for each tensor of theirs, in the order of ``leaves``.

    Returns:
        The structure, with everything else as it was.

    Examples:
        >>> import torch
        >>> from sharpdiv.empirical.batches import refilled
        >>> refilled({"ids": torch.zeros(1), "scale": 2.0}, [torch.ones(1)])
        {'ids': tensor([1.]), 'scale': 2.0}
    """
    new = iter(tensors)
    return _map(lambda leaf: next(new) if isinstance(leaf, Tensor) else leaf, inputs)


def run_on(model: nn.Module, inputs: Inputs) -> Any:
    """A network's forward pass, whatever it returns.

    Args:
        model: network.
        inputs: tensor, positional or keyword arguments.

    Returns:
        What the network returns.

    Examples:
        >>> import torch
        >>> from sharpdiv.empirical.batches import run_on
        >>> run_on(torch.nn.Identity(), {"input": torch.ones(1)})
        tensor([1.])
    """
    if isinstance(inputs, Mapping):
        return model(**inputs)
    return model(*((inputs,) if isinstance(inputs, Tensor) else inputs))


def outputs_of(model: nn.Module, inputs: Inputs) -> Tensor:
    """What a network gives for inputs: its tensor, or the ``logits`` of an object that holds them.

    Args:
        model: network.
        inputs: tensor, positional or keyword arguments.

    Returns:
        Outputs, first axis samples.

    Raises:
        InputError: if there is no such tensor.

    Examples:
        >>> import torch
        >>> from sharpdiv.empirical.batches import outputs_of
        >>> outputs_of(torch.nn.Bilinear(1, 1, 3), (torch.ones(2, 1), torch.ones(2, 1))).shape
        torch.Size([2, 3])
    """
    found = run_on(model, inputs)
    found = getattr(found, "logits", found)
    if not isinstance(found, Tensor):
        raise InputError(
            f"the network must return a tensor or an object with logits, got {type(found).__name__}: wrap it"
        )
    return found


def _tensor(value: Any) -> Any:
    return torch.as_tensor(value) if isinstance(value, np.ndarray) else value


def _map(change: Callable[[Any], Any], inputs: Any) -> Any:
    """Leaves of tuples, lists and mappings changed; lists become tuples."""
    if isinstance(inputs, Mapping):
        return {key: _map(change, value) for key, value in inputs.items()}
    if isinstance(inputs, tuple | list):
        return tuple(_map(change, value) for value in inputs)
    return change(inputs)


def leaves(inputs: Any) -> Iterator[Any]:
    """What a structure of inputs holds.

    Args:
        inputs: tensor, tuple or mapping, nested at will.

    Yields:
        Tensors, and whatever else is in it.

    Examples:
        >>> import torch
        >>> from sharpdiv.empirical.batches import leaves
        >>> [len(leaf) for leaf in leaves({"ids": torch.zeros(4, 7), "pair": (torch.zeros(4), torch.zeros(4))})]
        [4, 4, 4]
    """
    if isinstance(inputs, Mapping):
        inputs = tuple(inputs.values())
    if isinstance(inputs, tuple | list):
        for value in inputs:
            yield from leaves(value)
    else:
        yield inputs
