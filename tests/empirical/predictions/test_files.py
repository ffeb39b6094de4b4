"""Files of predictions in every format: the same predictions come back, and what is wrong is one line that names the file."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from sharpdiv.empirical.errors import InputError
from sharpdiv.empirical.predictions.files import load_ensembles, load_predictions
from sharpdiv.empirical.predictions.metrics import diversity
from sharpdiv.empirical.predictions.tables import read_csv
from tests.empirical.predictions.made_up import predictions

PROBS, LABELS = predictions(5, 3, 6, 4)
NAMES = ("cat", "dog", "emu", "fox")

Write = Callable[[Path, np.ndarray, np.ndarray], None]


def csv(header: bool, delimiter: str = ",") -> Write:
    """A member's table; with a header it holds the labels, between the classes."""

    def write(path: Path, probs: np.ndarray, labels: np.ndarray) -> None:
        columns = [*probs.T[:2], labels, *probs.T[2:]] if header else list(probs.T)
        lines = [delimiter.join(map(repr, map(float, row))) for row in zip(*columns, strict=True)]
        names = [delimiter.join([*NAMES[:2], " Label", *NAMES[2:]])] if header else []
        path.with_suffix(".csv").write_text("\n".join([*names, *lines]) + "\n", encoding="utf-8-sig")

    return write


def parquet(path: Path, probs: np.ndarray, labels: np.ndarray) -> None:
    pyarrow = pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    columns = dict(zip(NAMES, probs.T, strict=True)) | {"label": labels}
    from pyarrow import parquet

    parquet.write_table(pyarrow.table(columns), path.with_suffix(".parquet"))


OF_MEMBERS: dict[str, Write] = {
    "npz": lambda path, p, y: np.savez(path.with_suffix(".npz"), probs=p, labels=y),
    "csv with a header": csv(header=True),
    "parquet": parquet,
    "pt": lambda path, p, y: torch.save(
        {"probs": torch.as_tensor(p), "labels": torch.as_tensor(y), "epoch": 3}, path.with_suffix(".pt")
    ),
}
WITHOUT_LABELS: dict[str, Write] = {
    "npy": lambda path, p, _: np.save(path.with_suffix(".npy"), p),
    "csv without a header": csv(header=False),
    "csv of savetxt": lambda path, p, _: np.savetxt(
        path.with_suffix(".csv"), p, delimiter=",", header=",".join(NAMES), fmt="%.17g"
    ),
    "pt of a tensor": lambda path, p, _: torch.save(torch.as_tensor(p), path.with_suffix(".pth")),
}
LABEL_FILES: dict[str, Callable[[Path], None]] = {
    "labels.npy": lambda path: np.save(path, LABELS.numpy().astype(np.uint8)),
    "labels.txt": lambda path: np.savetxt(path, LABELS.numpy(), fmt="%d"),
    "labels.csv": lambda path: np.savetxt(path, LABELS.numpy(), fmt="%d"),
    "named.csv": lambda path: np.savetxt(path, LABELS.numpy(), fmt="%d", header="label", comments=""),
    "labels.pt": lambda path: torch.save(LABELS, path),
    "dict.pt": lambda path: torch.save({"labels": LABELS}, path),
    "labels.npz": lambda path: np.savez(path, labels=LABELS),
    "ensemble.npz": lambda path: np.savez(path, labels=LABELS, probs=PROBS),
}


def written(folder: Path, write: Write) -> list[Path]:
    for i, member in enumerate(PROBS.numpy()):
        write(folder / f"member{i}", member, LABELS.numpy())
    return sorted(folder.glob("member*"))


@pytest.mark.parametrize("write", OF_MEMBERS.values(), ids=OF_MEMBERS)
def test_a_file_for_each_member(write: Write, tmp_path: Path) -> None:
    probs, labels = load_predictions(written(tmp_path, write))
    assert torch.equal(probs, PROBS)
    assert torch.equal(labels, LABELS)


