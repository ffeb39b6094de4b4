"""Published image files to arrays, strictly: a file is exactly what its format says, or an error names it.

Only binary and image formats are read, from memory: nothing is unpickled, and nothing is unpacked to disk.
"""

import io
import math
import re
import struct
import tarfile
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int64, UInt8
from PIL import Image

from empirical.errors import InputError

__all__ = [
    "Extent",
    "Labelled",
    "Progress",
    "cifar10",
    "cifar100",
    "fashion_mnist",
    "image_folders",
    "parse_cifar",
    "parse_idx",
    "tiny_imagenet",
]

Progress = Callable[[str, int, int], None]
"""Told of progress: what is going on, units of work done, units in all."""

Labelled = tuple[UInt8[np.ndarray, "_ _ _ _"], Int64[np.ndarray, " _"]]
"""Images ``(samples, channels, height, width)`` and labels ``(samples,)``; axes unnamed, as two sets differ in them."""

_Named = tuple[list[str], list[int]]
"""Names of image files and their labels, -1 where none is known."""

_LARGEST_ARCHIVE = 1 << 28  # bytes unpacked; the CIFAR archives, the largest, have 185 million
_LARGEST_MEMBER = 1 << 20  # bytes of one file in a zip; images have a few thousand, Tiny ImageNet's annotations 300,000
_REPORT_EVERY = 500  # images
_PIXELS = 3 * 32 * 32  # of a CIFAR record
_COARSE_CLASSES = 20  # of CIFAR-100


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


# ------------------------------------------------------------------------------------------------------------- one format


def parse_idx(content: bytes, file: str = "the idx file") -> UInt8[np.ndarray, "..."]:
    """The array in a file of MNIST's idx format: a magic number, the sizes, and the values, all big-endian.

    Args:
        content: the unpacked file.
        file: its name, for the error.

    Returns:
        ``(samples,)`` labels or ``(samples, height, width)`` images.

    Raises:
        InputError: if the values are not unsigned bytes, the axes are neither one nor three, or the sizes in the header are not
            those of the content.

    References:
        LeCun, Cortes and Burges, The MNIST database of handwritten digits, section "File formats".
    """
    magic = content[:4]
    _expect(magic in {b"\0\0\x08\x01", b"\0\0\x08\x03"}, file, f"magic number {magic.hex()}", "00000801 or 00000803")
    axes = magic[3]
    start = 4 + 4 * axes
    _expect(len(content) >= start, file, f"{len(content)} bytes", f"a header of {start}")
    shape = struct.unpack(f">{axes}I", content[4:start])
    _expect(min(shape) > 0, file, f"sizes {shape}", "positive ones")
    _expect(len(content) - start == math.prod(shape), file, f"{len(content) - start} values", f"those of sizes {shape}")
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape).copy()


def parse_cifar(content: bytes, coarse: bool, file: str = "the CIFAR file") -> Labelled:
    """Images and labels in a file of CIFAR's binary version: records of the labels and the red, green and blue planes.

    Args:
        content: the file.
        coarse: whether a record starts with a superclass, as in CIFAR-100; it is checked and left out.
        file: its name, for the error.

    Returns:
        Images ``(samples, 3, 32, 32)`` and labels ``(samples,)``, the fine ones for CIFAR-100.

    Raises:
        InputError: if there is no whole number of records, or a label is out of range.

    References:
        Krizhevsky, The CIFAR-10 and CIFAR-100 datasets, section "Binary version".
    """
    classes, label_bytes = (100, 2) if coarse else (10, 1)
    record = label_bytes + _PIXELS
    whole = len(content) > 0 and len(content) % record == 0
    _expect(whole, file, f"{len(content)} bytes", f"whole records of {record}")
    records = np.frombuffer(content, np.uint8).reshape(-1, record)
    labels = records[:, label_bytes - 1].astype(np.int64)
    _expect(labels.max() < classes, file, f"label {labels.max()}", f"less than {classes}")
    if coarse:
        superclass = records[:, 0].max()
        _expect(superclass < _COARSE_CLASSES, file, f"superclass {superclass}", f"less than {_COARSE_CLASSES}")
    return records[:, label_bytes:].reshape(-1, 3, 32, 32).copy(), labels


