"""What a job of Parsl runs around its program: python -m sharpdiv.empirical.engines.parsl_job HOSTS PORT COMMAND.

Parsl's program waits for ever if it starts when nobody answers any more, and leaves processes behind if it is killed. If one of its
workers is killed while it waits for work, it holds the lock that the others wait for, so that none of them gets any: then the job
ends, and is replaced.
"""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic

__all__ = ["busy", "run"]

_BUSY = "SHARPDIV_BUSY"
"""Environment variable with the folder in which each worker that does a piece of work has a file, by its number."""
_LOOK = 0.5
"""Seconds between two looks at the workers."""


@contextmanager
def busy() -> Iterator[None]:
    """While a worker of a job does a piece of work: then it holds no lock, and Parsl itself replaces it if it is killed.

    Yields:
        Nothing.

    Examples:
        >>> from sharpdiv.empirical.engines.parsl_job import busy
        >>> with busy():  # in no job there is nobody to tell
        ...     pass
    """
    folder = os.environ.get(_BUSY)
    mark = Path(folder, str(os.getpid())) if folder else None
    if mark:
        mark.touch()
    try:
        yield
    finally:
        if mark:
            mark.unlink(missing_ok=True)


def run(command: Iterable[str], hosts: Iterable[str], port: int, *, every: float = 5.0, silence: float = 25.0) -> int:
    """Run a program as long as one of some hosts answers at a port and no idle worker is killed; what it started ends with it.

    Args:
        command: the program and its arguments.
        hosts: names or addresses of one machine.
        port: where it listens.
        every: seconds between two questions.
        silence: seconds without an answer after which the program is killed.

    Returns:
        Its exit status; negative if it was killed.

    Examples:
        >>> import sys
        >>> from sharpdiv.empirical.engines.parsl_job import run
        >>> run([sys.executable, "-c", "raise SystemExit(3)"], ["127.0.0.1"], port=9)
        3
    """
    hosts, heard, asked = list(hosts), monotonic(), 0.0
    with TemporaryDirectory() as marks:
        environment = {**os.environ, _BUSY: marks}
        program = subprocess.Popen(list(command), process_group=0, env=environment)  # noqa: S603  # Parsl's own
        workers: set[int] = set()
        try:
            while monotonic() - heard <= silence:
                with suppress(subprocess.TimeoutExpired):
                    return program.wait(min(every, _LOOK))
                before, workers = workers, _workers(program.pid)
                if any(not Path(marks, str(gone)).exists() for gone in before - workers):
                    break
                if monotonic() - asked >= every:
                    asked = monotonic()
                    heard = asked if any(_answers(host, port) for host in hosts) else heard
        finally:
            with suppress(ProcessLookupError):
                os.killpg(program.pid, signal.SIGKILL)
        return program.wait()


def _workers(program: int) -> set[int]:
    """Numbers of the workers that a program has spawned; none where the system does not tell."""
    found = set()
    with suppress(OSError):  # it ends just now
        for children in Path(f"/proc/{program}/task").glob("*/children"):
            for child in children.read_text().split():
                with suppress(OSError):
                    if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes():
                        found.add(int(child))
    return found


def _answers(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), timeout=2.0).close()
    except OSError:
        return False
    return True


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    sys.exit(run(sys.argv[3:], sys.argv[1].split(","), int(sys.argv[2])))
