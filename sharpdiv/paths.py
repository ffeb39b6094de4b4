"""Where this code is: its committed results, and the checkout around it."""

from pathlib import Path

__all__ = ["CHECKOUT", "RESULTS"]

_HERE = Path(__file__).resolve().parent

CHECKOUT = _HERE.parent if (_HERE.parent / "pyproject.toml").is_file() else None
"""Folder of the checkout; None where the package is installed."""
RESULTS = (CHECKOUT or _HERE) / "results"
"""Records and results that verdicts are computed from, with the protocol they were made under."""
