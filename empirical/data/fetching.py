"""Fetching of raw files: downloaded, or copied from a local source, and verified before they take their names."""

from pathlib import Path

import pooch

from sharpdiv.empirical.data.dataset import Dataset, RawFile
from sharpdiv.empirical.data.datasets import dataset_named
from sharpdiv.empirical.data.folders import place_of, writing
from sharpdiv.empirical.data.parsers.contract import Progress
from sharpdiv.empirical.data.raw_files import check_content, check_size, defect, read_verified
from sharpdiv.empirical.errors import InputError, StoreError
from sharpdiv.empirical.store import write_atomically

__all__ = ["fetch"]


def fetch(
    name: str, source: Path | None = None, folder: Path | None = None, progress: Progress = lambda *_: None
) -> Path:
    """Download a data set's raw files, or copy them from a local source, and verify their checksums.

    A file takes its name only when it is whole and verified. A download leaves alone what is here already and verified; a source
    replaces it.

    Args:
        name: name of a data set in ``DATASETS``.
        source: folder that holds the files, or the file if there is only one, to copy from; None for a download.
        folder: folder with all data sets; default ``data_folder()``.
        progress: listener to the bytes downloaded.

    Returns:
        The folder with the raw files.

    Raises:
        InputError: if there is no such data set, it has no files or can only be had from a source, or the source does not hold
            the published files.
        StoreError: if the download fails, what comes is not the published file, or the folder cannot be written.

    Examples:
        >>> from sharpdiv import fetch
        >>> fetch("digits")
        Traceback (most recent call last):
        ...
        sharpdiv.empirical.errors.InputError: digits is here already, bundled with scikit-learn: there is nothing to fetch
    """
    dataset = dataset_named(name)
    if not dataset.files:
        raise InputError(f"{name} is here already, {dataset.licence}: there is nothing to fetch")
    place = place_of(name, folder)
    with writing(place):
        for file in dataset.files:
            path = place / file.name
            if source is not None:
                write_atomically(path, _copied(dataset, file, source))
            elif defect(file, path) is not None:
                write_atomically(path, _downloaded(dataset, file, progress))
    return place


def _copied(dataset: Dataset, file: RawFile, source: Path) -> bytes:
    if not source.is_dir() and len(dataset.files) > 1:
        names = ", ".join(file.name for file in dataset.files)
        raise InputError(f"{dataset.name} has several files; the source must be a folder with {names}, got {source}")
    try:
        return read_verified(file, source / file.name if source.is_dir() else source)
    except StoreError as error:
        raise InputError(str(error)) from error


def _downloaded(dataset: Dataset, file: RawFile, progress: Progress) -> bytes:
    checksum, size = next(iter(file.editions.items()))
    if file.url is None:
        raise InputError(f"{dataset.name} cannot be downloaded: give a copy of {file.name} ({checksum}) as the source")
    received = _Download(f"downloading {file.name}", size, progress)
    # Compressed on the way, a .gz file would arrive unpacked.
    download = pooch.HTTPDownloader(chunk_size=1 << 18, headers={"Accept-Encoding": "identity"})
    try:
        download(file.url, received, None)
        content = bytes(received.content)
        check_size(file, len(content), file.url)
        check_content(file, content, file.url)
    except (OSError, ValueError, StoreError) as error:
        raise StoreError(
            f"{file.url} could not be downloaded ({error}); try again, or get {file.name} elsewhere and give it as the source"
        ) from error
    return content


class _Download:
    """The file that pooch writes to: in memory, it tells its progress and takes no more than it should, whatever is sent."""

    def __init__(self, what: str, size: int, progress: Progress) -> None:
        self.content = bytearray()
        self._what, self._size, self._progress = what, size, progress

    def write(self, chunk: bytes) -> None:
        self.content += chunk
        if len(self.content) > self._size:
            raise StoreError(f"it has more than the published {self._size} bytes")
        self._progress(self._what, len(self.content), self._size)

    def flush(self) -> None:
        pass
