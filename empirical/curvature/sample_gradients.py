"""Gradients of single samples by automatic differentiation: slow, and right for any network in which a sample can run alone."""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.func import grad, vmap
from torch.nn.attention import SDPBackend, sdpa_kernel

from sharpdiv.empirical.batches import Batch, Inputs, Loss, leaves, outputs_of, refilled, rows, samples_of
from sharpdiv.empirical.curvature.untouched import WeightSlots
from sharpdiv.empirical.errors import InputError

__all__ = ["close", "jacobian_of_one", "outputs_apart", "slow_norms", "squared_norm"]

_WORKSPACE = 2**28  # bytes of gradients that exist at once


def squared_norm(model: nn.Module, inputs: Inputs, loss_of: Callable[[Tensor], Float[Tensor, ""]]) -> Float[Tensor, ""]:
    """Squared norm of a gradient in all trainable weights, by one backward pass.

    Args:
        model: network in evaluation mode.
        inputs: inputs, of one sample if its own gradient is meant.
        loss_of: function from the outputs to what is differentiated.

    Returns:
        A scalar in the outputs' precision, float32 at least.

    Examples:
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
    squares = [torch.linalg.vector_norm(_dense(g), dtype=wide).square() for g in gradients if g is not None]
    return torch.stack(squares).sum() if squares else torch.zeros((), dtype=wide, device=loss.device)


def slow_norms(model: nn.Module, batch: Batch, loss: Loss) -> Float[Tensor, " samples"]:
    """Squared norm of every sample's gradient: several samples at once where the network allows it, one after the other where not.

    Args:
        model: network in evaluation mode.
        batch: inputs and targets.
        loss: mean loss of outputs and targets, taken of each sample alone.

    Returns:
        One non-negative number for each sample.

    Examples:
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


def outputs_apart(model: nn.Module, inputs: Inputs, size: int) -> Float[Tensor, "samples ..."]:
    """Outputs of some samples one by one, if they are the same together and again.

    Args:
        model: network in evaluation mode.
        inputs: inputs of the samples.
        size: number of samples.

    Returns:
        Outputs, without a graph.

    Raises:
        InputError: if the network is random, a sample cannot go through it alone, or samples interact.

    Examples:
        >>> import torch
        >>> from sharpdiv.empirical.curvature.sample_gradients import outputs_apart
        >>> outputs_apart(torch.nn.Flatten(), torch.zeros(2, 3, 1), 2).shape
        torch.Size([2, 3])
    """
    with torch.no_grad():
        together, again = outputs_of(model, inputs), outputs_of(model, inputs)
        if not close(again, together, together.dtype):
            raise InputError("the network is random in evaluation mode (dropout that stays on?): switch that off")
        try:
            alone = torch.cat([outputs_of(model, rows(inputs, slice(i, i + 1))) for i in range(size)])
        except (RuntimeError, ValueError) as error:
            raise InputError(f"a sample must be able to go through the network alone: {error}") from error
    if alone.shape != together.shape or not close(alone, together, together.dtype):
        raise InputError(
            "samples interact in the network (batch norm without running statistics?): none has its own gradient"
        )
    return alone


def jacobian_of_one(model: nn.Module, inputs: Inputs) -> Float[Tensor, "outputs weights"]:
    """Gradients of every output of one sample in all trainable weights.

    Args:
        model: network in evaluation mode.
        inputs: inputs of the sample.

    Returns:
        A row for each output; 0 for weights that it does not depend on.

    Raises:
        InputError: if the network cannot be differentiated.

    Examples:
        >>> import torch
        >>> from sharpdiv.empirical.curvature.sample_gradients import jacobian_of_one
        >>> jacobian_of_one(torch.nn.Linear(2, 2, bias=False), torch.tensor([[3.0, 4.0]]))
        tensor([[3., 4., 0., 0.],
                [0., 0., 3., 4.]])
    """
    weights = [p for p in model.parameters() if p.requires_grad]
    try:
        with torch.enable_grad():
            outputs = outputs_of(model, inputs).flatten()
            of_each = [torch.autograd.grad(o, weights, retain_graph=True, allow_unused=True) for o in outputs]
    except RuntimeError as error:
        raise InputError(f"the network cannot be differentiated: {error}") from error
    filled = [
        [p.new_zeros(p.shape) if g is None else _dense(g) for g, p in zip(row, weights, strict=True)] for row in of_each
    ]
    return torch.stack([torch.cat([g.flatten() for g in row]) for row in filled])


def _dense(gradient: Tensor) -> Tensor:
    """Also of an embedding that makes sparse ones, whose rows may come several times."""
    return gradient.to_dense() if gradient.is_sparse else gradient


def close(found: Tensor, expected: Tensor, dtype: torch.dtype) -> bool:
    """Whether two results of one computation differ by rounding only, whose errors grow like a random walk: half of the digits.

    Args:
        found: one result.
        expected: another of the same shape.
        dtype: precision in which both were computed.

    Returns:
        False if a number differs by more, relative to itself and to the largest.

    Examples:
        >>> import torch
        >>> from sharpdiv.empirical.curvature.sample_gradients import close
        >>> close(torch.tensor([1.0, 1e-9]), torch.tensor([1.0001, 0.0]), torch.float32)
        True
    """
    half = torch.finfo(dtype).eps ** 0.5
    return torch.allclose(found.to(expected.dtype), expected, rtol=half, atol=half * float(expected.abs().max()))
