"""Tables of predictions: one row for each sample, one column for each class, optionally a column of labels."""

import csv
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from sharpdiv.empirical.errors import InputError

__all__ = ["Columns", "read_csv", "read_parquet", "read_text", "whole"]

_LABELS = {"label", "labels"}
_LIKE_LABELS = {"target", "targets", "y"}  # or names of classes, whose numbers are not all whole
_LONG = {"member", "members", "sample", "samples"}  # other words may be names of classes
_INDICES = {"", "index", "unnamed: 0", "__index_level_0__"}
_EXACT = 2**53  # whole numbers that float64 tells apart


@dataclass(frozen=True)
class Columns:
    """What a table holds.

    Example: see ``read_csv``.
    """

    values: Float[np.ndarray, "samples classes"] | None
    """the columns of classes; None if there are none"""
    labels: Int[np.ndarray, " samples"] | None
    """the column ``label``; None if there is none"""
    names: tuple[str, ...] = ()
    """of the columns of classes, if the table has any"""


def read_csv(path: Path) -> Columns:
    r"""Read a table with or without a header; a column ``label`` needs one.

    A first row of whole numbers that may be names of columns, as pandas writes where there are none, is refused.

    Args:
        path: text with commas between columns.

    Returns:
        Its columns.

    Raises:
        InputError: if a cell is no number, rows differ in length, a column numbers the rows, or it cannot be told whether the
            first row names columns.

    Examples:
        >>> import tempfile
        >>> from sharpdiv.empirical.predictions.tables import read_csv
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = (Path(folder) / "member.csv").write_text("label,cat,dog\n1,0.25,0.75\n")
        ...     columns = read_csv(Path(folder) / "member.csv")
        >>> columns.values, columns.labels
        (array([[0.25, 0.75]]), array([1]))
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.reader(file)
            first, second = next(rows, []), next(rows, [])
        names = [cell.strip() for cell in first]
        names[:1] = [name.removeprefix("#").strip() for name in names[:1]]  # as np.savetxt writes a header
        if any(mark in name for name in names for mark in ";\t"):
            raise InputError(
                f"{path} must have commas between columns and points in numbers, got {','.join(first)[:60]!r}"
            )
        header = not all(map(_is_number, first))
        _refuse_numbers_as_names(path, first, second)
        table = _numbers(path, ",", skip=int(header))
    except (csv.Error, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not a readable table of text ({error})") from error
    if header and len(names) != table.shape[1]:
        raise InputError(f"{path} has {len(names)} names of columns for {table.shape[1]} columns")
    return _columns(path, names if header else None, list(table.T))


def read_text(path: Path) -> Columns:
    r"""Read labels, one in each line.

    Args:
        path: text with a whole number in each line.

    Returns:
        The labels.

    Raises:
        InputError: if a line is no whole number.

    Examples:
        >>> import tempfile
        >>> from sharpdiv.empirical.predictions.tables import read_text
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = (Path(folder) / "labels.txt").write_text("3\n0\n")
        ...     read_text(Path(folder) / "labels.txt").labels
        array([3, 0])
    """
    table = _numbers(path, None, skip=0)
    if table.shape[1] != 1:
        raise InputError(f"{path} must hold one label in each line, got {table.shape[1]} numbers in a line")
    return Columns(None, whole(path, "label", table[:, 0]))


def read_parquet(path: Path) -> Columns:
    """Read a table as ``read_csv`` does; needs pyarrow.

    Args:
        path: Parquet file, as pandas and polars write it.

    Returns:
        Its columns, in the type they are stored in.

    Raises:
        InputError: if pyarrow is missing, and as ``read_csv``.

    Examples:
        >>> from sharpdiv.empirical.predictions.tables import read_parquet
        >>> read_parquet(Path("member.parquet")).labels  # doctest: +SKIP
        array([3, 0])
    """
    try:
        from pyarrow import parquet
    except ModuleNotFoundError:
        raise InputError(f"{path}: Parquet files need pyarrow, which is not installed: pip install pyarrow") from None
    with path.open("rb") as file:
        try:
            table = parquet.read_table(file)
        except Exception as error:  # of several kinds, pyarrow's own
            raise InputError(f"{path} is not a readable Parquet file ({error})") from error
    arrays = [np.asarray(column.to_numpy()) for column in table.columns]
    for name, array in zip(table.column_names, arrays, strict=True):
        if array.dtype.kind not in "iuf":
            raise InputError(f"{path}: column {name!r} must hold numbers, got {array.dtype}")
    if not arrays or not len(table):
        raise InputError(f"{path} holds no rows")
    return _columns(path, table.column_names, arrays)


def whole(path: Path, name: str, column: np.ndarray) -> Int[np.ndarray, " samples"]:
    """Labels, which a table does not tell from other numbers.

    Args:
        path: file they are in.
        name: name of their column.
        column: numbers.

    Returns:
        The same numbers in int64.

    Raises:
        InputError: if one is not whole.

    Examples:
        >>> from sharpdiv.empirical.predictions.tables import whole
        >>> whole(Path("labels.csv"), "label", np.array([3.0, 0.0]))
        array([3, 0])
    """
    if column.dtype.kind == "f" and not (np.abs(column) < _EXACT).all():
        raise InputError(f"{path}: column {name!r} must hold whole numbers, got what is none or too large")
    if (wrong := column[column != np.floor(column)]).size:
        raise InputError(f"{path}: column {name!r} must hold whole numbers, got {wrong[0]}")
    return column.astype(np.int64)


def _refuse_numbers_as_names(path: Path, first: list[str], second: list[str]) -> None:
    """No row of probabilities is 0, 1, 2; and whole numbers in a row of their own may be names, or a row of logits."""
    names = [cell.strip() for cell in first]
    if len(names) < 2 or len(set(names)) < len(names) or not all(name.isdecimal() for name in names):
        return
    counted = len(names) > 2 and names == [str(i) for i in range(len(names))]
    if counted or (second and not all(cell.strip().isdecimal() for cell in second)):
        raise InputError(
            f"{path}: the first row, {', '.join(names[:5])}{', ...' if len(names) > 5 else ''}, may name columns or be a "
            "sample; write it with decimal points if it is one, or the table without names (pandas: header=False)"
        )


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _numbers(path: Path, delimiter: str | None, skip: int) -> Float[np.ndarray, "rows columns"]:
    """Numbers of a text file."""
    try:
        with path.open(encoding="utf-8-sig") as file, warnings.catch_warnings():
            warnings.simplefilter("error", UserWarning)  # of an empty file
            return np.loadtxt(file, delimiter=delimiter, skiprows=skip, ndmin=2, comments=None, quotechar='"')
    except UserWarning:
        raise InputError(f"{path} holds no rows") from None
    except ValueError as error:
        reason = str(error).split(";")[0].splitlines()[0]
        place = f"after the header, {reason}" if skip else reason
        raise InputError(f"{path} must hold numbers and nothing else, rows of one length: {place}") from error


def _columns(path: Path, names: Sequence[str] | None, columns: list[np.ndarray]) -> Columns:
    """The columns of classes and that of labels."""
    labels = [i for i, name in enumerate(names or ()) if name.lower() in _LABELS]
    if len(labels) > 1:
        raise InputError(f"{path} has {len(labels)} columns of labels, expected one at most")
    for name in names or ():
        if name.lower() in _LONG:
            raise InputError(
                f"{path}: column {name!r} is no class; write a file for each member, with a row for each sample and a column for "
                "each class"
            )
        if name.lower() in _INDICES:
            raise InputError(
                f"{path}: column {name!r} numbers the rows; write the table without it (pandas: index=False)"
            )
    of_classes = [name for i, name in enumerate(names or ()) if i not in labels]
    if (
        of_classes
        and all(name.isdecimal() for name in of_classes)
        and list(map(int, of_classes)) != list(range(len(of_classes)))
    ):
        raise InputError(f"{path}: columns named by numbers must be 0, 1, 2, ... in order, got {', '.join(of_classes)}")
    classes = [column for i, column in enumerate(columns) if i not in labels]
    for name, column in zip(of_classes, classes, strict=False):
        if name.lower() in _LIKE_LABELS and np.array_equal(column, np.floor(column)):
            raise InputError(f"{path}: column {name!r} seems to be that of labels; call it label")
    rows = len(columns[0])
    # No probability is 2, and no logits of a class are 0, 1, 2, ...
    if len(classes) > 1 and rows > 2 and np.array_equal(classes[0], np.arange(rows)):
        raise InputError(f"{path}: its first column numbers the rows; write the table without it (pandas: index=False)")
    found = whole(path, (names or ())[labels[0]], columns[labels[0]]) if labels else None
    return Columns(np.stack(classes, axis=1) if classes else None, found, tuple(of_classes))
