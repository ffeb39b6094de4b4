"""What every parser takes and gives, and how it refuses what is not the file it should be."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int64, UInt8

from sharpdiv.empirical.errors import InputError

__all__ = ["Extent", "Labelled", "Parser", "Progress", "checked", "expect", "naming"]

Progress = Callable[[str, int, int], None]
"""Told of progress: what is going on, units of work done, units in all."""

Labelled = tuple[UInt8[np.ndarray, "_ _ _ _"], Int64[np.ndarray, " _"]]
"""Images ``(samples, channels, height, width)`` and labels ``(samples,)``; axes unnamed, as two sets differ in them."""


@dataclass(frozen=True)
class Extent:
    """How much a data set holds."""

    train: int
    """training images"""
    test: int
    """test images"""
    channels: int
    """of an image"""
    size: int
    """height and width of an image"""
    classes: int
    """labels are 0 to classes - 1"""


Parser = Callable[[dict[str, bytes], Extent, Progress], tuple[Labelled, Labelled]]
"""from the files' contents by name to training and test images"""


def checked(train: Labelled, test: Labelled, extent: Extent, file: str) -> tuple[Labelled, Labelled]:
    """Both parts, if they are what the data set is known to hold.

    Args:
        train: training images and labels.
        test: the same to test.
        extent: what they must hold.
        file: name for the error.

    Returns:
        What was given.
    """
    for part, (images, labels), samples in (("training", train, extent.train), ("test", test, extent.test)):
        shape = (samples, extent.channels, extent.size, extent.size)
        expect(images.shape == shape, file, f"{part} images {images.shape}", f"{shape}")
        expect(labels.shape == (samples,), file, f"{len(labels)} {part} labels", f"{samples}")
        present = np.unique(labels)
        all_classes = f"every class from 0 to {extent.classes - 1}"
        expect(np.array_equal(present, np.arange(extent.classes)), file, f"{part} labels {present}", all_classes)
    return train, test


def expect(condition: object, file: str, got: str, expected: str) -> None:
    """Go on if a condition holds.

    Args:
        condition: anything, by its truth.
        file: name for the error.
        got: what was found.
        expected: what should have been there.

    Raises:
        InputError: if the condition does not hold.
    """
    if not condition:
        raise InputError(f"{file} is no such file of a data set: got {got}, expected {expected}")


@contextmanager
def naming(file: str) -> Iterator[None]:
    """Decoders of other libraries raise nearly anything on malformed bytes: it becomes an error that names the file.

    Yields:
        Nothing.

    Raises:
        InputError: for whatever is raised there but a lack of memory.
        MemoryError: as it is.
    """
    try:
        yield
    except (InputError, MemoryError):
        raise
    except Exception as error:
        raise InputError(f"{file} is damaged: {type(error).__name__}: {error}") from error
