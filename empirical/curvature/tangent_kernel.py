"""The empirical tangent kernel of a network by layer hooks: inner products of its outputs' gradients in the weights.

``K[(i, c), (j, e)] = <df_c(x_i)/dw, df_e(x_j)/dw>``. In evaluation mode samples do not interact, so one backward pass for each
class gives every sample's gradient at every layer's output; each layer combines it with its recorded input into its part of the
Jacobian, and the kernel is the sum of the layers' products. Per-sample Jacobians of the whole network never exist at once.
"""

import math
from collections.abc import Iterator
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.autograd.graph import GradientEdge, get_gradient_edge

from sharpdiv.empirical.curvature.layers import layer_mask, normalized_channels, supported_layers
from sharpdiv.empirical.curvature.recording import LayerInputs, evaluation_mode, watched
from sharpdiv.empirical.errors import InputError

__all__ = ["TangentKernel", "tangent_kernel"]

_WORKSPACE = 2**28  # bytes of a layer's Jacobian that exist at once


class TangentKernel(NamedTuple):
    """Parts of a kernel whose columns are the training samples.

    Example: see ``tangent_kernel``.
    """

    train: Float[Tensor, "train classes train classes"]
    """kernel among the training samples"""
    test: Float[Tensor, "test classes train classes"]
    """kernel of test samples with training samples"""


def tangent_kernel(
    model: nn.Module, train: Float[Tensor, "train ..."], test: Float[Tensor, "test ..."]
) -> TangentKernel:
    """Tangent kernel at the model's weights, for all pairs of classes.

    Frozen parameters (``requires_grad`` False) do not count, nor do the weights that a fixed ``mask`` removes. The kernel has the
    precision of the model.

    Args:
        model: network whose trainable parameters sit in ``Linear``, ``Conv2d``, ``BatchNorm1d/2d`` or ``GroupNorm`` layers, each
            used once; measured in evaluation mode, which is restored.
        train: training samples, which are rows and columns of the kernel.
        test: test samples, which are rows only.

    Returns:
        Both parts, on the device of the samples.

    Raises:
        InputError: if there is no trainable parameter, one is in a layer of another kind, shared or used without its layer, a
            layer runs twice, its input is changed in place afterwards, or samples interact.

    Example:
        >>> import torch
        >>> from sharpdiv import tangent_kernel
        >>> model = torch.nn.Linear(2, 1, bias=False)  # linear in its weights: the kernel is the inner product of samples
        >>> kernel = tangent_kernel(model, train=torch.tensor([[1.0, 2.0]]), test=torch.tensor([[3.0, 4.0]]))
        >>> kernel.train.item(), kernel.test.item()
        (5.0, 11.0)
    """
    inputs, gradients = _layers(model, torch.cat([train, test]))
    columns = len(train)
    kernel: Tensor | None = None
    for layer, gradient in gradients.items():
        for jacobian in _jacobians(layer, inputs.take(layer), gradient):
            rows = jacobian.flatten(0, 1).flatten(1)
            product = rows @ rows[: columns * jacobian.shape[1]].T
            kernel = product if kernel is None else kernel.add_(product)
    assert kernel is not None
    classes = kernel.shape[1] // columns
    blocks = kernel.view(-1, classes, columns, classes)
    _refuse_what_hooks_miss(model, train[:1], blocks[0, :, 0])
    return TangentKernel(blocks[:columns], blocks[columns:])


def _refuse_what_hooks_miss(model: nn.Module, image: Tensor, block: Float[Tensor, "classes classes"]) -> None:
    """A sample's block of the kernel sums up to the squared norm of the gradient of its summed outputs, by autograd."""
    trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]
    with evaluation_mode(model), torch.enable_grad():
        gradients = torch.autograd.grad(model(image).sum(), trainable, allow_unused=True)
    expected = sum((g.square().sum() for g in gradients if g is not None), start=block.new_zeros(()))
    # Rounding errors of the many products that both sum up grow like a random walk: half of the digits are safe.
    if not torch.isclose(block.sum(), expected, rtol=torch.finfo(block.dtype).eps ** 0.5, atol=0):
        raise InputError(
            f"the kernel of the first sample sums up to {float(block.sum()):.4g}, its gradient has the squared norm "
            f"{float(expected):.4g}: a parameter is used without its layer's forward (call the layer instead), or samples interact"
        )


