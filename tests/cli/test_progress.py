"""Progress: lines where there is no terminal, however long a piece of work takes."""

import time

import pytest

from sharpdiv.cli import progress

SECONDS = progress.SECONDS


def test_lines_come_in_time(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "SECONDS", 0.02)
    with progress.progress("training") as report:
        time.sleep(0.3)
        report("training", 2, 16)
        time.sleep(0.3)
        report("measuring", 0, 4)
        time.sleep(0.3)
    out, err = capsys.readouterr()
    assert out == ""
    told = [line.split(",")[0] for line in err.splitlines()]
    assert list(dict.fromkeys(told)) == ["training 0%", "training 12%", "measuring 0%"]
    assert told.count("training 12%") > 1  # the same again: it still goes on
    time.sleep(0.1)
    assert capsys.readouterr().err == ""


def test_the_time_left_is_by_the_rate_so_far(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also long after the last report: a piece of work may take minutes."""
    now = [100.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    pace = progress._Pace()
    assert pace.left() == ""
    pace.tell(0, 90)
    assert pace.left() == ""
    now[0] += 200
    pace.tell(10, 90)  # 20 seconds each
    assert pace.left() == "about 26.67 minutes left"
    now[0] += 100
    assert pace.left() == "about 25.00 minutes left"
    now[0] += 20_000
    assert pace.left() == "about 1 seconds left"
    pace.tell(90, 90)
    assert pace.left() == ""


def test_lines_end_with_an_error(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "SECONDS", 0.02)
    with pytest.raises(KeyboardInterrupt), progress.progress("training"):
        raise KeyboardInterrupt
    time.sleep(0.1)
    assert capsys.readouterr().err == ""


def test_what_ends_soon_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert SECONDS <= 30
    with progress.progress("training") as report:
        report("training", 1, 1)
    assert capsys.readouterr().err == ""


def test_bars_on_a_terminal(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    with progress.progress("training") as report:
        report("training", 0, 2)
        report("training", 1, 2)
    told = capsys.readouterr().err
    assert "50%" in told
    assert "about 1 seconds left" in told
