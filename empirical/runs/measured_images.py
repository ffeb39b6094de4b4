"""The images that runs are measured on: those of the split, and the same corrupted, alike for every run and device."""

import hashlib
from collections.abc import Iterator
from functools import lru_cache
from itertools import chain, product
from pathlib import Path

import torch
from jaxtyping import Int, UInt8
from torch import Tensor

from sharpdiv.empirical.data import corrupting, corruptions
from sharpdiv.empirical.data.corruption_files import PUBLISHED_CORRUPTIONS, load_published
from sharpdiv.empirical.data.corruptions import CORRUPTIONS, SEVERITIES, corrupt
from sharpdiv.empirical.data.dataset import jpeg_library
from sharpdiv.empirical.data.datasets import DATASETS
from sharpdiv.empirical.data.folders import data_folder
from sharpdiv.empirical.data.splits import ImageData, stratified_order
from sharpdiv.empirical.errors import InputError
from sharpdiv.empirical.runs.config import RunConfig
from sharpdiv.empirical.runs.ensembles import load_run_data
from sharpdiv.empirical.runs.measure_config import MeasureConfig
from sharpdiv.empirical.runs.shared_images import shared_images
from sharpdiv.empirical.store import digest

__all__ = ["corrupted_digest", "corrupted_images", "images_of_split", "run_data"]

Corrupted = tuple[
    tuple[str, ...], UInt8[Tensor, "corruptions severities samples channels height width"], Int[Tensor, " samples"]
]
"""Names of the corruptions, images and labels."""
_Levels = tuple[tuple[str, ...], Int[Tensor, " samples"], Iterator[UInt8[Tensor, "samples channels height width"]]]
"""Names of the corruptions, labels, and the images of every corruption and severity, each made when it is asked for."""

# A process measures many members of many runs on the same images: they are kept by what they depend on.
_load = lru_cache(maxsize=1)(load_run_data)


def run_data(config: RunConfig) -> ImageData:
    """The data of a run, kept for the next run on the same data.

    Args:
        config: configuration of the run.

    Returns:
        Images on the CPU.

    Examples:
        >>> from sharpdiv import RunConfig
        >>> from sharpdiv.empirical.runs.measured_images import run_data
        >>> run_data(RunConfig("sgd")) is run_data(RunConfig("sam", rho=0.1))  # the same images
        True
    """
    return _load(_source(config))


def images_of_split(data: ImageData, how: MeasureConfig) -> tuple[Tensor, Tensor]:
    """Images and labels that predictions are made on.

    Args:
        data: data of the run.
        how: settings, which name the split.

    Returns:
        The images, uint8, and their labels.

    Raises:
        InputError: if they are those held out for validation, and the run holds none out.

    Examples:
        >>> from sharpdiv import MeasureConfig, load_data
        >>> from sharpdiv.empirical.runs.measured_images import images_of_split
        >>> data = load_data("digits", train_samples=200, validation_samples=100)
        >>> [len(images_of_split(data, MeasureConfig(split=split))[0]) for split in ("validation", "test")]
        [100, 1497]
    """
    if how.split == "validation" and not len(data.validation_labels):
        raise InputError("the run holds no images out for validation; train with validation samples or measure on test")
    if how.split == "validation":
        return data.validation_images, data.validation_labels
    return data.test_images, data.test_labels


def corrupted_images(config: RunConfig, how: MeasureConfig, root: Path | None = None) -> Corrupted:
    """The first images of the split under every corruption and severity.

    Args:
        config: configuration of a run.
        how: settings of the measurement.
        root: folder of all runs, in which they are kept in a file that all processes share; in this one's memory unless given.

    Returns:
        Names of the corruptions, images and labels.

    Raises:
        InputError: if published ones are asked for, and none are published of this data set's split.

    Examples:
        >>> from sharpdiv import MeasureConfig, RunConfig
        >>> from sharpdiv.empirical.runs.measured_images import corrupted_images
        >>> names, images, labels = corrupted_images(RunConfig("sgd"), MeasureConfig(corrupted_samples=2))
        >>> names[0], tuple(images.shape)  # corruptions, severities, samples, channels, height, width
        ('gaussian_noise', (14, 5, 2, 1, 16, 16))
    """
    return _corrupted(_source(config), how, root)


