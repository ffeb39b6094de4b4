"""The limit law of W = A'A when the rows of A are N(0, Sigma/d), and deterministic equivalents of functions of W.

In the limit ``(z - W)^{-1}`` acts like ``(t - Sigma)^{-1} / (r + c(t))`` where ``z = t (r + c(t))`` and ``c(t) = tau(Sigma / (t -
Sigma))`` (Silverstein 1995; Bai and Silverstein 2010). Everything follows from t on an ellipse that hugs the support: its
Fourier coefficients are the Chebyshev moments of the law, exponentially accurate, and give a real interpolatory rule, so that
a function is only ever evaluated on the support and nothing cancels.
"""

from functools import cached_property

import numpy as np
import scipy  # its parts load when they are used
from jaxtyping import Complex, Float

from sharpdiv.theory.errors import DomainError, require_finite, require_integer
from sharpdiv.theory.spectra.base import Resolvent, SpectralFunction, tangent_resolvent
from sharpdiv.theory.spectra.fixed_point import THICKNESS, FixedPoint

__all__ = ["GeneralisedMarchenkoPastur", "GeneralizedMarchenkoPastur"]

_LARGEST_PAIR = 600
"""Degree of two-point functions: half a gigabyte and a second."""
_PAIR_DIGITS = 30.0
"""Aliasing is e^-30 there, below the rounding that e^5 in both points leaves."""
_NEAR = 0.05
"""Relative distance below which partial fractions would lose more than two digits."""


