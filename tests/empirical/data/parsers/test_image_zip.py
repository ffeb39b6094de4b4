"""Zipped images come back, and whatever is malformed is an InputError that names the file."""

import contextlib
import io
import lzma
import struct
import zipfile
import zlib
from typing import Any

import numpy as np
import pytest
from hypothesis import strategies as st
from PIL import Image

from sharpdiv.empirical.data.parsers import image_folders, image_zip
from sharpdiv.empirical.errors import InputError
from tests.empirical.data.parsers.builders import (
    FILE,
    FOLDER_IMAGES,
    FOLDER_MEMBERS,
    FOLDER_NAMES,
    FOLDERS,
    bits,
    encoded,
    flipped,
    outcome,
    pixels,
    positions,
    silent,
    zipped,
)
from tests.laws import Mutation, law

UNNAMED = Mutation(
    "errors of the decoders let through",
    "sharpdiv.empirical.data.parsers.image_zip.naming",
    lambda _: contextlib.nullcontext,
)


def read_folders(content: bytes) -> Any:
    return image_folders.image_folders({FILE: content}, FOLDERS, silent)


def assert_folders(parts: Any) -> None:
    (train, train_labels), (test, test_labels) = parts
    assert np.array_equal(train, FOLDER_IMAGES[:4])
    assert np.array_equal(test, FOLDER_IMAGES[4:])
    assert train_labels.tolist() == [0, 0, 1, 1]
    assert test_labels.tolist() == [0, 1]


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_images_come_back_sorted_by_class_and_name(compression: int) -> None:
    told: list[tuple[str, int, int]] = []
    content = zipped({"train/": b"", **dict(reversed(FOLDER_MEMBERS.items()))}, compression)
    assert_folders(image_folders.image_folders({FILE: content}, FOLDERS, lambda *a: told.append(a)))
    assert told[-1] == ("decoding", 6, 6)


def test_jpeg_images_are_what_pillow_decodes_and_grey_has_three_equal_channels() -> None:
    colour = encoded(FOLDER_IMAGES[0], "JPEG")
    # All coefficients of a block of 128 are zero, so a decoder has nothing to round.
    grey = encoded(np.full((8, 8), 128, np.uint8), "JPEG")
    content = zipped(FOLDER_MEMBERS | {FOLDER_NAMES[0]: colour, FOLDER_NAMES[4]: grey})
    (train, _), (test, _) = read_folders(content)
    assert np.array_equal(train[0].transpose(1, 2, 0), np.asarray(Image.open(io.BytesIO(colour))))
    assert np.array_equal(test[0], np.full((3, 8, 8), 128))


# PNG has checksums of its own; with a JPEG in it, the zip's are needed.
SOME_MEMBERS = FOLDER_MEMBERS | {FOLDER_NAMES[0]: encoded(FOLDER_IMAGES[0], "JPEG")}
ZIPPED = zipped(SOME_MEMBERS)
UNDAMAGED = read_folders(ZIPPED)


@law(
    UNNAMED,
    Mutation("zip's own checksums ignored", "zipfile.ZipExtFile._update_crc", lambda _: lambda *_: None),
    examples=500,
    content=st.binary(max_size=80)
    | st.builds(flipped, st.just(ZIPPED), positions, bits)
    | st.builds(flipped, st.just(zipped(SOME_MEMBERS, zipfile.ZIP_STORED)), positions, bits)
    | st.integers(0, len(ZIPPED) - 1).map(lambda n: ZIPPED[:n]),
)
def test_damaged_zip_is_refused(content: bytes) -> None:
    parts = outcome(lambda: read_folders(content))
    if parts is not None:  # what was hit means nothing, like a date
        for part, expected in zip(parts, UNDAMAGED, strict=True):
            assert np.array_equal(part[0], expected[0])
            assert np.array_equal(part[1], expected[1])


IMAGES = [encoded(FOLDER_IMAGES[0]), encoded(FOLDER_IMAGES[0], "JPEG")]


