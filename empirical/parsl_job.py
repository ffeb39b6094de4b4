"""Parsl's program in a job, which ends with whoever is to get its work: python -m sharpdiv.empirical.parsl_job HOSTS PORT COMMAND.

A program that starts when nobody answers any more waits for ever, and the job with it.
"""

import socket
import subprocess
import sys
from collections.abc import Iterable
from time import monotonic

__all__ = ["run"]


def run(command: Iterable[str], hosts: Iterable[str], port: int, *, every: float = 5.0, silence: float = 25.0) -> int:
    """Run a program as long as one of some hosts answers at a port.

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
        >>> from sharpdiv.empirical.parsl_job import run
        >>> run([sys.executable, "-c", "raise SystemExit(3)"], ["127.0.0.1"], port=9)
        3
    """
    hosts, heard = list(hosts), monotonic()
    with subprocess.Popen(list(command)) as program:  # noqa: S603  # Parsl's own
        while program.poll() is None:
            try:
                program.wait(every)
            except subprocess.TimeoutExpired:
                if any(_answers(host, port) for host in hosts):
                    heard = monotonic()
                elif monotonic() - heard > silence:
                    program.kill()
    return program.returncode


def _answers(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), timeout=2.0).close()
    except OSError:
        return False
    return True


if __name__ == "__main__":
    sys.exit(run(sys.argv[3:], sys.argv[1].split(","), int(sys.argv[2])))
