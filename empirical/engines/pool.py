"""The engine on this machine: pieces of work in processes, or one after the other in this one."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack, contextmanager

import torch

from sharpdiv.empirical.engines.workers import KILLED, default_workers, do_apart, prepare_process, processes
from sharpdiv.empirical.engines.working import Submit
from sharpdiv.empirical.errors import InputError

__all__ = ["Pool"]

_MOMENT = 0.2
"""Seconds before lost processes are started again."""


class Pool:
    """Processes with one thread each; a killed one takes the others with it, and all are started again.

    Args:
        device: device that the pieces use.
        workers: number of processes; ``default_workers`` unless given. One is this process itself.
        apart: whether one worker, too, is a process of its own, so that it can be cut off.

    Raises:
        InputError: if there are to be fewer than one worker.

    Example: see ``work``.
    """

    attempts = 3
    lost = (BrokenProcessPool,)
    advice = KILLED

    def __init__(self, device: torch.device | None = None, workers: int | None = None, *, apart: bool = False) -> None:
        if workers is not None and workers < 1:
            raise InputError(f"workers must be at least 1, got {workers}")
        self.device = device or torch.device("cpu")
        self.slots = workers or default_workers(self.device)
        self.inline = self.slots == 1 and not apart

    @contextmanager
    def lanes(self) -> Iterator[Submit]:
        """Start the processes.

        Yields:
            What has a function called in one of them.
        """
        if self.inline:
            prepare_process(None)  # of GPUs the caller has the one that is current
            yield _call
            return
        with ExitStack() as stack:
            pools = [stack.enter_context(processes(self.slots, device=self.device))]

            def submit(do: Callable[[], object]) -> "Future[object]":
                for _ in range(self.attempts):
                    try:
                        return pools[-1].submit(do_apart, do)
                    except (BrokenProcessPool, ConnectionError, EOFError):
                        # If what starts processes was killed itself, the system takes a moment to say so.
                        time.sleep(_MOMENT)
                        pools.append(stack.enter_context(processes(self.slots, device=self.device)))
                return pools[-1].submit(do_apart, do)

            yield submit


def _call(do: Callable[[], object]) -> "Future[object]":
    """Call a function here and now."""
    future: Future[object] = Future()
    try:
        future.set_result(do())
    except Exception as error:
        future.set_exception(error)
    return future
