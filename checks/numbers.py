"""Arrays as JSON values, as results of sweeps are kept."""

import math
from typing import Any

import numpy as np
from jaxtyping import Float

__all__ = ["array", "rounded"]


def array(values: Any) -> Float[np.ndarray, "..."]:
    """Numbers from nested lists, NaN for None.

    Args:
        values: what ``rounded`` made.

    Returns:
        The array.
    """
    return np.array(values, dtype=float)


def rounded(value: Any) -> Any:
    """Nested lists of five significant digits for arrays; what is not finite is None.

    Args:
        value: a number, an array, or lists and dictionaries of them.

    Returns:
        JSON values.
    """
    if isinstance(value, dict):
        return {name: rounded(nested) for name, nested in value.items()}
    if isinstance(value, np.ndarray):
        return rounded(value.tolist())
    if isinstance(value, list):
        return [rounded(nested) for nested in value]
    return float(f"{value:.5g}") if math.isfinite(value) else None
