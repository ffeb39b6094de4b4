"""Folders of runs: where everything of a run is, and what is there.

runs/<run id>/config.json                      the configuration
runs/<run id>/member-<seed>-epoch<T_d>.safetensors   the state SharpBalance starts from, of the SGD or SAM run that it shares
runs/<run id>/sets.safetensors                 SharpBalance only: scores and sharpness-aware sets
runs/<run id>/checkpoint-<seed>-<epoch>.safetensors   a member in training: the last two
runs/<run id>/member-<seed>.safetensors        the trained member; .json beside it: seconds, device, versions
"""

import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import filelock

from sharpdiv.empirical.atomic import abandoned
from sharpdiv.empirical.data.splits import ImageData
from sharpdiv.empirical.errors import InputError, StoreError
from sharpdiv.empirical.runs.config import RunConfig
from sharpdiv.empirical.store import load_json, save_json

__all__ = [
    "checkpoint_path",
    "checkpoints",
    "create",
    "first_phase_path",
    "lacks_first_phase",
    "locked",
    "open_run",
    "remove_checkpoints",
    "require_same_data",
    "run_folder",
    "trained_epochs",
    "training_record",
]


def run_folder(root: Path, config: RunConfig) -> Path:
    """Folder of a run; its name ends in the configuration's hash.

    Args:
        root: folder of all runs.
        config: configuration of the run.

    Returns:
        A path that need not exist.

    Examples:
        >>> from pathlib import Path
        >>> from sharpdiv import RunConfig
        >>> from sharpdiv.empirical.runs.folders import run_folder
        >>> run_folder(Path("runs"), RunConfig("sgd")).as_posix().rsplit("-", 1)[0]
        'runs/digits-sgd'
    """
    return root / config.run_id


def open_run(folder: Path) -> RunConfig:
    """Configuration of the run in a folder.

    Args:
        folder: folder of the run.

    Returns:
        The configuration.

    Raises:
        StoreError: if ``config.json`` is missing, damaged or another run's.

    Example: see ``train_runs``.
    """
    path = folder / "config.json"
    try:
        config = RunConfig.from_json(load_json(path))
    except InputError as error:
        raise StoreError(f"{path}: {error}") from error
    if config.run_id != folder.resolve().name:
        raise StoreError(f"{path} describes {config.run_id}, not the run of its folder {folder.name}")
    return config


def create(root: Path, config: RunConfig) -> Path:
    """Make a run's folder with its configuration, which is checked if it is there.

    Args:
        root: folder of all runs.
        config: configuration of the run.

    Returns:
        The folder.

    Raises:
        StoreError: if the folder holds another run's configuration.

    Examples:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from sharpdiv import RunConfig, open_run
        >>> from sharpdiv.empirical.runs.folders import create
        >>> with tempfile.TemporaryDirectory() as root:
        ...     open_run(create(Path(root), RunConfig("sgd"))) == RunConfig("sgd")
        True
    """
    folder = run_folder(root, config)
    if (folder / "config.json").exists():
        open_run(folder)
    else:
        save_json(folder / "config.json", config.to_json())
    return folder


@contextmanager
def locked(folders: Iterable[Path]) -> Iterator[None]:
    """Keep other processes from training the same runs; the system lifts the locks however this process ends.

    Args:
        folders: folders of the runs.

    Yields:
        Nothing.

    Raises:
        StoreError: if another process trains one of the runs.

    Examples:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from sharpdiv.empirical.runs.folders import locked
        >>> with tempfile.TemporaryDirectory() as folder, locked([Path(folder)]):
        ...     (Path(folder) / ".lock").exists()
        True
    """
    with ExitStack() as stack:
        for folder in folders:
            try:
                stack.enter_context(filelock.FileLock(folder / ".lock", blocking=False))
            except filelock.Timeout:
                raise StoreError(f"{folder} is being trained by another process; wait for it or stop it") from None
            stack.callback(_remove_leftovers, folder)
            _remove_leftovers(folder)
        yield


def _remove_leftovers(folder: Path) -> None:
    """Remove what a process that was killed while writing left: an earlier one, or a worker of this one."""
    for leftover in filter(abandoned, folder.rglob(".*.tmp")):
        leftover.unlink(missing_ok=True)


def checkpoint_path(folder: Path, seed: int, epoch: int) -> Path:
    """Path of a member's checkpoint.

    Args:
        folder: folder of the run.
        seed: seed of the member.
        epoch: epochs that are done.

    Returns:
        A path that need not exist.

    Examples:
        >>> from pathlib import Path
        >>> from sharpdiv.empirical.runs.folders import checkpoint_path
        >>> checkpoint_path(Path("run"), seed=3, epoch=20).name
        'checkpoint-3-20.safetensors'
    """
    return folder / f"checkpoint-{seed}-{epoch}.safetensors"


def checkpoints(folder: Path, seed: int, between: range) -> list[Path]:
    """Checkpoints of a member.

    Args:
        folder: folder of the run.
        seed: seed of the member.
        between: epochs that are looked for.

    Returns:
        Paths, the newest first.

    Examples:
        >>> from pathlib import Path
        >>> from sharpdiv.empirical.runs.folders import checkpoints
        >>> checkpoints(Path("folder-without-runs"), seed=3, between=range(1, 10))
        []
    """
    found = {}
    for path in folder.glob(f"checkpoint-{seed}-*.safetensors"):
        match = re.fullmatch(rf"checkpoint-{seed}-(\d+)\.safetensors", path.name)
        if match and int(match[1]) in between:
            found[int(match[1])] = path
    return [found[epoch] for epoch in sorted(found, reverse=True)]


