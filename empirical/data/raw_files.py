"""Raw files as published: never accepted without their checksum."""

import hashlib
from pathlib import Path

from sharpdiv.empirical.data.dataset import RawFile
from sharpdiv.empirical.errors import StoreError

__all__ = ["check_content", "check_size", "defect", "read_verified"]


def defect(file: RawFile, path: Path) -> str | None:
    """What is wrong with a raw file.

    Args:
        file: record of the file as published.
        path: place where it should be.

    Returns:
        The defect in words, None if there is none.
    """
    try:
        read_verified(file, path)
    except StoreError as error:
        return str(error)
    return None


def read_verified(file: RawFile, path: Path) -> bytes:
    """The content of a file on disk that is one of the published editions.

    Args:
        file: record of the file as published.
        path: place where it should be.

    Returns:
        Its bytes.

    Raises:
        StoreError: if it is missing, cannot be read or is another file.
    """
    try:
        # Before anything is read: what is given as a source may be any file.
        check_size(file, path.stat().st_size, path)
        content = path.read_bytes()
    except FileNotFoundError:
        raise StoreError(f"{path} is missing") from None
    except OSError as error:
        raise StoreError(f"{path} cannot be read ({error})") from error
    check_content(file, content, path)
    return content


def check_size(file: RawFile, size: int, where: object) -> None:
    """Compare a size with the published ones.

    Args:
        file: record of the file as published.
        size: size in bytes.
        where: name for the error.

    Raises:
        StoreError: if it is none of them.
    """
    if size not in file.editions.values():
        expected = " or ".join(str(size) for size in file.editions.values())
        raise StoreError(f"{where} is not the published file: it has {size} bytes, expected {expected}")


def check_content(file: RawFile, content: bytes, where: object) -> None:
    """Compare a content's checksum with the published ones.

    Args:
        file: record of the file as published.
        content: bytes.
        where: name for the error.

    Raises:
        StoreError: if it is none of them.
    """
    kinds = sorted({checksum.split(":")[0] for checksum in file.editions})
    found = [f"{kind}:{hashlib.new(kind, content, usedforsecurity=False).hexdigest()}" for kind in kinds]
    if not any(checksum in file.editions for checksum in found):
        got, expected = " and ".join(found), " or ".join(file.editions)
        raise StoreError(f"{where} is not the published file: it has {got}, expected {expected}")
