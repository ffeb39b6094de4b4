"""Norms of trained members against their state dicts, and what is kept of them."""

import tempfile
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import strategies as st

from sharpdiv.checks.results import load_evidence
from sharpdiv.empirical.data.splits import digits
from sharpdiv.empirical.errors import StoreError
from sharpdiv.empirical.models import ResNet
from sharpdiv.empirical.runs.config import RunConfig
from sharpdiv.empirical.runs.folders import run_folder
from sharpdiv.empirical.runs.member import new_member, save_member
from sharpdiv.empirical.runs.weight_norms import add_weight_norms, take_weight_norms, weight_norms
from sharpdiv.empirical.store import load_json, save_json
from tests.laws import Mutation, law

CONFIG = RunConfig("sgd", seeds=(3, 5), epochs=1, width=2, blocks=(1, 1), train_samples=100)


def trained(root: Path, config: RunConfig = CONFIG) -> list[ResNet]:
    """Members that are as good as trained."""
    models = []
    for seed in config.seeds:
        member = new_member(config, digits(100), seed, torch.device("cpu"))
        for weight in member.model.parameters():
            torch.nn.init.normal_(weight)
        save_member(run_folder(root, config) / f"member-{seed}.safetensors", member, config.run_id)
        models.append(member.model)
    return models


WITH_BIASES = Mutation(
    "biases counted",
    "sharpdiv.empirical.runs.weight_norms.load_tensors",
    lambda f: lambda path: ({n.replace("bias", "bias.weight"): t for n, t in f(path)[0].items()}, {}),
)
NOT_SQUARED = Mutation(
    "norms and not their squares",
    "sharpdiv.empirical.runs.weight_norms._of_member",
    lambda f: lambda path: tuple(value**0.5 for value in f(path)),
)


@law(WITH_BIASES, NOT_SQUARED, examples=4, seed=st.integers(0, 100))
def test_norms_are_those_of_the_modules(seed: int) -> None:
    torch.manual_seed(seed)
    with tempfile.TemporaryDirectory() as root:
        models, found = trained(Path(root)), weight_norms(CONFIG, Path(root))
    for place, model in enumerate(models):
        kinds = {"gains": torch.nn.BatchNorm2d, "convolutions": torch.nn.Conv2d, "last": torch.nn.Linear}
        for name, kind in kinds.items():
            weights = [model.get_parameter(f"{n}.weight") for n, m in model.named_modules() if isinstance(m, kind)]
            norm = sum(float(weight.detach().double().square().sum()) for weight in weights)
            assert getattr(found, name)[place] == pytest.approx(norm, rel=1e-12)


def test_norms_are_added_run_by_run_and_read_with_the_results(tmp_path: Path) -> None:
    other = RunConfig("sam", 0.1, seeds=(3, 5), epochs=1, width=2, blocks=(1, 1), train_samples=100)
    file = tmp_path / "results" / "weight-norms.json"
    trained(tmp_path)
    add_weight_norms(file, [CONFIG, other], tmp_path)  # the other is not there yet
    trained(tmp_path, other)
    add_weight_norms(file, [other], tmp_path)
    norms = [weight_norms(CONFIG, tmp_path), weight_norms(other, tmp_path)]
    assert load_evidence(file.parent).weight_norms == tuple(sorted(norms, key=lambda each: each.key))
    whole = file.read_bytes()
    file.unlink()
    for config in (other, CONFIG):  # whichever was trained first
        add_weight_norms(file, [config], tmp_path)
    assert file.read_bytes() == whole


def test_norms_are_taken_from_elsewhere_where_one_has_none(tmp_path: Path) -> None:
    mine, theirs = tmp_path / "mine.json", tmp_path / "theirs.json"

    def run(key: str, last: float) -> dict[str, Any]:
        return {"key": key, "last": [last], "gains": [2.0], "convolutions": [3.0]}

    save_json(theirs, {"weight_norms": [run("b", 1.0), run("a", 1.0)]})
    take_weight_norms(mine, theirs)
    assert load_json(mine) == {"weight_norms": [run("a", 1.0), run("b", 1.0)]}
    save_json(mine, {"weight_norms": [run("b", 9.0), run("c", 9.0)]})
    take_weight_norms(mine, theirs)
    assert load_json(mine) == {"weight_norms": [run("a", 1.0), run("b", 9.0), run("c", 9.0)]}
    take_weight_norms(mine, tmp_path / "none.json")
    assert len(load_json(mine)["weight_norms"]) == 3


def test_nothing_is_written_of_nothing(tmp_path: Path) -> None:
    add_weight_norms(tmp_path / "weight-norms.json", [CONFIG], tmp_path)
    assert not list(tmp_path.iterdir())


def test_what_is_no_member_is_said(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"member-3\.safetensors"):
        weight_norms(CONFIG, tmp_path)
