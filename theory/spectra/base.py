"""What a spectral measure of W = A'A is: everything the theory predicts is an integral against one.

A spectrum integrates functions of an eigenvalue x. Functions are vectorised: they take the nodes ``(nodes,)`` and
return ``(..., nodes)``; any leading axes (values of rho, for instance) come back as they were.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Complex, Float

from sharpdiv.theory.errors import DomainError

__all__ = [
    "DataLaw",
    "Resolvent",
    "SpectralFunction",
    "Spectrum",
    "tangent_resolvent",
]

SpectralFunction = Callable[[np.ndarray], np.ndarray]
"""A function of eigenvalues: nodes ``(nodes,)`` to values ``(..., nodes)``."""


@runtime_checkable
class Spectrum(Protocol):
    """A measure on the eigenvalues of a data matrix W.

    Examples:
        >>> from sharpdiv.theory import EmpiricalSpectrum, MarchenkoPastur, Spectrum
        >>> isinstance(MarchenkoPastur(2.0), Spectrum), isinstance(EmpiricalSpectrum([1.0]), Spectrum)
        (True, True)
    """

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
    """Law of W for n random samples, which also knows what a part of the samples does.

    Examples:
        >>> from sharpdiv.theory import DataLaw, EmpiricalSpectrum, MarchenkoPastur
        >>> isinstance(MarchenkoPastur(2.0), DataLaw), isinstance(EmpiricalSpectrum([1.0]), DataLaw)
        (True, False)
        >>> MarchenkoPastur(2.0).blocks(4).ratio
        0.5
    """

    @property
    def at_test(self) -> "DataLaw":
        """The measure ``tau(Sigma f(W))``, as in ``Spectrum``."""

    def blocks(self, count: int) -> "DataLaw":
        """Law of W for one of ``count`` equal row blocks."""

    def mean_squared(self, function: SpectralFunction) -> Float[np.ndarray, "..."]:
        """``tau(Sigma (E f(W))^2)``, which the mean over independent data sets leaves of ``tau(Sigma f(W)^2)``."""


_RESOLVED, _NEAR = 40.0, 0.15
"""Half of ``log b`` from which on a rule of degree 1 resolves a pole, and below which the tangent loses nothing anyway."""


@dataclass(frozen=True)
class Resolvent:
    """``R(gap) = integral of f(x) / (largest + gap - x)`` for fixed functions f, evaluated on the nodes once and for all.

    Near the edge no quadrature resolves the pole. So f's tangent at the edge is split off and its part is done in closed form;
    what is left vanishes twice where the pole sits. Far from the edge the parts would cancel, by as many digits as the gap is
    large, while the quadrature resolves the pole: there it is taken as it stands.

    Examples:
        >>> import numpy as np
        >>> from sharpdiv.theory import EmpiricalSpectrum
        >>> R = EmpiricalSpectrum([1.0, 3.0]).resolvent(lambda x: x**2)
        >>> round(float(R(np.array(2.0))), 6)  # at 5, the mean of 1/4 and 9/2
        2.375
    """

    below: Float[np.ndarray, " nodes"]
    """distance of the nodes from the upper edge"""
    whole: Float[np.ndarray, "... nodes"]
    """weights times f"""
    smooth: Float[np.ndarray, "... nodes"]
    """weights times what is left of f"""
    value: Float[np.ndarray, "..."]
    """f at the edge (0 where nothing is split off)"""
    slope: Float[np.ndarray, "..."]
    """f' at the edge"""
    mass: float
    """mass of the whole measure"""
    stieltjes: Callable[[np.ndarray], np.ndarray]
    """integral of ``1 / (largest + gap - x)``"""
    far: float
    """gap from which on the quadrature resolves the pole"""

    def __call__(
        self, gap: Float[np.ndarray, "..."] | Complex[np.ndarray, "..."]
    ) -> Float[np.ndarray, "..."] | Complex[np.ndarray, "..."]:
        """R at positive gaps that broadcast against f's leading axes.

        A gap may carry an infinitesimal imaginary part (a complex step), which gives the derivative to rounding.

        Args:
            gap: distance above the upper edge.

        Returns:
            R at each gap.

        Raises:
            DomainError: if a gap is not positive.
        """
        if not np.all(gap.real > 0):
            raise DomainError(f"gap must be positive (the point must lie above the support), got {gap}")
        inverse = 1 / (gap.real[..., None] + self.below)
        far = gap.real >= self.far
        summed = self.whole if far.all() else np.where(far[..., None], self.whole, self.smooth)
        total = np.einsum("...n,...n->...", summed, inverse)
        if np.iscomplexobj(gap):
            total = total - 1j * gap.imag * np.einsum("...n,...n->...", summed, inverse**2)
        if far.all():
            return np.asarray(total)
        G = self.stieltjes(gap)
        tangent = self.value * G + self.slope * (gap * G - self.mass)
        return np.asarray(total + np.where(far, 0, tangent))


def tangent_resolvent(
    function: SpectralFunction,
    nodes: Float[np.ndarray, " nodes"],
    weights: Float[np.ndarray, " nodes"],
    edge: float,
    stieltjes: Callable[[np.ndarray], np.ndarray],
    degree: int,
) -> Resolvent:
    """Resolvent from a quadrature rule of a law with a continuous density at its upper edge.

    A rule exact up to a degree D integrates ``f(x) / (z - x)``, f of a degree up to D/2, with an error of ``b^(-D/2)``, where z
    lies on the ellipse of semi-axes ``(b + 1/b)/2`` and ``(b - 1/b)/2`` around the support; that is below rounding from
    ``b = e^(80/D)`` on.

    Args:
        function: a polynomial, from nodes ``(nodes,)``, real or complex, to values ``(..., nodes)``.
        nodes: nodes of the rule.
        weights: weights of the rule.
        edge: upper end of the support.
        stieltjes: integral of ``1 / (edge + gap - x)``, in closed form.
        degree: D, up to which polynomials are integrated exactly.

    Returns:
        R as a function of the gap.

    Examples:
        >>> import numpy as np
        >>> from sharpdiv.theory import MarchenkoPastur
        >>> from sharpdiv.theory.spectra.base import tangent_resolvent
        >>> law = MarchenkoPastur(1.0)  # on [0, 4]; the Gauss rule with one node is the mean
        >>> R = tangent_resolvent(lambda x: x, np.ones(1), np.ones(1), law.largest, law.stieltjes, degree=1)
        >>> round(float(R(np.array(1.0))), 6)  # (3 - sqrt 5) / 2
        0.381966
    """
    step = 1e-20  # a complex step has no truncation error
    at_edge = function(np.array([edge + 1j * step]))[..., 0]
    value, slope = np.asarray(at_edge.real), np.asarray(at_edge.imag / step)
    values, below = function(nodes), edge - nodes
    smooth = values - value[..., None] + slope[..., None] * below
    far = float(below.max()) * np.sinh(max(_RESOLVED / max(degree, 1), _NEAR)) ** 2
    return Resolvent(below, weights * values, weights * smooth, value, slope, float(weights.sum()), stieltjes, far)
