"""Whose an error is: a user's own code tells its line, what is wrong with ours keeps its traceback."""

import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, cast

import pytest
import torch
from torch import Tensor, nn

import sharpdiv
from sharpdiv.cli.errors import UsageError
from sharpdiv.cli.own import given
from sharpdiv.cli.users_code import _INSTALLED, users_code
from sharpdiv.empirical.batches import run_on
from sharpdiv.empirical.connectivity.batch_norm import recalibrate_batch_norm
from sharpdiv.empirical.curvature.layer_gradients import fast_norms
from tests.laws import types_unchecked

FAILS = """
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 3)
        self.norm = nn.BatchNorm1d(3)
        self.broken = False

    def forward(self, x):
        return self.norm(self.layer(x if not self.broken else x[:, :2]))
"""
INPUTS = torch.zeros(2, 4)


@pytest.fixture(autouse=True)
def tests_are_not_hers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sharpdiv.cli.users_code._INSTALLED", [*_INSTALLED, Path(__file__).parent])


def imported_from(file: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The module as if it were there."""
    module = ModuleType(file.stem)
    module.__file__ = str(file)
    exec(compile(FAILS, str(file), "exec"), vars(module))  # noqa: S102
    monkeypatch.setitem(sys.modules, file.stem, module)
    return module


def broken_network(module: Any) -> nn.Module:
    network = module.Net()
    network.broken = True
    return cast("nn.Module", network)


@pytest.mark.parametrize(
    "folder",
    [
        Path("/home/her/project"),
        Path(sysconfig.get_path("data"), "project"),
        Path(f"{Path(sharpdiv.__file__).parent}_more"),
    ],
)
def test_a_users_line_is_told_wherever_she_works(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Below the prefix of an environment, too, and beside our folder under a name that begins like it."""
    module = imported_from(folder / "net.py", monkeypatch)
    with pytest.raises(UsageError, match=r"net.py, line 12: RuntimeError: mat1 and mat2"), users_code():
        run_on(broken_network(module), INPUTS)


def test_an_installed_module_is_hers_if_she_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    module = imported_from(Path(sysconfig.get_path("purelib"), "nets.py"), monkeypatch)
    with pytest.raises(UsageError, match=r"nets.py, line 12"), users_code("nets:Net"):
        run_on(broken_network(module), INPUTS)
    with pytest.raises(UsageError, match="the network failed on the data"), users_code("other:Net"):
        run_on(broken_network(module), INPUTS)


def test_ours_keeps_its_traceback_in_a_folder_that_is_called_like_her_module() -> None:
    """Our own files are below a folder of that name, as where the environment lies in the project ``mynet`` of ``mynet.py``."""
    folder = Path(users_code.__wrapped__.__code__.co_filename).parent.name  # type: ignore[attr-defined]
    with types_unchecked(), pytest.raises(TypeError), users_code(f"{folder}:make"):
        given(None)  # type: ignore[arg-type]


def fails(*_: Any) -> Any:
    raise ZeroDivisionError("of ours")


@pytest.mark.parametrize(
    ("broken", "measure"),
    [
        (
            "sharpdiv.empirical.curvature.layer_gradients.LayerInputs.keep",
            lambda net: fast_norms(net, INPUTS, torch.sum),
        ),
        (
            "sharpdiv.empirical.connectivity.batch_norm._Average.add",
            lambda net: recalibrate_batch_norm(net, (INPUTS, torch.zeros(2))),
        ),
    ],
)
def test_a_hook_of_ours_that_fails_in_her_network_keeps_its_traceback(
    broken: str, measure: Callable[[nn.Module], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    module = imported_from(Path("/home/her/net.py"), monkeypatch)
    monkeypatch.setattr(broken, fails)
    for network in (module.Net(), nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3))):
        with pytest.raises(ZeroDivisionError), users_code("net:Net"):
            measure(network.eval())


def test_her_network_that_fails_under_our_hooks_is_hers(monkeypatch: pytest.MonkeyPatch) -> None:
    module = imported_from(Path("/home/her/net.py"), monkeypatch)
    with pytest.raises(UsageError, match=r"net.py, line 12"), users_code("net:Net"):
        fast_norms(broken_network(module), INPUTS, Tensor.sum)
