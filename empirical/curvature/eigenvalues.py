"""Largest eigenvalues of a trained network's Hessian, by the Lanczos method from Hessian-vector products alone."""

import math
from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from sharpdiv.empirical.batches import Batch, Batches, Loss, batches_of
from sharpdiv.empirical.curvature.hessian_products import hessian_product, shares
from sharpdiv.empirical.curvature.lanczos import largest_eigenvalues
from sharpdiv.empirical.curvature.loss_surface import LossSurface
from sharpdiv.empirical.curvature.untouched import untouched
from sharpdiv.empirical.errors import InputError

__all__ = ["hessian_eigenvalues"]


def hessian_eigenvalues(
    model: nn.Module,
    batches: Batches,
    count: int = 1,
    loss: Loss = nn.functional.cross_entropy,
    tolerance: float = 1e-3,
    seed: int = 0,
) -> Float[np.ndarray, " count"]:
    """Largest eigenvalues of the Hessian of the mean loss over all samples of all batches, in all trainable weights.

    By the Lanczos method with thick restarts, in the model's precision and on its device. It starts from one vector, so an
    eigenvalue that is exactly multiple may be reported fewer times than it occurs. Of a single batch the gradient's graph is kept
    for all products, which takes a third off their time.

    Args:
        model: any module; measured in evaluation mode, which is restored. Its weights are never written to.
        batches: fixed (inputs, targets) pairs, un-augmented, of any sizes; read once and kept.
        count: number of eigenvalues wanted, fewer than there are weights.
        loss: mean loss of outputs and targets.
        tolerance: relative error of an eigenvalue, positive. Rounding of float32 products takes over below 1e-6; the default
            is far below the spread between samples of the data.
        seed: seed of the start vector, the same on every device.

    Returns:
        Eigenvalues in algebraic order, the largest first.

    Raises:
        InputError: if the count is below 1 or not below the number of weights, the tolerance not positive and finite, or there
            is no batch or weight.
        DivergenceError: if a product is not finite.
        ConvergenceError: if the tolerance was not met.

    References:
        Wu and Simon (2000), "Thick-restart Lanczos method for large symmetric eigenvalue problems".

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
    # A sum in bfloat16 would be useless.
    dtype = torch.promote_types(surface.weights.dtype, torch.float32)
    start = torch.as_tensor(generator.standard_normal(size), dtype=dtype).to(surface.weights.device)
    with untouched(model), torch.enable_grad():
        surface.try_on(fixed)
        return largest_eigenvalues(_of_all(surface, fixed, dtype), start, count, tolerance, generator)


def _of_all(
    surface: LossSurface, batches: list[Batch], dtype: torch.dtype
) -> Callable[[Float[Tensor, " weights"]], Float[Tensor, " weights"]]:
    """Product with the Hessian of all samples; of several batches one after the other, so that memory holds the graph of one."""
    fractions = shares(batches).tolist()
    if len(batches) == 1:
        of_one = hessian_product(surface, batches[0])
        return lambda v: of_one(v.to(surface.weights.dtype)).to(dtype)

    def product(v: Float[Tensor, " weights"]) -> Float[Tensor, " weights"]:
        total = torch.zeros_like(v)
        for share, batch in zip(fractions, batches, strict=True):
            total.add_(hessian_product(surface, batch)(v.to(surface.weights.dtype)), alpha=share)
        return total

    return product
