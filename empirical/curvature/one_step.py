"""One-step sharpness of a trained network: how much the single step that SAM takes raises the loss."""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from sharpdiv.empirical.batches import Batch, Batches, Loss
from sharpdiv.empirical.curvature.ascent import steepest, value_and_gradient
from sharpdiv.empirical.curvature.loss_surface import of_increases
from sharpdiv.empirical.errors import InputError

__all__ = ["one_step_sharpness"]


def one_step_sharpness(
    model: nn.Module,
    batches: Batches,
    rho: float,
    adaptive: bool = False,
    loss: Loss = nn.functional.cross_entropy,
) -> float:
    """Mean over batches of ``loss(w + e) - loss(w)`` at the perturbation of SAM, ``e = rho g / |g|`` with g the batch's gradient.

    Adaptive: ``e = rho w^2 g / |w g|``, elementwise, so that ``|e / w| = rho``. Both are what ``SAM`` takes with the same options,
    except that batch norm is in evaluation mode here. This is what SAM minimizes beside the loss itself (Foret et al. 2021).

    Args:
        model: any module; measured in evaluation mode, which is restored. Its weights are never written to.
        batches: fixed pairs of inputs and targets, un-augmented, as a list, a ``DataLoader`` or one pair.
        rho: length of the step, positive; SAM's own if the model was trained by it.
        adaptive: whether the step is scaled by the magnitude of each weight.
        loss: mean loss of outputs and targets.

    Returns:
        The mean increase; a step that overshoots can make it negative. 0 where the gradient is 0.

    Raises:
        InputError: if rho is not positive and finite, or there is no batch or weight.
        DivergenceError: if the loss is not finite.

    Examples:
        >>> import torch
        >>> from sharpdiv import one_step_sharpness
        >>> model = torch.nn.Linear(2, 1, bias=False)  # a linear loss rises by rho times the gradient's norm
        >>> inputs = torch.tensor([[3.0, 4.0]])
        >>> round(one_step_sharpness(model, [(inputs, inputs)], rho=0.1, loss=lambda outputs, _: outputs.mean()), 4)
        0.5
    """
    if not (math.isfinite(rho) and rho > 0):
        raise InputError(f"rho must be positive and finite, got {rho}")
    surface = of_increases(model, loss)
    scale = surface.magnitudes(adaptive)

    def increase(batch: Batch) -> Float[Tensor, ""]:
        value, gradient = value_and_gradient(surface, scale, batch, torch.zeros_like(surface.weights))
        with torch.no_grad():
            return surface(surface.weights + rho * scale * steepest(gradient, "l2"), batch) - value

    return float(surface.per_batch(batches, increase).mean())
