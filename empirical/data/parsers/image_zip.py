"""Zip archives of JPEG and PNG files, of which no more than what is needed is unpacked, in memory."""

import io
import warnings
import zipfile
from dataclasses import dataclass

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from sharpdiv.empirical.data.parsers.archives import refuse_odd_path
from sharpdiv.empirical.data.parsers.contract import Extent, Labelled, Progress, checked, expect, naming

__all__ = ["ImageZip", "Named", "read_images"]

Named = tuple[list[str], list[int]]
"""Names of image files and their labels, -1 where none is known."""

_LARGEST_MEMBER = 1 << 20  # bytes of one file in a zip; images have a few thousand, Tiny ImageNet's annotations 300,000
_REPORT_EVERY = 500  # images


@dataclass(frozen=True)
class ImageZip:
    """A zip archive whose entries are known to be harmless.

    Examples:
        >>> import io
        >>> import zipfile
        >>> from sharpdiv.empirical.data.parsers.image_zip import ImageZip
        >>> packed = io.BytesIO()
        >>> with zipfile.ZipFile(packed, "w") as archive:
        ...     archive.writestr("classes.txt", "cat, dog")
        >>> ImageZip.open(packed.getvalue(), "mine.zip").lines("classes.txt")
        ['cat, dog']
    """

    file: str
    """name for errors"""
    archive: zipfile.ZipFile
    """the archive"""
    entries: dict[str, zipfile.ZipInfo]
    """its files by name"""

    @classmethod
    def open(cls, content: bytes, file: str) -> "ImageZip":
        """Open an archive.

        Args:
            content: bytes of the archive.
            file: name for errors.

        Returns:
            The archive, if all its entries are harmless.
        """
        with naming(file):
            archive = zipfile.ZipFile(io.BytesIO(content))
        entries: dict[str, zipfile.ZipInfo] = {}
        for entry in archive.infolist():
            name = entry.filename
            refuse_odd_path(name, file)
            expect(name not in entries, file, f"{name} twice", "it once")
            plain = entry.compress_type in {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED} and not entry.flag_bits & 1
            expect(plain, file, f"{name} encrypted or in another compression", "a stored or deflated entry")
            if not entry.is_dir():
                entries[name] = entry
        return cls(file, archive, entries)

    def read(self, name: str) -> bytes:
        """Content of a file.

        Args:
            name: name of the file in the archive.

        Returns:
            Unpacked bytes.
        """
        expect(name in self.entries, self.file, f"no {name}", "it")
        # No more than the stated size is ever unpacked.
        size = self.entries[name].file_size
        expect(size <= _LARGEST_MEMBER, f"{self.file}: {name}", f"{size} bytes", f"at most {_LARGEST_MEMBER}")
        with naming(f"{self.file}: {name}"):
            return self.archive.read(self.entries[name])

    def lines(self, name: str) -> list[str]:
        """Lines of a text file.

        Args:
            name: name of the file in the archive.

        Returns:
            The lines without their ends.
        """
        with naming(f"{self.file}: {name}"):
            return self.read(name).decode().splitlines()

    def images(self, names: list[str], size: int, progress: Progress) -> UInt8[np.ndarray, "n 3 {size} {size}"]:
        """Images of some files.

        Args:
            names: names of the files.
            size: height and width that each must have.
            progress: listener, told every few hundred images.

        Returns:
            The images in the order of the names; grey ones have three equal channels.
        """
        images = np.empty((len(names), 3, size, size), np.uint8)
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            for i, name in enumerate(names):
                images[i] = _parse_image(self.read(name), size, f"{self.file}: {name}")
                if i % _REPORT_EVERY == 0:
                    progress("decoding", i, len(names))
        progress("decoding", len(names), len(names))
        return images


def read_images(
    archive: ImageZip, train: Named, test: Named, extent: Extent, progress: Progress
) -> tuple[Labelled, Labelled]:
    """Images of a zip; their number is checked before memory is taken for them.

    Args:
        archive: archive that holds them.
        train: names and labels of the training images.
        test: names and labels of the test images.
        extent: numbers and size of the images that must be there.
        progress: listener, told every few hundred images.

    Returns:
        Training and test images with their labels.

    Examples:
        >>> import io
        >>> import zipfile
        >>> from PIL import Image
        >>> from sharpdiv.empirical.data.parsers.contract import Extent
        >>> from sharpdiv.empirical.data.parsers.image_zip import ImageZip, read_images
        >>> picture, packed = io.BytesIO(), io.BytesIO()
        >>> Image.new("RGB", (2, 2), "white").save(picture, "JPEG")
        >>> with zipfile.ZipFile(packed, "w") as archive:
        ...     archive.writestr("1.jpg", picture.getvalue())
        >>> named, extent = (["1.jpg"], [0]), Extent(train=1, test=1, channels=3, size=2, classes=1)
        >>> train, test = read_images(ImageZip.open(packed.getvalue(), "mine.zip"), named, named, extent, lambda *_: None)
        >>> train[0].shape, train[1]
        ((1, 3, 2, 2), array([0]))
    """
    for (names, labels), expected in ((train, extent.train), (test, extent.test)):
        expect(len(names) == expected, archive.file, f"{len(names)} images", f"{expected}")
        unknown = next((name for name, label in zip(names, labels, strict=True) if label < 0), None)
        expect(unknown is None, archive.file, f"{unknown} without a class", "a class for every image")
    images = archive.images(train[0] + test[0], extent.size, progress)
    split = (images[: extent.train], images[extent.train :])
    return checked((split[0], np.array(train[1])), (split[1], np.array(test[1])), extent, archive.file)


def _parse_image(content: bytes, size: int, file: str) -> UInt8[np.ndarray, "3 {size} {size}"]:
    """An RGB image; a grey one has three equal channels."""
    with naming(file):
        image = Image.open(io.BytesIO(content), formats=("JPEG", "PNG"))
        # Known from the header, before memory is taken for the pixels.
        expect(image.size == (size, size), file, f"{image.width}x{image.height} pixels", f"{size}x{size}")
        return np.asarray(image.convert("RGB")).transpose(2, 0, 1)
