"""Files built byte by byte come back exactly, and whatever is malformed is an InputError that names the file."""

import contextlib
import gzip
import io
import lzma
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import pytest
from hypothesis import strategies as st
from PIL import Image

from empirical import InputError, parsers
from empirical.parsers import Extent
from tests.laws import Mutation, law

FILE = "the.file"
bits = st.integers(0, 7)
positions = st.floats(0, 1, exclude_max=True)
UNCHECKED = Mutation("nothing checked", "empirical.parsers._expect", lambda _: lambda *_: None)
UNNAMED = Mutation("errors of the decoders let through", "empirical.parsers._naming", lambda _: contextlib.nullcontext)


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


# ----------------------------------------------------------------------------------------------------------------- builders


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


CIFAR = Extent(train=50, test=10, channels=3, size=32, classes=10)
BATCHES = [*(f"cifar-10-batches-bin/data_batch_{i}.bin" for i in range(1, 6)), "cifar-10-batches-bin/test_batch.bin"]
CIFAR_IMAGES = pixels(0, 60, 3, 32, 32)
CIFAR_LABELS = np.array([(7 * i) % 10 for i in range(60)])
CIFAR_MEMBERS = {
    name: records(CIFAR_IMAGES[10 * i : 10 * i + 10], CIFAR_LABELS[10 * i : 10 * i + 10].tolist())
    for i, name in enumerate(BATCHES)
}

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


def read_cifar(content: bytes) -> Any:
    return parsers.cifar10({FILE: content}, CIFAR, silent)


def read_folders(content: bytes) -> Any:
    return parsers.image_folders({FILE: content}, FOLDERS, silent)


def assert_folders(parts: Any) -> None:
    (train, train_labels), (test, test_labels) = parts
    assert np.array_equal(train, FOLDER_IMAGES[:4])
    assert np.array_equal(test, FOLDER_IMAGES[4:])
    assert train_labels.tolist() == [0, 0, 1, 1]
    assert test_labels.tolist() == [0, 1]


# --------------------------------------------------------------------------------------------------------------- round trips


@law(
    Mutation("sizes little-endian", "empirical.parsers.struct.unpack", lambda f: lambda form, b: f("<" + form[1:], b)),
    Mutation("columns before rows", "empirical.parsers.parse_idx", lambda f: lambda *a: np.swapaxes(f(*a), -1, 0)),
    examples=50,
    seed=st.integers(0, 999),
    shape=st.tuples(st.integers(1, 4), st.integers(2, 5), st.integers(2, 5)) | st.tuples(st.integers(2, 300)),
)
def test_idx_arrays_come_back(seed: int, shape: tuple[int, ...]) -> None:
    array = pixels(seed, *shape)
    parsed = outcome(lambda: parsers.parse_idx(idx(array), FILE))
    assert parsed is not None
    assert np.array_equal(parsed, array)


def test_idx_by_hand() -> None:
    labels = parsers.parse_idx(bytes.fromhex("00000801 00000003 070009"))
    assert labels.tolist() == [7, 0, 9]
    images = parsers.parse_idx(bytes.fromhex("00000803 00000001 00000002 00000003 010203fdfeff"))
    assert images.tolist() == [[[1, 2, 3], [253, 254, 255]]]


def transposed(parse: Callable[..., Any]) -> Callable[..., Any]:
    return lambda *a: (lambda images, labels: (images.transpose(0, 1, 3, 2), labels))(*parse(*a))


def other_label(parse: Callable[..., Any]) -> Callable[..., Any]:
    def wrong(content: bytes, coarse: bool, *a: Any) -> Any:
        images, _ = parse(content, coarse, *a)
        return images, np.array([record[0] for record in np.array_split(np.frombuffer(content, "u1"), len(images))])

    return wrong


@law(
    Mutation("columns before rows", "empirical.parsers.parse_cifar", transposed),
    Mutation("the superclass for the class", "empirical.parsers.parse_cifar", other_label),
    Mutation(
        "two label bytes for one", "empirical.parsers.parse_cifar", lambda f: lambda b, coarse, *a: f(b, True, *a)
    ),
    examples=25,
    seed=st.integers(0, 999),
    labels=st.lists(st.integers(0, 9), min_size=1, max_size=3),
    superclass=st.none() | st.integers(10, 19),
)
def test_cifar_records_come_back(seed: int, labels: list[int], superclass: int | None) -> None:
    images = pixels(seed, len(labels), 3, 32, 32)
    content = records(images, labels, superclass)
    parsed = outcome(lambda: parsers.parse_cifar(content, superclass is not None, FILE))
    assert parsed is not None
    assert np.array_equal(parsed[0], images)
    assert parsed[1].tolist() == labels


