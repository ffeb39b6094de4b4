"""Members of SGD and SAM trained together, as one stack: the files that ``train_runs`` writes and goes on from, in few operations.

What SharpBalance starts from is kept on the way. A member's order, augmentation, rate and history are those of training alone; its
weights differ from those by rounding, which grows as training is chaotic: its record says how many members there were.
"""

import math
import time
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch

from sharpdiv.empirical.data.splits import ImageData, TrainingImages
from sharpdiv.empirical.devices import float32_products, moved
from sharpdiv.empirical.engines.workers import choose_device, single_thread
from sharpdiv.empirical.errors import StoreError
from sharpdiv.empirical.optim.methods import METHODS, Treated, sam_around_sgd
from sharpdiv.empirical.optim.stacked import Stack
from sharpdiv.empirical.provenance import provenance
from sharpdiv.empirical.runs.config import RunConfig
from sharpdiv.empirical.runs.ensembles import CHECKPOINT_SECONDS, Progress, load_run_data
from sharpdiv.empirical.runs.folders import (
    checkpoint_path,
    checkpoints,
    create,
    first_phase_path,
    locked,
    remove_checkpoints,
    require_same_data,
    run_folder,
)
from sharpdiv.empirical.runs.member import Member, batches_of_epoch, load_member, new_member, save_member, stream
from sharpdiv.empirical.store import load_json, save_json

__all__ = ["stackable", "train_held", "train_stacked"]


def stackable(config: RunConfig) -> bool:
    """Whether members of a run can be in a stack: of SGD or SAM, whole batches, in float32.

    Args:
        config: configuration of the run.

    Returns:
        Whether they can.

    Examples:
        >>> from sharpdiv import RunConfig
        >>> from sharpdiv.empirical.runs.stacked import stackable
        >>> stackable(RunConfig("sam", rho=0.1)), stackable(RunConfig("sharpbalance", rho=0.1))
        (True, False)
    """
    method = METHODS[config.method]
    alone = config.m or config.compile or config.clip_norm is not None or config.precision == "bfloat16"
    return method.treated != Treated.SETS and method.optimizer is sam_around_sgd and not alone


@dataclass(frozen=True)
class _How:
    """How a stack is trained."""

    device: torch.device
    checkpoint_seconds: float
    progress: Progress


@dataclass
class _Place:
    """A member, and where it is kept."""

    root: Path
    config: RunConfig
    member: Member
    stops: tuple[int, ...]
    """epochs whose state is kept: that of an exchange, the last one"""
    seconds: float = 0.0
    """time since the last stop, an equal share of the stack's"""

    @property
    def since(self) -> int:
        """The last stop at or before the member's epoch."""
        return max((stop for stop in self.stops if stop <= self.member.epoch), default=0)

    def path(self, epoch: int) -> Path:
        """Where the state of the first stop from an epoch on is kept."""
        if epoch <= self.config.switch < self.config.epochs and self.config.switch in self.stops:
            return first_phase_path(self.root, self.config, self.member.seed)
        return run_folder(self.root, self.config) / f"member-{self.member.seed}.safetensors"


def train_stacked(
    configs: Iterable[RunConfig],
    root: Path,
    *,
    device: str = "cpu",
    checkpoint_seconds: float = CHECKPOINT_SECONDS,
    progress: Progress = lambda *_: None,
) -> None:
    """Train all members of SGD and SAM that can be stacked, and are not trained yet; ``train_runs`` does the rest.

    A member whose loss stops being finite leaves the stack: trained alone, it says so.

    Args:
        configs: configurations of ensembles; those of SharpBalance have their first phase trained.
        root: folder of all runs.
        device: name of the device: ``cpu``, ``cuda`` or ``mps``.
        checkpoint_seconds: least time between two checkpoints, which are written at ends of epochs.
        progress: listener, told after every epoch.

    Raises:
        StoreError: if a stored file is damaged, a member was trained on other images, or another process trains one of the runs.

    Examples:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from sharpdiv import RunConfig
        >>> from sharpdiv.empirical.runs.folders import training_record
        >>> from sharpdiv.empirical.runs.stacked import train_stacked
        >>> config = RunConfig("sgd", seeds=(0, 1), width=2, blocks=(1,), epochs=2, train_samples=50)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     train_stacked([config], Path(folder))
        ...     training_record(Path(folder), config, seed=0)["stacked"]
        2
    """
    configs, place = list(configs), choose_device(device)
    with locked(create(root, config) for config in _stops(configs)):
        train_held(configs, root, place, checkpoint_seconds=checkpoint_seconds, progress=progress)


