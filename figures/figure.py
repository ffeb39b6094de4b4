"""How a figure is registered: its name, its words and what it needs of results, beside the function that draws it."""

from collections.abc import Callable, Sized
from dataclasses import dataclass
from textwrap import fill

from matplotlib import figure as matplotlib_figure

from sharpdiv.checks.evidence import Evidence
from sharpdiv.figures.style import SYMBOLS, TITLE_SIZE
from sharpdiv.registry import Registry

__all__ = ["FIGURES", "Draw", "RegisteredFigure", "Text", "Words", "figure"]

Draw = Callable[[Evidence], matplotlib_figure.Figure]
Text = str | Callable[[Evidence], str]
"""Words that are the same for all results, or made from them; symbols are Unicode (ρ, κ), which pictures set as mathematics."""

_CHARACTERS = 14.8  # of a title in an inch


@dataclass(frozen=True)
class Words:
    """What is said about a figure."""

    finding: str
    """what it shows, in one sentence: its title"""
    caption: str
    """what is drawn, and the parameters it was drawn with"""
    alt: str
    """the picture in words, for those who do not see it"""


@dataclass(frozen=True, kw_only=True)
class RegisteredFigure:
    """A figure that can be asked for by its name."""

    name: str
    """name of the files, without their ending"""
    draw: Draw
    """from results to a figure"""
    finding: Text
    """as in ``Words``"""
    caption: Text
    """as in ``Words``"""
    alt: Text
    """as in ``Words``"""
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

    def words(self, evidence: Evidence) -> Words:
        """What is said about the figure that these results make.

        Args:
            evidence: Measured results, enough to draw it.

        Returns:
            Finding, caption and alt text.
        """
        return Words(
            *(text if isinstance(text, str) else text(evidence) for text in (self.finding, self.caption, self.alt))
        )

    def titled(self, evidence: Evidence) -> matplotlib_figure.Figure:
        """The figure with its finding above it.

        Args:
            evidence: Measured results.

        Returns:
            A figure that is ready to be saved.
        """
        drawn = self.draw(evidence)
        finding = self.words(evidence).finding.replace(" = ", "\u00a0=\u00a0")  # no line ends there
        title = fill(finding, int(drawn.get_figwidth() * _CHARACTERS), break_on_hyphens=False)
        for symbol, mathtext in SYMBOLS.items():
            title = title.replace(symbol, mathtext)
        drawn.suptitle(title, x=0.01, ha="left", fontsize=TITLE_SIZE, fontweight="bold")
        return drawn


FIGURES: Registry[RegisteredFigure] = Registry("figure")
"""Figures whose modules are imported; ``sharpdiv.figures.registry`` imports all of this package."""


def figure(
    name: str, *, finding: Text, caption: Text, alt: Text, needs: Callable[[Evidence], Sized] | None = None
) -> Callable[[Draw], Draw]:
    """Register the function that draws a figure.

    Args:
        name: Name of the files, without their ending.
        finding: What the figure shows, in one sentence: its title.
        caption: What is drawn, and the parameters it was drawn with.
        alt: The picture in words, for those who do not see it.
        needs: What the figure shows of some results, if it shows measured ones.

    Returns:
        A decorator that leaves the function as it is; it refuses a name that another figure has.
    """

    def register(draw: Draw) -> Draw:
        FIGURES.add(RegisteredFigure(name=name, draw=draw, finding=finding, caption=caption, alt=alt, needs=needs))
        return draw

    return register