@pytest.mark.parametrize("labels", LABEL_FILES)
@pytest.mark.parametrize("write", WITHOUT_LABELS.values(), ids=WITHOUT_LABELS)
def test_labels_in_a_file_of_their_own(write: Write, labels: str, tmp_path: Path) -> None:
    LABEL_FILES[labels](tmp_path / labels)
    probs, found = load_predictions(written(tmp_path, write), labels=tmp_path / labels)
    assert torch.equal(probs, PROBS)
    assert torch.equal(found, LABELS)


def test_a_file_of_an_ensemble(tmp_path: Path) -> None:
    np.save(tmp_path / "probs.npy", PROBS.numpy())
    torch.save({"logits": PROBS.log() + 7, "labels": LABELS}, tmp_path / "logits.pt")
    np.save(tmp_path / "labels.npy", LABELS.numpy())
    probs, labels = load_predictions(str(tmp_path / "probs.npy"), labels=str(tmp_path / "labels.npy"))
    assert torch.equal(probs, PROBS)
    assert torch.equal(labels, LABELS)
    # Called logits, they are.
    for logits in (False, True):
        torch.testing.assert_close(load_predictions(tmp_path / "logits.pt", logits=logits)[0], PROBS)
    several = load_ensembles([tmp_path / "probs.npy", tmp_path / "logits.pt"], labels=tmp_path / "labels.npy")
    assert [ensemble.paths for ensemble in several] == [(tmp_path / "probs.npy",), (tmp_path / "logits.pt",)]
    torch.testing.assert_close(several[0].probs, several[1].probs)
    with pytest.raises(InputError, match=r"logits\.pt holds another ensemble than"):
        load_predictions([tmp_path / "probs.npy", tmp_path / "logits.pt"], labels=tmp_path / "labels.npy")


def test_a_file_with_probs_and_logits(tmp_path: Path) -> None:
    """As runs write them; --logits asks for the logits."""
    np.savez(tmp_path / "both.npz", probs=PROBS, logits=torch.zeros_like(PROBS), labels=LABELS)
    assert torch.equal(load_predictions(tmp_path / "both.npz")[0], PROBS)
    assert torch.equal(load_predictions(tmp_path / "both.npz", logits=True)[0], torch.full_like(PROBS, 0.25))


def test_half_precision_in_files_is_half_precision(tmp_path: Path) -> None:
    """bfloat16 and float16 keep their type until their sums have been divided out."""
    torch.save({"probs": PROBS.bfloat16(), "labels": LABELS}, tmp_path / "b.pt")
    np.savez(tmp_path / "f.npz", probs=PROBS.numpy().astype(np.float16), labels=LABELS)
    for name, given in (("b.pt", PROBS.bfloat16()), ("f.npz", PROBS.half())):
        assert diversity(*load_predictions(tmp_path / name)) == diversity(given, LABELS)


def table(text: str) -> Callable[[Path], object]:
    return lambda path: path.with_suffix(".csv").write_text(text)


def array(name: str, **arrays: Any) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        if name == ".npz":
            np.savez(path.with_suffix(name), **arrays)
        elif name == ".npy":
            np.save(path.with_suffix(name), arrays["a"])
        else:
            torch.save(arrays.get("a", arrays), path.with_suffix(name))

    return write


