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

    Examples:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from sharpdiv.empirical.data.dataset import RawFile
        >>> from sharpdiv.empirical.data.raw_files import defect
        >>> file = RawFile("mine.txt", {"md5:900150983cd24fb0d6963f7d28e17f72": 3})  # of b"abc"
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = (Path(folder) / "mine.txt").write_bytes(b"abc")
        ...     defect(file, Path(folder) / "mine.txt") is None, defect(file, Path(folder) / "yours.txt")[-10:]
        (True, 'is missing')
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

    Examples:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from sharpdiv.empirical.data.dataset import RawFile
        >>> from sharpdiv.empirical.data.raw_files import read_verified
        >>> file = RawFile("mine.txt", {"md5:900150983cd24fb0d6963f7d28e17f72": 3})  # of b"abc"
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = (Path(folder) / "mine.txt").write_bytes(b"abc")
        ...     read_verified(file, Path(folder) / "mine.txt")
        b'abc'
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

    Examples:
        >>> from sharpdiv.empirical.data.dataset import RawFile
        >>> from sharpdiv.empirical.data.raw_files import check_size
        >>> file = RawFile("mine.txt", {"md5:900150983cd24fb0d6963f7d28e17f72": 3})  # of b"abc"
        >>> check_size(file, 4, "mine.txt")
        Traceback (most recent call last):
        ...
        sharpdiv.empirical.errors.StoreError: mine.txt is not the published file: it has 4 bytes, expected 3
    """
    if size not in file.editions.values():
        expected = " or ".join(str(size) for size in file.editions.values())
        advice = f"; the edition for Python is not read, as unpickling runs code: get {file.name}"
        pickled = advice if "-python" in str(where) else ""
        raise StoreError(f"{where} is not the published file: it has {size} bytes, expected {expected}{pickled}")


def check_content(file: RawFile, content: bytes, where: object) -> None:
    """Compare a content's checksum with the published ones.

    Args:
        file: record of the file as published.
        content: bytes of the file.
        where: name for the error.

    Raises:
        StoreError: if it is none of them.

    Examples:
        >>> from sharpdiv.empirical.data.dataset import RawFile
        >>> from sharpdiv.empirical.data.raw_files import check_content
        >>> file = RawFile("mine.txt", {"md5:900150983cd24fb0d6963f7d28e17f72": 3})  # of b"abc"
        >>> check_content(file, b"abc", "mine.txt")
        >>> check_content(file, b"abd", "mine.txt")  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        ...
        sharpdiv.empirical.errors.StoreError: mine.txt is not the published file: it has md5:4911e516..., expected ...
    """
    kinds = sorted({checksum.split(":")[0] for checksum in file.editions})
    found = [f"{kind}:{hashlib.new(kind, content, usedforsecurity=False).hexdigest()}" for kind in kinds]
    if not any(checksum in file.editions for checksum in found):
        got, expected = " and ".join(found), " or ".join(file.editions)
        raise StoreError(f"{where} is not the published file: it has {got}, expected {expected}")
