"""Errors of a user's own network or data, told in one line with their place."""

import re
import site
import sys
import sysconfig
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import sharpdiv
from sharpdiv.cli.errors import UsageError
from sharpdiv.empirical import batches
from sharpdiv.empirical.connectivity import batch_norm
from sharpdiv.empirical.curvature import layer_gradients, recording
from sharpdiv.empirical.errors import DivergenceError, InputError, NotMeasuredError, StoreError, WorkerError
from sharpdiv.theory.errors import ConvergenceError, DomainError

__all__ = ["users_code"]

_OURS = (
    DomainError,
    ConvergenceError,
    UsageError,
    InputError,
    NotMeasuredError,
    StoreError,
    DivergenceError,
    WorkerError,
)
_INSTALLED = [
    Path(sharpdiv.__file__).parent,
    *(Path(sysconfig.get_path(name)) for name in ("stdlib", "platstdlib", "purelib", "platlib")),
    *map(Path, [*site.getsitepackages(), site.getusersitepackages()]),
]
"""Ours, Python's and what is installed; not what they are installed under, where a user may work."""
_HOOKS = {module.__file__ for module in (batch_norm, layer_gradients, recording)}
"""Of ours, which a user's network calls."""


@contextmanager
def users_code(*modules: str) -> Iterator[None]:
    """Refuse what a user's code raises as bad input, in one line with the file and line where it was raised.

    An error without a line in the user's files is hers, too, if it comes out of her network, of torch's layers alone, say. Others
    are ours, and leave with their traceback.

    Args:
        modules: what she has named, as ``package.module:name``; such a package may be installed.
    """
    try:
        yield
    except Exception as error:
        if isinstance(error, _OURS):
            raise
        frames = traceback.extract_tb(error.__traceback__)
        # A process of a DataLoader sends its traceback as text.
        text = re.findall(r'File "(.+)", line (\d+)', str(error))
        places = [(frame.filename, frame.lineno) for frame in frames] + [(file, int(line)) for file, line in text]
        named = [place for name in modules for place in _places(re.split("[.:]", name)[0])]
        users = [place for place in places if _is_users(place[0], named)]
        what = str(error).strip().splitlines()[-1] if text else f"{type(error).__name__}: {error}"
        if _in_a_hook([frame.filename for frame in frames], named):
            raise
        if users:
            file, line = users[-1]
            raise UsageError(f"{file}, line {line}: {what}") from error
        if any(frame.filename == batches.__file__ and frame.name == "run_on" for frame in frames):
            raise UsageError(f"the network failed on the data: {what}") from error
        raise


def _places(package: str) -> list[Path]:
    """Where a package that a user has named is: its folders, or the one file of a module."""
    module = sys.modules.get(package)
    file = getattr(module, "__file__", None)
    return [Path(place) for place in getattr(module, "__path__", [file] if file else [])]


def _is_users(file: str, named: list[Path]) -> bool:
    """Whether a file is neither ours nor installed, or in one of these places."""
    if file.startswith("<"):  # of no file
        return False
    path = Path(file)
    return not any(map(path.is_relative_to, _INSTALLED)) or any(map(path.is_relative_to, named))


def _in_a_hook(files: list[str], named: list[Path]) -> bool:
    """Whether it was raised in a hook of ours or behind it, which her network did not ask for."""
    calls = [place for place, file in enumerate(files) if file == batches.__file__ or _is_users(file, named)]
    return any(file in _HOOKS for file in files[max(calls, default=0) :])
