"""Processor time of commands that do little: what a user waits for before anything happens."""

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from os import times

from benchmarks.timing import Row

__all__ = ["rows"]

_COMMANDS = (
    "--help",
    "theory sam --rho 0.1",
    "metrics --help",
    "data list",
    "check --only phi-quadrature",
)


def rows() -> Iterator[Row]:
    """All of this file."""
    numpy, torch = _seconds("-c", "import numpy"), _seconds("-c", "import torch")
    for command in _COMMANDS:
        seconds = _seconds("-m", "sharpdiv", *command.split())
        yield Row(f"sharpdiv {command}", seconds, {"import numpy": numpy, "import torch": torch})


def _seconds(*arguments: str) -> float:
    """The least of three, in a process of its own, after one that fills caches."""
    found = []
    with tempfile.TemporaryFile() as out:
        for _ in range(4):
            before = times()
            subprocess.run([sys.executable, *arguments], check=True, stdout=out)  # noqa: S603
            after = times()
            found.append(after.children_user - before.children_user + after.children_system - before.children_system)
    return min(found[1:])
