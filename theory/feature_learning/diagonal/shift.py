"""How far SAM lowers a member's ``log alpha^2`` on its way to zero loss.

Along the flow of SAM the alpha of every coordinate falls, and the mean falls as fast as the loss times ``16 rho / d``
(per-sample ascent). In the potential V(L) of the interpolator at the mean fall L, the distance to go is ``u V(L)``, u from 1 to
0, and

    ``V du/dL = -1/(8 R) + V'(L) (phi(u) - u)``.

R is rho times the groups' strength, V' the mean conjugate at the end, ``1 - phi`` how much of it is there on the way. This is
exact but for phi, which is taken from the lazy limit: modes of rates lambda (eigenvalues of XX') decay like ``exp(-lambda t)``.
It acts at second order in rho only.
"""

from dataclasses import dataclass, fields
from functools import cached_property

import numpy as np
from jaxtyping import Float
from numpy.polynomial import chebyshev

from sharpdiv.theory.feature_learning.diagonal.setting import DiagonalSetting, group_strength
from sharpdiv.theory.feature_learning.diagonal.state import Limit, Shift, State

__all__ = ["Descent", "LazyModes"]

_FARTHEST = 4.0
"""alpha falls to a seventh: from there on a little more rho lets it collapse, and the spread over coordinates counts."""
_UNEVEN = 0.06
"""Largest mean fall through the uneven part, which is derived to first order only."""
_OF_SAMPLES = 3
"""n times the unevenness of the samples' mean squares, in units of that of g^2: 2 as ``E x^4 = 3 (E x^2)^2``, and 1 as coordinates
with longer columns of X fall faster and have larger u^2."""
_WIDEST = 0.99
_NODES = 24
_ACCURACY = 1e-6
_NEAREST = 1e-3
_STEPS = 40


@dataclass(frozen=True)
class LazyModes:
    """Eigenmodes of XX' in linear regression: rates and how much of the interpolator's square each has.

    Examples:
        >>> from sharpdiv.theory.feature_learning.diagonal.shift import LazyModes
        >>> modes = LazyModes.of(0.25, signal=1.0, noise=0.0)
        >>> round(modes.pull, 6), round(modes.unevenness, 3)  # without label noise the mean rate is 1
        (1.0, 0.882)
    """

    rates: Float[np.ndarray, " modes"]
    weights: Float[np.ndarray, " modes"]

    @classmethod
    def of(cls, delta: float, signal: float, noise: float) -> "LazyModes":
        """Of the Marchenko-Pastur law of XX', rows of X being ``N(0, I_d/d)``.

        Args:
            delta: n/d, below 1.
            signal: variance of the target.
            noise: variance of the label noise.

        Returns:
            A quadrature of its modes.
        """
        angles = (np.arange(200) + 0.5) * np.pi / 200
        rates = 1 + delta + 2 * np.sqrt(delta) * np.cos(angles)
        weights = np.sin(angles) ** 2 / rates * (signal + noise / rates)
        return cls(rates, weights / weights.sum())

    @property
    def pull(self) -> float:
        """chi, n times the integral of ``|gradient|^2`` over that of the samples' mean squares."""
        return float(self.weights @ self.rates)

    @property
    def unevenness(self) -> float:
        """How much of a coordinate's integral of g^2 follows its dual variable u^2; the rest is common to all."""
        pairs = np.multiply.outer(self.rates, self.rates) / np.add.outer(self.rates, self.rates)
        return float(2 * self.weights @ pairs @ self.weights / self.pull)

    @cached_property
    def _path(self) -> tuple[np.ndarray, np.ndarray]:
        times = np.append(0.0, np.geomspace(1e-4, 40, 600)) / self.rates.min()
        left = np.exp(-np.multiply.outer(times, self.rates))
        return (left**2 @ self.weights)[::-1], ((2 * left - left**2) @ self.weights)[::-1]

    def missing(self, distance: float) -> float:
        """phi: the share of the conjugate that is not there yet.

        Args:
            distance: u, what is left of the potential, 1 to 0.

        Returns:
            phi, from 1 to 0.
        """
        return float(np.interp(distance, *self._path))


