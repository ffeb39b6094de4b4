"""Images of a data set as they come from its files."""

from dataclasses import dataclass

from jaxtyping import Int64, UInt8
from torch import Tensor

__all__ = ["RawImages"]


@dataclass(frozen=True)
class RawImages:
    """Images as published, on the CPU."""

    train_images: UInt8[Tensor, "train channels height width"]
    """training images"""
    train_labels: Int64[Tensor, " train"]
    """training labels"""
    test_images: UInt8[Tensor, "test channels height width"]
    """test images"""
    test_labels: Int64[Tensor, " test"]
    """test labels"""
    classes: int
    """labels are 0 to classes - 1"""
    source_sha256: str
    """SHA-256 of the raw file; of the JSON object from name to SHA-256 if there are several, of the arrays if there is none"""
