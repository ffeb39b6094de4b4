"""Steps in the weights that raise the loss, in coordinates u in which the ball of perturbations is round."""

import torch
from jaxtyping import Float
from torch import Tensor

from sharpdiv.empirical.curvature.loss_surface import Batch, LossSurface, Norm

__all__ = ["steepest", "value_and_gradient"]


def value_and_gradient(
    surface: LossSurface, scale: Float[Tensor, "*weights"], batch: Batch, u: Float[Tensor, " weights"]
) -> tuple[Float[Tensor, ""], Float[Tensor, " weights"]]:
    """Loss at ``w + scale u`` and its gradient in u.

    Args:
        surface: loss as a function of the weights.
        scale: unit of u in each weight.
        batch: inputs and targets.
        u: coordinates of the perturbation.

    Returns:
        The loss and its gradient, without a graph.
    """
    u = u.detach().requires_grad_(True)
    value = surface(torch.addcmul(surface.weights, scale, u), batch)
    (gradient,) = torch.autograd.grad(value, u)
    return value.detach(), gradient


def steepest(gradient: Float[Tensor, " weights"], norm: Norm) -> Float[Tensor, " weights"]:
    """Direction of steepest ascent in a norm's metric.

    Args:
        gradient: gradient of the loss in u.
        norm: norm in which the step has length one.

    Returns:
        The step; 0 for a zero gradient.
    """
    if norm == "linf":
        return gradient.sign()
    length = gradient.norm()
    return gradient / torch.where(length > 0, length, torch.ones_like(length))
