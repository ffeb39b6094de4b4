"""Schedulers see every step of SAM and SharpBalance, and act on the base optimizer. Warnings are errors here."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch.optim import lr_scheduler

from sharpdiv.empirical.optim.sam import SAM
from sharpdiv.empirical.optim.sharpbalance import sharpbalance_step
from tests.empirical.networks import mlp
from tests.empirical.optim.test_running import step_of

MAKERS: dict[str, Callable[[torch.optim.Optimizer], Any]] = {
    "LambdaLR": lambda o: lr_scheduler.LambdaLR(o, lambda epoch: 0.5**epoch),
    "MultiplicativeLR": lambda o: lr_scheduler.MultiplicativeLR(o, lambda _: 0.5),
    "StepLR": lambda o: lr_scheduler.StepLR(o, 1),
    "MultiStepLR": lambda o: lr_scheduler.MultiStepLR(o, [1, 2]),
    "ConstantLR": lambda o: lr_scheduler.ConstantLR(o, total_iters=2),
    "LinearLR": lambda o: lr_scheduler.LinearLR(o),
    "ExponentialLR": lambda o: lr_scheduler.ExponentialLR(o, 0.5),
    "PolynomialLR": lambda o: lr_scheduler.PolynomialLR(o),
    "CosineAnnealingLR": lambda o: lr_scheduler.CosineAnnealingLR(o, 5),
    "CosineAnnealingWarmRestarts": lambda o: lr_scheduler.CosineAnnealingWarmRestarts(o, 5),
    "CyclicLR": lambda o: lr_scheduler.CyclicLR(o, 0.01, 0.1, step_size_up=2),
    "OneCycleLR": lambda o: lr_scheduler.OneCycleLR(o, 0.1, total_steps=9),
    "ReduceLROnPlateau": lambda o: lr_scheduler.ReduceLROnPlateau(o, patience=0),
}
STEPS = ("step", "two steps", "all aware", "some aware", "none aware")


def take(way: str, model: torch.nn.Module, optimizer: SAM, seed: int) -> None:
    aware = {"all aware": 12, "some aware": 5, "none aware": 0}
    if way not in aware:
        step_of(way, model, optimizer, seed)
        return
    inputs = torch.randn(12, 5, generator=torch.Generator().manual_seed(seed))
    sharpbalance_step(model, optimizer, inputs, torch.arange(12) % 3, torch.arange(12) < aware[way])


@pytest.mark.parametrize("way", STEPS)
@pytest.mark.parametrize("name", MAKERS)
def test_schedules_run_without_a_false_warning(name: str, way: str) -> None:
    model = mlp(0)
    optimizer = SAM(model.parameters(), torch.optim.SGD, 0.1, lr=0.1, momentum=0.9)
    bare = torch.optim.SGD(mlp(0).parameters(), lr=0.1, momentum=0.9)
    ours, theirs = MAKERS[name](optimizer), MAKERS[name](bare)
    for seed in range(4):
        take(way, model, optimizer, seed)
        bare.step()
        for scheduler in (ours, theirs):
            scheduler.step(*([1.0] if name == "ReduceLROnPlateau" else []))
        for option in ("lr", "momentum"):
            assert optimizer.base.param_groups[0][option] == bare.param_groups[0][option]


def test_a_schedule_before_the_first_step_is_still_warned_of() -> None:
    optimizer = SAM(mlp(0).parameters(), torch.optim.SGD, 0.1, lr=0.1)
    with pytest.warns(UserWarning, match=r"before `optimizer.step\(\)`"):
        lr_scheduler.StepLR(optimizer, 1).step()