def train_held(
    configs: Iterable[RunConfig],
    root: Path,
    device: torch.device,
    *,
    checkpoint_seconds: float = CHECKPOINT_SECONDS,
    progress: Progress = lambda *_: None,
) -> None:
    """``train_stacked`` for who has made the folders of the runs, and keeps others from them.

    Args:
        configs: configurations of ensembles.
        root: folder of all runs.
        device: device to train on.
        checkpoint_seconds: least time between two checkpoints.
        progress: listener, told after every epoch.

    Raises:
        StoreError: if a stored file is damaged, or a member was trained on other images.

    Example: see ``train_stacked``, which calls it.
    """
    stops, how = _stops(list(configs)), _How(device, checkpoint_seconds, progress)
    with single_thread():
        for group in _groups(stops):
            require_same_data(root, group, load_run_data)
            _train_group({config: stops[config] for config in group}, root, how)


def _stops(configs: list[RunConfig]) -> dict[RunConfig, tuple[int, ...]]:
    """Epochs whose state is kept, of every run that can be stacked."""
    stops: dict[RunConfig, set[int]] = {config: {config.epochs} for config in configs if stackable(config)}
    for config in configs:
        if METHODS[config.method].treated != Treated.ALL and stackable(config.start):
            stops.setdefault(config.start, set()).add(config.switch)
    return {config: tuple(sorted(epochs)) for config, epochs in stops.items()}


def _groups(configs: Iterable[RunConfig]) -> list[list[RunConfig]]:
    """Runs that differ in method, rho and seeds alone, whose members make one stack."""
    groups: dict[RunConfig, list[RunConfig]] = {}
    for config in configs:
        # The exchange does not matter to how a member is trained.
        key = replace(config, method="sgd", rho=0.0, adaptive=False, seeds=(0, 1), switch_epoch=0)
        groups.setdefault(replace(key, method="sam", rho=1.0, adaptive=config.adaptive), []).append(config)
    return list(groups.values())


def _train_group(stops: dict[RunConfig, tuple[int, ...]], root: Path, how: _How) -> None:
    """Train the members of one stack to their ends; those that are behind are trained until they have caught up."""
    data = load_run_data(next(iter(stops)))
    places = _resumed(stops, root, data, how.device)
    total = sum(place.stops[-1] for place in places)
    while left := [p for p in places if p.member.epoch < p.stops[-1]]:
        behind = min(place.member.epoch for place in left)
        together = [place for place in left if place.member.epoch == behind]
        ahead = [place.member.epoch for place in left if place.member.epoch > behind]
        until = min([*ahead, *(stop for place in together for stop in place.stops if stop > behind)])
        lost = _train_together(together, data, until, how, partial(_tell, how.progress, places, total))
        places = [place for place in places if place not in lost]


def _tell(progress: Progress, places: list[_Place], total: int) -> None:
    progress("training", sum(place.member.epoch for place in places), total)


def _resumed(
    stops: dict[RunConfig, tuple[int, ...]], root: Path, data: ImageData, device: torch.device
) -> list[_Place]:
    """The members that are left, where they go on.

    Rounding depends on who else is in the stack. Of a process that was killed while it kept the states of an epoch, some are there
    and some are not: all go on from those before, which are removed last, also members that are trained.

    Returns:
        Members, in the order of their runs and seeds.
    """
    every = [(config, seed, kept) for config, kept in stops.items() for seed in config.seeds]
    trained = {(c, seed): (run_folder(root, c) / f"member-{seed}.safetensors").exists() for c, seed, _ in every}
    opened = {one: _opened(root, *one, data, device) for one in every if not trained[one[:2]]}
    behind = min((place.member.epoch for place in opened.values()), default=-1)
    for one in every:
        config, seed, _ = one
        folder = run_folder(root, config)
        ahead = one not in opened or opened[one].member.epoch > behind
        if ahead and checkpoint_path(folder, seed, behind).exists():
            opened[one] = _opened(root, *one, data, device, latest=behind)
        elif one not in opened:
            remove_checkpoints(folder, seed, range(config.epochs))
    return [opened[one] for one in every if one in opened]


def _opened(
    root: Path,
    config: RunConfig,
    seed: int,
    stops: tuple[int, ...],
    data: ImageData,
    device: torch.device,
    latest: int | None = None,
) -> _Place:
    """A member at the last state of it that is whole, at most the latest, or new."""
    folder, first = run_folder(root, config), first_phase_path(root, config, seed)
    until = config.epochs if latest is None else latest + 1
    states = checkpoints(folder, seed, range(until))
    if first.exists():
        stops = tuple(sorted({config.switch, *stops}))
        if config.switch < until:
            states = [*checkpoints(folder, seed, range(config.switch + 1, until)), first]
    elif config.switch in stops:  # what is past the exchange has left nothing to start from
        states = checkpoints(folder, seed, range(min(until, config.switch)))
    found = next((member for path in states if (member := _loaded(path, config, data, seed, device))), None)
    place = _Place(root, config, found or new_member(config, data, seed, device), stops)
    record = place.path(place.member.epoch + 1).with_suffix(".json")
    if place.member.epoch > place.since and record.exists():
        place.seconds = load_json(record)["seconds"]
    return place


