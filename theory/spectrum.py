"""Spectral measures of W = A'A: everything the theory predicts is an integral against one of these.

A spectrum integrates functions of an eigenvalue x. Functions are vectorised: they take the nodes ``(nodes,)`` and
return ``(..., nodes)``; any leading axes (values of rho, for instance) come back as they were.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Complex, Float

from theory.errors import DomainError, require_finite, require_integer

__all__ = [
    "DataLaw",
    "EmpiricalSpectrum",
    "MarchenkoPastur",
    "Resolvent",
    "SpectralFunction",
    "Spectrum",
    "tangent_resolvent",
]

SpectralFunction = Callable[[np.ndarray], np.ndarray]
"""A function of eigenvalues: nodes ``(nodes,)`` to values ``(..., nodes)``."""


@runtime_checkable
class Spectrum(Protocol):
    """A measure on the eigenvalues of a data matrix W."""

    @property
    def largest(self) -> float:
        """Upper end of the support."""

    @property
    def smallest(self) -> float:
        """Lower end of the support without the atom at 0."""

    @property
    def exact_degree(self) -> float:
        """Largest degree of a polynomial that ``integrate`` treats exactly (infinite if any)."""

    @property
    def at_test(self) -> "Spectrum":
        """The measure ``tau(Sigma f(W))``, Sigma the covariance of a test point times d; itself where Sigma is 1."""

    def integrate(self, function: SpectralFunction) -> Float[np.ndarray, "..."]:
        """Integral of ``function(x)`` over the measure, shape ``(...,)``."""

    def resolvent(self, function: SpectralFunction) -> "Resolvent":
        """Integral of ``function(x) / (largest + gap - x)`` as a function of the gap."""


@runtime_checkable
class DataLaw(Spectrum, Protocol):
    """Law of W for n random samples, which also knows what a part of the samples does."""

    @property
    def at_test(self) -> "DataLaw":
        """The measure ``tau(Sigma f(W))``, as in ``Spectrum``."""

    def blocks(self, count: int) -> "DataLaw":
        """Law of W for one of ``count`` equal row blocks."""

    def mean_squared(self, function: SpectralFunction) -> Float[np.ndarray, "..."]:
        """``tau(Sigma (E f(W))^2)``, which the mean over independent data sets leaves of ``tau(Sigma f(W)^2)``."""


@dataclass(frozen=True)
class Resolvent:
    """``R(gap) = integral of f(x) / (largest + gap - x)`` for fixed functions f, evaluated on the nodes once and for all.

    Near the edge no quadrature resolves the pole. So f's tangent at the edge is split off and its part is done in closed form;
    what is left vanishes twice where the pole sits.
    """

    below: Float[np.ndarray, " nodes"]
    """distance of the nodes from the upper edge"""
    smooth: Float[np.ndarray, "... nodes"]
    """weights times what is left of f"""
    value: Float[np.ndarray, "..."]
    """f at the edge (0 where nothing is split off)"""
    slope: Float[np.ndarray, "..."]
    """f' at the edge"""
    mass: float
    """of the whole measure"""
    stieltjes: Callable[[np.ndarray], np.ndarray]
    """integral of ``1 / (largest + gap - x)``"""

    def __call__(
        self, gap: Float[np.ndarray, "..."] | Complex[np.ndarray, "..."]
    ) -> Float[np.ndarray, "..."] | Complex[np.ndarray, "..."]:
        """R at positive gaps that broadcast against f's leading axes.

        A gap may carry an infinitesimal imaginary part (a complex step), which gives the derivative to rounding.

        Returns:
            R at each gap.

        Raises:
            DomainError: if a gap is not positive.
        """
        if not np.all(gap.real > 0):
            raise DomainError(f"gap must be positive (the point must lie above the support), got {gap}")
        inverse = 1 / (gap.real[..., None] + self.below)
        total = np.einsum("...n,...n->...", self.smooth, inverse)
        if np.iscomplexobj(gap):
            total = total - 1j * gap.imag * np.einsum("...n,...n->...", self.smooth, inverse**2)
        G = self.stieltjes(gap)
        return np.asarray(total + self.value * G + self.slope * (gap * G - self.mass))


def tangent_resolvent(
    function: SpectralFunction,
    nodes: Float[np.ndarray, " nodes"],
    weights: Float[np.ndarray, " nodes"],
    edge: float,
    stieltjes: Callable[[np.ndarray], np.ndarray],
) -> Resolvent:
    """Resolvent from a quadrature rule of a law with a continuous density at its upper edge.

    Args:
        function: maps nodes ``(nodes,)``, real or complex, to ``(..., nodes)``; a polynomial.
        nodes: of the rule.
        weights: of the rule.
        edge: upper end of the support.
        stieltjes: integral of ``1 / (edge + gap - x)``, in closed form.

    Returns:
        R as a function of the gap.
    """
    step = 1e-20  # a complex step has no truncation error
    at_edge = function(np.array([edge + 1j * step]))[..., 0]
    value, slope = np.asarray(at_edge.real), np.asarray(at_edge.imag / step)
    smooth = function(nodes) - value[..., None] - slope[..., None] * (nodes - edge)
    return Resolvent(edge - nodes, weights * smooth, value, slope, float(weights.sum()), stieltjes)


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
            function: maps nodes ``(nodes,)`` to ``(..., nodes)``.

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
            function: a polynomial; maps nodes ``(nodes,)``, real or complex, to ``(..., nodes)``.

        Returns:
            R, whose gaps broadcast against ``(...,)``.
        """
        nodes, weights = _gauss(self.ratio, self.degree // 2 + 1)
        return tangent_resolvent(function, nodes, weights, self.largest, self.stieltjes)


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


class EmpiricalSpectrum:
    """The measure that a given matrix puts on its eigenvalues.

    Args:
        eigenvalues: ``(d,)``, finite and non-negative; zeros belong to the list (there are d - rank of them).
        weights: ``(d,)`` non-negative mass per eigenvalue. Default 1/d each, the normalised trace ``tr f(W) / d``. With
            weights ``(u_i'v)^2`` the integral is ``v'f(W)v``; with ``u_i'Su_i`` it is ``tr S f(W)``.

    Raises:
        DomainError: if an eigenvalue or weight is negative or not finite, or the shapes differ or are empty.
    """

    def __init__(self, eigenvalues: Float[np.ndarray, " d"], weights: Float[np.ndarray, " d"] | None = None) -> None:
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
            function: maps eigenvalues ``(d,)`` to ``(..., d)``.

        Returns:
            Sums of shape ``(...,)``.
        """
        return np.asarray(function(self._nodes) @ self._weights)

    def resolvent(self, function: SpectralFunction) -> Resolvent:
        """Weighted sum of ``function(x) / (largest + gap - x)`` as a function of the gap.

        Args:
            function: maps eigenvalues ``(d,)`` to ``(..., d)``.

        Returns:
            R, whose gaps broadcast against ``(...,)``.
        """
        weighted = function(self._nodes) * self._weights
        nothing = np.zeros(weighted.shape[:-1])
        return Resolvent(self.largest - self._nodes, weighted, nothing, nothing, 0.0, np.zeros_like)
