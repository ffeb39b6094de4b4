"""Average-case sharpness of a trained network: how much random perturbations of its weights raise the loss."""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from sharpdiv.empirical.batches import Batch, Batches, Loss
from sharpdiv.empirical.curvature.estimates import Estimate, stratified_mean
from sharpdiv.empirical.curvature.loss_surface import Norm, of_increases, require_norm
from sharpdiv.empirical.errors import InputError

__all__ = ["average_case_sharpness"]


def average_case_sharpness(
    model: nn.Module,
    batches: Batches,
    radius: float = 0.1,
    adaptive: bool = True,
    norm: Norm = "l2",
    loss: Loss = nn.functional.cross_entropy,
    draws: int = 20,
    *,
    generator: torch.Generator,
) -> Estimate:
    """Mean over batches and over random perturbations d of all trainable weights of ``loss(w + d) - loss(w)``.

    ``d_i = radius |w_i| xi_i``, xi independent and standard normal (l2) or uniform on [-1, 1] (linf), with 1 for ``|w_i|``
    if not adaptive (Andriushchenko et al. 2023). A perturbation's length grows with the number of weights, unlike a ball's
    radius: to second order the result is ``radius^2 / 2 sum_i w_i^2 H_ii`` (l2) and a third of it (linf). Draws are independent
    between batches, which makes the error smaller than one set of draws for all.

    Args:
        model: any module; measured in evaluation mode, which is restored. Its weights are never written to.
        batches: fixed pairs of inputs and targets, un-augmented, as a list, a ``DataLoader`` or one pair.
            Andriushchenko et al. use 8 batches of 128.
        radius: scale of the perturbations, positive. Andriushchenko et al. take 0.05 to 0.4 (l2) and 0.1 to 0.8 (linf).
        adaptive: whether each perturbation is scaled by the magnitude of its weight.
        norm: norm of the ball that the distribution belongs to: l2 for normal, linf for uniform numbers.
        loss: mean loss of outputs and targets.
        draws: perturbations for each batch, each one forward pass, at least 2. Andriushchenko et al. take 20, Lu et al. 100.
        generator: source of the noise; one on the CPU gives the same numbers everywhere, one on the model's device is
            faster.

    Returns:
        Mean and standard error over the draws.

    Raises:
        InputError: if the radius is not positive and finite, the norm unknown, there are fewer than two draws, or there is no
            batch or weight.
        DivergenceError: if a loss is not finite.

    Examples:
        >>> import torch
        >>> from sharpdiv import average_case_sharpness
        >>> model = torch.nn.Linear(2, 1, bias=False)  # of the squared error, the Hessian is 2 X'X / n, here diag(9, 1)
        >>> _ = torch.nn.init.zeros_(model.weight)
        >>> batch = (torch.tensor([[3.0, 0.0], [0.0, 1.0]]), torch.zeros(2, 1))
        >>> options = {"adaptive": False, "loss": torch.nn.functional.mse_loss, "generator": torch.Generator().manual_seed(0)}
        >>> mean, stderr = average_case_sharpness(model, [batch], radius=0.1, draws=200, **options)
        >>> abs(mean - 0.1**2 / 2 * (9 + 1)) < 3 * stderr  # radius^2 / 2 times the trace
        True
    """
    if not (math.isfinite(radius) and radius > 0):
        raise InputError(f"radius must be positive and finite, got {radius}")
    require_norm(norm)
    if draws < 2:
        raise InputError(f"draws must be at least 2 to have a standard error, got {draws}")
    surface = of_increases(model, loss)
    scale = radius * surface.magnitudes(adaptive)

    @torch.no_grad()
    def increases(batch: Batch) -> Float[Tensor, " draws"]:
        moved = [
            surface(surface.weights + scale * _noise(surface.weights, norm, generator), batch) for _ in range(draws)
        ]
        return torch.stack(moved) - surface(surface.weights, batch)

    values = surface.per_batch(batches, increases)
    return stratified_mean(values, 1 / len(values))


def _noise(weights: Float[Tensor, " weights"], norm: Norm, generator: torch.Generator) -> Float[Tensor, " weights"]:
    noise = torch.empty_like(weights, device=generator.device)
    if norm == "linf":
        noise.uniform_(-1, 1, generator=generator)
    else:
        noise.normal_(generator=generator)
    return noise.to(weights.device)
