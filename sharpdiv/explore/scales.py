"""Scales that show what matters, and their ticks."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

__all__ = ["Scale", "fitting"]

_WIDE = 30.0
"""Ratio of values from which on a scale is logarithmic, and how far beyond the stable ones it reaches."""
_NARROW = 0.05
"""Least extent of a scale, over its values: what does not move looks so."""
_ROOM = 0.05
"""Part of a scale that is left free at each end."""
_TICKS = 5


@dataclass(frozen=True)
class Scale:
    """Linear, or logarithmic.

    Examples:
        >>> from sharpdiv.explore.scales import Scale
        >>> Scale(0.0, 0.25).ticks()
        (0.0, 0.05, 0.1, 0.15, 0.2, 0.25)
        >>> Scale(0.008, 1.2, log=True).ticks()
        (0.01, 0.1, 1.0)
    """

    low: float
    high: float
    log: bool = False

    def at(self, values: Float[np.ndarray, " values"]) -> Float[np.ndarray, " values"]:
        """Where values are: 0 at the low end, 1 at the high one.

        Args:
            values: Numbers.

        Returns:
            Places; NaN where a number has none.
        """
        low, high = np.array([self.low, self.high])
        if not self.log:
            return (values - low) / (high - low)
        positive = np.where(values > 0, values, np.nan)
        return np.log(positive / low) / np.log(high / low)

    def ticks(self) -> tuple[float, ...]:
        """Round numbers on the scale.

        Returns:
            About five.
        """
        if not self.log:
            return _multiples(self.low, self.high, _TICKS)
        low, high = np.log10([self.low, self.high])
        decades = np.arange(np.floor(low), np.ceil(high) + 1)
        if high - low > _TICKS:
            decades = decades[decades % np.ceil((high - low) / _TICKS) == 0]
        steps = (1,) if high - low >= 2 else (1, 2, 5)
        ticks = [float(f"{step}e{int(decade)}") for decade in decades for step in steps]
        return tuple(tick for tick in ticks if self.low <= tick <= self.high)


def fitting(stable: Float[np.ndarray, " values"], beyond: Float[np.ndarray, " values"]) -> Scale:
    """A scale that shows all that is stable, and of the rest what is near.

    Args:
        stable: Values that have to be seen; may be empty.
        beyond: Values that are seen as far as they are near the others.

    Returns:
        Logarithmic if the values differ much and are positive.

    Examples:
        >>> import numpy as np
        >>> from sharpdiv.explore.scales import fitting
        >>> fitting(np.array([1.0, 2.0]), np.array([1e6])).high < 100
        True
    """
    stable, beyond = stable[np.isfinite(stable)], beyond[np.isfinite(beyond)]
    known = stable if stable.size else beyond
    if not known.size:
        return Scale(0.0, 1.0)
    high = max(known.max(), min(beyond.max(initial=-np.inf), _WIDE * known.max()))
    low = min(known.min(), max(beyond.min(initial=np.inf), known.min() / _WIDE))
    if low > 0 and high > _WIDE * low:
        room = (high / low) ** _ROOM
        return Scale(float(low / room), float(high * room), log=True)
    least = _NARROW * max(abs(low), abs(high)) or 1.0
    missing = max(least - (high - low), 0.0) / 2
    low, high = low - missing, high + missing
    room = _ROOM * (high - low)
    return Scale(float(low - room), float(high + room))


def _multiples(low: float, high: float, count: int) -> tuple[float, ...]:
    """Multiples of 1, 2 or 5 times a power of ten."""
    rough = (high - low) / count
    unit = 10.0 ** np.floor(np.log10(rough))
    step = unit * min((1, 2, 5, 10), key=lambda times: abs(times * unit - rough))
    first, last = np.ceil(low / step - 1e-9), np.floor(high / step + 1e-9)
    return tuple(float(f"{step * i:.9g}") + 0.0 for i in np.arange(first, last + 1))
