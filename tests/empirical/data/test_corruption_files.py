"""Published corrupted sets, in small: what was written comes back, and every damage is named."""

import hashlib
import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from hypothesis import strategies as st
from PIL import Image

from sharpdiv.empirical.data import corruption_files
from sharpdiv.empirical.data.corruption_files import (
    PUBLISHED_CORRUPTIONS,
    load_published,
    verify_published,
)
from sharpdiv.empirical.data.corruptions import CORRUPTIONS, EXTRA_CORRUPTIONS, SEVERITIES
from sharpdiv.empirical.data.dataset import PublishedKind
from sharpdiv.empirical.errors import InputError
from tests.laws import Mutation, law

SAMPLES = 20
ROWS = 5 * SAMPLES


def write_array(path: Path, shape: tuple[int, ...], dtype: str = "u1") -> np.ndarray:
    return np.lib.format.open_memmap(path, "w+", dtype, shape)


def write_labels(folder: Path, classes: int = 10) -> np.ndarray:
    """Every class at every severity."""
    generator = np.random.default_rng(classes)
    labels = np.concatenate([generator.permutation(np.arange(SAMPLES) % classes) for _ in SEVERITIES])
    np.save(folder / "labels.npy", labels)
    return labels


@pytest.fixture(scope="module", autouse=True)
def _folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    global FOLDER, LABELS
    FOLDER = tmp_path_factory.mktemp("cifar10-c")
    LABELS = write_labels(FOLDER)
    write_array(FOLDER / "fog.npy", (ROWS, 32, 32, 3))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(corruption_files, "_SAMPLES", SAMPLES)
        yield


FOLDER = Path()
LABELS = np.empty(0)


