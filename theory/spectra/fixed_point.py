"""The map ``z(t) = t (r + c(t))``, ``c(t) = tau(Sigma / (t - Sigma))``, between a covariance and the law of W (Silverstein 1995).

Outside the support z increases with t: its critical points are the support's ends (Silverstein and Choi 1995). In the upper
half-plane every z has one t, found by Newton's method from far outside.
"""

from collections.abc import Callable
from functools import cached_property
from itertools import pairwise

import numpy as np
import scipy  # its parts load when they are used
from jaxtyping import Complex, Float

from sharpdiv.theory.errors import ConvergenceError

__all__ = ["THICKNESS", "FixedPoint"]

THICKNESS = 5.0
"""Contour's distance from the support, in units of 1/nodes: functions of full degree grow by e^5 on it, which costs two digits."""
_APART = 10.0
"""Ratio of eigenvalues, and of ends of the support, from which on two parts of the support get contours of their own."""
_CLEAR = 12.0
"""Least distance of the next part from a contour's foci, as ``THICKNESS``: what it adds by aliasing is below rounding."""
_FINE = 1e-10
"""Relative size of the last step, after which quadratic convergence leaves rounding."""
_COARSE, _FEW_ANGLES = 1e-3, 32
"""Relative size of the last step on the way to the contour, and the fewest angles there."""