def test_cifar_by_hand() -> None:
    red = [10, *[0] * 31, 11, *[0] * 991]  # the second row starts at value 32
    record = bytes([3, *red, 20, *[0] * 1023, *[0] * 1023, 30])
    images, labels = parsers.parse_cifar(record, coarse=False)
    assert labels.tolist() == [3]
    assert images[0, 0, 0, 0] == 10
    assert images[0, 0, 1, 0] == 11
    assert images[0, 1, 0, 0] == 20
    assert images[0, 2, 31, 31] == 30
    assert images.sum() == 71


def test_cifar10_archives_come_back_whatever_the_order_in_them() -> None:
    members = {"cifar-10-batches-bin/readme.html": b"<p>", **dict(reversed(CIFAR_MEMBERS.items()))}
    (train, train_labels), (test, test_labels) = read_cifar(gzip.compress(tar(members)))
    assert np.array_equal(train, CIFAR_IMAGES[:50])
    assert np.array_equal(test, CIFAR_IMAGES[50:])
    assert train_labels.tolist() == CIFAR_LABELS[:50].tolist()
    assert test_labels.tolist() == CIFAR_LABELS[50:].tolist()


def test_cifar100_archives_come_back_with_fine_labels() -> None:
    images, labels = pixels(2, 200, 3, 32, 32), [*range(100), *reversed(range(100))]
    parts = {"train": records(images[:100], labels[:100], 7), "test": records(images[100:], labels[100:], 7)}
    content = gzip.compress(tar({f"cifar-100-binary/{part}.bin": batch for part, batch in parts.items()}), 1)
    extent = Extent(train=100, test=100, channels=3, size=32, classes=100)
    train, test = parsers.cifar100({FILE: content}, extent, silent)
    assert np.array_equal(np.concatenate([train[0], test[0]]), images)
    assert [*train[1].tolist(), *test[1].tolist()] == labels


def test_fashion_mnist_comes_back() -> None:
    images, labels = pixels(3, 5, 4, 4), np.array([1, 0, 0, 1, 0], np.uint8)
    arrays = {"train-images-idx3": images[:3], "train-labels-idx1": labels[:3]}
    arrays |= {"t10k-images-idx3": images[3:], "t10k-labels-idx1": labels[3:]}
    contents = {f"{name}-ubyte.gz": gzip.compress(idx(array)) for name, array in arrays.items()}
    extent = Extent(train=3, test=2, channels=1, size=4, classes=2)
    train, test = parsers.fashion_mnist(contents, extent, silent)
    assert np.array_equal(train[0][:, 0], images[:3])
    assert np.array_equal(test[0][:, 0], images[3:])
    assert (train[1].tolist(), test[1].tolist()) == ([1, 0, 0], [1, 0])
    contents["t10k-labels-idx1-ubyte.gz"] = contents["t10k-images-idx3-ubyte.gz"]
    with pytest.raises(InputError, match=r"t10k-labels.*got 3 axes, expected 1"):
        parsers.fashion_mnist(contents, extent, silent)


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_images_come_back_sorted_by_class_and_name(compression: int) -> None:
    told: list[tuple[str, int, int]] = []
    content = zipped({"train/": b"", **dict(reversed(FOLDER_MEMBERS.items()))}, compression)
    assert_folders(parsers.image_folders({FILE: content}, FOLDERS, lambda *a: told.append(a)))
    assert told[-1] == ("decoding", 6, 6)


def test_jpeg_images_are_what_pillow_decodes_and_grey_has_three_equal_channels() -> None:
    colour = encoded(FOLDER_IMAGES[0], "JPEG")
    # All coefficients of a block of 128 are zero, so a decoder has nothing to round.
    grey = encoded(np.full((8, 8), 128, np.uint8), "JPEG")
    content = zipped(FOLDER_MEMBERS | {FOLDER_NAMES[0]: colour, FOLDER_NAMES[4]: grey})
    (train, _), (test, _) = read_folders(content)
    assert np.array_equal(train[0].transpose(1, 2, 0), np.asarray(Image.open(io.BytesIO(colour))))
    assert np.array_equal(test[0], np.full((3, 8, 8), 128))


