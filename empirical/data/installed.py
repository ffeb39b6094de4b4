"""Which data sets there are, and which of them are here; told without PyTorch, which takes a second to load."""

from dataclasses import dataclass
from pathlib import Path

from sharpdiv.empirical.data.datasets import DATASETS
from sharpdiv.empirical.data.folders import DECODED, place_of

__all__ = ["Installed", "installed"]


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
