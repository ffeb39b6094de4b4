"""What is written down of a GPU: its name, the versions, which tests passed, and times of some steps."""

import re
import time
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import torch

from sharpdiv.empirical.devices import float32_products
from sharpdiv.empirical.optim.sharpbalance import sharpbalance_step
from sharpdiv.empirical.optim.stacked import Stack
from sharpdiv.empirical.provenance import provenance
from sharpdiv.empirical.runs.config import Precision, RunConfig
from sharpdiv.empirical.runs.gpu_time import random_images
from sharpdiv.empirical.runs.member import Member, new_member
from sharpdiv.empirical.store import save_json

__all__ = ["RESNET18", "SMALL", "times_of_stacks", "times_of_steps", "write_results"]

RESNET18 = RunConfig("sgd", data="cifar10", train_samples=None, width=64, blocks=(2, 2, 2, 2), batch_size=128)
SMALL = replace(RESNET18, width=16, blocks=(1, 1, 1, 1))
"""A network of the profile gpu."""
_WARM = 3


def times_of_steps(device: torch.device, config: RunConfig = RESNET18, steps: int = 20) -> dict[str, dict[str, float]]:
    """Milliseconds of a step, by method and precision.

    Args:
        device: where.
        config: network and size of a batch.
        steps: how many are timed, after some to warm up.

    Returns:
        For each method a time for each precision.
    """
    found: dict[str, dict[str, float]] = {}
    for method, aware in (("sgd", 0), ("sam", 2), ("sharpbalance", 1)):
        of = replace(config, method=method, rho=0.1 if aware else 0.0)
        found[method] = {
            precision: _milliseconds(device, of, aware, precision, steps) for precision in get_args(Precision)
        }
    return found


def _milliseconds(device: torch.device, config: RunConfig, aware: int, precision: str, steps: int) -> float:
    member, images, labels = _prepared(device, config)
    mask = torch.arange(len(labels)) % 2 < aware
    autocast = torch.bfloat16 if precision == "bfloat16" else None
    with float32_products(tf32=precision == "tf32"):
        for step in range(_WARM + steps):
            if step == _WARM:
                began = _now(device)
            sharpbalance_step(member.model, member.optimizer, images, labels, mask, autocast=autocast)
        return 1e3 * (_now(device) - began) / steps


def times_of_stacks(
    device: torch.device, config: RunConfig = SMALL, members: Iterable[int] = (1, 4, 12), steps: int = 20
) -> dict[str, float]:
    """Milliseconds of a step of SAM for some members as one.

    Args:
        device: where.
        config: network and size of a batch.
        members: how many are stacked.
        steps: how many are timed, after some to warm up.

    Returns:
        A time for each number of members: the same times their number is what members alone would take.
    """
    found = {}
    of = replace(config, method="sam", rho=0.1)
    for count in members:
        prepared = [_prepared(device, of) for _ in range(count)]
        stack = Stack([m.model for m, _, _ in prepared], [m.optimizer for m, _, _ in prepared])
        images, labels = (torch.stack(part) for part in zip(*(rest for _, *rest in prepared), strict=True))
        with float32_products():
            for step in range(_WARM + steps):
                if step == _WARM:
                    began = _now(device)
                stack.step(images, labels, 0.01)
            found[str(count)] = 1e3 * (_now(device) - began) / steps
    return found


def _prepared(device: torch.device, config: RunConfig) -> tuple[Member, torch.Tensor, torch.Tensor]:
    """A member and a batch."""
    data = random_images(config, config.batch_size)
    member = new_member(config, data, 0, device)
    member.model.train()
    return member, data.normalize(data.train_images.to(device)), data.train_labels.to(device)


def _now(device: torch.device) -> float:
    """Seconds, when all is done."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def write_results(folder: Path, device: torch.device, tests: Mapping[str, str], times: Mapping[str, Any]) -> Path:
    """Write a file that is named after the device.

    Args:
        folder: where.
        device: what was tested.
        tests: what came out, by name of the test.
        times: times by what was timed.

    Returns:
        Path of the file.
    """
    about = provenance(device)
    name = re.sub(r"[^\w.-]+", "-", str(about["processor"])).strip("-")
    path = folder / f"{name}.json"
    save_json(path, {"about": about, "tests": dict(tests), "milliseconds": dict(times)})
    return path
