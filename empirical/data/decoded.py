"""The decoded copy of a data set, which loads fast: made from the raw files, checksummed, and bound to how it was made."""

import hashlib
from pathlib import Path

import torch
from torch import Tensor

from sharpdiv.empirical.data.dataset import Dataset
from sharpdiv.empirical.data.folders import DECODED
from sharpdiv.empirical.data.parsers.contract import Progress, checked
from sharpdiv.empirical.data.raw_images import RawImages
from sharpdiv.empirical.errors import StoreError
from sharpdiv.empirical.store import digest, load_tensors, save_tensors

__all__ = ["decode", "read_decoded", "save_decoded"]


def decode(dataset: Dataset, contents: dict[str, bytes], progress: Progress) -> RawImages:
    """Images in the contents of raw files.

    Args:
        dataset: record of the data set.
        contents: bytes of the files by name.
        progress: listener to the decoding.

    Returns:
        The images as published.

    Raises:
        InputError: if they are not the images that the data set is known to hold.

    Examples:
        >>> from sharpdiv import DATASETS
        >>> from sharpdiv.empirical.data.decoded import decode
        >>> images = decode(DATASETS["digits"], {}, lambda *_: None)  # without files
        >>> tuple(images.train_images.shape), len(images.source_sha256)
        ((1797, 1, 16, 16), 64)
    """
    train, test = checked(
        *dataset.decode(contents, dataset.extent, progress), dataset.extent, f"data set {dataset.name}"
    )
    hashes = {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
    if not hashes:  # made by code, which may change: what it made is what tells it from others
        hashes = {"arrays": hashlib.sha256(b"".join(array.tobytes() for array in (*train, *test))).hexdigest()}
    source = next(iter(hashes.values())) if len(hashes) == 1 else digest(hashes)
    arrays = [torch.from_numpy(array) for array in (*train, *test)]
    return RawImages(arrays[0], arrays[1], arrays[2], arrays[3], dataset.extent.classes, source)


def save_decoded(dataset: Dataset, place: Path, images: RawImages) -> None:
    """Write the decoded copy.

    Args:
        dataset: record of the data set.
        place: folder of the data set.
        images: decoded images.

    Example: see ``read_decoded``.
    """
    tensors = {name: value for name, value in vars(images).items() if isinstance(value, Tensor)}
    metadata = {"name": dataset.name, "recipe": dataset.recipe, "source_sha256": images.source_sha256}
    save_tensors(place / DECODED, tensors, metadata)


def read_decoded(dataset: Dataset, place: Path) -> RawImages:
    """The decoded images, if their checksum is right and decoding the raw files now would give the same.

    Args:
        dataset: record of the data set.
        place: folder of the data set.

    Returns:
        The images as published.

    Raises:
        StoreError: if the file is missing, damaged or out of date.

    Examples:
        >>> import tempfile
        >>> from pathlib import Path
        >>> import torch
        >>> from sharpdiv import DATASETS, load_images
        >>> from sharpdiv.empirical.data.decoded import read_decoded, save_decoded
        >>> images = load_images("digits")
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     save_decoded(DATASETS["digits"], Path(folder), images)
        ...     torch.equal(read_decoded(DATASETS["digits"], Path(folder)).train_images, images.train_images)
        True
    """
    path = place / DECODED
    tensors, metadata = load_tensors(path)
    if metadata.get("recipe") != dataset.recipe:
        raise StoreError(f"{path} was made of other raw files or by another decoder than this one")
    return RawImages(**tensors, classes=dataset.extent.classes, source_sha256=metadata["source_sha256"])