BAD: dict[str, tuple[Callable[[Path], object], str]] = {
    "empty text": (table(""), "bad.csv holds no rows"),
    "only a header": (table("a,b,label\n"), "bad.csv holds no rows"),
    "a word": (table("0.5,0.5\n0.5,half\n"), "bad.csv must hold numbers and nothing else.*'half'"),
    "a hole": (table("0.5,0.5\n,1\n"), "bad.csv must hold numbers and nothing else"),
    "short row": (table("0.5,0.5\n1\n"), "bad.csv must hold numbers and nothing else, rows of one length"),
    "names missing": (table("a,b\n.5,.3,.2\n"), "2 names of columns for 3 columns"),
    "semicolons": (table("0,5;0,5\n"), "commas between columns and points in numbers, got '0,5;0,5'"),
    "tabs": (table("a\tb\n0.5\t0.5\n"), "commas between columns and points in numbers"),
    "a row for each member and sample": (
        table("member,sample,a,b\n0,0,.5,.5\n"),
        "column 'member' is no class.*a file for each",
    ),
    "rows numbered with a name": (table(",a,b\n0,.5,.5\n"), "column '' numbers the rows.*index=False"),
    "rows numbered without": (table("0,.5,.5\n1,.5,.5\n2,.5,.5\n"), "first column numbers the rows"),
    "two columns of labels": (table("a,b,label,labels\n.5,.5,1,1\n"), "2 columns of labels"),
    "labels that are not whole": (table("a,b,label\n.5,.5,0.5\n"), "'label' must hold whole numbers, got 0.5"),
    "labels that are not there": (table("a,b,label\n.5,.5,nan\n"), "'label' must hold whole numbers"),
    "labels alone": (table("label\n1\n"), "bad.csv has no array 'probs'"),
    "one class": (table("a,label\n1,0\n"), "must have shape"),
    "no text": (lambda p: p.with_suffix(".csv").write_bytes(b"\xff\xfe\x00"), "bad.csv"),
    "nan": (table("nan,1\n1,0\n"), "bad.csv: probs must be finite"),
    "logits": (table("-1,2\n1,0\n"), "bad.csv: probs must be non-negative; if these are logits, say --logits"),
    "sums": (table("1,1\n1,0\n"), "bad.csv: probs must sum to one"),
    "other samples": (table("1,0\n1,0\n"), r"\(2, 2\) and .*good.csv \(6, 4\); members must be of the same"),
    "other labels": (
        table("cat,dog,emu,fox,label\n" + "1,0,0,0,0\n" * 6),
        "bad.csv has other labels than .*good.csv",
    ),
    "other classes": (
        table("cat,emu,dog,fox,label\n" + "1,0,0,0,0\n" * 6),
        "bad.csv has class 'emu' where .*good.csv has 'dog'; write the columns of all members in one order",
    ),
    "labels by another name": (
        table("a,b,Target\n.5,.5,1\n"),
        "column 'Target' seems to be that of labels; call it label",
    ),
    "whole ensemble": (array(".npy", a=PROBS), "bad.npy holds an ensemble .*good.csv a member"),
    "pickled array": (array(".npy", a=np.array([None])), "bad.npy is not a readable .npy"),
    "whole numbers": (array(".npy", a=np.ones((6, 4), int)), "bad.npy: probs must be floating, got torch.int64"),
    "words": (array(".npy", a=np.array([["a"]])), "bad.npy: the array must be real numbers, got <U1"),
    "cut off": (lambda p: p.with_suffix(".npy").write_bytes(b"\x93NUMPY"), "not a readable .npy"),
    "object": (array(".pt", a={"probs": Path("x")}), "bad.pt is not a readable .pt file of nothing but tensors"),
    "other names": (array(".pt", weights=PROBS), "its dict has weights"),
    "empty dict": (array(".pt", a={}), "its dict has nothing"),
    "sparse": (array(".pt", a=PROBS[0].to_sparse()), "must be dense"),
    "not a tensor": (array(".pt", a="probs"), "bad.pt: the array must be real numbers, got <U5"),
    "garbage": (lambda p: p.with_suffix(".pt").write_bytes(b"garbage"), "not a readable .pt"),
    "folder": (lambda p: p.with_suffix(".npz").mkdir(), "bad.npz cannot be read"),
    "one-hot labels": (
        array(".npz", probs=PROBS[0], labels=np.eye(4, dtype=int)[LABELS]),
        r"bad.npz: labels must have shape \(samples,\), got \(6, 4\)",
    ),
    "float labels": (array(".npz", probs=PROBS[0], labels=LABELS.double()), "labels must be integers"),
    "names of nothing": (array(".npz", p=PROBS[0]), "bad.npz has no array 'probs'"),
}