def _loaded(path: Path, config: RunConfig, data: ImageData, seed: int, device: torch.device) -> Member | None:
    """A member's state; a damaged one is named and left out."""
    try:
        return load_member(path, config, data, seed, device)
    except StoreError as error:
        warnings.warn(f"{error}; going on from the checkpoint before", RuntimeWarning, stacklevel=2)
        return None


def _train_together(
    places: list[_Place], data: ImageData, until: int, how: _How, tell: Callable[[], None]
) -> list[_Place]:
    """Train members of one epoch to another, and keep them there.

    Returns:
        Those whose loss stopped being finite, which are not kept.
    """
    config, members = places[0].config, [place.member for place in places]
    images = TrainingImages(data, next(members[0].model.parameters()).device, config.augment)
    for member in members:
        member.model.train()
    if members[0].epoch == 0:
        for place in places:
            save_member(
                checkpoint_path(run_folder(place.root, place.config), place.member.seed, 0),
                place.member,
                place.config.run_id,
            )
    stack = Stack([m.model for m in members], [m.optimizer for m in members])
    began = time.perf_counter()
    for epoch in range(members[0].epoch, until):
        with float32_products(tf32=config.precision == "tf32"):
            losses = _train_epoch(stack, members, config, images, epoch)
        for place, loss in zip(places, losses, strict=True):
            place.member.losses.append(loss)
            place.member.sam_samples.append(len(images.labels) if place.config.rho else 0)
        tell()
        lost = [place for place, loss in zip(places, losses, strict=True) if not math.isfinite(loss)]
        last = bool(lost) or epoch + 1 == until
        if last or time.perf_counter() - began >= how.checkpoint_seconds:
            stack.unstack()
            spent, began = time.perf_counter() - began, time.perf_counter()
            kept = [place for place in places if place not in lost]
            for place in kept:
                _save(place, data, spent / len(places), len(places))
            for place in kept:  # until all are there, those before are needed
                _clear(place)
        if last:
            return lost
    return []


def _train_epoch(
    stack: Stack, members: Sequence[Member], config: RunConfig, images: TrainingImages, epoch: int
) -> list[float]:
    """One pass over the training images, each member in its own order; the device is waited for once, at the end."""
    generators = [torch.Generator().manual_seed(stream(member.seed, 1, epoch)) for member in members]
    orders = [torch.randperm(len(images.labels), generator=generator) for generator in generators]
    draws = [crops for generator in generators if (crops := images.draw(generator)) is not None]
    crops, order = torch.stack(draws) if draws else None, moved(torch.stack(orders), images.device)
    rows = torch.arange(len(members), device=images.device)[:, None]
    sizes = [len(batch) for batch in batches_of_epoch(orders[0], config.batch_size)]
    total = torch.zeros(len(members), device=images.device)
    for number, index in enumerate(order.split(sizes, dim=1)):
        cut = None if crops is None else crops[rows, index].flatten(0, 1)
        batch = images.cut(index.flatten(), cut).unflatten(0, index.shape)
        rate = config.learning_rate_at(epoch + number / len(sizes))
        total += stack.step(batch, images.labels[index], rate) * index.shape[1]
    return [loss / len(images.labels) for loss in total.tolist()]


def _save(place: _Place, data: ImageData, seconds: float, members: int) -> None:
    """Keep a member, with what its record says: where the run is looked for if this is a stop, else beside it."""
    config, member = place.config, place.member
    folder, path = run_folder(place.root, config), place.path(member.epoch)
    stops = member.epoch in place.stops
    start = max((stop for stop in place.stops if stop < member.epoch), default=0)
    where = provenance(next(member.model.parameters()).device, tf32=config.precision == "tf32")
    place.seconds += seconds
    spent = {"seconds": place.seconds, "from_epoch": start, "stacked": members}
    save_json(path.with_suffix(".json"), {**where, "data_sha256": data.source, **spent})
    if member.epoch < place.stops[-1]:
        save_member(checkpoint_path(folder, member.seed, member.epoch), member, config.run_id)
    if stops:
        save_member(path, member, config.run_id)
        place.seconds = 0.0


def _clear(place: _Place) -> None:
    """Remove checkpoints that are of no more use: all but the last two, or all at the end."""
    folder, ends = run_folder(place.root, place.config), place.member.epoch == place.stops[-1]
    remove_checkpoints(folder, place.member.seed, range(place.config.epochs), keep=0 if ends else 2)
