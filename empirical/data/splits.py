"""Image data in memory: uint8 tensors (samples, channels, height, width), their split, and the batches of training."""

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor, nn

from sharpdiv.empirical.data.datasets import DATASETS
from sharpdiv.empirical.data.loading import load_images
from sharpdiv.empirical.devices import moved
from sharpdiv.empirical.errors import InputError

__all__ = ["TEST_ORDER", "Augmentation", "ImageData", "TrainingImages", "digits", "load_data", "stratified_order"]

Images = UInt8[Tensor, "samples channels height width"]
Augmentation = Literal["none", "flip", "crop-flip"]

_PADDING = 4  # of the random crop, as in the paper

TEST_ORDER = "stratified-0"
"""Name of the order of every test and validation set, kept with what is measured on a part of one; ends in its seed."""


@dataclass(frozen=True)
class ImageData:
    """Images of one split; normalize before a network sees them, after any corruption.

    Examples:
        >>> from sharpdiv import digits
        >>> data = digits(train_samples=100)
        >>> images = data.normalize(data.train_images)
        >>> tuple(images.shape), abs(images.mean().item()) < 1e-5  # by the mean of the training images
        ((100, 1, 16, 16), True)
    """

    name: str
    """name of the data set"""
    train_images: UInt8[Tensor, "train channels height width"]
    """training images"""
    train_labels: Int[Tensor, " train"]
    """training labels"""
    validation_images: UInt8[Tensor, "validation channels height width"]
    """images held out from training, for choosing hyperparameters; may be none"""
    validation_labels: Int[Tensor, " validation"]
    """labels of the images held out"""
    test_images: UInt8[Tensor, "test channels height width"]
    """test images"""
    test_labels: Int[Tensor, " test"]
    """test labels"""
    classes: int
    """number of classes"""
    mean: Float[Tensor, " channels"]
    """mean of images in [0, 1], for each channel"""
    std: Float[Tensor, " channels"]
    """standard deviation of images in [0, 1], for each channel"""
    source: str = ""
    """SHA-256 of what the images came from; empty if unknown"""

    def normalize(self, images: Images) -> Float[Tensor, "samples channels height width"]:
        """Scale to [0, 1], subtract the mean and divide by the standard deviation, per channel.

        Args:
            images: images of this data set.

        Returns:
            float32 images of the same shape and memory format, on the images' device.
        """
        mean, std = self.mean.to(images.device), self.std.to(images.device)
        return _standardized(images.permute(0, 2, 3, 1), mean, std)


class TrainingImages:
    """Training images on the device as one uint8 tensor, cut into normalized and perhaps augmented batches.

    Crop and flip are one gather for a whole batch. The random numbers are drawn on the CPU, for a whole epoch, so that every
    device sees the same augmentation and nothing waits for the device.

    Args:
        data: split whose training images are used.
        device: device that holds them.
        augment: kind of augmentation: none, horizontal flips, or random crops after zero padding of 4 pixels and flips.

    Examples:
        >>> import torch
        >>> from sharpdiv import digits
        >>> from sharpdiv.empirical.data.splits import TrainingImages
        >>> images = TrainingImages(digits(train_samples=100), torch.device("cpu"), augment="crop-flip")
        >>> epoch = images.draw(torch.Generator().manual_seed(0))
        >>> tuple(images.batch(torch.arange(20), epoch).shape)
        (20, 1, 16, 16)
    """

    def __init__(self, data: ImageData, device: torch.device, augment: Augmentation) -> None:
        self._padding = pad = _PADDING if augment == "crop-flip" else 0
        padded = nn.functional.pad(data.train_images, (pad, pad, pad, pad))
        self._images = padded.permute(0, 2, 3, 1).contiguous().to(device)  # a gather then yields channels-last batches
        self._mean, self._std = data.mean.to(device), data.std.to(device)
        self._size = data.train_images.shape[2:]
        self.labels = data.train_labels.to(device)
        self.device, self.augment = device, augment

    def draw(self, generator: torch.Generator) -> Int[Tensor, "train three"] | None:
        """Crop offsets (down, right) and flip of every training image in an epoch.

        Args:
            generator: source of random numbers on the CPU.

        Returns:
            A row for each image, on the device; None without augmentation.
        """
        if self.augment == "none":
            return None
        offsets = torch.randint(2 * self._padding + 1, (len(self.labels), 2), generator=generator)
        flips = torch.randint(2, (len(self.labels), 1), generator=generator)
        return moved(torch.cat([offsets, flips], dim=1), self.device)

    def batch(
        self, index: Int[Tensor, " batch"], augmentation: Int[Tensor, "train three"] | None
    ) -> Float[Tensor, "batch channels height width"]:
        """Normalized images in channels-last memory format.

        Args:
            index: indices of the samples, on the device.
            augmentation: offsets and flips of all training images, as ``draw`` gives it.

        Returns:
            float32 images.
        """
        return self.cut(index, None if augmentation is None else augmentation[index])

    def cut(
        self, index: Int[Tensor, " batch"], crops: Int[Tensor, "batch three"] | None
    ) -> Float[Tensor, "batch channels height width"]:
        """Normalized images in channels-last memory format, each with its own crop and flip.

        Args:
            index: indices of the samples, on the device.
            crops: offsets and flip of each of them; None without augmentation.

        Returns:
            float32 images.
        """
        if crops is None:
            images = self._images[index]
        else:
            height, width = self._size
            down, right, flip = crops.unsqueeze(-1).unbind(1)
            rows = down + torch.arange(height, device=self.device)
            columns = torch.arange(width, device=self.device)
            columns = right + torch.where(flip == 1, width - 1 - columns, columns)
            images = self._images[index[:, None, None], rows[:, :, None], columns[:, None, :]]
        return _standardized(images, self._mean, self._std)


