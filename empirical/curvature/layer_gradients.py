"""Squared gradient norm of every sample from one forward and one backward pass through known layers.

In evaluation mode samples do not interact, so the gradient of the summed loss at a layer's output holds every sample's own, and
the pass through the activations is all that autograd is asked for: weight gradients of the batch are never formed. While it
runs, each layer combines that gradient ``g`` with its recorded input ``a`` into the norms of its weights' gradients,
``|sum_l g_l a_l'|^2`` over positions l, by whichever of two ways needs fewer operations: the product itself, a few samples at a
time, or the Gram form ``sum_{l,m} (g_l'g_m)(a_l'a_m)``, which late convolutions with few positions and many channels favour.
"""

import math
from collections.abc import Callable
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.autograd.graph import GradientEdge, get_gradient_edge

from sharpdiv.empirical.batches import Inputs, leaves, outputs_of
from sharpdiv.empirical.curvature.layers import layer_mask, normalized_channels, supported_layers
from sharpdiv.empirical.curvature.recording import LayerInputs, watched
from sharpdiv.empirical.errors import InputError

__all__ = ["UnderflowError", "fast_norms"]

# Bytes that one thread's patches and products may take, about a second-level cache. On other devices only memory counts.
_WORKSPACE = 2**21
_WORKSPACE_OF_A_DEVICE = 2**28


class UnderflowError(InputError):
    """A layer runs in a precision in which gradients vanish."""


def fast_norms(
    model: nn.Module, inputs: Inputs, loss_of: Callable[[Tensor], Float[Tensor, ""]]
) -> Float[Tensor, " samples"]:
    """Squared norms of every sample's gradient, from what hooks on layers see; wrong where samples do not go through layers apart.

    Args:
        model: network in evaluation mode whose trainable parameters sit in layers of ``supported_layers``, each used once per pass.
        inputs: inputs of a batch, first axis samples.
        loss_of: function from all outputs to the sum over samples of what is differentiated.

    Returns:
        One non-negative number for each sample.

    Raises:
        InputError: if there is no trainable parameter, one is in another kind of layer or shared by two, a layer runs twice or
            in float16, its input is changed in place afterwards, or its parameters are used without it.

    Example: see ``per_sample_sharpness``, which checks what this gives before it is used.
    """
    layers = supported_layers(model)
    samples, device = _extent(inputs)
    total = torch.zeros(samples, dtype=_wide(next(model.parameters()).dtype), device=device)
    taken = LayerInputs()
    roots: list[GradientEdge] = []

    def record(layer: nn.Module, arguments: tuple[Tensor, ...], output: Tensor) -> None:
        if output.dtype == torch.float16:
            raise UnderflowError(
                f"{type(layer).__name__} runs in float16, where gradients underflow; use bfloat16 or float32"
            )
        if len(arguments) != 1 or len(arguments[0]) != samples:
            raise InputError(f"{type(layer).__name__} is not called with one tensor that has samples on its first axis")
        taken.keep(layer, arguments)
        # Edges rather than tensors: what follows may work in place on the output (ReLU(inplace=True) does).
        if not arguments[0].requires_grad:
            roots.append(get_gradient_edge(output))
        output.register_hook(partial(add, layer))

    def add(layer: nn.Module, gradient: Tensor) -> None:
        # Taken away, so that a layer's input is freed as soon as the backward pass has left it.
        with torch.autocast(gradient.device.type, enabled=False):
            total.add_(_NORMS[layers[layer]](layer, taken.take(layer), gradient))

    with watched(model, layers, record), torch.enable_grad():
        loss = loss_of(outputs_of(model, inputs).to(total.dtype))
    taken.refuse_changed()
    idle = [p for layer in layers if layer not in taken for p in layer.parameters() if p.requires_grad]
    if loss.requires_grad:
        gradients = torch.autograd.grad(loss, roots + [get_gradient_edge(p) for p in idle], allow_unused=True)
        if any(gradient is not None for gradient in gradients[len(roots) :]):
            raise InputError("a parameter is used without its layer's forward: call the layer instead")
    return total


def _extent(inputs: Inputs) -> tuple[int, torch.device]:
    """Number of samples, and where they are."""
    first = next(leaf for leaf in leaves(inputs) if isinstance(leaf, Tensor) and leaf.ndim)
    return len(first), first.device


def _linear(layer: nn.Module, inputs: Tensor, gradient: Tensor) -> Tensor:
    """Norms for a linear layer; axes between the first and the last are positions that share the weights."""
    samples, features, outputs = len(inputs), inputs.shape[-1], gradient.shape[-1]
    rows = gradient.reshape(samples, -1, outputs)
    return _weight_and_bias(layer, lambda a: a, inputs.reshape(samples, -1, features), rows)


def _conv2d(layer: nn.Module, inputs: Tensor, gradient: Tensor) -> Tensor:
    if not isinstance(layer, nn.Conv2d) or layer.groups != 1 or isinstance(layer.padding, str):
        raise InputError(f"only ungrouped convolutions with numeric padding are supported, got {layer}")
    if layer.padding_mode != "zeros":
        raise InputError(f"only zero padding is supported, got {layer}")
    height, width = gradient.shape[2:]
    rows = gradient.permute(0, 2, 3, 1).flatten(1, 2)
    return _weight_and_bias(layer, partial(_patches, layer, height, width), inputs.permute(0, 2, 3, 1), rows)


