"""Logarithmic axes with plain numbers."""

from typing import Any, Literal

from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

__all__ = ["logarithmic"]

_FEW, _MORE = (1, 1.5, 2, 3, 4, 6, 8), (1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8)
_OF_DECADES = {1: (1, 2, 5), 2: (1,)}
"""Ticks within a decade of an axis that has more than so many."""


def logarithmic(axes: Axes, which: Literal["x", "y"], *, few: bool = False) -> None:
    """A logarithmic axis with plain numbers at its ticks, within a decade too unless there are many.

    Args:
        axes: whose.
        which: of them.
        few: whether there is room for few numbers only.

    Examples:
        >>> from matplotlib.figure import Figure
        >>> from sharpdiv.figures.scales import logarithmic
        >>> axes = Figure().subplots()
        >>> axes.set_ylim(0.19, 5.1)
        (0.19, 5.1)
        >>> logarithmic(axes, "y")
        >>> [float(tick) for tick in axes.get_yticks() if 0.19 < tick < 5.1]
        [0.2, 0.5, 1.0, 2.0, 5.0]
        >>> axes.set_ylim(0.084, 0.13)
        (0.084, 0.13)
        >>> [round(float(tick), 3) for tick in axes.get_yticks() if 0.084 < tick < 0.13]
        [0.09, 0.1, 0.11, 0.12]
    """
    axes.set(**{f"{which}scale": "log"})
    axis = axes.xaxis if which == "x" else axes.yaxis
    axis.set_major_locator(_Ticks(subs=_FEW if few else _MORE))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_locator(NullLocator())


class _Ticks(LogLocator):
    """Fewer within a decade where there are more decades; even steps where there is less than a doubling."""

    def tick_values(self, vmin: float, vmax: float) -> Any:
        if 0 < vmax < 2 * vmin:
            return MaxNLocator(5, steps=[1, 2, 5, 10]).tick_values(vmin, vmax)
        for decades, within in _OF_DECADES.items():
            if vmax > 10**decades * vmin:
                self.set_params(subs=within)
        return super().tick_values(vmin, vmax)
