"""Images of our data sets as batches for anybody's networks: normalized, clean and corrupted."""

from collections.abc import Iterator
from dataclasses import dataclass

from jaxtyping import Int, UInt8
from torch import Tensor

from sharpdiv.empirical.batches import Batch
from sharpdiv.empirical.data.corruptions import SEVERITIES
from sharpdiv.empirical.data.splits import ImageData
from sharpdiv.empirical.runs.config import RunConfig
from sharpdiv.empirical.runs.measure_config import MeasureConfig
from sharpdiv.empirical.runs.measured_images import corrupted_images, images_of_split, run_data

__all__ = ["ImageBatches", "OurImages", "our_images"]


@dataclass(frozen=True)
class ImageBatches:
    """Images that are normalized batch by batch, each time they are read.

    Examples:
        >>> from sharpdiv import digits
        >>> from sharpdiv.empirical.ensembles.images import ImageBatches
        >>> data = digits(train_samples=100)
        >>> [tuple(inputs.shape) for inputs, _ in ImageBatches(data, data.train_images, data.train_labels, size=60)]
        [(60, 1, 16, 16), (40, 1, 16, 16)]
    """

    data: ImageData
    """data set that they are normalized by"""
    images: UInt8[Tensor, "samples channels height width"]
    """some images of it"""
    labels: Int[Tensor, " samples"]
    """their labels"""
    size: int
    """number of images in a batch"""

    def __iter__(self) -> Iterator[Batch]:
        """Read all batches.

        Yields:
            Normalized images and labels.
        """
        for images, labels in zip(self.images.split(self.size), self.labels.split(self.size), strict=True):
            yield self.data.normalize(images), labels


@dataclass(frozen=True)
class OurImages:
    """Images of one of our data sets.

    Example: see ``our_images``.
    """

    train: ImageBatches
    """training images"""
    test: ImageBatches
    """images that predictions are made for"""
    corrupted: dict[str, list[ImageBatches]]
    """the first of these under every corruption, by severity"""


def our_images(
    name: str, how: MeasureConfig, train_samples: int | None = None, validation_samples: int = 0, split_seed: int = 0
) -> OurImages:
    """Images of a data set in the split of ``load_data``, as runs of ours are measured on them.

    Args:
        name: name of the data set.
        how: settings: the split, and the number and kind of corrupted images.
        train_samples: number of training images; all that there are if None.
        validation_samples: number of images held out.
        split_seed: seed of the split.

    Returns:
        Batches of ``sharpness_batch`` images.

    Raises:
        InputError: if the data set is not known or has no such split.

    Examples:
        >>> from sharpdiv import MeasureConfig
        >>> from sharpdiv.empirical.ensembles.images import our_images
        >>> found = our_images("digits", MeasureConfig(corrupted_samples=10), train_samples=200)
        >>> len(found.train.labels), len(found.test.labels), len(found.corrupted), len(found.corrupted["fog"][0].labels)
        (200, 1597, 14, 10)
    """
    config = RunConfig(
        "sgd", data=name, train_samples=train_samples, validation_samples=validation_samples, split_seed=split_seed
    )
    data = run_data(config)
    names, images, labels = corrupted_images(config, how)
    size = how.sharpness_batch
    return OurImages(
        ImageBatches(data, data.train_images, data.train_labels, size),
        ImageBatches(data, *images_of_split(data, how), size),
        {
            kind: [ImageBatches(data, images[at, level], labels, size) for level in range(len(SEVERITIES))]
            for at, kind in enumerate(names)
        },
    )
