"""Whether the files of a data set are as published."""

from pathlib import Path
from typing import NamedTuple

from sharpdiv.empirical.data.datasets import dataset_named
from sharpdiv.empirical.data.decoded import read_decoded
from sharpdiv.empirical.data.folders import DECODED, place_of
from sharpdiv.empirical.data.raw_files import defect
from sharpdiv.empirical.errors import StoreError

__all__ = ["Check", "verify"]


class Check(NamedTuple):
    """Verdict on one file."""

    file: Path
    """path where it is, or should be"""
    ok: bool
    """whether it can be used"""
    detail: str
    """reason why it can be used, or cannot"""


def verify(name: str, folder: Path | None = None) -> list[Check]:
    """Compare the raw files with their published checksums, and the decoded one with its own.

    Args:
        name: name of a data set in ``DATASETS``.
        folder: folder with all data sets; default ``data_folder()``.

    Returns:
        A verdict on every file. A decoded file that does not exist is none to complain about; a data set without files
        has none.

    Raises:
        InputError: if there is no such data set.

    Examples:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from sharpdiv import verify
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     [(check.file.name, check.ok) for check in verify("cifar10", Path(folder))]
        [('cifar-10-binary.tar.gz', False), ('decoded.safetensors', True)]
    """
    dataset = dataset_named(name)
    place = place_of(name, folder)
    if not dataset.files:
        return []
    checks = []
    for file in dataset.files:
        wrong = defect(file, place / file.name)
        checks.append(Check(place / file.name, wrong is None, wrong or "as published"))
    try:
        read_decoded(dataset, place)
        decoded = Check(place / DECODED, True, "matches its checksum")
    except StoreError as error:
        there = Path(place / DECODED).exists()
        decoded = Check(place / DECODED, not there, str(error) if there else "not made yet; the first load makes it")
    return [*checks, decoded]
