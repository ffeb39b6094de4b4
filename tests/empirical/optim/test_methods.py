"""The registry of methods: a new one trains, is planned and named, and nothing else has to know of it."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from sharpdiv.empirical.errors import InputError
from sharpdiv.empirical.optim.methods import METHODS, Method, Treated, method_named, sam_around_sgd
from sharpdiv.empirical.runs.config import RunConfig
from sharpdiv.empirical.runs.ensembles import train_runs
from sharpdiv.empirical.runs.folders import run_folder
from sharpdiv.empirical.runs.plan import plan_runs
from sharpdiv.empirical.store import load_tensors

SAM = RunConfig("sam", 0.1, seeds=(1, 2), train_samples=40, width=2, blocks=(1,), epochs=3, batch_size=10)


@pytest.fixture
def methods() -> Iterator[None]:
    before = dict(METHODS)
    yield
    METHODS.clear()
    METHODS.update(before)


HALF = Method(
    name="half-sam",
    label="SAM at half the radius",
    treated=Treated.ALL,
    optimizer=lambda weights, config: sam_around_sgd(weights, replace(SAM, rho=config.rho / 2)),
)
HALF_SETS = replace(HALF, name="half-sets", treated=Treated.SETS)


def members(root: Path, config: RunConfig) -> list[dict[str, torch.Tensor]]:
    return [load_tensors(run_folder(root, config) / f"member-{seed}.safetensors")[0] for seed in config.seeds]


@pytest.mark.usefixtures("methods")
def test_a_new_method_trains_as_its_optimizer_says(tmp_path: Path) -> None:
    """SAM at half the radius by another name ends with the bits of SAM at half the radius."""
    METHODS.add(HALF)
    config = replace(SAM, method="half-sam", rho=0.2)
    assert "-half-sam-rho0.2-" in config.run_id
    (plan,) = plan_runs([config], tmp_path)
    assert plan.passes == 2 * 3 * 4 * 2  # members, epochs, steps, passes
    train_runs([config, SAM], tmp_path, workers=1)
    for half, sam in zip(members(tmp_path, config), members(tmp_path, SAM), strict=True):
        assert all(torch.equal(half[name], sam[name]) for name in sam)


@pytest.mark.usefixtures("methods")
def test_a_new_method_of_sets_starts_from_the_first_phase_it_names(tmp_path: Path) -> None:
    """On all samples, from SAM at half the radius: SAM at half the radius throughout."""
    METHODS.add(HALF)
    METHODS.add(HALF_SETS)
    config = replace(SAM, method="half-sets", rho=0.2, first_phase="half-sam", rule="all")
    assert config.start == replace(SAM, method="half-sam", rho=0.2)
    train_runs([config, SAM], tmp_path, workers=1)
    for half, sam in zip(members(tmp_path, config), members(tmp_path, SAM), strict=True):
        assert all(torch.equal(half[name], sam[name]) for name in sam)


@pytest.mark.usefixtures("methods")
def test_names_are_unique_and_unknown_ones_refused() -> None:
    METHODS.add(HALF)
    assert METHODS.add(HALF) is HALF
    with pytest.raises(ValueError, match="another method 'sam'"):
        METHODS.add(replace(HALF, name="sam"))
    with pytest.raises(InputError, match=r"method must be one of sgd, sam, sharpbalance, half-sam; got 'adam'"):
        method_named("adam")
    with pytest.raises(InputError, match=r"first_phase must be one of sgd, sam, .*half-sam; got 'sharpbalance'"):
        replace(SAM, method="sharpbalance", first_phase="sharpbalance")


def test_what_each_method_treats() -> None:
    assert {name: (m.ascends, m.passes) for name, m in METHODS.items() if name in {"sgd", "sam", "sharpbalance"}} == {
        "sgd": (False, 1),
        "sam": (True, 2),
        "sharpbalance": (True, 2),
    }
