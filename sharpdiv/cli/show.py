"""How numbers are shown: JSON, and tables that cut nothing off."""

import json
import shutil
import sys
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from sharpdiv.empirical.atomic import write_atomically

__all__ = ["columns", "duration", "number", "show", "table", "titles"]

_GAP = "  "


def show(value: dict[str, Any], destination: str | None, text: str) -> None:
    """JSON to a file or (alone) to standard output, text otherwise.

    Args:
        value: JSON values.
        destination: file, - for standard output, or None.
        text: the same for people; nothing is printed if it is empty.
    """
    encoded = json.dumps(value, indent=2, allow_nan=False)
    if destination == "-":
        print(encoded)
        return
    if destination:
        write_atomically(Path(destination), encoded.encode() + b"\n")
    if text:
        print(text)


def number(value: Any) -> str:
    """A number, truth value or estimate as a table shows it; - for none."""
    if isinstance(value, Mapping):
        stderr = "" if value["stderr"] is None else f"±{value['stderr']:.1g}"
        return number(value["mean"]) + stderr
    if value is None or isinstance(value, bool):
        return "-" if value is None else ("yes" if value else "no")
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def duration(seconds: float) -> str:
    """A time in the largest unit that it has one of."""
    for unit, length in (("hours", 3600), ("minutes", 60)):
        if seconds >= length:
            return f"{seconds / length:.2f} {unit}"
    return f"{seconds:.2g} seconds"


def table(headings: Sequence[str], rows: Iterable[Sequence[str]], *, left: Collection[str] = (), keys: int = 1) -> str:
    """Columns of text; those that do not fit beside the others on a terminal follow below, behind the first ones again.

    Args:
        headings: of the columns.
        rows: cells, one for each column.
        left: headings of columns that are aligned at the left.
        keys: how many columns say what a row is about.
    """
    rows = list(rows)
    aligned = []
    for at, heading in enumerate(headings):
        cells = [heading, *(row[at] for row in rows)]
        width = max(map(len, cells))
        aligned.append([cell.ljust(width) if heading in left else cell.rjust(width) for cell in cells])
    groups = _groups(aligned, keys, _terminal_width())
    return "\n\n".join("\n".join(_GAP.join(cells).rstrip() for cells in zip(*group, strict=True)) for group in groups)


def _terminal_width() -> int | None:
    """Characters in a line of the terminal; None where there is none."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def _groups(aligned: list[list[str]], keys: int, width: int | None) -> list[list[list[str]]]:
    """As many columns beside each other as fit, behind the keys."""
    groups = [aligned[:keys]]
    for column in aligned[keys:]:
        taken = sum(len(each[0]) + len(_GAP) for each in groups[-1]) + len(column[0])
        if width is not None and taken > width and len(groups[-1]) > keys:
            groups.append(aligned[:keys])
        groups[-1] = [*groups[-1], column]
    return groups


def columns(of_each: Mapping[str, Mapping[str, Any]]) -> str:
    """One column for each file or run, one row for each number that one of them has.

    Args:
        of_each: numbers by name, by path.
    """
    rows = []
    for name in dict.fromkeys(name for numbers in of_each.values() for name in numbers):
        cells = (numbers.get(name) for numbers in of_each.values())
        rows.append([name, *(", ".join(map(number, c)) if isinstance(c, list) else number(c) for c in cells)])
    return table(["", *titles([Path(path).resolve() for path in of_each])], rows, left={""})


def titles(paths: Sequence[Path]) -> list[str]:
    """The shortest ends of paths that tell them apart."""
    for parts in range(1, max(len(path.parts) for path in paths)):
        ends = ["/".join(path.parts[-parts:]) for path in paths]
        if len(set(ends)) == len(paths):
            return ends
    return list(map(str, paths))
