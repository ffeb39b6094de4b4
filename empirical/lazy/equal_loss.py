"""Members at equal training loss: a network trained on squared loss by un-normalized SAM whose ascents are of m samples each.

A step goes down the mean over groups of m samples of the gradient behind each group's own ascent, ``w + rho grad L_group(w)``: m
is the size of SAM's batch in ordinary training, all samples (m = n) is full-batch SAM and m = 1 is per-sample SAM (m-sharpness,
Foret et al. 2021; Andriushchenko and Flammarion 2022). The groups are drawn anew in every step.

Methods that fit at different speeds are compared where each first has a given training loss: the weights are interpolated between
the steps before and after.
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.func import functional_call, grad, jacrev, vmap

from sharpdiv.empirical.curvature.recording import evaluation_mode
from sharpdiv.empirical.errors import DivergenceError, InputError

__all__ = ["EqualLoss", "FitProblem", "train_to_losses"]

_DIVERGED = 1e3  # times the loss at the start
_JACOBIANS = 2**24  # numbers that are held at once

Weights = dict[str, Tensor]


@dataclass(frozen=True)
class FitProblem:
    """What a network is to fit, and where it is looked at.

    Examples:
        >>> import torch
        >>> from sharpdiv import FitProblem
        >>> FitProblem(torch.zeros(4, 3), targets=torch.zeros(4, 2), test=torch.zeros(5, 3)).samples
        4
    """

    images: Float[Tensor, "samples ..."]
    """training images"""
    targets: Float[Tensor, "samples outputs"]
    """what the outputs should be there"""
    test: Float[Tensor, "test ..."]
    """test images"""

    @property
    def samples(self) -> int:
        """n, the number of training samples."""
        return len(self.images)

    def to(self, device: torch.device) -> "FitProblem":
        """The problem on a device.

        Args:
            device: where.

        Returns:
            Its tensors, moved.
        """
        return FitProblem(self.images.to(device), self.targets.to(device), self.test.to(device))


@dataclass(frozen=True)
class EqualLoss:
    """A member where its training loss first was at given levels; NaN at levels that it did not reach.

    Example: see ``train_to_losses``.
    """

    predictions: Float[Tensor, "levels test outputs"]
    """outputs at the test images"""
    steps: Float[Tensor, " levels"]
    """number of steps, a fraction between two"""
    trace: Float[Tensor, " levels"]
    """trace of the Gauss-Newton matrix (the Hessian where data are fitted) of the descended loss, ``|h - y|^2 / (2n alpha^2)``"""
    squared_norms: Float[Tensor, "levels tensors"]
    """squared norm of every trained tensor, in the model's order"""


def train_to_losses(
    model: nn.Module,
    problem: FitProblem,
    losses: tuple[float, ...],
    *,
    rho: float,
    learning_rate: float,
    m: int | None = None,
    alpha: float = 1.0,
    subtract_initial: bool = False,
    most_steps: int = 20_000,
    seed: int = 0,
) -> EqualLoss:
    """Train a copy of a network in evaluation mode to ``|h - y|^2 / (2n) = loss`` for some losses; h is ``alpha f``.

    The loss that is descended is divided by ``alpha^2``, so that learning rate and rho mean the same at every alpha.

    Args:
        model: network at its initialization, whose forward pass treats samples apart; all with ``requires_grad`` is trained.
        problem: data.
        losses: levels of the training loss, falling.
        rho: rho of SAM, 0 for gradient descent.
        learning_rate: learning rate eta.
        m: number of samples of an ascent, a divisor of n; n unless given.
        alpha: scale of the outputs.
        subtract_initial: whether h is ``alpha (f - f_0)``, 0 at the initialization.
        most_steps: number of steps after which the rest of the levels is given up.
        seed: seed of the groups.

    Returns:
        The member at every level.

    Raises:
        InputError: if a number is outside its domain or shapes do not fit.
        DivergenceError: if the loss is not finite, or above a thousand times its start.

    Examples:
        >>> import torch
        >>> from sharpdiv import FitProblem, train_to_losses
        >>> data = torch.tensor([[1.0], [-1.0]])
        >>> problem = FitProblem(data, targets=2 * data, test=torch.tensor([[3.0]]))
        >>> model = torch.nn.Linear(1, 1, bias=False)
        >>> torch.nn.init.zeros_(model.weight).requires_grad
        True
        >>> found = train_to_losses(model, problem, (0.5, 0.125), rho=0.0, learning_rate=0.5)  # w = 0, 1, 1.5
        >>> found.steps.tolist(), found.predictions.flatten().tolist(), found.trace.tolist()
        ([1.0, 2.0], [3.0, 4.5], [1.0, 1.0])
    """
    size = problem.samples if m is None else m
    _require(problem, losses, size, rho=rho, learning_rate=learning_rate, alpha=alpha, most_steps=most_steps)
    generator = torch.Generator().manual_seed(seed)
    with evaluation_mode(model):
        fit = _Fit(model, problem, alpha, subtract_initial)
        levels = list(losses)
        weights, looks = fit.start, []
        loss = start = fit.loss(weights)
        while levels and start <= levels[0]:  # as small from the beginning
            looks.append(fit.look(weights, 0.0))
            levels.pop(0)
        for step in range(1, most_steps + 1):
            if not levels:
                break
            order = torch.randperm(problem.samples, generator=generator).to(problem.images.device)
            before, loss_before = weights, loss
            weights = fit.step(weights, order.view(-1, size), rho, learning_rate)
            loss = fit.loss(weights)
            if not loss <= _DIVERGED * start:  # NaN is not
                raise DivergenceError(
                    f"SAM with ascents of {size} samples diverged in step {step} (loss {loss:g}, {start:g} at the start); "
                    f"lower rho {rho:g} or the learning rate {learning_rate:g}"
                )
            while levels and loss <= levels[0]:
                share = _share(loss_before, levels[0], loss)
                between = {name: torch.lerp(before[name], weights[name], share) for name in weights}
                looks.append(fit.look(between, step - 1 + share))
                levels.pop(0)
    return _gathered(looks, len(losses), len(fit.start), problem, fit.outputs)


