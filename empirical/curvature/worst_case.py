"""Worst-case sharpness of a trained network: how much a perturbation of its weights within a radius can raise the loss.

A lower bound of that maximum, found by projected gradient ascent.
"""

import math
from collections.abc import Callable
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor, nn

from sharpdiv.empirical.batches import Batch, Batches, Loss
from sharpdiv.empirical.curvature.ascent import steepest, value_and_gradient
from sharpdiv.empirical.curvature.loss_surface import Norm, of_increases, require_norm
from sharpdiv.empirical.errors import InputError

__all__ = ["worst_case_sharpness"]

_MOMENTUM = 0.75  # Croce and Hein (2020), Auto-PGD
_PROGRESS = 0.75  # fraction of improving steps below which the step size is halved, same source

Objective = Callable[[Tensor], tuple[Tensor, Tensor]]
"""function from u to the loss and its gradient in u"""


def worst_case_sharpness(
    model: nn.Module,
    batches: Batches,
    radius: float = 0.5,
    adaptive: bool = True,
    norm: Norm = "l2",
    loss: Loss = nn.functional.cross_entropy,
    iterations: int = 20,
    restarts: int = 1,
    generator: torch.Generator | None = None,
) -> float:
    """Mean over batches of ``max loss(w + d) - loss(w)`` over perturbations d of all trainable parameters.

    Adaptive: ``|d / |w|| <= radius``, so a weight that is exactly 0 stays 0; otherwise ``|d| <= radius``. The maximum
    is sought by Auto-PGD (Croce and Hein 2020) in the coordinates ``u = d / |w|``, where the ellipsoid is a ball:
    projection is exact and the ascent direction is the steepest one of the ball's own metric. (Stepping along ``|w| g``
    in d and projecting onto the ellipsoid, as public implementations do, has its fixed points at ``d ~ |w|^3 g``
    instead of the maximum's ``d ~ |w|^2 g``.) The model's weights are never written to.

    The result is a lower bound of the maximum: an ascent from 0 can miss it where the gradient has no component along the
    sharpest direction. Further ascents start at random points of the ball, uniform on the sphere (l2) or in the cube (linf),
    and each batch keeps its highest loss.

    Args:
        model: any module; measured in evaluation mode, which is restored.
        batches: fixed pairs of inputs and targets, un-augmented, as a list, a ``DataLoader`` or one pair.
            Andriushchenko et al. (2023) use 8 batches of 128.
        radius: radius of the ball, positive; 0.5 is what the SharpBalance authors use.
        adaptive: whether the ball is scaled by the magnitude of each weight.
        norm: norm of the ball.
        loss: mean loss of outputs and targets.
        iterations: number of ascent steps, each one forward and one backward pass.
        restarts: number of ascents for each batch, the first from 0; 1 as in both sources above.
        generator: source of the random starts, needed by more than one ascent; one on the CPU gives the same starts on any device.

    Returns:
        The mean increase, non-negative.

    Raises:
        InputError: if the radius is not positive and finite, the norm unknown, there is no batch, step, ascent or weight, or
            several ascents got no generator.
        DivergenceError: if the loss is not finite at the weights or on the way.

    Examples:
        >>> import torch
        >>> from sharpdiv import worst_case_sharpness
        >>> model = torch.nn.Linear(2, 1, bias=False)  # a linear loss: over a ball it rises by the radius times the gradient's norm
        >>> inputs = torch.tensor([[3.0, 4.0]])
        >>> loss = lambda outputs, _: outputs.mean()
        >>> round(worst_case_sharpness(model, [(inputs, inputs)], radius=0.1, adaptive=False, loss=loss), 4)
        0.5
    """
    if not (math.isfinite(radius) and radius > 0):
        raise InputError(f"radius must be positive and finite, got {radius}")
    require_norm(norm)
    if iterations < 1 or restarts < 1:
        raise InputError(f"iterations and restarts must be at least 1, got {iterations} and {restarts}")
    if restarts > 1 and generator is None:
        raise InputError("restarts draw starting points and need a generator")
    surface = of_increases(model, loss)
    scale, origin = surface.magnitudes(adaptive), torch.zeros_like(surface.weights)

    def increase(batch: Batch) -> Float[Tensor, ""]:
        objective = partial(value_and_gradient, surface, scale, batch)
        value, best = _ascend(objective, origin, radius, norm, iterations)
        for _ in range(restarts - 1):
            assert generator is not None
            start = _random_point(origin, scale, radius, norm, generator)
            best = torch.maximum(best, _ascend(objective, start, radius, norm, iterations)[1])
        return best - value

    return float(surface.per_batch(batches, increase).mean())


