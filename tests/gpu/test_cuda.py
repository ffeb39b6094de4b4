"""The CPU's numbers on a GPU, to rounding; the same tests run on the CPU, so that they are known to run."""

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from sharpdiv.checks.kernels.alpha_members import member_of
from sharpdiv.checks.kernels.dials import Dial, Network
from sharpdiv.empirical.curvature.measures import MEASURES
from sharpdiv.empirical.curvature.tangent_kernel import tangent_kernel
from sharpdiv.empirical.devices import float32_products
from sharpdiv.empirical.lazy.training import LazyProblem, train_lazy
from sharpdiv.empirical.optim.sharpbalance import sharpbalance_step
from sharpdiv.empirical.optim.stacked import Stack
from sharpdiv.empirical.provenance import provenance
from sharpdiv.empirical.runs.config import RunConfig
from sharpdiv.empirical.runs.ensembles import load_run_data
from sharpdiv.empirical.runs.measure_config import MeasureConfig
from sharpdiv.empirical.runs.measure_member import _sharpness
from sharpdiv.empirical.runs.member import Member, new_member, train

CPU = torch.device("cpu")
NONE_HERE = pytest.mark.skipif(not torch.cuda.is_available(), reason="PyTorch finds no CUDA device here")
PLACES = [CPU, pytest.param(torch.device("cuda", 0), marks=[pytest.mark.cuda, NONE_HERE])]
places = pytest.mark.parametrize("place", PLACES, ids=["cpu", "cuda"])

SAM = RunConfig("sam", 0.05, train_samples=40, width=4, blocks=(1, 1), epochs=2, batch_size=20, seeds=(1, 2))
METHODS = [replace(SAM, method="sgd", rho=0.0), SAM, replace(SAM, method="sharpbalance"), replace(SAM, m=5)]
ROUNDING = 2e-3
"""Of float32, through some steps of training and sums in another order; TF32 has 1e-3 in every product."""


def trained(config: RunConfig, place: torch.device) -> Member:
    data = load_run_data(config)
    aware = torch.arange(40) % 4 < {"sgd": 0, "sam": 4, "sharpbalance": 2}[config.method]
    member = new_member(config, data, 1, place)
    train(member, config, data, 2, aware)
    return member


@contextmanager
def no_waiting(place: torch.device) -> Iterator[None]:
    """An error for whatever waits for the GPU."""
    if place.type != "cuda":
        yield
        return
    torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode("default")


@places
@pytest.mark.parametrize("config", METHODS, ids=lambda c: f"{c.method}-{c.m}")
def test_training(config: RunConfig, place: torch.device) -> None:
    here, there = trained(config, CPU), trained(config, place)
    assert there.losses == pytest.approx(here.losses, rel=ROUNDING)
    assert there.sam_samples == here.sam_samples


@places
@pytest.mark.parametrize("config", METHODS, ids=lambda c: f"{c.method}-{c.m}")
def test_a_step_waits_for_nothing(config: RunConfig, place: torch.device) -> None:
    data, member = load_run_data(config), new_member(config, load_run_data(config), 1, place)
    images, labels = data.normalize(data.train_images[:20].to(place)), data.train_labels[:20].to(place)
    aware = torch.arange(20) % 4 < {"sgd": 0, "sam": 4, "sharpbalance": 2}[config.method]
    member.model.train()
    sharpbalance_step(member.model, member.optimizer, images, labels, aware, m=config.m)
    with no_waiting(place):
        loss = sharpbalance_step(member.model, member.optimizer, images, labels, aware, m=config.m)
    assert bool(loss.isfinite())


@places
def test_stacked_steps(place: torch.device) -> None:
    data = load_run_data(SAM)
    images, labels = data.normalize(data.train_images[:20].to(place)), data.train_labels[:20].to(place)
    members = [new_member(replace(SAM, rho=rho), data, seed, place) for seed, rho in enumerate((0.02, 0.05, 0.1))]
    alone = copy.deepcopy(members)
    stack = Stack([m.model.train() for m in members], [m.optimizer for m in members])
    every = torch.ones(20, dtype=torch.bool)
    for _ in range(3):
        with float32_products():
            found = stack.step(images.expand(3, *images.shape), labels.expand(3, 20), 0.1)
            expected = [sharpbalance_step(m.model.train(), m.optimizer, images, labels, every) for m in alone]
    assert found.tolist() == pytest.approx([float(loss) for loss in expected], rel=ROUNDING)


@places
@pytest.mark.parametrize("measure", MEASURES)
def test_sharpness(measure: str, place: torch.device) -> None:
    """Of one network; random draws are the CPU's."""
    config = METHODS[0]
    data, how = load_run_data(config), MeasureConfig(sharpness=(measure,), sharpness_samples=20, draws=2, trace_draws=2)
    model = trained(config, CPU).model.eval()
    with float32_products():
        here, there = (_sharpness(copy.deepcopy(model).to(at), data, how) for at in (CPU, place))
    for name, values in here.items():
        assert there[name].tolist() == pytest.approx(values.tolist(), rel=0.02, abs=1e-4)


@places
def test_the_lazy_regime_where_rounding_shows(place: torch.device) -> None:
    """At alpha = 100 outputs are differences a hundred times as large: TF32 was 13% off here."""
    dial, network = Dial("none", (), train_samples=20, test_samples=20), Network(width=4, activation="gelu")
    found = []
    for at in (CPU, place):
        model, (images, test, labels) = member_of(dial, network, 0, at)
        with float32_products():
            kernel = tangent_kernel(model, images, test)
            largest = float(np.linalg.eigvalsh(kernel.train.reshape(200, 200).cpu().double().numpy())[-1]) / 20
            problem = LazyProblem(images, labels[:20], test, torch.ones(20, dtype=torch.bool, device=at))
            options: dict[str, Any] = {
                "learning_rate": 0.5 / largest,
                "rho": 1 / largest,
                "radius": 0.01,
                "alpha": 100.0,
            }
            member = train_lazy(model, problem, (10,), **options)
        found.append((kernel.train.cpu(), member.predictions.cpu()))
    for here, there in zip(*found, strict=True):
        assert float((here - there).norm() / here.norm()) < ROUNDING


@places
def test_the_device_is_written_down(place: torch.device) -> None:
    found = provenance(place, tf32=True)
    assert found["device"] == str(place)
    if place.type == "cuda":
        assert found["processor"] == torch.cuda.get_device_name(place)
        assert found["float32"] == "tf32"
        assert found["cuda"]
        assert found["cudnn"]
