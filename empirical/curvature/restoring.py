"""Putting things back in spite of an interruption."""

from collections.abc import Callable

__all__ = ["surely"]


def surely(restore: Callable[[], None]) -> None:
    """Put something back: once more from the start if the user interrupts it; then the interruption goes on.

    Args:
        restore: what puts it back, any number of times.

    Raises:
        KeyboardInterrupt: if the user interrupts it, after all is put back.

    Examples:
        >>> from sharpdiv.empirical.curvature.restoring import surely
        >>> restored = []
        >>> surely(lambda: restored.append("weights"))
        >>> restored
        ['weights']
    """
    try:
        restore()
    except KeyboardInterrupt:
        restore()
        raise
