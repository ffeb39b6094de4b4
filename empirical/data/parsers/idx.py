"""MNIST's idx format, and Fashion-MNIST, which comes in it."""

import math
import struct

import numpy as np
from jaxtyping import UInt8

from sharpdiv.empirical.data.parsers.archives import gunzip
from sharpdiv.empirical.data.parsers.contract import Extent, Labelled, Progress, checked, expect

__all__ = ["fashion_mnist", "parse_idx"]


def parse_idx(content: bytes, file: str = "the idx file") -> UInt8[np.ndarray, "..."]:
    """The array in a file of MNIST's idx format: a magic number, the sizes, and the values, all big-endian.

    Args:
        content: bytes of the unpacked file.
        file: name of the file, for the error.

    Returns:
        Labels ``(samples,)`` or images ``(samples, height, width)``.

    Raises:
        InputError: if the values are not unsigned bytes, the axes are neither one nor three, or the sizes in the header are not
            those of the content.

    References:
        LeCun, Cortes and Burges, The MNIST database of handwritten digits, section "File formats".

    Examples:
        >>> from sharpdiv.empirical.data.parsers.idx import parse_idx
        >>> parse_idx(bytes([0, 0, 8, 1, 0, 0, 0, 2, 7, 9]))  # bytes on one axis, two of them
        array([7, 9], dtype=uint8)
    """
    magic = content[:4]
    expect(magic in {b"\0\0\x08\x01", b"\0\0\x08\x03"}, file, f"magic number {magic.hex()}", "00000801 or 00000803")
    axes = magic[3]
    start = 4 + 4 * axes
    expect(len(content) >= start, file, f"{len(content)} bytes", f"a header of {start}")
    shape = struct.unpack(f">{axes}I", content[4:start])
    expect(min(shape) > 0, file, f"sizes {shape}", "positive ones")
    expect(len(content) - start == math.prod(shape), file, f"{len(content) - start} values", f"those of sizes {shape}")
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape).copy()


def fashion_mnist(contents: dict[str, bytes], extent: Extent, progress: Progress) -> tuple[Labelled, Labelled]:
    """Training and test images in the four files of Fashion-MNIST.

    Args:
        contents: contents by name of ``{train,t10k}-images-idx3-ubyte.gz`` and ``{train,t10k}-labels-idx1-ubyte.gz``.
        extent: numbers and size of the images that they must hold.
        progress: listener, told after every file.

    Returns:
        Training and test images with their labels.

    Raises:
        InputError: if a file is damaged, or holds something else.

    Examples:
        >>> import gzip
        >>> from sharpdiv.empirical.data.parsers.contract import Extent
        >>> from sharpdiv.empirical.data.parsers.idx import fashion_mnist
        >>> images = gzip.compress(bytes([0, 0, 8, 3, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 200]))  # one image of one pixel
        >>> labels = gzip.compress(bytes([0, 0, 8, 1, 0, 0, 0, 1, 0]))
        >>> names = [f"{part}-{what}-ubyte.gz" for part in ("train", "t10k") for what in ("images-idx3", "labels-idx1")]
        >>> extent = Extent(train=1, test=1, channels=1, size=1, classes=1)
        >>> train, test = fashion_mnist(dict(zip(names, 2 * [images, labels])), extent, lambda *_: None)
        >>> train
        (array([[[[200]]]], dtype=uint8), array([0]))
    """
    arrays: dict[str, np.ndarray] = {}
    for file, content in contents.items():
        arrays[file] = parse_idx(gunzip(content, file), file)
        axes = 3 if "idx3" in file else 1
        expect(arrays[file].ndim == axes, file, f"{arrays[file].ndim} axes", str(axes))
        progress("decoding", len(arrays), len(contents))
    train, test = (
        (arrays[f"{part}-images-idx3-ubyte.gz"][:, None], arrays[f"{part}-labels-idx1-ubyte.gz"].astype(np.int64))
        for part in ("train", "t10k")
    )
    return checked(train, test, extent, "fashion-mnist")
