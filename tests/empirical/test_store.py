"""Files of a run: what was written comes back, and damage is named."""

import errno
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import strategies as st

from sharpdiv.empirical import store
from sharpdiv.empirical.errors import StoreError
from tests.laws import Mutation, law

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**9), 10**9)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
TENSORS = {"a": torch.arange(6.0).reshape(2, 3), "b": torch.tensor([True, False]), "c": torch.tensor(3)}


@pytest.fixture(scope="module", autouse=True)
def _folder(tmp_path_factory: pytest.TempPathFactory) -> None:
    global FOLDER
    FOLDER = tmp_path_factory.mktemp("store")


FOLDER = Path()


@law(
    Mutation(
        "keys sorted away",
        "sharpdiv.empirical.store.json.loads",
        lambda f: lambda t: dict.fromkeys(f(t), 0) | {"sha256": store.digest({})},
    ),
    value=st.dictionaries(st.text().filter(lambda k: k != "sha256"), json_values, min_size=1, max_size=4),
)
def test_json_comes_back(value: dict[str, Any]) -> None:
    path = FOLDER / "value.json"
    store.save_json(path, value)
    try:
        assert store.load_json(path) == value
    except StoreError as error:
        raise AssertionError(str(error)) from error


@law(
    Mutation("no checksum", "sharpdiv.empirical.store._tensor_digest", lambda _: lambda *a: "same"),
    examples=80,
    position=st.floats(0, 1, exclude_max=True),
    bit=st.integers(0, 7),
)
def test_any_flipped_bit_of_tensors_is_found(position: float, bit: int) -> None:
    path = FOLDER / "tensors.safetensors"
    store.save_tensors(path, TENSORS, {"epoch": "3"})
    content = bytearray(path.read_bytes())
    content[int(position * len(content))] ^= 1 << bit
    path.write_bytes(bytes(content))
    found = None
    try:
        found = store.load_tensors(path)
    except StoreError as error:
        assert "tensors.safetensors is damaged" in str(error)  # noqa: PT017
    # A flip may hit the header's padding, which means nothing; then everything is as it was.
    if found is not None:
        assert found[1] == {"epoch": "3"}
        assert all(torch.equal(found[0][name], TENSORS[name]) for name in TENSORS)


@pytest.mark.parametrize("keep", [0, 5, 40, 150])
def test_truncated_files_are_named(tmp_path: Path, keep: int) -> None:
    store.save_tensors(tmp_path / "t.safetensors", TENSORS)
    store.save_json(tmp_path / "j.json", {"numbers": list(range(100))})
    for name, load in (("t.safetensors", store.load_tensors), ("j.json", store.load_json)):
        path = tmp_path / name
        path.write_bytes(path.read_bytes()[:keep])
        with pytest.raises(StoreError, match=f"{name} is damaged"):
            load(path)


def test_changed_numbers_are_found(tmp_path: Path) -> None:
    path = tmp_path / "j.json"
    store.save_json(path, {"accuracy": 0.91})
    path.write_text(path.read_text().replace("0.91", "0.97"))
    with pytest.raises(StoreError, match="does not match its checksum"):
        store.load_json(path)
    path.write_text("[1, 2]")
    with pytest.raises(StoreError, match="list"):
        store.load_json(path)
    path.write_text("{}")
    with pytest.raises(StoreError, match="no checksum"):
        store.load_json(path)


def test_a_failed_write_leaves_the_old_file_and_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "j.json"
    store.save_json(path, {"x": 1})

    def disk_full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("sharpdiv.empirical.atomic.os.fsync", disk_full)
    with pytest.raises(OSError, match="No space"):
        store.save_json(path, {"x": 2})
    assert store.load_json(path) == {"x": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["j.json"]
