"""Images that many processes use, in one file that each of them maps into its memory: they are held once, whoever looks at them."""

import hashlib
import math
from collections.abc import Iterable
from pathlib import Path

import filelock
import torch
from jaxtyping import UInt8
from torch import Tensor

from sharpdiv.empirical.store import load_json, save_json

__all__ = ["shared_images"]

_CHUNK = 2**24


def shared_images(path: Path, shape: tuple[int, ...], parts: Iterable[UInt8[Tensor, "..."]]) -> UInt8[Tensor, "..."]:
    """Images in a file, which is made first if it is not there, or not whole; others who ask meanwhile wait.

    What is written to the tensor stays in this process.

    Args:
        path: path of the file; beside it is one that ends in ``.json`` and has its checksum.
        shape: shape of all images.
        parts: parts that make all of them, one after the other; only asked for where they are to be written.

    Returns:
        The images, whose memory is the file's.

    Examples:
        >>> import tempfile
        >>> from pathlib import Path
        >>> import torch
        >>> from sharpdiv.empirical.runs.shared_images import shared_images
        >>> parts = [torch.full((1, 3), value, dtype=torch.uint8) for value in (1, 2)]
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = shared_images(Path(folder) / "some", (2, 3), parts)
        ...     shared_images(Path(folder) / "some", (2, 3), ()).tolist()
        [[1, 1, 1], [2, 2, 2]]
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with filelock.FileLock(path.with_name(f".{path.name}.lock")):
        if not _is_whole(path):
            _write(path, parts)
    return torch.from_file(str(path), shared=False, size=math.prod(shape), dtype=torch.uint8).view(shape)


def _write(path: Path, parts: Iterable[Tensor]) -> None:
    """The file, part by part, and behind it what says that it is whole."""
    _record(path).unlink(missing_ok=True)
    for leftover in path.parent.glob(f".{path.name}.*.tmp"):  # of a process that was killed while writing
        leftover.unlink(missing_ok=True)
    temporary = path.with_name(f".{path.name}.images.tmp")
    checksum = hashlib.sha256()
    try:
        with temporary.open("wb") as file:
            for part in parts:
                content = part.contiguous().numpy().data
                file.write(content)
                checksum.update(content)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    save_json(_record(path), {"content": checksum.hexdigest()})


def _is_whole(path: Path) -> bool:
    if not (path.exists() and _record(path).exists()):
        return False
    checksum = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            checksum.update(chunk)
    return checksum.hexdigest() == load_json(_record(path))["content"]


def _record(path: Path) -> Path:
    return path.with_name(f"{path.name}.json")
