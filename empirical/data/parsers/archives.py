"""Gzip and tar archives, unpacked in memory."""

import io
import tarfile
import zlib

from sharpdiv.empirical.data.parsers.contract import expect, naming

__all__ = ["gunzip", "refuse_odd_path", "tar_members"]

_LARGEST_ARCHIVE = 1 << 28  # bytes unpacked; the CIFAR archives, the largest, have 185 million


def gunzip(content: bytes, file: str) -> bytes:
    """Unpacked bytes of a gzip file of one member; its checksum is checked by zlib.

    Args:
        content: bytes of the compressed file.
        file: name for the error.

    Returns:
        The unpacked bytes.

    Examples:
        >>> import gzip
        >>> from sharpdiv.empirical.data.parsers.archives import gunzip
        >>> gunzip(gzip.compress(b"content"), "mine.gz")
        b'content'
        >>> gunzip(gzip.compress(b"content")[:-1], "mine.gz")  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        ...
        sharpdiv.empirical.errors.InputError: mine.gz does not hold what it should: got a compressed stream that breaks off, ...
    """
    unpacker = zlib.decompressobj(wbits=31)
    with naming(file):
        unpacked = unpacker.decompress(content, _LARGEST_ARCHIVE)
    expect(not unpacker.unconsumed_tail, file, f"more than {_LARGEST_ARCHIVE} bytes unpacked", "at most that")
    expect(unpacker.eof, file, "a compressed stream that breaks off", "its end and checksum")
    rest = unpacker.unused_data.strip(b"\0")  # zeros are padding, as gzip itself has it
    expect(not rest, file, f"{len(rest)} bytes after the stream", "none")
    return unpacked


def tar_members(content: bytes, wanted: tuple[str, ...], file: str) -> list[bytes]:
    """The wanted files of an unpacked tar archive.

    Args:
        content: bytes of the archive.
        wanted: names of its members.
        file: name for the error.

    Returns:
        Their contents, in the order of the names.

    Examples:
        >>> import io
        >>> import tarfile
        >>> from sharpdiv.empirical.data.parsers.archives import tar_members
        >>> packed, member = io.BytesIO(), tarfile.TarInfo("folder/mine")
        >>> member.size = 7
        >>> with tarfile.open(fileobj=packed, mode="w") as archive:
        ...     archive.addfile(member, io.BytesIO(b"content"))
        >>> tar_members(packed.getvalue(), ("folder/mine",), "mine.tar")
        [b'content']
    """
    found: dict[str, bytes] = {}
    end = -1
    with naming(file), tarfile.open(fileobj=io.BytesIO(content), mode="r:") as archive:
        for member in archive:
            # A negative size would send tarfile back to where it was, for ever.
            expect(member.size >= 0 and member.offset > end, file, "a member of negative size", "0 or more bytes")
            end = member.offset
            refuse_odd_path(member.name, file)
            if member.name not in wanted:
                continue
            expect(member.name not in found, file, f"{member.name} twice", "it once")
            reader = archive.extractfile(member) if member.isreg() and not member.issparse() else None
            found[member.name] = reader.read() if reader is not None else b""
            size = len(found[member.name])
            expect(reader is not None and size == member.size, file, f"no whole file {member.name}", "one")
    missing = [name for name in wanted if name not in found]
    expect(not missing, file, f"no {', '.join(missing)}", f"{len(wanted)} members")
    return [found[name] for name in wanted]


def refuse_odd_path(name: str, file: str) -> None:
    """Refuse a member of an archive whose path leads out of it.

    Nothing is unpacked to disk, so such a path could do no harm; but no published archive has one.

    Args:
        name: path of the member.
        file: name of the archive for the error.

    Examples:
        >>> from sharpdiv.empirical.data.parsers.archives import refuse_odd_path
        >>> refuse_odd_path("../mine", "mine.zip")  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        ...
        sharpdiv.empirical.errors.InputError: mine.zip does not hold what it should: got a member with the path '../mine', ...
    """
    odd = name.startswith("/") or ".." in name.split("/") or any(c in name for c in "\\:\0")
    expect(not odd, file, f"a member with the path {name!r}", "one inside the archive")