def _source(config: RunConfig) -> RunConfig:
    """The same for all runs on the same data."""
    names = ("data", "train_samples", "validation_samples", "split_seed")
    return RunConfig("sgd", **{name: getattr(config, name) for name in names})


@lru_cache(maxsize=2)  # a design measures some of its conditions by few images, and a process takes them in turns
def _corrupted(source: RunConfig, how: MeasureConfig, root: Path | None) -> Corrupted:
    names, labels, levels = (_published if how.corrupted == "published" else _generated)(source, how)
    shape = (len(names), len(SEVERITIES), len(labels), *_load(source).test_images.shape[1:])
    if root is not None:
        return names, shared_images(root / "corrupted" / corrupted_digest(source, how), shape, levels), labels
    images = torch.empty(shape, dtype=torch.uint8)
    for place, level in zip(images.flatten(0, 1), levels, strict=True):
        place.copy_(level)
    return names, images, labels


def corrupted_digest(config: RunConfig, how: MeasureConfig) -> str:
    """A hash of all that the corrupted images depend on: other code, libraries or files may make others.

    Args:
        config: configuration of a run.
        how: settings of the measurement.

    Returns:
        Twelve characters.

    Examples:
        >>> from sharpdiv import MeasureConfig, RunConfig
        >>> from sharpdiv.empirical.runs.measured_images import corrupted_digest
        >>> few, many = (MeasureConfig(corrupted_samples=samples) for samples in (2, 3))
        >>> corrupted_digest(RunConfig("sgd"), few) == corrupted_digest(RunConfig("sam", rho=0.1), few)
        True
        >>> corrupted_digest(RunConfig("sgd"), few) == corrupted_digest(RunConfig("sgd"), many)
        False
    """
    source = _source(config)
    rooms = Path(corruptions.__file__), *sorted(Path(corrupting.__file__).parent.glob("*.py"))
    code = hashlib.sha256(b"".join(file.read_bytes() for file in rooms)).hexdigest()
    of_how = [how.split, how.corrupted, how.corrupted_samples]
    of = _state(source) if how.corrupted == "published" else jpeg_library()
    return digest([source.to_json(), _load(source).source, of_how, code, of])[:12]


def _state(source: RunConfig) -> list[tuple[str, int, int]]:
    """Sizes and times of the published files, or of the folders that these are in: reading all of them takes minutes."""
    if (published := DATASETS[source.data].published) is None:
        return []  # which is refused where they are read
    folder = data_folder() / published.folder
    found = [*folder.glob("*.npy"), *folder.glob("*/*/*/")]
    return sorted((str(path.relative_to(folder)), path.stat().st_size, path.stat().st_mtime_ns) for path in found)


def _generated(source: RunConfig, how: MeasureConfig) -> _Levels:
    images, labels = (values[: how.corrupted_samples] for values in images_of_split(_load(source), how))
    levels = (
        corrupt(images, name, severity, seed=10 * kind + severity)
        for kind, name in enumerate(CORRUPTIONS)
        for severity in SEVERITIES
    )
    return CORRUPTIONS, labels, levels


def _published(source: RunConfig, how: MeasureConfig) -> _Levels:
    published = DATASETS[source.data].published
    if published is None or how.split != "test":
        known = ", ".join(name for name, dataset in DATASETS.items() if dataset.published)
        raise InputError(f"corrupted images are published of the test images of {known}; use generated ones")
    folder, names = data_folder() / published.folder, PUBLISHED_CORRUPTIONS[:15]
    first, *others = product(names, SEVERITIES)
    images, labels = load_published(folder, *first, published.kind)
    # CIFAR's files have the test set's own order, so that this makes the first images the same ones; Tiny-ImageNet-C is sorted
    # by class, and its first images are others in the same shares.
    some = stratified_order(labels)[: how.corrupted_samples]
    levels = (load_published(folder, *each, published.kind)[0][some] for each in others)
    return names, labels[some], chain([images[some]], levels)
