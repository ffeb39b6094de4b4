"""Runs: a configuration, its folder, and the steps from initialisation to trained members.

Every step writes one file and is skipped when that file is there, so whatever was interrupted resumes where it was and
ends with the same bits: on the CPU a member's training depends on its configuration and seed alone.
"""

import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from sharpdiv.empirical.curvature.per_sample import per_sample_sharpness
from sharpdiv.empirical.data.splits import ImageData, load_data
from sharpdiv.empirical.devices import float32_products
from sharpdiv.empirical.engines.graph import Graph, Piece
from sharpdiv.empirical.engines.pool import Pool
from sharpdiv.empirical.engines.workers import choose_device
from sharpdiv.empirical.engines.working import work
from sharpdiv.empirical.errors import StoreError
from sharpdiv.empirical.optim.methods import METHODS, Treated
from sharpdiv.empirical.optim.sharpbalance import sharpness_aware_sets
from sharpdiv.empirical.provenance import provenance
from sharpdiv.empirical.runs.config import RunConfig
from sharpdiv.empirical.runs.costs import training_cost
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
from sharpdiv.empirical.runs.member import Member, load_member, new_member, save_member, stream, train
from sharpdiv.empirical.store import load_json, load_tensors, save_json, save_tensors

__all__ = [
    "CHECKPOINT_SECONDS",
    "Progress",
    "held",
    "load_run_data",
    "member_piece",
    "train_pieces",
    "train_runs",
]

Progress = Callable[[str, int, int], None]
"""Told of progress: what is going on, units of work done, units in all."""

CHECKPOINT_SECONDS = 10.0
"""Least time between two checkpoints of a member; epochs shorter than that would be spent on writing."""


def load_run_data(config: RunConfig) -> ImageData:
    """The data of a run, split as its configuration says.

    Args:
        config: configuration of the run.

    Returns:
        Images on the CPU.

    Examples:
        >>> from sharpdiv import RunConfig
        >>> from sharpdiv.empirical.runs.ensembles import load_run_data
        >>> data = load_run_data(RunConfig("sgd", train_samples=200, validation_samples=100))
        >>> len(data.train_images), len(data.validation_images), len(data.test_images)
        (200, 100, 1497)
    """
    return load_data(config.data, config.train_samples, config.validation_samples, config.split_seed)


def train_runs(
    configs: Iterable[RunConfig],
    root: Path,
    *,
    device: str = "cpu",
    workers: int | None = None,
    checkpoint_seconds: float = CHECKPOINT_SECONDS,
    progress: Progress = lambda *_: None,
) -> None:
    """Train every member of every run that is not trained yet.

    SharpBalance starts from the SGD (or SAM) ensemble of the same seeds at the switch epoch, trained once for all runs that
    share it, that ensemble's own too.
    On the CPU each member trains on one thread, and several at once; the result does not depend on how many. Processes are
    started anew: a script that calls this needs ``if __name__ == "__main__"``.

    Args:
        configs: configurations of the ensembles.
        root: folder of all runs.
        device: name of the device: ``cpu``, ``cuda`` or ``mps``.
        workers: number of processes; default one per CPU core, and 1 on a GPU.
        checkpoint_seconds: least time between two checkpoints of a member, which are written at ends of epochs.
        progress: listener, told after every finished piece of work.

    Raises:
        DivergenceError: if a member diverges.
        StoreError: if a stored file is damaged, a member was trained on other images, or another process trains one of the runs.

    Examples:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from sharpdiv import MeasureConfig, RunConfig, measure_runs, open_run, train_runs
        >>> config = RunConfig("sgd", seeds=(0, 1), width=2, blocks=(1,), epochs=1, train_samples=50)
        >>> how = MeasureConfig(sharpness=("one_step",), corrupted_samples=1, replicates=10)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     train_runs([config], Path(folder), workers=1)  # in this process
        ...     (record,) = measure_runs([config], Path(folder), how=how, workers=1)
        ...     open_run(Path(folder) / config.run_id) == config
        True
        >>> len(record.sharpness("one_step")), 0 <= record.metric("disagreement") <= 1
        (2, True)
    """
    place = choose_device(device)
    configs = list(configs)
    with held(configs, root):
        graph = Graph(train_pieces(configs, root, place, checkpoint_seconds=checkpoint_seconds))
        work(graph, Pool(place, workers), partial(progress, "training"))


@contextmanager
def held(configs: Iterable[RunConfig], root: Path) -> Iterator[None]:
    """Make the folders of runs that are to be trained, and keep other processes from training them.

    Args:
        configs: configurations of the ensembles.
        root: folder of all runs.

    Yields:
        Nothing.

    Raises:
        StoreError: if a member was trained on other images, or another process trains one of the runs.

    Examples:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from sharpdiv import RunConfig, open_run
        >>> from sharpdiv.empirical.runs.ensembles import held
        >>> config = RunConfig("sharpbalance", rho=0.1)
        >>> with tempfile.TemporaryDirectory() as folder, held([config], Path(folder)):
        ...     [open_run(path).method for path in sorted(Path(folder).iterdir())]  # what it starts from, too
        ['sgd', 'sharpbalance']
    """
    configs = list(configs)
    every = list(dict.fromkeys([*configs, *_shared_starts(configs)]))
    with locked(create(root, config) for config in every):
        require_same_data(root, every, load_run_data)
        yield