def _gunzip(content: bytes, file: str) -> bytes:
    """What one gzip member holds; its checksum is checked by zlib."""
    unpacker = zlib.decompressobj(wbits=31)
    with _naming(file):
        unpacked = unpacker.decompress(content, _LARGEST_ARCHIVE)
    _expect(not unpacker.unconsumed_tail, file, f"more than {_LARGEST_ARCHIVE} bytes unpacked", "at most that")
    _expect(unpacker.eof, file, "a compressed stream that breaks off", "its end and checksum")
    rest = unpacker.unused_data.strip(b"\0")  # zeros are padding, as gzip itself has it
    _expect(not rest, file, f"{len(rest)} bytes after the stream", "none")
    return unpacked


def _tar_members(content: bytes, wanted: tuple[str, ...], file: str) -> list[bytes]:
    """The wanted files of an unpacked tar archive, in that order."""
    found: dict[str, bytes] = {}
    end = -1
    with _naming(file), tarfile.open(fileobj=io.BytesIO(content), mode="r:") as archive:
        for member in archive:
            # A negative size would send tarfile back to where it was, for ever.
            _expect(member.size >= 0 and member.offset > end, file, "a member of negative size", "0 or more bytes")
            end = member.offset
            _refuse_odd_path(member.name, file)
            if member.name not in wanted:
                continue
            _expect(member.name not in found, file, f"{member.name} twice", "it once")
            reader = archive.extractfile(member) if member.isreg() and not member.issparse() else None
            found[member.name] = reader.read() if reader is not None else b""
            size = len(found[member.name])
            _expect(reader is not None and size == member.size, file, f"no whole file {member.name}", "one")
    missing = [name for name in wanted if name not in found]
    _expect(not missing, file, f"no {', '.join(missing)}", f"{len(wanted)} members")
    return [found[name] for name in wanted]


@dataclass(frozen=True)
class _Zip:
    """A zip archive whose entries are known to be harmless."""

    file: str
    archive: zipfile.ZipFile
    entries: dict[str, zipfile.ZipInfo]

    @classmethod
    def open(cls, content: bytes, file: str) -> "_Zip":
        with _naming(file):
            archive = zipfile.ZipFile(io.BytesIO(content))
        entries: dict[str, zipfile.ZipInfo] = {}
        for entry in archive.infolist():
            name = entry.filename
            _refuse_odd_path(name, file)
            _expect(name not in entries, file, f"{name} twice", "it once")
            plain = entry.compress_type in {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED} and not entry.flag_bits & 1
            _expect(plain, file, f"{name} encrypted or in another compression", "a stored or deflated entry")
            if not entry.is_dir():
                entries[name] = entry
        return cls(file, archive, entries)

    def read(self, name: str) -> bytes:
        _expect(name in self.entries, self.file, f"no {name}", "it")
        # No more than the stated size is ever unpacked.
        size = self.entries[name].file_size
        _expect(size <= _LARGEST_MEMBER, f"{self.file}: {name}", f"{size} bytes", f"at most {_LARGEST_MEMBER}")
        with _naming(f"{self.file}: {name}"):
            return self.archive.read(self.entries[name])

    def lines(self, name: str) -> list[str]:
        with _naming(f"{self.file}: {name}"):
            return self.read(name).decode().splitlines()

    def images(self, names: list[str], size: int, progress: Progress) -> UInt8[np.ndarray, "n 3 {size} {size}"]:
        images = np.empty((len(names), 3, size, size), np.uint8)
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            for i, name in enumerate(names):
                images[i] = _parse_image(self.read(name), size, f"{self.file}: {name}")
                if i % _REPORT_EVERY == 0:
                    progress("decoding", i, len(names))
        progress("decoding", len(names), len(names))
        return images


def _parse_image(content: bytes, size: int, file: str) -> UInt8[np.ndarray, "3 {size} {size}"]:
    """An RGB image; a grey one has three equal channels."""
    with _naming(file):
        image = Image.open(io.BytesIO(content), formats=("JPEG", "PNG"))
        # Known from the header, before memory is taken for the pixels.
        _expect(image.size == (size, size), file, f"{image.width}x{image.height} pixels", f"{size}x{size}")
        return np.asarray(image.convert("RGB")).transpose(2, 0, 1)


# ----------------------------------------------------------------------------------------------------------- one data set


