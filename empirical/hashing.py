"""The name of a JSON value: records of data sets need it without PyTorch, which the other files of a store bring."""

import hashlib
import json
from typing import Any

__all__ = ["digest"]


def digest(value: Any) -> str:
    """SHA-256 of a JSON value in canonical form (sorted keys, no spaces).

    Args:
        value: anything that JSON can hold.

    Returns:
        Hexadecimal digits.

    Examples:
        >>> from sharpdiv.empirical.hashing import digest
        >>> digest({"a": 1, "b": [2.0]}) == digest({"b": [2.0], "a": 1})  # the order of keys does not count
        True
    """
    return hashlib.sha256(json.dumps(value, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
