"""Typed errors of the theory: what was got, what was expected, what to do."""

import math
from collections.abc import Iterable
from importlib import import_module
from typing import Any

import numpy as np

__all__ = [
    "ConvergenceError",
    "DomainError",
    "DomainWarning",
    "MissingPackageError",
    "require_finite",
    "require_integer",
    "required_module",
]


class DomainError(ValueError):
    """An argument outside the domain of a formula."""


class DomainWarning(UserWarning):
    """Some of the arguments are outside the domain of a formula: their values are NaN, or off as far as the warning says."""


class ConvergenceError(RuntimeError):
    """An iterative solver stopped before its tolerance was met."""


class MissingPackageError(ModuleNotFoundError):
    """A package that only tables and plots need, and that is not installed."""


_LARGEST_INTEGER = 2**53  # every integer up to this one is a double
_LARGEST, _SMALLEST = 1e50, 1e-50  # ratios of two such numbers can be squared twice


def require_integer(name: str, value: int | float, minimum: int, maximum: int = _LARGEST_INTEGER) -> None:
    """Accept an integer between ``minimum`` and ``maximum``.

    Raises:
        DomainError: if ``value`` is no integer or outside.

    Examples:
        >>> from sharpdiv.theory.errors import require_integer
        >>> require_integer("steps", 2.5, 0)
        Traceback (most recent call last):
        ...
        sharpdiv.theory.errors.DomainError: steps must be an integer of at least 0, got 2.5
    """
    # Annotated wider than what is accepted: this is where a float is found out.
    if not isinstance(value, int | np.integer) or isinstance(value, bool) or value < minimum:
        raise DomainError(f"{name} must be an integer of at least {minimum}, got {value}")
    if value > maximum:
        raise DomainError(f"{name} must be at most {maximum}, got {value}")


def require_finite(name: str, values: float | Iterable[float], *, positive: bool = False) -> None:
    """Accept finite numbers that are non-negative (or positive), within 50 orders of magnitude of 1.

    Raises:
        DomainError: if any is NaN, infinite, of the wrong sign, or so large or small that its powers leave the doubles.

    Examples:
        >>> from sharpdiv.theory.errors import require_finite
        >>> require_finite("rho", [0.0, float("nan")])
        Traceback (most recent call last):
        ...
        sharpdiv.theory.errors.DomainError: rho must be finite and non-negative, got nan
    """
    sign = "positive" if positive else "non-negative"
    for value in values if isinstance(values, Iterable) else (values,):
        if isinstance(value, bool | np.bool):
            raise DomainError(f"{name} must be a number, got {value}")
        if not math.isfinite(value) or value < 0 or (positive and value == 0):
            raise DomainError(f"{name} must be finite and {sign}, got {value}")
        if value > _LARGEST or (positive and value < _SMALLEST):
            raise DomainError(f"{name} must lie between {_SMALLEST:g} and {_LARGEST:g}, got {value}")


def required_module(name: str, user: str) -> Any:
    """A module of a package that the theory works without.

    Args:
        name: Its name.
        user: What needs it.

    Returns:
        The module.

    Raises:
        MissingPackageError: if the package is not installed.

    Examples:
        >>> from sharpdiv.theory.errors import required_module
        >>> required_module("math", "nothing").pi > 3
        True
    """
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        package = (error.name or name).partition(".")[0]
        raise MissingPackageError(
            f"{user} needs {package}, which is not installed: pip install '.[plot]' in the folder of sharpdiv",
            name=package,
        ) from error