@law(
    Mutation(
        "another block",
        "sharpdiv.empirical.data.corruption_files._load_arrays",
        lambda f: lambda p, n, s, c: f(p, n, s // 2 + 1, c),
    ),
    Mutation(
        "columns for rows",
        "sharpdiv.empirical.data.corruption_files.np.ascontiguousarray",
        lambda f: lambda a: f(a).swapaxes(2, 3),
    ),
    severity=st.sampled_from(SEVERITIES),
    row=st.integers(0, SAMPLES - 1),
    place=st.tuples(st.integers(0, 31), st.integers(0, 31), st.integers(0, 2)),
    level=st.integers(1, 255),
    examples=20,
)
def test_rows_become_images(severity: int, row: int, place: tuple[int, int, int], level: int) -> None:
    array = np.lib.format.open_memmap(FOLDER / "fog.npy", "r+")
    index = ((severity - 1) * SAMPLES + row, *place)
    array[index] = level
    array.flush()
    images, labels = load_published(FOLDER, "fog", severity, "cifar10-c")
    assert (images.shape, images.dtype) == ((SAMPLES, 3, 32, 32), torch.uint8)
    height, width, channel = place
    assert int(images[row, channel, height, width]) == level
    assert int(images.count_nonzero()) == 1
    assert labels.tolist() == LABELS[(severity - 1) * SAMPLES : severity * SAMPLES].tolist()
    array[index] = 0
    array.flush()


def test_files_of_full_size_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(corruption_files, "_SAMPLES", 10_000)
    # Sparse: its 153 MB take no space.
    write_array(tmp_path / "snow.npy", (50_000, 32, 32, 3))[49_999] = 7
    np.save(tmp_path / "labels.npy", np.tile(np.arange(100, dtype=np.uint8), 500))
    images, labels = load_published(tmp_path, "snow", 5, "cifar100-c")
    assert (images.shape, images.dtype) == ((10_000, 3, 32, 32), torch.uint8)
    assert images[-1].unique().tolist() == [7]
    assert torch.equal(labels, torch.arange(10_000) % 100)
    # They are the caller's own.
    images[-1] = 8
    assert int(np.load(tmp_path / "snow.npy", mmap_mode="r")[-1].max()) == 7


def test_names_are_the_papers() -> None:
    without_frost = [name for name in PUBLISHED_CORRUPTIONS if name != "frost"]
    assert without_frost == [*CORRUPTIONS, *EXTRA_CORRUPTIONS]
    assert PUBLISHED_CORRUPTIONS.index("frost") == CORRUPTIONS.index("snow") + 1


def cut(path: Path, keep: int) -> None:
    with path.open("r+b") as file:
        file.truncate(keep)


def pickle(path: Path) -> None:
    np.save(path, np.array([{}], dtype=object), allow_pickle=True)


def folder_instead(path: Path) -> None:
    path.unlink()
    path.mkdir()


def append(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"more")


def archive(path: Path) -> None:
    with path.open("wb") as file:
        np.savez(file, a=np.zeros(1))


def without_folder(path: Path) -> None:
    for file in path.parent.iterdir():
        file.unlink()
    path.parent.rmdir()


DAMAGES: list[tuple[Callable[[Path], Any], str]] = [
    (Path.unlink, "does not exist"),
    (lambda p: cut(p, 0), "not a readable .npy"),
    (lambda p: cut(p, 3), "not a readable .npy"),
    (lambda p: cut(p, 60), "not a readable .npy"),
    (lambda p: cut(p, 200_000), "not a readable .npy"),
    (lambda p: p.write_bytes(b"<html>404</html>"), "not a readable .npy"),
    (pickle, "not a readable .npy"),
    (folder_instead, "not a readable .npy"),
    (archive, "archive of several"),
    (lambda p: np.save(p, np.zeros((3, 32, 32, 3), np.uint8)), r"uint8 of shape \(3, 32, 32, 3\), expected"),
    (lambda p: np.save(p, np.zeros((), np.uint8)), r"uint8 of shape \(\), expected"),
    (lambda p: write_array(p, (ROWS, 32, 32, 3), "f4"), "holds float32"),
    (lambda p: write_array(p, (ROWS, 3, 32, 32)), r"shape \(100, 3, 32, 32\), expected uint8"),
    (append, "4 bytes longer"),
]


@pytest.mark.parametrize(("damage", "message"), DAMAGES)
def test_damaged_arrays_are_named(tmp_path: Path, damage: Callable[[Path], Any], message: str) -> None:
    write_labels(tmp_path)
    path = tmp_path / "contrast.npy"
    write_array(path, (ROWS, 32, 32, 3))
    load_published(tmp_path, "contrast", 1, "cifar10-c")
    damage(path)
    with pytest.raises(InputError, match=rf"contrast\.npy .*{message}"):
        load_published(tmp_path, "contrast", 1, "cifar10-c")


@law(
    Mutation(
        "labels unchecked",
        "sharpdiv.empirical.data.corruption_files.np.unique",
        lambda _: lambda _labels: np.arange(10),
    ),
    # The header is 128 bytes; at 21 stands the order of the bytes in a number.
    position=st.just(21) | st.integers(0, 127),
    value=st.sampled_from(list(b"<>|=iufbS1248T)")) | st.integers(0, 255),
    examples=150,
)
def test_no_changed_header_gives_other_arrays(position: int, value: int) -> None:
    path = FOLDER / "labels.npy"
    content = path.read_bytes()
    path.write_bytes(content[:position] + bytes([value]) + content[position + 1 :])
    try:
        _, labels = load_published(FOLDER, "fog", 1, "cifar10-c")
        assert labels.tolist() == np.load(io.BytesIO(content))[:SAMPLES].tolist()
    except InputError as error:
        assert "labels.npy" in str(error)  # noqa: PT017
    finally:
        path.write_bytes(content)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.full(ROWS, 10), "has 1 classes, 10 to 10, expected all from 0 to 9"),
        (np.arange(ROWS) % 9, "has 9 classes, 0 to 8, expected all from 0 to 9; is it of another data set"),
        (np.full(ROWS, -1), "has 1 classes, -1 to -1"),
        (np.zeros(ROWS), "float64"),
        (np.zeros(SAMPLES, int), r"int64 of shape \(20,\), expected integers of shape \(100,\)"),
    ],
)
def test_wrong_labels_are_named(tmp_path: Path, labels: np.ndarray, message: str) -> None:
    write_array(tmp_path / "fog.npy", (ROWS, 32, 32, 3))
    np.save(tmp_path / "labels.npy", labels)
    with pytest.raises(InputError, match=rf"labels\.npy .*{message}"):
        load_published(tmp_path, "fog", 1, "cifar10-c")


