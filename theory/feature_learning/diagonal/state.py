"""State evolution: the proportional limit of members that interpolate, n and d to infinity at fixed delta = n/d.

Every coordinate is a scalar channel (``sharpdiv.theory.feature_learning.diagonal.channel``) with its own observation ``v = beta*
+ z``, ``z ~ N(0, t)``. With eta(v; alpha) its output, a member solves

    ``E eta' = delta``,  ``delta t = s_e^2 + E(eta - beta*)^2``,

and two members on the same data see noise of covariance q, ``delta q = s_e^2 + E(eta_1 - beta*)(eta_2 - beta*)``. Their alphas
are independent, hence ``D = delta (t - q)`` (Donoho and Montanari 2016, for two members at
once). On disjoint data q is 0.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float
from scipy.optimize import brentq, root

from sharpdiv.theory.errors import ConvergenceError
from sharpdiv.theory.feature_learning.diagonal.channel import Response, hypentropy
from sharpdiv.theory.feature_learning.diagonal.setting import DiagonalSetting

__all__ = ["Limit", "Shift", "State"]

_STEP, _END = 0.1, 9.0
"""The trapezoidal rule for a normal variable: its error falls like exp(-2 pi^2 / step^2) for smooth functions."""
_DEGREE = 81
"""Hermite polynomials that are kept apart; what is beyond counts as of the next odd degree."""
_CLOSE = 1e-10


@dataclass(frozen=True)
class Shift:
    """How training has moved ``log alpha_j^2``: down by ``level + log(1 + 2 tilt u_j^2)/2``.

    Examples:
        >>> from sharpdiv.theory.feature_learning.diagonal.state import Shift
        >>> Shift(0.5)
        Shift(level=0.5, tilt=0.0)
    """

    level: float = 0.0
    """common to all coordinates"""
    tilt: float = 0.0
    """what a coordinate moves more for its dual variable u"""


@dataclass(frozen=True)
class State:
    """A solution of the state evolution; quantities are means over coordinates.

    Example: see ``Limit``.
    """

    threshold: float
    """theta"""
    noise: float
    """t, variance of the channel's noise"""
    diversity: float
    """D of two members on the same data"""
    apart: float
    """D of two members on disjoint data"""
    member: float
    """``E(eta - beta*)^2``"""
    trace: float
    """``4 E(w_+^2 + w_-^2)``"""
    potential: float
    """V, the hypentropy potential at the end"""
    conjugate: float
    """mean of its convex conjugate, ``-dV/d log alpha^2``"""
    dual_square: float
    """``E u^2``"""
    lifted: float
    """``E u^2 conjugate``"""
    heterogeneity: float
    """``E S^2 / (E S)^2`` of ``S = w_+^2 + w_-^2``"""


