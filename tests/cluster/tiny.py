"""A small SharpBalance ensemble, trained and measured by an engine: python -m tests.cluster.tiny ENGINE FOLDER [OPTIONS].

ENGINE is a number of workers of the pool, or a file of options of a cluster. It ends with a line of what was made, to the bit.
"""

import hashlib
import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch

from sharpdiv import RunConfig
from sharpdiv.empirical.engines.cluster import read_cluster
from sharpdiv.empirical.engines.graph import Graph
from sharpdiv.empirical.engines.parsl_engine import ParslEngine
from sharpdiv.empirical.engines.pool import Pool
from sharpdiv.empirical.engines.working import Engine, work
from sharpdiv.empirical.errors import DivergenceError
from sharpdiv.empirical.optim.sharpbalance import sharpbalance_step
from sharpdiv.empirical.runs.ensembles import held, train_pieces
from sharpdiv.empirical.runs.measure_config import MeasureConfig
from sharpdiv.empirical.runs.measuring import measure_pieces
from sharpdiv.empirical.store import load_json

CPU = torch.device("cpu")
TINY = RunConfig(
    "sharpbalance", 0.1, seeds=(1, 2, 3), train_samples=200, width=8, blocks=(1, 1), epochs=12, batch_size=20
)
HOW = MeasureConfig(
    sharpness=("one_step",), sharpness_samples=40, corrupted_samples=5, feature_samples=50, replicates=20
)
STEPS = 25
"""Of the first phase, after which a worker is killed: in its third epoch of ten steps."""


def graph(root: Path) -> Graph:
    training = train_pieces([TINY], root, CPU, checkpoint_seconds=0.0)
    return Graph([*training, *measure_pieces([TINY], root, HOW, CPU, training=True)])


def changed(whole: Graph, name: str, change: Callable[[Callable[[], object]], Callable[[], object]]) -> Graph:
    """The graph with another function for the piece whose name begins so."""
    return Graph(replace(p, do=change(p.do)) if p.name.startswith(name) else p for p in whole.pieces.values())


def killed_once(flag: Path, do: Callable[[], object]) -> None:
    """A piece whose process is killed in the middle of it, the first time."""
    steps: list[torch.Tensor] = []

    def step(*arguments: Any, **options: Any) -> torch.Tensor:
        steps.append(sharpbalance_step(*arguments, **options))
        if len(steps) == STEPS and not flag.exists():
            flag.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return steps[-1]

    with patch("sharpdiv.empirical.runs.member.sharpbalance_step", step):
        do()


def diverged() -> None:
    raise DivergenceError("it diverged")


def slowed(seconds: float, do: Callable[[], object]) -> None:
    """A piece of which every step takes longer."""

    def step(*arguments: Any, **options: Any) -> torch.Tensor:
        time.sleep(seconds)
        return sharpbalance_step(*arguments, **options)

    with patch("sharpdiv.empirical.runs.member.sharpbalance_step", step):
        do()


def bits(root: Path) -> str:
    """A hash of all members, measurements and results, but for times and versions."""
    content = hashlib.sha256()
    for path in sorted([*root.rglob("*.safetensors"), *root.rglob("predictions.npz")]):
        content.update(path.relative_to(root).as_posix().encode() + path.read_bytes())
    for path in sorted(root.rglob("result.json")):
        numbers = {name: value for name, value in load_json(path).items() if name != "provenance"}
        content.update(repr(numbers).encode())
    return content.hexdigest()


def main(how: str, folder: str, *options: str) -> None:
    root = Path(folder).resolve()
    engine: Engine = (
        Pool(workers=int(how)) if how.isdigit() else ParslEngine(read_cluster(Path(how)), root / "cluster", "cpu")
    )
    with held([TINY], root):
        whole = graph(root)
        if "--kill" in options:
            whole = changed(whole, "first phase 2", lambda do: partial(killed_once, root / "killed", do))
        if "--slow" in options:
            whole = changed(whole, "first phase", lambda do: partial(slowed, 0.05, do))
        if "--diverge" in options:
            whole = changed(whole, "member 3", lambda _: partial(diverged))
        deadline = time.monotonic() + 6 if "--stop" in options else None
        try:
            left = work(whole, engine, deadline=deadline)
        except DivergenceError as error:
            print(error)
            return
    print(f"left {len(left)}" if left else bits(root))


if __name__ == "__main__":
    from tests.cluster import tiny

    tiny.main(*sys.argv[1:])  # functions of this module, which workers import; those of __main__ they cannot
