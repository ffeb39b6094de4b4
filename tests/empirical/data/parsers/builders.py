"""Files built byte by byte, and what may come of reading one."""

import io
import tarfile
import zipfile
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from hypothesis import strategies as st
from PIL import Image

from sharpdiv.empirical.data.parsers.contract import Extent
from sharpdiv.empirical.errors import InputError

__all__ = [
    "FILE",
    "FOLDERS",
    "FOLDER_IMAGES",
    "FOLDER_MEMBERS",
    "FOLDER_NAMES",
    "bits",
    "encoded",
    "flipped",
    "idx",
    "outcome",
    "pixels",
    "positions",
    "records",
    "silent",
    "tar",
    "zipped",
]

FILE = "the.file"
bits = st.integers(0, 7)
positions = st.floats(0, 1, exclude_max=True)


def silent(*_: object) -> None:
    pass


def outcome(parse: Callable[[], Any]) -> Any:
    """What is parsed, None if it is refused as it should be; a law counts any other exception as a failure."""
    try:
        return parse()
    except InputError as error:
        assert FILE in str(error)  # noqa: PT017
        return None
    except Exception as error:
        raise AssertionError(f"{type(error).__name__}: {error}") from error


def flipped(content: bytes, position: float, bit: int) -> bytes:
    changed = bytearray(content)
    changed[int(position * len(content))] ^= 1 << bit
    return bytes(changed)


def idx(array: np.ndarray) -> bytes:
    values = bytes(int(value) for value in array.ravel())
    return bytes([0, 0, 8, array.ndim]) + b"".join(int(n).to_bytes(4, "big") for n in array.shape) + values


def pixels(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def records(images: np.ndarray, labels: Iterable[int], superclass: int | None = None) -> bytes:
    """CIFAR's binary version, value by value."""
    out = bytearray()
    for image, label in zip(images, labels, strict=True):
        out += bytes([label] if superclass is None else [superclass, label])
        for plane in image:
            for row in plane:
                out += bytes(int(value) for value in row)
    return bytes(out)


def tar(members: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return stream.getvalue()


def zipped(members: dict[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(name), content, compression)
    return stream.getvalue()


def encoded(image: np.ndarray, form: str = "PNG") -> bytes:
    """An image file; PNG loses nothing."""
    stream = io.BytesIO()
    Image.fromarray(image.transpose(1, 2, 0) if image.ndim == 3 else image).save(stream, form)
    return stream.getvalue()


FOLDERS = Extent(train=4, test=2, channels=3, size=8, classes=2)
FOLDER_IMAGES = pixels(1, 6, 3, 8, 8)
FOLDER_NAMES = [
    "train/ant/0000.jpg",
    "train/ant/0001.jpg",
    "train/bee/0000.jpg",
    "train/bee/0001.jpg",
    "test/ant/0000.jpg",
    "test/bee/0000.jpg",
]
FOLDER_MEMBERS = {name: encoded(image) for name, image in zip(FOLDER_NAMES, FOLDER_IMAGES, strict=True)}
