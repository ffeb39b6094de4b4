"""The checker of shapes and types that tests run the package with."""

from collections.abc import Callable
from typing import Any

import beartype

__all__ = ["checked"]


def checked(function: Callable[..., Any]) -> Callable[..., Any]:
    """Check arguments and results of functions of modules and classes.

    Those defined inside other functions are left alone: their checks would be compiled anew at every call.

    Args:
        function: annotated.

    Returns:
        The function with its checks.
    """
    return function if "<locals>" in function.__qualname__ else beartype.beartype(function)
