"""Data that every member must see alike: read again for each of them, and compared with the first reading."""

import zlib
from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import Tensor

from sharpdiv.empirical.batches import Batch, Batches, Inputs, batches_of, leaves, refilled, rows
from sharpdiv.empirical.errors import InputError

__all__ = ["FixedBatches", "joined", "on_device"]


class FixedBatches:
    """Batches in any form that ``batches_of`` takes, which are the same each time they are read.

    Every batch leaves two checksums, of its targets and of its inputs; the latter where they are on the CPU, as a ``DataLoader``
    gives them.

    Args:
        data: a ``DataLoader``, a list, or one batch.
        name: what they are called in messages.

    Raises:
        InputError: if they can be read only once, or the first batch differs when it is read again.

    Examples:
        >>> import torch
        >>> from sharpdiv.empirical.ensembles.fixed import FixedBatches
        >>> data = [(torch.zeros(2, 3), torch.tensor([0, 1])), (torch.zeros(1, 3), torch.tensor([1]))]
        >>> [len(targets) for _, targets in FixedBatches(data, "test").first(3)]
        [2, 1]
    """

    def __init__(self, data: Batches, name: str) -> None:
        if isinstance(data, Iterator):
            raise InputError(
                f"the {name} data is read again for every member: give a DataLoader or a list, got {type(data).__name__}"
            )
        self.name = name
        self._data = data
        self._seen: list[tuple[int, int]] = []
        self._count: int | None = None  # of batches, once they were all read
        for _ in range(2):
            next(iter(self))

    def __iter__(self) -> Iterator[Batch]:
        """Read all batches.

        Yields:
            Inputs and targets of every batch.

        Raises:
            InputError: as soon as they are not those of the first reading.
        """
        count = 0
        try:
            for count, batch in enumerate(batches_of(self._data), start=1):
                found = (_checksum(batch[1]), _checksum(batch[0]))
                if count > len(self._seen):
                    self._seen.append(found)
                self._compare(self._seen[count - 1], found)
                yield batch
        except InputError as error:
            raise InputError(f"the {self.name} data: {error}") from error
        self._complete(count)

    def first(self, samples: int) -> Iterator[Batch]:
        """Read the first samples.

        Args:
            samples: number of samples, of which the data may have fewer.

        Yields:
            Inputs and targets, the last of them cut to the number.
        """
        left = samples
        for inputs, targets in self:
            some = slice(left)
            yield (inputs, targets) if len(targets) <= left else (rows(inputs, some), targets[some])
            left -= len(targets)
            if left <= 0:
                return

    def _compare(self, seen: tuple[int, int], found: tuple[int, int]) -> None:
        if seen[0] != found[0]:
            raise InputError(
                "labels differ when they are read again, and every member must see the same samples in the same order: "
                "switch shuffling off (DataLoader(..., shuffle=False))"
            )
        if seen[1] != found[1]:
            raise InputError("inputs differ when they are read again: switch random augmentation off")

    def _complete(self, count: int) -> None:
        """Whether there were as many batches as before."""
        before = len(self._seen) if self._count is None else self._count
        if count != before:
            raise InputError(f"the {self.name} data had {before} batches, and {count} when it was read again")
        self._count = count


def _checksum(inputs: Inputs) -> int:
    """Of all bytes that are on the CPU."""
    value = 0
    for leaf in leaves(inputs):
        if isinstance(leaf, Tensor) and leaf.device.type == "cpu" and leaf.layout == torch.strided:
            value = zlib.crc32(leaf.detach().contiguous().reshape(-1).view(torch.uint8).numpy().data, value)
    return value


def on_device(batch: Batch, device: torch.device) -> Batch:
    """A batch on the device of a network.

    Args:
        batch: inputs and targets.
        device: where they are needed.

    Returns:
        The same batch; what is there already is not copied.

    Examples:
        >>> import torch
        >>> from sharpdiv.empirical.ensembles.fixed import on_device
        >>> inputs, targets = on_device(({"ids": torch.zeros(1, 2)}, torch.zeros(1)), torch.device("cpu"))
        >>> inputs["ids"].device.type
        'cpu'
    """
    inputs, targets = batch
    moved = (leaf.to(device) for leaf in leaves(inputs) if isinstance(leaf, Tensor))
    return refilled(inputs, moved), targets.to(device)


def joined(batches: Iterable[Batch], size: int) -> list[Batch]:
    """The same samples in batches of one size, of which the last may be smaller.

    Args:
        batches: inputs and targets.
        size: number of samples in a batch.

    Returns:
        The batches; those that come in that size are left as they are.

    Raises:
        InputError: if inputs have shapes that do not join.

    Examples:
        >>> import torch
        >>> from sharpdiv.empirical.ensembles.fixed import joined
        >>> batches = [(torch.zeros(3, 2), torch.zeros(3)), (torch.zeros(2, 2), torch.zeros(2))]
        >>> [len(targets) for _, targets in joined(batches, size=4)]
        [4, 1]
    """
    batches = list(batches)
    sizes = [len(targets) for _, targets in batches]
    if all(found == size for found in sizes[:-1]) and sizes[-1] <= size:
        return batches
    parts = [[leaf for leaf in leaves(inputs) if isinstance(leaf, Tensor)] for inputs, _ in batches]
    try:
        tensors = [_cat(each) for each in zip(*parts, strict=True)]
    except (RuntimeError, ValueError) as error:
        found = ", ".join(map(str, sorted(set(sizes))))
        raise InputError(
            f"batches of {found} samples cannot be joined to batches of {size}, as their inputs differ in shape: give them "
            "in that size, or set sharpness_batch to theirs"
        ) from error
    whole: tuple[Any, Tensor] = refilled(batches[0][0], tensors), torch.cat([targets for _, targets in batches])
    cuts = [slice(start, start + size) for start in range(0, sum(sizes), size)]
    return [(rows(whole[0], cut), whole[1][cut]) for cut in cuts]


def _cat(tensors: tuple[Tensor, ...]) -> Tensor:
    """Tensors of samples behind each other; one without samples, which has no axis, is the same in all batches."""
    return torch.cat(tensors) if tensors[0].ndim else tensors[0]
