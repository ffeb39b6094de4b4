"""What a job of Parsl runs around its program: python -m sharpdiv.empirical.engines.parsl_job HOSTS PORT COMMAND.

Parsl's program waits for ever if it starts when nobody answers any more, and leaves processes behind if it is killed.
"""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterable
from contextlib import suppress
from time import monotonic

__all__ = ["run"]


def run(command: Iterable[str], hosts: Iterable[str], port: int, *, every: float = 5.0, silence: float = 25.0) -> int:
    """Run a program as long as one of some hosts answers at a port; whatever it started ends with it.

    Args:
        command: the program and its arguments.
        hosts: names or addresses of one machine.
        port: where it listens.
        every: seconds between two looks.
        silence: seconds without an answer after which the program is killed.

    Returns:
        Its exit status; negative if it was killed.

    Examples:
        >>> import sys
        >>> from sharpdiv.empirical.engines.parsl_job import run
        >>> run([sys.executable, "-c", "raise SystemExit(3)"], ["127.0.0.1"], port=9)
        3
    """
    hosts, heard = list(hosts), monotonic()
    program = subprocess.Popen(list(command), process_group=0)  # noqa: S603  # Parsl's own
    try:
        while monotonic() - heard <= silence:
            with suppress(subprocess.TimeoutExpired):
                return program.wait(every)
            if any(_answers(host, port) for host in hosts):
                heard = monotonic()
    finally:
        with suppress(ProcessLookupError):
            os.killpg(program.pid, signal.SIGKILL)
    return program.wait()


def _answers(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), timeout=2.0).close()
    except OSError:
        return False
    return True


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    sys.exit(run(sys.argv[3:], sys.argv[1].split(","), int(sys.argv[2])))