def _standardized(
    images: UInt8[Tensor, "samples height width channels"], mean: Tensor, std: Tensor
) -> Float[Tensor, "samples channels height width"]:
    """Channels, which are last in the images, scaled to mean 0 and deviation 1."""
    return ((images.float() / 255 - mean) / std).permute(0, 3, 1, 2)


def load_data(
    name: str, train_samples: int | None = None, validation_samples: int = 0, split_seed: int = 0
) -> ImageData:
    """Load a data set and split it into training, validation and test images.

    Of the training images in random order, the first ``validation_samples`` are held out and the next ``train_samples`` are
    trained on. The digits have no test set of their own: theirs is what remains. Each of the three is then put in
    ``stratified_order``, so that its first images are a sample of all classes, however the files are sorted.

    Args:
        name: name of a data set that ``sharpdiv data list`` shows as here.
        train_samples: number of training images; all that remain if None, where there is a test set.
        validation_samples: number of images held out; the paper holds out 5,000 of 50,000.
        split_seed: seed of the order.

    Returns:
        The data on the CPU.

    Raises:
        InputError: if the split asks for more images than there are, or leaves none to train or test on, or the data set has no
            test set of its own and the number of training images is not given.

    Examples:
        >>> from sharpdiv import load_data
        >>> data = load_data("digits", train_samples=1000, validation_samples=300)
        >>> len(data.train_images), len(data.validation_images), len(data.test_images)  # of 1797
        (1000, 300, 497)
    """
    raw = load_images(name)
    one_set = len(raw.test_labels) == 0
    if one_set and train_samples is None:
        raise InputError(
            f"{name} has no test set of its own: say how many training images there are, the rest is the test set"
        )
    available = len(raw.train_labels) - one_set
    wanted = available - validation_samples if train_samples is None else train_samples
    if wanted < 1 or validation_samples < 0 or wanted + validation_samples > available:
        raise InputError(
            f"train samples must lie between 1 and {available - max(validation_samples, 0)} of {name} "
            f"beside {validation_samples} for validation, got {train_samples}"
        )
    order = torch.randperm(len(raw.train_labels), generator=torch.Generator().manual_seed(split_seed))
    held, train, rest = order.tensor_split([validation_samples, validation_samples + wanted])
    images, labels = raw.train_images, raw.train_labels
    mean, std = _statistics(name, images[train])
    test = (images[rest], labels[rest]) if one_set else (raw.test_images, raw.test_labels)
    parts = ((images[train], labels[train]), (images[held], labels[held]), test)
    ordered = [(x[order], y[order]) for x, y in parts for order in [stratified_order(y)]]
    return ImageData(name, *ordered[0], *ordered[1], *ordered[2], raw.classes, mean, std, raw.source_sha256)


def stratified_order(labels: Int[Tensor, " samples"]) -> Int[Tensor, " samples"]:
    """An order, fixed by the labels, in which every prefix is a stratified sample.

    Systematic sampling: the j-th of the ``n`` samples of a class, counted in a random order, has its place at ``(j + 1/2) / n``
    of the way; classes take turns in a random order. Of a class with the share s of K classes' samples, the first N samples hold
    s N to within (1 + s K) / 2: to within one sample if classes are alike.

    Args:
        labels: classes of the samples, counted from 0.

    Returns:
        Indices of the samples, in that order.

    Examples:
        >>> import torch
        >>> from sharpdiv.empirical.data.splits import stratified_order
        >>> labels = torch.tensor(4 * [0] + 4 * [1])
        >>> labels[stratified_order(labels)].view(4, 2).sum(dim=1)  # one of each class in every pair
        tensor([1, 1, 1, 1])
    """
    generator = torch.Generator().manual_seed(int(TEST_ORDER.rpartition("-")[2]))
    shuffled = torch.randperm(len(labels), generator=generator)
    classes = labels[shuffled].cpu()
    by_class = classes.argsort(stable=True)
    counts = torch.bincount(classes)
    starts = counts.cumsum(0) - counts
    turn = torch.empty_like(by_class)
    turn[by_class] = torch.arange(len(labels)) - starts[classes[by_class]]
    place = (turn + 0.5).double() / counts[classes]
    first = torch.rand(len(counts), generator=generator).argsort().argsort()
    # Equal classes have equal places: their turn decides, by an order of the classes that is one for all.
    return shuffled[(place + first[classes] * 1e-12).argsort(stable=True)]


def digits(train_samples: int = 400, split_seed: int = 0) -> ImageData:
    """The digits of scikit-learn, split into training and test images; see ``load_data``.

    Args:
        train_samples: number of images to train on, drawn without replacement; all others are the test set.
        split_seed: seed of the draw.

    Returns:
        The data on the CPU.

    Examples:
        >>> from sharpdiv import digits
        >>> data = digits(train_samples=400)
        >>> tuple(data.train_images.shape), len(data.test_images), data.classes
        ((400, 1, 16, 16), 1397, 10)
    """
    return load_data("digits", train_samples, split_seed=split_seed)


def _statistics(name: str, images: Images) -> tuple[Tensor, Tensor]:
    if known := DATASETS[name].statistics:
        mean, std = (torch.tensor(value) for value in known)
        return mean, std
    scaled = images.float() / 255
    return scaled.mean(dim=(0, 2, 3)), scaled.std(dim=(0, 2, 3))
