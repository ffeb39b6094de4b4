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
    """Numbers and size of the images of a data set."""

    train: int
    """training images"""
    test: int
    """test images"""
    channels: int
    """channels of an image"""
    size: int
    """height and width of an image"""
    classes: int
    """number of classes; labels are 0 to classes - 1"""


Parser = Callable[[dict[str, bytes], Extent, Progress], tuple[Labelled, Labelled]]
"""function from the files' contents by name to training and test images"""


def checked(train: Labelled, test: Labelled, extent: Extent, file: str) -> tuple[Labelled, Labelled]:
    """Both parts, if they are what the data set is known to hold.

    Args:
        train: training images and labels.
        test: test images and labels.
        extent: numbers and size of the images that must be there.
        file: name for the error.

    Returns:
        What was given.

    Examples:
        >>> import numpy as np
        >>> from sharpdiv.empirical.data.parsers.contract import Extent, checked
        >>> part = (np.zeros((2, 1, 8, 8), np.uint8), np.array([0, 1]))
        >>> train, test = checked(part, part, Extent(train=2, test=2, channels=1, size=8, classes=2), "mine")
        >>> train is part
        True
    """
    for part, (images, labels), samples in (("training", train, extent.train), ("test", test, extent.test)):
        shape = (samples, extent.channels, extent.size, extent.size)
        expect(images.dtype == np.uint8, file, f"{part} images of {images.dtype}", "uint8, from 0 to 255")
        expect(
            images.shape == shape, file, f"{part} images {images.shape}", f"{shape} (samples, channels, height, width)"
        )
        expect(labels.dtype == np.int64, file, f"{part} labels of {labels.dtype}", "int64")
        expect(labels.shape == (samples,), file, f"{len(labels)} {part} labels", f"{samples}")
        if not samples:  # a set without test images of its own
            continue
        present = np.unique(labels)
        all_classes = f"every class from 0 to {extent.classes - 1}"
        expect(np.array_equal(present, np.arange(extent.classes)), file, f"{part} labels {present}", all_classes)
    return train, test


def expect(condition: object, file: str, got: str, expected: str) -> None:
    """Go on if a condition holds.

    Args:
        condition: value whose truth decides.
        file: name for the error.
        got: description of what was found.
        expected: description of what should have been there.

    Raises:
        InputError: if the condition does not hold.

    Examples:
        >>> from sharpdiv.empirical.data.parsers.contract import expect
        >>> expect(2 > 3, "mine.bin", got="2 bytes", expected="more than 3")
        Traceback (most recent call last):
        ...
        sharpdiv.empirical.errors.InputError: mine.bin does not hold what it should: got 2 bytes, expected more than 3
    """
    if not condition:
        raise InputError(f"{file} does not hold what it should: got {got}, expected {expected}")


@contextmanager
def naming(file: str) -> Iterator[None]:
    """Context in which any error of a decoder becomes one that names the file.

    Decoders of other libraries raise nearly anything on malformed bytes.

    Args:
        file: name for the error.

    Yields:
        Nothing.

    Raises:
        InputError: for whatever is raised there but a lack of memory.
        MemoryError: as it is.

    Examples:
        >>> from sharpdiv.empirical.data.parsers.contract import naming
        >>> with naming("mine.txt"):
        ...     int("a")
        Traceback (most recent call last):
        ...
        sharpdiv.empirical.errors.InputError: mine.txt is damaged: ValueError: invalid literal for int() with base 10: 'a'
    """
    try:
        yield
    except (InputError, MemoryError):
        raise
    except Exception as error:
        raise InputError(f"{file} is damaged: {type(error).__name__}: {error}") from error
