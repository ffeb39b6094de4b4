"""Arrays of a result as JSON values, and back."""

from collections.abc import Mapping
from typing import Any

import numpy as np

__all__ = ["arrays_of", "json_of"]


def json_of(arrays: Mapping[str, np.ndarray | None]) -> dict[str, Any]:
    """Finite arrays by name as JSON values, to six digits.

    Args:
        arrays: arrays of floats; None for one that there is not.

    Returns:
        Lists; null for None.

    Example:
        >>> import numpy as np
        >>> from sharpdiv.empirical.connectivity.arrays import json_of
        >>> json_of({"loss": np.array([[1 / 3, 2.0]]), "error": None})
        {'loss': [[0.333333, 2.0]], 'error': None}
    """
    rounded = np.vectorize(lambda value: float(f"{value:.6g}"), otypes=[float])
    return {name: None if array is None else rounded(array).tolist() for name, array in arrays.items()}


def arrays_of(values: Mapping[str, Any]) -> dict[str, Any]:
    """What ``json_of`` was given, to six digits.

    Args:
        values: lists by name; None for an array that there is not.

    Returns:
        Arrays of floats.

    Example:
        >>> from sharpdiv.empirical.connectivity.arrays import arrays_of
        >>> arrays_of({"loss": [[0.5, 2.0]], "error": None})
        {'loss': array([[0.5, 2. ]]), 'error': None}
    """
    return {name: None if value is None else np.array(value, dtype=float) for name, value in values.items()}
