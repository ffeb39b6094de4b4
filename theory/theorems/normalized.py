"""Normalized SAM, the one people use: ``w+ = w - eta grad f(w + rho grad f / |grad f|)``.

At fixed k and large d the gradient's norm concentrates, so each step is un-normalized SAM with ``rho_t = rho / |grad f|``, and
all formulas hold with ``q^k`` replaced by the product of the steps' filters.
"""

import numpy as np
from jaxtyping import Bool, Float

from sharpdiv.theory.errors import DomainError
from sharpdiv.theory.filters import Training, critical_rho, integral, sam_filter
from sharpdiv.theory.setting import Setting
from sharpdiv.theory.spectra.base import Spectrum

__all__ = [
    "OUTSIDE",
    "gradient_floor",
    "is_valid",
    "normalised_training",
    "normalized_critical_rho",
    "normalized_training",
]

_RELATIVE = 1e-12
"""Of the critical rho, to which its logarithm is halved."""
_FIRST_FALL, _LARGEST_FALL = 0.25, 600.0
"""Logarithm of how far below the first step's critical rho the critical one is sought: doubled from, and at most, 260 decades."""
OUTSIDE = "normalized SAM has a formula only while every step contracts, eta x_max (1 + rho_t x_max) < 2"


def normalized_training(setting: Setting, rho: Float[np.ndarray, " rho"], spectrum: Spectrum) -> Training:
    """Normalized SAM as a filter: rho of the equivalent un-normalized steps, step by step.

    With ``Q_t`` the residual filter after t steps, ``|grad f|^2 = int (R^2 x^2 + s_e^2 d x) Q_t^2 dnu`` and ``R^2 = sigma^2 d +
    omega^2``. The limit holds while ``eta x_+ (1 + rho_t x_+) < 2`` in every step; beyond, edge modes are amplified and the
    formula is off by tens of percent.

    Args:
        setting: the problem.
        rho: lengths of the ascent step in weight space.
        spectrum: spectral measure of the data that a member trains on.

    Returns:
        A filter whose ``radii`` are NaN for a rho outside the domain.

    Raises:
        DomainError: if the gradient vanishes, so that its direction is not defined.

    Examples:
        >>> import numpy as np
        >>> from sharpdiv.theory import EmpiricalSpectrum, Setting, normalized_training
        >>> setting = Setting(n=4, d=4, steps=2, learning_rate=0.5, init_variance=0.5)  # first |grad| = 2
        >>> normalized_training(setting, np.array([0.1]), EmpiricalSpectrum([1.0])).radii.round(6).tolist()
        [[0.05], [0.105263]]
    """
    eta, edge = setting.learning_rate, spectrum.largest
    start = setting.init_variance * setting.d + setting.omega**2
    noise = setting.label_noise * setting.d
    steps = _Steps(eta, np.zeros((setting.steps, rho.size)))
    valid = np.ones(rho.size, dtype=bool)
    for _ in range(setting.steps):
        size, squared = _squared_gradient(steps, start, noise, spectrum)
        if np.any(valid & (squared <= 0)):
            raise DomainError("normalized SAM needs a gradient: the initialization, or a step, is already at a minimum")
        with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
            radius = rho / size / np.sqrt(squared)
            valid &= eta * edge * (1 + radius * edge) < 2
        steps.take(np.where(valid, radius, 0.0))  # what comes after the edge of the domain is not computed
    return Training(eta, np.where(valid, steps.radii, np.nan), 1)


normalised_training = normalized_training
"""The old spelling."""


class _Steps:
    """Steps that have been taken; their residual is remembered at the nodes it was asked at, so that k steps cost k filters."""

    def __init__(self, learning_rate: float, radii: Float[np.ndarray, "steps rho"]) -> None:
        self.learning_rate, self.radii, self.taken = learning_rate, radii, 0
        self._nodes, self._residual, self._included = np.empty(0), np.empty(0), 0

    def take(self, radius: Float[np.ndarray, " rho"]) -> None:
        """One step more."""
        self.radii[self.taken] = radius
        self.taken += 1

    def residual(self, x: Float[np.ndarray, " nodes"]) -> Float[np.ndarray, "rho nodes"]:
        """What the steps so far leave."""
        if x is not self._nodes and not np.array_equal(x, self._nodes):
            self._nodes, self._residual, self._included = x, np.ones((self.radii.shape[1], x.size)), 0
        for row in self.radii[self._included : self.taken]:
            self._residual = self._residual * sam_filter(x, self.learning_rate, row)
        self._included = self.taken
        return self._residual


