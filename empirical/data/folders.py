"""Where data sets are: each has a folder of its own in ``data_folder()``, written by one process at a time."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pooch
from filelock import FileLock

from sharpdiv.empirical.errors import InputError, StoreError

__all__ = ["DECODED", "data_folder", "place_of", "writing"]

DECODED = "decoded.safetensors"
"""Name of the decoded copy in a data set's folder."""


def data_folder() -> Path:
    """The folder that holds the data sets: the environment variable SHARPDIV_DATA, else the platform's cache folder.

    Returns:
        Its path; it may not exist yet.

    Raises:
        InputError: if the variable names the home folder of nobody.

    Examples:
        >>> import os
        >>> from unittest.mock import patch
        >>> from sharpdiv.empirical.data.folders import data_folder
        >>> with patch.dict(os.environ, SHARPDIV_DATA="/data"):
        ...     data_folder().as_posix()
        '/data'
    """
    stated = os.environ.get("SHARPDIV_DATA")
    try:
        return Path(stated).expanduser() if stated else Path(pooch.os_cache("sharpdiv"))
    except RuntimeError as error:
        raise InputError(f"SHARPDIV_DATA is {stated}, whose home folder does not exist") from error


def place_of(name: str, folder: Path | None) -> Path:
    """The folder of one data set.

    Args:
        name: name of the data set.
        folder: folder with all data sets; default ``data_folder()``.

    Returns:
        Its path; it may not exist yet.

    Examples:
        >>> from pathlib import Path
        >>> from sharpdiv.empirical.data.folders import place_of
        >>> place_of("cifar10", Path("/data")).as_posix()
        '/data/cifar10'
    """
    return (data_folder() if folder is None else folder) / name


@contextmanager
def writing(place: Path) -> Iterator[None]:
    """Lock of a folder, so that one process at a time writes: files would be whole without it, but made by each process.

    Args:
        place: folder to write in, which is made if it does not exist.

    Yields:
        Nothing.

    Raises:
        StoreError: if it cannot be written.

    Examples:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from sharpdiv.empirical.data.folders import writing
        >>> with tempfile.TemporaryDirectory() as folder, writing(Path(folder) / "mine"):
        ...     (Path(folder) / "mine").is_dir()
        True
    """
    try:
        place.mkdir(parents=True, exist_ok=True)
        with FileLock(place / ".lock"):
            yield
    except OSError as error:
        raise StoreError(f"{place} cannot be written ({error}); set SHARPDIV_DATA to a folder that can") from error
