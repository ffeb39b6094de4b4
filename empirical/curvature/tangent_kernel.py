"""The empirical tangent kernel of a network by layer hooks: inner products of its outputs' gradients in the weights.

``K[(i, c), (j, e)] = <df_c(x_i)/dw, df_e(x_j)/dw>``. In evaluation mode samples do not interact, so one backward pass for each
class gives every sample's gradient at every layer's output; each layer combines it with its recorded input into its part of the
Jacobian, and the kernel is the sum of the layers' products. Per-sample Jacobians of the whole network never exist at once, nor do
gradients at all layers of a large one: layers are taken in groups, with a backward pass for each class and group.
"""

import math
import warnings
from collections.abc import Iterator
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.autograd.graph import GradientEdge, get_gradient_edge

from sharpdiv.empirical.curvature.layers import layer_mask, normalized_channels, supported_layers
from sharpdiv.empirical.curvature.recording import LayerInputs, watched
from sharpdiv.empirical.curvature.sample_gradients import close, jacobian_of_one, outputs_apart
from sharpdiv.empirical.curvature.untouched import untouched
from sharpdiv.empirical.errors import InputError

__all__ = ["TangentKernel", "tangent_kernel"]

_KINDS = (nn.Linear, nn.Conv2d, nn.BatchNorm1d, nn.BatchNorm2d, nn.GroupNorm)
_WORKSPACE = 2**28  # bytes of a layer's Jacobian that exist at once
_GRADIENTS = 2**31  # bytes of the gradients at layers' outputs that exist at once, but for a layer with more


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
        model: network; fast if its trainable parameters sit in ``Linear``, ``Conv2d``, ``BatchNorm1d/2d`` or ``GroupNorm`` layers,
            each used once, else by a gradient for each output, which a warning tells; measured in evaluation mode, which is
            restored.
        train: training samples, which are rows and columns of the kernel.
        test: test samples, which are rows only.

    Returns:
        Both parts, on the device of the samples.

    Raises:
        InputError: if there is no trainable parameter, outputs are not ``(samples, classes)``, samples interact, or the network is
            random in evaluation mode.

    Examples:
        >>> import torch
        >>> from sharpdiv import tangent_kernel
        >>> model = torch.nn.Linear(2, 1, bias=False)  # linear in its weights: the kernel is the inner product of samples
        >>> kernel = tangent_kernel(model, train=torch.tensor([[1.0, 2.0]]), test=torch.tensor([[3.0, 4.0]]))
        >>> kernel.train.item(), kernel.test.item()
        (5.0, 11.0)
    """
    if not any(p.requires_grad for p in model.parameters()):
        raise InputError("the model has no trainable parameters")
    if not len(train):
        raise InputError("a kernel needs at least one training sample")
    some = torch.cat([train[:2], test[:2]])
    with untouched(model):
        outputs = outputs_apart(model, some, len(some))
        if outputs.ndim != 2:
            raise InputError(f"expected outputs (samples, classes), got shape {tuple(outputs.shape)}")
        places = sorted({0, len(train) // 2, len(train) - 1})
        alone = {i: jacobian_of_one(model, train[i : i + 1]) for i in places}
        try:
            kernel = _by_layers(model, train, test)
            whole = all(close(kernel.train[i, :, i], j @ j.T, outputs.dtype) for i, j in alone.items())
            obstacle = "" if whole else "layers do not see each sample apart, or a weight is used elsewhere, too"
        except InputError as error:
            obstacle = str(error)
        if obstacle:
            warnings.warn(
                f"the kernel is taken sample by sample, which is slow, because {obstacle}", UserWarning, stacklevel=2
            )
            kernel = _by_samples(model, train, test)
    return kernel


def _by_layers(model: nn.Module, train: Tensor, test: Tensor) -> TangentKernel:
    """Sum of the layers' products."""
    inputs, gradients = _layers(model, torch.cat([train, test]))
    columns = len(train)
    kernel: Tensor | None = None
    for layer, gradient in gradients:
        for jacobian in _jacobians(layer, inputs.take(layer), gradient):
            rows = jacobian.flatten(0, 1).flatten(1)
            product = rows @ rows[: columns * jacobian.shape[1]].T
            kernel = product if kernel is None else kernel.add_(product)
    assert kernel is not None
    classes = kernel.shape[1] // columns
    blocks = kernel.view(-1, classes, columns, classes)
    return TangentKernel(blocks[:columns], blocks[columns:])


def _by_samples(model: nn.Module, train: Tensor, test: Tensor) -> TangentKernel:
    """Products of whole Jacobians: those of the training samples exist at once, of the others one at a time."""
    columns = torch.stack([jacobian_of_one(model, image[None]) for image in train])
    rows = [torch.einsum("cw,jdw->cjd", jacobian_of_one(model, image[None]), columns) for image in test]
    among = torch.einsum("icw,jdw->icjd", columns, columns)
    return TangentKernel(among, torch.stack(rows) if rows else among.new_zeros(0, *among.shape[1:]))


def _layers(model: nn.Module, images: Tensor) -> tuple[LayerInputs, Iterator[tuple[nn.Module, Tensor]]]:
    """Inputs of every layer with parameters, and gradients ``(samples, classes, ...)`` of all outputs there."""
    inputs = LayerInputs()
    # Edges rather than tensors: what follows may work in place on the output (ReLU(inplace=True) does).
    edges: dict[nn.Module, GradientEdge] = {}
    sizes: dict[nn.Module, int] = {}

    def record(layer: nn.Module, arguments: tuple[Tensor, ...], output: Tensor) -> None:
        inputs.keep(layer, arguments)
        edges[layer], sizes[layer] = get_gradient_edge(output), output.nbytes

    with watched(model, supported_layers(model), record), torch.enable_grad():
        logits = model(images)
    if not edges:
        raise InputError("no layer with weights runs")
    inputs.refuse_changed()
    groups = _groups({layer: size * logits.shape[1] for layer, size in sizes.items()})
    return inputs, _gradients(logits, edges, groups)


def _groups(sizes: dict[nn.Module, int]) -> list[list[nn.Module]]:
    """Layers in their order, as many at once as have room; one without enough room is alone."""
    groups: list[list[nn.Module]] = []
    left = 0
    for layer, size in sizes.items():
        if not groups or size > left:
            groups.append([])
            left = _GRADIENTS
        groups[-1].append(layer)
        left -= size
    return groups


def _gradients(
    logits: Tensor, edges: dict[nn.Module, GradientEdge], groups: list[list[nn.Module]]
) -> Iterator[tuple[nn.Module, Tensor]]:
    """Gradients of the outputs at every layer, group after group; those of a layer are gone when the next ones are asked for."""
    for group in groups:
        per_class = [
            list(torch.autograd.grad(output.sum(), [edges[layer] for layer in group], retain_graph=True))
            for output in logits.unbind(dim=1)
        ]
        for layer in group:
            yield layer, torch.stack([of_class.pop(0) for of_class in per_class], dim=1)


def _jacobians(layer: nn.Module, inputs: Tensor, gradients: Tensor) -> Iterator[Float[Tensor, "samples classes ..."]]:
    """Parts of the Jacobian of all outputs in the layer's parameters, together all of it."""
    if not isinstance(layer, _KINDS):
        names = ", ".join(kind.__name__ for kind in _KINDS)
        raise InputError(f"the tangent kernel knows layers of the kinds {names}; got {type(layer).__name__}")
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
