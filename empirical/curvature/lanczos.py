"""Largest eigenvalues of a symmetric matrix that is known by its products with vectors alone, on the vectors' own device.

In the Krylov space of the start vector, ``span(v, Hv, H^2 v, ...)``, the largest Ritz values converge first to the largest
eigenvalues. Products are what costs, so after each the method asks whether it is done.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from sharpdiv.empirical.errors import DivergenceError
from sharpdiv.theory.errors import ConvergenceError

__all__ = ["largest_eigenvalues"]

_RESTARTS = 100
"""Times that the space is cut back before the method gives up."""


def largest_eigenvalues(
    product: Callable[[Float[Tensor, " size"]], Float[Tensor, " size"]],
    start: Float[Tensor, " size"],
    count: int,
    tolerance: float,
    generator: np.random.Generator,
) -> Float[np.ndarray, " count"]:
    """Largest eigenvalues by the Lanczos method with thick restarts.

    Every new vector is made orthogonal to all before it, twice, so that rounding leaves no spurious copies. A space of
    ``max(20, 2 count + 1)`` vectors is cut back to its leading part.

    Args:
        product: product of the matrix with a vector.
        start: vector to start from, not 0; in its precision.
        count: number of eigenvalues, at most the size.
        tolerance: largest residual ``|Hx - theta x|`` of a Ritz pair with ``|x| = 1``, in units of ``|theta|``: some eigenvalue
            is no further from theta. Rounding errors of the precision are let pass.
        generator: source of a new direction where the space is closed under the matrix.

    Returns:
        In algebraic order, the largest first. One that is exactly multiple may be found fewer times than it occurs.

    Raises:
        DivergenceError: if a product is not finite.
        ConvergenceError: if the tolerance was not met.

    References:
        Wu and Simon (2000), "Thick-restart Lanczos method for large symmetric eigenvalue problems".

    Examples:
        >>> import numpy as np
        >>> import torch
        >>> from sharpdiv.empirical.curvature.lanczos import largest_eigenvalues
        >>> values = torch.arange(1.0, 101.0)
        >>> largest_eigenvalues(lambda v: values * v, torch.ones(100), 2, 1e-5, np.random.default_rng(0)).round(3)
        array([100.,  99.])
    """
    most = min(len(start), max(20, 2 * count + 1))
    basis = start.new_zeros(most, len(start))
    basis[0] = start / start.norm()
    inner, kept = np.zeros((most, most)), 0
    for _ in range(_RESTARTS):
        for j in range(kept, most):
            along, rest = _orthogonal(product(basis[j]), basis[: j + 1])
            inner[: j + 1, j] = inner[j, : j + 1] = along
            found = _ritz(inner[: j + 1, : j + 1], float(rest.norm()), torch.finfo(start.dtype).eps)
            if j + 1 >= count and found.within(tolerance, count):
                return found.values[: -count - 1 : -1].copy()
            if found.closed:
                direction = torch.as_tensor(generator.standard_normal(len(start)), dtype=start.dtype)
                rest = _orthogonal(direction.to(start.device), basis[: j + 1])[1]
            if j + 1 < most:
                basis[j + 1] = rest / rest.norm()
        kept = count + (most - count) // 2
        leading = torch.as_tensor(found.vectors[:, -kept:].T, dtype=start.dtype).to(start.device)
        basis[:kept] = leading @ basis
        basis[kept] = rest / rest.norm()
        inner = np.zeros((most, most))
        inner[:kept, :kept] = np.diag(found.values[-kept:])
    raise ConvergenceError(f"Lanczos failed at tolerance {tolerance:g}, raise it: {_RESTARTS} restarts were not enough")


class _Ritz(NamedTuple):
    """Eigenvalues of the matrix in the space, with what the space leaves out."""

    values: Float[np.ndarray, " space"]
    vectors: Float[np.ndarray, "space space"]
    beyond: float
    """length of the last product's part outside the space"""
    rounding: float
    """lengths below it are rounding errors"""

    @property
    def closed(self) -> bool:
        return self.beyond <= self.rounding

    def within(self, tolerance: float, count: int) -> bool:
        """Whether the largest are found."""
        residuals = self.beyond * np.abs(self.vectors[-1, -count:])
        return bool((residuals <= np.maximum(tolerance * np.abs(self.values[-count:]), self.rounding)).all())


def _ritz(inner: Float[np.ndarray, "space space"], beyond: float, eps: float) -> _Ritz:
    if not (np.isfinite(inner).all() and np.isfinite(beyond)):
        raise DivergenceError("a Hessian-vector product is not finite; is the model trained?")
    values, vectors = np.linalg.eigh(inner)
    return _Ritz(values, vectors, beyond, 4 * eps * float(np.abs(values).max()))


def _orthogonal(
    vector: Float[Tensor, " size"], basis: Float[Tensor, "space size"]
) -> tuple[Float[np.ndarray, " space"], Float[Tensor, " size"]]:
    """Components along the basis, and the rest; taken twice, as once leaves rounding errors of the size of what is taken away."""
    along = basis @ vector
    rest = vector - along @ basis
    correction = basis @ rest
    return (along + correction).cpu().double().numpy(), rest - correction @ basis
