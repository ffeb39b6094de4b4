"""Squared gradient norm of every sample from one forward and one backward pass, without materializing the gradients.

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
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.autograd.graph import GradientEdge, get_gradient_edge

from sharpdiv.empirical.curvature.layers import layer_mask, normalized_channels, supported_layers
from sharpdiv.empirical.curvature.recording import LayerInputs, watched
from sharpdiv.empirical.errors import InputError

__all__ = ["per_sample_sharpness"]

# Bytes that one thread's patches and products may take, about a second-level cache. On other devices only memory counts.
_WORKSPACE = 2**21
_WORKSPACE_OF_A_DEVICE = 2**28


def per_sample_sharpness(
    model: nn.Module, inputs: Float[Tensor, "samples ..."], targets: Int[Tensor, " samples"]
) -> Float[Tensor, " samples"]:
    """Squared norm of the cross-entropy's gradient for each sample: the trace of its empirical Fisher matrix.

    Evaluation mode is set for the measurement and restored after it; gradients stored on the parameters are left alone.
    Frozen parameters (``requires_grad`` False) do not count, nor do the weights that a fixed ``mask`` removes.

    The layout and precision of the pass are the caller's. Channels-last images are fastest on a CPU. Under
    ``torch.autocast`` to bfloat16 each entry of a gradient carries that format's rounding, 2^-9, at every layer it has passed;
    squares are summed in float32.

    Args:
        model: network whose trainable parameters sit in ``Linear``, ``Conv2d``, ``BatchNorm1d/2d``, ``GroupNorm`` or ``LayerNorm``
            layers, each used once per pass. A subclass of ``Linear`` or ``Conv2d`` with its own ``forward`` must compute
            with ``weight * mask``, where its attribute ``mask`` has the shape of the weight.
        inputs: a batch, first axis samples; split large sets into batches.
        targets: class labels.

    Returns:
        One non-negative number for each sample.

    Raises:
        InputError: if there is no trainable parameter, one is in another kind of layer or shared by two, a layer runs twice or
            in float16, its input is changed in place afterwards, or its parameters are used without it.

    Example:
        >>> import torch
        >>> from sharpdiv import per_sample_sharpness
        >>> model = torch.nn.Linear(2, 2, bias=False)
        >>> _ = torch.nn.init.zeros_(model.weight)  # both classes have probability 1/2: |g|^2 = 2 (1/2)^2 |x|^2
        >>> per_sample_sharpness(model, torch.tensor([[3.0, 4.0], [0.0, 1.0]]), torch.tensor([0, 1]))
        tensor([12.5000,  0.5000])
    """
    layers = supported_layers(model)
    total = torch.zeros(len(inputs), dtype=_wide(next(model.parameters()).dtype), device=inputs.device)
    taken = LayerInputs()
    roots: list[GradientEdge] = []

    def record(layer: nn.Module, arguments: tuple[Tensor, ...], output: Tensor) -> None:
        if output.dtype == torch.float16:
            raise InputError(
                f"{type(layer).__name__} runs in float16, where gradients underflow; use bfloat16 or float32"
            )
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
        logits = model(inputs.detach())
        loss = nn.functional.cross_entropy(logits.to(total.dtype), targets, reduction="sum")
    taken.refuse_changed()
    idle = [p for layer in layers if layer not in taken for p in layer.parameters() if p.requires_grad]
    if loss.requires_grad:
        gradients = torch.autograd.grad(loss, roots + [get_gradient_edge(p) for p in idle], allow_unused=True)
        if any(gradient is not None for gradient in gradients[len(roots) :]):
            raise InputError("a parameter is used without its layer's forward: call the layer instead")
    return total


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
