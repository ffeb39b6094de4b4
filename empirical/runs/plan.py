"""What training some runs will take: what is there already, the passes that remain, the time here, the work for a GPU."""

import time
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

import torch
from torch.utils.flop_counter import FlopCounterMode

from sharpdiv.empirical.data.datasets import DATASETS
from sharpdiv.empirical.engines.workers import choose_device, single_thread
from sharpdiv.empirical.optim.methods import METHODS, Treated
from sharpdiv.empirical.runs.config import RunConfig
from sharpdiv.empirical.runs.folders import lacks_first_phase, run_folder, trained_epochs
from sharpdiv.empirical.runs.gpu_time import Work, operations_of_step, random_images
from sharpdiv.empirical.runs.member import new_member, train

__all__ = ["PlannedRun", "forward_flops", "plan_runs", "training_work"]

_TIMED_STEPS = 4
_TIMED_FLOPS = 5e9
"""Additions and multiplications of a step that is timed on a CPU, some tenths of a second; ResNet-18 has a hundred times that."""


@dataclass(frozen=True)
class PlannedRun:
    """One ensemble of a plan.

    Example: see ``plan_runs``.
    """

    run_id: str
    """name of its folder"""
    trained: int
    """number of members that are trained"""
    members: int
    """number of members in all"""
    passes: int
    """number of forward and backward passes over a batch that remain: one for a plain step, two for one with SAM"""
    seconds: float | None
    """time that one process takes for them: passes times a plain step of this network on random images, timed here; None where a
    step is too large to be timed on a CPU"""
    work: Work = field(default_factory=Work)
    """what a GPU would have to do"""


def plan_runs(configs: Iterable[RunConfig], root: Path, device: str = "cpu") -> list[PlannedRun]:
    """Plan the training of runs without training them.

    Args:
        configs: configurations of the ensembles.
        root: folder of all runs.
        device: name of the device: ``cpu``, ``cuda`` or ``mps``.

    Returns:
        A plan for each, and for each ensemble that is trained in part because SharpBalance starts from it.

    Examples:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from sharpdiv import RunConfig, plan_runs
        >>> config = RunConfig("sgd", seeds=(0, 1), width=2, blocks=(1,), epochs=3, train_samples=100)  # two batches of 50
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     (plan,) = plan_runs([config], Path(folder))
        >>> plan.trained, plan.members, plan.passes  # two members, three epochs, two batches
        (0, 2, 12)
    """
    place = choose_device(device)
    second_of: dict[RunConfig, float | None] = {}
    plans = []
    configs = list(configs)
    starts = {c.start for c in configs if METHODS[c.method].treated == Treated.SETS}
    for config, last in _last_epochs(configs).items():
        passes = sum(_passes(root, config, seed, last, config in starts) for seed in config.seeds)
        network = replace(config.plain, seeds=(0, 1), epochs=2, switch_epoch=0)
        if passes and network not in second_of:
            small = place.type != "cpu" or _flops_of_pass(network) <= _TIMED_FLOPS
            second_of[network] = _seconds_of_step(network, place) if small else None
        step = second_of[network] if passes else 0.0
        trained = sum((run_folder(root, config) / f"member-{seed}.safetensors").exists() for seed in config.seeds)
        seconds = None if step is None else passes * step
        plans.append(PlannedRun(config.run_id, trained, len(config.seeds), passes, seconds, _work(config, passes)))
    return plans