def member_piece(config: RunConfig, seed: int) -> str:
    """Name of the piece of work that ends with a trained member.

    Args:
        config: configuration of the run.
        seed: seed of the member.

    Returns:
        The name.

    Examples:
        >>> from sharpdiv import RunConfig
        >>> from sharpdiv.empirical.runs.ensembles import member_piece
        >>> member_piece(RunConfig("sgd"), 13).rsplit("-", 1)[0]
        'member 13 of digits-sgd'
    """
    return f"member {seed} of {config.run_id}"


def train_pieces(
    configs: Iterable[RunConfig],
    root: Path,
    device: torch.device,
    *,
    needs: tuple[str, ...] = (),
    priority: int = 0,
    checkpoint_seconds: float = CHECKPOINT_SECONDS,
) -> list[Piece]:
    """Training as pieces of work: first phases that are shared, exchanges, members; to be done while the runs are ``held``.

    Args:
        configs: configurations of the ensembles.
        root: folder of all runs.
        device: device to train on.
        needs: names of pieces that come before all of them.
        priority: of the pieces.
        checkpoint_seconds: least time between two checkpoints of a member, which are written at ends of epochs.

    Returns:
        The pieces; those of members have the names that ``member_piece`` gives.

    Examples:
        >>> from pathlib import Path
        >>> import torch
        >>> from sharpdiv import RunConfig
        >>> from sharpdiv.empirical.runs.ensembles import train_pieces
        >>> balance = RunConfig("sharpbalance", rho=0.1, seeds=(1, 2))
        >>> pieces = train_pieces([balance], Path("none"), torch.device("cpu"))
        >>> [(piece.name.split(" of ")[0], len(piece.needs)) for piece in pieces]
        [('first phase 1', 0), ('first phase 2', 0), ('sets', 2), ('member 1', 2), ('member 2', 2)]
    """
    configs = list(configs)
    starts = _shared_starts(configs)

    def piece(
        name: str, step: Callable[..., None], config: RunConfig, seed: int, before: tuple[str, ...], epochs: range
    ) -> Piece:
        cost = training_cost(root, config, seed, epochs.start, epochs.stop)
        do = partial(step, root, config, seed, device, checkpoint_seconds)
        return Piece(name, do, (*needs, *before), cost, priority)

    pieces = [
        piece(_first_phase_piece(c, seed), _train_first_phase, c, seed, (), range(c.switch))
        for c in starts
        for seed in c.seeds
    ]
    for config in configs:
        phases: dict[int, tuple[str, ...]] = {seed: (_first_phase_piece(config, seed),) for seed in config.seeds}
        done = config.switch
        if _treated(config) == Treated.SETS:
            exchange, before = f"sets of {config.run_id}", tuple(name for names in phases.values() for name in names)
            pieces.append(Piece(exchange, partial(_exchange, root, config, device), (*needs, *before), 0.0, priority))
            phases = {seed: (*names, exchange) for seed, names in phases.items()}
        elif config not in starts:  # of SAM: nothing is kept on the way
            phases, done = dict.fromkeys(config.seeds, ()), 0
        pieces += [
            piece(member_piece(config, seed), _train_member, config, seed, phases[seed], range(done, config.epochs))
            for seed in config.seeds
        ]
    return pieces


def _first_phase_piece(config: RunConfig, seed: int) -> str:
    return f"first phase {seed} of {config.start.run_id}"


def _shared_starts(configs: Iterable[RunConfig]) -> list[RunConfig]:
    """Ensembles whose first phase is kept: those that SharpBalance starts from, and SGD's, which it may start from later."""
    return list(dict.fromkeys(c.start for c in configs if _treated(c) != Treated.ALL))


def _treated(config: RunConfig) -> Treated:
    return METHODS[config.method].treated


def _train_first_phase(root: Path, config: RunConfig, seed: int, device: torch.device, every: float) -> None:
    """Train a member of SGD or SAM to the switch epoch and keep its state."""
    path, between = first_phase_path(root, config, seed), range(1, config.switch)
    if path.exists():
        load_tensors(path)
        remove_checkpoints(path.parent, seed, range(between.stop))
        return
    data = load_run_data(config)
    aware = torch.full((len(data.train_labels),), _treated(config) == Treated.ALL)
    start = partial(new_member, config, data, seed, device)
    _train_to(path, start, config, data, aware, between, every)


