"""Two thousand malformed inputs: predictions that are damaged, wrong or forged end in an InputError, never in a number."""

import io
import math
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import strategies as st

from sharpdiv.empirical.errors import InputError
from sharpdiv.empirical.predictions import metrics
from sharpdiv.empirical.predictions.files import load_predictions
from tests.laws import Mutation, law

PROBS = np.random.default_rng(0).dirichlet(np.ones(4), size=(2, 3)).astype(np.float32)
LABELS = np.array([0, 3, 1])


def saved(save: Callable[..., None], **arrays: Any) -> bytes:
    content = io.BytesIO()
    save(content, **arrays)
    return content.getvalue()


FILES = {f.__name__: saved(f, probs=PROBS, labels=LABELS) for f in (np.savez, np.savez_compressed)}


def is_refused(content: bytes) -> bool:
    """Whether a file is an InputError (True), or gives finite metrics of the original predictions (False); all else fails."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "predictions.npz"
        path.write_bytes(content)
        try:
            probs, labels = load_predictions(path)
            values = metrics.diversity(probs, labels)
        except InputError:
            return True
        except Exception as error:
            raise AssertionError(f"not a typed error: {error!r}") from error
    numbers = [v for value in values.values() for v in (value if isinstance(value, list) else [value])]
    assert all(v is None or math.isfinite(v) for v in numbers)
    assert torch.equal(probs, torch.as_tensor(PROBS).double())
    assert torch.equal(labels, torch.as_tensor(LABELS))
    return False


def flip(content: bytes, at: int, size: int, _fill: bytes) -> bytes:
    return content[:at] + bytes([content[at] ^ 1 << size % 8]) + content[at + 1 :]


EDITS: dict[str, Callable[[bytes, int, int, bytes], bytes]] = {
    "flip one bit": flip,
    "cut the end": lambda content, at, _size, _fill: content[:at],
    "cut the start": lambda content, at, _size, _fill: content[at:],
    "cut out": lambda content, at, size, _fill: content[:at] + content[at + size :],
    "insert": lambda content, at, _size, fill: content[:at] + fill + content[at:],
    "overwrite": lambda content, at, _size, fill: content[:at] + fill + content[at + len(fill) :],
    "zero": lambda content, at, size, _fill: content[:at] + bytes(size) + content[at + size :],
    "repeat": lambda content, at, size, _fill: content[: at + size] + content[at:],
    "replace": lambda _content, _at, _size, fill: fill,
}


@pytest.mark.slow
@law(
    Mutation("checksums not compared", "zipfile.ZipExtFile._update_crc", lambda _: lambda self, data: None),
    Mutation("damage not caught", "sharpdiv.empirical.predictions.readers.InputError", lambda _: RuntimeError),
    examples=1200,
    file=st.sampled_from(sorted(FILES)),
    edits=st.lists(
        st.tuples(
            # Mostly single bits: what escapes every other check.
            st.sampled_from(["flip one bit"] * 8 + sorted(EDITS)),
            st.integers(0, 2000),
            st.integers(0, 40),
            st.binary(max_size=40),
        ),
        min_size=1,
        max_size=3,
    ),
)
def test_damaged_bytes(file: str, edits: list[tuple[str, int, int, bytes]]) -> None:
    content = FILES[file]
    for name, at, size, fill in edits:
        content = EDITS[name](content, at % len(content), size, fill) if content else fill
    is_refused(content)


def entry(value: float) -> Callable[..., dict[str, Any]]:
    """A probability replaced."""

    def replace(probs: np.ndarray, labels: np.ndarray, at: int) -> dict[str, Any]:
        probs = probs.copy()
        probs.flat[at % probs.size] = value
        return {"probs": probs, "labels": labels}

    return replace


def label(change: Callable[[np.ndarray], int]) -> Callable[..., dict[str, Any]]:
    """A label replaced."""

    def replace(probs: np.ndarray, labels: np.ndarray, at: int) -> dict[str, Any]:
        labels = labels.copy()
        labels[at % len(labels)] = change(probs)
        return {"probs": probs, "labels": labels}

    return replace


def arrays(change: Callable[[np.ndarray, np.ndarray], tuple[Any, Any]]) -> Callable[..., dict[str, Any]]:
    """Whole arrays replaced."""
    return lambda probs, labels, _at: dict(zip(("probs", "labels"), change(probs, labels), strict=True))


DEFECTS: dict[str, Callable[..., dict[str, Any]]] = {
    "NaN": entry(math.nan),
    "infinity": entry(math.inf),
    "minus infinity": entry(-math.inf),
    "negative": entry(-0.25),
    "too large": entry(1.5),
    "logits": arrays(lambda p, y: (np.log(p), y)),
    "not normalized": arrays(lambda p, y: (1.01 * p, y)),
    "zeros": arrays(lambda p, y: (0 * p, y)),
    "beyond double precision": arrays(lambda p, y: (p * np.longdouble("1e4000"), y)),
    "negative label": label(lambda _: -1),
    "label too large": label(lambda p: p.shape[2]),
    "smallest label": label(lambda _: -(2**63)),
    "unsigned label": arrays(lambda p, y: (p, y.astype(np.uint64) + np.uint64(2**64 - 8))),
    "one member": arrays(lambda p, y: (p[:1], y)),
    "no member": arrays(lambda p, y: (p[:0], y)),
    "no sample": arrays(lambda p, y: (p[:, :0], y[:0])),
    "no class": arrays(lambda p, y: (p[..., :0], y)),
    "one class": arrays(lambda p, y: (np.ones_like(p[..., :1]), 0 * y)),
    "members missing": arrays(lambda p, y: (p[0], y)),
    "an axis too many": arrays(lambda p, y: (p[None], y)),
    "scalar probs": arrays(lambda p, y: (p[0, 0, 0], y)),
    "scalar labels": arrays(lambda p, y: (p, y[0])),
    "label missing": arrays(lambda p, y: (p, y[1:])),
    "label too many": arrays(lambda p, y: (p, np.append(y, 0))),
    "label for each member": arrays(lambda p, y: (p, np.tile(y, (len(p), 1)))),
    "one-hot labels": arrays(lambda p, y: (p, np.eye(p.shape[2], dtype=np.int64)[y])),
    "swapped names": arrays(lambda p, y: (y, p)),
    **{
        f"probs of type {kind}": arrays(lambda p, y, kind=kind: (p.round().astype(kind), y))  # type: ignore[misc]
        for kind in ("int64", "bool", "complex64", "str", "bytes", "object", "datetime64[s]", "timedelta64[s]", "V4")
    },
    **{
        f"labels of type {kind}": arrays(lambda p, y, kind=kind: (p, y.astype(kind)))  # type: ignore[misc]
        for kind in ("float64", "bool", "complex64", "str", "bytes", "object", "datetime64[s]", "timedelta64[s]", "V8")
    },
    "records": arrays(lambda p, y: (p.astype([("p", "f4")]), y)),
    "no probs": lambda _p, y, _at: {"labels": y},
    "no labels": lambda p, _y, _at: {"probs": p},
    "nothing": lambda _p, _y, _at: {},
    "other names": lambda p, y, _at: {"predictions": p, "targets": y},
}


@law(
    Mutation(
        "values not checked",
        "sharpdiv.empirical.predictions.metrics.checked_predictions",
        lambda _: lambda p, y: (p.double(), y.long().clamp(0, 1)),
    ),
    examples=500,
    defect=st.sampled_from(sorted(DEFECTS)),
    seed=st.integers(0, 1000),
    sizes=st.tuples(st.integers(2, 4), st.integers(1, 4), st.integers(2, 4)),
    save=st.sampled_from([np.savez, np.savez_compressed]),
)
def test_wrong_arrays(defect: str, seed: int, sizes: tuple[int, int, int], save: Callable[..., None]) -> None:
    generator = np.random.default_rng(seed)
    probs = generator.dirichlet(np.ones(sizes[2]), size=sizes[:2])
    labels = generator.integers(sizes[2], size=sizes[1])
    assert is_refused(saved(save, **DEFECTS[defect](probs, labels, seed))), defect


def npy(array: np.ndarray, shape: object, descr: str, fortran: object, extra: bytes, version: bytes) -> bytes:
    """An array behind a header that says what it likes."""
    header = f"{{'descr': {descr}, 'fortran_order': {fortran}, 'shape': {shape}, }}".encode() + extra + b"\n"
    return b"\x93NUMPY" + version + len(header).to_bytes(2, "little") + header + array.tobytes()


def forged(array: np.ndarray) -> st.SearchStrategy[bytes]:
    """Headers that lie about an array."""
    axis = st.sampled_from([-1, 0, 1, 2, 3, 4, 24, 10**6, 2**31, 2**62, 2**63, 10**30])
    shape = st.one_of(st.just(array.shape), st.lists(axis, max_size=4).map(tuple), st.sampled_from(["3", "[2]", "x"]))
    kinds = ["f2", "f4", "f8", "f16", "i4", "i8", "u8", "O", "U3", "S4", "M8[s]", "c8", "x", "V0", ""]
    descr = st.sampled_from([repr(array.dtype.str), *[f"'{order}{kind}'" for order in "<>" for kind in kinds]])
    odd = st.sampled_from(["[('a', '<f4')]", "('<f4', (2,))", "None", "1", "(" * 90, "'<f4', 'descr': '<f8'"])
    return st.builds(
        npy,
        st.just(array),
        shape,
        st.one_of(descr, odd),
        st.sampled_from([False, False, False, True, 2, "x"]),
        st.sampled_from([b"", b"", b"", b" " * 9000, b"\0", b"'", b"}", b"#"]),
        st.sampled_from([b"\1\0", b"\1\0", b"\1\0", b"\2\0", b"\3\0", b"\4\0", b"\0\0"]),
    )


def plain(array: np.ndarray, shape: tuple[int, ...]) -> bytes:
    return npy(array, shape, repr(array.dtype.str), False, b"", b"\1\0")


def zipped(probs: bytes, labels: bytes) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("probs.npy", probs)
        archive.writestr("labels.npy", labels)
    return content.getvalue()


@law(
    Mutation(
        "what is behind the end is ignored",
        "sharpdiv.empirical.predictions.readers._array",
        lambda _: lambda stored: np.lib.format.read_array(io.BytesIO(stored)),
    ),
    examples=300,
    files=st.one_of(
        st.tuples(forged(PROBS), st.just(plain(LABELS, (3,)))),
        st.tuples(st.just(plain(PROBS, (2, 3, 4))), forged(LABELS)),
        st.sampled_from([0, 1, 2, 4, 10**9, 10**18]).map(lambda n: (plain(PROBS, (2, n, 4)), plain(LABELS, (n,)))),
        st.tuples(st.binary(max_size=200), st.binary(max_size=200)),
    ),
)
def test_forged_headers(files: tuple[bytes, bytes]) -> None:
    """Archives whose checksums are right, as the lies were there when they were written."""
    is_refused(zipped(*files))


def test_the_originals_are_read() -> None:
    """Otherwise refusing everything would pass."""
    assert not any(is_refused(content) for content in FILES.values())
    assert not is_refused(zipped(plain(PROBS, PROBS.shape), plain(LABELS, LABELS.shape)))