def _patches(layer: nn.Conv2d, height: int, width: int, inputs: Tensor) -> Tensor:
    """What the kernel sees at each position of the output; ``unfold`` is for channels first.

    Args:
        layer: the convolution.
        height: height of the output.
        width: width of the output.
        inputs: inputs ``(samples, height, width, channels)``.

    Returns:
        Patches ``(samples, positions, kernel height * kernel width * channels)``.
    """
    assert not isinstance(layer.padding, str)
    (pad_y, pad_x), (step_y, step_x), (gap_y, gap_x) = layer.padding, layer.stride, layer.dilation
    padded = nn.functional.pad(inputs, (0, 0, pad_x, pad_x, pad_y, pad_y))
    sample, row, column, channel = padded.stride()
    windows = padded.as_strided(
        (len(inputs), height, width, *layer.kernel_size, inputs.shape[3]),
        (sample, step_y * row, step_x * column, gap_y * row, gap_x * column, channel),
    )
    return windows.reshape(len(inputs), height * width, -1)


def _weight_and_bias(layer: nn.Module, patches: Callable[[Tensor], Tensor], inputs: Tensor, gradient: Tensor) -> Tensor:
    """Squared norms of the weight's and the bias's gradients, as many samples at a time as fit in the workspace.

    Args:
        layer: layer with a ``weight`` and perhaps a ``bias``.
        patches: function from inputs to patches ``(samples, positions, features)``.
        inputs: inputs of the layer, first axis samples.
        gradient: gradient at the layer's output, ``(samples, positions, outputs)``.

    Returns:
        Squared norms ``(samples,)``.
    """
    total = torch.zeros(len(inputs), dtype=_wide(gradient.dtype), device=inputs.device)
    if _trainable(layer, "weight"):
        positions, outputs = gradient.shape[1:]
        weights, mask = layer.get_parameter("weight").numel(), layer_mask(layer)
        features = weights // outputs
        # Multiplications for each position: one with every feature and output, or with every other position's.
        by_gram = mask is None and positions * (features + outputs) < features * outputs
        norms = _gram_norms if by_gram else partial(_product_norms, mask)
        size = _chunk(positions * features + (2 * positions**2 if by_gram else weights), gradient)
        for part, a, g in zip(total.split(size), inputs.split(size), gradient.split(size), strict=True):
            part += norms(patches(a.to(g.dtype)), g)
    if _trainable(layer, "bias"):
        total += gradient.sum(1).to(total.dtype).square().sum(1)
    return total


def _chunk(elements: int, like: Tensor) -> int:
    """Number of samples whose intermediate results fit in the workspace."""
    on_cpu = like.device.type == "cpu"
    space = _WORKSPACE * torch.get_num_threads() if on_cpu else _WORKSPACE_OF_A_DEVICE
    return max(1, space // (elements * like.element_size()))


def _product_norms(mask: Tensor | None, patches: Tensor, gradient: Tensor) -> Tensor:
    """``|mask * sum_l g_l a_l'|^2`` for each sample."""
    product = gradient.mT @ patches
    if mask is not None:
        # A convolution's patches have their channels last.
        product = product * (mask if mask.ndim == 2 else mask.permute(0, 2, 3, 1).flatten(1))
    return torch.linalg.vector_norm(product, dim=2, dtype=_wide(product.dtype)).square().sum(1)


def _gram_norms(patches: Tensor, gradient: Tensor) -> Tensor:
    """``sum_{l,m} (g_l'g_m)(a_l'a_m)`` for each sample, which is ``|sum_l g_l a_l'|^2``."""
    # The terms have both signs: they are not rounded to bfloat16, and a sum that should be 0 may come out below it.
    patches, gradient = (t.to(_wide(t.dtype)) for t in (patches, gradient))
    return ((patches @ patches.mT) * (gradient @ gradient.mT)).sum((1, 2)).clamp_min(0)


def _normalization(layer: nn.Module, inputs: Tensor, gradient: Tensor) -> Tensor:
    """Norms for the scale and shift of a layer that normalizes: a pair for each channel or, in layer norm, feature."""
    if isinstance(layer, nn.LayerNorm):
        normalized = nn.functional.layer_norm(inputs, layer.normalized_shape, eps=layer.eps)
        shape, positions = (len(inputs), -1, math.prod(layer.normalized_shape)), 1
    else:
        normalized = normalized_channels(layer, inputs)
        shape, positions = (*inputs.shape[:2], -1), 2
    wide = _wide(gradient.dtype)
    total = torch.zeros(len(inputs), dtype=wide, device=inputs.device)
    if _trainable(layer, "weight"):
        total += normalized.mul_(gradient).reshape(shape).sum(positions).to(wide).square().sum(1)
    if _trainable(layer, "bias"):
        total += gradient.reshape(shape).sum(positions).to(wide).square().sum(1)
    return total


def _trainable(layer: nn.Module, name: str) -> bool:
    parameter = getattr(layer, name)
    return parameter is not None and parameter.requires_grad


def _wide(dtype: torch.dtype) -> torch.dtype:
    """Type in which squares are summed: float32, or float64 where the gradient has it."""
    return torch.promote_types(dtype, torch.float32)


Norms = Callable[[nn.Module, Tensor, Tensor], Tensor]
_NORMS: dict[type[nn.Module], Norms] = {
    nn.Linear: _linear,
    nn.Conv2d: _conv2d,
    nn.BatchNorm1d: _normalization,
    nn.BatchNorm2d: _normalization,
    nn.GroupNorm: _normalization,
    nn.LayerNorm: _normalization,
}
"""From a layer, its inputs and the gradients at its outputs to the squared norms, by the kind of layer."""
