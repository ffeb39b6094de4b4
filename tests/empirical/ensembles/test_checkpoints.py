"""State dicts of others: every format that training scripts write, and what does not fit the network."""

from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from torch import nn

from sharpdiv.empirical.ensembles.checkpoints import Checkpoints
from sharpdiv.empirical.ensembles.measuring import measure_ensemble
from sharpdiv.empirical.errors import DivergenceError, InputError
from sharpdiv.empirical.runs.measure_config import MeasureConfig
from tests.empirical.networks import batch, mlp
from tests.laws import types_unchecked

State = dict[str, torch.Tensor]


def prefixed(prefix: str) -> Callable[[State], State]:
    return lambda state: {f"{prefix}{key}": value for key, value in state.items()}


FORMS: dict[str, tuple[str, Callable[[State], Any]]] = {
    "bare": (".pt", lambda state: state),
    "ordered": (".pth", OrderedDict),
    "bin": (".bin", lambda state: state),
    "safetensors": (".safetensors", lambda state: state),
    "lightning": (".ckpt", lambda state: {"state_dict": prefixed("model.")(state), "epoch": 3, "callbacks": {}}),
    "timm": (".pth", lambda state: {"model": state, "args": {"lr": 0.1}}),
    "data parallel": (".pt", prefixed("module.")),
    "compiled": (".pt", prefixed("_orig_mod.")),
}


def write(path: Path, value: Any) -> Path:
    if path.suffix == ".safetensors":
        safetensors.torch.save_file(value, path)
    else:
        torch.save(value, path)
    return path


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_weights_back(form: str, tmp_path: Path) -> None:
    ending, change = FORMS[form]
    trained = [mlp(seed) for seed in (5, 6)]
    paths = [write(tmp_path / f"{i}{ending}", change(m.state_dict())) for i, m in enumerate(trained)]
    for loaded, model in zip(Checkpoints(lambda: mlp(0), paths), trained, strict=True):
        found, expected = loaded.state_dict(), model.state_dict()
        assert list(found) == list(expected)
        assert all(torch.equal(found[key], expected[key]) for key in expected)


def test_the_ensemble_of_files_is_that_of_the_modules(tmp_path: Path) -> None:
    trained, test = [mlp(seed) for seed in range(3)], batch(1)
    paths = [write(tmp_path / f"{i}.pt", model.state_dict()) for i, model in enumerate(trained)]
    how = MeasureConfig(sharpness=("one_step",), replicates=10)
    checkpoints = Checkpoints(lambda: mlp(9), paths)
    found, expected = (measure_ensemble(each, test, train=test, how=how) for each in (checkpoints, trained))
    assert found.metrics == expected.metrics
    assert found.sharpness("one_step") == expected.sharpness("one_step")
    assert found.members == tuple(map(str, paths))
    files = found.to_json()["provenance"]["checkpoints"]
    assert [file["file"] for file in files] == list(found.members)
    assert len({file["sha256"] for file in files}) == 3


def test_a_network_whose_own_keys_have_the_prefix_keeps_them(tmp_path: Path) -> None:
    def wrapped() -> nn.Module:
        return nn.ModuleDict({"model": nn.Linear(2, 3)})

    path = write(tmp_path / "a.pt", wrapped().state_dict())
    (loaded,) = Checkpoints(wrapped, [path])
    assert "model.weight" in loaded.state_dict()


REFUSED: dict[str, tuple[str, Callable[[State], Any], str]] = {
    "missing": (".pt", lambda s: {k: v for k, v in s.items() if k[:4] != "last"}, "it lacks last.weight, last.bias$"),
    "unexpected": (
        ".pt",
        lambda s: {**s, "head.weight": s["last.bias"]},
        "it has head.weight, which the network has not",
    ),
    "both": (
        ".pt",
        lambda s: {"fc.weight": s["last.bias"]},
        r"it lacks first.weight, first.bias and 7 more, and has fc.weight, which the network has not",
    ),
    "half prefixed": (
        ".pt",
        lambda s: {**prefixed("model.")(s), "criterion.weight": s["last.bias"]},
        "it lacks first.weight, first.bias and 7 more, and has model.first.weight, model.first.bias and 8 more",
    ),
    "shape": (".pt", lambda s: {**s, "last.bias": torch.ones(4)}, r"last.bias has shape \(4,\), the network's \(3,\)"),
    "a module": (".pt", lambda s: mlp(0), r"not a readable file of nothing but tensors .* save model.state_dict\(\)"),
    "a tensor": (".pt", lambda s: s["last.bias"], "must hold a state dict.* got Tensor"),
    "no tensors": (".pt", lambda s: {"epoch": 3}, "must hold a state dict"),
    "ending": (".zip", lambda s: s, "must be a checkpoint: .pt, .*got the ending '.zip'"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_files_that_do_not_fit_are_refused_in_one_line(case: str, tmp_path: Path) -> None:
    ending, change, message = REFUSED[case]
    path = write(tmp_path / f"a{ending}", change(mlp(0).state_dict()))
    with pytest.raises(InputError, match=message) as caught:
        list(Checkpoints(lambda: mlp(0), [path]))
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


def test_files_that_cannot_be_read_are_refused(tmp_path: Path) -> None:
    for name in ("a.pt", "a.safetensors"):
        (tmp_path / name).write_bytes(b"garbage")
        with pytest.raises(InputError, match=f"{name} (is not a readable|cannot be read)"):
            list(Checkpoints(lambda: mlp(0), [tmp_path / name]))
    with pytest.raises(InputError, match=r"none\.pt does not exist"):
        list(Checkpoints(lambda: mlp(0), [tmp_path / "none.pt"]))
    with pytest.raises(InputError, match="given twice"):
        Checkpoints(lambda: mlp(0), [tmp_path / "a.pt"] * 2)
    with pytest.raises(InputError, match="not available"):
        Checkpoints(lambda: mlp(0), [tmp_path / "a.pt"], device="tpu")


def test_a_factory_must_make_networks_without_arguments(tmp_path: Path) -> None:
    path = write(tmp_path / "a.pt", mlp(0).state_dict())
    for factory, message in (
        (nn.Linear, "failed when it was called without arguments .TypeError"),
        (dict, "must return a torch.nn.Module, got dict"),
    ):
        with types_unchecked(), pytest.raises(InputError, match=message):
            list(Checkpoints(factory, [path]))  # type: ignore[arg-type]


def test_a_checkpoint_that_diverged_is_named(tmp_path: Path) -> None:
    good, bad = mlp(0).state_dict(), mlp(1).state_dict()
    bad["first.weight"][0, 0] = torch.nan
    paths = [write(tmp_path / "good.pt", good), write(tmp_path / "bad.pt", bad)]
    with pytest.raises(DivergenceError, match=r"bad\.pt: outputs are not finite"):
        measure_ensemble(Checkpoints(lambda: mlp(0), paths), batch(1))