def _work(config: RunConfig, passes: int) -> Work:
    """What a GPU has to do for some passes of a run."""
    if not passes:
        return Work()
    return Work(passes * _flops_of_pass(config), passes // _passes_of_step(config) * operations_of_step(config))


def _flops_of_pass(config: RunConfig) -> float:
    """Forward and backward, which has twice as many as forward, of a batch of mean size."""
    return 3 * forward_flops(config) * _training_images(config) / _steps(config)


def training_work(configs: Iterable[RunConfig]) -> list[Work]:
    """What a GPU has to do to train some runs from the beginning, by arithmetic alone.

    A backward pass has twice the operations of a forward pass. SharpBalance is counted as two passes for every image after
    its first phase, as many as it can have; scoring, measuring and reading images are not counted.

    Args:
        configs: configurations of the ensembles; an SGD ensemble that SharpBalance starts from is counted once.

    Returns:
        The work of each ensemble.

    Examples:
        >>> from sharpdiv import RunConfig
        >>> from sharpdiv.empirical.runs.plan import training_work
        >>> (sgd,), (sam,) = (training_work([config]) for config in (RunConfig("sgd"), RunConfig("sam", rho=0.1)))
        >>> sam.flops / sgd.flops
        2.0
    """
    works = []
    for config, last in _last_epochs(configs).items():
        done = config.switch if METHODS[config.method].treated == Treated.SETS else 0
        passes = (last - done) * _steps(config) * _passes_of_step(config) * len(config.seeds)
        works.append(_work(config, passes))
    return works


def forward_flops(config: RunConfig) -> int:
    """Operations of the network on one image: additions and multiplications of its convolutions and its head.

    Args:
        config: configuration whose width, blocks and data set matter. Weights that are fixed at 0 are multiplied all the same.

    Returns:
        The operations, counted on tensors without content.

    Examples:
        >>> from sharpdiv import RunConfig
        >>> from sharpdiv.empirical.runs.plan import forward_flops
        >>> forward_flops(RunConfig("sgd", width=1, blocks=(1,)))  # three 3x3 convolutions of 16x16 pixels, and 10 outputs
        13844
        >>> 3 * 2 * 9 * 16 * 16 + 2 * 10
        13844
    """
    return _forward_flops(config.data, config.width, config.blocks, config.stem_stride)


@cache
def _forward_flops(data: str, width: int, blocks: tuple[int, ...], stem_stride: int | None) -> int:
    config = RunConfig("sgd", data=data, width=width, blocks=blocks, stem_stride=stem_stride)
    images = random_images(config, 1)
    with torch.device("meta"), FlopCounterMode(display=False) as counter:
        new_member(config, images, 0, torch.device("meta")).model.eval()(torch.empty(images.train_images.shape))
    return int(counter.get_total_flops())


def _last_epochs(configs: Iterable[RunConfig]) -> dict[RunConfig, int]:
    """Runs with the epoch they are trained to; of the ensembles that SharpBalance starts from, its first phase at least."""
    configs = list(configs)
    until = {c.start: c.switch for c in configs if METHODS[c.method].treated == Treated.SETS}
    return until | {c: c.epochs for c in configs}


def _passes(root: Path, config: RunConfig, seed: int, last: int, start: bool) -> int:
    """Passes of a member up to an epoch; SharpBalance's first phase is another ensemble's, whose ``start`` must be kept."""
    done = trained_epochs(root, config, seed)
    if METHODS[config.method].treated == Treated.SETS:
        done = max(done, config.switch)
    # SAM that went past its first phase before anyone asked for it goes through it again.
    again = config.switch if start and done >= config.switch and lacks_first_phase(root, config, seed) else 0
    return (max(last - done, 0) + again) * _steps(config) * _passes_of_step(config)


def _steps(config: RunConfig) -> int:
    """Steps of an epoch."""
    return -(-_training_images(config) // config.batch_size)


def _training_images(config: RunConfig) -> int:
    return config.train_samples or DATASETS[config.data].extent.train - config.validation_samples


def _passes_of_step(config: RunConfig) -> int:
    return METHODS[config.method].passes


def _seconds_of_step(config: RunConfig, device: torch.device) -> float:
    """Time of a step of SGD, after an epoch to warm up."""
    count = _TIMED_STEPS * config.batch_size
    data = random_images(config, count)
    nothing = torch.zeros(count, dtype=torch.bool)
    with single_thread():
        member = new_member(config, data, 0, device)
        train(member, config, data, 1, nothing)
        start = time.perf_counter()
        train(member, config, data, 2, nothing)
        return (time.perf_counter() - start) / _TIMED_STEPS
