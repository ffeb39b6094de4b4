"""Layers whose weights' gradients follow, sample by sample, from their inputs and the gradients at their outputs."""

from typing import NamedTuple

from torch import Tensor, nn

from sharpdiv.empirical.errors import InputError

__all__ = ["KnownLayers", "known_layers", "layer_mask", "normalized_channels", "supported_layers"]

_KINDS: tuple[type[nn.Module], ...] = (
    nn.Linear,
    nn.Conv1d,
    nn.Conv2d,
    nn.Conv3d,
    nn.Embedding,
    nn.BatchNorm1d,
    nn.BatchNorm2d,
    nn.BatchNorm3d,
    nn.GroupNorm,
    nn.LayerNorm,
    nn.RMSNorm,
)


class KnownLayers(NamedTuple):
    """Where the trainable parameters of a model are.

    Example: see ``known_layers``.
    """

    layers: dict[nn.Module, type[nn.Module]]
    """layers that use theirs as their kind says, with that kind"""
    others: dict[str, nn.Parameter]
    """parameters of other modules by their names, each once"""


def known_layers(model: nn.Module) -> KnownLayers:
    """Layers of known kinds, and the parameters that are elsewhere.

    Args:
        model: network to look through.

    Returns:
        Both.

    Raises:
        InputError: if there is no trainable parameter, or a layer shares one with another module.

    Examples:
        >>> import torch
        >>> from sharpdiv.empirical.curvature.layers import known_layers
        >>> layers, others = known_layers(torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.PReLU()))
        >>> [kind.__name__ for kind in layers.values()], list(others)
        (['Linear'], ['1.weight'])
    """
    found = KnownLayers({}, {})
    seen: set[int] = set()
    for name, module in model.named_modules():
        own = dict(module.named_parameters(prefix=name, recurse=False))
        if not any(p.requires_grad for p in own.values()):
            continue
        if {id(p) for p in own.values()} & seen:
            raise InputError(f"layer {name} shares a parameter with another: use a parameter in one layer only")
        seen |= {id(p) for p in own.values()}
        kind = _kind_of(module)
        if kind is None:
            found.others.update({each: p for each, p in own.items() if p.requires_grad})
        else:
            found.layers[module] = kind
    if not seen:
        raise InputError("the model has no trainable parameters")
    return found


def _kind_of(module: nn.Module) -> type[nn.Module] | None:
    """The kind whose forward a module has, or that forward with a mask on the weight."""
    kind = next((kind for kind in _KINDS if isinstance(module, kind)), None)
    if kind is None or module._parameters.keys() - {"weight", "bias"}:
        return None
    return kind if type(module).forward is kind.forward or layer_mask(module) is not None else None


def supported_layers(model: nn.Module) -> dict[nn.Module, type[nn.Module]]:
    """Layers that hold the trainable parameters of a model, if all of them are of known kinds.

    Args:
        model: network to look through.

    Returns:
        Every layer with its kind.

    Raises:
        InputError: if there is none, or a parameter is in another kind of module or shared by two.

    Examples:
        >>> import torch
        >>> from sharpdiv.empirical.curvature.layers import supported_layers
        >>> model = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.ReLU(), torch.nn.LayerNorm(3))
        >>> [kind.__name__ for kind in supported_layers(model).values()]
        ['Linear', 'LayerNorm']
    """
    layers, others = known_layers(model)
    if others:
        raise InputError(
            f"parameter {next(iter(others))} is in no layer of a known kind: {', '.join(kind.__name__ for kind in _KINDS)}"
        )
    return layers


def layer_mask(layer: nn.Module) -> Tensor | None:
    """Mask of ones and zeros that a layer with its own ``forward`` multiplies its weight with.

    Args:
        layer: any layer; the standard ones have no mask.

    Returns:
        The mask, of the weight's shape; None if there is none.

    Examples:
        >>> from torch import nn
        >>> from sharpdiv.empirical.curvature.layers import layer_mask
        >>> from sharpdiv.empirical.models import SparseConv2d
        >>> layer_mask(nn.Conv2d(1, 4, 2)) is None
        True
        >>> int(layer_mask(SparseConv2d(1, 4, kernel=2, stride=1, padding=0, sparsity=0.75)).sum())  # a quarter of 16 weights
        4
    """
    own_forward = type(layer).forward not in {nn.Linear.forward, nn.Conv2d.forward}
    mask = getattr(layer, "mask", None)
    if own_forward and isinstance(layer, nn.Linear | nn.Conv2d) and isinstance(mask, Tensor):
        return mask if mask.shape == layer.weight.shape else None
    return None


def normalized_channels(layer: nn.Module, inputs: Tensor) -> Tensor:
    """Normalized inputs of a group or batch norm: what it multiplies with its scale.

    Args:
        layer: group norm, or batch norm with running statistics.
        inputs: inputs of the layer.

    Returns:
        The normalized inputs.

    Raises:
        InputError: if the layer is another, or would mix samples.

    Examples:
        >>> import torch
        >>> from sharpdiv.empirical.curvature.layers import normalized_channels
        >>> normalized_channels(torch.nn.GroupNorm(1, 2), torch.tensor([[1.0, 3.0]])).round(decimals=3)
        tensor([[-1.,  1.]])
    """
    if isinstance(layer, nn.GroupNorm):
        return nn.functional.group_norm(inputs, layer.num_groups, eps=layer.eps)
    if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d) and layer.running_mean is not None:
        return nn.functional.batch_norm(inputs, layer.running_mean, layer.running_var, eps=layer.eps)
    raise InputError(f"batch norm needs running statistics to be independent between samples, got {layer}")
