"""Doing a graph: order, failures that stop only what they must, lost processes, time limits."""

import os
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import partial
from multiprocessing import active_children
from pathlib import Path

import pytest
import torch

from sharpdiv.empirical.engines.graph import Graph, Piece
from sharpdiv.empirical.engines.pool import Pool
from sharpdiv.empirical.engines.workers import do_apart, start_context
from sharpdiv.empirical.engines.working import Submit, work
from sharpdiv.empirical.errors import DivergenceError, StoreError, WorkerError


class LostError(Exception):
    """A process is gone."""


class Fake:
    """An engine that ends what it was given in a known order, the oldest first, and loses what it is told to."""

    lost = (LostError,)
    attempts = 3
    advice = "it was lost"

    def __init__(self, slots: int = 2, loses: dict[str, int] | None = None, *, stuck: bool = False) -> None:
        self.slots, self.loses, self.stuck = slots, loses or {}, stuck
        self.started: list[str] = []
        self.most = 0
        self.open = False
        self.lanes_opened = 0

    @contextmanager
    def lanes(self) -> Iterator[Submit]:
        self.open = True
        self.lanes_opened += 1
        queue: deque[tuple[Future[object], Callable[[], object]]] = deque()
        filled, ended = threading.Semaphore(0), threading.Event()

        def run() -> None:
            while filled.acquire() and not ended.is_set():
                time.sleep(0.005)  # whoever submits has the time to fill all slots
                self.most = max(self.most, len(queue))
                future, do = queue.popleft()
                name = do.args[0]  # type: ignore[attr-defined]
                if self.loses.get(name, 0):
                    self.loses[name] -= 1
                    future.set_exception(LostError("gone"))
                    continue
                try:
                    future.set_result(do())
                except Exception as error:
                    future.set_exception(error)

        def submit(do: Callable[[], object]) -> "Future[object]":
            future: Future[object] = Future()
            self.started.append(do.args[0])  # type: ignore[attr-defined]
            queue.append((future, do))
            if not self.stuck:
                filled.release()
            return future

        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield submit
        finally:
            self.open = False
            ended.set()
            filled.release()
            thread.join()


done: list[str] = []


def do(name: str, error: Exception | None = None) -> None:
    if error:
        raise error
    done.append(name)


@pytest.fixture(autouse=True)
def _nothing_done() -> None:
    done.clear()


def piece(name: str, *needs: str, error: Exception | None = None, cost: float = 1.0, here: bool = False) -> Piece:
    return Piece(name, partial(do, name, error), needs, cost, here=here)


def test_pieces_start_as_soon_as_they_can() -> None:
    """No barrier: b2 before the long a is followed, and never more than the slots at once."""
    pieces = [piece("a", cost=9.0), piece("b"), piece("b2", "b"), piece("c", "a", "b2"), piece("d", "c", here=True)]
    engine, seen = Fake(), list[tuple[int, int]]()
    assert work(Graph(pieces), engine, lambda *units: seen.append(units)) == ()
    assert engine.started == ["a", "b", "b2", "c"]
    assert (engine.most, engine.open) == (2, False)
    assert sorted(done) == ["a", "b", "b2", "c", "d"]
    assert seen == [(0, 13), (9, 13), (10, 13), (11, 13), (12, 13), (13, 13)]


def test_a_failure_stops_only_what_needs_it() -> None:
    pieces = [
        piece("a", error=DivergenceError("a diverged"), cost=9.0),
        piece("a2", "a"),
        piece("a3", "a2", here=True),
        *(piece(name) for name in "bcd"),
    ]
    with pytest.raises(DivergenceError, match=r"^a diverged; not done for want of it: a2, a3$"):
        work(Graph(pieces), Fake())
    assert sorted(done) == ["b", "c", "d"]


def test_of_several_failures_the_first_is_raised_and_the_others_named() -> None:
    errors = [DivergenceError("one"), StoreError("two"), StoreError("three")]
    pieces = [piece(f"a{number}", error=error, cost=9.0 - number) for number, error in enumerate(errors)]
    pieces += [piece("b", "a1"), piece("c")]
    with pytest.raises(DivergenceError, match=r"^one; 2 more failed \(a1, a2\); not done for want of them: b$"):
        work(Graph(pieces), Fake())
    assert done == ["c"]


def test_a_failure_alone_is_raised_as_it_is() -> None:
    error = StoreError("damaged")
    with pytest.raises(StoreError) as raised:
        work(Graph([piece("a", error=error), piece("b", here=True)]), Fake())
    assert raised.value is error
    assert done == ["b"]


def test_what_is_nobodys_own_fault_stops_everything_at_once() -> None:
    engine = Fake(slots=1)
    with pytest.raises(OSError, match="disk"):
        work(Graph([piece("a", error=OSError("disk full"), cost=9.0), piece("b")]), engine)
    assert (done, engine.open) == ([], False)


def test_lost_pieces_are_started_again_but_not_for_ever() -> None:
    engine = Fake(loses={"a": 2})
    work(Graph([piece("a"), piece("b", "a")]), engine)
    assert engine.started == ["a", "a", "a", "b"]
    with pytest.raises(WorkerError, match=r"^a: it was lost \(gone\)$"):
        work(Graph([piece("a"), piece("b", "a")]), Fake(loses={"a": 3}))


