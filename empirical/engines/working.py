"""Doing a graph of work with an engine: here, in processes, or on a cluster.

A piece that fails for reasons of its own stops only what needs it. One whose process is lost is started again: done again, it goes
on from its files, and ends with the same bits.
"""

import heapq
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import AbstractContextManager
from threading import TIMEOUT_MAX
from time import monotonic
from typing import Protocol, runtime_checkable

from sharpdiv.empirical.engines.graph import Graph, Piece
from sharpdiv.empirical.engines.workers import single_thread
from sharpdiv.empirical.errors import DivergenceError, InputError, NotMeasuredError, StoreError, WorkerError

__all__ = ["Engine", "Submit", "work"]

Submit = Callable[[Callable[[], object]], "Future[object]"]
"""Has a function called somewhere."""

_OWN = (DivergenceError, InputError, NotMeasuredError, StoreError)
"""What a piece raises for reasons of its own; all else, such as a full disk, would stop the other pieces as well."""


@runtime_checkable
class Engine(Protocol):
    """Where pieces are done.

    Example: see ``Pool``.
    """

    @property
    def slots(self) -> int:
        """Pieces that are done at once."""

    @property
    def attempts(self) -> int:
        """How often a piece is started whose process is lost each time."""

    @property
    def lost(self) -> tuple[type[BaseException], ...]:
        """Errors that say that the process of a piece is lost."""

    @property
    def advice(self) -> str:
        """Why processes may be lost, and what to do."""

    def lanes(self) -> AbstractContextManager[Submit]:
        """Start whatever does the pieces; it ends with the block, at once if the block fails."""


def work(
    graph: Graph,
    engine: Engine,
    progress: Callable[[int, int], None] = lambda *_: None,
    deadline: float | None = None,
) -> tuple[str, ...]:
    """Do the pieces of a graph, each as soon as what it needs is there.

    Args:
        graph: what is to be done.
        engine: where.
        progress: listener, told at the start and after every piece of the units done and the units in all.
        deadline: time, by ``time.monotonic``, at which to stop: pieces that are going on are cut off.

    Returns:
        Names of the pieces that are left; none unless the deadline came.

    Raises:
        WorkerError: if a piece lost its process too often.

    Examples:
        >>> from functools import partial
        >>> from sharpdiv.empirical.engines.graph import Graph, Piece
        >>> from sharpdiv.empirical.engines.pool import Pool
        >>> from sharpdiv.empirical.engines.working import work
        >>> eat = Piece("eat", partial(print, "eaten"), needs=("cook",))
        >>> work(Graph([eat, Piece("cook", partial(print, "cooked"))]), Pool(workers=1))
        cooked
        eaten
        ()
    """
    run = _Run(graph, engine, progress, deadline)
    if graph.pieces:
        try:
            run.in_time()  # or nothing is started
            with single_thread(), engine.lanes() as submit:
                run.drive(submit)
        except _TimeIsUpError:
            run.late = True
        run.raise_failures()
    return run.left


class _TimeIsUpError(Exception):
    """Unwinds the engine, which ends what it started."""


class _Run:
    """How far a graph is done."""

    def __init__(
        self, graph: Graph, engine: Engine, progress: Callable[[int, int], None], deadline: float | None
    ) -> None:
        self.graph, self.engine, self.deadline = graph, engine, deadline
        self.rank = {name: rank for rank, name in enumerate(graph.pieces)}
        self.wanting = {name: set(piece.needs) for name, piece in graph.pieces.items()}
        self.ready = [self.rank[name] for name, needs in self.wanting.items() if not needs]
        self.order = list(graph.pieces.values())
        self.running: dict[Future[object], Piece] = {}
        self.attempts: Counter[str] = Counter()
        self.failed: dict[str, Exception] = {}
        self.done: set[str] = set()
        self.late = False  # whether the deadline came
        self.units, self.total = 0.0, sum(piece.cost for piece in self.order)
        self.progress = progress

    @property
    def left(self) -> tuple[str, ...]:
        """Names of what is not done."""
        return tuple(name for name in self.graph.pieces if name not in self.done)

    def drive(self, submit: Submit) -> None:
        """Keep all slots busy until nothing more can be done."""
        self.progress(0, round(self.total))
        while self.ready or self.running:
            while self.ready and len(self.running) < self.engine.slots:
                self._start(self.order[heapq.heappop(self.ready)], submit)
            for future in self._ended():
                self._take(self.running.pop(future), future)

    def _start(self, piece: Piece, submit: Submit) -> None:
        self.in_time()
        if not piece.here:
            self.running[submit(piece.do)] = piece
            return
        future: Future[object] = Future()
        try:
            future.set_result(piece.do())
        except _OWN as error:
            future.set_exception(error)
        self._take(piece, future)

    def in_time(self) -> float | None:
        """Seconds that remain; None without a limit."""
        if self.deadline is None:
            return None
        if (remaining := self.deadline - monotonic()) <= 0:
            raise _TimeIsUpError
        return remaining

    def _ended(self) -> Iterable[Future[object]]:
        if not self.running:
            return ()
        remaining = self.in_time()
        most = None if remaining is None else min(remaining, TIMEOUT_MAX)
        ended = wait(self.running, timeout=most, return_when=FIRST_COMPLETED).done
        if not ended:
            self.in_time()
        return ended

    def _take(self, piece: Piece, future: "Future[object]") -> None:
        """Note how a piece ended, and what is ready now."""
        error = future.exception()
        if error is None:
            self.done.add(piece.name)
            self.units += piece.cost
            self.progress(round(self.units), round(self.total))
            for user in self.graph.users[piece.name]:
                self.wanting[user].discard(piece.name)
                if not self.wanting[user]:
                    heapq.heappush(self.ready, self.rank[user])
        elif isinstance(error, self.engine.lost):
            self.attempts[piece.name] += 1
            if self.attempts[piece.name] >= self.engine.attempts:
                said = " ".join(str(error).split())[:400]
                raise WorkerError(f"{piece.name}: {self.engine.advice} ({said})") from error
            heapq.heappush(self.ready, self.rank[piece.name])
        elif isinstance(error, _OWN):
            self.failed[piece.name] = error
        elif isinstance(error, WorkerError):
            raise WorkerError(f"{piece.name}: {error}") from error
        else:
            raise error

    def raise_failures(self) -> None:
        """Raise the first failure, if there was one, with what else is not done because of it, of others, and of the deadline."""
        if not self.failed:
            return
        first, *others = self.failed.values()
        kept = sorted(set().union(*map(self.graph.after, self.failed)) - self.failed.keys(), key=self.rank.__getitem__)
        rest = len(self.left) - len(self.failed) - len(kept) if self.late else 0
        if not (others or kept or rest):
            raise first
        kind = next(kind for kind in _OWN if isinstance(first, kind))  # one that is made of a text alone
        parts = [str(first)]
        if others:
            parts.append(f"{len(others)} more failed ({_some(list(self.failed)[1:])})")
        if kept:
            parts.append(f"not done for want of {'them' if others else 'it'}: {_some(kept)}")
        if rest:
            parts.append(f"the time was up with {rest} more to do: run again to go on")
        raise kind("; ".join(parts)) from first


def _some(names: list[str]) -> str:
    """The first names, and how many more there are."""
    shown, more = names[:3], len(names) - 3
    return ", ".join(shown) + (f" and {more} more" if more > 0 else "")
