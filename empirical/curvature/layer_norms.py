"""Squared norms of every sample's gradient in a layer's parameters, from its inputs and the gradients at its outputs.

The norm ``|sum_l g_l a_l'|^2`` over positions l is taken by whichever of two ways needs fewer operations: the product itself, a few
samples at a time, or the Gram form ``sum_{l,m} (g_l'g_m)(a_l'a_m)``, which late convolutions with few positions and many channels
favour. A layer that runs several times has the positions of all its runs.
"""

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor, nn

from sharpdiv.empirical.curvature.layers import layer_mask, normalized_channels
from sharpdiv.empirical.errors import InputError

__all__ = ["NORMS", "Rows", "Run", "matrix_norms", "wide"]

# Bytes that one thread's patches and products may take, about a second-level cache. On other devices only memory counts.
_WORKSPACE = 2**21
_WORKSPACE_OF_A_DEVICE = 2**28


class Run(NamedTuple):
    """One run of a layer."""

    inputs: Tensor
    """what it was called with, first axis samples"""
    gradient: Tensor
    """gradient at its output"""


class Rows(NamedTuple):
    """One use of a weight: what it sees at every position, and the gradient there."""

    patches: Callable[[Tensor], Tensor]
    """function from inputs to patches ``(samples, positions, features)``"""
    inputs: Tensor
    """inputs, first axis samples"""
    gradient: Tensor
    """gradient at the output, ``(samples, positions, outputs)``"""


def _linear(layer: nn.Module, runs: Sequence[Run]) -> Tensor:
    """Norms for a linear layer; axes between the first and the last are positions that share the weights."""
    rows = [Rows(_same, a.reshape(len(a), -1, a.shape[-1]), g.reshape(len(g), -1, g.shape[-1])) for a, g in runs]
    return _weight_and_bias(layer, rows)


def _same(inputs: Tensor) -> Tensor:
    return inputs


def _convolution(layer: nn.Module, runs: Sequence[Run]) -> Tensor:
    """Norms for a convolution in any number of dimensions."""
    assert isinstance(layer, nn.Conv1d | nn.Conv2d | nn.Conv3d)
    if layer.groups > 1:
        return _grouped(layer, runs)
    rows = [Rows(partial(_patches, layer, g.shape[2:]), a, g.movedim(1, -1).flatten(1, -2)) for a, g in runs]
    return _weight_and_bias(layer, rows)


def _padded(layer: nn.Conv1d | nn.Conv2d | nn.Conv3d, inputs: Tensor) -> Tensor:
    """Padded inputs, channels last: zeros are added to that layout, which copies of patches are fastest from."""
    pads = layer._reversed_padding_repeated_twice
    if layer.padding_mode == "zeros":
        return nn.functional.pad(inputs.movedim(1, -1), (0, 0, *pads))
    return nn.functional.pad(inputs, pads, layer.padding_mode).movedim(1, -1)


def _patches(layer: nn.Conv1d | nn.Conv2d | nn.Conv3d, size: tuple[int, ...], inputs: Tensor) -> Tensor:
    """What the kernel sees at each position of the output; ``unfold`` is for channels first.

    Args:
        layer: the convolution.
        size: the output's extent in each dimension.
        inputs: inputs ``(samples, channels, *extents)``.

    Returns:
        Patches ``(samples, positions, kernel's positions * channels)``.
    """
    padded = _padded(layer, inputs)
    sample, *places, channel = padded.stride()
    steps = [step * place for step, place in zip(layer.stride, places, strict=True)]
    gaps = [gap * place for gap, place in zip(layer.dilation, places, strict=True)]
    shape = (len(inputs), *size, *layer.kernel_size, inputs.shape[1])
    windows = padded.as_strided(shape, (sample, *steps, *gaps, channel), padded.storage_offset())
    return windows.reshape(len(inputs), math.prod(size), -1)


