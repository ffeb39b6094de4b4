"""A small data set: CIFAR-10's binary archive with ten images in a batch."""

import gzip
import hashlib
import io
import tarfile
from pathlib import Path

import numpy as np

from sharpdiv.empirical.data.dataset import Dataset, RawFile
from sharpdiv.empirical.data.parsers.cifar import cifar10
from sharpdiv.empirical.data.parsers.contract import Extent
from sharpdiv.empirical.data.raw_images import RawImages

__all__ = ["DECODED", "FILE", "IMAGES", "MD5", "RAW", "assert_published", "damage", "put", "small"]

IMAGES = np.random.default_rng(0).integers(0, 256, (60, 3, 32, 32), dtype=np.uint8)
LABELS = [(3 * i) % 10 for i in range(60)]
FILE = "small.tar.gz"
DECODED = "decoded.safetensors"


def archive() -> bytes:
    """CIFAR-10's binary archive with ten images in a batch."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as file:
        for batch, name in enumerate([*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]):
            here = range(10 * batch, 10 * batch + 10)
            content = b"".join(bytes([LABELS[i]]) + IMAGES[i].tobytes() for i in here)
            member = tarfile.TarInfo(f"cifar-10-batches-bin/{name}.bin")
            member.size = len(content)
            file.addfile(member, io.BytesIO(content))
    return gzip.compress(stream.getvalue(), 1, mtime=0)


RAW = archive()
MD5 = hashlib.md5(RAW).hexdigest()  # noqa: S324  # what is published


def small(url: str | None = None) -> Dataset:
    raw = RawFile(FILE, {f"md5:{MD5}": len(RAW)}, url)
    extent = Extent(train=50, test=10, channels=3, size=32, classes=10)
    return Dataset("small", "Small", (raw,), extent, cifar10, "none", "nobody")


def put(folder: Path, content: bytes = RAW) -> Path:
    """The raw file in its place."""
    path = folder / "small" / FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def damage(path: Path, position: float, bit: int = 3) -> None:
    content = bytearray(path.read_bytes())
    content[int(position * len(content))] ^= 1 << bit
    path.write_bytes(bytes(content))


def assert_published(images: RawImages) -> None:
    assert np.array_equal(images.train_images.numpy(), IMAGES[:50])
    assert np.array_equal(images.test_images.numpy(), IMAGES[50:])
    assert images.train_labels.tolist() == LABELS[:50]
    assert images.test_labels.tolist() == LABELS[50:]
    assert images.classes == 10
    assert images.source_sha256 == hashlib.sha256(RAW).hexdigest()
