"""Files that are whole or not there; without PyTorch, which those who write numbers or pictures should not wait for."""

import os
import re
import socket
import time
from pathlib import Path

__all__ = ["abandoned", "write_atomically"]

_STALE = 3600.0
"""Seconds after which what another machine was writing is taken to be left; it may have a clock of its own."""


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file so that a reader, or a crash, sees the old content or the new but nothing between.

    Links are followed, and what is no regular file (a pipe, a device) is written to directly.

    Args:
        path: path of the file; folders that do not exist are made.
        content: bytes of the whole file.

    Examples:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from sharpdiv.empirical.atomic import write_atomically
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_atomically(Path(folder) / "new" / "file", b"whole")
        ...     [path.name for path in (Path(folder) / "new").iterdir()]
        ['file']
    """
    path = path.resolve()
    if path.exists() and not path.is_file() and not path.is_dir():
        path.write_bytes(content)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    # Processes of two hosts may have one number, and write to one folder.
    temporary = path.with_name(f".{path.name}.{socket.gethostname()}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException as error:
        temporary.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.filename is None:  # as when a disk is full
            error.filename = str(path)
        raise


def abandoned(temporary: Path) -> bool:
    """Whether nobody is writing a temporary file any more: the process that its name tells is gone, or it is an hour old.

    Args:
        temporary: path of a file beside the one that ``write_atomically`` was to write.

    Returns:
        Whether it is there and can be removed.

    Examples:
        >>> import os, socket, tempfile
        >>> from pathlib import Path
        >>> from sharpdiv.empirical.atomic import abandoned
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     of = [Path(folder) / f".file.{socket.gethostname()}.{process}.tmp" for process in (os.getppid(), 2**30)]
        ...     [path.touch() for path in of]
        ...     [abandoned(path) for path in of]
        [None, None]
        [False, True]
    """
    writer = re.search(rf"\.{re.escape(socket.gethostname())}\.(\d+)\.tmp$", temporary.name)
    if writer:
        return int(writer[1]) == os.getpid() or not _alive(int(writer[1]))
    try:
        return time.time() - temporary.stat().st_mtime > _STALE
    except FileNotFoundError:  # it has its name now
        return False


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:  # somebody else's
        return True
    return True