def _train_member(root: Path, config: RunConfig, seed: int, device: torch.device, every: float) -> None:
    """Train a member to the end: from its first phase if it shares one, from scratch otherwise."""
    folder = run_folder(root, config)
    path = folder / f"member-{seed}.safetensors"
    if path.exists():
        load_tensors(path)
        remove_checkpoints(folder, seed, range(config.epochs))
        return
    data = load_run_data(config)
    aware = torch.full((len(data.train_labels),), _treated(config) == Treated.ALL)
    start = partial(_load_first_phase, root, config, seed, device, data)
    done = config.switch
    if not _starts_shared(root, config, seed):
        start, done = partial(new_member, config, data, seed, device), 0
    if _treated(config) == Treated.SETS:
        aware = _load_sets(folder / "sets.safetensors", config)[config.seeds.index(seed)]
    _train_to(path, start, config, data, aware, range(done + 1, config.epochs), every)


def _train_to(
    path: Path,
    start: Callable[[], Member],
    config: RunConfig,
    data: ImageData,
    aware: Tensor,
    between: range,
    every: float,
) -> None:
    """Train to the end of the epochs between, going on from the last checkpoint, and write the member to its path."""
    member = start()
    record = path.with_suffix(".json")
    earlier = {"seconds": 0.0, "from_epoch": between.start - 1}
    if found := _last_checkpoint(path.parent, config, data, member, between):
        member = found
        earlier |= load_json(record) if record.exists() else {}
    began = written = time.perf_counter()

    def save_record() -> None:
        # It may have begun in a stack, whose bits are others.
        spent: dict[str, float] = {name: earlier[name] for name in ("from_epoch", "stacked") if name in earlier}
        spent["seconds"] = earlier["seconds"] + time.perf_counter() - began
        where = provenance(next(member.model.parameters()).device, tf32=config.precision == "tf32")
        save_json(record, {**where, "data_sha256": data.source, **spent})

    def checkpoint(member: Member) -> None:
        nonlocal written
        if member.epoch in between and time.perf_counter() - written >= every:
            save_record()
            save_member(checkpoint_path(path.parent, member.seed, member.epoch), member, config.run_id)
            remove_checkpoints(path.parent, member.seed, between, keep=2)
            written = time.perf_counter()

    train(member, config, data, between.stop, aware, checkpoint)
    save_record()
    save_member(path, member, config.run_id)  # this file says that the member is done
    remove_checkpoints(path.parent, member.seed, range(between.stop))


def _last_checkpoint(folder: Path, config: RunConfig, data: ImageData, fresh: Member, between: range) -> Member | None:
    """The newest checkpoint that is whole; damaged ones are named and left out."""
    device = next(fresh.model.parameters()).device
    for path in checkpoints(folder, fresh.seed, between):
        try:
            return load_member(path, config, data, fresh.seed, device)
        except StoreError as error:
            warnings.warn(f"{error}; going on from the checkpoint before", RuntimeWarning, stacklevel=2)
    return None


def _starts_shared(root: Path, config: RunConfig, seed: int) -> bool:
    """Whether a member goes on from a state that is kept; one of SAM only if SharpBalance had it kept."""
    return _treated(config) != Treated.ALL or first_phase_path(root, config, seed).exists()


def _load_first_phase(root: Path, config: RunConfig, seed: int, device: torch.device, data: ImageData) -> Member:
    path = first_phase_path(root, config, seed)
    return load_member(path, config, data, seed, device, run=config.start.run_id)


@float32_products()
def _exchange(root: Path, config: RunConfig, device: torch.device) -> None:
    """Score every training sample by every member at the switch epoch and form the sharpness-aware sets."""
    path = run_folder(root, config) / "sets.safetensors"
    if path.exists():
        _load_sets(path, config)
        return
    data = load_run_data(config)
    images, labels = data.train_images.to(device), data.train_labels.to(device)
    scores = []
    for seed in config.seeds:
        model = _load_first_phase(root, config, seed, device, data).model
        batches = zip(images.split(128), labels.split(128), strict=True)
        scores.append(torch.cat([per_sample_sharpness(model, data.normalize(x), y) for x, y in batches]))
    # Random sets differ between ensembles, or averaging over ensembles would not average over them.
    generator = torch.Generator().manual_seed(stream(config.split_seed, *config.seeds))
    sets = sharpness_aware_sets(torch.stack(scores).cpu(), config.top_fraction, config.rule, generator)
    save_tensors(path, {"scores": torch.stack(scores), "sets": sets}, {"run": config.run_id})


def _load_sets(path: Path, config: RunConfig) -> Tensor:
    """Sharpness-aware sets ``(members, samples)`` of this run."""
    tensors, metadata = load_tensors(path)
    if metadata.get("run") != config.run_id or "sets" not in tensors:
        raise StoreError(f"{path} is not of run {config.run_id}; delete it and run again")
    return tensors["sets"]
