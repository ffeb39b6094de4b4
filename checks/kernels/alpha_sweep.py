"""The lazy-to-rich dial: small networks predicted from their tangent kernels at initialization, and then trained.

For every network and seed the kernel is taken once; theory turns it into predictions for every optimizer and step. The same
initialization is trained at every alpha, and both are kept side by side:

    runs/dial/<network>/kernel-<seed>.safetensors          predictions, and the learning rates and radii they are for
    runs/dial/<network>/trained-<seed>-<alpha>.safetensors what training gave
    runs/reproduce/<results>                                inner products of errors, losses, sharpness of both

The learning rate is ``0.5 / x_max`` and SAM's radius ``fraction / x_max``, x_max the largest eigenvalue of the member's own
kernel, so that every member is stable up to the fraction 3 in the lazy limit.
"""

import time
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import torch

from sharpdiv.checks.kernels.alpha_members import folder_of, member_of, predict_member, train_member
from sharpdiv.checks.kernels.alpha_results import assemble
from sharpdiv.checks.kernels.dials import ASCENT_STEPS, CONSTANTS, LIMIT, Dial, Network
from sharpdiv.empirical.engines.graph import Graph, Piece
from sharpdiv.empirical.engines.pool import Pool
from sharpdiv.empirical.engines.workers import choose_device, single_thread
from sharpdiv.empirical.engines.working import work
from sharpdiv.empirical.provenance import provenance
from sharpdiv.empirical.runs.ensembles import Progress
from sharpdiv.empirical.runs.plan import PlannedRun
from sharpdiv.empirical.store import save_json

__all__ = ["dial_pieces", "plan_dial", "run_dial"]

_KERNEL_COST = 35_000.0
"""Of a kernel, in the units of ``Piece``, half of a training's: as a rule, to say how much is left."""


def run_dial(
    dial: Dial,
    root: Path,
    *,
    device: str = "cpu",
    workers: int | None = None,
    progress: Progress = lambda *_: None,
) -> dict[str, Any]:
    """Predict and train whatever of a dial is not done yet.

    Args:
        dial: to run.
        root: folder of all runs.
        device: ``cpu``, ``cuda`` or ``mps``, beside which the CPU does what is in float64.
        workers: processes; default one per CPU core, and 1 on a GPU.
        progress: told after every finished piece.

    Returns:
        Predictions and measurements of every network, as JSON values.
    """
    place = choose_device(device)
    work(Graph(_members(dial, root, place, 0)), Pool(place, workers), partial(progress, "dial"))
    return _assembled(dial, root, place)


def dial_pieces(dial: Dial, root: Path, target: Path, device: torch.device, priority: int = 0) -> list[Piece]:
    """A dial as pieces of work: kernels, trainings, and the file of all results.

    Args:
        dial: to run.
        root: folder of all runs.
        target: folder of results.
        device: device to train on.
        priority: of the pieces.

    Returns:
        The pieces.
    """
    members = _members(dial, root, device, priority)
    names = tuple(piece.name for piece in members)
    return [*members, Piece("results of the dial", partial(_save, dial, root, target, device), names, 0.0, priority)]


def _members(dial: Dial, root: Path, device: torch.device, priority: int) -> list[Piece]:
    """Kernels, and trainings at rates that these give."""
    pieces = []
    for number, network in enumerate(dial.networks):
        seeds, folder = range(max(len(dial.seeds(alpha)) for alpha in network.alphas)), folder_of(root, dial, network)
        kernels = {seed: f"dial: kernel {seed} of network {number}" for seed in seeds}
        for seed, name in kernels.items():
            predict = partial(predict_member, root, dial, network, seed, device)
            cost = 0.0 if (folder / f"kernel-{seed}.safetensors").exists() else _KERNEL_COST
            pieces.append(Piece(name, predict, (), cost, priority))
        for alpha in network.alphas:
            for seed in dial.seeds(alpha):
                train = partial(train_member, root, dial, network, seed, alpha, device)
                name = f"dial: member {seed} of network {number} at {alpha:g}"
                cost = 0.0 if (folder / f"trained-{seed}-{alpha:g}.safetensors").exists() else 2 * _KERNEL_COST
                pieces.append(Piece(name, train, (kernels[seed],), cost, priority))
    return pieces


def _assembled(dial: Dial, root: Path, device: torch.device) -> dict[str, Any]:
    """All results, as JSON values."""
    settings = {name: value for name, value in asdict(dial).items() if name not in {"networks", "results"}}
    networks = [assemble(root, dial, network).to_json() for network in dial.networks]
    return {"dial": settings | CONSTANTS | {"limit": LIMIT}, "provenance": provenance(device), "networks": networks}


def _save(dial: Dial, root: Path, target: Path, device: torch.device) -> None:
    save_json(target / dial.results, _assembled(dial, root, device))


def plan_dial(dial: Dial, root: Path, device: str = "cpu") -> list[PlannedRun]:
    """What a dial will take, in the terms of ``plan_runs``; kernels and their eigenvalues are not counted.

    Args:
        dial: to run.
        root: folder of all runs.
        device: ``cpu``, ``cuda`` or ``mps``.

    Returns:
        A plan for each network; its members are counted once for each alpha.
    """
    place = choose_device(device)
    plans = []
    for network in dial.networks:
        folder = folder_of(root, dial, network)
        members = [(seed, alpha) for alpha in network.alphas for seed in dial.seeds(alpha)]
        left = sum(not (folder / f"trained-{seed}-{alpha:g}.safetensors").exists() for seed, alpha in members)
        looks = len(dial.snapshots) * (ASCENT_STEPS + 3)
        steps = len(network.optimizers) * (2 * len(dial.fractions) - 1) * dial.snapshots[-1]
        passes = left * (steps + len(network.optimizers) * len(dial.fractions) * looks)
        seconds = passes * _seconds_of_pass(dial, network, place) if passes else 0.0
        plans.append(PlannedRun(f"dial {network.name}", len(members) - left, len(members), passes, seconds))
    return plans


def _seconds_of_pass(dial: Dial, network: Network, device: torch.device) -> float:
    """Time of a forward and backward pass over the training images, after one to warm up."""
    with single_thread():
        model, (train, _, _) = member_of(dial, network, 0, device)
        for _ in range(2):
            start = time.perf_counter()
            model(train).square().sum().backward()
        return time.perf_counter() - start
