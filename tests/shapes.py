"""The checker of shapes and types that tests run the package with."""

import sys
from collections.abc import Callable
from functools import lru_cache, partial, wraps
from itertools import count
from typing import Any

import beartype

__all__ = ["checked"]

_CALLS = 60
"""Calls of each function that are checked: later ones have the same shapes, and checking would be a third of all time."""


def checked(function: Callable[..., Any]) -> Callable[..., Any]:
    """Check arguments and results of the first calls of functions of modules and classes.

    Those defined inside other functions are left alone: their checks would be compiled anew at every call.

    Args:
        function: annotated.

    Returns:
        The function with its checks.
    """
    if "<locals>" in function.__qualname__:
        return function
    checks = lru_cache(maxsize=1)(partial(beartype.beartype, function))  # compiled when first called: most never are
    calls = count(1)

    @wraps(function)
    def counted(*arguments: Any, **options: Any) -> Any:
        if next(calls) == _CALLS:
            _leave_alone(function)
        return checks()(*arguments, **options)

    return counted


def _leave_alone(function: Callable[..., Any]) -> None:
    """Have jaxtyping call the function of ours that this one stands for as it is, wherever its name leads to it."""
    found: Any = sys.modules[function.__module__]
    for name in function.__qualname__.split("."):
        found = vars(found).get(name)
    if callable(found):
        found.__no_type_check__ = True  # jaxtyping looks for it at every call