class Descent:
    """States of a member along the fall of its alphas, and how far rho takes it.

    Args:
        setting: the problem.
        samples: n of one member.

    Examples:
        >>> import numpy as np
        >>> from sharpdiv.theory.feature_learning.diagonal.setting import DiagonalSetting
        >>> from sharpdiv.theory.feature_learning.diagonal.shift import Descent
        >>> descent = Descent(DiagonalSetting(), 100)
        >>> descent.fall(np.array([0.0, 0.3])).round(3).tolist()
        [0.0, 0.345]
    """

    def __init__(self, setting: DiagonalSetting, samples: int) -> None:
        limit = Limit(setting, samples)
        self.modes = LazyModes.of(limit.delta, limit.signal, limit.label_noise)
        single, mean = group_strength(samples, min(setting.group, samples))
        pull = mean * self.modes.pull / samples
        self.strength = single + pull
        """what per-sample SAM with as strong an effect on the mean would multiply rho by"""
        start = limit.solve(Shift())
        # Modes decay at the eigenvalues of XSX', whose second moment is that of the Marchenko-Pastur law at this ratio.
        spread = min(limit.delta * start.heterogeneity, _WIDEST)
        along = LazyModes.of(spread, limit.signal, limit.label_noise).unevenness
        self.uneven = (pull + _OF_SAMPLES * single / samples) / self.strength * along
        """share of the mean fall that follows each coordinate's u^2"""
        self.tilt = self.uneven / start.dual_square
        self.farthest = min(_FARTHEST, _UNEVEN / self.uneven) if self.uneven else _FARTHEST
        """largest mean fall of log alpha^2 that is described"""
        self._coefficients = self._solved(limit, start)
        while self._left_out() > _ACCURACY and self.farthest > _NEAREST:
            self.farthest /= 2
            self._coefficients = self._solved(limit, start)

    def _solved(self, limit: Limit, start: State) -> dict[str, np.ndarray]:
        """Chebyshev series of all fields of the state between a fall of 0 and the farthest."""
        places = -np.cos((np.arange(_NODES) + 0.5) * np.pi / _NODES)
        states = []
        for fall in (1 + places) / 2 * self.farthest:
            start = limit.solve(Shift((1 - self.uneven) * fall, self.tilt * fall), start)
            states.append(start)
        values = {item.name: [getattr(state, item.name) for state in states] for item in fields(State)}
        found = {name: chebyshev.chebfit(places, of_each, _NODES - 1) for name, of_each in values.items()}
        return found | {"slope": (1 - self.uneven) * found["conjugate"] + self.tilt * found["lifted"]}

    def _left_out(self) -> float:
        """Estimate of the series' relative error: their last two coefficients."""
        rows = np.array([row for name, row in self._coefficients.items() if name != "slope"])
        sizes = np.abs(rows)
        return float((sizes[:, -2:].max(axis=1) / np.maximum(sizes[:, 0], 1e-8)).max())

    def at(self, fall: Float[np.ndarray, " rho"], name: str) -> Float[np.ndarray, " rho"]:
        """A quantity of the state.

        Args:
            fall: L, up to ``farthest``.
            name: of a field of ``State``, or "slope", ``dV/dL``.

        Returns:
            Its values, interpolated between states.
        """
        return np.asarray(chebyshev.chebval(2 * fall / self.farthest - 1, self._coefficients[name]))

    def fall(self, rho: Float[np.ndarray, " rho"]) -> Float[np.ndarray, " rho"]:
        """Mean fall of ``log alpha^2`` at the end of training, infinite beyond ``farthest``.

        The progress p, ``u = (1 - p)^2``, goes from 0 to 1 by Runge-Kutta steps.

        Args:
            rho: values of SAM's rho.

        Returns:
            L for each.
        """
        strength = 8 * self.strength * rho
        step, fall = 1 / _STEPS, np.zeros_like(rho)

        def rate(progress: float, fall: np.ndarray) -> np.ndarray:
            u = (1 - progress) ** 2
            inside = np.minimum(fall, self.farthest)
            left = 1 - strength * self.at(inside, "slope") * (self.modes.missing(u) - u)
            rising = 2 * (1 - progress) * strength * self.at(inside, "potential")
            return np.divide(rising, left, out=np.full_like(left, np.inf), where=left > 0)

        for progress in np.arange(_STEPS) * step:
            first = rate(progress, fall)
            second = rate(progress + step / 2, fall + step / 2 * first)
            third = rate(progress + step / 2, fall + step / 2 * second)
            fourth = rate(progress + step, fall + step * third)
            fall = fall + step / 6 * (first + 2 * second + 2 * third + fourth)
            fall = np.where(fall > self.farthest, np.inf, fall)
        return fall

    def critical_rho(self) -> float:
        """Rho from which on the fall is beyond ``farthest``."""
        low, high = 0.0, 1 / (8 * self.strength * float(self.at(np.zeros(1), "conjugate")[0]))
        while np.isfinite(self.fall(np.array([high]))[0]):
            low, high = high, 2 * high
        for _ in range(3):
            candidates = np.linspace(low, high, 100)
            reached = int(np.isfinite(self.fall(candidates)).sum())
            low, high = candidates[reached - 1], candidates[reached]
        return float(high)
