"""Largest eigenvalues of a trained network's Hessian, by the Lanczos method from Hessian-vector products alone.

In the Krylov space of the start vector, ``span(v, Hv, H^2 v, ...)``, the largest Ritz values converge first to the largest
eigenvalues; each needs a product with the Hessian of all samples, never the Hessian.
"""

import math

import numpy as np
import torch
from jaxtyping import Float
from scipy.sparse.linalg import ArpackError, LinearOperator, eigsh
from torch import nn

from sharpdiv.empirical.batches import Batch, Batches, Loss, batches_of
from sharpdiv.empirical.curvature.hessian_products import hessian_product, shares
from sharpdiv.empirical.curvature.loss_surface import LossSurface
from sharpdiv.empirical.curvature.untouched import untouched
from sharpdiv.empirical.errors import DivergenceError, InputError
from sharpdiv.theory.errors import ConvergenceError

__all__ = ["hessian_eigenvalues"]

_RESTARTS = 100  # of the Lanczos iteration, each with up to max(20, 2 count + 1) products


def hessian_eigenvalues(
    model: nn.Module,
    batches: Batches,
    count: int = 1,
    loss: Loss = nn.functional.cross_entropy,
    tolerance: float = 1e-3,
    seed: int = 0,
) -> Float[np.ndarray, " count"]:
    """Largest eigenvalues of the Hessian of the mean loss over all samples of all batches, in all trainable weights.

    By the implicitly restarted Lanczos method in the model's precision. It starts from one vector, so an eigenvalue that is
    exactly multiple may be reported fewer times than it occurs.

    Args:
        model: any module; measured in evaluation mode, which is restored. Its weights are never written to.
        batches: fixed (inputs, targets) pairs, un-augmented, of any sizes; read once and kept.
        count: number of eigenvalues wanted, fewer than there are weights.
        loss: mean loss of outputs and targets.
        tolerance: relative error of an eigenvalue, positive. Rounding of float32 products takes over below 1e-6; the default
            is far below the spread between samples of the data.
        seed: seed of the start vector.

    Returns:
        Eigenvalues in algebraic order, the largest first.

    Raises:
        InputError: if the count is below 1 or not below the number of weights, the tolerance not positive and finite, or there
            is no batch or weight.
        DivergenceError: if a product is not finite.
        ConvergenceError: if the tolerance was not met.

    References:
        Lehoucq, Sorensen and Yang (1998), "ARPACK users' guide".

    Examples:
        >>> import torch
        >>> from sharpdiv import hessian_eigenvalues
        >>> model = torch.nn.Linear(2, 1, bias=False)  # of the squared error, the Hessian is 2 X'X / n, here diag(9, 1)
        >>> batch = (torch.tensor([[3.0, 0.0], [0.0, 1.0]]), torch.zeros(2, 1))
        >>> hessian_eigenvalues(model, [batch], loss=torch.nn.functional.mse_loss).round(3)
        array([9.])
    """
    if not (math.isfinite(tolerance) and tolerance > 0):
        raise InputError(f"tolerance must be positive and finite, got {tolerance}")
    surface, fixed = LossSurface(model, loss), list(batches_of(batches))
    size = len(surface.weights)
    if not 1 <= count < size:
        raise InputError(f"count must be at least 1 and below the number of weights, {size}, got {count}")
    generator = np.random.default_rng(seed)
    operator = _operator(surface, fixed)
    start = generator.standard_normal(size).astype(operator.dtype)
    options = {"tol": tolerance, "maxiter": _RESTARTS, "v0": start, "rng": generator}
    with untouched(model), torch.enable_grad():
        surface.try_on(fixed[0])
        try:
            values = eigsh(operator, count, which="LA", return_eigenvectors=False, **options)
        except ArpackError as error:
            if not operator.matvec(start).any():  # ARPACK refuses the zero matrix
                return np.zeros(count)
            raise ConvergenceError(f"Lanczos failed at tolerance {tolerance:g}, raise it: {error}") from error
    return np.sort(values)[::-1].astype(np.float64)


def _operator(surface: LossSurface, batches: list[Batch]) -> LinearOperator:
    """The Hessian of all samples as SciPy sees it; batch after batch, so memory holds the graph of one."""
    weights = surface.weights
    # NumPy has no bfloat16, and a sum in it would be useless.
    dtype = torch.promote_types(weights.dtype, torch.float32)
    fractions = shares(batches).tolist()

    def product(vector: np.ndarray) -> np.ndarray:
        v = torch.tensor(vector.ravel(), dtype=weights.dtype, device=weights.device)
        total = torch.zeros_like(weights, dtype=dtype)
        for share, batch in zip(fractions, batches, strict=True):
            total.add_(hessian_product(surface, batch)(v), alpha=share)
        found = total.cpu().numpy()
        if not np.isfinite(found).all():
            raise DivergenceError("a Hessian-vector product is not finite; is the model trained?")
        return found

    return LinearOperator((len(weights), len(weights)), matvec=product, dtype=str(dtype).removeprefix("torch."))
