"""The spectral measure of a given matrix."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from sharpdiv.theory.errors import DomainError, require_finite
from sharpdiv.theory.spectra.base import Resolvent, SpectralFunction

__all__ = ["EmpiricalSpectrum"]


class EmpiricalSpectrum:
    """The measure that a given matrix puts on its eigenvalues.

    Args:
        eigenvalues: ``(d,)``, array or list, finite and non-negative; zeros belong to the list (there are d - rank of them).
        weights: ``(d,)`` non-negative mass per eigenvalue. Default 1/d each, the normalized trace ``tr f(W) / d``. With
            weights ``(u_i'v)^2`` the integral is ``v'f(W)v``; with ``u_i'Su_i`` it is ``tr S f(W)``.

    Raises:
        DomainError: if an eigenvalue or weight is negative or not finite, or the shapes differ or are empty.

    Examples:
        >>> from sharpdiv.theory import EmpiricalSpectrum
        >>> float(EmpiricalSpectrum([0.0, 2.0]).integrate(lambda x: x**2))  # tr W^2 / d
        2.0
        >>> float(EmpiricalSpectrum([0.0, 2.0], weights=[0.0, 3.0]).integrate(lambda x: x**2))  # v'W^2 v
        12.0
    """

    def __init__(
        self,
        eigenvalues: Float[np.ndarray, "..."] | Sequence[float],
        weights: Float[np.ndarray, "..."] | Sequence[float] | None = None,
    ) -> None:
        eigenvalues = _numbers("eigenvalues", eigenvalues)
        weights = None if weights is None else _numbers("weights", weights)
        if eigenvalues.ndim != 1 or not eigenvalues.size:
            raise DomainError(f"eigenvalues must have shape (d,) with d >= 1, got {eigenvalues.shape}")
        if weights is None:
            weights = np.full(eigenvalues.size, 1 / eigenvalues.size)
        if weights.shape != eigenvalues.shape:
            raise DomainError(f"weights must have the eigenvalues' shape {eigenvalues.shape}, got {weights.shape}")
        require_finite("eigenvalues", eigenvalues.tolist())
        require_finite("weights", weights.tolist())
        order = np.argsort(eigenvalues)
        self._nodes = eigenvalues[order]
        self._weights = weights[order]

    @property
    def largest(self) -> float:
        """Largest eigenvalue."""
        return float(self._nodes[-1])

    @property
    def smallest(self) -> float:
        """Smallest positive eigenvalue (0 if there is none)."""
        positive = self._nodes[self._nodes > 0]
        return float(positive[0]) if positive.size else 0.0

    @property
    def at_test(self) -> "EmpiricalSpectrum":
        """The measure itself: test points are taken to be isotropic unless the weights say otherwise."""
        return self

    @property
    def exact_degree(self) -> float:
        """Infinite: a finite sum is exact for every function."""
        return np.inf

    def integrate(self, function: SpectralFunction) -> Float[np.ndarray, "..."]:
        """Weighted sum of ``function`` over the eigenvalues.

        Args:
            function: function of eigenvalues, from ``(d,)`` to ``(..., d)``.

        Returns:
            Sums of shape ``(...,)``.
        """
        return np.asarray(function(self._nodes) @ self._weights)

    def resolvent(self, function: SpectralFunction) -> Resolvent:
        """Weighted sum of ``function(x) / (largest + gap - x)`` as a function of the gap.

        Args:
            function: function of eigenvalues, from ``(d,)`` to ``(..., d)``.

        Returns:
            R, whose gaps broadcast against ``(...,)``.
        """
        weighted = function(self._nodes) * self._weights
        nothing = np.zeros(weighted.shape[:-1])
        return Resolvent(self.largest - self._nodes, weighted, weighted, nothing, nothing, 0.0, np.zeros_like, far=0.0)


def _numbers(name: str, values: np.ndarray | Sequence[float]) -> np.ndarray:
    try:
        found = np.asarray(values)
        if found.dtype.kind in "iuf":
            return found.astype(float)
    except ValueError:  # lists of different lengths
        pass
    raise DomainError(f"{name} must be real numbers of shape (d,), got {values!r:.80}")
