"""Loading of data sets: their decoded copies, made from the verified raw files on the first load."""

import warnings
from contextlib import suppress
from pathlib import Path

from sharpdiv.empirical.data.datasets import dataset_named
from sharpdiv.empirical.data.decoded import decode, read_decoded, save_decoded
from sharpdiv.empirical.data.folders import DECODED, place_of, writing
from sharpdiv.empirical.data.parsers.contract import Progress
from sharpdiv.empirical.data.raw_files import read_verified
from sharpdiv.empirical.data.raw_images import RawImages
from sharpdiv.empirical.errors import StoreError

__all__ = ["load_images"]


def load_images(name: str, folder: Path | None = None, progress: Progress = lambda *_: None) -> RawImages:
    """Load a data set whose files are here.

    The first load decodes the raw files and keeps the result; later ones read only that, so the raw files may be deleted. A
    decoded file that is damaged or out of date is made anew, with a warning: a raw file is used only if it has its published
    checksum, so nothing wrong can come of it, and a long run goes on.

    Args:
        name: name of a data set in ``DATASETS``.
        folder: folder with all data sets; default ``data_folder()``.
        progress: listener to the decoding.

    Returns:
        The images as published.

    Raises:
        InputError: if there is no such data set.
        StoreError: if it must be decoded and a raw file is missing, damaged or not the published one, or the folder cannot be
            written.

    Examples:
        >>> from sharpdiv import load_images
        >>> images = load_images("digits")
        >>> tuple(images.train_images.shape), images.train_labels.bincount().min()
        ((1797, 1, 16, 16), tensor(174))
    """
    dataset = dataset_named(name)
    if not dataset.files:
        return decode(dataset, {}, progress)
    place = place_of(name, folder)
    try:
        return read_decoded(dataset, place)
    except StoreError as error:
        defect = f"{error}; " if Path(place / DECODED).exists() else ""
    try:
        contents = {file.name: read_verified(file, place / file.name) for file in dataset.files}
    except StoreError as error:
        raise StoreError(f"{defect}{error}; `sharpdiv data fetch {name}` puts it there") from error
    with writing(place):
        with suppress(StoreError):  # another process may have made it meanwhile
            return read_decoded(dataset, place)
        if defect:
            warnings.warn(f"{defect}it is made anew from the raw files", stacklevel=2)
        images = decode(dataset, contents, progress)
        save_decoded(dataset, place, images)
    return images
