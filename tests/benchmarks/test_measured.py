"""The README's table is that of the file, and the file is one that make bench writes."""

import json
from typing import Any

from benchmarks.measured import MEASURED, README, table, with_table
from benchmarks.timing import Row, told


def measured() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(MEASURED.read_text(encoding="utf-8"))
    return found


def test_the_readme_shows_what_was_measured() -> None:
    text = README.read_text(encoding="utf-8")
    assert table(measured()) in text
    assert with_table(text, measured()) == text


def test_every_ratio_is_that_of_its_seconds() -> None:
    """To three digits: the seconds are rounded, too."""
    for row in measured()["rows"]:
        seconds = row["median_seconds"]
        assert abs(row["ratio"] / (seconds["sharpdiv"] / seconds[row["baseline"]]) - 1) < 0.02


def test_a_row_has_ours_in_units_of_the_first_of_the_others() -> None:
    row = Row("sums", 0.5, {"slow": 2.0, "fast": 0.25})
    assert row.to_json() == {
        "what": "sums",
        "baseline": "slow",
        "ratio": 0.25,
        "median_seconds": {"sharpdiv": 0.5, "slow": 2.0, "fast": 0.25},
    }
    assert (told(0.25), told(1 / 300), told(2.0)) == ("0.25", "1/300", "2.00")
