"""Planes through the members of trained runs, measured once and kept: what the figure of planes is drawn from.

runs/<run id>/plane.json      the plane through its first three members, and the barriers between them
planes.json                   planes of several runs, as results and the command line keep them
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from sharpdiv.empirical.batches import samples_of
from sharpdiv.empirical.connectivity.lines import Barriers
from sharpdiv.empirical.connectivity.of_runs import open_members
from sharpdiv.empirical.connectivity.planes import LossPlane, loss_on_plane
from sharpdiv.empirical.devices import float32_products
from sharpdiv.empirical.engines.graph import Graph, Piece
from sharpdiv.empirical.engines.pool import Pool
from sharpdiv.empirical.engines.workers import choose_device
from sharpdiv.empirical.engines.working import work
from sharpdiv.empirical.errors import InputError, StoreError
from sharpdiv.empirical.provenance import provenance
from sharpdiv.empirical.runs.config import RunConfig
from sharpdiv.empirical.runs.ensembles import Progress, member_piece
from sharpdiv.empirical.runs.folders import run_folder
from sharpdiv.empirical.runs.plan import forward_flops
from sharpdiv.empirical.store import load_json, load_tensors, save_json

__all__ = ["SCHEMA", "PlaneConfig", "RunPlane", "plane_pieces", "plane_runs", "planes_from_json", "save_planes"]

SCHEMA = 1
"""Version of the layout of ``planes.json``."""
_SPLITS = ("train", "test")


@dataclass(frozen=True)
class PlaneConfig:
    """How planes are measured.

    Examples:
        >>> from sharpdiv.empirical.connectivity.run_planes import PlaneConfig
        >>> PlaneConfig(grid=1)
        Traceback (most recent call last):
        ...
        sharpdiv.empirical.errors.InputError: grid must be at least 2, got 1
    """

    points: int = 21
    """points on the line between two members, both ends among them"""
    grid: int = 25
    """points of the grid on each axis of a plane"""
    train_samples: int = 1024
    """first training images, un-augmented: of the loss, and of the statistics of batch norm at every point"""
    test_samples: int = 2000
    """first test images"""

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if value < 2:
                raise InputError(f"{name} must be at least 2, got {value}")


@dataclass(frozen=True, eq=False)
class RunPlane:
    """Loss on the plane through the first three members of a trained run, on training images and on test images.

    Example: see ``plane_runs``, which makes them.
    """

    config: RunConfig
    """what was trained"""
    how: PlaneConfig
    """how it was measured"""
    samples: Mapping[str, int]
    """numbers of images by ``train`` and ``test``"""
    planes: Mapping[str, LossPlane]
    """loss and error by ``train`` and ``test``"""
    barriers: Mapping[str, Barriers]
    """barriers between all members, likewise"""
    provenance: Mapping[str, Any]
    """code, libraries and device, and ``members``: checksums of their files"""

    def to_json(self) -> dict[str, Any]:
        """All of it, numbers to six digits.

        Returns:
            JSON values.
        """
        return {
            "config": self.config.to_json(),
            "how": vars(self.how),
            "samples": dict(self.samples),
            "planes": {name: plane.to_json() for name, plane in self.planes.items()},
            "barriers": {name: barriers.to_json() for name, barriers in self.barriers.items()},
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
        return cls(
            config=RunConfig.from_json(value["config"]),
            how=PlaneConfig(**value["how"]),
            samples=value["samples"],
            planes={name: LossPlane.from_json(value["planes"][name]) for name in _SPLITS},
            barriers={name: Barriers.from_json(value["barriers"][name]) for name in _SPLITS},
            provenance=value["provenance"],
        )


def plane_runs(
    configs: Iterable[RunConfig],
    root: Path,
    *,
    how: PlaneConfig | None = None,
    device: str = "cpu",
    workers: int | None = None,
    progress: Progress = lambda *_: None,
) -> list[RunPlane]:
    """Measure planes through the first three members of trained runs, where that is not done, and keep them in the runs' folders.

    Args:
        configs: configurations of trained ensembles of three members or more.
        root: folder of all runs.
        how: settings.
        device: name of the device: ``cpu``, ``cuda`` or ``mps``.
        workers: number of processes, each for one run; default one per CPU core, and 1 on a GPU.
        progress: listener, told after every run.

    Returns:
        A plane for each run.

    Raises:
        InputError: if a run has fewer than three members.
        StoreError: if a run is not trained, or a stored file is damaged.
        DivergenceError: if a loss is not finite.

    Examples:
        >>> import tempfile
        >>> from sharpdiv import RunConfig, train_runs
        >>> from sharpdiv.empirical.connectivity.run_planes import PlaneConfig, plane_runs
        >>> config = RunConfig("sgd", seeds=(0, 1, 2), width=2, blocks=(1,), epochs=1, train_samples=50)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     train_runs([config], Path(folder), workers=1)
        ...     (plane,) = plane_runs([config], Path(folder), how=PlaneConfig(points=3, grid=2, test_samples=100), workers=1)
        >>> plane.planes["test"].loss.shape, len(plane.barriers["train"].of_pairs("loss"))
        ((2, 2), 3)
    """
    how, place, configs = how or PlaneConfig(), choose_device(device), list(configs)
    for config in configs:
        if len(config.seeds) < 3:
            raise InputError(f"a plane goes through 3 members, {config.run_id} has {len(config.seeds)}")
    work(Graph(plane_pieces(configs, root, how, device)), Pool(place, workers), partial(progress, "planes"))
    return [RunPlane.from_json(load_json(run_folder(root, config) / "plane.json")) for config in configs]


def plane_pieces(
    configs: Iterable[RunConfig],
    root: Path,
    how: PlaneConfig,
    device: str,
    *,
    training: bool = False,
    priority: int = 0,
) -> list[Piece]:
    """Planes as pieces of work, one for each run.

    Args:
        configs: configurations of ensembles of three members or more.
        root: folder of all runs.
        how: settings.
        device: name of the device: ``cpu``, ``cuda`` or ``mps``.
        training: whether the members are trained by pieces of the same graph, those of ``train_pieces``.
        priority: of the pieces.

    Returns:
        The pieces; after them the run's folder has ``plane.json``.

    Examples:
        >>> from sharpdiv import RunConfig
        >>> from sharpdiv.empirical.connectivity.run_planes import PlaneConfig, plane_pieces
        >>> (piece,) = plane_pieces([RunConfig("sgd")], Path("runs"), PlaneConfig(), "cpu", training=True)
        >>> len(piece.needs)  # the members
        3
    """
    pieces = []
    for config in configs:
        needs = tuple(member_piece(config, seed) for seed in config.seeds) if training else ()
        do, points = partial(_measure, root, config, how, device), 2 * how.grid**2
        cost = points * (how.train_samples + how.test_samples) * forward_flops(config) / 1e6
        pieces.append(Piece(f"plane of {config.run_id}", do, needs, cost, priority))
    return pieces


def save_planes(path: Path, planes: Sequence[RunPlane]) -> None:
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

    Examples:
        >>> import tempfile
        >>> from sharpdiv.empirical.connectivity.run_planes import planes_from_json, save_planes
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     save_planes(Path(folder) / "planes.json", [])
        ...     planes_from_json(load_json(Path(folder) / "planes.json"))
        []
    """
    if (schema := value.get("schema")) != SCHEMA:
        raise StoreError(f"planes have layout {schema}, this version reads {SCHEMA}; use the version that wrote them")
    return [RunPlane.from_json(plane) for plane in value["planes"]]


@float32_products()
def _measure(root: Path, config: RunConfig, how: PlaneConfig, device: str) -> None:
    """Write the plane of a run, unless it is there, of the same weights and settings."""
    folder = run_folder(root, config)
    path = folder / "plane.json"
    members = open_members(folder, how.train_samples, how.test_samples, device=device)
    digests = [load_tensors(folder / f"member-{seed}.safetensors")[1]["sha256"] for seed in config.seeds]
    if path.exists():
        found = load_json(path)
        if found.get("how") == vars(how) and found.get("provenance", {}).get("members") == digests:
            return
    data = {"train": list(members.train), "test": list(members.test)}
    planes = {
        name: loss_on_plane(members.model, members.states[:3], batches, train=data["train"], points=how.grid)
        for name, batches in data.items()
    }
    samples = {name: sum(map(samples_of, batches)) for name, batches in data.items()}
    where = {**provenance(choose_device(device)), "members": digests}
    save_json(path, RunPlane(config, how, samples, planes, members.barriers(how.points), where).to_json())