TINY = Extent(train=4, test=2, channels=3, size=8, classes=2)
TINY_ROOT = "tiny-imagenet-200"
TINY_MEMBERS = {
    f"{TINY_ROOT}/wnids.txt": b"n02\nn01\n",
    f"{TINY_ROOT}/words.txt": b"n01\tant\n" * 400_000,  # larger than what may be read
    f"{TINY_ROOT}/train/n01/n01_boxes.txt": b"n01_0.JPEG\t0\t0\t8\t8\n",
    f"{TINY_ROOT}/val/val_annotations.txt": b"val_1.JPEG\tn01\t0\t0\t8\t8\nval_0.JPEG\tn02\t0\t0\t8\t8\n",
    f"{TINY_ROOT}/test/images/test_0.JPEG": b"never read",
    f"{TINY_ROOT}/train/n02/images/n02_0.JPEG": encoded(FOLDER_IMAGES[2]),
    f"{TINY_ROOT}/train/n02/images/n02_1.JPEG": encoded(FOLDER_IMAGES[3]),
    f"{TINY_ROOT}/train/n01/images/n01_0.JPEG": encoded(FOLDER_IMAGES[0]),
    f"{TINY_ROOT}/train/n01/images/n01_1.JPEG": encoded(FOLDER_IMAGES[1]),
    f"{TINY_ROOT}/val/images/val_1.JPEG": encoded(FOLDER_IMAGES[5]),
    f"{TINY_ROOT}/val/images/val_0.JPEG": encoded(FOLDER_IMAGES[4]),
}


def test_tiny_imagenet_has_the_validation_images_as_its_test_set() -> None:
    train, test = parsers.tiny_imagenet({FILE: zipped(TINY_MEMBERS)}, TINY, silent)
    assert np.array_equal(np.concatenate([train[0], test[0]]), FOLDER_IMAGES)
    assert train[1].tolist() == [0, 0, 1, 1]
    assert test[1].tolist() == [1, 0]  # val_0 is an n02, the second id in order


@pytest.mark.parametrize(
    ("member", "content", "message"),
    [
        ("val/val_annotations.txt", b"val_1.JPEG\tn01\n", r"val_0.JPEG without a class"),
        ("val/val_annotations.txt", b"val_1.JPEG\tn01\nval_0.JPEG\tn03\n", r"val_0.JPEG without a class"),
        ("val/val_annotations.txt", b"\xff\xfe", r"val_annotations.txt is damaged: UnicodeDecodeError"),
        ("val/images/val_2.JPEG", b"", "got 3 images, expected 2"),
        ("wnids.txt", b"n01\n", r"n02_0.JPEG without a class"),
        ("wnids.txt", b"n01\nn02\nn03\n", None),
    ],
)
def test_tiny_imagenet_with_other_lists_is_refused(member: str, content: bytes, message: str | None) -> None:
    members = TINY_MEMBERS | {f"{TINY_ROOT}/{member}": content}
    if message is None:  # an id without images leaves the others' numbers as they are
        assert parsers.tiny_imagenet({FILE: zipped(members)}, TINY, silent)[0][1].tolist() == [0, 0, 1, 1]
        return
    with pytest.raises(InputError, match=message):
        parsers.tiny_imagenet({FILE: zipped(members)}, TINY, silent)


# ---------------------------------------------------------------------------------------------------------- malformed files

SOME_IDX = idx(pixels(4, 3, 2, 5))
SOME_CIFAR = records(pixels(5, 2, 3, 32, 32), [4, 9], 19)


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
    assert outcome(lambda: parsers.parse_idx(content, FILE)) is None