def _grouped(layer: nn.Conv1d | nn.Conv2d | nn.Conv3d, runs: Sequence[Run]) -> Tensor:
    """Norms for a convolution whose groups are few channels each: gradients themselves, samples as further groups."""
    total = torch.zeros(len(runs[0].gradient), dtype=wide(runs[0].gradient.dtype), device=runs[0].gradient.device)
    if _trainable(layer, "weight"):
        size = _chunk(layer.weight.numel(), runs[0].gradient)
        for start in range(0, len(total), size):
            part = slice(start, start + size)
            gradient = torch.stack([_weight_gradients(layer, a[part], g[part]) for a, g in runs]).sum(0)
            if (mask := layer_mask(layer)) is not None:
                gradient = gradient * mask
            total[part] += gradient.flatten(1).to(total.dtype).square().sum(1)
    return total + _bias(layer, [g.movedim(1, -1).flatten(1, -2) for _, g in runs])


def _weight_gradients(layer: nn.Conv1d | nn.Conv2d | nn.Conv3d, inputs: Tensor, gradient: Tensor) -> Tensor:
    """Gradients ``(samples, *weight)`` of a convolution."""
    samples, dims = len(inputs), inputs.ndim - 2
    inputs = _padded(layer, inputs.to(gradient.dtype)).movedim(-1, 1)
    found = torch.ops.aten.convolution_backward(
        gradient.reshape(1, -1, *gradient.shape[2:]),
        inputs.reshape(1, -1, *inputs.shape[2:]),
        gradient.new_empty(samples * len(layer.weight), *layer.weight.shape[1:]),
        None,
        layer.stride,
        [0] * dims,
        layer.dilation,
        False,
        [0] * dims,
        samples * layer.groups,
        (False, True, False),
    )[1]
    return found.unflatten(0, (samples, -1))


def _weight_and_bias(layer: nn.Module, rows: Sequence[Rows]) -> Tensor:
    """Squared norms of the weight's and the bias's gradients."""
    total = _bias(layer, [each.gradient for each in rows])
    if not _trainable(layer, "weight"):
        return total
    return total + matrix_norms(rows, layer.get_parameter("weight").numel(), layer_mask(layer))


def _bias(layer: nn.Module, gradients: Sequence[Tensor]) -> Tensor:
    """Squared norms of the bias's gradients, from those at the outputs, ``(samples, positions, outputs)`` in each run."""
    dtype = wide(gradients[0].dtype)
    if not _trainable(layer, "bias"):
        return torch.zeros(len(gradients[0]), dtype=dtype, device=gradients[0].device)
    return torch.stack([g.sum(1) for g in gradients]).sum(0).to(dtype).square().sum(1)


def matrix_norms(rows: Sequence[Rows], weights: int, mask: Tensor | None = None) -> Tensor:
    """Squared norms of ``mask * sum_l g_l a_l'`` over the positions of all uses, as many samples at a time as fit in the workspace.

    Args:
        rows: uses of one weight.
        weights: number of its entries.
        mask: mask of the weight; None if there is none.

    Returns:
        Squared norms ``(samples,)``.

    Examples:
        >>> import torch
        >>> from sharpdiv.empirical.curvature.layer_norms import Rows, matrix_norms
        >>> twice = Rows(lambda a: a, torch.tensor([[[3.0, 4.0]]]), torch.tensor([[[1.0]]]))
        >>> matrix_norms([twice, twice], weights=2)  # |2 (3, 4)|^2
        tensor([100.])
    """
    gradient = rows[0].gradient
    positions, outputs = sum(each.gradient.shape[1] for each in rows), gradient.shape[2]
    features = weights // outputs
    # Multiplications for each position: one with every feature and output, or with every other position's.
    by_gram = mask is None and positions * (features + outputs) < features * outputs
    norms = _gram_norms if by_gram else partial(_product_norms, mask)
    size = _chunk(positions * features + (2 * positions**2 if by_gram else weights), gradient)
    parts = []
    for start in range(0, len(gradient), size):
        part = slice(start, start + size)
        patches = [each.patches(each.inputs[part].to(gradient.dtype)) for each in rows]
        parts.append(norms(_joined(patches), _joined([each.gradient[part] for each in rows])))
    return torch.cat(parts)


def _joined(tensors: list[Tensor]) -> Tensor:
    """The positions of all; of one without a copy."""
    return tensors[0] if len(tensors) == 1 else torch.cat(tensors, dim=1)


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
        product = product * (mask.movedim(1, -1).flatten(1))
    return torch.linalg.vector_norm(product, dim=2, dtype=wide(product.dtype)).square().sum(1)