@pytest.mark.parametrize(("write", "message"), BAD.values(), ids=BAD)
def test_a_bad_file_beside_a_good_one_is_named(write: Callable[[Path], object], message: str, tmp_path: Path) -> None:
    csv(header=True)(tmp_path / "good", PROBS[0].numpy(), LABELS.numpy())
    write(tmp_path / "bad")
    (bad,) = tmp_path.glob("bad.*")
    with pytest.raises(InputError, match=message) as caught:
        load_predictions([tmp_path / "good.csv", bad])
    assert "bad." in str(caught.value)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("labels.csv", "1,0\n", "2 columns and none called label"),
        ("labels.csv", "0.5\n", "whole numbers, got 0.5"),
        ("labels.txt", "one\n", "must hold numbers and nothing else"),
        ("labels.txt", "1 0\n", "one label in each line"),
        ("labels.txt", "\n", "holds no rows"),
        ("labels.toml", "1", "got the ending '.toml'"),
        ("labels.txt", "0\n" * 6, "has other labels than .*labels.txt"),
    ],
)
def test_a_bad_file_of_labels_is_named(name: str, text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=message) as caught:
        load_predictions(written(tmp_path, OF_MEMBERS["npz"]), labels=tmp_path / name)
    assert name in str(caught.value)


def test_a_single_member_and_none_are_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "one.npy", PROBS[0].numpy())
    with pytest.raises(InputError, match=r"one.npy holds a single member .*\(6, 4\); give a file of each member"):
        load_predictions(tmp_path / "one.npy")
    with pytest.raises(InputError, match="no predictions"):
        load_predictions([])
    np.save(tmp_path / "two.npy", PROBS[1].numpy())
    with pytest.raises(InputError, match=r"one\.npy has no array 'labels'.*--labels"):
        load_predictions([tmp_path / "one.npy", tmp_path / "two.npy"])


def test_parquet_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)  # as if it were not installed
    with pytest.raises(InputError, match=r"a.parquet: Parquet files need pyarrow, .*: pip install pyarrow"):
        load_predictions(tmp_path / "a.parquet")


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"probs": [[0.5, 0.5]]}, "column 'probs' must hold numbers"),
        ({"a": [0.5], "__index_level_0__": [1]}, "numbers the rows"),
        (None, "is not a readable Parquet file"),
    ],
)
def test_bad_parquet_is_named(columns: dict[str, list[Any]] | None, message: str, tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    from pyarrow import parquet

    if columns is None:
        (tmp_path / "a.parquet").write_bytes(b"PAR1 no")
    else:
        parquet.write_table(pyarrow.table(columns), tmp_path / "a.parquet")
    with pytest.raises(InputError, match=message):
        load_predictions(tmp_path / "a.parquet")
    with pytest.raises(InputError, match=r"none\.parquet does not exist"):
        load_predictions(tmp_path / "none.parquet")


def test_columns_named_by_numbers_are_in_their_order(tmp_path: Path) -> None:
    """Label 0 would be compared with the column of class 10."""
    path = tmp_path / "member.csv"
    path.write_text("10,2,1,0,label\n0.1,0.2,0.3,0.4,0\n")
    with pytest.raises(InputError, match=r"columns named by numbers must be 0, 1, 2, .* in order, got 10, 2, 1, 0"):
        read_csv(path)
    path.write_text("0,1,2,label\n0.2,0.3,0.5,1\n")
    values = read_csv(path).values
    assert values is not None
    assert values.tolist() == [[0.2, 0.3, 0.5]]


@pytest.mark.parametrize(
    ("text", "ambiguous"),
    [
        ("0,1,2\n0.2,0.3,0.5\n0.1,0.1,0.8\n", True),
        ("0,1,2\n5,6,7\n", True),  # logits, or names above a sample
        ("0,1,2\n", True),
        ("2,0,1\n0.2,0.3,0.5\n", True),
        ("0,1\n0.2,0.8\n", True),
        (" 0, 1\n0.2,0.8\n", True),
        ("0,1\n1,0\n0,1\n", False),  # sure of class 1
        ("0,1\n", False),
        ("0.0,1.0\n0.2,0.8\n", False),
        ("3,3,1\n0.5,2.5,1.5\n", False),  # no two columns have one name
        ("7\n3\n", False),
    ],
)
def test_a_first_row_that_may_name_columns_is_refused(text: str, ambiguous: bool, tmp_path: Path) -> None:
    path = tmp_path / "member.csv"
    path.write_text(text)
    if ambiguous:
        with pytest.raises(
            InputError, match=r"the first row, .* may name columns or be a sample; write it with decimal"
        ):
            read_csv(path)
    else:
        values = read_csv(path).values
        assert values is not None
        assert len(values) == text.count("\n")