def _ascend(
    objective: Objective, u: Float[Tensor, " weights"], radius: float, norm: Norm, iterations: int
) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
    """Loss at u and the highest loss of Auto-PGD from there; all decisions are tensors, so nothing waits for the device."""
    start, gradient = objective(u)
    best, best_u, best_gradient = start, u, gradient
    current, previous = start, u
    step = torch.full_like(start, 2 * radius)
    improved = torch.zeros_like(start)
    halved, best_then = torch.zeros_like(start, dtype=torch.bool), start
    checkpoints = _checkpoints(iterations)
    for iteration in range(1, iterations + 1):
        target = _project(u + step * steepest(gradient, norm), radius, norm)
        moved = _project(u + _MOMENTUM * (target - u) + (1 - _MOMENTUM) * (u - previous), radius, norm)
        previous, u = u, moved if iteration > 1 else target
        value, gradient = objective(u)
        improved += value > current
        current = value
        # A NaN must win, so that it is reported and not skipped.
        better = ~(value <= best) & ~best.isnan()
        best = torch.where(better, value, best)
        best_u, best_gradient = torch.where(better, u, best_u), torch.where(better, gradient, best_gradient)
        if iteration in checkpoints:
            stalled = ~halved & (best == best_then)
            halved = (improved < _PROGRESS * checkpoints[iteration]) | stalled
            step = torch.where(halved, step / 2, step)
            # Restart from the best point: position, gradient and momentum together.
            u, previous = torch.where(halved, best_u, u), torch.where(halved, best_u, previous)
            gradient, current = torch.where(halved, best_gradient, gradient), torch.where(halved, best, current)
            improved, best_then = torch.zeros_like(improved), best
    return start, best


def _checkpoints(iterations: int) -> dict[int, int]:
    """Iterations at which the step size is reviewed, each with the length of the period that ends there.

    Periods start at 22% of the iterations and shrink by 3% each, but not below 6% (Croce and Hein 2020).

    Returns:
        Iteration to period length.
    """
    checkpoints: dict[int, int] = {}
    last, period = 0, 0.22
    while True:
        point = last + max(1, math.ceil(period * iterations))
        if point > iterations:
            return checkpoints
        checkpoints[point] = point - last
        last, period = point, max(period - 0.03, 0.06)


def _project(u: Float[Tensor, " weights"], radius: float, norm: Norm) -> Float[Tensor, " weights"]:
    if norm == "linf":
        return u.clamp(-radius, radius)
    length = u.norm()
    return u * torch.where(length > radius, radius / length, torch.ones_like(length))


def _random_point(
    origin: Float[Tensor, " weights"],
    scale: Float[Tensor, "*weights"],
    radius: float,
    norm: Norm,
    generator: torch.Generator,
) -> Float[Tensor, " weights"]:
    """Random point of the ball, 0 where the scale is: a coordinate that moves nothing must not use up the radius."""
    noise = torch.empty_like(origin, device=generator.device)
    if norm == "linf":
        return noise.uniform_(-radius, radius, generator=generator).to(origin.device) * (scale > 0)
    noise = noise.normal_(generator=generator).to(origin.device) * (scale > 0)
    return radius * steepest(noise, norm)