class FixedPoint:
    """The map of one ratio and one covariance.

    Args:
        ratio: n/d, positive.
        values: distinct eigenvalues of Sigma, ascending.
        shares: fraction of all dimensions that each stands for.

    Examples:
        >>> import numpy as np
        >>> from sharpdiv.theory.spectra.fixed_point import FixedPoint
        >>> law = FixedPoint(4.0, np.ones(1), np.ones(1))
        >>> [round(end, 6) for end in law.edges]  # (sqrt r - 1)^2 and (sqrt r + 1)^2
        [1.0, 9.0]
        >>> wide = FixedPoint(4.0, np.array([1e-9, 1.0]), np.full(2, 0.5))
        >>> [high < 1e-6 for _, high in wide.bands(255)]  # each eigenvalue has a part of the support
        [True, False]
    """

    def __init__(
        self, ratio: float, values: Float[np.ndarray, " values"], shares: Float[np.ndarray, " values"]
    ) -> None:
        self.ratio, self.values, self.shares = ratio, values, shares
        self._squares = shares * values**2

    @cached_property
    def upper_t(self) -> float:
        """t_e, where the upper edge is ``z(t_e)``."""
        top = self.values[-1]
        low, high = np.sqrt(self.shares[-1] / self.ratio), np.sqrt(1 / self.ratio)
        return float(top + self._critical(top * low * (1 - 1e-12), top * high * (1 + 1e-12), top))

    @cached_property
    def edges(self) -> tuple[float, float]:
        """Lower and upper end of the support without the atom at 0."""
        positive = self.values > 0
        bottom, mass = self.values[positive][0], self.shares[positive].sum()
        # Summed without the cancellation of t c(t) at large t.
        t = self.upper_t
        upper = float(self.ratio * t + self.shares @ self.values + (self._squares / (t - self.values)).sum())
        if abs(self.ratio / mass - 1) < 1e-12:
            return 0.0, upper
        # Below the smallest eigenvalue s the sum lies between p s^2/(t-s)^2 and mass top^2/(t-top)^2 or the like.
        share = self.shares[positive][0]
        low = -bottom * np.sqrt(share / self.ratio) * (1 - 1e-12)
        high = -(self.values[-1] * np.sqrt(mass / self.ratio) + self.values[-1])
        return max(self._z(bottom + self._critical(high, low, bottom)), 0.0), upper

    def bands(self, degree: int) -> list[tuple[float, float]]:
        """Parts of the support, each to have a contour of its own, where orders of magnitude lie between them; else one.

        Args:
            degree: of the rule on each.

        Returns:
            Their ends, ascending.
        """
        low, top = self.edges
        found, positive = [], self.values[self.values > 0]
        for below, above in pairwise(positive):
            gap = self._gap(below, above) if above > _APART * below else None
            if gap is None or gap[1] <= _APART * gap[0] or gap[0] <= low:
                continue
            clear = min(np.arccosh(1 + 2 * (gap[1] - gap[0]) / width) for width in (gap[0] - low, top - gap[1]))
            if clear * (degree + 1) >= _CLEAR:
                found.append((low, gap[0]))
                low = gap[1]
        return [*found, (low, top)]

    def ellipse(
        self, low: float, high: float, degree: int, digits: float = 36.0
    ) -> tuple[Float[np.ndarray, " half"], Complex[np.ndarray, " half"], Complex[np.ndarray, " half"]]:
        """Upper half of an ellipse with foci at ``low`` and ``high``.

        Args:
            low: a focus.
            high: the other.
            degree: of the polynomials whose integrals it is to give.
            digits: exponent of what aliasing leaves; e^-36 is the rounding of doubles.

        Returns:
            Angles, t, and dz as a multiple of the angle's step.

        Raises:
            ConvergenceError: if t was not found.
        """
        nodes = degree + 1
        delta = THICKNESS / nodes
        half = int(np.ceil(nodes * digits / THICKNESS / 2))
        middle, radius = (low + high) / 2, (high - low) / 2

        def at(level: float, count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
            angles = (np.arange(count) + 0.5) * np.pi / count
            u = np.exp(level + 1j * angles)
            return angles, middle + radius * (u + 1 / u) / 2, radius * (u - 1 / u) / 2

        angles, z, jacobian = at(delta, half)
        if (low, high) == self.edges or low == 0:
            # Newton's method from far outside inwards, in steps that halve the distance and need twice the angles.
            halvings = int(np.ceil(np.log2(max(3 / delta, 1))))
            path = [at(delta * 2.0**j, max(half >> j, _FEW_ANGLES))[:2] for j in range(halvings, 0, -1)]
        else:  # from above, as larger ellipses would meet other parts of the support
            top = 20 * self.edges[1]
            heights = top * 2.0 ** -np.arange(np.ceil(np.log2(top / (radius * delta**2))))
            path = [(angles, z + 1j * height) for height in heights]
        return angles, self._along([*path, (angles, z)]), jacobian

    def _along(self, path: list[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
        """Find t at the last of some lists of angles and z, the first of which lies far outside, where t = z/r up to a constant."""
        before, z = path[0]
        t = (z - self.shares @ self.values) / self.ratio
        for index, (angles, z) in enumerate(path):
            if angles.size != before.size:
                t = np.interp(angles, before, t)
            t, before = self._newton(t, z, _FINE if index == len(path) - 1 else _COARSE), angles
        return t

    def atom(self) -> Float[np.ndarray, " values"]:
        """Mass at 0 seen by each eigenvector of Sigma, ``t_0 / (t_0 - s)`` where ``r + c(t_0) = 0``.

        Returns:
            One for each eigenvalue.
        """
        positive = self.values[self.values > 0]
        shares = self.shares[self.values > 0]
        # All data directions are seen up to the rounding of their shares: only Sigma's own null space is left.
        if shares.sum() <= self.ratio * (1 + 1e-12):
            return (self.values == 0).astype(float)
        # sum_i p_i s_i / (s_i - t) = r has its root where the smallest and the largest eigenvalue alone would put it.
        low, high = (s * (1 - shares.sum() / self.ratio) for s in (positive[-1], positive[0]))
        t = low
        if low < high:
            t = _root(lambda x: float(shares @ (positive / (positive - x)) - self.ratio), low, high)
        return np.asarray(t / (t - self.values))

    def _z(self, t: float) -> float:
        """``t (r + c(t))``, whose digits do not depend on eigenvalues far above t."""
        return float(t * (self.ratio + (self.shares * self.values / (t - self.values)).sum()))

    def _critical(self, low: float, high: float, origin: float) -> float:
        """Where ``z' = 0``, ``sum_i p_i s_i^2 / (t - s_i)^2 = r``, as a distance from ``origin``."""
        offset = origin - self.values

        def excess(distance: float) -> float:
            return float(np.log((self._squares / (offset + distance) ** 2).sum() / self.ratio))

        if excess(low) * excess(high) >= 0:  # one eigenvalue: an end of the bracket is the root up to its rounding
            return low if abs(excess(low)) < abs(excess(high)) else high
        return _root(excess, low, high)

    def _gap(self, below: float, above: float) -> tuple[float, float] | None:
        """Ends of the gap of the support between two neighbouring eigenvalues of Sigma, if there is one."""
        offset, width = below - self.values, above - below

        def slope(distance: float) -> float:
            return float((self._squares / (offset + distance) ** 3).sum())

        lowest = _root(slope, below * 1e-9, width * (1 - 1e-9))
        if (self._squares / (offset + lowest) ** 2).sum() >= self.ratio:
            return None
        left = self._critical(below * np.sqrt(self.shares[self.values == below][0] / self.ratio) / 2, lowest, below)
        share = self.shares[self.values == above][0]
        furthest = width - max(lowest, width * 1e-9)
        right = self._critical(-min(above * np.sqrt(share / self.ratio) / 2, width / 2), -furthest, above)
        return self._z(below + left), self._z(above + right)

    def _newton(self, t: np.ndarray, z: np.ndarray, tolerance: float) -> np.ndarray:
        """Solve ``z(t) = z`` for t in the upper half-plane from a start nearby."""
        for _ in range(60):
            inverse = 1 / (t[:, None] - self.values)
            residual = t * (self.ratio + inverse @ (self.shares * self.values)) - z
            step = residual / (self.ratio - inverse**2 @ self._squares)
            # A step that would leave the upper half-plane is shortened, and then no sign of having arrived.
            shortened = False
            while np.any(bad := (t - step).imag <= 0):
                step[bad] /= 2
                shortened = True
            t = t - step
            if not shortened and np.all(np.abs(step) <= tolerance * np.abs(t)):
                return t
        raise ConvergenceError(
            f"the law's fixed point was not solved: last relative step {np.max(np.abs(step) / np.abs(t)):.2e}"
        )


def _root(function: Callable[[float], float], low: float, high: float) -> float:
    """Root between two numbers of one sign, which may lie any number of orders of magnitude apart."""
    at_low = function(low)
    while max(high / low, low / high) > 2:
        middle = np.copysign(np.sqrt(abs(low)) * np.sqrt(abs(high)), low)
        value = function(middle)
        low, high, at_low = (middle, high, value) if value * at_low > 0 else (low, middle, at_low)
    if at_low * function(high) >= 0:
        return float(low if abs(at_low) < abs(function(high)) else high)
    return float(scipy.optimize.brentq(function, low, high, xtol=1e-300, rtol=1e-15))
