"""Worst-case sharpness of a trained network by projected gradient ascent on its weights."""

import math
from collections.abc import Callable, Iterable
from functools import partial
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.func import functional_call

from empirical.errors import DivergenceError, InputError
from empirical.per_sample import evaluation_mode

__all__ = ["worst_case_sharpness"]

Loss = Callable[[Tensor, Tensor], Tensor]
Norm = Literal["l2", "linf"]

_MOMENTUM = 0.75  # Croce and Hein (2020), Auto-PGD
_PROGRESS = 0.75  # fraction of improving steps below which the step size is halved, same source


def worst_case_sharpness(
    model: nn.Module,
    batches: Iterable[tuple[Tensor, Tensor]],
    radius: float = 0.5,
    adaptive: bool = True,
    norm: Norm = "l2",
    loss: Loss = nn.functional.cross_entropy,
    iterations: int = 20,
) -> float:
    """Mean over batches of ``max loss(w + d) - loss(w)`` over perturbations d of all trainable parameters.

    Adaptive: ``|d / |w|| <= radius``, so a weight that is exactly 0 stays 0; otherwise ``|d| <= radius``. The maximum
    is sought by Auto-PGD (Croce and Hein 2020) in the coordinates ``u = d / |w|``, where the ellipsoid is a ball:
    projection is exact and the ascent direction is the steepest one of the ball's own metric. (Stepping along ``|w| g``
    in d and projecting onto the ellipsoid, as public implementations do, has its fixed points at ``d ~ |w|^3 g``
    instead of the maximum's ``d ~ |w|^2 g``.) The result is a lower bound of the maximum: an ascent from 0 can miss it
    where the gradient has no component along the sharpest direction. The model's weights are never written to.

    Args:
        model: any module; measured in evaluation mode, which is restored.
        batches: fixed (inputs, targets) pairs, un-augmented. Andriushchenko et al. (2023) use 8 batches of 128.
        radius: of the ball, positive; 0.5 is what the SharpBalance authors use.
        adaptive: scale the ball by the magnitude of each weight.
        norm: of the ball.
        loss: mean loss of outputs and targets.
        iterations: ascent steps, each one forward and one backward pass.

    Returns:
        The mean increase, non-negative.

    Raises:
        InputError: if the radius is not positive and finite, the norm unknown, or there is no batch, step or weight.
        DivergenceError: if the loss is not finite at the weights or on the way.
    """
    if not (math.isfinite(radius) and radius > 0):
        raise InputError(f"radius must be positive and finite, got {radius}")
    if norm not in {"l2", "linf"}:
        raise InputError(f"norm must be l2 or linf, got {norm!r}")
    if iterations < 1:
        raise InputError(f"iterations must be at least 1, got {iterations}")
    weights = {name: p.detach() for name, p in model.named_parameters() if p.requires_grad}
    if not weights:
        raise InputError("the model has no trainable parameters")
    flat = torch.cat([w.flatten() for w in weights.values()])
    scale = flat.abs() if adaptive else torch.ones_like(flat)
    sizes = [w.numel() for w in weights.values()]

    def objective(batch: tuple[Tensor, Tensor], u: Tensor) -> tuple[Tensor, Tensor]:
        inputs, targets = batch
        u = u.detach().requires_grad_(True)
        parts = (flat + scale * u).split(sizes)
        moved = {name: part.view_as(w) for (name, w), part in zip(weights.items(), parts, strict=True)}
        value = loss(functional_call(model, moved, (inputs,)), targets)
        (gradient,) = torch.autograd.grad(value, u)
        return value.detach(), gradient

    with evaluation_mode(model), torch.enable_grad():
        increases = [
            _ascend(partial(objective, batch), torch.zeros_like(flat), radius, norm, iterations) for batch in batches
        ]
    if not increases:
        raise InputError("worst-case sharpness needs at least one batch")
    result = float(torch.stack(increases).mean())
    if not math.isfinite(result):
        raise DivergenceError("the loss is not finite at the weights or within the radius; is the model trained?")
    return result


def _ascend(
    objective: Callable[[Tensor], tuple[Tensor, Tensor]], u: Tensor, radius: float, norm: Norm, iterations: int
) -> Tensor:
    """Auto-PGD from u; every decision is a tensor operation, so nothing waits for the device."""
    start, gradient = objective(u)
    best, best_u, best_gradient = start, u, gradient
    current, previous = start, u
    step = torch.full_like(start, 2 * radius)
    improved = torch.zeros_like(start)
    halved, best_then = torch.zeros_like(start, dtype=torch.bool), start
    checkpoints = _checkpoints(iterations)
    for iteration in range(1, iterations + 1):
        target = _project(u + step * _direction(gradient, norm), radius, norm)
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
    return best - start


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


def _direction(gradient: Float[Tensor, " weights"], norm: Norm) -> Float[Tensor, " weights"]:
    """Steepest ascent in the norm's metric; 0 for a zero gradient."""
    if norm == "linf":
        return gradient.sign()
    length = gradient.norm()
    return gradient / torch.where(length > 0, length, torch.ones_like(length))


def _project(u: Float[Tensor, " weights"], radius: float, norm: Norm) -> Float[Tensor, " weights"]:
    if norm == "linf":
        return u.clamp(-radius, radius)
    length = u.norm()
    return u * torch.where(length > radius, radius / length, torch.ones_like(length))
