"""Data sets as tensors: images in [0, 1] of shape (samples, channels, height, width), with their normalisation."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from sklearn.datasets import load_digits
from torch import Tensor, nn

from empirical.errors import InputError

__all__ = ["ImageData", "digits"]


@dataclass(frozen=True)
class ImageData:
    """Training and test images; normalise before a network sees them, after any corruption."""

    name: str
    """name of the data set"""
    train_images: Float[Tensor, "train channels height width"]
    """training images in [0, 1]"""
    train_labels: Int[Tensor, " train"]
    """training labels"""
    test_images: Float[Tensor, "test channels height width"]
    """test images in [0, 1]"""
    test_labels: Int[Tensor, " test"]
    """test labels"""
    classes: int
    """number of classes"""

    def normalize(
        self, images: Float[Tensor, "samples channels height width"]
    ) -> Float[Tensor, "samples channels height width"]:
        """Subtract the training images' mean and divide by their standard deviation, per channel.

        Returns:
            Images of the same shape.
        """
        mean = self.train_images.mean(dim=(0, 2, 3), keepdim=True)
        std = self.train_images.std(dim=(0, 2, 3), keepdim=True)
        return (images - mean.to(images)) / std.to(images)


def digits(train_samples: int = 400, split_seed: int = 0) -> ImageData:
    """The 1,797 handwritten digits bundled with scikit-learn.

    They are the test set of the UCI "Optical Recognition of Handwritten Digits" data. The 8x8 images of 17 grey levels
    become 16x16 in [0, 1] by bilinear interpolation (pixel centres aligned as in
    ``torch.nn.functional.interpolate(align_corners=False)``), so that a network with strides has something to stride
    over.

    Args:
        train_samples: images to train on, drawn without replacement; all others are the test set.
        split_seed: seed of the draw.

    Returns:
        The data on the CPU in float32.

    Raises:
        InputError: if the split leaves no training or no test image.
    """
    bunch = load_digits()
    images = torch.as_tensor(bunch.images, dtype=torch.float32)[:, None] / 16
    labels = torch.as_tensor(bunch.target, dtype=torch.int64)
    if not 1 <= train_samples < len(labels):
        raise InputError(f"train samples must lie between 1 and {len(labels) - 1} of the digits, got {train_samples}")
    images = nn.functional.interpolate(images, size=(16, 16), mode="bilinear", align_corners=False)
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(split_seed))
    train, test = order[:train_samples], order[train_samples:]
    return ImageData("digits", images[train], labels[train], images[test], labels[test], classes=10)
