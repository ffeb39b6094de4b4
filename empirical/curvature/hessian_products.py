"""Products of a loss's Hessian with vectors, the only way in which the Hessian of a network is ever touched.

The Hessian is the one that automatic differentiation sees. A network of piecewise linear activations (ReLU) has the curvature of
its pieces only: what its kinks add when the loss is averaged over a neighbourhood is not there.
"""

from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from sharpdiv.empirical.batches import Batch, samples_of
from sharpdiv.empirical.curvature.loss_surface import LossSurface

__all__ = ["hessian_product", "shares"]


def hessian_product(
    surface: LossSurface, batch: Batch
) -> Callable[[Float[Tensor, " weights"]], Float[Tensor, " weights"]]:
    """Product of a batch's Hessian with vectors: the gradient's graph is built once, differentiated for each vector.

    Args:
        surface: loss as a function of the weights.
        batch: inputs and targets.

    Returns:
        Function from a vector to the Hessian's product with it, at the surface's own weights.

    Examples:
        >>> import torch
        >>> from sharpdiv.empirical.curvature.hessian_products import hessian_product
        >>> from sharpdiv.empirical.curvature.loss_surface import LossSurface
        >>> surface = LossSurface(torch.nn.Linear(2, 1, bias=False), torch.nn.functional.mse_loss)
        >>> batch = (torch.tensor([[3.0, 0.0], [0.0, 1.0]]), torch.zeros(2, 1))
        >>> hessian_product(surface, batch)(torch.tensor([1.0, 2.0])).round(decimals=3)  # of diag(9, 1)
        tensor([9., 2.])
    """
    # Two backward passes. Forward over reverse, reverse over forward and vmap over vectors need forward derivatives or memory.
    point = surface.weights.clone().requires_grad_(True)
    with sdpa_kernel(SDPBackend.MATH):  # fused attention has no second derivative
        loss = surface(point, batch)
    (gradient,) = torch.autograd.grad(loss, point, create_graph=True)

    def product(v: Float[Tensor, " weights"]) -> Float[Tensor, " weights"]:
        if not gradient.requires_grad:  # the loss is linear in the weights
            return torch.zeros_like(v)
        return torch.autograd.grad(gradient, point, v, retain_graph=True)[0]

    return product


def shares(batches: list[Batch]) -> Float[np.ndarray, " batches"]:
    """Fraction of all samples that is in each batch.

    Args:
        batches: inputs and targets.

    Returns:
        Fractions that sum to one.

    Examples:
        >>> import torch
        >>> from sharpdiv.empirical.curvature.hessian_products import shares
        >>> shares([(torch.zeros(3, 1), torch.zeros(3)), (torch.zeros(1, 1), torch.zeros(1))])
        array([0.75, 0.25])
    """
    sizes = np.array([samples_of(batch) for batch in batches])
    return sizes / sizes.sum()
