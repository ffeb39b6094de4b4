"""The sweep over ascents: every member of a network trained to the same losses in every way, kept member by member.

runs/ascents/<network>/<regime>/<seed>.safetensors   what one member did, by each way to train
runs/reproduce/<results>                             inner products of errors, steps, traces, norms
"""

import time
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sharpdiv.checks.ascents.networks import (
    CONSTANTS,
    RATE,
    Ascent,
    FittedNetwork,
    Regime,
    Sweep,
    largest_eigenvalue,
)
from sharpdiv.checks.ascents.results import Fitted, FittedRegime
from sharpdiv.empirical.devices import float32_products
from sharpdiv.empirical.engines.graph import Graph, Piece
from sharpdiv.empirical.engines.pool import Pool
from sharpdiv.empirical.engines.workers import choose_device, single_thread
from sharpdiv.empirical.engines.working import work
from sharpdiv.empirical.errors import DivergenceError
from sharpdiv.empirical.lazy.equal_loss import EqualLoss, train_to_losses
from sharpdiv.empirical.provenance import provenance
from sharpdiv.empirical.runs.ensembles import Progress
from sharpdiv.empirical.runs.plan import PlannedRun
from sharpdiv.empirical.store import digest, load_tensors, save_json, save_tensors

__all__ = ["plan_sweep", "run_sweep", "sweep_pieces"]

_MOST_STEPS = 3000
"""The first network's members needed 240 to 370 steps for the last loss, and up to 980 in the lazy regime."""
_USUAL_STEPS = 400
_COST = 35_000.0
"""Of a member trained in one way, in the units of ``Piece``: as a rule, to say how much is left."""
_NEVER = (1e-6,)
"""A loss that is not reached in a few steps."""


def run_sweep(
    sweep: Sweep,
    root: Path,
    *,
    device: str = "cpu",
    workers: int | None = None,
    progress: Progress = lambda *_: None,
) -> dict[str, Any]:
    """Train whatever of a sweep is not done yet.

    Args:
        sweep: networks.
        root: folder of all runs.
        device: ``cpu``, ``cuda`` or ``mps``.
        workers: number of processes; one per CPU core, and 1 on a GPU, unless given.
        progress: listener, told after every finished piece.

    Returns:
        Results of every network and regime, as JSON values.
    """
    place = choose_device(device)
    work(Graph(_members(sweep, root, place, 0)), Pool(place, workers), partial(progress, "ascents"))
    return _results(sweep, root, place)


def sweep_pieces(sweep: Sweep, root: Path, target: Path, device: torch.device, priority: int = 0) -> list[Piece]:
    """A sweep as pieces of work: members, and the file of all results.

    Args:
        sweep: networks.
        root: folder of all runs.
        target: folder of results.
        device: device to train on.
        priority: of the pieces.

    Returns:
        The pieces.
    """
    members = _members(sweep, root, device, priority)
    names = tuple(piece.name for piece in members)
    save = partial(_save, sweep, root, target, device)
    return [*members, Piece("results of the sweep over ascents", save, names, 0.0, priority)]


def _members(sweep: Sweep, root: Path, device: torch.device, priority: int) -> list[Piece]:
    return [
        Piece(
            f"ascents: member {seed} of network {number}, {regime.name}",
            partial(_train_member, root, network, regime, seed, device),
            (),
            0.0 if _path(root, network, regime, seed).exists() else _COST * len(network.ascents),
            priority,
        )
        for number, network in enumerate(sweep.networks)
        for regime in network.regimes
        for seed in network.seeds
    ]


def _results(sweep: Sweep, root: Path, device: torch.device) -> dict[str, Any]:
    """Results of every network and regime, as JSON values."""
    found = [_assembled(root, network, regime) for network in sweep.networks for regime in network.regimes]
    return {"ascents": [regime.to_json() for regime in found], "provenance": provenance(device), "settings": CONSTANTS}


def _save(sweep: Sweep, root: Path, target: Path, device: torch.device) -> None:
    save_json(target / sweep.results, _results(sweep, root, device))


def plan_sweep(sweep: Sweep, root: Path, device: str = "cpu") -> list[PlannedRun]:
    """What a sweep will take, in the terms of ``plan_runs``; steps until the losses are those of the first network.

    Args:
        sweep: networks.
        root: folder of all runs.
        device: ``cpu``, ``cuda`` or ``mps``.

    Returns:
        A plan for each network and regime.
    """
    place, plans = choose_device(device), []
    for network in sweep.networks:
        with single_thread():
            seconds = sum(_seconds_of_step(network, ascent, place) for ascent in network.ascents)
        for regime in network.regimes:
            left = sum(not _path(root, network, regime, seed).exists() for seed in network.seeds)
            steps = left * _USUAL_STEPS
            passes = steps * sum(2 if ascent.fraction else 1 for ascent in network.ascents)
            name = f"ascents {network.name}, {regime.name}"
            plans.append(PlannedRun(name, network.members - left, network.members, passes, steps * seconds))
    return plans


