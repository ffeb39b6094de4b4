"""Files that are whole or not there; without PyTorch, which those who write numbers or pictures should not wait for."""

import os
import socket
from pathlib import Path

__all__ = ["write_atomically"]


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
