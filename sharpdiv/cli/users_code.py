"""Errors of a user's own network or data, told in one line with their place."""

import re
import sysconfig
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import sharpdiv
from sharpdiv.cli.errors import UsageError
from sharpdiv.empirical import batches
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
_INSTALLED = (str(Path(sharpdiv.__file__).parent), *sysconfig.get_paths().values(), "<")


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
        packages = [re.split("[.:]", name)[0] for name in modules]
        users = [place for place in places if _is_users(place[0], packages)]
        what = str(error).strip().splitlines()[-1] if text else f"{type(error).__name__}: {error}"
        if users:
            file, line = users[-1]
            raise UsageError(f"{file}, line {line}: {what}") from error
        if any(frame.filename == batches.__file__ and frame.name == "run_on" for frame in frames):
            raise UsageError(f"the network failed on the data: {what}") from error
        raise


def _is_users(file: str, packages: list[str]) -> bool:
    """Whether a file is neither ours nor installed, or of one of these packages."""
    return not file.startswith(_INSTALLED) or not set(packages).isdisjoint(Path(file).parts)