def _seconds_of_step(network: FittedNetwork, ascent: Ascent, device: torch.device) -> float:
    """Time of a step, of five after one to warm up."""
    problem, model = network.problem().to(device), network.initialized(0).to(device)
    seconds = 0.0
    for steps in (1, 5):
        start = time.perf_counter()
        train_to_losses(model, problem, _NEVER, rho=1e-3, learning_rate=1e-3, m=ascent.m or None, most_steps=steps)
        seconds = (time.perf_counter() - start) / steps
    return seconds


@float32_products()
def _train_member(root: Path, network: FittedNetwork, regime: Regime, seed: int, device: torch.device) -> None:
    """One member, trained in every way from one initialization; what diverged is left out."""
    path = _path(root, network, regime, seed)
    if path.exists():
        load_tensors(path)
        return
    problem, model = network.problem().to(device), network.initialized(seed).to(device)
    largest = largest_eigenvalue(model, problem)
    tensors: dict[str, Tensor] = {}
    for ascent in network.ascents:
        try:
            found = train_to_losses(
                model,
                problem,
                network.losses,
                rho=ascent.fraction / largest,
                learning_rate=RATE / largest,
                m=ascent.m or None,
                alpha=regime.alpha,
                subtract_initial=regime.subtract_initial,
                most_steps=_MOST_STEPS,
                seed=seed,
            )
        except DivergenceError:
            continue
        tensors |= {f"{_key(ascent.fraction, ascent.m)}.{name}": value for name, value in vars(found).items()}
    save_tensors(path, tensors)


def _key(fraction: float, m: int) -> str:
    return f"{fraction:g}-{m}"


def _path(root: Path, network: FittedNetwork, regime: Regime, seed: int) -> Path:
    """Where a member is; its folder ends in a hash of all that it depends on."""
    member = {name: value for name, value in asdict(network).items() if name not in {"regimes", "members"}}
    name = digest({**member, **asdict(regime), **CONSTANTS, "most_steps": _MOST_STEPS})[:12]
    return root / "ascents" / f"{network.kind}-{network.activation}-{name}" / f"{seed}.safetensors"


def _assembled(root: Path, network: FittedNetwork, regime: Regime) -> FittedRegime:
    """Members of a network in a regime, without what they say of single test samples."""
    files = [load_tensors(_path(root, network, regime, seed))[0] for seed in network.seeds]
    targets = network.test_targets().double().numpy()
    fitted = {}
    for ascent in network.ascents:
        key = _key(ascent.fraction, ascent.m)
        members = [_member(tensors, key) or _missing(network) for tensors in files]
        fitted[ascent] = _gathered(members, targets, network.last_layer)
    return FittedRegime(network, regime, fitted)


def _member(tensors: dict[str, Tensor], key: str) -> EqualLoss | None:
    parts = {name: f"{key}.{name}" for name in EqualLoss.__dataclass_fields__}
    if not tensors.keys() >= set(parts.values()):
        return None
    return EqualLoss(**{name: tensors[stored] for name, stored in parts.items()})


def _missing(network: FittedNetwork) -> EqualLoss:
    """A member that diverged: NaN in the shapes of one that did not."""
    levels, trained = len(network.losses), len(list(network.initialized(0).parameters()))
    number = torch.full((levels,), torch.nan, dtype=torch.float64)
    predictions = torch.full((levels, *network.test_targets().shape), torch.nan)
    return EqualLoss(predictions, number, number, torch.full((levels, trained), torch.nan))


def _gathered(members: list[EqualLoss], targets: np.ndarray, last_layer: int) -> Fitted:
    errors = np.stack([member.predictions.double().numpy() - targets for member in members])
    products = np.einsum("mltc,nltc->lmn", errors, errors) / len(targets)
    norms = np.stack([member.squared_norms.double().numpy() for member in members])
    return Fitted(
        products=products[:, *np.tril_indices(len(members))],
        steps=np.stack([member.steps.numpy() for member in members]),
        trace=np.stack([member.trace.numpy() for member in members]),
        last_norm=norms[:, :, last_layer],
        norm=norms.sum(axis=2),
    )
