"""How a command fails: one line on standard error, and the exit status."""

import difflib
import sys
from collections.abc import Iterable
from typing import TextIO

__all__ = ["UsageError", "fail", "failure", "nearest", "warn"]

_EXTRAS = {
    "train": {
        *("torch", "safetensors", "pooch", "filelock", "PIL", "sklearn", "matplotlib", "threadpoolctl"),
        *("jinja2", "plotly", "latex2mathml"),
    },
    "explore": {"marimo", "starlette", "uvicorn"},
}
"""Modules by the extra that brings them; without ``train`` only the theory and its commands work."""


class UsageError(ValueError):
    """Arguments that do not fit together."""


def fail(message: str, status: int = 2) -> int:
    """Say in one line what is wrong.

    Returns:
        The status.
    """
    print(f"sharpdiv: error: {' '.join(message.split())}", file=sys.stderr)
    return status


def warn(
    message: Warning | str,
    category: type[Warning],  # noqa: ARG001
    filename: str,  # noqa: ARG001
    lineno: int,  # noqa: ARG001
    file: TextIO | None = None,  # noqa: ARG001
    line: str | None = None,  # noqa: ARG001
) -> None:
    """Say a warning in one line, in place of ``warnings.showwarning``, which adds a file and a line of ours."""
    print(f"sharpdiv: warning: {' '.join(str(message).split())}", file=sys.stderr)


def nearest(word: str, known: Iterable[str]) -> str:
    """The known word that was probably meant, as the end of a message; empty if there is none."""
    close = difflib.get_close_matches(word, list(known), n=1, cutoff=0.4)
    return f", did you mean {close[0]!r}?" if close else ""


def failure(error: Exception, command: str) -> int | None:
    """Say in one line what went wrong, if that is bad input, a failed run or a missing extra.

    Args:
        error: What a command raised.
        command: Its name.

    Returns:
        The exit status; None for an error that nobody expects.
    """
    # Imported when something has failed: the theory's bring NumPy, which --help should not wait for.
    from sharpdiv.empirical.errors import DivergenceError, InputError, NotMeasuredError, StoreError, WorkerError
    from sharpdiv.registry import PluginError
    from sharpdiv.theory.errors import ConvergenceError, DomainError, MissingPackageError

    if isinstance(error, (PluginError, MissingPackageError)):
        return fail(str(error))
    if isinstance(error, ModuleNotFoundError):
        module = (error.name or "").split(".")[0]
        for extra in (extra for extra, modules in _EXTRAS.items() if module in modules):
            return fail(
                f"{command} needs {error.name}, which is not installed: pip install '.[{extra}]' in the folder of sharpdiv"
            )
    if isinstance(error, (DomainError, UsageError, OSError, MemoryError, InputError, NotMeasuredError, StoreError)):
        return fail(str(error))
    if isinstance(error, (ConvergenceError, DivergenceError, WorkerError)):
        return fail(str(error), status=1)
    return None
