"""Arrays as JSON values, as results keep them, and back."""

import math
from collections.abc import Mapping
from typing import Any, TypeVar

import numpy as np
from jaxtyping import Float

from sharpdiv.theory.curves import ByValue

__all__ = ["StoredArrays", "array", "rounded"]

_Stored = TypeVar("_Stored", bound="StoredArrays")


def array(values: Any) -> Float[np.ndarray, "..."]:
    """Numbers from nested lists, NaN for None.

    Args:
        values: what ``rounded`` made.

    Returns:
        The array.

    Examples:
        >>> from sharpdiv.empirical.stored_arrays import array
        >>> array([[1.0, None]])
        array([[ 1., nan]])
    """
    return np.array(values, dtype=float)


def rounded(value: Any, digits: int = 5) -> Any:
    """Nested lists of numbers with few digits for arrays; None for what is not finite, and for None.

    Args:
        value: a number, an array, or lists and dictionaries of them.
        digits: significant digits.

    Returns:
        JSON values.

    Examples:
        >>> import numpy as np
        >>> from sharpdiv.empirical.stored_arrays import rounded
        >>> rounded({"loss": np.array([1 / 3, np.nan])})
        {'loss': [0.33333, None]}
    """
    if isinstance(value, dict):
        return {name: rounded(nested, digits) for name, nested in value.items()}
    if isinstance(value, np.ndarray):
        return rounded(value.tolist(), digits)
    if isinstance(value, list):
        return [rounded(nested, digits) for nested in value]
    return float(f"{value:.{digits}g}") if value is not None and math.isfinite(value) else None


class StoredArrays(ByValue):
    """Frozen dataclass of finite arrays, or None for one that there is not, with a form as JSON to six digits.

    Examples:
        >>> from dataclasses import dataclass
        >>> import numpy as np
        >>> from sharpdiv.empirical.stored_arrays import StoredArrays
        >>> @dataclass(frozen=True, eq=False)
        ... class Line(StoredArrays):
        ...     loss: np.ndarray
        ...     error: np.ndarray | None
        >>> Line(np.array([1 / 3]), None).to_json()
        {'loss': [0.333333], 'error': None}
        >>> Line.from_json({"loss": [0.5], "error": None}) == Line(np.array([0.5]), None)
        True
    """

    def to_json(self) -> dict[str, Any]:
        """All of it.

        Returns:
            JSON values; null for None.
        """
        return {name: rounded(value, digits=6) for name, value in vars(self).items()}

    @classmethod
    def from_json(cls: type[_Stored], value: Mapping[str, Any]) -> _Stored:
        """What ``to_json`` made.

        Args:
            value: JSON values.

        Returns:
            The arrays.

        Raises:
            TypeError: if a field is missing or unknown.
        """
        return cls(**{name: None if found is None else array(found) for name, found in value.items()})
