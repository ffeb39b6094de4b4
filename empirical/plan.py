"""What training some runs will take: what is there already, the passes that remain, and the time on this machine."""

import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from empirical.config import RunConfig
from empirical.data import ImageData
from empirical.datasets import DATASETS
from empirical.runs import run_folder, trained_epochs
from empirical.training import new_member, train
from empirical.workers import choose_device, single_thread

__all__ = ["PlannedRun", "plan_runs"]

_TIMED_STEPS = 4


@dataclass(frozen=True)
class PlannedRun:
    """One ensemble of a plan."""

    run_id: str
    """name of its folder"""
    trained: int
    """members that are trained"""
    members: int
    """members in all"""
    passes: int
    """forward and backward passes over a batch that remain: one for a plain step, two for one with SAM"""
    seconds: float
    """of one process for them: passes times a plain step of this network on random images, timed here"""


def plan_runs(configs: Iterable[RunConfig], root: Path, device: str = "cpu") -> list[PlannedRun]:
    """Plan the training of runs without training them.

    Args:
        configs: the ensembles.
        root: folder of all runs.
        device: ``cpu``, ``cuda`` or ``mps``.

    Returns:
        A plan for each, and for each SGD ensemble that is trained in part because SharpBalance starts from it.
    """
    place = choose_device(device)
    until = {c.first_phase: c.switch for c in configs if c.method == "sharpbalance"}
    until |= {c: c.epochs for c in configs}
    second_of: dict[RunConfig, float] = {}
    plans = []
    for config, last in until.items():
        passes = sum(_passes(root, config, seed, last) for seed in config.seeds)
        network = replace(config.first_phase, seeds=(0, 1), epochs=2, switch_epoch=0)
        if passes and network not in second_of:
            second_of[network] = _seconds_of_step(network, place)
        trained = sum((run_folder(root, config) / f"member-{seed}.safetensors").exists() for seed in config.seeds)
        seconds = passes * second_of.get(network, 0.0)
        plans.append(PlannedRun(config.run_id, trained, len(config.seeds), passes, seconds))
    return plans


def _passes(root: Path, config: RunConfig, seed: int, last: int) -> int:
    """Passes of a member up to an epoch; SharpBalance's first phase is its SGD ensemble's."""
    done = trained_epochs(root, config, seed)
    if config.method == "sharpbalance":
        done = max(done, config.switch)
    images = config.train_samples or DATASETS[config.data].extent.train - config.validation_samples
    steps = -(-images // config.batch_size)
    return max(last - done, 0) * steps * (1 if config.method == "sgd" else 2)


def _seconds_of_step(config: RunConfig, device: torch.device) -> float:
    """Time of a step of SGD, after an epoch to warm up."""
    channels, size, classes = 1, 16, 10
    if config.data != "digits":
        extent = DATASETS[config.data].extent
        channels, size, classes = extent.channels, extent.size, extent.classes
    count = _TIMED_STEPS * config.batch_size
    images = torch.randint(256, (count, channels, size, size), dtype=torch.uint8)
    labels = torch.randint(classes, (count,))
    mean, std = torch.full((channels,), 0.5), torch.full((channels,), 0.25)
    data = ImageData("random", images, labels, images[:0], labels[:0], images, labels, classes, mean, std)
    nothing = torch.zeros(count, dtype=torch.bool)
    with single_thread():
        member = new_member(config, data, 0, device)
        train(member, config, data, 1, nothing)
        start = time.perf_counter()
        train(member, config, data, 2, nothing)
        return (time.perf_counter() - start) / _TIMED_STEPS
