"""Squared gradient norm of every sample from one forward and one backward pass, without materialising the gradients.

In evaluation mode samples do not interact, so the gradient of the summed loss at a layer's output holds every sample's
own. A sample's weight gradient is a product of that with the layer's input, and its norm is computed by whichever of
two ways is cheaper: form the product, or (the Gram form) ``|sum_l g_l a_l'|^2 = sum_{l,m} (g_l'g_m)(a_l'a_m)`` over
positions l, m.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from empirical.errors import InputError

__all__ = ["evaluation_mode", "per_sample_sharpness"]


def per_sample_sharpness(
    model: nn.Module, inputs: Float[Tensor, "samples ..."], targets: Int[Tensor, " samples"]
) -> Float[Tensor, " samples"]:
    """Squared norm of the cross-entropy's gradient for each sample: the trace of its empirical Fisher matrix.

    Evaluation mode is set for the measurement and restored after it; gradients stored on the parameters are left alone.
    Frozen parameters (``requires_grad`` False) do not count.

    Args:
        model: whose trainable parameters all sit in ``Linear``, ``Conv2d`` or batch-norm layers, each used once per
            pass.
        inputs: a batch, first axis samples; split large sets into batches.
        targets: class labels.

    Returns:
        One non-negative number for each sample.

    Raises:
        InputError: if there is no trainable parameter, one is in another kind of layer or shared by two, a layer runs twice,
            or its input is changed in place afterwards.
    """
    layers = _supported_layers(model)
    total = torch.zeros(len(inputs), dtype=inputs.dtype, device=inputs.device)
    recorded: dict[nn.Module, tuple[Tensor, Tensor]] = {}
    versions: dict[nn.Module, int] = {}

    def record(layer: nn.Module, arguments: tuple[Tensor, ...], output: Tensor) -> Tensor:
        if layer in recorded:
            raise InputError(f"{type(layer).__name__} runs twice in one pass: per-sample norms need unshared layers")
        recorded[layer] = (arguments[0].detach(), output)
        versions[layer] = arguments[0]._version
        # What follows may work in place (ReLU(inplace=True) does): let it do so on a copy.
        return output.clone()

    handles = [layer.register_forward_hook(record) for layer in layers]
    try:
        with evaluation_mode(model), torch.enable_grad():
            loss = nn.functional.cross_entropy(model(inputs), targets, reduction="sum")
    finally:
        for handle in handles:
            handle.remove()
    used = [layer for layer in layers if layer in recorded]
    for layer in used:
        if recorded[layer][0]._version != versions[layer]:
            raise InputError(f"the input of {type(layer).__name__} was changed in place; use out-of-place operations")
    gradients = torch.autograd.grad(loss, [recorded[layer][1] for layer in used])
    for layer, gradient in zip(used, gradients, strict=True):
        total += layers[layer](layer, recorded[layer][0], gradient)
    return total


@contextmanager
def evaluation_mode(model: nn.Module) -> Iterator[None]:
    """Evaluation mode for every module, restored module by module on the way out.

    Yields:
        Nothing.
    """
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training


Norm = Callable[[nn.Module, Tensor, Tensor], Tensor]


def _supported_layers(model: nn.Module) -> dict[nn.Module, Norm]:
    layers: dict[nn.Module, Norm] = {}
    seen: set[int] = set()
    for name, module in model.named_modules():
        if not any(p.requires_grad for p in module.parameters(recurse=False)):
            continue
        norm = next((norm for kind, norm in _NORMS.items() if isinstance(module, kind)), None)
        if norm is None:
            raise InputError(
                f"layer {name or 'model'} ({type(module).__name__}) has parameters of a kind that is not supported; "
                "expected Linear, Conv2d or BatchNorm1d/2d"
            )
        parameters = {id(p) for p in module.parameters(recurse=False)}
        if parameters & seen:
            raise InputError(f"layer {name} shares a parameter with another: per-sample norms need unshared layers")
        seen |= parameters
        layers[module] = norm
    if not layers:
        raise InputError("the model has no trainable parameters")
    return layers


def _linear(layer: nn.Module, inputs: Tensor, gradient: Tensor) -> Tensor:
    """Norms for a linear layer; axes between the first and the last are positions that share the weights."""
    samples, features, outputs = len(inputs), inputs.shape[-1], gradient.shape[-1]
    return _product_norm(layer, inputs.reshape(samples, -1, features).mT, gradient.reshape(samples, -1, outputs).mT)


def _conv2d(layer: nn.Module, inputs: Tensor, gradient: Tensor) -> Tensor:
    if not isinstance(layer, nn.Conv2d) or layer.groups != 1 or isinstance(layer.padding, str):
        raise InputError(f"only ungrouped convolutions with numeric padding are supported, got {layer}")
    if layer.padding_mode != "zeros":
        raise InputError(f"only zero padding is supported, got {layer}")
    patches = nn.functional.unfold(inputs, layer.kernel_size, layer.dilation, layer.padding, layer.stride)
    return _product_norm(layer, patches, gradient.flatten(2))


def _batch_norm(layer: nn.Module, inputs: Tensor, gradient: Tensor) -> Tensor:
    if not isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d) or layer.running_mean is None:
        raise InputError(f"batch norm needs running statistics to be independent between samples, got {layer}")
    shape = (1, -1, *[1] * (inputs.ndim - 2))
    variance = layer.running_var if layer.running_var is not None else torch.ones_like(layer.running_mean)
    normalized = (inputs - layer.running_mean.view(shape)) * torch.rsqrt(variance + layer.eps).view(shape)
    scale = (gradient * normalized).flatten(2).sum(2) if inputs.ndim > 2 else gradient * normalized
    shift = gradient.flatten(2).sum(2) if inputs.ndim > 2 else gradient
    return _trainable(layer.weight) * scale.square().sum(1) + _trainable(layer.bias) * shift.square().sum(1)


_NORMS: dict[type[nn.Module], Norm] = {
    nn.Linear: _linear,
    nn.Conv2d: _conv2d,
    nn.BatchNorm1d: _batch_norm,
    nn.BatchNorm2d: _batch_norm,
}


def _trainable(parameter: Tensor | None) -> float:
    return float(parameter is not None and parameter.requires_grad)


def _product_norm(layer: nn.Module, inputs: Tensor, gradient: Tensor) -> Tensor:
    """Squared norm of ``sum_l g_l a_l'`` and of the bias gradient ``sum_l g_l``, for each sample.

    Args:
        layer: with ``weight`` and perhaps ``bias``.
        inputs: a, ``(samples, features, positions)``.
        gradient: g, ``(samples, outputs, positions)``.

    Returns:
        ``(samples,)``.
    """
    features, outputs, positions = inputs.shape[1], gradient.shape[1], inputs.shape[2]
    total = torch.zeros(len(inputs), dtype=inputs.dtype, device=inputs.device)
    if _trainable(getattr(layer, "weight", None)):
        if positions * (features + outputs) < features * outputs:
            total += ((inputs.mT @ inputs) * (gradient.mT @ gradient)).sum((1, 2))
        else:
            total += (gradient @ inputs.mT).square().sum((1, 2))
    if _trainable(getattr(layer, "bias", None)):
        total += gradient.sum(2).square().sum(1)
    return total