def fashion_mnist(contents: dict[str, bytes], extent: Extent, progress: Progress) -> tuple[Labelled, Labelled]:
    """Training and test images in the four files of Fashion-MNIST.

    Args:
        contents: ``{train,t10k}-images-idx3-ubyte.gz`` and ``{train,t10k}-labels-idx1-ubyte.gz``.
        extent: what they must hold.
        progress: told after every file.

    Returns:
        Training and test images with their labels.

    Raises:
        InputError: if a file is damaged, or holds something else.
    """
    arrays: dict[str, np.ndarray] = {}
    for file, content in contents.items():
        arrays[file] = parse_idx(_gunzip(content, file), file)
        axes = 3 if "idx3" in file else 1
        _expect(arrays[file].ndim == axes, file, f"{arrays[file].ndim} axes", str(axes))
        progress("decoding", len(arrays), len(contents))
    train, test = (
        (arrays[f"{part}-images-idx3-ubyte.gz"][:, None], arrays[f"{part}-labels-idx1-ubyte.gz"].astype(np.int64))
        for part in ("train", "t10k")
    )
    return _checked(train, test, extent, "fashion-mnist")


def cifar10(contents: dict[str, bytes], extent: Extent, progress: Progress) -> tuple[Labelled, Labelled]:
    """Training and test images in CIFAR-10's binary archive, the training batches in their order.

    Args:
        contents: ``cifar-10-binary.tar.gz``.
        extent: what it must hold.
        progress: told after every batch.

    Returns:
        Training and test images with their labels.

    Raises:
        InputError: if the archive is damaged, or holds something else.
    """
    batches = (*(f"data_batch_{i}" for i in range(1, 6)), "test_batch")
    members = tuple(f"cifar-10-batches-bin/{batch}.bin" for batch in batches)
    return _cifar(contents, members, False, extent, progress)


def cifar100(contents: dict[str, bytes], extent: Extent, progress: Progress) -> tuple[Labelled, Labelled]:
    """Training and test images in CIFAR-100's binary archive, with the fine labels.

    Args:
        contents: ``cifar-100-binary.tar.gz``.
        extent: what it must hold.
        progress: told after every file in it.

    Returns:
        Training and test images with their labels.

    Raises:
        InputError: if the archive is damaged, or holds something else.
    """
    return _cifar(contents, ("cifar-100-binary/train.bin", "cifar-100-binary/test.bin"), True, extent, progress)


def _cifar(
    contents: dict[str, bytes], members: tuple[str, ...], coarse: bool, extent: Extent, progress: Progress
) -> tuple[Labelled, Labelled]:
    """The last member is the test set."""
    ((file, content),) = contents.items()
    batches: list[Labelled] = []
    for name, batch in zip(members, _tar_members(_gunzip(content, file), members, file), strict=True):
        batches.append(parse_cifar(batch, coarse, f"{file}: {name}"))
        progress("decoding", len(batches), len(members))
    images, labels = (np.concatenate(arrays) for arrays in zip(*batches[:-1], strict=True))
    return _checked((images, labels), batches[-1], extent, file)


def image_folders(contents: dict[str, bytes], extent: Extent, progress: Progress) -> tuple[Labelled, Labelled]:
    """Training and test images in a zip of ``train/<class>/<file>.jpg`` and ``test/<class>/<file>.jpg``.

    Classes sorted by name are the labels 0, 1, ...; images are sorted by class, then by file name.

    Args:
        contents: the one zip.
        extent: what it must hold.
        progress: told every few hundred images.

    Returns:
        Training and test images with their labels.

    Raises:
        InputError: if the zip or an image is damaged, or it holds something else.
    """
    ((file, content),) = contents.items()
    archive = _Zip.open(content, file)
    parts: dict[str, list[str]] = {"train": [], "test": []}
    for name in sorted(archive.entries):
        match = re.fullmatch(r"(train|test)/[^/]+/[^/]+\.jpg", name)
        _expect(match is not None, file, f"a member {name}", "train/<class>/<file>.jpg or test/<class>/<file>.jpg")
        parts[name.split("/")[0]].append(name)
    labels = {part: [name.split("/")[1] for name in names] for part, names in parts.items()}
    classes = sorted(set(labels["train"]))
    same = sorted(set(labels["test"])) == classes
    _expect(same, file, f"classes {sorted(set(labels['test']))} to test", f"those trained on, {classes}")
    numbered = {part: [classes.index(label) for label in labels[part]] for part in parts}
    return _read_images(
        archive, (parts["train"], numbered["train"]), (parts["test"], numbered["test"]), extent, progress
    )


