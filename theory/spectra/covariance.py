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

from sharpdiv.theory.errors import ConvergenceError, DomainError, require_finite, require_integer
from sharpdiv.theory.spectra.base import Resolvent, SpectralFunction, tangent_resolvent

__all__ = ["GeneralisedMarchenkoPastur", "GeneralizedMarchenkoPastur"]

_THICKNESS = 5.0
"""Contour's distance from the support, in units of 1/nodes: functions of full degree grow by e^5 on it, which costs two digits."""
_DIGITS = 36.0
"""Aliasing is e^-36, below the rounding of doubles."""


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

    Example:
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

    def weighted(self, weights: Float[np.ndarray, " d"]) -> "GeneralizedMarchenkoPastur":
        """The same law seen by another measure; what has been solved is shared.

        Args:
            weights: ``(d,)`` non-negative, the measure to integrate, as in the constructor.

        Returns:
            A spectrum.
        """
        other = GeneralizedMarchenkoPastur(self.ratio, self.covariance, weights, self.degree, self.shares)
        other.__dict__["_edges"], other.__dict__["_contour"] = self._edges, self._contour
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
        nodes, transform = self._chebyshev(*self._edges)
        continuous = function(nodes) @ (transform @ self._moments(np.eye(self._values.size)))
        return np.asarray((continuous + function(np.zeros(1)) * self._atom)[..., self._group])

    def mean_squared(self, function: SpectralFunction) -> Float[np.ndarray, "..."]:
        """``sum_i w_i (E f(W))_ii^2`` with the deterministic equivalent of f(W).

        Returns:
            Values of shape ``(...,)``.
        """
        return np.asarray(self.equivalent(function) ** 2 @ self.weights)

    def quadratic(self, function: SpectralFunction, energy: Float[np.ndarray, " d"]) -> Float[np.ndarray, "..."]:
        """``v'f(W) Sigma f(W) v`` for v with squared coordinates ``energy`` in Sigma's eigenbasis.

        Args:
            function: function of eigenvalues, from nodes ``(nodes,)`` to values ``(..., nodes)``.
            energy: squared coordinates of v.

        Returns:
            Values of shape ``(...,)``.
        """
        mean = self.equivalent(function) ** 2 @ (energy * self.covariance)
        return np.asarray(mean + self.fluctuation(function, energy, self.covariance))

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
        """
        nodes, transform = self._chebyshev(*self._hull)
        # Two-point Chebyshev moments from the whole contour, one discrete Fourier transform for each point.
        angles, t, jacobian = self._ellipse(*self._hull)
        angles, t = np.append(angles, -angles), np.append(t, t.conj())
        jacobian = np.append(jacobian, jacobian.conj())
        inverse = 1 / (t[:, None] - self._values)
        s = self._values
        jacobian = jacobian / (self.ratio + inverse @ (self._shares * s))
        e = (inverse * (self._shares * s**2)) @ inverse.T / self.ratio
        e_b = (inverse * (s * np.bincount(self._group, self.shares * sandwich))) @ inverse.T / self.ratio
        kernel = (inverse * (s * np.bincount(self._group, energy))) @ inverse.T * e_b / (1 - e)
        phase = self._growth[:, None] * np.exp(1j * np.arange(nodes.size)[:, None] * angles) * jacobian / angles.size
        measure = transform @ (phase @ kernel @ phase.T).real @ transform.T
        values = function(nodes)
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
        edge = self._upper_t
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

    # ------------------------------------------------------------------------------------------------ edges and contour

    def _z(self, t: np.ndarray) -> np.ndarray:
        """``z(t) = t (r + c(t))``, summed without the cancellation of t c(t) at large t."""
        shares = self._shares * self._values
        sums = (shares * self._values / (t[..., None] - self._values)).sum(axis=-1)
        return np.asarray(self.ratio * t + shares.sum() + sums)

    def _critical(self, low: float, high: float, origin: float) -> float:
        """Where ``z' = 0``, ``sum_i p_i s_i^2 / (t - s_i)^2 = r``, as a distance from ``origin``."""
        offset = origin - self._values
        squares = self._shares * self._values**2

        def excess(distance: float) -> float:
            return float(np.log((squares / (offset + distance) ** 2).sum() / self.ratio))

        if excess(low) * excess(high) >= 0:  # one eigenvalue: an end of the bracket is the root up to its rounding
            return low if abs(excess(low)) < abs(excess(high)) else high
        return float(scipy.optimize.brentq(excess, low, high, xtol=1e-300, rtol=1e-15))

    @cached_property
    def _upper_t(self) -> float:
        """t_e, where the upper edge is ``z(t_e)``."""
        top = self._values[-1]
        low, high = np.sqrt(self._shares[-1] / self.ratio), np.sqrt(1 / self.ratio)
        return float(top + self._critical(top * low * (1 - 1e-12), top * high * (1 + 1e-12), top))

    @cached_property
    def _edges(self) -> tuple[float, float]:
        positive = self._values > 0
        bottom, mass = self._values[positive][0], self._shares[positive].sum()
        upper = float(self._z(np.array(self._upper_t)))
        if abs(self.ratio / mass - 1) < 1e-12:
            return 0.0, upper
        # Below the smallest eigenvalue s the sum lies between p s^2/(t-s)^2 and mass top^2/(t-top)^2 or the like.
        share = self._shares[positive][0]
        low = -bottom * np.sqrt(share / self.ratio) * (1 - 1e-12)
        high = -(self._values[-1] * np.sqrt(mass / self.ratio) + self._values[-1])
        t = bottom + self._critical(high, low, bottom)
        return max(float(self._z(np.array(t))), 0.0), upper

    @cached_property
    def _atom(self) -> np.ndarray:
        """Mass at 0 seen by each eigenvector of Sigma, ``t_0 / (t_0 - s)`` where ``r + c(t_0) = 0``."""
        positive = self._values[self._values > 0]
        shares = self._shares[self._values > 0]
        # All data directions are seen up to the rounding of their shares: only Sigma's own null space is left.
        if shares.sum() <= self.ratio * (1 + 1e-12):
            return (self._values == 0).astype(float)
        # sum_i p_i s_i / (s_i - t) = r has its root where the smallest and the largest eigenvalue alone would put it.
        low, high = (s * (1 - shares.sum() / self.ratio) for s in (positive[-1], positive[0]))
        t = low
        if low < high:
            t = scipy.optimize.brentq(
                lambda x: shares @ (positive / (positive - x)) - self.ratio, low, high, xtol=1e-300, rtol=1e-15
            )
        return np.asarray(t / (t - self._values))

    @cached_property
    def _contour(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Ellipse around the continuous part."""
        return self._ellipse(*self._edges)

    @cached_property
    def _hull(self) -> tuple[float, float]:
        """The support's convex hull: two-point functions keep their atom inside the contour."""
        return (0.0 if self._atom[-1] else self.smallest), self.largest

    def _ellipse(self, low: float, high: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Upper half of an ellipse with foci at ``low`` and ``high``: angles, t, and dz as a multiple of the angle's step."""
        nodes = self.degree + 1
        delta = _THICKNESS / nodes
        half = int(np.ceil(nodes * _DIGITS / _THICKNESS / 2))
        angles = (np.arange(half) + 0.5) * np.pi / half
        middle, radius = (low + high) / 2, (high - low) / 2
        # Newton's method from far outside, where t = z/r up to a constant, inwards in steps that halve the distance.
        levels = delta * 2.0 ** np.arange(np.ceil(np.log2(max(3 / delta, 1))), -1, -1)
        t = np.zeros(half, dtype=complex)
        for index, level in enumerate(levels):
            u = np.exp(level + 1j * angles)
            z = middle + radius * (u + 1 / u) / 2
            if index == 0:
                t = (z - self._shares @ self._values) / self.ratio
            t = self._newton(t, z)
        return angles, t, radius * (u - 1 / u) / 2

    def _newton(self, t: np.ndarray, z: np.ndarray) -> np.ndarray:
        """Solve ``z(t) = z`` for t in the upper half-plane from a start nearby."""
        squares = self._shares * self._values**2
        for _ in range(60):
            inverse = 1 / (t[:, None] - self._values)
            residual = self.ratio * t + self._shares @ self._values + inverse @ squares - z
            step = residual / (self.ratio - inverse**2 @ squares)
            # A step that would leave the upper half-plane is shortened.
            while np.any(bad := (t - step).imag <= 0):
                step[bad] /= 2
            t = t - step
            if np.all(np.abs(step) <= 1e-14 * np.abs(t)):
                return t
        if not np.all(np.abs(step) <= 1e-10 * np.abs(t)):
            raise ConvergenceError(
                f"the law's fixed point was not solved: last relative step {np.max(np.abs(step) / np.abs(t)):.2e}"
            )
        return t

    @cached_property
    def _growth(self) -> np.ndarray:
        """From a Fourier coefficient on the ellipse to a Chebyshev moment."""
        orders = np.arange(self.degree + 1)
        return np.exp(orders * _THICKNESS / orders.size) * np.where(orders == 0, 1.0, 0.5)

    def _moments(self, weights: Float[np.ndarray, "values measures"]) -> Float[np.ndarray, "nodes measures"]:
        """Chebyshev moments ``int T_n dnu`` of the continuous part of one or several measures on Sigma's distinct eigenvalues."""
        angles, t, jacobian = self._contour
        inverse = 1 / (t[:, None] - self._values)
        r_c = (self.ratio + inverse @ (self._shares * self._values))[:, None]
        # Without the atom at 0 nothing but the continuous part is inside the ellipse.
        G = (inverse @ weights - (self._atom @ weights) / t[:, None]) / r_c
        density = G * jacobian[:, None] / angles.size
        orders = np.arange(self.degree + 1)[:, None] * angles
        return self._growth[:, None] * (np.cos(orders) @ density.real - np.sin(orders) @ density.imag)

    def _chebyshev(self, low: float, high: float) -> tuple[np.ndarray, np.ndarray]:
        """Chebyshev nodes between two ends, and the matrix from Chebyshev moments to weights ``(nodes, moments)``."""
        count = self.degree + 1
        angles = (np.arange(count) + 0.5) * np.pi / count
        transform = np.cos(angles[:, None] * np.arange(count)) * np.where(np.arange(count) == 0, 1, 2) / count
        return (low + high) / 2 + (high - low) / 2 * np.cos(angles), transform

    @cached_property
    def _rule(self) -> tuple[np.ndarray, np.ndarray]:
        """Nodes and weights of the weighted law: the continuous part's, and the atom."""
        nodes, transform = self._chebyshev(*self._edges)
        weights = transform @ self._moments(self._grouped[:, None])[:, 0]
        return np.append(nodes, 0.0), np.append(weights, self._atom @ self._grouped)


GeneralisedMarchenkoPastur = GeneralizedMarchenkoPastur
"""The old spelling."""