def test_the_time_limit_cuts_off_what_goes_on() -> None:
    began, engine = time.monotonic(), Fake(stuck=True)
    left = work(Graph([piece("a"), piece("b", "a"), piece("c", here=True)]), engine, deadline=began + 0.1)
    assert set(left) >= {"a", "b"}
    assert not engine.open
    engine = Fake()
    assert work(Graph([piece("a"), piece("b", "a")]), engine, deadline=began) == ("a", "b")
    assert engine.lanes_opened == 0  # jobs may cost something


def test_a_failure_does_not_hide_that_the_time_was_up() -> None:
    error = DivergenceError("a diverged")
    pieces = [piece("a", error=error, cost=9.0, here=True), piece("a2", "a"), piece("b"), piece("c", "b")]
    with pytest.raises(
        DivergenceError, match=r"^a diverged; not done .*: a2; the time was up with 2 more to do: run again to go on$"
    ):
        work(Graph(pieces), Fake(stuck=True), deadline=time.monotonic() + 0.1)


def kill_once(flag: Path) -> None:
    """Like a worker that runs out of memory, the first time."""
    if not flag.exists():
        flag.touch()
        os.kill(os.getpid(), signal.SIGKILL)


def note(folder: Path, name: str) -> None:
    (folder / name).write_text(str(os.getpid()))


def fill_the_disk() -> None:
    raise OSError(28, "No space left on device")


@pytest.mark.slow
def test_a_failure_ends_no_process_of_the_caller() -> None:
    """But all of its own, whatever they are doing."""
    mine = start_context().Process(target=time.sleep, args=(60,))
    mine.start()
    try:
        with pytest.raises(OSError, match="No space left"):
            work(Graph([Piece("a", partial(fill_the_disk)), Piece("b", partial(time.sleep, 60))]), Pool(workers=2))
        assert mine.is_alive()
        assert active_children() == [mine]
    finally:
        mine.kill()
        mine.join()


@pytest.mark.slow
def test_a_killed_worker_is_replaced(tmp_path: Path) -> None:
    pieces = [Piece("killed", partial(kill_once, tmp_path / "flag"))]
    pieces += [Piece(f"{n}", partial(note, tmp_path, str(n)), ("killed",) if n % 2 else ()) for n in range(6)]
    assert work(Graph(pieces), Pool(workers=2)) == ()
    assert {path.name for path in tmp_path.iterdir()} == {"flag", *map(str, range(6))}
    assert all(path.read_text() != str(os.getpid()) for path in tmp_path.glob("[0-9]"))


class OwnError(DivergenceError):
    """Made of two things: what is made of its text alone, such as a copy in another process, fails."""

    def __init__(self, epoch: int, loss: float) -> None:
        super().__init__(f"loss {loss} in epoch {epoch}")


def test_failures_of_any_make_are_put_together() -> None:
    with pytest.raises(DivergenceError, match=r"^loss inf in epoch 3; not done for want of it: b$"):
        work(Graph([piece("a", error=OwnError(3, float("inf"))), piece("b", "a")]), Fake())


def fail_oddly() -> None:
    raise OwnError(3, 0.5)


def answer_at_length() -> bytes:
    return bytes(2**20)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("do", "said"), [(fail_oddly, "OwnError: loss 0.5 in epoch 3"), (partial(sys.exit, 0), "SystemExit: 0")]
)
def test_what_cannot_cross_between_processes_is_named(do: Callable[[], object], said: str) -> None:
    """It is no lost process, and ends this one neither."""
    with pytest.raises(WorkerError, match=f"^a: {said}$"):
        work(Graph([Piece("a", do)]), Pool(workers=1, apart=True))


def test_what_a_piece_returns_stays_where_it_is() -> None:
    assert do_apart(answer_at_length) is None  # type: ignore[func-returns-value]


@pytest.mark.parametrize("limit", [1e10, 1e300, float("inf")])
def test_a_time_limit_may_be_beyond_what_a_system_waits(limit: float) -> None:
    assert work(Graph([piece("a")]), Fake(), deadline=limit) == ()


def stop_oneself(flag: Path) -> None:
    flag.touch()
    os.kill(os.getpid(), signal.SIGSTOP)


@pytest.mark.slow
def test_a_worker_that_is_stopped_does_not_hold_up_the_end(tmp_path: Path) -> None:
    """It would not hear that it should end."""
    pieces = [Piece("a", partial(stop_oneself, tmp_path / "flag")), Piece("b", partial(fail_behind, tmp_path / "flag"))]
    with pytest.raises(OSError, match="No space left"):
        work(Graph(pieces), Pool(workers=2))
    assert not active_children()


def fail_behind(flag: Path) -> None:
    while not flag.exists():
        time.sleep(0.01)
    time.sleep(0.1)
    fill_the_disk()


def test_a_killed_server_of_processes_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its end is noticed a moment later than that of its processes: until then nobody answers."""
    refused = deque([BrokenProcessPool(), ConnectionResetError(), EOFError("unexpected EOF")])

    @contextmanager
    def refusing(workers: int, *, device: torch.device) -> Iterator[ThreadPoolExecutor]:
        with ThreadPoolExecutor(workers) as pool:
            if refused:
                monkeypatch.setattr(pool, "submit", partial(fail_with, refused.popleft()))
            yield pool

    monkeypatch.setattr("sharpdiv.empirical.engines.pool.processes", refusing)
    monkeypatch.setattr("sharpdiv.empirical.engines.pool._MOMENT", 0.0)
    assert work(Graph([piece("a")]), Pool(workers=2)) == ()
    assert (done, len(refused)) == (["a"], 0)


def fail_with(error: Exception, *_: object) -> None:
    raise error
