"""How long a command has been running, with the seconds that loading PyTorch takes."""

from time import monotonic

__all__ = ["elapsed", "start"]

_began = [monotonic()]


def start() -> None:
    """A command begins now."""
    _began[0] = monotonic()


def elapsed() -> float:
    """Seconds since then."""
    return monotonic() - _began[0]
