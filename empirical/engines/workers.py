"""Where and how many at once: the choice of a device, and processes that use it."""

import os
import pickle
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import get_all_start_methods, get_context, parent_process
from multiprocessing.context import ForkServerContext, SpawnContext
from multiprocessing.sharedctypes import Synchronized
from typing import Any

import threadpoolctl
import torch

from sharpdiv.empirical.engines.allocator import keep_memory
from sharpdiv.empirical.errors import InputError, WorkerError

__all__ = [
    "KILLED",
    "choose_device",
    "default_workers",
    "do_apart",
    "ended_by_sigterm",
    "follow_parent",
    "prepare_process",
    "processes",
    "shared",
    "single_thread",
    "start_context",
]

_KERNELS = "8192"
"""Compiled convolutions that oneDNN keeps. SharpBalance's parts come in many sizes, each with its own kernels: of the default,
1,024, most would be thrown away before their size comes again."""

_PRELOAD = ["sharpdiv.empirical.runs.ensembles", "sharpdiv.empirical.runs.measuring", "sharpdiv.checks.registry"]
"""What workers need of this package, and with it the libraries."""

KILLED = (
    "a worker was killed (out of memory?); run again to continue. If none ever started: a script that trains or checks claims in "
    "processes needs if __name__ == '__main__'"
)
"""Why a process may be gone, and what to do."""


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
def processes(workers: int, given: object = None, device: torch.device | None = None) -> Iterator[ProcessPoolExecutor]:
    """Processes with one thread each, which end with their parent, however it ends, and at once if the block fails.

    Args:
        workers: number of processes.
        given: object that each process is sent once; ``shared`` has it there.
        device: device that they use; of several GPUs each takes one.

    Yields:
        The pool.

    Raises:
        WorkerError: if one is killed from outside.
    """
    context = start_context()
    start = (context.Value("i", 0), dict(os.environ), given, device)
    with ended_by_sigterm(), ProcessPoolExecutor(workers, context, _start_worker, start) as pool:
        try:
            yield pool
        except BaseException as error:
            # Writes are atomic, so a piece may be cut off anywhere; waiting for it could take hours. One that is stopped can only
            # be killed.
            for process in list((pool._processes or {}).values()):
                process.kill()
            pool.shutdown(cancel_futures=True)  # and waits until they are gone
            if isinstance(error, BrokenProcessPool):
                raise WorkerError(KILLED) from error
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


def _start_worker(
    started: "Synchronized[int]", environment: dict[str, str], given: object, device: torch.device | None
) -> None:
    """Prepare a process, which ends when the parent is killed."""
    follow_parent()
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C ends the piece, not only its Python code
    os.environ.clear()  # the server's, which may be older than what was set here since
    os.environ.update(environment)
    with started.get_lock():
        number, started.value = started.value, started.value + 1
    prepare_process(device, number)
    threadpoolctl.threadpool_limits(1)
    _shared.append(given)


def follow_parent() -> None:
    """Have this process end when the one that started it is gone: it would wait forever, for work or for a lock."""
    parent = parent_process()

    def follow() -> None:
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=follow, daemon=True).start()


def prepare_process(device: torch.device | None, number: int = 0) -> None:
    """Prepare a process for pieces of work: kernels and memory are kept, PyTorch has one thread, a worker its GPU.

    Args:
        device: device that it uses; a GPU is touched only if it is ``cuda``, as that makes a context, hundreds of MB.
        number: which of the workers on this machine it is.

    Raises:
        InputError: if it is to use a GPU and sees none.
    """
    _keep_kernels()
    keep_memory()
    torch.set_num_threads(1)
    if device is not None and device.type == "cuda":
        if not (count := torch.cuda.device_count()):
            raise InputError(
                "this process sees no GPU: look at CUDA_VISIBLE_DEVICES, or in a job at its partition, gpus_per_job and setup"
            )
        torch.cuda.set_device(number % count)


def do_apart(do: Callable[[], object]) -> None:
    """Do a piece of work in a process of its own: what it returns stays there, as files say what it made.

    Args:
        do: the piece.

    Raises:
        WorkerError: in place of an error that cannot cross to another process, or of one that would end the process that gets it.

    Examples:
        >>> import sys
        >>> from functools import partial
        >>> from sharpdiv.empirical.engines.workers import do_apart
        >>> do_apart(partial(sys.exit, 3))
        Traceback (most recent call last):
        ...
        sharpdiv.empirical.errors.WorkerError: SystemExit: 3
    """
    try:
        do()
    except BaseException as error:
        if isinstance(error, Exception) and _crosses(error):
            raise
        raise WorkerError(f"{type(error).__name__}: {error}") from None


def _crosses(error: Exception) -> bool:
    try:
        return type(pickle.loads(pickle.dumps(error))) is type(error)  # noqa: S301  # what was just pickled
    except Exception:  # whatever the error's own methods raise
        return False


@contextmanager
def ended_by_sigterm() -> Iterator[None]:
    """SIGTERM unwinds the block, so that what it started is ended and its locks are lifted; Python alone would just be gone.

    Yields:
        Nothing.
    """
    mine = threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    if not mine:
        yield
        return

    def unwind(*_: object) -> None:
        raise SystemExit(128 + signal.SIGTERM)

    signal.signal(signal.SIGTERM, unwind)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


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
