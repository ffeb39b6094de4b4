"""What a user's own modules hold, named as ``package.module:name``: factories of networks, and data."""

import importlib
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from sharpdiv.empirical.batches import Batches
from sharpdiv.empirical.errors import InputError

__all__ = ["NamedData", "imported", "named_data", "named_factory", "working_folder"]


class NamedData(NamedTuple):
    """Data that a name stands for."""

    train: Batches | None
    """training batches; None if there are none"""
    test: Batches
    """test batches"""


@contextmanager
def working_folder() -> Iterator[None]:
    """The working folder as a place of modules, the first one, as ``python -m`` has it.

    Yields:
        Nothing; places are as before afterwards.

    Examples:
        >>> import sys
        >>> from sharpdiv.empirical.ensembles.named import working_folder
        >>> with working_folder():
        ...     sys.path[0] == str(Path.cwd())
        True
    """
    before, sys.path[:0] = list(sys.path), [str(Path.cwd())]
    importlib.invalidate_caches()
    try:
        yield
    finally:
        sys.path[:] = before


def imported(reference: str) -> Any:
    """What a module holds under a name.

    Args:
        reference: ``package.module:name``; a name may have dots.

    Returns:
        The object.

    Raises:
        InputError: if the reference is none, its module cannot be imported, or has no such name.

    Examples:
        >>> from sharpdiv.empirical.ensembles.named import imported
        >>> imported("torch.nn:Linear").__name__
        'Linear'
    """
    module, colon, name = reference.partition(":")
    if not (module and colon and name):
        raise InputError(f"expected package.module:name, got {reference!r}")
    try:
        found: Any = importlib.import_module(module)
    except Exception as error:  # whatever a user's module does when it is imported
        raise InputError(f"{module} cannot be imported ({type(error).__name__}: {error})") from error
    for part in name.split("."):
        if not hasattr(found, part):
            raise InputError(f"{module} has no {name}")
        found = getattr(found, part)
    return found


def named_factory(reference: str) -> Callable[[], nn.Module]:
    """A function that makes a network.

    Args:
        reference: ``package.module:name`` of a function or class without required arguments.

    Returns:
        The function.

    Raises:
        InputError: if there is none.

    Examples:
        >>> from sharpdiv.empirical.ensembles.named import named_factory
        >>> named_factory("torch.nn:Identity")()
        Identity()
    """
    found = imported(reference)
    if isinstance(found, nn.Module) or not callable(found):
        raise InputError(f"{reference} must be a function or class that makes a network, got {type(found).__name__}")
    return found


def named_data(reference: str, batch: int) -> NamedData:
    """Data that a name stands for: a data set, a loader, or a list of batches, or a pair of them, training and test.

    Args:
        reference: ``package.module:name`` of the data, or of a function or class without required arguments that makes them.
        batch: number of samples in batches of data sets, which give samples one by one.

    Returns:
        Training and test data.

    Raises:
        InputError: if there is nothing of that kind.

    Examples:
        >>> from sharpdiv.empirical.ensembles.named import named_data
        >>> named_data("math:no_data", batch=10)
        Traceback (most recent call last):
        ...
        sharpdiv.empirical.errors.InputError: math has no no_data
    """
    found = imported(reference)
    if callable(found) and not isinstance(found, Dataset | DataLoader):
        try:
            found = found()
        except Exception as error:  # whatever a user's function does
            raise InputError(
                f"{reference} failed when it was called without arguments ({type(error).__name__}: {error})"
            ) from error
    if isinstance(found, tuple) and not any(isinstance(part, Tensor) for part in found):
        if len(found) != 2:
            raise InputError(f"{reference} must be one data set or a pair of training and test data, got {len(found)}")
        train, test = (_batches(part, reference, batch) for part in found)
        return NamedData(train, test)
    return NamedData(None, _batches(found, reference, batch))


def _batches(data: Any, reference: str, size: int) -> Batches:
    if isinstance(data, Dataset):
        return DataLoader(data, batch_size=size)
    if isinstance(data, DataLoader | list):
        return data
    raise InputError(
        f"{reference} must be a torch Dataset, a DataLoader, a list of batches, or a pair of them (training, test); "
        f"got {type(data).__name__}"
    )
