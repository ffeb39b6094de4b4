"""How benchmarks are timed: functions in turn, in one process on one thread, by the processor time they take."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from statistics import median
from typing import Any

import torch

__all__ = ["Row", "Work", "compared", "in_turn"]

Work = Callable[[], object]
"""What is timed."""


@dataclass(frozen=True)
class Row:
    """One comparison."""

    what: str
    """what is timed, at what size"""
    seconds: float
    """median of ours"""
    beside: Mapping[str, float] = field(default_factory=dict)
    """medians of what it is compared with, the baseline first; other people's libraries where they are installed"""

    @property
    def baseline(self) -> str:
        """Name of the baseline."""
        return next(iter(self.beside))

    @property
    def ratio(self) -> float:
        """Time of ours in units of the baseline's."""
        return self.seconds / self.beside[self.baseline]

    def __str__(self) -> str:
        others = "; ".join(f"{name} {seconds:.3g} s" for name, seconds in self.beside.items())
        return f"{self.what:<62} {told(self.ratio):>8} x {self.baseline:<28} {self.seconds:.3g} s; {others}"

    def to_json(self) -> dict[str, Any]:
        """JSON values, to three digits: the rest is noise."""
        seconds = {"sharpdiv": self.seconds, **self.beside}
        return {
            "what": self.what,
            "baseline": self.baseline,
            "ratio": float(f"{self.ratio:.3g}"),
            "median_seconds": {name: float(f"{value:.3g}") for name, value in seconds.items()},
        }


def told(ratio: float) -> str:
    """A ratio; one far below 1 as its inverse."""
    return f"1/{1 / ratio:.0f}" if ratio < 0.1 else f"{ratio:.2f}"


def in_turn(repeats: int, **functions: Work) -> dict[str, float]:
    """Median processor seconds of each function; all once before, and then in turn, so that the machine's moods meet all alike.

    Args:
        repeats: times that each is timed.
        **functions: by name.
    """
    taken: dict[str, list[float]] = {name: [] for name in functions}
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        for function in functions.values():
            function()
        for _ in range(repeats):
            for name, function in functions.items():
                start = time.process_time()
                function()
                taken[name].append(time.process_time() - start)
    finally:
        torch.set_num_threads(threads)
    return {name: median(values) for name, values in taken.items()}


def compared(what: str, repeats: int, ours: Work, **others: Work) -> Row:
    """A row: ours beside a baseline and peers, whose names have underscores for spaces."""
    seconds = in_turn(repeats, sharpdiv=ours, **others)
    return Row(what, seconds.pop("sharpdiv"), {name.replace("_", " "): value for name, value in seconds.items()})
