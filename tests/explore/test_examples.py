"""Examples in docstrings run, where marimo is not needed."""

import doctest
import importlib

import pytest

from tests.laws import types_unchecked


@pytest.mark.parametrize("module", ["charts", "models", "picture", "question", "scales", "svg", "taking_away"])
def test_examples_run(module: str) -> None:
    with types_unchecked():
        found = doctest.testmod(importlib.import_module(f"sharpdiv.explore.{module}"))
    assert found.attempted
    assert not found.failed