def _share(before: float, level: float, after: float) -> float:
    """How far into a step, from a loss to another, a level is: as if the loss fell exponentially."""
    if not after:  # outputs that are right after the step, and were approached at one speed
        return 1 - math.sqrt(level / before)
    return math.log(before / level) / math.log(before / after)


class _Fit:
    """The network as a function of its trained weights, and the loss that it is to fit."""

    def __init__(self, model: nn.Module, problem: FitProblem, alpha: float, subtract_initial: bool) -> None:
        self.model, self.problem, self.alpha = model, problem, alpha
        self.start: Weights = {n: p.detach().clone() for n, p in model.named_parameters() if p.requires_grad}
        if not self.start:
            raise InputError("the model has no trainable parameters")
        with torch.no_grad():
            at_start = [self._scaled(self.start, images) for images in (problem.images, problem.test)]
        if at_start[0].shape != problem.targets.shape:
            shapes = tuple(at_start[0].shape), tuple(problem.targets.shape)
            raise InputError(f"targets must have the outputs' shape {shapes[0]}, got {shapes[1]}")
        self.outputs = problem.targets.shape[1]
        self.taken_off = at_start[1] if subtract_initial else torch.zeros_like(at_start[1])
        self.targets = problem.targets + (at_start[0] if subtract_initial else 0)
        # Every group has its own weights behind the ascent, one rule serves all.
        self._group_gradient = vmap(grad(self._loss), in_dims=(None, 0, 0))
        self._ascended_gradient = vmap(grad(self._loss), in_dims=(0, 0, 0))

    def _scaled(self, weights: Weights, images: Tensor) -> Tensor:
        outputs: Tensor = functional_call(self.model, weights, (images,))
        return self.alpha * outputs

    def _loss(self, weights: Weights, images: Tensor, targets: Tensor) -> Tensor:
        return (self._scaled(weights, images) - targets).square().sum() / (2 * len(targets) * self.alpha**2)

    def loss(self, weights: Weights) -> float:
        """The training loss of h."""
        with torch.no_grad():
            return float(self._loss(weights, self.problem.images, self.targets)) * self.alpha**2

    def step(self, weights: Weights, groups: Tensor, rho: float, learning_rate: float) -> Weights:
        """One step with an ascent for each group (a row of indices)."""
        images, targets = self.problem.images[groups], self.targets[groups]
        if rho:
            ascent = self._group_gradient(weights, images, targets)
            ascended = {name: weight + rho * ascent[name] for name, weight in weights.items()}
            gradient = self._ascended_gradient(ascended, images, targets)
            descent = {name: value.mean(dim=0) for name, value in gradient.items()}
        else:
            descent = grad(self._loss)(weights, self.problem.images, self.targets)
        return {name: weight - learning_rate * descent[name] for name, weight in weights.items()}

    def look(self, weights: Weights, steps: float) -> tuple[Tensor, float, float, Tensor]:
        """Predictions, steps, trace and squared norms at some weights."""
        with torch.no_grad():
            predictions = self._scaled(weights, self.problem.test) - self.taken_off
        norms = torch.stack([weight.square().sum() for weight in weights.values()])
        return predictions, steps, self._trace(weights), norms

    def _trace(self, weights: Weights) -> float:
        """``sum |df_c(x_i)/dw|^2 / n``."""

        def outputs(weights: Weights, image: Tensor) -> Tensor:
            found: Tensor = functional_call(self.model, weights, (image[None],))
            return found[0]

        def squares(image: Tensor) -> Tensor:
            jacobian = jacrev(outputs)(weights, image)
            return torch.stack([value.square().sum() for value in jacobian.values()]).sum()

        each = self.outputs * sum(weight.numel() for weight in weights.values())
        return float(vmap(squares, chunk_size=max(1, _JACOBIANS // each))(self.problem.images).mean())


def _gathered(
    looks: list[tuple[Tensor, float, float, Tensor]], levels: int, tensors: int, problem: FitProblem, outputs: int
) -> EqualLoss:
    """The looks in one record, NaN for levels that were not reached."""
    like = problem.images.new_full
    missing = (like((len(problem.test), outputs), math.nan), math.nan, math.nan, like((tensors,), math.nan))
    predictions, steps, trace, norms = zip(*looks, *[missing] * (levels - len(looks)), strict=True)
    at, traces = torch.tensor([steps, trace], dtype=torch.float64)
    return EqualLoss(torch.stack(predictions), at, traces, torch.stack(norms))


def _require(problem: FitProblem, losses: tuple[float, ...], m: int, rho: float, **positive: float | int) -> None:
    if not losses or list(losses) != sorted(set(losses), reverse=True) or not 0 < losses[-1] <= losses[0] < math.inf:
        raise InputError(f"losses must be positive levels that fall, got {losses}")
    for name, value in positive.items():
        if not (math.isfinite(value) and value > 0):
            raise InputError(f"{name} must be finite and positive, got {value}")
    if not (math.isfinite(rho) and rho >= 0):
        raise InputError(f"rho must be finite and not negative, got {rho}")
    if len(problem.targets) != problem.samples:
        raise InputError(f"there must be a target for each image, got {len(problem.targets)} for {problem.samples}")
    if m < 1 or problem.samples % m:
        raise InputError(f"m must divide the {problem.samples} samples, got {m}: every ascent has as many")
