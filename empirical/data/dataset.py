"""What a data set is: a record of where its files come from, what they must hold and how they are read."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Literal, NamedTuple

from PIL import features

from sharpdiv.empirical.data.parsers.contract import Extent, Parser
from sharpdiv.empirical.hashing import digest

__all__ = ["Dataset", "Published", "PublishedKind", "RawFile", "jpeg_library"]


_DECODER = 1  # raise it when a parser gives other arrays for the same files


@dataclass(frozen=True)
class RawFile:
    """A file as published.

    Examples:
        >>> from sharpdiv.empirical.data.dataset import RawFile
        >>> file = RawFile("mine.txt", {"md5:900150983cd24fb0d6963f7d28e17f72": 3})  # of b"abc"
        >>> file.url is None  # it can be had from a source only
        True
    """

    name: str
    """file name"""
    editions: Mapping[str, int]
    """checksum, ``md5:...`` or ``sha256:...``, to size in bytes; the first is what ``url`` gives, others hold the same content"""
    url: str | None = None
    """where it is downloaded from, if anywhere"""


PublishedKind = Literal["cifar10-c", "cifar100-c", "tiny-imagenet-c"]
"""kinds of published corrupted test sets"""


class Published(NamedTuple):
    """The published corrupted test set of a data set."""

    kind: PublishedKind
    """name of the kind, as in ``load_published``"""
    folder: str
    """name of the folder that it is unpacked to, below that of the data sets"""


@dataclass(frozen=True)
class Dataset:
    """A data set: where it comes from and what it must hold.

    Examples:
        >>> from dataclasses import replace
        >>> from sharpdiv import DATASETS
        >>> mine = replace(DATASETS["digits"], name="mine", title="my digits")  # DATASETS.add(mine) makes it known to runs
        >>> mine.size, mine.extent.train  # bytes to download and images
        (0, 1797)
    """

    name: str
    """name, as in ``load_images``"""
    title: str
    """name for people"""
    files: tuple[RawFile, ...]
    """raw files, all of them needed; none if an installed package brings the data set along"""
    extent: Extent
    """numbers of images and classes, and their size"""
    decode: Parser
    """function from the files' contents by name to training and test images"""
    licence: str
    """licence, as its authors state it"""
    citation: str
    """publication to cite"""
    statistics: tuple[tuple[float, ...], tuple[float, ...]] | None = None
    """mean and standard deviation of each channel that images are normalized by; those of the training images unless given"""
    published: Published | None = None
    """corrupted test images that others have published"""
    jpeg: bool = False
    """whether the files hold JPEG images, whose pixels depend a little on the library that decodes them"""

    @property
    def size(self) -> int:
        """Bytes of all raw files as downloaded."""
        return sum(next(iter(file.editions.values())) for file in self.files)

    @property
    def recipe(self) -> str:
        """Hash of all that the decoded images depend on: another recipe may give other pixels."""
        library = jpeg_library() if self.jpeg else ""
        files = {file.name: sorted(file.editions) for file in self.files}
        return digest([self.name, files, asdict(self.extent), _DECODER, library])


def jpeg_library() -> str:
    """What decodes and encodes JPEG here: others may give other pixels.

    Returns:
        Name and versions.

    Examples:
        >>> from sharpdiv.empirical.data.dataset import jpeg_library
        >>> jpeg_library().split()[0]
        'libjpeg'
    """
    return f"libjpeg {features.version('jpg')} turbo {features.version('libjpeg_turbo')}"