def tiny_imagenet(contents: dict[str, bytes], extent: Extent, progress: Progress) -> tuple[Labelled, Labelled]:
    """Training and validation images in Tiny ImageNet's zip; its own test set has no labels, so validation is the test set.

    Classes sorted by their WordNet id are the labels 0, 1, ...; images are sorted by class (those of training), then by file
    name.

    Args:
        contents: ``tiny-imagenet-200.zip``.
        extent: what it must hold.
        progress: told every few hundred images.

    Returns:
        Training and test images with their labels.

    Raises:
        InputError: if the zip or an image is damaged, or it holds something else.
    """
    ((file, content),) = contents.items()
    archive = _Zip.open(content, file)
    root = "tiny-imagenet-200"
    classes = sorted(archive.lines(f"{root}/wnids.txt"))
    label = {wordnet_id: i for i, wordnet_id in enumerate(classes)}
    names = sorted(name for name in archive.entries if re.fullmatch(rf"{root}/(train/[^/]+|val)/images/.+\.JPEG", name))
    train = [name for name in names if name.startswith(f"{root}/train/")]
    test = [name for name in names if name.startswith(f"{root}/val/")]
    rows = [line.split("\t") for line in archive.lines(f"{root}/val/val_annotations.txt")]
    stated = {f"{root}/val/images/{row[0]}": row[1] for row in rows if len(row) > 1}
    of_train = [label.get(name.split("/")[2], -1) for name in train]
    of_test = [label.get(stated.get(name, ""), -1) for name in test]
    return _read_images(archive, (train, of_train), (test, of_test), extent, progress)


def _read_images(
    archive: _Zip, train: _Named, test: _Named, extent: Extent, progress: Progress
) -> tuple[Labelled, Labelled]:
    """Images of a zip; their number is checked before memory is taken for them."""
    for (names, labels), expected in ((train, extent.train), (test, extent.test)):
        _expect(len(names) == expected, archive.file, f"{len(names)} images", f"{expected}")
        unknown = next((name for name, label in zip(names, labels, strict=True) if label < 0), None)
        _expect(unknown is None, archive.file, f"{unknown} without a class", "a class for every image")
    images = archive.images(train[0] + test[0], extent.size, progress)
    split = (images[: extent.train], images[extent.train :])
    return _checked((split[0], np.array(train[1])), (split[1], np.array(test[1])), extent, archive.file)


def _checked(train: Labelled, test: Labelled, extent: Extent, file: str) -> tuple[Labelled, Labelled]:
    """Both parts, if they are what the data set is known to hold."""
    for part, (images, labels), samples in (("training", train, extent.train), ("test", test, extent.test)):
        shape = (samples, extent.channels, extent.size, extent.size)
        _expect(images.shape == shape, file, f"{part} images {images.shape}", f"{shape}")
        _expect(labels.shape == (samples,), file, f"{len(labels)} {part} labels", f"{samples}")
        present = np.unique(labels)
        all_classes = f"every class from 0 to {extent.classes - 1}"
        _expect(np.array_equal(present, np.arange(extent.classes)), file, f"{part} labels {present}", all_classes)
    return train, test


def _refuse_odd_path(name: str, file: str) -> None:
    """Nothing is unpacked to disk, so such a path could do no harm; but no published archive has one."""
    odd = name.startswith("/") or ".." in name.split("/") or any(c in name for c in "\\:\0")
    _expect(not odd, file, f"a member with the path {name!r}", "one inside the archive")


def _expect(condition: object, file: str, got: str, expected: str) -> None:
    if not condition:
        raise InputError(f"{file} is no such file of a data set: got {got}, expected {expected}")


@contextmanager
def _naming(file: str) -> Iterator[None]:
    """Decoders of other libraries raise nearly anything on malformed bytes: it becomes an error that names the file."""
    try:
        yield
    except (InputError, MemoryError):
        raise
    except Exception as error:
        raise InputError(f"{file} is damaged: {type(error).__name__}: {error}") from error
