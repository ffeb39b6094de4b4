"""What was measured last, in a file, and the rows of it that the README shows."""

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from benchmarks.timing import Row, told
from sharpdiv.empirical.atomic import write_atomically

__all__ = ["MEASURED", "README", "save", "table", "with_table"]

MEASURED = Path(__file__).with_name("measured.json")
README = Path(__file__).resolve().parents[1] / "README.md"

_SHOWN = {
    "simulation of Theorem 1, 20 rho x 10 x 100": "the paper's simulation of Theorem 1",
    "per-sample sharpness, ResNet-18 of width 64, batch 64": "per-sample sharpness, ResNet-18, batch 64",
    "largest Hessian eigenvalue, tolerance 1e-2": "largest Hessian eigenvalue, small ResNet-18",
    "SAM's step with empty passes, 11 million weights": "SAM's own work, 11 million weights",
}
"""Rows of the README, and what they are called there."""
_TABLE = re.compile(r"(?<=<!-- make bench -->\n).*?(?=<!-- end -->)", re.S)


def save(where: Mapping[str, Any], rows: Iterable[Row]) -> None:
    """Keep what was measured, and show some of it in the README.

    Args:
        where: provenance.
        rows: comparisons.
    """
    names = ("processor", "instructions", "platform", "python", "torch", "numpy", "commit")
    kept = {"environment": {name: where[name] for name in names}, "rows": [row.to_json() for row in rows]}
    write_atomically(MEASURED, (json.dumps(kept, indent=1) + "\n").encode())
    write_atomically(README, with_table(README.read_text(encoding="utf-8"), kept).encode())


def with_table(text: str, measured: Mapping[str, Any]) -> str:
    """A README with the table of what was measured.

    Args:
        text: with a place for the table.
        measured: content of the file.

    Returns:
        The same with this table.
    """
    return _TABLE.sub(lambda _: table(measured), text)


def table(measured: Mapping[str, Any]) -> str:
    """Rows of Markdown: ours in units of the baseline, and so others.

    Args:
        measured: content of the file.

    Returns:
        A table with a line about the machine behind it.
    """
    rows = {row["what"]: row for row in measured["rows"]}
    lines = ["| processor time | of | others, of the same |", "| --- | --- | --- |"]
    for what, name in _SHOWN.items():
        row, seconds = rows[what], rows[what]["median_seconds"]
        base = seconds[row["baseline"]]
        others = {k: v for k, v in seconds.items() if k not in {"sharpdiv", row["baseline"]}}
        beside = ", ".join(f"{other} {told(value / base)}" for other, value in others.items())
        lines.append(f"| {name} | {told(row['ratio'])} x {row['baseline']} | {beside} |")
    where = measured["environment"]
    note = f"{where['processor']}, {where['instructions']}, torch {where['torch']}, one thread"
    return "\n".join(
        [
            *lines,
            "",
            f"*`make bench` on {note}; all rows are in [benchmarks/measured.json](benchmarks/measured.json).*",
            "",
        ]
    )