def _layers(model: nn.Module, images: Tensor) -> tuple[LayerInputs, dict[nn.Module, Tensor]]:
    """Inputs of every layer with parameters, and gradients ``(samples, classes, ...)`` of all outputs there."""
    inputs = LayerInputs()
    # Edges rather than tensors: what follows may work in place on the output (ReLU(inplace=True) does).
    edges: dict[nn.Module, GradientEdge] = {}

    def record(layer: nn.Module, arguments: tuple[Tensor, ...], output: Tensor) -> None:
        inputs.keep(layer, arguments)
        edges[layer] = get_gradient_edge(output)

    with watched(model, supported_layers(model), record), torch.enable_grad():
        logits = model(images)
    if not edges or logits.ndim != 2:
        raise InputError(f"expected outputs (samples, classes) of layers with weights, got shape {tuple(logits.shape)}")
    inputs.refuse_changed()
    per_class = [
        torch.autograd.grad(logits[:, c].sum(), list(edges.values()), retain_graph=True) for c in range(logits.shape[1])
    ]
    gradients = (torch.stack(classes, dim=1) for classes in zip(*per_class, strict=True))
    return inputs, dict(zip(edges, gradients, strict=True))


def _jacobians(layer: nn.Module, inputs: Tensor, gradients: Tensor) -> Iterator[Float[Tensor, "samples classes ..."]]:
    """Parts of the Jacobian of all outputs in the layer's parameters, together all of it."""
    if isinstance(layer, nn.LayerNorm):
        raise InputError("the tangent kernel knows Linear, Conv2d, BatchNorm1d/2d and GroupNorm layers; got LayerNorm")
    if isinstance(layer, nn.Linear):  # channels last; axes between them and the samples share the weights
        gradients = gradients.movedim(-1, 2)
    positions = gradients.reshape(*gradients.shape[:3], -1)
    if layer.bias is not None and layer.bias.requires_grad:
        yield positions.sum(dim=3)
    if layer.weight is None or not layer.weight.requires_grad:
        return
    if not isinstance(layer, nn.Linear | nn.Conv2d):
        normalized = normalized_channels(layer, inputs)
        yield (positions * normalized.reshape(len(inputs), 1, *positions.shape[2:])).sum(dim=3)
        return
    patches = _patches(layer, inputs)
    mask = layer_mask(layer)
    row_bytes = math.prod(positions.shape[:2]) * patches.shape[2] * patches.element_size()
    size = max(1, _WORKSPACE // row_bytes)
    for start in range(0, positions.shape[2], size):
        part = positions[:, :, start : start + size]
        jacobian = (part.flatten(1, 2) @ patches).unflatten(1, part.shape[1:3])
        yield jacobian if mask is None else jacobian * mask[start : start + size].flatten(1)


def _patches(layer: nn.Linear | nn.Conv2d, inputs: Tensor) -> Float[Tensor, "samples positions weights"]:
    """What one output channel's weights see at every position."""
    if isinstance(layer, nn.Linear):
        return inputs.reshape(len(inputs), -1, inputs.shape[-1])
    if layer.groups != 1 or not isinstance(layer.padding, tuple) or layer.padding_mode != "zeros":
        raise InputError(
            f"the tangent kernel needs convolutions of one group with zero padding in numbers, got {layer}"
        )
    options = {"dilation": layer.dilation, "padding": layer.padding, "stride": layer.stride}
    return nn.functional.unfold(inputs, layer.kernel_size, **options).mT
