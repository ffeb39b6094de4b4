"""Calls of the command line within the tests' process."""

import json
from typing import Any

import pytest

from sharpdiv.cli import main


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    status = main.run(list(arguments))
    out, err = capsys.readouterr()
    return status, out, err


def points(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[dict[str, Any]]:
    status, out, err = run(capsys, *arguments, "--json", "-")
    assert (status, err) == (0, "")
    return list(json.loads(out)["points"])
