"""What is going on, on standard error: bars on a terminal, a line now and then elsewhere."""

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn

__all__ = ["Report", "progress"]

Report = Callable[[str, int, int], None]
"""Told of progress: what is going on, units of work done, units in all."""

SECONDS = 30.0
"""Time between two lines."""


def progress(what: str) -> AbstractContextManager[Report]:
    """A place to report to while something goes on.

    Args:
        what: is going on until the first report.
    """
    return _bars() if sys.stderr.isatty() else _lines(what)


@contextmanager
def _bars() -> Iterator[Report]:
    """One bar with the remaining time for each thing that goes on."""
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:>3.0f}%"))
    times = (TimeElapsedColumn(), TextColumn("left:"), TimeRemainingColumn())
    with Progress(*columns, *times, console=Console(stderr=True)) as bars:
        tasks: dict[str, TaskID] = {}

        def report(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = bars.add_task(what, total=total)
            bars.update(tasks[what], completed=done)

        yield report


@contextmanager
def _lines(what: str) -> Iterator[Report]:
    """The last report again and again, however long a piece of work takes."""
    latest = f"{what} 0/?"
    ended = threading.Event()

    def report(what: str, done: int, total: int) -> None:
        nonlocal latest
        latest = f"{what} {done}/{total}"

    def tell() -> None:
        while not ended.wait(SECONDS):
            print(latest, file=sys.stderr, flush=True)

    teller = threading.Thread(target=tell, daemon=True)
    teller.start()
    try:
        yield report
    finally:
        ended.set()
        teller.join()