def _gram_norms(patches: Tensor, gradient: Tensor) -> Tensor:
    """``sum_{l,m} (g_l'g_m)(a_l'a_m)`` for each sample, which is ``|sum_l g_l a_l'|^2``."""
    # The terms have both signs: they are not rounded to bfloat16, and a sum that should be 0 may come out below it.
    patches, gradient = (t.to(wide(t.dtype)) for t in (patches, gradient))
    return ((patches @ patches.mT) * (gradient @ gradient.mT)).sum((1, 2)).clamp_min(0)


def _embedding(layer: nn.Module, runs: Sequence[Run]) -> Tensor:
    """Norms for rows that are looked up: two positions meet in one row of the gradient if they look up the same."""
    assert isinstance(layer, nn.Embedding)
    if layer.max_norm is not None or layer.scale_grad_by_freq:
        raise InputError(
            f"{layer} changes its weights or gradients by what is looked up; leave max_norm and scaling out"
        )
    ids = torch.cat([a.flatten(1) for a, _ in runs], dim=1)
    gradient = torch.cat([g.flatten(1, -2) for _, g in runs], dim=1).to(wide(runs[0].gradient.dtype))
    if layer.padding_idx is not None:
        gradient = gradient * (ids != layer.padding_idx)[..., None]
    size = _chunk(2 * ids.shape[1] ** 2, gradient)
    parts = [
        ((i[:, :, None] == i[:, None]) * (g @ g.mT)).sum((1, 2))
        for i, g in zip(ids.split(size), gradient.split(size), strict=True)
    ]
    return torch.cat(parts).clamp_min(0)


def _normalization(layer: nn.Module, runs: Sequence[Run]) -> Tensor:
    """Norms for the scale and shift of a layer that normalizes: a pair for each channel or, in layer norm, feature."""
    total = torch.zeros(len(runs[0].gradient), dtype=wide(runs[0].gradient.dtype), device=runs[0].gradient.device)
    if _trainable(layer, "weight"):
        scales = [_by_scale(layer, _normalized(layer, a).mul_(g)) for a, g in runs]
        total += torch.stack(scales).sum(0).to(total.dtype).square().sum(1)
    if _trainable(layer, "bias"):
        total += torch.stack([_by_scale(layer, g) for _, g in runs]).sum(0).to(total.dtype).square().sum(1)
    return total


def _normalized(layer: nn.Module, inputs: Tensor) -> Tensor:
    if isinstance(layer, nn.LayerNorm):
        return nn.functional.layer_norm(inputs, layer.normalized_shape, eps=layer.eps)
    if isinstance(layer, nn.RMSNorm):
        return nn.functional.rms_norm(inputs, layer.normalized_shape, eps=layer.eps)
    return normalized_channels(layer, inputs)


def _by_scale(layer: nn.Module, values: Tensor) -> Tensor:
    """Sums ``(samples, scales)`` over what shares a scale."""
    if isinstance(layer, nn.LayerNorm | nn.RMSNorm):
        return values.reshape(len(values), -1, math.prod(layer.normalized_shape)).sum(1)
    return values.reshape(*values.shape[:2], -1).sum(2)


def _trainable(layer: nn.Module, name: str) -> bool:
    parameter = getattr(layer, name, None)
    return parameter is not None and parameter.requires_grad


def wide(dtype: torch.dtype) -> torch.dtype:
    """Type in which squares are summed: float32, or float64 where the gradient has it.

    Args:
        dtype: type of a gradient.

    Returns:
        The wider type.

    Examples:
        >>> import torch
        >>> from sharpdiv.empirical.curvature.layer_norms import wide
        >>> wide(torch.bfloat16)
        torch.float32
    """
    return torch.promote_types(dtype, torch.float32)


NORMS: dict[type[nn.Module], Callable[[nn.Module, Sequence[Run]], Tensor]] = {
    nn.Linear: _linear,
    **dict.fromkeys([nn.Conv1d, nn.Conv2d, nn.Conv3d], _convolution),
    nn.Embedding: _embedding,
    **dict.fromkeys([nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d], _normalization),
    **dict.fromkeys([nn.GroupNorm, nn.LayerNorm, nn.RMSNorm], _normalization),
}
"""From a layer and its runs to the squared norms of its parameters' gradients, by the kind of layer."""
