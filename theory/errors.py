"""Typed errors of the theory: what was got, what was expected, what to do."""

import math
from collections.abc import Iterable

__all__ = ["ConvergenceError", "DomainError", "require_finite", "require_integer"]


class DomainError(ValueError):
    """An argument outside the domain of a formula."""


class ConvergenceError(RuntimeError):
    """An iterative solver stopped before its tolerance was met."""


def require_integer(name: str, value: int, minimum: int) -> None:
    """Accept an integer of at least ``minimum``.

    Raises:
        DomainError: if ``value`` is smaller.
    """
    if value < minimum:
        raise DomainError(f"{name} must be an integer of at least {minimum}, got {value}")


def require_finite(name: str, values: float | Iterable[float], *, positive: bool = False) -> None:
    """Accept finite numbers that are non-negative (or positive).

    Raises:
        DomainError: if any is NaN, infinite or of the wrong sign.
    """
    sign = "positive" if positive else "non-negative"
    for value in values if isinstance(values, Iterable) else (values,):
        if not math.isfinite(value) or value < 0 or (positive and value == 0):
            raise DomainError(f"{name} must be finite and {sign}, got {value}")
