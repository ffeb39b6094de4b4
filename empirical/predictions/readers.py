"""Arrays in files of any framework: .npz, .npy, .csv, .parquet, .pt. What a file calls its arrays is kept."""

import io
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from sharpdiv.empirical.errors import InputError
from sharpdiv.empirical.predictions.checked import as_tensor
from sharpdiv.empirical.predictions.tables import Columns, read_csv, read_parquet, read_text

__all__ = ["NAMES", "UNNAMED", "Content", "read_content"]

NAMES = ("probs", "logits", "labels")
"""Names of arrays that are read; a file may hold others."""
UNNAMED = ""
"""Key of an array in a file that does not name it."""


class Content(NamedTuple):
    """What a file holds.

    Example: see ``read_content``.
    """

    arrays: dict[str, Tensor]
    """those called ``probs``, ``logits`` and ``labels``; one without a name has the key ``""``"""
    classes: tuple[str, ...] = ()
    """names of the classes in their order, if the file is a table that has any"""


def read_content(path: Path) -> Content:
    r"""What a file holds, of which nothing is executed.

    Args:
        path: file whose ending says its format. Tables have one row for each sample, one column for each class, and optionally a
            column ``label``; .txt holds labels only.

    Returns:
        Its arrays.

    Raises:
        InputError: if the file is missing, damaged, of another format, or holds something else; the message names it.

    Examples:
        >>> import tempfile
        >>> from sharpdiv.empirical.predictions.readers import read_content
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = (Path(folder) / "member.csv").write_text("cat,dog,label\n0.25,0.75,1\n")
        ...     read_content(Path(folder) / "member.csv")
        Content(arrays={'': tensor([[0.2500, 0.7500]], dtype=torch.float64), 'labels': tensor([1])}, classes=('cat', 'dog'))
    """
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        raise InputError(f"{path} must be a file of predictions: {', '.join(_READERS)}; got the ending {path.suffix!r}")
    try:
        return reader(path)
    except FileNotFoundError:
        raise InputError(f"{path} does not exist") from None
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror or error})") from error


def _npz(path: Path) -> Content:
    try:
        with zipfile.ZipFile(path) as archive:
            stored = set(archive.namelist())
            arrays = {name: _array(archive.read(f"{name}.npy")) for name in NAMES if f"{name}.npy" in stored}
    except OSError:
        raise
    # A damaged archive fails in many ways: bad zip, bad checksum, short read, object arrays, a plain .npy.
    except Exception as error:
        raise InputError(f"{path} is not a readable .npz file of plain arrays ({error})") from error
    return _tensors(path, arrays)


def _npy(path: Path) -> Content:
    content = path.read_bytes()
    try:
        array = _array(content)
    except Exception as error:  # as above
        raise InputError(f"{path} is not a readable .npy file of a plain array ({error})") from error
    return _tensors(path, {UNNAMED: array})


def _array(stored: bytes) -> np.ndarray:
    """Unlike ``np.load``, read to the end: an archive has compared its checksum, and nothing may be left over."""
    content = io.BytesIO(stored)
    array = np.lib.format.read_array(content, allow_pickle=False)
    if content.read(1):
        raise ValueError("there is data behind the array's end")
    return array


def _pt(path: Path) -> Content:
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except OSError:
        raise
    except (
        Exception
    ) as error:  # of the unpickler, the archive, or the objects in it; its words are for who can trust the file
        raise InputError(
            f"{path} is not a readable .pt file of nothing but tensors ({type(error).__name__}); "
            "save a tensor, or a dict of tensors with probs or logits, and labels"
        ) from error
    if not isinstance(found, Mapping):
        return _tensors(path, {UNNAMED: found})
    named = {name: found[name] for name in NAMES if name in found}
    if not named:
        keys = ", ".join(sorted(map(str, found))) or "nothing"
        raise InputError(
            f"{path} must hold a tensor, or a dict with probs or logits, and labels; its dict has {keys:.200}"
        )
    return _tensors(path, named)


def _tensors(path: Path, arrays: Mapping[str, Any]) -> Content:
    tensors = {name: as_tensor(array, f"{path}: {name or 'the array'}") for name, array in arrays.items()}
    for name, tensor in tensors.items():
        if tensor.layout != torch.strided or tensor.is_quantized:
            raise InputError(f"{path}: {name or 'the array'} must be dense, got {tensor.layout}, {tensor.dtype}")
    return Content(tensors)


def _table(read: Callable[[Path], Columns]) -> Callable[[Path], Content]:
    def content(path: Path) -> Content:
        columns = read(path)
        found = {UNNAMED: columns.values, "labels": columns.labels}
        arrays = {name: torch.from_numpy(array) for name, array in found.items() if array is not None}
        return Content(arrays, columns.names)

    return content


_READERS: dict[str, Callable[[Path], Content]] = {
    ".npz": _npz,
    ".npy": _npy,
    ".csv": _table(read_csv),
    ".parquet": _table(read_parquet),
    ".pt": _pt,
    ".pth": _pt,
    ".txt": _table(read_text),
}
