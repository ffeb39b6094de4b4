"""Trace of a trained network's Hessian, by Hutchinson's estimator from Hessian-vector products alone.

For v of independent random signs ``E[v v'] = 1``, so that ``E[v'Hv] = tr(H E[v v']) = tr H``.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from sharpdiv.empirical.batches import Batch, Batches, Loss, batches_of
from sharpdiv.empirical.curvature.estimates import Estimate, stratified_mean
from sharpdiv.empirical.curvature.hessian_products import hessian_product, shares
from sharpdiv.empirical.curvature.loss_surface import LossSurface
from sharpdiv.empirical.errors import InputError

__all__ = ["hessian_trace"]


def hessian_trace(
    model: nn.Module,
    batches: Batches,
    draws: int = 20,
    loss: Loss = nn.functional.cross_entropy,
    seed: int = 0,
) -> Estimate:
    """Trace of the Hessian of the mean loss over all samples of all batches, in all trainable weights.

    Hutchinson's estimator (1989): ``v'Hv`` has mean ``tr H`` and variance ``2 sum_{i != j} H_ij^2`` for v of independent random
    signs. Each batch has its own draws, which is never less precise than the same draws for all: the part of the variance
    that the batches share is divided by their number.

    Args:
        model: any module; measured in evaluation mode, which is restored. Its weights are never written to.
        batches: fixed (inputs, targets) pairs, un-augmented, of any sizes; read once and kept.
        draws: number of random vectors for each batch, at least 2; 8 batches have 160 in all, PyHessian takes up to 100.
        loss: mean loss of outputs and targets.
        seed: seed of the signs, which are made on the model's device: another kind of device draws others.

    Returns:
        Mean and standard error over the draws.

    Raises:
        InputError: if there are fewer than two draws, or there is no batch or weight.
        DivergenceError: if a product is not finite.

    References:
        Yao, Gholami, Keutzer and Mahoney (2020), "PyHessian: neural networks through the lens of the Hessian".

    Examples:
        >>> import torch
        >>> from sharpdiv import hessian_trace
        >>> model = torch.nn.Linear(2, 1, bias=False)  # of the squared error, the Hessian is 2 X'X / n, here diag(9, 1)
        >>> batch = (torch.tensor([[3.0, 0.0], [0.0, 1.0]]), torch.zeros(2, 1))
        >>> hessian_trace(model, [batch], loss=torch.nn.functional.mse_loss)  # without error, as the Hessian is diagonal
        Estimate(mean=10.0, stderr=0.0)
    """
    if draws < 2:
        raise InputError(f"draws must be at least 2 to have a standard error, got {draws}")
    surface, fixed = LossSurface(model, loss), list(batches_of(batches))
    generator = torch.Generator(surface.weights.device).manual_seed(seed)

    def quadratic_forms(batch: Batch) -> Float[Tensor, " draws"]:
        product = hessian_product(surface, batch)
        signs = (_signs(surface.weights, generator) for _ in range(draws))
        return torch.stack([v @ product(v) for v in signs])

    return stratified_mean(surface.per_batch(fixed, quadratic_forms), shares(fixed))


def _signs(weights: Float[Tensor, " weights"], generator: torch.Generator) -> Float[Tensor, " weights"]:
    return torch.empty_like(weights).bernoulli_(0.5, generator=generator).mul_(2).sub_(1)
