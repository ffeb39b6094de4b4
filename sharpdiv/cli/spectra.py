"""Files with the eigenvalues of the data's covariance, or with that matrix."""

import sys
from pathlib import Path

import numpy as np

from sharpdiv.cli.errors import UsageError

__all__ = ["eigenvalues_in", "eigenvalues_of"]

_ROUNDING = 10.0
"""Times size, rounding unit and largest eigenvalue: what a singular covariance's eigenvalues are computed to."""


def eigenvalues_in(path: Path) -> np.ndarray:
    """One column of eigenvalues: a text file with one on each line (# starts a comment), or an .npy file of shape (d,)."""
    if path.suffix == ".npy":
        values = _array(path)
        if values.ndim == 2 and values.shape[1] == 1:
            values = values[:, 0]
        if values.ndim != 1 or not values.size:
            raise UsageError(
                f"{path} must hold a non-empty list of eigenvalues, got shape {values.shape}; --data-covariance takes a symmetric "
                "matrix"
            )
        return _clipped(path, values)
    rows = _rows(path)
    if wide := next((number for number, words in rows if len(words) > 1), None):
        words = dict(rows)[wide]
        raise UsageError(
            f"{path}, line {wide}: one eigenvalue on each line, with a decimal point, is expected, got {' '.join(words)!r:.60}; "
            "leave out index columns, --data-covariance takes a symmetric matrix"
        )
    if not rows:
        raise UsageError(f"{path} must hold a non-empty list of eigenvalues, got none")
    return _clipped(path, np.array([_number(path, number, word) for number, (word,) in rows]))


def eigenvalues_of(path: Path) -> np.ndarray:
    """Eigenvalues of a symmetric matrix: a text file with one row on each line, or an .npy file of shape (d, d)."""
    if path.suffix == ".npy":
        matrix = _array(path)
    else:
        rows = [[_number(path, number, word) for word in words] for number, words in _rows(path)]
        if len({len(row) for row in rows}) > 1:
            raise UsageError(f"{path} must hold a square matrix, got rows of different lengths")
        matrix = np.array(rows)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or not matrix.size:
        raise UsageError(
            f"{path} must hold a square matrix, got shape {matrix.shape}; --data-spectrum takes eigenvalues"
        )
    if not np.all(np.isfinite(matrix)):
        raise UsageError(f"{path} must hold finite numbers")
    matrix, unit = matrix.astype(float), _unit(matrix)
    difference, largest = float(np.abs(matrix - matrix.T).max()), float(np.abs(matrix).max())
    if difference > _ROUNDING * len(matrix) * unit * largest:
        raise UsageError(
            f"{path} must hold a symmetric matrix, got entries that differ from their mirror image by {difference:.3g}"
        )
    return _clipped(path, np.linalg.eigvalsh((matrix + matrix.T) / 2), unit)


def _clipped(path: Path, values: np.ndarray, unit: float | None = None) -> np.ndarray:
    """Eigenvalues whose rounding below 0 is 0, which is said."""
    unit = _unit(values) if unit is None else unit
    values = values.astype(float)
    largest = float(np.abs(values).max())
    rounding = (values < 0) & (values >= -_ROUNDING * values.size * unit * largest)
    if count := int(rounding.sum()):
        what = f"{count} negative eigenvalue{'s' if count > 1 else ''}, {values[rounding].min():.2g} at least"
        print(f"sharpdiv: warning: {path} has {what}: rounding, taken as 0", file=sys.stderr)
    return np.where(rounding, 0.0, values)


def _unit(values: np.ndarray) -> float:
    return float(np.finfo(values.dtype if values.dtype.kind == "f" else float).eps)


def _array(path: Path) -> np.ndarray:
    _require(path)
    try:
        with path.open("rb") as file:
            values = np.asarray(np.load(file, allow_pickle=False))
    except Exception as error:  # a damaged file fails in many ways
        raise UsageError(f"{path} does not hold numbers: {error}") from None
    if values.dtype.kind not in "iuf":
        raise UsageError(
            f"{path} must hold real numbers, got {values.dtype}; numpy.linalg.eigvalsh gives real eigenvalues of a covariance"
        )
    return values


def _rows(path: Path) -> list[tuple[int, list[str]]]:
    """Lines that hold something, by number, as words between spaces, commas or semicolons."""
    _require(path)
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} does not hold numbers: {error}") from None
    split = (line.partition("#")[0].replace(",", " ").replace(";", " ").split() for line in lines)
    return [(number, words) for number, words in enumerate(split, 1) if words]


def _number(path: Path, line: int, word: str) -> float:
    try:
        return float(word)
    except ValueError:
        raise UsageError(f"{path}, line {line}: does not hold numbers: {word!r:.40} is none") from None


def _require(path: Path) -> None:
    if not path.exists():
        raise UsageError(f"{path} does not exist")
