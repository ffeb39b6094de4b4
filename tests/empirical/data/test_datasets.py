"""The registry of data sets: whole, told in a table, and all that is needed of a data set."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sharpdiv.empirical.data.dataset import Dataset
from sharpdiv.empirical.data.datasets import DATASETS
from sharpdiv.empirical.data.decoded import decode
from sharpdiv.empirical.data.fetching import fetch
from sharpdiv.empirical.data.folders import data_folder
from sharpdiv.empirical.data.installed import installed
from sharpdiv.empirical.data.loading import load_images
from sharpdiv.empirical.data.parsers.contract import Extent
from sharpdiv.empirical.data.splits import load_data
from sharpdiv.empirical.data.verifying import verify
from sharpdiv.empirical.errors import InputError
from tests.empirical.data.small import assert_published, put, small
from tests.laws import types_unchecked


@pytest.fixture(autouse=True)
def _registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(DATASETS, "small", small())
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


def test_the_folder_is_that_of_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHARPDIV_DATA", str(tmp_path))
    assert data_folder() == tmp_path
    put(tmp_path)
    assert_published(load_images("small"))
    monkeypatch.setenv("SHARPDIV_DATA", "")
    assert data_folder().name == "sharpdiv"


def test_a_table_of_what_is_here(tmp_path: Path) -> None:
    rows = {row.name: row for row in installed(tmp_path)}
    assert list(rows) == list(DATASETS)
    assert [name for name, row in rows.items() if row.here] == ["digits"]
    assert rows["cifar10"].images == "50000 + 10000 of 3x32x32"
    assert rows["fashion-mnist"].size == 30_878_645  # the four files as Zalando publishes them
    raw = put(tmp_path)
    assert {row.name: row for row in installed(tmp_path)}["small"].here
    load_images("small", tmp_path)
    raw.unlink()
    row = {row.name: row for row in installed(tmp_path)}["small"]
    assert (row.here, row.where) == (True, tmp_path / "small")


@pytest.mark.parametrize("name", DATASETS)
def test_the_registry_is_whole(name: str) -> None:
    dataset = DATASETS[name]
    assert dataset.name == name
    assert dataset.licence
    assert dataset.citation
    assert dataset.title
    assert bool(dataset.files) == (name != "digits")
    for file in dataset.files:
        assert (file.url is None) == (name == "cifar10-jpeg")
        assert file.url is None or file.url.endswith(f"/{file.name}")
        for checksum, size in file.editions.items():
            kind, digits = checksum.split(":")
            assert len(digits) == {"md5": 32, "sha256": 64}[kind]
            assert set(digits) <= set("0123456789abcdef")
            assert size > 0


def test_the_digits_need_no_files(tmp_path: Path) -> None:
    images = load_images("digits", tmp_path)
    assert images.train_images.shape == (1797, 1, 16, 16)
    assert (len(images.test_labels), images.classes, len(images.source_sha256)) == (0, 10, 64)
    assert verify("digits", tmp_path) == []
    row = next(row for row in installed(tmp_path) if row.name == "digits")
    assert (row.here, row.where, row.size, row.images) == (True, None, 0, "1797 of 1x16x16")
    with pytest.raises(
        InputError, match="digits is here already, bundled with scikit-learn: there is nothing to fetch"
    ):
        fetch("digits", folder=tmp_path)
    assert not list(tmp_path.iterdir())


def test_another_data_set_is_an_entry_of_the_registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is loaded, split and normalized by what its record says."""
    statistics = ((0.1, 0.2, 0.3), (0.4, 0.5, 0.6))
    monkeypatch.setitem(DATASETS, "small", replace(small(), statistics=statistics))
    monkeypatch.setenv("SHARPDIV_DATA", str(tmp_path))
    put(tmp_path)
    split = load_data("small", 30, 5)
    assert (len(split.train_labels), len(split.validation_labels), len(split.test_labels)) == (30, 5, 10)
    assert split.mean.tolist() == pytest.approx(statistics[0])
    assert split.std.tolist() == pytest.approx(statistics[1])


def made_up(images: np.ndarray | None = None, labels: np.ndarray | None = None) -> Dataset:
    """A data set without files, whose code gives these training arrays."""
    good = np.arange(2 * 64, dtype=np.uint8).reshape(2, 1, 8, 8), np.array([0, 1])
    part = good[0] if images is None else images, good[1] if labels is None else labels
    extent = Extent(train=2, test=2, channels=1, size=8, classes=2)
    return Dataset("made-up", "made up", (), extent, lambda *_: (part, good), "none", "none")


@pytest.mark.parametrize(
    ("part", "message"),
    [
        ({"images": np.zeros((2, 1, 8, 8))}, "training images of float64, expected uint8"),
        ({"images": np.zeros((2, 8, 8, 1), np.uint8)}, r"training images \(2, 8, 8, 1\), expected \(2, 1, 8, 8\)"),
        ({"labels": np.array([0, 1], np.uint8)}, "training labels of uint8, expected int64"),
        ({"labels": np.array([1, 2])}, "every class from 0 to 1"),
    ],
)
def test_arrays_that_code_makes_are_checked_as_files_are(part: dict[str, np.ndarray], message: str) -> None:
    with (
        types_unchecked(),
        pytest.raises(InputError, match=f"data set made-up does not hold what it should.*{message}"),
    ):
        decode(made_up(**part), {}, lambda *_: None)


def test_arrays_that_code_makes_are_told_apart_by_what_they_hold() -> None:
    first, again = (decode(made_up(), {}, lambda *_: None).source_sha256 for _ in range(2))
    other = decode(made_up(np.ones((2, 1, 8, 8), np.uint8)), {}, lambda *_: None).source_sha256
    assert first == again != other
