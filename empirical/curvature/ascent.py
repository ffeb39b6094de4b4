"""Steps in the weights that raise the loss, in coordinates u in which the ball of perturbations is round."""

import torch
from jaxtyping import Float
from torch import Tensor

from sharpdiv.empirical.batches import Batch
from sharpdiv.empirical.curvature.loss_surface import LossSurface, Norm

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

    Examples:
        >>> import torch
        >>> from sharpdiv.empirical.curvature.ascent import value_and_gradient
        >>> from sharpdiv.empirical.curvature.loss_surface import LossSurface
        >>> model, inputs = torch.nn.Linear(1, 1, bias=False), torch.ones(1, 1)
        >>> _ = torch.nn.init.constant_(model.weight, 3.0)
        >>> surface = LossSurface(model, lambda outputs, _: outputs.square().mean())  # w^2
        >>> value, gradient = value_and_gradient(surface, torch.ones(1), (inputs, inputs), torch.zeros(1))
        >>> value.item(), gradient.item()  # w^2 and 2 w
        (9.0, 6.0)
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

    Examples:
        >>> import torch
        >>> from sharpdiv.empirical.curvature.ascent import steepest
        >>> gradient = torch.tensor([3.0, -4.0])
        >>> steepest(gradient, "l2"), steepest(gradient, "linf")
        (tensor([ 0.6000, -0.8000]), tensor([ 1., -1.]))
    """
    if norm == "linf":
        return gradient.sign()
    length = gradient.norm()
    return gradient / torch.where(length > 0, length, torch.ones_like(length))