def test_checksums_name_every_defect(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "fog.npy").write_bytes(b"")
    (tmp_path / "snow.npy").write_bytes(b"abc")
    # RFC 1321, A.5
    expected = {"fog": "d41d8cd98f00b204e9800998ecf8427e", "snow": "900150983cd24fb0d6963f7d28e17f72"}
    monkeypatch.setitem(corruption_files._MD5, "cifar10-c", expected)
    verify_published(tmp_path, "cifar10-c")
    (tmp_path / "snow.npy").write_bytes(b"abd")
    (tmp_path / "fog.npy").unlink()
    with pytest.raises(InputError, match=r"fog\.npy cannot be read .*snow\.npy has MD5 \w{32}, expected 9001"):
        verify_published(tmp_path, "cifar10-c")
    with pytest.raises(InputError, match="cifar10-c and cifar100-c only, not for 'tiny-imagenet-c'"):
        verify_published(tmp_path, "tiny-imagenet-c")


def test_checksums_are_all_different_and_named_alike() -> None:
    cifar10, cifar100 = corruption_files._MD5.values()
    assert set(cifar10) == set(cifar100) == {*PUBLISHED_CORRUPTIONS, "labels"}
    sums = [*cifar10.values(), *cifar100.values()]
    assert len(set(sums)) == 40
    assert all(len(bytes.fromhex(text)) == hashlib.md5(usedforsecurity=False).digest_size for text in sums)


def jpeg(pixels: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=85, optimize=True)
    return file.getvalue()


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three classes of two images, plain in colours that JPEG keeps within a level or two."""
    monkeypatch.setattr(corruption_files, "_SAMPLES", 6)
    monkeypatch.setitem(corruption_files._CLASSES, "tiny-imagenet-c", 3)
    for number, wnid in enumerate(("n03", "n01", "n02")):
        folder = tmp_path / "fog" / "2" / wnid
        folder.mkdir(parents=True)
        for sample in (1, 0):
            colour = np.array([40 * number, 100 * sample, 200], np.uint8)
            (folder / f"val_{sample}.JPEG").write_bytes(jpeg(np.broadcast_to(colour, (64, 64, 3))))
    return tmp_path


def test_folders_are_read_in_order(tiny: Path) -> None:
    images, labels = load_published(tiny, "fog", 2, "tiny-imagenet-c")
    assert (images.shape, images.dtype) == ((6, 3, 64, 64), torch.uint8)
    assert labels.tolist() == [0, 0, 1, 1, 2, 2]
    expected = [[40, 0, 200], [40, 100, 200], [80, 0, 200], [80, 100, 200], [0, 0, 200], [0, 100, 200]]
    assert (images.float().mean(dim=(2, 3)) - torch.tensor(expected)).abs().max() < 3


def test_grey_files_become_colour(tiny: Path) -> None:
    (tiny / "fog/2/n01/val_0.JPEG").write_bytes(jpeg(np.full((64, 64), 77, np.uint8)))
    images, _ = load_published(tiny, "fog", 2, "tiny-imagenet-c")
    assert images[0].unique().tolist() == [77]


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (Path.unlink, r"n01 has 1 files, expected 2"),
        (without_folder, "has 2 class folders"),
        (lambda p: cut(p, 0), r"val_0\.JPEG is not a readable JPEG"),
        (lambda p: cut(p, 100), r"val_0\.JPEG is not a readable JPEG"),
        (lambda p: cut(p, p.stat().st_size - 40), r"val_0\.JPEG is not a readable JPEG"),
        (lambda p: p.write_bytes(b"\x89PNG"), r"val_0\.JPEG is not a readable JPEG"),
        (lambda p: p.write_bytes(jpeg(np.zeros((32, 64), np.uint8))), r"val_0\.JPEG has 64x32 pixels, expected 64x64"),
    ],
)
def test_damaged_folders_are_named(tiny: Path, damage: Callable[[Path], Any], message: str) -> None:
    damage(tiny / "fog/2/n01/val_0.JPEG")
    with pytest.raises(InputError, match=message):
        load_published(tiny, "fog", 2, "tiny-imagenet-c")


@pytest.mark.parametrize(
    ("name", "severity", "kind", "message"),
    [
        ("rain", 1, "cifar10-c", "gaussian_noise, .*; got 'rain'"),
        ("../fog", 1, "cifar10-c", "got '../fog'"),
        ("fog", 0, "cifar10-c", "1 to 5, got 0"),
        ("fog", 3, "tiny-imagenet-c", r"fog.3 cannot be listed \(No such file"),
    ],
)
def test_bad_arguments_are_refused(tmp_path: Path, name: str, severity: int, kind: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        load_published(tmp_path, name, severity, cast("PublishedKind", kind))
    with pytest.raises(InputError, match="nowhere is not a folder"):
        load_published(tmp_path / "nowhere", "fog", 1, "cifar10-c")
