"""Between the members of trained runs: their networks and data as the functions of lines and planes take them, and planes kept."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from sharpdiv.empirical.batches import Batch
from sharpdiv.empirical.connectivity.lines import Barriers, barriers
from sharpdiv.empirical.connectivity.members import State
from sharpdiv.empirical.connectivity.planes import LossPlane, loss_on_plane
from sharpdiv.empirical.data.splits import ImageData
from sharpdiv.empirical.errors import InputError, StoreError
from sharpdiv.empirical.provenance import provenance
from sharpdiv.empirical.runs.config import RunConfig
from sharpdiv.empirical.runs.ensembles import Progress, load_run_data
from sharpdiv.empirical.runs.folders import open_run, require_same_data
from sharpdiv.empirical.runs.member import load_member
from sharpdiv.empirical.store import save_json
from sharpdiv.empirical.workers import choose_device

__all__ = ["SCHEMA", "RunMembers", "RunPlane", "open_members", "planes_from_json", "save_planes"]

SCHEMA = 1
"""Version of the layout of ``planes.json``."""
_TEST_BATCH = 500  # images; batch norm does not look at it in evaluation mode


@dataclass(frozen=True, eq=False)
class RunPlane:
    """Loss on the plane through the first three members of a trained run.

    Example: see ``RunMembers.plane``, which makes one.
    """

    config: RunConfig
    """what was trained"""
    samples: Mapping[str, int]
    """numbers of ``train`` and ``test`` images; the former are what statistics of batch norm are taken on, too"""
    train: LossPlane
    """loss and error on the training images, un-augmented"""
    test: LossPlane
    """loss and error on the test images"""
    provenance: Mapping[str, Any]
    """code, libraries and device"""

    def to_json(self) -> dict[str, Any]:
        """All of it, numbers to six digits.

        Returns:
            JSON values.
        """
        return {
            "config": self.config.to_json(),
            "samples": dict(self.samples),
            "train": self.train.to_json(),
            "test": self.test.to_json(),
            "provenance": dict(self.provenance),
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "RunPlane":
        """What ``to_json`` made.

        Args:
            value: JSON values.

        Returns:
            The plane.

        Raises:
            KeyError: if something is missing, TypeError or InputError if it is of another kind.
        """
        planes = {name: LossPlane.from_json(value[name]) for name in ("train", "test")}
        config = RunConfig.from_json(value["config"])
        return cls(config=config, samples=value["samples"], provenance=value["provenance"], **planes)


@dataclass(frozen=True, eq=False)
class RunMembers:
    """The trained members of a run, and its data.

    Example: see ``open_members``, which makes it.
    """

    config: RunConfig
    """what was trained"""
    model: nn.Module
    """a network of their architecture, on the device"""
    states: tuple[State, ...]
    """state dicts of all members, in the order of the seeds"""
    train: tuple[Batch, ...]
    """first training images, un-augmented, in the batches that it was trained with"""
    test: tuple[Batch, ...]
    """first test images"""

    def barriers(self, points: int = 21, progress: Progress = lambda *_: None) -> dict[str, Barriers]:
        """Barriers between all pairs of members.

        Args:
            points: points on every line.
            progress: listener, told after every pair.

        Returns:
            Those of the ``train`` and the ``test`` images.

        Raises:
            DivergenceError: if a loss is not finite.
        """
        return {
            name: barriers(
                self.model, self.states, list(data), train=list(self.train), points=points, progress=progress
            )
            for name, data in (("train", self.train), ("test", self.test))
        }

    def plane(self, points: int = 21, progress: Progress = lambda *_: None) -> RunPlane:
        """Loss on the plane through the first three members.

        Args:
            points: points of the grid on each axis.
            progress: listener, told after every point.

        Returns:
            The plane, of training and test images.

        Raises:
            InputError: if the run has fewer than three members.
            DivergenceError: if a loss is not finite.
        """
        if len(self.states) < 3:
            raise InputError(f"{self.config.run_id} has {len(self.states)} members, and a plane goes through 3")
        planes = {
            name: loss_on_plane(
                self.model, self.states[:3], list(data), train=list(self.train), points=points, progress=progress
            )
            for name, data in (("train", self.train), ("test", self.test))
        }
        samples = {"train": _count(self.train), "test": _count(self.test)}
        where = provenance(next(self.model.parameters()).device)
        return RunPlane(config=self.config, samples=samples, provenance=where, **planes)


def open_members(
    folder: Path, *, train_samples: int = 1024, test_samples: int = 2000, device: str = "cpu"
) -> RunMembers:
    """The members of a trained run.

    Args:
        folder: folder of the run.
        train_samples: first training images that losses and statistics of batch norm are taken on.
        test_samples: first test images that losses are taken on.
        device: name of the device: ``cpu``, ``cuda`` or ``mps``.

    Returns:
        Members and data.

    Raises:
        InputError: if a number of samples is not positive.
        StoreError: if the run is not trained, or a stored file is damaged.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from sharpdiv import RunConfig, train_runs
        >>> from sharpdiv.empirical.connectivity.of_runs import open_members
        >>> config = RunConfig("sgd", seeds=(0, 1, 2), width=2, blocks=(1,), epochs=1, train_samples=50)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     train_runs([config], Path(folder), workers=1)
        ...     members = open_members(Path(folder) / config.run_id, test_samples=100)
        >>> found = members.barriers(points=3)
        >>> found["train"].loss.shape, members.plane(points=2).test.loss.shape
        ((3, 3), (2, 2))
    """
    if min(train_samples, test_samples) < 2:
        raise InputError(f"numbers of samples must be at least 2, got {train_samples} and {test_samples}")
    config, place = open_run(folder), choose_device(device)
    require_same_data(folder.resolve().parent, config, load_run_data)
    data = load_run_data(config)
    if missing := [seed for seed in config.seeds if not (folder / f"member-{seed}.safetensors").exists()]:
        raise StoreError(f"{folder} has no trained member of seed {missing[0]}; sharpdiv train goes on with it")
    members = [
        load_member(folder / f"member-{seed}.safetensors", config, data, seed, place).model for seed in config.seeds
    ]
    train = data.train_images[:train_samples], data.train_labels[:train_samples]
    test = data.test_images[:test_samples], data.test_labels[:test_samples]
    return RunMembers(
        config=config,
        model=members[0],
        states=tuple(member.state_dict() for member in members),
        train=_batches(data, *train, config.batch_size, place),
        test=_batches(data, *test, _TEST_BATCH, place),
    )


def save_planes(path: Path, planes: list[RunPlane]) -> None:
    """Write planes to a file that figures are drawn from.

    Args:
        path: path of the file, ``planes.json`` in a folder of results.
        planes: planes of several runs, in the order in which they are shown.

    Example: see ``planes_from_json``.
    """
    save_json(path, {"schema": SCHEMA, "planes": [plane.to_json() for plane in planes]})


def planes_from_json(value: Mapping[str, Any]) -> list[RunPlane]:
    """What ``save_planes`` wrote.

    Args:
        value: the file's JSON object.

    Returns:
        The planes.

    Raises:
        StoreError: if it has another layout than this version reads.
        KeyError: if something is missing, TypeError or InputError if it is of another kind.

    Example:
        >>> from sharpdiv.empirical.connectivity.of_runs import SCHEMA, planes_from_json
        >>> planes_from_json({"schema": SCHEMA, "planes": []})
        []
    """
    if (schema := value.get("schema")) != SCHEMA:
        raise StoreError(f"planes have layout {schema}, this version reads {SCHEMA}; use the version that wrote them")
    return [RunPlane.from_json(plane) for plane in value["planes"]]


def _batches(data: ImageData, images: Tensor, labels: Tensor, size: int, device: torch.device) -> tuple[Batch, ...]:
    """Normalized images in batches of about one size: none of a single image, which batch norm cannot use."""
    count = max(1, len(labels) // size)
    pairs = zip(images.tensor_split(count), labels.tensor_split(count), strict=True)
    return tuple((data.normalize(x.to(device)), y.to(device)) for x, y in pairs)


def _count(batches: tuple[Batch, ...]) -> int:
    return sum(len(targets) for _, targets in batches)
