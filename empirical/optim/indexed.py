"""Data sets whose samples carry their index, so that what is known of a sample finds it in any order."""

from typing import Any

from torch.utils.data import Dataset

from sharpdiv.empirical.errors import InputError

__all__ = ["IndexedDataset"]


class IndexedDataset(Dataset[tuple[Any, Any, int]]):
    """A data set of pairs ``(inputs, target)`` as one of triples ``(inputs, target, index)``.

    Args:
        dataset: data set with a length, whose items are pairs; inputs may be a tuple or a dict.

    Raises:
        InputError: if the data set has no length; an item that is no pair raises one, too.

    Examples:
        >>> import torch
        >>> from torch.utils.data import DataLoader, TensorDataset
        >>> from sharpdiv import IndexedDataset
        >>> data = IndexedDataset(TensorDataset(torch.tensor([[1.0], [2.0], [3.0]]), torch.tensor([0, 1, 0])))
        >>> loader = DataLoader(data, batch_size=2, shuffle=True, generator=torch.Generator().manual_seed(1))
        >>> inputs, targets, indices = next(iter(loader))
        >>> bool((inputs.flatten() == indices + 1).all())
        True
    """

    def __init__(self, dataset: Dataset[Any]) -> None:
        if not (hasattr(dataset, "__len__") and hasattr(dataset, "__getitem__")):
            raise InputError(
                f"samples need an index: {type(dataset).__name__} has no length or no items; use a map-style data set"
            )
        self.dataset = dataset

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> tuple[Any, Any, int]:
        item = self.dataset[index]
        if not isinstance(item, tuple | list) or len(item) != 2:
            got = f"{len(item)} of them" if isinstance(item, tuple | list) else type(item).__name__
            raise InputError(
                f"items must be pairs (inputs, target), got {got}; put several inputs into a tuple or a dict"
            )
        return item[0], item[1], index