@law(
    UNNAMED,
    examples=250,
    content=st.binary(max_size=80)
    | st.builds(flipped, st.sampled_from(IMAGES), positions, bits)
    | st.builds(lambda image, part: image[: int(part * len(image))], st.sampled_from(IMAGES), positions),
)
def test_damaged_images_are_refused_or_images(content: bytes) -> None:
    # JPEG has no checksum of its own; the zip around it has.
    image = outcome(lambda: image_zip._parse_image(content, 8, FILE))
    assert image is None or (image.shape == (3, 8, 8) and image.dtype == np.uint8)


def altered(members: dict[str, bytes], old: bytes, new: bytes) -> bytes:
    """A zip of stored members with the same bytes replaced everywhere."""
    content = zipped(members, zipfile.ZIP_STORED)
    assert old in content
    return content.replace(old, new)


def png_of(width: int, height: int) -> bytes:
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunk = struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))
    return b"\x89PNG\r\n\x1a\n" + chunk + bytes(4) + b"IDAT"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            zipped(FOLDER_MEMBERS | {"train/ant/0001.jpg": b""}),
            r"train/ant/0001.jpg is damaged: UnidentifiedImageError",
        ),
        (zipped(FOLDER_MEMBERS | {"train/ant/0001.jpg": encoded(pixels(0, 3, 8, 9))}), "got 9x8 pixels, expected 8x8"),
        # 10^10 and 1.2 * 10^8 pixels: Pillow itself refuses the first and warns of the second.
        (
            zipped(FOLDER_MEMBERS | {"train/ant/0001.jpg": png_of(10**5, 10**5)}),
            "0001.jpg is damaged: DecompressionBomb",
        ),
        (
            zipped(FOLDER_MEMBERS | {"train/ant/0001.jpg": png_of(10**4, 12 * 10**3)}),
            "0001.jpg is damaged: Decompression",
        ),
        (
            zipped(FOLDER_MEMBERS | {"train/ant/0001.jpg": bytes(2**20 + 1)}),
            "0001.jpg .*got 1048577 bytes, expected at most 1048576",
        ),
        (zipped(FOLDER_MEMBERS | {"train/ant/0002.jpg": b""}), "got 5 images, expected 4"),
        (zipped({n: c for n, c in FOLDER_MEMBERS.items() if "0001" not in n}), "got 2 images, expected 4"),
        (
            zipped(FOLDER_MEMBERS | {"train/cat/0002.jpg": b""}),
            r"got classes \['ant', 'bee'\] to test, expected .*'cat'",
        ),
        (zipped(FOLDER_MEMBERS | {"readme.txt": b""}), "got a member readme.txt"),
        (zipped(FOLDER_MEMBERS | {"/train/ant/0002.jpg": b""}), "a member with the path"),
        (zipped(FOLDER_MEMBERS | {"train/ant/../0002.jpg": b""}), "a member with the path"),
        (zipped(FOLDER_MEMBERS | {"train\\ant\\0002.jpg": b""}), "a member with the path"),
        (zipped(FOLDER_MEMBERS, zipfile.ZIP_LZMA), "another compression"),
        (altered(FOLDER_MEMBERS, b"ant/0001", b"ant/0000"), "train/ant/0000.jpg twice"),
        (zipped({}), "got classes|got 0 images"),
        (lzma.compress(ZIPPED), "BadZipFile"),
    ],
)
def test_zips_that_hold_something_else_are_refused(content: bytes, message: str) -> None:
    with pytest.raises(InputError, match=f"(?s){FILE}.*({message})"):
        read_folders(content)


def test_encrypted_zips_are_refused() -> None:
    content = bytearray(zipped({"a.jpg": b"x"}))
    content[content.index(b"PK\x01\x02") + 8] |= 1  # the flags of its entry in the directory
    with pytest.raises(InputError, match="encrypted"):
        read_folders(bytes(content))
