"""Where on more than one machine, or on several GPUs: the options in a file such as ``cluster.toml``."""

import re
import tomllib
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal

from sharpdiv.empirical.errors import InputError

__all__ = ["Cluster", "read_cluster"]

_OF_SLURM = ("partition", "walltime", "directives")
_MOST = 10_000
"""Of any number: more is a slip of the finger."""


@dataclass(frozen=True)
class Cluster:
    """Jobs that do pieces of work, and what each of them has.

    Examples:
        >>> from sharpdiv.empirical.engines.cluster import Cluster
        >>> Cluster("slurm", gpus_per_job=1, workers_per_gpu=2, jobs=8).workers
        16
        >>> Cluster("slurm", walltime="4h")
        Traceback (most recent call last):
        ...
        sharpdiv.empirical.errors.InputError: walltime must be HH:MM:SS, got '4h'
    """

    kind: Literal["local", "slurm"]
    """processes of this machine, or jobs of SLURM"""
    gpus_per_job: int = 0
    """GPUs of each job; 0 for jobs on CPUs. With SLURM one job for each GPU waits least"""
    workers_per_gpu: int = 1
    """pieces of work at once on each GPU; without GPUs, in each job"""
    jobs: int = 1
    """jobs at once; one that ends while there is work is replaced"""
    partition: str | None = None
    """SLURM's partition; its default unless given"""
    walltime: str = "01:00:00"
    """SLURM's limit for each job, as HH:MM:SS; a piece that is cut off goes on in the next job"""
    retries: int = 2
    """how often a piece of work that lost its process is started again"""
    setup: str = ""
    """shell commands that each job begins with, such as ``module load cuda``"""
    directives: tuple[str, ...] = ()
    """more options of ``sbatch``, such as ``--account=me``"""

    def __post_init__(self) -> None:
        for name, least in (("gpus_per_job", 0), ("workers_per_gpu", 1), ("jobs", 1), ("retries", 0)):
            if not least <= getattr(self, name) <= _MOST:
                raise InputError(f"{name} must be between {least} and {_MOST}, got {getattr(self, name)}")
        if not re.fullmatch(r"\d+:[0-5]\d:[0-5]\d", self.walltime):
            raise InputError(f"walltime must be HH:MM:SS, got {self.walltime!r}")
        if wrong := [line for line in self.directives if not line.startswith("-")]:
            raise InputError(f"directives must be options of sbatch such as '--account=me', got {wrong[0]!r}")
        if self.kind == "local" and self.gpus_per_job and self.jobs > 1:
            raise InputError(
                f"{self.jobs} jobs of one machine would use the same GPUs: leave jobs out, with gpus_per_job as many as there are"
            )
        for name in _OF_SLURM if self.kind == "local" else ():
            if getattr(self, name) != getattr(Cluster, name):
                raise InputError(f"{name} is an option of kind 'slurm', and kind is 'local'")

    @property
    def workers_per_job(self) -> int:
        """Pieces of work at once in each job."""
        return max(self.gpus_per_job, 1) * self.workers_per_gpu

    @property
    def workers(self) -> int:
        """Pieces of work at once."""
        return self.jobs * self.workers_per_job


def read_cluster(path: Path) -> Cluster:
    r"""Options from a TOML file.

    Args:
        path: path of the file, whose keys are the fields of ``Cluster``.

    Returns:
        The options.

    Raises:
        InputError: if the file is missing or malformed, or a key is unknown, missing or of another type; the message names both.

    Examples:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from sharpdiv.empirical.engines.cluster import read_cluster
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder) / "cluster.toml"
        ...     _ = path.write_text('kind = "local"\njobs = 2')
        ...     read_cluster(path).workers
        2
    """
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is not TOML: {error}") from error
    known = {field.name: field.type for field in fields(Cluster)}
    for name, value in found.items():
        if name not in known:
            raise InputError(f"{path}: unknown key {name!r}; known are {', '.join(known)}")
        kind, words = _TYPES.get(name, (str, "a text"))
        if not isinstance(value, kind) or isinstance(value, bool):
            raise InputError(f"{path}: {name} must be {words}, got {value!r}")
    if found.get("kind") not in {"local", "slurm"}:
        raise InputError(f"{path}: kind must be 'local' or 'slurm', got {found.get('kind', 'none')!r}")
    directives = found.pop("directives", [])
    if wrong := [line for line in directives if not isinstance(line, str)]:
        raise InputError(f"{path}: directives must be a list of texts, got {wrong[0]!r} in it")
    try:
        return Cluster(**found, directives=tuple(directives))
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


_WHOLE = (int, "a whole number")
_TYPES: dict[str, tuple[type[Any], str]] = {
    **dict.fromkeys(("gpus_per_job", "workers_per_gpu", "jobs", "retries"), _WHOLE),
    "directives": (list, "a list of texts"),
}
