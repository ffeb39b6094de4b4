"""Tables lose nothing, however narrow the terminal; times are readable."""

import re

import pytest

from sharpdiv.cli import show
from tests.cli.calling import run


def cells(text: str) -> list[list[str]]:
    """Cells by line; words that belong together are at most one space apart."""
    return [re.split(r" {2,}", line.strip()) for line in text.splitlines() if line]


@pytest.mark.parametrize("width", [None, 200, 80, 40, 5])
def test_no_cell_is_cut(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, width: int | None) -> None:
    arguments = ("theory", "sam", "--rho", "0.1", "0.123456789", "--finite", "--n", "60", "--d", "10")
    whole = cells(run(capsys, *arguments)[1])
    monkeypatch.setattr(show, "_terminal_width", lambda: width)
    _, out, _ = run(capsys, *arguments)
    lines = cells(out)
    assert {cell for line in lines for cell in line} == {cell for line in whole for cell in line}
    if width is not None and width >= 40:
        table = [line for line in out.splitlines() if not line.startswith("- =")]
        assert max(map(len, table)) <= width


def test_every_group_of_columns_says_what_its_rows_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(show, "_terminal_width", lambda: 12)
    text = show.table(("a", "b", "long", "longer"), [("1", "2", "3", "4"), ("5", "6", "7", "8")], left={"a"}, keys=2)
    assert text == "a  b  long\n1  2     3\n5  6     7\n\na  b  longer\n1  2       4\n5  6       8"


def test_columns_of_other_numbers_stand_beside_each_other() -> None:
    """A deeper network has layers that the other lacks; folders of one name are told apart."""
    text = show.columns({"/a/run": {"x": 1, "cka": 0.5}, "/b/run": {"x": 2, "deeper": [1, 2]}})
    assert cells(text) == [["a/run", "b/run"], ["x", "1", "2"], ["cka", "0.5", "-"], ["deeper", "-", "1, 2"]]


def test_numbers() -> None:
    assert show.number({"mean": 0.12345, "stderr": 0.001}) == "0.1235±0.001"
    assert show.number({"mean": 0.5, "stderr": None}) == "0.5"
    assert [show.number(value) for value in (None, True, False, 3, "x")] == ["-", "yes", "no", "3", "x"]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 seconds"),
        (0.0123, "0.012 seconds"),
        (17, "17 seconds"),
        (90, "1.50 minutes"),
        (3600, "1.00 hours"),
        (9e5, "250.00 hours"),
    ],
)
def test_durations(seconds: float, text: str) -> None:
    assert show.duration(seconds) == text
