"""Where the extra is missing, everything else works, and the metric says what to install."""

import importlib.util
import sys

import pytest

from sharpdiv.empirical.predictions import streaming


def test_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torchmetrics", None)  # as if it were not installed
    spec = importlib.util.spec_from_file_location("streaming_alone", streaming.__file__)
    assert spec is not None
    assert spec.loader is not None
    alone = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(alone)
    with pytest.raises(ModuleNotFoundError, match=r"needs torchmetrics, .*: pip install '.\[torchmetrics\]'"):
        alone.EnsembleDiversity(members=2, classes=2)
