"""Gradients of single samples by automatic differentiation: slow, and right for any network in which a sample can run alone."""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.func import grad, vmap
from torch.nn.attention import SDPBackend, sdpa_kernel

from sharpdiv.empirical.curvature.batches import Batch, Inputs, Loss, leaves, outputs_of, refilled, rows, samples_of
from sharpdiv.empirical.curvature.untouched import WeightSlots

__all__ = ["slow_norms", "squared_norm"]

_WORKSPACE = 2**28  # bytes of gradients that exist at once


def squared_norm(model: nn.Module, inputs: Inputs, loss_of: Callable[[Tensor], Float[Tensor, ""]]) -> Float[Tensor, ""]:
    """Squared norm of a gradient in all trainable weights, by one backward pass.

    Args:
        model: network in evaluation mode.
        inputs: inputs, of one sample if its own gradient is meant.
        loss_of: function from the outputs to what is differentiated.

    Returns:
        A scalar in the outputs' precision, float32 at least.

    Example:
        >>> import torch
        >>> from sharpdiv.empirical.curvature.sample_gradients import squared_norm
        >>> squared_norm(torch.nn.Linear(2, 1, bias=False), torch.tensor([[3.0, 4.0]]), torch.sum).item()
        25.0
    """
    with torch.enable_grad():
        loss = loss_of(outputs_of(model, inputs))
        weights = [p for p in model.parameters() if p.requires_grad]
        gradients = torch.autograd.grad(loss, weights, allow_unused=True) if loss.requires_grad else ()
    wide = torch.promote_types(loss.dtype, torch.float32)
    squares = [torch.linalg.vector_norm(g, dtype=wide).square() for g in gradients if g is not None]
    return torch.stack(squares).sum() if squares else torch.zeros((), dtype=wide, device=loss.device)


def slow_norms(model: nn.Module, batch: Batch, loss: Loss) -> Float[Tensor, " samples"]:
    """Squared norm of every sample's gradient: several samples at once where the network allows it, one after the other where not.

    Args:
        model: network in evaluation mode.
        batch: inputs and targets.
        loss: mean loss of outputs and targets, taken of each sample alone.

    Returns:
        One non-negative number for each sample.

    Example:
        >>> import torch
        >>> from sharpdiv.empirical.curvature.sample_gradients import slow_norms
        >>> model = torch.nn.Linear(2, 1, bias=False)
        >>> batch = (torch.tensor([[3.0, 4.0], [0.0, 1.0]]), torch.zeros(2, 1))
        >>> slow_norms(model, batch, lambda outputs, _: outputs.mean())
        tensor([25.,  1.])
    """
    first = _alone(model, batch, loss, 0)
    try:
        together = _at_once(model, batch, loss)
    except (RuntimeError, ValueError, NotImplementedError):  # what torch raises where it cannot map over samples
        together = None
    half = torch.finfo(first.dtype).eps ** 0.5  # rounding grows like a random walk: half of the digits are safe
    if together is not None and torch.isclose(together[0], first, rtol=half, atol=0):
        return together
    rest = [_alone(model, batch, loss, i) for i in range(1, samples_of(batch))]
    return torch.stack([first, *rest])


def _alone(model: nn.Module, batch: Batch, loss: Loss, i: int) -> Float[Tensor, ""]:
    targets = batch[1][i : i + 1]
    return squared_norm(model, rows(batch[0], slice(i, i + 1)), lambda outputs: loss(outputs, targets))


def _at_once(model: nn.Module, batch: Batch, loss: Loss) -> Float[Tensor, " samples"]:
    """By ``vmap`` over samples, as many at a time as their gradients fit in the workspace."""
    slots = WeightSlots(model)
    weights = tuple(p.detach() for p in slots.parameters)
    inputs, targets = batch
    tensors = [leaf for leaf in leaves(inputs) if isinstance(leaf, Tensor)]

    def of_one(weights: tuple[Tensor, ...], parts: list[Tensor], target: Tensor) -> Tensor:
        with slots.holding(weights):
            return loss(outputs_of(model, refilled(inputs, [part[None] for part in parts])), target[None])

    def norm_of_one(weights: tuple[Tensor, ...], parts: list[Tensor], target: Tensor) -> Tensor:
        gradients = grad(of_one)(weights, parts, target)
        wide = torch.promote_types(gradients[0].dtype, torch.float32)
        return torch.stack([g.to(wide).square().sum() for g in gradients]).sum()

    chunk = max(1, _WORKSPACE // (sum(p.numel() * p.element_size() for p in weights)))
    with sdpa_kernel(SDPBackend.MATH):
        return vmap(norm_of_one, in_dims=(None, 0, 0), chunk_size=chunk)(weights, tensors, targets)