@law(
    UNCHECKED,
    examples=250,
    content=st.binary(max_size=80)
    | st.integers(0, len(SOME_CIFAR) - 1).filter(lambda n: n != len(SOME_CIFAR) // 2).map(lambda n: SOME_CIFAR[:n])
    | st.binary(min_size=1, max_size=5).map(lambda more: SOME_CIFAR + more)
    | st.builds(lambda label: bytes([19, label]) + SOME_CIFAR[2:], st.integers(100, 255))
    | st.builds(lambda label: bytes([label]) + SOME_CIFAR[1:], st.integers(20, 255)),
)
def test_malformed_cifar_is_refused(content: bytes) -> None:
    assert outcome(lambda: parsers.parse_cifar(content, True, FILE)) is None


GZIPPED = gzip.compress(SOME_IDX, mtime=0)


@law(
    UNNAMED,
    examples=300,
    content=st.binary(max_size=80)
    | st.builds(flipped, st.just(GZIPPED), positions, bits)
    | st.integers(0, len(GZIPPED) - 1).map(lambda n: GZIPPED[:n])
    | st.binary(min_size=1, max_size=5).map(lambda more: GZIPPED + more),
)
def test_damaged_gzip_is_refused(content: bytes) -> None:
    unpacked = outcome(lambda: parsers._gunzip(content, FILE))
    # The time in its header and the bits after its last block mean nothing.
    assert unpacked is None or unpacked == SOME_IDX


@law(
    Mutation(
        "a stream may break off", "empirical.parsers._expect", lambda f: lambda c, *a: f(c or "breaks" in a[1], *a)
    ),
    examples=50,
    keep=st.integers(0, len(GZIPPED) - 1),
)
def test_truncated_gzip_is_refused(keep: int) -> None:
    assert outcome(lambda: parsers._gunzip(GZIPPED[:keep], FILE)) is None


TARRED = tar({"a": b"x" * 600, "b": b"y" * 10})
HEADERS = [*range(512), *range(512 + 1024, 1024 + 1024)]


@law(
    UNNAMED,
    Mutation("members may be missing", "empirical.parsers._expect", lambda f: lambda c, *a: f(c or "no b" in a[1], *a)),
    examples=400,
    content=st.binary(max_size=1200)
    | st.builds(lambda i, bit: flipped(TARRED, (HEADERS[i] + 0.5) / len(TARRED), bit), st.integers(0, 1023), bits)
    | st.integers(0, 2057).map(lambda n: TARRED[:n])  # the last byte of b is 2,057; what follows is padding
    | st.sampled_from([TARRED[1536:] + TARRED[:1536], TARRED + TARRED]),
)
def test_damaged_tar_is_refused(content: bytes) -> None:
    members = outcome(lambda: parsers._tar_members(content, ("b", "a"), FILE))
    assert members is None or members == [b"y" * 10, b"x" * 600]


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
    image = outcome(lambda: parsers._parse_image(content, 8, FILE))
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


def member(name: str, kind: bytes = tarfile.REGTYPE, size: int = 0) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.size, info.linkname = kind, size, "/etc/passwd"
    return info


def headers(*infos: tarfile.TarInfo) -> bytes:
    return b"".join(info.tobuf(tarfile.GNU_FORMAT) for info in infos) + bytes(1024)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (tar({"a": b""}), "got no b, expected 2 members"),
        (tar({"a": b"", "b": b"", "../c": b""}), r"a member with the path '\.\./c'"),
        (tar({"a": b"", "b": b"", "/c": b""}), "a member with the path '/c'"),
        (headers(member("a"), member("b"), member("a")), "got a twice"),
        (headers(member("a"), member("b", tarfile.SYMTYPE)), "no whole file b"),
        (headers(member("a"), member("b", tarfile.LNKTYPE)), "no whole file b"),
        (headers(member("a"), member("b", tarfile.DIRTYPE)), "no whole file b"),
        (headers(member("a"), member("b", tarfile.FIFOTYPE)), "no whole file b"),
        (headers(member("a"), member("b", size=2**40)), "ReadError"),
        (headers(member("a"), member("b", size=-512)), "negative size"),
        (headers(member("a"), member("c", size=-1024)), "negative size"),
    ],
)
def test_tars_that_hold_something_else_are_refused(content: bytes, message: str) -> None:
    with pytest.raises(InputError, match=f"{FILE}.*{message}"):
        parsers._tar_members(content, ("a", "b"), FILE)


def test_gzip_bombs_are_not_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    content = gzip.compress(bytes(10**6))
    assert parsers._gunzip(content, FILE) == bytes(10**6)
    monkeypatch.setattr("empirical.parsers._LARGEST_ARCHIVE", 10**6 - 1)
    with pytest.raises(InputError, match=r"more than 999999 bytes"):
        parsers._gunzip(content, FILE)


def test_archives_with_other_images_are_refused() -> None:
    for name, content, message in (
        (
            BATCHES[2],
            CIFAR_MEMBERS[BATCHES[2]][:-3073],
            r"training images \(49, 3, 32, 32\), expected \(50, 3, 32, 32\)",
        ),
        (BATCHES[5], CIFAR_MEMBERS[BATCHES[5]][:3073] * 10, r"test labels \[0\], expected every class from 0 to 9"),
        (BATCHES[1], CIFAR_MEMBERS[BATCHES[1]][:-1], r"data_batch_2.bin.*got 30729 bytes"),
        (
            BATCHES[1],
            bytes([10]) + CIFAR_MEMBERS[BATCHES[1]][1:],
            r"data_batch_2.bin.*got label 10, expected less than 10",
        ),
    ):
        with pytest.raises(InputError, match=f"{FILE}.*{message}"):
            read_cifar(gzip.compress(tar(CIFAR_MEMBERS | {name: content}), 1))
