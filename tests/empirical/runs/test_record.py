"""Records of measured runs: what was kept comes back, as precisely as stated, and damage never passes for content."""

import random
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import strategies as st

from sharpdiv.empirical.errors import StoreError
from sharpdiv.empirical.runs.record import SCHEMA, RunRecord, load_record, save_record
from tests.laws import Mutation, law

ARRAYS = ("labels", "predicted", "predicted_ensemble", "probs", "corrupted_wrong", "corrupted_nll")


@pytest.fixture(scope="module", autouse=True)
def _folder(tmp_path_factory: pytest.TempPathFactory) -> None:
    global FOLDER
    FOLDER = tmp_path_factory.mktemp("records")


FOLDER = Path()


def record(seed: int, classes: int, sharpness: float = 1.0, corrupted: int = 9, members: int = 2) -> RunRecord:
    """Arbitrary predictions on 40 images, of which 12 have probabilities; the larger the sharpness, the surer they are."""
    rng = np.random.default_rng(seed)
    logits = sharpness * rng.normal(size=(members, 12, classes))
    probs = np.exp(logits - logits.max(axis=2, keepdims=True))
    return RunRecord(
        {"config": {"seed": seed}, "metrics": {"accuracy": 0.1 + seed}, "validation": None},
        rng.integers(classes, size=40),
        rng.integers(classes, size=(members, 40)),
        rng.integers(classes, size=40),
        probs / probs.sum(axis=2, keepdims=True),
        rng.random((members + 1, 70, corrupted)) < 0.3,
        rng.exponential(size=(members + 1, corrupted)),
    )


def same(first: RunRecord, second: RunRecord) -> bool:
    equal = (np.array_equal(getattr(first, name), getattr(second, name)) for name in ARRAYS)
    return first.summary == second.summary and all(equal)


@law(
    Mutation("steps of 1/32", "sharpdiv.empirical.runs.record.np.rint", lambda f: lambda x: 2 * f(x / 2)),
    Mutation(
        "classes in a byte", "sharpdiv.empirical.runs.record._small", lambda _: lambda values: values.astype(np.uint8)
    ),
    Mutation(
        "bits from the other end",
        "sharpdiv.empirical.runs.record.np.packbits",
        lambda f: lambda a, axis: f(a, axis=axis, bitorder="little"),
    ),
    examples=25,
    seed=st.integers(0, 1000),
    classes=st.sampled_from([2, 10, 256, 300]),
    sharpness=st.sampled_from([0.1, 1.0, 10.0, 40.0]),
    corrupted=st.integers(1, 17),
)
def test_a_record_comes_back(seed: int, classes: int, sharpness: float, corrupted: int) -> None:
    """Classes and errors exactly, losses in half precision, log-probabilities to a step of 1/64."""
    kept = record(seed, classes, sharpness, corrupted)
    save_record(FOLDER / "record.npz", kept)
    found = load_record(FOLDER / "record.npz")
    assert found.summary == kept.summary
    for name in ("labels", "predicted", "predicted_ensemble", "corrupted_wrong"):
        assert np.array_equal(getattr(found, name), getattr(kept, name))
    assert np.array_equal(found.corrupted_nll, kept.corrupted_nll.astype(np.float16))
    assert np.allclose(found.probs.sum(axis=2), 1, rtol=0, atol=1e-12)
    # Half a step of rounding, and as much when all classes are divided by their sum.
    large = kept.probs > np.exp(-31)
    assert np.abs(np.log(found.probs[large]) - np.log(kept.probs[large])).max() <= 1 / 64 + 1e-9
    assert found.probs[~large].max(initial=0) <= np.exp(-30)


def test_the_last_of_many_blocks_is_the_last() -> None:
    """Of ResNet-34's sixteen: by name the tenth would be."""
    kept = record(0, 10)
    kept.summary["cka"] = {f"blocks.{block}": float(block) for block in range(16)}
    assert kept.cka() == 15.0


def test_a_record_is_small_numpy_alone_and_the_same_every_time(tmp_path: Path) -> None:
    kept = record(0, 10)
    save_record(tmp_path / "a.npz", kept)
    save_record(tmp_path / "b.npz", kept)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    assert not list(tmp_path.glob(".*"))
    with zipfile.ZipFile(tmp_path / "a.npz") as archive:
        assert {entry.date_time for entry in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}  # not the hour of writing
    with np.load(tmp_path / "a.npz", allow_pickle=False) as stored:
        assert int(stored["schema"]) == SCHEMA
        assert stored["labels"].dtype == stored["predicted"].dtype == np.uint8
    save_record(tmp_path / "c.npz", load_record(tmp_path / "a.npz"))  # what was rounded is not rounded again
    again, once = load_record(tmp_path / "c.npz"), load_record(tmp_path / "a.npz")
    assert np.abs(np.log(again.probs) - np.log(once.probs)).max() <= 1 / 64


# NumPy leaves a file open whose archive it cannot read.
@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")
def test_a_truncated_record_is_named(tmp_path: Path) -> None:
    path = tmp_path / "record.npz"
    save_record(path, record(1, 10))
    content = path.read_bytes()
    for length in range(0, len(content), 37):
        path.write_bytes(content[:length])
        with pytest.raises(StoreError, match=r"record\.npz is not a whole record"):
            load_record(path)


def test_predictions_are_no_record_and_nobody_is_told_to_delete_them(tmp_path: Path) -> None:
    np.savez(tmp_path / "mine.npz", probs=np.ones((1, 1, 1)))
    with pytest.raises(StoreError, match=r"mine\.npz is not the record of a run, .* sharpdiv metrics reads$"):
        load_record(tmp_path / "mine.npz")


# NumPy leaves a file open whose archive it cannot read.
@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")
def test_a_flipped_bit_never_changes_what_is_read(tmp_path: Path) -> None:
    """It is refused, or was in a part of the archive that means nothing."""
    path, kept = tmp_path / "record.npz", record(2, 10)
    save_record(path, kept)
    content, good = path.read_bytes(), load_record(path)
    refused = 0
    for place in random.Random(0).sample(range(8 * len(content)), 400):  # noqa: S311
        damaged = bytearray(content)
        damaged[place // 8] ^= 1 << place % 8
        path.write_bytes(damaged)
        try:
            found = load_record(path)
        except StoreError:
            refused += 1
        else:
            assert same(found, good)
    assert refused > 200


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"schema": np.array(SCHEMA + 1)}, "has layout 2, this version reads 1"),
        ({"schema": np.array("x")}, "not a whole record"),
        ({"summary": np.array("{")}, "not a whole record"),
        ({"labels": None}, "not a whole record"),
        ({"summary": np.array(None)}, "not a whole record"),
    ],
)
def test_what_is_no_record_of_this_version_is_refused(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    path = tmp_path / "record.npz"
    save_record(path, record(3, 10))
    with np.load(path) as stored:
        arrays = {name: stored[name] for name in stored.files} | change
    np.savez(path, **{name: value for name, value in arrays.items() if value is not None})
    with pytest.raises(StoreError, match=message):
        load_record(path)
    with pytest.raises(StoreError, match="does not exist"):
        load_record(tmp_path / "none.npz")


def test_numbers_that_are_not_finite_are_not_kept(tmp_path: Path) -> None:
    kept = record(4, 10)
    kept.summary["metrics"]["accuracy"] = float("nan")
    with pytest.raises(ValueError, match="Out of range float"):
        save_record(tmp_path / "record.npz", kept)
    assert not list(tmp_path.iterdir())
