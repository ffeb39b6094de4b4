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
from typing import Any

from sharpdiv.empirical.errors import StoreError
from sharpdiv.empirical.runs.assembling import assemble
from sharpdiv.empirical.runs.config import RunConfig
from sharpdiv.empirical.runs.ensembles import Progress, open_run, run_folder
from sharpdiv.empirical.runs.measure_config import MeasureConfig
from sharpdiv.empirical.runs.measure_member import measure_member
from sharpdiv.empirical.store import load_json
from sharpdiv.empirical.workers import Piece, choose_device, work

__all__ = ["load_result", "measure", "measure_runs"]


def load_result(folder: Path) -> dict[str, Any]:
    """Measured numbers of a run.

    Returns:
        The content of ``result.json``.
    """
    return load_json(folder / "result.json")


def measure_runs(
    configs: Iterable[RunConfig],
    root: Path,
    *,
    how: MeasureConfig | None = None,
    device: str = "cpu",
    workers: int | None = None,
    progress: Progress = lambda *_: None,
) -> list[dict[str, Any]]:
    """Measure every trained run that is not measured yet, and write each run's ``result.json`` and ``predictions.npz``.

    Args:
        configs: trained ensembles.
        root: folder of all runs.
        how: settings of the measurement.
        device: ``cpu``, ``cuda`` or ``mps``.
        workers: processes; default one per CPU core, and 1 on a GPU.
        progress: listener, told after every finished piece.

    Returns:
        Each run's result.

    Raises:
        StoreError: if a member is not trained, or a stored file is damaged.
        DivergenceError: if a member's loss is not finite.
    """
    how = how or MeasureConfig()
    place = choose_device(device)
    configs = list(configs)
    stale = [c for c in configs if not _is_measured(root, c, how)]
    pieces: list[Piece] = [(1, partial(measure_member, root, c, seed, place, how)) for c in stale for seed in c.seeds]
    work([pieces], place, workers, partial(progress, "measuring"))
    for config in stale:
        assemble(root, config, how, place)
    return [load_result(run_folder(root, config)) for config in configs]


def measure(folder: Path, *, how: MeasureConfig | None = None, device: str = "cpu") -> dict[str, Any]:
    """Measure the run in a folder.

    Args:
        folder: folder of a trained run.
        how: settings of the measurement.
        device: ``cpu``, ``cuda`` or ``mps``.

    Returns:
        The run's result.
    """
    return measure_runs([open_run(folder)], folder.resolve().parent, how=how, device=device)[0]


def _is_measured(root: Path, config: RunConfig, how: MeasureConfig) -> bool:
    folder = run_folder(root, config)
    if not all((folder / name).exists() for name in ("result.json", "predictions.npz", "record.npz")):
        return False
    result = load_result(folder)
    if result.get("config") != config.to_json():
        raise StoreError(f"{folder / 'result.json'} is another run's; delete it and run again")
    return bool(result.get("measure") == how.to_json())