def remove_checkpoints(folder: Path, seed: int, between: range, keep: int = 0) -> None:
    """Remove checkpoints of a member that are of no more use, also those that a killed process did not come to remove.

    Args:
        folder: folder of the run.
        seed: seed of the member.
        between: epochs that are looked for.
        keep: number of the newest ones that stay.

    Examples:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from sharpdiv.empirical.runs.folders import checkpoint_path, remove_checkpoints
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     for epoch in range(1, 6):
        ...         checkpoint_path(Path(folder), 3, epoch).touch()
        ...     remove_checkpoints(Path(folder), 3, range(1, 5), keep=1)
        ...     sorted(path.name for path in Path(folder).iterdir())
        ['checkpoint-3-4.safetensors', 'checkpoint-3-5.safetensors']
    """
    for old in checkpoints(folder, seed, between)[keep:]:
        old.unlink(missing_ok=True)


def first_phase_path(root: Path, config: RunConfig, seed: int) -> Path:
    """Path of a member's state at the switch epoch, which is in the folder of the run that it is shared with.

    Args:
        root: folder of all runs.
        config: configuration of the run.
        seed: seed of the member.

    Returns:
        A path that need not exist.

    Examples:
        >>> from pathlib import Path
        >>> from sharpdiv import RunConfig
        >>> from sharpdiv.empirical.runs.folders import first_phase_path
        >>> first_phase_path(Path("runs"), RunConfig("sharpbalance", rho=0.1, epochs=20), seed=3).name
        'member-3-epoch10.safetensors'
    """
    return run_folder(root, config.start) / f"member-{seed}-epoch{config.switch}.safetensors"


def trained_epochs(root: Path, config: RunConfig, seed: int) -> int:
    """Epochs of a member that need not be trained again.

    Args:
        root: folder of all runs.
        config: configuration of the run.
        seed: seed of the member.

    Returns:
        0 to ``config.epochs``.

    Examples:
        >>> from pathlib import Path
        >>> from sharpdiv import RunConfig
        >>> from sharpdiv.empirical.runs.folders import trained_epochs
        >>> trained_epochs(Path("folder-without-runs"), RunConfig("sgd"), seed=13)
        0
    """
    folder = run_folder(root, config)
    if (folder / f"member-{seed}.safetensors").exists():
        return config.epochs
    shared = config.switch if first_phase_path(root, config, seed).exists() else 0
    saved = checkpoints(folder, seed, range(1, config.epochs))
    return max(shared, int(saved[0].stem.rsplit("-", 1)[1]) if saved else 0)


def training_record(root: Path, config: RunConfig, seed: int) -> dict[str, Any]:
    """Device, versions and seconds of a member's training; seconds include a shared first phase.

    Args:
        root: folder of all runs.
        config: configuration of the run.
        seed: seed of the member.

    Returns:
        JSON values; ``seconds`` is None if part of the training left no record, ``stacked`` is the number of members that were
        trained as one, in the first phase at least.

    Examples:
        >>> from pathlib import Path
        >>> from sharpdiv import RunConfig
        >>> from sharpdiv.empirical.runs.folders import training_record
        >>> training_record(Path("folder-without-runs"), RunConfig("sgd"), seed=13)
        {'seconds': None}
    """
    path = run_folder(root, config) / f"member-{seed}.json"
    record = load_json(path) if path.exists() else {}
    parts = [record]
    if record.pop("from_epoch", 0):
        path = first_phase_path(root, config, seed).with_suffix(".json")
        parts.append(load_json(path) if path.exists() else {})
    seconds = sum(part["seconds"] for part in parts) if all("seconds" in part for part in parts) else None
    members = [part["stacked"] for part in parts if "stacked" in part]
    return {**record, **({"stacked": members[0]} if members else {}), "seconds": seconds}


def require_same_data(root: Path, configs: Iterable[RunConfig], load: Callable[[RunConfig], ImageData]) -> None:
    """Refuse members that were trained on other images than the data set of their configuration now has.

    Args:
        root: folder of all runs.
        configs: configurations of runs.
        load: function that loads a run's data; called once for the runs on the same data, and only if a member is there.

    Raises:
        StoreError: if a member was trained on other images.

    Examples:
        >>> from pathlib import Path
        >>> from sharpdiv import RunConfig
        >>> from sharpdiv.empirical.runs.ensembles import load_run_data
        >>> from sharpdiv.empirical.runs.folders import require_same_data
        >>> require_same_data(Path("folder-without-runs"), [RunConfig("sgd")], load_run_data)  # nothing was trained
    """
    sources: dict[tuple[str, int | None, int, int], str] = {}
    for config in configs:
        folder = run_folder(root, config)
        data = (config.data, config.train_samples, config.validation_samples, config.split_seed)
        for path in [path for seed in config.seeds if (path := folder / f"member-{seed}.json").exists()]:
            if not (source := load_json(path).get("data_sha256", "")):
                continue  # older versions did not keep it
            if data not in sources:
                sources[data] = load(config).source
            if source == sources[data]:
                continue
            raise StoreError(
                f"{path} is of a member that was trained on other images of {config.data}: the data set has changed since; "
                f"delete {folder} and train again"
            )


def lacks_first_phase(root: Path, config: RunConfig, seed: int) -> bool:
    """Whether the state at the switch epoch, which SharpBalance starts from, is not kept.

    Args:
        root: folder of all runs.
        config: configuration of the run.
        seed: seed of the member.

    Returns:
        True also where the member was trained past it.

    Examples:
        >>> from pathlib import Path
        >>> from sharpdiv import RunConfig
        >>> from sharpdiv.empirical.runs.folders import lacks_first_phase
        >>> lacks_first_phase(Path("folder-without-runs"), RunConfig("sharpbalance", rho=0.1), seed=13)
        True
    """
    return not first_phase_path(root, config, seed).exists()