class Limit:
    """The proportional limit of one member's problem, at any shift of its alphas.

    Args:
        setting: the problem.
        samples: n of one member.

    Examples:
        >>> from sharpdiv.theory.feature_learning.diagonal.setting import DiagonalSetting
        >>> from sharpdiv.theory.feature_learning.diagonal.state import Limit, Shift
        >>> lazy = Limit(DiagonalSetting(alpha=30.0, spread=0.0), 100).solve(Shift())
        >>> round(lazy.member, 4), abs(lazy.diversity) < 1e-9  # 1 - delta, as linear regression, and members that agree
        (0.6667, True)
    """

    def __init__(self, setting: DiagonalSetting, samples: int) -> None:
        self.delta = samples / setting.d
        self.label_noise = setting.label_noise
        self.signal = setting.signal_variance
        share = setting.density
        parts = [(share, self.signal / share), (1 - share, 0.0)]
        self.parts = [(weight, variance) for weight, variance in parts if weight > 0]
        nodes, weights = np.polynomial.hermite_e.hermegauss(9 + round(14 * setting.spread))
        self.log_scales = 2 * (np.log(setting.alpha) + setting.spread * nodes)
        self.weights = weights / weights.sum()

    def solve(self, shift: Shift, guess: State | None = None) -> State:
        """The state at a shift.

        Args:
            shift: of log alpha^2.
            guess: a state at a nearby shift; reached from the lazy limit unless given.

        Returns:
            The state.

        Raises:
            ConvergenceError: if the equations were not solved.
        """
        if guess is None:
            return self._from_lazy(shift)
        return self._described(self._root(shift, (guess.threshold, guess.noise)), shift)

    def _from_lazy(self, shift: Shift) -> State:
        """Large alphas are linear regression, whose state is known; from there to ours in small steps."""
        lazy = np.log(10 * np.sqrt(self.signal + self.label_noise / self.delta))
        ahead = float(max(lazy - self.weights @ self.log_scales, 0.0))
        slope = 2 * np.exp(self.weights @ self.log_scales + ahead)
        share = self.delta
        noise = (self.label_noise + (1 - share) ** 2 * self.signal) / (share * (1 - share))
        found = (slope * (1 - share) / share, noise)
        for level in np.linspace(-ahead, 0.0, 1 + int(np.ceil(2 * ahead))):
            found = self._root(Shift(level + shift.level, shift.tilt if level == 0 else 0.0), found)
        return self._described(found, shift)

    def _root(self, shift: Shift, start: tuple[float, float]) -> tuple[float, float]:
        def residual(logs: np.ndarray) -> list[float]:
            threshold, noise = np.exp(np.clip(logs, -60, 60))
            responses = self._responses(shift, threshold, noise)
            slope = self._mean(responses, lambda r: r.slope)
            error = self.label_noise + self._error(responses, noise)
            return [slope / self.delta - 1, error / (self.delta * noise) - 1]

        found = root(residual, np.log(start), tol=1e-13)
        left = np.abs(found.fun).max()
        if not left < _CLOSE:
            raise ConvergenceError(
                f"state evolution was not solved at log alpha^2 lowered by {shift.level:.3g}: residual {left:.1e}"
            )
        threshold, noise = np.exp(found.x)
        return float(threshold), float(noise)

    def _described(self, solution: tuple[float, float], shift: Shift) -> State:
        threshold, noise = solution
        responses = self._responses(shift, threshold, noise)
        energies = [self._energies(response) for response in responses]
        return State(
            threshold,
            noise,
            diversity=self._distance(energies, noise),
            apart=self._distance_apart(energies, noise),
            member=self._error(responses, noise),
            trace=4 * self._mean(responses, lambda r: r.curvature),
            potential=self._mean(responses, lambda r: r.potential),
            conjugate=self._mean(responses, lambda r: r.conjugate),
            dual_square=self._mean(responses, lambda r: r.dual**2),
            lifted=self._mean(responses, lambda r: r.dual**2 * r.conjugate),
            heterogeneity=self._mean(responses, lambda r: r.curvature**2)
            / self._mean(responses, lambda r: r.curvature) ** 2,
        )

    def _responses(self, shift: Shift, threshold: float, noise: float) -> list[Response]:
        """The channel at every node: one response of shape ``(alphas, observations)`` for each part of the teacher."""
        scale = np.exp(self.log_scales - shift.level)[:, None]
        return [hypentropy(np.sqrt(b + noise) * _NODES, scale, threshold, shift.tilt) for _, b in self.parts]

    def _mean(self, responses: list[Response], function: Callable[[Response], np.ndarray]) -> float:
        means = (self.weights @ function(response) @ _NORMAL for response in responses)
        return float(sum(weight * mean for (weight, _), mean in zip(self.parts, means, strict=True)))

    def _error(self, responses: list[Response], noise: float) -> float:
        """``E(eta - beta*)^2``; beta* given v is normal with mean ``b v/(b + t)``."""
        total = 0.0
        for (weight, b), response in zip(self.parts, responses, strict=True):
            v = np.sqrt(b + noise) * _NODES
            shrunk = b / (b + noise)
            square = self.weights @ (response.estimate - shrunk * v) ** 2 @ _NORMAL
            total += weight * (square + shrunk * noise)
        return float(total)

    def _energies(self, response: Response) -> tuple[float, Float[np.ndarray, " degrees"]]:
        """Variance over the alphas at given v, and the mean's squared Hermite coefficients by degree, 1, 3, ..."""
        mean = self.weights @ response.estimate
        within = float(self.weights @ response.estimate**2 @ _NORMAL - mean**2 @ _NORMAL)
        squares = (_POLYNOMIALS @ (_NORMAL * mean)) ** 2
        rest = max(float(mean**2 @ _NORMAL - squares.sum()), 0.0)
        return within, np.append(squares, rest)

    def _distance(self, energies: list[Any], noise: float) -> float:
        """D: ``(D/delta) = t - q`` decorrelates the observations, from their variance b + t."""

        def excess(gap: float) -> float:
            return self._spread(energies, noise, gap) - self.delta * gap

        if not excess(0.0) > 0:
            return 0.0
        return float(self.delta * brentq(excess, 0.0, noise, xtol=1e-300, rtol=1e-13))

    def _distance_apart(self, energies: list[Any], noise: float) -> float:
        return self._spread(energies, noise, noise)

    def _spread(self, energies: list[Any], noise: float, gap: float) -> float:
        """``E(eta_1 - eta_2)^2 / 2`` of two members whose noise has covariance ``t - gap`` (Mehler's formula)."""
        total = 0.0
        for (weight, b), (within, squares) in zip(self.parts, energies, strict=True):
            lost = -np.expm1(_DEGREES * np.log1p(-min(gap / (b + noise), 1 - 1e-15)))
            total += weight * (within + squares @ lost)
        return float(total)


_NODES = np.arange(0.0, _END + _STEP / 2, _STEP)
_NORMAL = 2 * _STEP * np.exp(-(_NODES**2) / 2) / np.sqrt(2 * np.pi)
_NORMAL[0] /= 2  # the functions are even or products of two odd ones: half the line stands for both
_DEGREES = np.append(np.arange(1, _DEGREE + 1, 2), _DEGREE + 2)


def _odd_polynomials() -> Float[np.ndarray, "degrees nodes"]:
    """Orthonormal Hermite polynomials of odd degree at the nodes."""
    rows = [np.ones_like(_NODES), _NODES]
    for k in range(1, _DEGREE):
        rows.append((_NODES * rows[k] - np.sqrt(k) * rows[k - 1]) / np.sqrt(k + 1))
    return np.array(rows[1::2])


_POLYNOMIALS = _odd_polynomials()
