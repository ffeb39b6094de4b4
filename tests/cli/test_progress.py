"""Progress: lines where there is no terminal, however long a piece of work takes."""

import time

import pytest

from sharpdiv.cli import progress

SECONDS = progress.SECONDS


def test_lines_come_in_time(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "SECONDS", 0.02)
    with progress.progress("training") as report:
        time.sleep(0.3)
        report("training", 2, 18)
        time.sleep(0.3)
        report("measuring", 0, 4)
        time.sleep(0.3)
    out, err = capsys.readouterr()
    assert out == ""
    assert list(dict.fromkeys(err.splitlines())) == ["training 0/?", "training 2/18", "measuring 0/4"]
    assert err.count("training 2/18\n") > 1  # the same again: it still goes on
    time.sleep(0.1)
    assert capsys.readouterr().err == ""


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
        report("training", 1, 2)
    assert "50%" in capsys.readouterr().err
