"""How a figure is registered: by its name, with what of the results it needs, beside the function that draws it."""

from collections.abc import Callable, Sized
from dataclasses import dataclass

from matplotlib import figure as matplotlib_figure

from sharpdiv.checks.results import Evidence
from sharpdiv.registry import Registry

__all__ = ["FIGURES", "Draw", "RegisteredFigure", "figure"]

Draw = Callable[[Evidence], matplotlib_figure.Figure]


@dataclass(frozen=True)
class RegisteredFigure:
    """A figure that can be asked for by its name."""

    name: str
    """name of the files, without their ending"""
    draw: Draw
    """from results to a figure"""
    needs: Callable[[Evidence], Sized] | None = None
    """what it shows of some results, which must not be empty; None for a figure that needs none"""

    def drawable(self, evidence: Evidence) -> bool:
        """Whether there is something to show.

        Args:
            evidence: Measured results.

        Returns:
            True for a figure that needs no results.
        """
        return self.needs is None or len(self.needs(evidence)) > 0


FIGURES: Registry[RegisteredFigure] = Registry("figure")
"""Figures whose modules are imported; ``sharpdiv.figures.registry`` imports all of this package."""


def figure(name: str, needs: Callable[[Evidence], Sized] | None = None) -> Callable[[Draw], Draw]:
    """Register the function that draws a figure.

    Args:
        name: Name of the files, without their ending.
        needs: What the figure shows of some results, if it shows measured ones.

    Returns:
        A decorator that leaves the function as it is; it refuses a name that another figure has.
    """

    def register(draw: Draw) -> Draw:
        FIGURES.add(RegisteredFigure(name, draw, needs))
        return draw

    return register
