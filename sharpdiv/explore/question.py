"""What is asked, and the answer: curves of both methods over one range of rho."""

import warnings
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np
from jaxtyping import Float

from sharpdiv.cli.points import learned_point, point, with_reason
from sharpdiv.explore.models import LINEAR, Model, Problem
from sharpdiv.theory.curves import Curves
from sharpdiv.theory.errors import DomainError, DomainWarning
from sharpdiv.theory.theorems.tradeoff import Tradeoff

__all__ = ["METHODS", "Question", "answer", "points"]

METHODS = {"sam": "SAM", "sharpbalance": "SharpBalance"}
"""Both ensembles: on all the data, and on disjoint blocks."""


@dataclass(frozen=True)
class Question:
    """A problem, both ensembles, and a range of rho.

    Raises:
        DomainError: if the range is empty.

    Examples:
        >>> from sharpdiv.explore.question import Question
        >>> Question(highest=0.2, places=3).rho.tolist()
        [0.0, 0.1, 0.2]
    """

    model: Model = LINEAR
    problem: Problem = field(default_factory=LINEAR.problem)
    members: int = 3
    """of the ensemble on all the data"""
    blocks: int = 10
    """and as many members"""
    lowest: float = 0.0
    highest: float = 0.25
    places: int = 251
    """values of rho"""

    def __post_init__(self) -> None:
        if not 0 <= self.lowest < self.highest:
            raise DomainError(
                f"the range of rho must begin at 0 or more and end above its beginning, got {self.lowest:g} to {self.highest:g}"
            )

    @property
    def rho(self) -> Float[np.ndarray, " rho"]:
        """Values of rho, both ends among them."""
        return np.linspace(self.lowest, self.highest, self.places)


@lru_cache(maxsize=64)
def answer(question: Question) -> dict[str, Curves]:
    """Closed forms of both methods; kept, as most questions differ in what is read off only.

    Args:
        question: What is asked.

    Returns:
        Curves by method.

    Raises:
        DomainError: if a number is outside its domain, or the curves overflow.
        ConvergenceError: if an equation was not solved.

    Examples:
        >>> from sharpdiv.explore.question import Question, answer
        >>> found = answer(Question())
        >>> bool(found["sharpbalance"].diversity[0] > found["sam"].diversity[0])
        True
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DomainWarning)  # said by the points themselves
        sam = question.model.sam(question.problem, question.rho, members=question.members)
        balance = question.model.sharpbalance(question.problem, question.rho, blocks=question.blocks)
    return {"sam": sam, "sharpbalance": balance}


def points(question: Question, place: int) -> dict[str, dict[str, Any]]:
    """Both methods at one value of rho, as the command line prints them.

    Args:
        question: What is asked.
        place: Index of rho.

    Returns:
        The command line's points by method; what has no value is None.

    Raises:
        DomainError: if a number is outside its domain, or the curves overflow.
        ConvergenceError: if an equation was not solved.

    Examples:
        >>> from sharpdiv.explore.question import Question, points
        >>> points(Question(), 0)["sam"]["rho"]
        0.0
    """
    return {
        method: with_reason(point(curve, place, finite=False), curve)
        if isinstance(curve, Tradeoff)
        else learned_point(curve, place)
        for method, curve in answer(question).items()
    }
