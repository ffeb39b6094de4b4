"""Where and how many at once: the choice of a device, and independent pieces of work spread over processes."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import get_all_start_methods, get_context, parent_process
from multiprocessing.context import ForkServerContext, SpawnContext
from multiprocessing.sharedctypes import Synchronized
from typing import Any

import threadpoolctl
import torch

from sharpdiv.empirical.errors import InputError, WorkerError

__all__ = ["Piece", "choose_device", "default_workers", "processes", "shared", "single_thread", "start_context", "work"]

_KERNELS = "8192"
"""Compiled convolutions that oneDNN keeps. SharpBalance's parts come in many sizes, each with its own kernels: of the default,
1,024, most would be thrown away before their size comes again."""

_PRELOAD = ["sharpdiv.empirical.runs.ensembles", "sharpdiv.empirical.runs.measuring", "sharpdiv.checks.registry"]
"""What workers need of this package, and with it the libraries."""

_KILLED = (
    "a worker was killed (out of memory?); run again to continue. If none ever started: a script that trains or checks claims in "
    "processes needs if __name__ == '__main__'"
)

Piece = tuple[int, Callable[[], None]]
"""Units of work, for the progress bar, and what to do."""


def choose_device(name: str) -> torch.device:
    """The device of that name.

    Args:
        name: ``cpu``, ``cuda`` or ``mps``.

    Returns:
        A usable device.

    Raises:
        InputError: if there is none here; the message lists what there is.
    """
    available = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not available.get(name, False):
        usable = ", ".join(kind for kind, there in available.items() if there)
        raise InputError(f"device {name!r} is not available here; use one of: {usable}")
    return torch.device(name)


def work(
    stages: list[list[Piece]], device: torch.device, workers: int | None, progress: Callable[[int, int], None]
) -> None:
    """Do the stages one after the other, the pieces of a stage in any order or at once.

    Args:
        stages: pieces, each a top-level function's partial (it may cross to another process).
        device: device that the pieces use.
        workers: number of processes; ``default_workers`` unless given.
        progress: listener, told at the start and after every piece of the units done and the units in all.

    Raises:
        InputError: if there are to be fewer than one worker.
        WorkerError: if a process is killed from outside.
    """
    if workers is not None and workers < 1:
        raise InputError(f"workers must be at least 1, got {workers}")
    workers = workers or default_workers(device)
    _keep_kernels()
    done, total = 0, sum(units for stage in stages for units, _ in stage)
    progress(done, total)
    with single_thread(), _pool(workers) as run:
        for stage in stages:
            for units in run(stage):
                done += units
                progress(done, total)


def default_workers(device: torch.device) -> int:
    """Processes that use a device well: one per usable CPU core, one per GPU of a ``cuda`` machine, else 1.

    Args:
        device: device that they use.

    Returns:
        Their number.
    """
    if device.type == "cpu":
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return torch.cuda.device_count() if device.type == "cuda" else 1


@contextmanager
def _pool(workers: int) -> Iterator[Callable[[list[Piece]], Iterator[int]]]:
    """A way to do a stage's pieces that yields the units of each as it ends: here, or in processes."""
    if workers <= 1:

        def inline(stage: list[Piece]) -> Iterator[int]:
            for units, piece in stage:
                piece()
                yield units

        yield inline
        return
    with processes(workers) as pool:

        def spread(stage: list[Piece]) -> Iterator[int]:
            pending = {pool.submit(piece): units for units, piece in stage}
            while pending:
                for future in wait(pending, return_when=FIRST_COMPLETED).done:
                    future.result()
                    yield pending.pop(future)

        yield spread


@contextmanager
def processes(workers: int, given: object = None) -> Iterator[ProcessPoolExecutor]:
    """Processes with one thread each, which end with their parent, however it ends, and at once if the block fails.

    Args:
        workers: number of processes.
        given: object that each process is sent once; ``shared`` has it there.

    Yields:
        The pool.

    Raises:
        WorkerError: if one is killed from outside.
    """
    context = start_context()
    with ProcessPoolExecutor(workers, context, _start_worker, (context.Value("i", 0), dict(os.environ), given)) as pool:
        try:
            yield pool
        except BaseException as error:
            # Writes are atomic, so a piece may be cut off anywhere; waiting for it could take hours.
            for process in list((pool._processes or {}).values()):
                process.terminate()
            pool.shutdown(wait=False, cancel_futures=True)
            if isinstance(error, BrokenProcessPool):
                raise WorkerError(_KILLED) from error
            raise


def start_context() -> ForkServerContext | SpawnContext:
    """How processes are started: forked from a server that has loaded the libraries once, or spawned where there is no such thing.

    Never forked from here: a child would inherit the locks of this process's thread pools.

    Returns:
        A context of ``multiprocessing``.
    """
    if "forkserver" not in get_all_start_methods():
        return get_context("spawn")
    context = get_context("forkserver")
    context.set_forkserver_preload(_PRELOAD)
    return context


def _start_worker(started: "Synchronized[int]", environment: dict[str, str], given: object) -> None:
    """Prepare a process: one thread, a GPU of its own, and an end when the parent is killed (it would wait forever)."""
    os.environ.clear()  # the server's, which may be older than what was set here since
    os.environ.update(environment)
    _keep_kernels()
    torch.set_num_threads(1)
    threadpoolctl.threadpool_limits(1)
    with started.get_lock():
        number, started.value = started.value, started.value + 1
    if torch.cuda.is_available():
        torch.cuda.set_device(number % torch.cuda.device_count())
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C ends the piece, not only its Python code
    parent = parent_process()

    def follow() -> None:
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=follow, daemon=True).start()
    _shared.append(given)


_shared: list[Any] = []


def shared() -> Any:
    """In a process of ``processes``, what all of them were given.

    Returns:
        The object.
    """
    return _shared[0]


def _keep_kernels() -> None:
    """Read by oneDNN at a process's first convolution; later it has no effect."""
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", _KERNELS)


@contextmanager
def single_thread() -> Iterator[None]:
    """One thread per member: sums then do not depend on the machine, and small networks gain nothing from more.

    Yields:
        Nothing.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
