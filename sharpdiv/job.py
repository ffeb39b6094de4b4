"""The main job as one graph: every block of every design, the dial, the sweep, and what is compared, with no barrier between them.

Blocks come one after the other in rank only: while the last members of one are trained, the next has begun. A block's records are
put with the results as soon as it is measured.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import torch

from sharpdiv.checks.ascents.networks import Sweep
from sharpdiv.checks.ascents.sweep import sweep_pieces
from sharpdiv.checks.ensembles.conditions import CURVE
from sharpdiv.checks.kernels.alpha_sweep import dial_pieces
from sharpdiv.checks.kernels.compare import compare_runs
from sharpdiv.checks.kernels.dials import Dial
from sharpdiv.empirical.connectivity.run_planes import PlaneConfig, RunPlane, plane_pieces, save_planes
from sharpdiv.empirical.engines.graph import Piece
from sharpdiv.empirical.runs.config import RunConfig
from sharpdiv.empirical.runs.ensembles import held, train_pieces
from sharpdiv.empirical.runs.folders import locked, run_folder
from sharpdiv.empirical.runs.measuring import measure_pieces, result_piece
from sharpdiv.empirical.runs.profiles import Design
from sharpdiv.empirical.runs.record import load_record
from sharpdiv.empirical.runs.stacked import train_held
from sharpdiv.empirical.runs.weight_norms import add_weight_norms
from sharpdiv.empirical.store import load_json, save_json, write_atomically

__all__ = ["Job", "Say", "is_there", "record_of"]

Say = Callable[[str], object]
"""Told a line about every step, for people."""

_COMPARED = frozenset({"fashion-mnist", "cifar10-jpeg"})
"""Designs put beside their lazy limit: the dial is about the digits', and a GPU's are too large for it."""

_ON_PLANES = ("sgd", "sam-mid", "sharpbalance-mid")
"""Conditions of the digits of whose first block a picture is made, side by side."""


def record_of(target: Path, design: Design, run: RunConfig) -> Path:
    """Where the record of a run is, in a folder of results.

    Returns:
        A path that need not exist.
    """
    return target / design.name / f"{run.run_id}.npz"


def is_there(folder: Path, design: Design, name: str, run: RunConfig) -> bool:
    """Whether a folder of results has the run of a condition, measured as its design says.

    Returns:
        Whether it has.
    """
    path = record_of(folder, design, run)
    return path.exists() and load_record(path).measured_as(design.measurement(name))


@dataclass
class Job:
    """What there is to do, and where; a context that holds the folder of results, and the runs that are in training."""

    runs: Path
    """folder of all runs"""
    target: Path
    """folder of results"""
    device: str
    """``cpu``, ``cuda`` or ``mps``, where the pieces are done"""
    say: Say
    """told when a block is measured"""
    stacked: bool = False
    """whether members of SGD and SAM of a block are trained as one"""
    pieces: list[Piece] = field(default_factory=list)
    """what was added so far; a later design ranks behind the earlier ones"""
    blocks: int = 0
    """blocks added so far"""
    measured: int = 0
    """blocks that were measured since"""

    def __post_init__(self) -> None:
        self._held = ExitStack()
        self._place = torch.device(self.device)

    def __enter__(self) -> "Job":
        # Of two at once each would take blocks from the other, and what one puts with the results the other would undo.
        self.target.mkdir(parents=True, exist_ok=True)
        self._held.enter_context(locked([self.target]))
        return self

    def __exit__(self, *_: object) -> None:
        self._held.close()

    def add_small(self, dial: Dial | None, sweep: Sweep | None) -> None:
        """Add the small networks of dial and sweep, which come first."""
        folders = [self.runs / name for name, small in (("dial", dial), ("ascents", sweep)) if small]
        self._held.enter_context(locked(folders))
        if dial:
            self.pieces += dial_pieces(dial, self.runs, self.target, self._place, priority=-1)
        if sweep:
            self.pieces += sweep_pieces(sweep, self.runs, self.target, self._place, priority=-1)

    def add(self, design: Design, *, planes: PlaneConfig | None = None) -> None:
        """Add what a design still lacks.

        Args:
            design: its conditions and blocks.
            planes: how planes through members of its first block are measured, if they are.
        """
        results = [self._add_block(design, block) for block in design.blocks]
        if design.name in _COMPARED and not (path := self.target / f"comparison-{design.name}.json").exists():
            needs = tuple(name for name in results[:3] if name)
            records = [
                record_of(self.target, design, design.runs(block)[name])
                for block in design.blocks[:3]
                for name in CURVE
            ]
            compare = partial(_compare, path, records, self.device)
            self.pieces.append(Piece(f"comparison of {design.name}", compare, needs, 0.0, self.blocks))
        if planes:
            self._add_planes(design, planes)

    def _add_block(self, design: Design, block: tuple[int, ...]) -> str | None:
        """Add what a block lacks: its runs are trained, measured, and put with the results; the name of the last, if any."""
        missing = {n: run for n, run in design.runs(block).items() if not is_there(self.target, design, n, run)}
        if not missing:
            return None
        self.blocks += 1
        title, priority = f"block {', '.join(map(str, block))} of {design.name}", self.blocks
        begin, lock = f"begin {title}", self._held.enter_context(ExitStack())
        hold = partial(_hold, lock, tuple(missing.values()), self.runs)
        self.pieces.append(Piece(begin, hold, (), 0.0, priority, here=True))
        needs = (begin,)
        if self.stacked:
            stack = partial(train_held, tuple(missing.values()), self.runs, self._place)
            needs = (f"stack of {title}",)
            self.pieces.append(Piece(needs[0], stack, (begin,), 0.0, priority))
        self.pieces += train_pieces(missing.values(), self.runs, self._place, needs=needs, priority=priority)
        measuring = [
            piece
            for name, run in missing.items()
            for piece in measure_pieces(
                [run], self.runs, design.measurement(name), self._place, training=True, priority=priority
            )
        ]
        self.pieces += measuring
        results = {piece.name for piece in measuring} & {result_piece(run) for run in missing.values()}
        publish = partial(self._publish, design, block, missing, lock)
        self.pieces.append(Piece(title, publish, (begin, *sorted(results)), 0.0, priority, here=True))
        return title

    def _publish(self, design: Design, block: Sequence[int], of: Mapping[str, RunConfig], lock: ExitStack) -> None:
        """Put a block's records with the results, and let go of its runs."""
        # Records come last: a run whose record is there is not looked at again.
        add_weight_norms(self.target / "weight-norms.json", of.values(), self.runs)
        for run in of.values():
            content = (run_folder(self.runs, run) / "record.npz").read_bytes()
            write_atomically(record_of(self.target, design, run), content)
        lock.close()
        self.measured += 1
        self.say(f"{design.name}: block of seeds {', '.join(map(str, block))} is measured")

    def _add_planes(self, design: Design, how: PlaneConfig) -> None:
        """Add planes through members of a design's first block, if they are not there and the networks are, or will be."""
        path, of = self.target / "planes.json", design.runs(design.blocks[0])
        if path.exists():
            return
        runs, made = [of[name] for name in _ON_PLANES], {piece.name for piece in self.pieces}
        planes = plane_pieces(runs, self.runs, how, self.device, training=True, priority=self.blocks)
        files = [run_folder(self.runs, run) / f"member-{seed}.safetensors" for run in runs for seed in run.seeds]
        if all(made.issuperset(piece.needs) for piece in planes):
            pass
        elif all(file.exists() for file in files):
            planes = plane_pieces(runs, self.runs, how, self.device, priority=self.blocks)
        else:
            return
        names = tuple(piece.name for piece in planes)
        self.pieces += [*planes, Piece("planes", partial(_save_planes, path, runs, self.runs), names, here=True)]


def _hold(lock: ExitStack, configs: Sequence[RunConfig], root: Path) -> None:
    lock.enter_context(held(configs, root))


def _compare(path: Path, records: Sequence[Path], device: str) -> None:
    """Put SGD and SAM of a design's first blocks beside the lazy limit of their networks."""
    save_json(path, compare_runs(records, device=device).to_json())


def _save_planes(path: Path, runs: Sequence[RunConfig], root: Path) -> None:
    save_planes(path, [RunPlane.from_json(load_json(run_folder(root, run) / "plane.json")) for run in runs])
