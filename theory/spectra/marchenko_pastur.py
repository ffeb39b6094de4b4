"""The Marchenko-Pastur law, the limit of W = A'A for isotropic data, with its own Gauss quadrature."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from jaxtyping import Complex, Float

from sharpdiv.theory.errors import require_finite, require_integer
from sharpdiv.theory.spectra.base import Resolvent, SpectralFunction, tangent_resolvent

__all__ = ["MarchenkoPastur"]


@dataclass(frozen=True)
class MarchenkoPastur:
    """Limit law of W = A'A, A of shape (n, d) with independent entries of variance 1/d and n/d -> ratio.

    The density is ``sqrt((x - x_-)(x_+ - x)) / (2 pi x)`` on ``x_± = (sqrt(ratio) ± 1)^2``, with an atom ``1 - ratio``
    at 0 when ``ratio < 1``. Integration is Gauss quadrature of this very law: its orthogonal polynomials have the
    Jacobi matrix with diagonal ``r, 1+r, 1+r, ...`` and off-diagonal ``sqrt(r)``, so polynomials up to ``degree`` are
    exact up to rounding.

    Args:
        ratio: n/d, positive.
        degree: polynomials up to this degree are integrated exactly, at most 1,000,000; the default serves every integral
            of the theorems up to k = 31 steps (they go up to degree 8k + 4) and every resolvent.

    Raises:
        DomainError: if the ratio is not positive and finite, or the degree is negative or too large.

    Examples:
        >>> from sharpdiv.theory import MarchenkoPastur
        >>> law = MarchenkoPastur(4.0)
        >>> law.smallest, law.largest
        (1.0, 9.0)
        >>> [round(float(law.integrate(lambda x: x**m)), 6) for m in range(3)]  # 1, r, r (1 + r)
        [1.0, 4.0, 20.0]
    """

    ratio: float
    degree: int = 255

    def __post_init__(self) -> None:
        require_finite("ratio n/d", self.ratio, positive=True)
        require_integer("degree of the quadrature (8 a step)", self.degree, 0, 1_000_000)

    @property
    def largest(self) -> float:
        """Upper edge ``(sqrt(r) + 1)^2``."""
        return float((np.sqrt(self.ratio) + 1) ** 2)

    @property
    def smallest(self) -> float:
        """Lower edge ``(sqrt(r) - 1)^2`` of the continuous part."""
        return float((np.sqrt(self.ratio) - 1) ** 2)

    @property
    def exact_degree(self) -> float:
        """The degree asked for."""
        return float(self.degree)

    @property
    def at_test(self) -> "MarchenkoPastur":
        """The law itself: test points are isotropic."""
        return self

    def blocks(self, count: int) -> "MarchenkoPastur":
        """Law of one of ``count`` equal row blocks.

        Returns:
            The law at ``ratio / count``.
        """
        return MarchenkoPastur(self.ratio / count, self.degree)

    def mean_squared(self, function: SpectralFunction) -> Float[np.ndarray, "..."]:
        """Square of the mean: ``E f(W)`` is a multiple of the identity by rotational symmetry.

        Returns:
            Values of shape ``(...,)``.
        """
        return np.asarray(self.integrate(function) ** 2)

    def integrate(self, function: SpectralFunction) -> Float[np.ndarray, "..."]:
        """Integral of ``function`` by Gauss quadrature.

        Args:
            function: function of eigenvalues, from nodes ``(nodes,)`` to values ``(..., nodes)``.

        Returns:
            Integrals of shape ``(...,)``.
        """
        nodes, weights = _gauss(self.ratio, self.degree // 2 + 1)
        return np.asarray(function(nodes) @ weights)

    def stieltjes(
        self, gap: Float[np.ndarray, "..."] | Complex[np.ndarray, "..."]
    ) -> Float[np.ndarray, "..."] | Complex[np.ndarray, "..."]:
        """Stieltjes transform ``G(z)``, the integral of ``1/(z - x)``, at ``z = largest + gap``.

        Written as ``2 / (z + 1 - r + sqrt((z - x_-)(z - x_+)))``, which unlike the textbook form does not cancel for
        large z.

        Args:
            gap: distance above the upper edge, real part positive, any shape.

        Returns:
            G of the same shape.
        """
        z = self.largest + gap
        return np.asarray(2 / (z + 1 - self.ratio + np.sqrt(gap + (self.largest - self.smallest)) * np.sqrt(gap)))

    def resolvent(self, function: SpectralFunction) -> Resolvent:
        """Integral of ``function(x) / (largest + gap - x)`` as a function of the gap.

        Args:
            function: a polynomial of at most half the law's degree, from nodes ``(nodes,)``, real or complex, to values
                ``(..., nodes)``.

        Returns:
            R, whose gaps broadcast against ``(...,)``.
        """
        nodes, weights = _gauss(self.ratio, self.degree // 2 + 1)
        return tangent_resolvent(function, nodes, weights, self.largest, self.stieltjes, self.degree)


@lru_cache(maxsize=64)
def _gauss(ratio: float, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Gauss nodes and weights of the Marchenko-Pastur law, exact for degree ``2 * count - 1``."""
    if ratio < 1:
        # The non-zero eigenvalues of A'A are those of AA', whose law is that of ratio 1/r, scaled by r.
        nodes, weights = _gauss(1 / ratio, count)
        nodes, weights = np.append(ratio * nodes, 0.0), np.append(ratio * weights, 1 - ratio)
    else:
        # Written in the angle of x = 1 + r + 2 sqrt(r) cos(angle), the orthogonal polynomials are
        # p_j = (sin((j+1) angle) + sin(j angle) / sqrt(r)) / sin(angle), and the zeros of p_count solve
        # count * angle + arg(sqrt(r) e^(i angle) + 1) = pi, 2 pi, ... The left side is smooth and increasing, so
        # Newton's method is safe; nodes and weights keep their relative accuracy at the edges, where eigenvalue solvers lose it.
        root = np.sqrt(ratio)
        target = np.pi * np.arange(count, 0, -1)
        angle = target / (count + 0.5)  # the solution at r = 1
        for _ in range(12):
            phase = np.arctan2(root * np.sin(angle), 1 + root * np.cos(angle))
            slope = (ratio + root * np.cos(angle)) / (1 + ratio + 2 * root * np.cos(angle))
            angle = angle - (count * angle + phase - target) / (count + slope)
        above = 4 * root * np.cos(angle / 2) ** 2
        nodes = (root - 1) ** 2 + above
        slope = (root * (root - 1) + above / 2) / nodes
        # The Christoffel numbers 1 / sum_j p_j^2, summed in closed form at a zero of p_count.
        weights = 2 * ratio * np.sin(angle) ** 2 / (nodes * (count + slope))
    nodes.setflags(write=False)
    weights.setflags(write=False)
    return nodes, weights
