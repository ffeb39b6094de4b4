"""Data sets: listed and verified."""

from pathlib import Path

import pytest

from tests.cli.calling import run


def test_data_sets_are_listed_and_verified(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHARPDIV_DATA", str(tmp_path))
    status, out, _ = run(capsys, "data", "list")
    assert status == 0
    assert all(name in out for name in ("digits", "cifar10-jpeg", "tiny-imagenet"))
    status, out, _ = run(capsys, "data", "verify", "fashion-mnist")
    assert status == 1
    assert out.count("BAD") == 4


def test_what_is_not_a_command_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert "did you mean 'list'?" in run(capsys, "data", "lits")[2]
    assert "missing name STR (see sharpdiv data fetch --help)" in run(capsys, "data", "fetch")[2]
