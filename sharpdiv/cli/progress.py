"""What is going on, on standard error: bars on a terminal, a line now and then elsewhere."""

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TaskID, TextColumn, TimeElapsedColumn
from rich.text import Text

from sharpdiv.cli.show import duration

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


class _Pace:
    """How much of something is done, and how long the rest will take at the rate so far."""

    def __init__(self) -> None:
        self.began = time.monotonic()
        self.share = 0.0
        self.rest: float | None = None
        self.told = self.began

    def tell(self, done: int, total: int) -> None:
        """Note units done and in all."""
        self.told = time.monotonic()
        self.share = done / total if total else 1.0
        self.rest = (self.told - self.began) * (total - done) / done if done else None

    def left(self) -> str:
        """The time that remains, in words; it goes on running between two reports."""
        if self.rest is None or self.share >= 1:
            return ""
        return f"about {duration(max(self.rest - (time.monotonic() - self.told), 1))} left"


class _Left(ProgressColumn):
    """The time that remains; a bar's own estimate forgets what is older than half a minute, and pieces of work take minutes."""

    def render(self, task: Task) -> Text:
        """By the pace of the task."""
        pace: _Pace = task.fields["pace"]
        return Text(pace.left())


@contextmanager
def _bars() -> Iterator[Report]:
    """One bar with the remaining time for each thing that goes on."""
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:>3.0f}%"))
    with Progress(*columns, TimeElapsedColumn(), _Left(), console=Console(stderr=True)) as bars:
        tasks: dict[str, tuple[TaskID, _Pace]] = {}

        def report(what: str, done: int, total: int) -> None:
            if what not in tasks:
                pace = _Pace()
                tasks[what] = (bars.add_task(what, total=total, pace=pace), pace)
            task, pace = tasks[what]
            pace.tell(done, total)
            bars.update(task, completed=done, total=total)

        yield report


@contextmanager
def _lines(what: str) -> Iterator[Report]:
    """The last report again and again, however long a piece of work takes."""
    paces = {what: _Pace()}
    latest = what
    ended = threading.Event()

    def report(what: str, done: int, total: int) -> None:
        nonlocal latest
        if what not in paces:
            paces[what] = _Pace()
        paces[what].tell(done, total)
        latest = what

    def tell() -> None:
        while not ended.wait(SECONDS):
            pace = paces[latest]
            line = f"{latest} {100 * pace.share:.0f}%"
            print(", ".join(filter(None, (line, pace.left()))), file=sys.stderr, flush=True)

    teller = threading.Thread(target=tell, daemon=True)
    teller.start()
    try:
        yield report
    finally:
        ended.set()
        teller.join()