def _squared_gradient(
    steps: _Steps, start: float, noise: float, spectrum: Spectrum
) -> tuple[Float[np.ndarray, " rho"], Float[np.ndarray, " rho"]]:
    """The largest residual, and ``|grad f|^2`` in units of its square, which itself may be below the doubles."""
    size = np.zeros(steps.radii.shape[1])

    def squares(x: np.ndarray) -> np.ndarray:
        residual = steps.residual(x)
        size[:] = np.abs(residual).max(axis=-1)
        scaled = np.divide(residual, size[:, None], out=np.zeros_like(residual), where=size[:, None] > 0)
        return np.asarray((start * x**2 + noise * x) * scaled**2)

    squared = integral(spectrum, squares, 4 * steps.taken + 2)
    return size, squared


def is_valid(training: Training) -> Bool[np.ndarray, " rho"]:
    """Where every step of the training is inside the domain.

    Args:
        training: filter of ``normalized_training``.

    Returns:
        Booleans of rho's shape.

    Examples:
        >>> import numpy as np
        >>> from sharpdiv.theory import EmpiricalSpectrum, Setting, normalized_training
        >>> from sharpdiv.theory.theorems.normalized import is_valid
        >>> setting = Setting(n=4, d=4, steps=1, learning_rate=0.5, init_variance=0.5)
        >>> is_valid(normalized_training(setting, np.array([5.9, 6.1]), EmpiricalSpectrum([1.0]))).tolist()
        [True, False]
    """
    return np.asarray(np.isfinite(training.radii).all(axis=0))


def normalized_critical_rho(setting: Setting, spectrum: Spectrum) -> float | None:
    """Largest rho whose every step contracts, the edge of the domain of ``normalized_training``.

    Args:
        setting: the problem, with at least one step.
        spectrum: spectral measure of the data that a member trains on.

    Returns:
        That rho, to a relative 1e-12, or None where even rho = 0 does not contract.

    Raises:
        DomainError: if the gradient vanishes, at once or in later steps, so that no rho that is a double contracts.

    Examples:
        >>> from sharpdiv.theory import EmpiricalSpectrum, Setting
        >>> from sharpdiv.theory.theorems.normalized import normalized_critical_rho
        >>> setting = Setting(n=4, d=4, steps=1, learning_rate=0.5, init_variance=0.5)
        >>> round(normalized_critical_rho(setting, EmpiricalSpectrum([1.0])), 6)  # SAM's, 3, times |grad| = 2
        6.0
    """
    critical = critical_rho(spectrum, setting.learning_rate)
    if critical is None or setting.steps == 0 or not np.isfinite(critical):
        return critical

    def contracts(rho: float) -> bool:
        return bool(is_valid(normalized_training(setting, np.array([rho]), spectrum))[0])

    first = integral(spectrum, lambda x: x**2, 2)
    scale = (setting.init_variance * setting.d + setting.omega**2) * first
    scale += setting.label_noise * setting.d * integral(spectrum, lambda x: x, 1)
    # The first step alone already breaks down at this rho, later ones see a smaller gradient: by any number of orders of magnitude.
    high = float(critical * np.sqrt(scale) * (1 + 1e-9))
    fall = _FIRST_FALL
    while not contracts(low := high * np.exp(-fall)):
        fall *= 2
        if fall > _LARGEST_FALL:
            raise DomainError(
                f"normalized SAM contracts at no rho above {low:.3g}: the gradient vanishes; lower steps or the learning rate"
            )
    while high > low * (1 + _RELATIVE):
        middle = np.sqrt(low) * np.sqrt(high)
        low, high = (middle, high) if contracts(middle) else (low, middle)
    return float(np.sqrt(low) * np.sqrt(high))


def gradient_floor(largest: float, learning_rate: float, rho: float) -> float:
    """Late-time norm of the gradient, where normalized SAM bounces with period 2 along the top eigenvector.

    There ``w = ± eta rho x / (2 - eta x)`` with x the largest eigenvalue, since a step must turn w into -w.
    The cycle and its linear stability are exact; that every start ends on it is not proven.

    Args:
        largest: top eigenvalue of W.
        learning_rate: eta.
        rho: length of the ascent step.

    Returns:
        ``eta rho x^2 / (2 - eta x)``.

    Raises:
        DomainError: if ``eta x >= 2``, where even gradient descent diverges.

    Examples:
        >>> from sharpdiv.theory import gradient_floor
        >>> w = gradient_floor(largest=1.0, learning_rate=0.5, rho=0.3)  # the gradient of w^2 / 2 is w
        >>> round(w, 6), round(w - 0.5 * (w + 0.3), 6)  # a step turns it into its opposite
        (0.1, -0.1)
    """
    if learning_rate * largest >= 2:
        raise DomainError(f"the floor needs eta x_max < 2, got {learning_rate * largest:g}")
    return learning_rate * rho * largest**2 / (2 - learning_rate * largest)
