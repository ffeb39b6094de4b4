"""Norms of trained members' weights, kept beside the records: does what they do under SAM tell what diversity does?

A convolution with batch norm behind it has no scale of its own, so what multiplies are the gains of batch norm and the last layer.
"""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from sharpdiv.empirical.errors import StoreError
from sharpdiv.empirical.runs.config import RunConfig
from sharpdiv.empirical.runs.folders import run_folder
from sharpdiv.empirical.store import digest, load_json, load_tensors, save_json

__all__ = ["WeightNorms", "add_weight_norms", "take_weight_norms", "weight_norms", "weight_norms_from_json"]

_KEY = "weight_norms"


@dataclass(frozen=True)
class WeightNorms:
    """Squared norms of the weights of a run's members, in the order of its seeds.

    Example: see ``weight_norms``, which makes them.
    """

    key: str
    """hash of the run's configuration, that of its record"""
    last: tuple[float, ...]
    """of the last layer's matrix"""
    gains: tuple[float, ...]
    """of the scales of all batch norms"""
    convolutions: tuple[float, ...]
    """of all convolutions"""


def weight_norms(config: RunConfig, root: Path) -> WeightNorms:
    """Norms of the members of a trained run.

    Args:
        config: configuration of the run.
        root: folder of all runs.

    Returns:
        The norms.

    Raises:
        StoreError: if a member's file is missing or damaged.

    Examples:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from sharpdiv import RunConfig, train_runs
        >>> from sharpdiv.empirical.runs.weight_norms import weight_norms
        >>> config = RunConfig("sgd", seeds=(1, 2), epochs=1, width=2, blocks=(1,), train_samples=100)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     train_runs([config], Path(folder), workers=1)
        ...     norms = weight_norms(config, Path(folder))
        >>> len(norms.last), all(1.5 < gains < 6 for gains in norms.gains)  # 6 gains that were 1
        (2, True)
    """
    found = [_of_member(run_folder(root, config) / f"member-{seed}.safetensors") for seed in config.seeds]
    last, gains, convolutions = zip(*found, strict=True)
    return WeightNorms(digest(config.to_json()), last, gains, convolutions)


def _of_member(path: Path) -> tuple[float, float, float]:
    """Squared norms of last layer, gains, convolutions."""
    weights = {n.removeprefix("model."): t for n, t in load_tensors(path)[0].items() if n.startswith("model.")}
    if "head.weight" not in weights:
        raise StoreError(f"{path} holds no network with a last layer called head")
    of_kind: dict[str, list[torch.Tensor]] = {"last": [weights["head.weight"]], "gains": [], "convolutions": []}
    for name, weight in weights.items():
        if name.endswith(".weight") and weight.ndim in {1, 4}:
            of_kind["gains" if weight.ndim == 1 else "convolutions"].append(weight)
    last, gains, convolutions = (sum(float(w.double().square().sum()) for w in of) for of in of_kind.values())
    return last, gains, convolutions


def add_weight_norms(path: Path, runs: Iterable[RunConfig], root: Path) -> None:
    """Put norms of trained runs in a file, beside those that it has.

    Args:
        path: file of norms; it need not exist.
        runs: configurations of the runs.
        root: folder of all runs; a run whose members are not all there is left out.

    Raises:
        StoreError: if a file is damaged.

    Example: see ``weight_norms_from_json``.
    """
    files = {c: [run_folder(root, c) / f"member-{seed}.safetensors" for seed in c.seeds] for c in runs}
    found = [weight_norms(config, root) for config, of in files.items() if all(file.exists() for file in of)]
    _save(path, (*_load(path), *found))


def take_weight_norms(path: Path, other: Path) -> None:
    """Put the norms of another file in a file, beside those that it has, which stay.

    Args:
        path: file of norms; it need not exist.
        other: the other file; it need not exist.

    Raises:
        StoreError: if a file is damaged.

    Example: see ``weight_norms_from_json``; results taken from elsewhere come with their norms.
    """
    _save(path, (*_load(other), *_load(path)))


def _load(path: Path) -> tuple[WeightNorms, ...]:
    return weight_norms_from_json(load_json(path)) if path.exists() else ()


def _save(path: Path, norms: Iterable[WeightNorms]) -> None:
    """Write norms, the last of each run, in an order that tells nothing of when it was trained."""
    if ordered := [each for _, each in sorted({each.key: each for each in norms}.items())]:
        save_json(path, {_KEY: [asdict(each) for each in ordered]})


def weight_norms_from_json(value: dict[str, Any]) -> tuple[WeightNorms, ...]:
    """What ``add_weight_norms`` wrote.

    Args:
        value: content of the file.

    Returns:
        Norms of every run.

    Raises:
        KeyError: if something is missing, TypeError or ValueError if it is of another kind.

    Examples:
        >>> from sharpdiv.empirical.runs.weight_norms import weight_norms_from_json
        >>> run = {"key": "5f", "last": [1.0], "gains": [6.0], "convolutions": [9.0]}
        >>> weight_norms_from_json({"weight_norms": [run]})[0].gains
        (6.0,)
    """
    parts = ("last", "gains", "convolutions")
    return tuple(
        WeightNorms(str(run["key"]), *(tuple(float(number) for number in run[part]) for part in parts))
        for run in value[_KEY]
    )