class GeneralizedMarchenkoPastur:
    """Limit law of W = A'A, A with n rows N(0, Sigma/d), n/d -> ratio, for any covariance spectrum.

    Args:
        ratio: n/d, positive.
        covariance: ``(d,)`` eigenvalues of Sigma, finite and non-negative, not all zero; their distribution is what matters.
        weights: ``(d,)`` non-negative, the measure to integrate: ``tr S f(W)`` for S with eigenvalues ``weights`` in Sigma's
            eigenbasis. Default ``shares``, the normalized trace; with squared coordinates of a vector v it is ``v'f(W)v``.
        degree: polynomials up to this degree are integrated exactly, at most 20,000; the default also serves resolvents.
        shares: ``(d,)`` positive, the fraction of all dimensions that each eigenvalue stands for, so that Sigma may be a
            quadrature of its law. Default 1/d each.

    Raises:
        DomainError: if an argument is outside its domain.
        ConvergenceError: if the contour could not be solved (with the residual).

    Examples:
        >>> import numpy as np
        >>> from sharpdiv.theory import GeneralizedMarchenkoPastur
        >>> law = GeneralizedMarchenkoPastur(2.0, np.array([1.0, 3.0]))
        >>> round(float(law.integrate(lambda x: x**2)), 6)  # r^2 tau(Sigma^2) + r tau(Sigma)^2
        28.0
    """

    def __init__(
        self,
        ratio: float,
        covariance: Float[np.ndarray, " d"],
        weights: Float[np.ndarray, " d"] | None = None,
        degree: int = 255,
        shares: Float[np.ndarray, " d"] | None = None,
    ) -> None:
        require_finite("ratio n/d", ratio, positive=True)
        require_integer("degree of the law", degree, 0, 20_000)
        if covariance.ndim != 1 or not covariance.size:
            raise DomainError(f"covariance eigenvalues must have shape (d,) with d >= 1, got {covariance.shape}")
        require_finite("covariance eigenvalues", covariance.tolist())
        if not np.any(covariance > 0):
            raise DomainError("covariance eigenvalues must not all be zero: there are no data")
        if shares is None:
            shares = np.full(covariance.size, 1 / covariance.size)
        if shares.shape != covariance.shape or abs(shares.sum() - 1) > 1e-9:
            raise DomainError(
                f"shares must have the covariance's shape {covariance.shape} and sum to 1, got {shares.shape} and {shares.sum():g}"
            )
        require_finite("shares", shares.tolist(), positive=True)
        if weights is None:
            weights = shares
        if weights.shape != covariance.shape:
            raise DomainError(f"weights must have the covariance's shape {covariance.shape}, got {weights.shape}")
        require_finite("weights", weights.tolist())
        self.ratio = ratio
        self.covariance = covariance
        self.weights = weights
        self.degree = degree
        self.shares = shares
        # Equal eigenvalues act as one: an isotropic covariance costs one term, whatever d is.
        self._values, self._group = np.unique(covariance, return_inverse=True)
        self._shares = np.bincount(self._group, shares)
        self._grouped = np.bincount(self._group, weights)
        self._map = FixedPoint(ratio, self._values, self._shares)

    def weighted(self, weights: Float[np.ndarray, " d"]) -> "GeneralizedMarchenkoPastur":
        """The same law seen by another measure; what has been solved is shared.

        Args:
            weights: ``(d,)`` non-negative, the measure to integrate, as in the constructor.

        Returns:
            A spectrum.
        """
        other = GeneralizedMarchenkoPastur(self.ratio, self.covariance, weights, self.degree, self.shares)
        other.__dict__["_map"], other.__dict__["_contours"] = self._map, self._contours
        return other

    def blocks(self, count: int) -> "GeneralizedMarchenkoPastur":
        """Law of one of ``count`` equal row blocks, at ratio ``r / count``.

        Returns:
            A spectrum.
        """
        return GeneralizedMarchenkoPastur(self.ratio / count, self.covariance, self.weights, self.degree, self.shares)

    @cached_property
    def at_test(self) -> "GeneralizedMarchenkoPastur":
        """The measure ``tau(Sigma f(W))`` that errors at an independent test point N(0, Sigma/d) integrate."""
        return self.weighted(self.covariance * self.shares)

    @property
    def largest(self) -> float:
        """Upper edge ``min_{t > |Sigma|} z(t)``."""
        return self._edges[1]

    @property
    def smallest(self) -> float:
        """Lower end of the support without the atom at 0."""
        return self._edges[0]

    @property
    def exact_degree(self) -> float:
        """The degree asked for."""
        return float(self.degree)

    def integrate(self, function: SpectralFunction) -> Float[np.ndarray, "..."] | Complex[np.ndarray, "..."]:
        """Integral of ``function`` against the weighted law.

        Args:
            function: function of eigenvalues, from nodes ``(nodes,)`` to values ``(..., nodes)``.

        Returns:
            Integrals of shape ``(...,)``.
        """
        nodes, weights = self._rule
        return np.asarray(function(nodes) @ weights)

    def equivalent(self, function: SpectralFunction) -> Float[np.ndarray, "... d"]:
        """Deterministic equivalent of ``f(W)``, which is diagonal in Sigma's eigenbasis.

        Args:
            function: function of eigenvalues, from nodes ``(nodes,)`` to values ``(..., nodes)``.

        Returns:
            Its eigenvalues, in the order of ``covariance``, shape ``(..., d)``.
        """
        continuous = function(self._nodes) @ self._weights(np.eye(self._values.size))
        return np.asarray((continuous + function(np.zeros(1)) * self._atom)[..., self._group])

    def mean_squared(self, function: SpectralFunction) -> Float[np.ndarray, "..."]:
        """``sum_i w_i (E f(W))_ii^2`` with the deterministic equivalent of f(W).

        Returns:
            Values of shape ``(...,)``.
        """
        return np.asarray(self.equivalent(function) ** 2 @ self.weights)

    def quadratic(
        self, function: SpectralFunction, energy: Float[np.ndarray, " d"], degree: int
    ) -> Float[np.ndarray, "..."]:
        """``v'f(W) Sigma f(W) v`` for v with squared coordinates ``energy`` in Sigma's eigenbasis.

        Args:
            function: function of eigenvalues, from nodes ``(nodes,)`` to values ``(..., nodes)``.
            energy: squared coordinates of v.
            degree: degree of a polynomial that is the function to rounding.

        Returns:
            Values of shape ``(...,)``.

        Raises:
            DomainError: if the degree is above 600.
        """
        mean = self.equivalent(function) ** 2 @ (energy * self.covariance)
        two_point = GeneralizedMarchenkoPastur(self.ratio, self.covariance, self.weights, degree, self.shares)
        return np.asarray(mean + two_point.fluctuation(function, energy, self.covariance))

    def fluctuation(
        self, function: SpectralFunction, energy: Float[np.ndarray, " d"], sandwich: Float[np.ndarray, " d"]
    ) -> Float[np.ndarray, "..."]:
        """``v'f(W) B f(W) v - v'Ef(W) B Ef(W) v`` for v with squared coordinates ``energy`` in Sigma's eigenbasis.

        From the equivalent of two resolvents, ``Q1 B Q2 ~ Qb1 B Qb2 + Qb1 Sigma Qb2 e_B / (1 - e)`` with
        ``e_B = tau(Sigma B / ((t1 - Sigma)(t2 - Sigma))) / r`` and ``e`` the same with Sigma in B's place.

        Args:
            function: function of eigenvalues, from nodes ``(nodes,)`` to values ``(..., nodes)``.
            energy: squared coordinates of v.
            sandwich: eigenvalues of B, which commutes with Sigma.

        Returns:
            Values of shape ``(...,)``.

        Raises:
            DomainError: if the law's degree is above 600.
        """
        # Two-point Chebyshev moments from the whole contour: its lower half is the mirror image of the upper one.
        if self.degree > _LARGEST_PAIR:
            raise DomainError(
                f"two-point functions need memory with the square of the degree, at most {_LARGEST_PAIR}, got {self.degree}; "
                "lower steps, or take a teacher of uniform direction"
            )
        angles, t, jacobian = self._map.ellipse(*self._hull, self.degree, _PAIR_DIGITS)
        s, shares = self._values, self._shares
        jacobian = jacobian / (self.ratio + (1 / (t[:, None] - s)) @ (shares * s)) / (2 * angles.size)
        weights = np.stack([shares * s**2, s * np.bincount(self._group, self.shares * sandwich)]) / self.ratio
        weights = np.vstack([weights, s * np.bincount(self._group, energy)])
        kernels = []
        for u, of_u in ((t, jacobian), (t.conj(), jacobian.conj())):
            e, e_b, kernel = _pair_sums(t, u, s, weights)
            kernel *= e_b  # in place: these are the largest arrays
            kernel /= np.subtract(1, e, out=e)
            kernel *= jacobian[:, None] * of_u
            kernels.append(kernel)
        same, mirrored = kernels
        count = self.degree + 1
        partial = _projected(same.T, count)[0] + _projected(mirrored.T, count)[1]
        halved = self._growth * np.where(np.arange(count) == 0, 1.0, 0.5)
        moments = 2 * halved[:, None] * halved * _projected(partial.T, count)[0].real
        measure = _at_nodes(_at_nodes(moments).T).T
        values = function(_chebyshev(*self._hull, count))
        return np.asarray(np.einsum("...i,ij,...j->...", values, measure, values, optimize=True))

    def stieltjes(
        self, gap: Float[np.ndarray, "..."] | Complex[np.ndarray, "..."]
    ) -> Float[np.ndarray, "..."] | Complex[np.ndarray, "..."]:
        """Stieltjes transform of the weighted law at ``z = largest + gap``.

        Above the edge t_e, ``gap = y^2 sum_i p_i s_i^2 / ((t_e - s_i)^2 (t_e + y - s_i))`` with ``y = t - t_e``, free of
        cancellation and convex, so Newton's method from the right cannot miss.

        Args:
            gap: distance above the upper edge, real part positive, imaginary part 0 or a small step, any shape.

        Returns:
            G of the same shape.
        """
        edge = self._map.upper_t
        distance = edge - self._values
        scale = self._shares * self._values**2 / distance**2
        real = np.asarray(gap).real
        y = (real + np.sqrt(real**2 + 4 * self.ratio * real * edge)) / (2 * self.ratio)
        for step in range(80):
            target = real if step < 78 else np.asarray(gap)  # two complex steps at the end: the imaginary part is small
            total = distance + y[..., None]
            value = y**2 * (scale / total).sum(axis=-1)
            slope = (scale * (2 * y[..., None] * total - y[..., None] ** 2) / total**2).sum(axis=-1)
            y = y - (value - target) / slope
        z = self.largest + gap
        t = edge + y
        return np.asarray(t / z * (self._grouped / (t[..., None] - self._values)).sum(axis=-1))

    def resolvent(self, function: SpectralFunction) -> Resolvent:
        """Integral of ``function(x) / (largest + gap - x)`` as a function of the gap.

        Args:
            function: a polynomial of at most half the law's degree, from nodes ``(nodes,)``, real or complex, to values
                ``(..., nodes)``.

        Returns:
            R, whose gaps broadcast against ``(...,)``.
        """
        nodes, weights = self._rule
        return tangent_resolvent(function, nodes, weights, self.largest, self.stieltjes, self.degree)

    # ------------------------------------------------------------------------------------------------ rules of quadrature

    @cached_property
    def _edges(self) -> tuple[float, float]:
        return self._map.edges

    @cached_property
    def _atom(self) -> np.ndarray:
        """Mass at 0 seen by each eigenvector of Sigma."""
        return self._map.atom()

    @cached_property
    def _bands(self) -> list[tuple[float, float]]:
        return self._map.bands(self.degree)

    @cached_property
    def _contours(self) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """Ellipse around each part of the continuous support."""
        return [self._map.ellipse(*band, self.degree) for band in self._bands]

    @cached_property
    def _hull(self) -> tuple[float, float]:
        """The support's convex hull: two-point functions keep their atom inside the contour."""
        return (0.0 if self._atom[-1] else self.smallest), self.largest

    @cached_property
    def _growth(self) -> Float[np.ndarray, " orders"]:
        """``|u|^n`` on an ellipse, n up to the degree."""
        return np.exp(np.arange(self.degree + 1) * THICKNESS / (self.degree + 1))

    def _weights(self, measures: Float[np.ndarray, "values measures"]) -> Float[np.ndarray, "nodes measures"]:
        """Weights of the continuous part of one or several measures on Sigma's distinct eigenvalues, at ``_nodes``."""
        found = []
        for angles, t, jacobian in self._contours:
            inverse = 1 / (t[:, None] - self._values)
            r_c = (self.ratio + inverse @ (self._shares * self._values))[:, None]
            # Without the atom at 0 nothing but the continuous part is inside the ellipse.
            G = (inverse @ measures - (self._atom @ measures) / t[:, None]) / r_c
            density = G * jacobian[:, None] / angles.size
            # T_n = (u^n + u^-n) / 2: the second part sees what lies outside the ellipse, other parts of the support.
            outer, inner = _projected(density, self.degree + 1)
            growth = self._growth[:, None]
            found.append(_at_nodes((growth * outer.real + inner.real / growth) / 2))
        return np.concatenate(found)

    @cached_property
    def _nodes(self) -> Float[np.ndarray, " nodes"]:
        return np.concatenate([_chebyshev(*band, self.degree + 1) for band in self._bands])

    @cached_property
    def _rule(self) -> tuple[np.ndarray, np.ndarray]:
        """Nodes and weights of the weighted law: the continuous part's, and the atom."""
        weights = self._weights(self._grouped[:, None])[:, 0]
        return np.append(self._nodes, 0.0), np.append(weights, self._atom @ self._grouped)


