"""Files of the idx format come back exactly, and whatever is malformed is an InputError that names the file."""

import gzip
import struct

import numpy as np
import pytest
from hypothesis import strategies as st

from sharpdiv.empirical.data.parsers import idx as idx_format
from sharpdiv.empirical.data.parsers.contract import Extent
from sharpdiv.empirical.errors import InputError
from tests.empirical.data.parsers.builders import FILE, bits, flipped, idx, outcome, pixels, silent
from tests.laws import Mutation, law

UNCHECKED = Mutation("nothing checked", "sharpdiv.empirical.data.parsers.idx.expect", lambda _: lambda *_: None)
SOME_IDX = idx(pixels(4, 3, 2, 5))


@law(
    Mutation(
        "sizes little-endian",
        "struct.unpack",
        lambda f: lambda form, b: f("<" + form[1:], b),
    ),
    Mutation(
        "columns before rows",
        "sharpdiv.empirical.data.parsers.idx.parse_idx",
        lambda f: lambda *a: np.swapaxes(f(*a), -1, 0),
    ),
    examples=50,
    seed=st.integers(0, 999),
    shape=st.tuples(st.integers(1, 4), st.integers(2, 5), st.integers(2, 5)) | st.tuples(st.integers(2, 300)),
)
def test_idx_arrays_come_back(seed: int, shape: tuple[int, ...]) -> None:
    array = pixels(seed, *shape)
    parsed = outcome(lambda: idx_format.parse_idx(idx(array), FILE))
    assert parsed is not None
    assert np.array_equal(parsed, array)


def test_idx_by_hand() -> None:
    labels = idx_format.parse_idx(bytes.fromhex("00000801 00000003 070009"))
    assert labels.tolist() == [7, 0, 9]
    images = idx_format.parse_idx(bytes.fromhex("00000803 00000001 00000002 00000003 010203fdfeff"))
    assert images.tolist() == [[[1, 2, 3], [253, 254, 255]]]


def test_fashion_mnist_comes_back() -> None:
    images, labels = pixels(3, 5, 4, 4), np.array([1, 0, 0, 1, 0], np.uint8)
    arrays = {"train-images-idx3": images[:3], "train-labels-idx1": labels[:3]}
    arrays |= {"t10k-images-idx3": images[3:], "t10k-labels-idx1": labels[3:]}
    contents = {f"{name}-ubyte.gz": gzip.compress(idx(array)) for name, array in arrays.items()}
    extent = Extent(train=3, test=2, channels=1, size=4, classes=2)
    train, test = idx_format.fashion_mnist(contents, extent, silent)
    assert np.array_equal(train[0][:, 0], images[:3])
    assert np.array_equal(test[0][:, 0], images[3:])
    assert (train[1].tolist(), test[1].tolist()) == ([1, 0, 0], [1, 0])
    contents["t10k-labels-idx1-ubyte.gz"] = contents["t10k-images-idx3-ubyte.gz"]
    with pytest.raises(InputError, match=r"t10k-labels.*got 3 axes, expected 1"):
        idx_format.fashion_mnist(contents, extent, silent)


@law(
    UNCHECKED,
    examples=250,
    content=st.binary(max_size=80)
    | st.builds(flipped, st.just(SOME_IDX), st.floats(0, 15.9 / len(SOME_IDX)), bits)  # any bit of the header
    | st.integers(0, len(SOME_IDX) - 1).map(lambda n: SOME_IDX[:n])
    | st.binary(min_size=1, max_size=5).map(lambda more: SOME_IDX + more)
    | st.lists(st.integers(2, 2**32 - 1), min_size=3, max_size=3).map(
        lambda sizes: b"\0\0\x08\x03" + struct.pack(">3I", *sizes) + bytes(7)
    ),
)
def test_malformed_idx_is_refused(content: bytes) -> None:
    assert outcome(lambda: idx_format.parse_idx(content, FILE)) is None
