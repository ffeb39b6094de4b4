"""What is on disk: which data sets are here, and whether their files are as published."""

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from sharpdiv.empirical.data.datasets import DATASETS, dataset_named
from sharpdiv.empirical.data.decoded import DECODED, read_decoded
from sharpdiv.empirical.data.folders import place_of
from sharpdiv.empirical.data.raw_files import defect
from sharpdiv.empirical.errors import StoreError

__all__ = ["Check", "Installed", "installed", "verify"]


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


@dataclass(frozen=True)
class Installed:
    """A row of ``installed``."""

    name: str
    """name of the data set"""
    images: str
    """numbers of training and test images and their shape, as text"""
    classes: int
    """number of classes"""
    size: int
    """bytes of the raw files"""
    licence: str
    """licence, as its authors state it"""
    here: bool
    """whether it can be loaded without fetching; checksums are looked at by ``verify`` alone"""
    where: Path | None
    """folder that holds its files, or would; None for a data set without files"""


def installed(folder: Path | None = None) -> list[Installed]:
    """What data sets there are, and which of them are here.

    Args:
        folder: folder with all data sets; default ``data_folder()``.

    Returns:
        A row for each of ``DATASETS``.

    Examples:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from sharpdiv import installed
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     [row.name for row in installed(Path(folder)) if row.here]
        ['digits']
    """
    rows = []
    for name, dataset in DATASETS.items():
        place, extent = place_of(name, folder), dataset.extent
        wanted = ([DECODED], [file.name for file in dataset.files])
        here = any(all(Path(place / name).is_file() for name in names) for names in wanted)
        count = f"{extent.train} + {extent.test}" if extent.test else str(extent.train)
        images = f"{count} of {extent.channels}x{extent.size}x{extent.size}"
        rows.append(
            Installed(
                name, images, extent.classes, dataset.size, dataset.licence, here, place if dataset.files else None
            )
        )
    return rows