def _chebyshev(low: float, high: float, count: int) -> np.ndarray:
    """Chebyshev nodes between two ends."""
    return (low + high) / 2 + (high - low) / 2 * np.cos((np.arange(count) + 0.5) * np.pi / count)


def _at_nodes(moments: np.ndarray) -> np.ndarray:
    """Weights at Chebyshev nodes from Chebyshev moments, along the first axis."""
    return np.asarray(scipy.fft.dct(moments, type=3, axis=0) / len(moments))


def _projected(values: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """``sum_j e^{i n angle_j} v_j``, and with ``-i``, over midpoints of the half-circle, n below ``count``, along axis 0."""
    sines = np.zeros((count, *values.shape[1:]), dtype=complex)
    sines[1:] = 1j * scipy.fft.dst(values, type=2, axis=0)[: count - 1]
    cosines = scipy.fft.dct(values, type=2, axis=0)[:count]
    return (cosines + sines) / 2, (cosines - sines) / 2


def _pair_sums(
    t: np.ndarray, u: np.ndarray, values: np.ndarray, weights: Float[np.ndarray, "measures values"]
) -> Complex[np.ndarray, "measures t u"]:
    """``sum_s w_s / ((t - s)(u - s))`` for all pairs: in partial fractions, or where t and u are close in full."""
    of_t, of_u = 1 / (t[:, None] - values), 1 / (u[:, None] - values)
    distance = u - t[:, None]
    near = np.abs(distance) < _NEAR * np.abs(t[:, None])
    distance[near] = 1
    found = (of_t @ weights.T).T[:, :, None] - (of_u @ weights.T).T[:, None]
    found *= 1 / distance
    for rows in np.array_split(np.arange(t.size), max(t.size // 32, 1)):
        columns = np.flatnonzero(near[rows].any(axis=0))
        if columns.size:
            found[:, rows[:, None], columns] = (weights[:, None] * of_t[rows]) @ of_u[columns].T
    return found


GeneralisedMarchenkoPastur = GeneralizedMarchenkoPastur
"""The old spelling."""
