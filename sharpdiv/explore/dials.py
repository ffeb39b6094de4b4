"""What is turned: a slider for each number of a model."""

from dataclasses import dataclass

__all__ = ["Dial", "Values"]

Values = dict[str, float]
"""Positions of the dials by name."""


@dataclass(frozen=True)
class Dial:
    """One number, and the values that its slider stops at."""

    name: str
    """of the field, or of the argument"""
    symbol: str
    """TeX"""
    meaning: str
    """in a few words"""
    stops: tuple[float, ...]
    """increasing"""
