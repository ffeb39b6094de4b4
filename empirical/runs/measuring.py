"""Measurement of trained runs: predictions clean and corrupted, sharpness and features of members, metrics of ensembles.

runs/<run id>/measured-<seed>.safetensors      a member's logits, probabilities under corruption, features, sharpness
runs/<run id>/predictions.npz                  probs, logits (members, samples, classes) and labels (samples,)
runs/<run id>/result.json                      configuration, provenance and every measured number; under corruption a list over
                                               severities for each metric, to six digits
runs/<run id>/record.npz                       the same and what claims are computed from, small: see ``record.py``
"""

from collections.abc import Iterable
from functools import partial
from pathlib import Path

import torch

from sharpdiv.empirical.engines.graph import Graph, Piece
from sharpdiv.empirical.engines.pool import Pool
from sharpdiv.empirical.engines.workers import choose_device
from sharpdiv.empirical.engines.working import work
from sharpdiv.empirical.errors import StoreError
from sharpdiv.empirical.runs.assembling import assemble
from sharpdiv.empirical.runs.config import RunConfig
from sharpdiv.empirical.runs.costs import measuring_cost
from sharpdiv.empirical.runs.ensembles import Progress, member_piece
from sharpdiv.empirical.runs.folders import open_run, require_same_data, run_folder
from sharpdiv.empirical.runs.measure_config import MeasureConfig
from sharpdiv.empirical.runs.measure_member import measure_member
from sharpdiv.empirical.runs.measured_images import run_data
from sharpdiv.empirical.runs.record import RunRecord, load_record
from sharpdiv.empirical.store import digest, load_json

__all__ = ["measure", "measure_pieces", "measure_runs", "result_piece"]


def measure_runs(
    configs: Iterable[RunConfig],
    root: Path,
    *,
    how: MeasureConfig | None = None,
    device: str = "cpu",
    workers: int | None = None,
    progress: Progress = lambda *_: None,
) -> list[RunRecord]:
    """Measure every trained run that is not measured yet, and write each run's ``result.json`` and ``predictions.npz``.

    Args:
        configs: configurations of trained ensembles.
        root: folder of all runs.
        how: settings of the measurement.
        device: name of the device: ``cpu``, ``cuda`` or ``mps``.
        workers: number of processes; default one per CPU core, and 1 on a GPU.
        progress: listener, told after every finished piece.

    Returns:
        Each run's record, which is in ``record.npz``.

    Raises:
        StoreError: if a member is not trained, or a stored file is damaged.
        DivergenceError: if a member's loss is not finite.

    Example: see ``train_runs``.
    """
    how = how or MeasureConfig()
    place = choose_device(device)
    configs = list(configs)
    require_same_data(root, [c for c in configs if not _is_measured(root, c, how)], run_data)
    work(Graph(measure_pieces(configs, root, how, place)), Pool(place, workers), partial(progress, "measuring"))
    return [load_record(run_folder(root, config) / "record.npz") for config in configs]


def result_piece(config: RunConfig) -> str:
    """Name of the piece of work that ends with a run's record.

    Args:
        config: configuration of the run.

    Returns:
        The name.

    Examples:
        >>> from sharpdiv import RunConfig
        >>> from sharpdiv.empirical.runs.measuring import result_piece
        >>> result_piece(RunConfig("sgd")).rsplit("-", 1)[0]
        'result of digits-sgd'
    """
    return f"result of {config.run_id}"


def measure_pieces(
    configs: Iterable[RunConfig],
    root: Path,
    how: MeasureConfig,
    device: torch.device,
    *,
    training: bool = False,
    priority: int = 0,
) -> list[Piece]:
    """Measuring as pieces of work: each member, and what is put together from them; none of runs that are measured already.

    Args:
        configs: configurations of the ensembles.
        root: folder of all runs.
        how: settings of the measurement.
        device: device to measure on.
        training: whether the members are trained by pieces of the same graph, those of ``train_pieces``.
        priority: of the pieces.

    Returns:
        The pieces; those that end with a record have the names that ``result_piece`` gives.

    Raises:
        StoreError: if a record is another run's, or damaged.

    Examples:
        >>> from pathlib import Path
        >>> import torch
        >>> from sharpdiv import MeasureConfig, RunConfig
        >>> from sharpdiv.empirical.runs.measuring import measure_pieces
        >>> pieces = measure_pieces([RunConfig("sgd", seeds=(1, 2))], Path("none"), MeasureConfig(), torch.device("cpu"))
        >>> [(piece.name.split(" of ")[0], len(piece.needs)) for piece in pieces]
        [('measurement 1', 0), ('measurement 2', 0), ('result', 2)]
    """
    pieces = []
    for config in configs:
        if _is_measured(root, config, how):
            continue
        names = {seed: f"measurement {seed} of {config.run_id}" for seed in config.seeds}
        for seed, name in names.items():
            do = partial(measure_member, root, config, seed, device, how)
            needs = (member_piece(config, seed),) if training else ()
            pieces.append(Piece(name, do, needs, measuring_cost(root, config, seed, how), priority))
        put_together = partial(assemble, root, config, how, device)
        pieces.append(Piece(result_piece(config), put_together, tuple(names.values()), 0.0, priority))
    return pieces


def measure(
    folder: Path, *, how: MeasureConfig | None = None, device: str = "cpu", workers: int | None = None
) -> RunRecord:
    """Measure the run in a folder.

    Args:
        folder: folder of a trained run.
        how: settings of the measurement.
        device: name of the device: ``cpu``, ``cuda`` or ``mps``.
        workers: number of processes; default one per CPU core, and 1 on a GPU.

    Returns:
        The run's record.

    Raises:
        StoreError: if the run is not trained, or a stored file is damaged.
        DivergenceError: if a member's loss is not finite.

    Example: see ``train_runs``; here processes are started, so a script needs ``if __name__ == "__main__"``.
    """
    return measure_runs([open_run(folder)], folder.resolve().parent, how=how, device=device, workers=workers)[0]


def _is_measured(root: Path, config: RunConfig, how: MeasureConfig) -> bool:
    folder = run_folder(root, config)
    if not all((folder / name).exists() for name in ("result.json", "predictions.npz", "record.npz")):
        return False
    record = load_record(folder / "record.npz")
    for name, stored in (
        ("record.npz", record.key),
        ("result.json", digest(load_json(folder / "result.json").get("config"))),
    ):
        if stored != digest(config.to_json()):
            raise StoreError(f"{folder / name} is another run's; delete it and run again")
    return record.measured_as(how)
