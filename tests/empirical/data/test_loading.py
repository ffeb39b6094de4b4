"""Data sets on disk: what was published comes back, and damage is named and mended."""

import warnings
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import strategies as st

from sharpdiv.empirical.data import dataset
from sharpdiv.empirical.data.datasets import DATASETS
from sharpdiv.empirical.data.fetching import fetch
from sharpdiv.empirical.data.loading import load_images
from sharpdiv.empirical.data.verifying import verify
from sharpdiv.empirical.errors import InputError, StoreError
from tests.empirical.data.small import DECODED, FILE, RAW, assert_published, damage, put, small
from tests.laws import Mutation, law


@pytest.fixture(autouse=True)
def _registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(DATASETS, "small", small())
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


def test_the_first_load_decodes_and_later_ones_do_not_need_the_raw_file(tmp_path: Path) -> None:
    raw = put(tmp_path)
    told: list[tuple[str, int, int]] = []
    assert_published(load_images("small", tmp_path, lambda *a: told.append(a)))
    assert told[-1] == ("decoding", 6, 6)
    raw.unlink()
    again = load_images("small", tmp_path, lambda *a: told.append(a))
    assert_published(again)
    assert len(told) == 6
    again.train_images[0] = 0  # what was loaded may be changed, and the file stays as it is
    assert_published(load_images("small", tmp_path))


@pytest.fixture(scope="module", autouse=True)
def _folder(tmp_path_factory: pytest.TempPathFactory) -> None:
    global FOLDER
    FOLDER = tmp_path_factory.mktemp("data")


FOLDER = Path()


@law(
    Mutation("no checksum", "sharpdiv.empirical.store._tensor_digest", lambda _: lambda *a: "same"),
    examples=50,
    # The header is the first 600 bytes of 185,000: it deserves more than its share.
    position=st.floats(0, 1, exclude_max=True) | st.floats(0, 600 / 185_000),
    bit=st.integers(0, 7),
)
def test_any_flipped_bit_of_the_decoded_file_is_named_and_mended(position: float, bit: int) -> None:
    put(FOLDER)
    path = FOLDER / "small" / DECODED
    if not path.exists():
        load_images("small", FOLDER)
    damage(path, position, bit)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            images = load_images("small", FOLDER)
        except Exception as error:
            raise AssertionError(f"{type(error).__name__}: {error}") from error
        finally:
            path.unlink()
    assert_published(images)
    # Without a warning the flip hit the header's padding, which means nothing.
    assert all(DECODED in str(w.message) and "made anew" in str(w.message) for w in caught)


@pytest.mark.parametrize("keep", [0, 7, 300, 100_000])
def test_a_truncated_decoded_file_is_named_and_mended(tmp_path: Path, keep: int) -> None:
    put(tmp_path)
    load_images("small", tmp_path)
    path = tmp_path / "small" / DECODED
    whole = path.read_bytes()
    path.write_bytes(whole[:keep])
    assert [check.ok for check in verify("small", tmp_path)] == [True, False]
    with pytest.warns(UserWarning, match=rf"{DECODED} is damaged .* made anew"):
        assert_published(load_images("small", tmp_path))
    assert path.read_bytes() == whole


def test_what_another_decoder_made_is_made_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path)
    load_images("small", tmp_path)
    monkeypatch.setattr(dataset, "_DECODER", dataset._DECODER + 1)
    assert "another decoder" in verify("small", tmp_path)[1].detail
    with pytest.warns(UserWarning, match=rf"{DECODED} was made of other raw files or by another decoder"):
        assert_published(load_images("small", tmp_path))
    assert_published(load_images("small", tmp_path))


def test_only_jpeg_images_depend_on_the_library_that_decodes_them(monkeypatch: pytest.MonkeyPatch) -> None:
    before = [replace(small(), jpeg=jpeg).recipe for jpeg in (False, True)]
    monkeypatch.setattr("sharpdiv.empirical.data.dataset.features.version", lambda _: "0.0")
    after = [replace(small(), jpeg=jpeg).recipe for jpeg in (False, True)]
    assert [a == b for a, b in zip(before, after, strict=True)] == [True, False]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, f"{FILE} is missing"),
        (RAW[:-1], f"{FILE} is not the published file: it has {len(RAW) - 1} bytes, expected {len(RAW)}"),
        (RAW[:99] + bytes([RAW[99] ^ 1]) + RAW[100:], f"{FILE} is not the published file: it has md5:"),
    ],
)
def test_raw_files_that_are_not_as_published_are_named(tmp_path: Path, content: bytes | None, message: str) -> None:
    raw = put(tmp_path)
    load_images("small", tmp_path)
    raw.unlink() if content is None else raw.write_bytes(content)
    assert_published(load_images("small", tmp_path))  # it is not needed
    assert [check.ok for check in verify("small", tmp_path)] == [False, True]
    assert message in verify("small", tmp_path)[0].detail
    damage(tmp_path / "small" / DECODED, 0.5)
    with pytest.raises(StoreError, match=rf"(?s){DECODED} is damaged.*{message}.*`sharpdiv data fetch small`"):
        load_images("small", tmp_path)
    (tmp_path / "small" / DECODED).unlink()
    with pytest.raises(StoreError, match=f"{message}.*`sharpdiv data fetch small`"):
        load_images("small", tmp_path)
    assert not (tmp_path / "small" / DECODED).exists()


def test_what_is_not_here_leaves_no_trace(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"cifar-10-binary.tar.gz is missing; `sharpdiv data fetch cifar10`"):
        load_images("cifar10", tmp_path)
    assert not list(tmp_path.iterdir())
    for name in ("mnist", "../small", ""):
        for function in (load_images, fetch, verify):
            with pytest.raises(InputError, match=r"one of digits, cifar10, cifar100.*got"):
                function(name, folder=tmp_path)
