"""Where an extra is missing, everything else works, and the adapter says in one line what to install."""

import importlib.util
import subprocess
import sys
from types import ModuleType

import pytest

ADAPTERS = {"lightning": "SAMCallback", "transformers": "SAMTrainer"}


def alone(extra: str) -> ModuleType:
    spec = importlib.util.find_spec(f"sharpdiv.empirical.adapters.{extra}")
    assert spec is not None
    assert spec.origin is not None
    fresh = importlib.util.spec_from_file_location(f"{extra}_alone", spec.origin)
    assert fresh is not None
    assert fresh.loader is not None
    module = importlib.util.module_from_spec(fresh)
    fresh.loader.exec_module(module)
    return module


@pytest.mark.parametrize("extra", ADAPTERS)
def test_the_extra_is_named(extra: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (extra, *(loaded for loaded in sys.modules if loaded.startswith(f"{extra}."))):
        monkeypatch.setitem(sys.modules, name, None)  # as if it were not installed
    options = {"rho": 0.1} if extra == "transformers" else {}
    with pytest.raises(ModuleNotFoundError, match=rf"pip install '.\[{extra}\]'") as error:
        getattr(alone(extra), ADAPTERS[extra])(**options)
    assert "\n" not in str(error.value)


@pytest.mark.slow
def test_nothing_else_loads_them() -> None:
    code = (
        "import sys, sharpdiv, sharpdiv.empirical; from sharpdiv import SAM, SharpBalance\n"
        "assert {'lightning', 'transformers', 'accelerate'}.isdisjoint(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
