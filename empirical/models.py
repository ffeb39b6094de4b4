"""Residual networks with the CIFAR stem, from toy sizes to ResNet-18 and -34 (He et al. 2016), dense or sparse."""

import copy
from collections.abc import Callable
from typing import Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.utils import fuse_conv_bn_weights

from sharpdiv.empirical.errors import InputError

__all__ = ["Activation", "BasicBlock", "Normalization", "ResNet", "SparseConv2d", "folded"]

Activation = Literal["relu", "gelu"]
Normalization = Literal["batch", "group", "none"]

_ACTIVATIONS: dict[Activation, Callable[[Tensor], Tensor]] = {"relu": torch.relu, "gelu": nn.functional.gelu}
_GROUPS = 4  # of channels in group norm, or as many as there are channels


class SparseConv2d(nn.Conv2d):
    """A convolution without bias whose smallest weights at initialization are 0 and stay 0.

    ``mask`` is a buffer of ones and zeros: masked weights are no parameters, so they get no gradient, no SAM ascent and no
    share in any sharpness.

    Args:
        channels_in: input channels.
        channels: output channels.
        kernel: side of the square kernel.
        stride: stride of the convolution.
        padding: width of the rim of zeros around the image.
        sparsity: fraction of the weights to remove, in (0, 1).

    Examples:
        >>> from sharpdiv.empirical.models import SparseConv2d
        >>> layer = SparseConv2d(1, 4, kernel=2, stride=1, padding=0, sparsity=0.75)
        >>> int(layer.weight.count_nonzero()), layer.weight.numel()
        (4, 16)
    """

    mask: Tensor

    def __init__(
        self, channels_in: int, channels: int, kernel: int, stride: int, padding: int, sparsity: float
    ) -> None:
        super().__init__(channels_in, channels, kernel, stride, padding, bias=False)
        magnitudes = self.weight.detach().abs().flatten()
        mask = torch.ones_like(magnitudes)
        mask[magnitudes.argsort()[: int(sparsity * len(magnitudes))]] = 0
        self.register_buffer("mask", mask.view_as(self.weight))
        with torch.no_grad():
            self.weight *= self.mask

    def forward(self, x: Float[Tensor, "samples _ _ _"]) -> Float[Tensor, "samples _ _ _"]:
        """Convolve with the weights that remain.

        Args:
            x: feature maps.

        Returns:
            Feature maps.
        """
        return self._conv_forward(x, self.weight * self.mask, None)


def _convolution(channels_in: int, channels: int, kernel: int, stride: int, padding: int, sparsity: float) -> nn.Conv2d:
    if sparsity:
        return SparseConv2d(channels_in, channels, kernel, stride, padding, sparsity)
    return nn.Conv2d(channels_in, channels, kernel, stride, padding, bias=False)


def _normalization(kind: Normalization, channels: int) -> nn.Module:
    if kind == "batch":
        return nn.BatchNorm2d(channels)
    if kind != "group":
        return nn.Identity()
    groups = min(_GROUPS, channels)
    if channels % groups:
        raise InputError(
            f"group norm has {_GROUPS} groups of channels, or as many as there are, which {channels} channels do not divide into: "
            f"use a width of 1, 2 or a multiple of {_GROUPS}"
        )
    return nn.GroupNorm(groups, channels)


class BasicBlock(nn.Module):
    """Two 3x3 convolutions with a norm each around an identity, or a strided 1x1 projection where the shape changes.

    Args:
        channels_in: input channels.
        channels: output channels.
        stride: stride of the first convolution.
        sparsity: fraction of each convolution's weights that is removed.
        norm: norm behind each convolution.
        activation: nonlinearity between the convolutions and behind the sum.

    Examples:
        >>> import torch
        >>> from sharpdiv.empirical.models import BasicBlock
        >>> block = BasicBlock(channels_in=4, channels=8, stride=2)
        >>> tuple(block(torch.zeros(1, 4, 16, 16)).shape)
        (1, 8, 8, 8)
    """

    def __init__(
        self,
        channels_in: int,
        channels: int,
        stride: int,
        sparsity: float = 0.0,
        norm: Normalization = "batch",
        activation: Activation = "relu",
    ) -> None:
        super().__init__()
        self.conv1 = _convolution(channels_in, channels, 3, stride, 1, sparsity)
        self.norm1 = _normalization(norm, channels)
        self.conv2 = _convolution(channels, channels, 3, 1, 1, sparsity)
        self.norm2 = _normalization(norm, channels)
        self.shortcut: nn.Module = nn.Identity()
        self.activation = _ACTIVATIONS[activation]
        if stride != 1 or channels_in != channels:
            self.shortcut = nn.Sequential(
                _convolution(channels_in, channels, 1, stride, 0, sparsity), _normalization(norm, channels)
            )

    def forward(self, x: Float[Tensor, "samples _ _ _"]) -> Float[Tensor, "samples _ _ _"]:
        """Apply the block.

        Args:
            x: feature maps ``(samples, channels_in, height, width)``.

        Returns:
            Feature maps ``(samples, channels, height / stride, width / stride)``.
        """
        out = self.activation(self.norm1(self.conv1(x)))
        out = self.norm2(self.conv2(out))
        # Out of place: per-sample hooks and torch.func need the summands intact.
        return self.activation(out + self.shortcut(x))


class ResNet(nn.Module):
    """Residual network for small images: 3x3 stem, stages that double the width and halve the image, mean pooling.

    ``width=64, blocks=(2, 2, 2, 2)`` is the ResNet-18 of the paper's experiments, ``(3, 4, 6, 3)`` is ResNet-34.

    Args:
        width: channels of the first stage.
        blocks: residual blocks in each stage.
        channels: channels of the images.
        classes: number of outputs.
        stem_stride: stride of the first convolution: 1 for 32x32 images; 2 lets the stages see those of
            64x64 (Tiny-ImageNet) at 32x32.
        sparsity: fraction of each block convolution's weights that is removed by magnitude at initialization; stem, norms
            and head stay dense.
        norm: norm behind every convolution; group norm has 4 groups.
        activation: nonlinearity of the network.

    Raises:
        InputError: if a size is below 1, the sparsity is outside [0, 1), norm or activation is unknown, or channels do not
            divide into the groups of group norm, as those of widths 1, 2 and multiples of 4 do.

    Examples:
        >>> import torch
        >>> from sharpdiv import ResNet
        >>> tuple(ResNet(width=4, blocks=(1, 1), channels=1)(torch.zeros(2, 1, 16, 16)).shape)
        (2, 10)
        >>> with torch.device("meta"):  # without memory for the weights
        ...     resnet18 = ResNet(width=64, blocks=(2, 2, 2, 2))
        >>> sum(weights.numel() for weights in resnet18.parameters())
        11173962
    """

    def __init__(
        self,
        width: int,
        blocks: tuple[int, ...],
        channels: int = 3,
        classes: int = 10,
        stem_stride: int = 1,
        sparsity: float = 0.0,
        norm: Normalization = "batch",
        activation: Activation = "relu",
    ) -> None:
        super().__init__()
        for name, value, known in (("norm", norm, Normalization), ("activation", activation, Activation)):
            if value not in get_args(known):
                raise InputError(f"{name} must be one of {', '.join(get_args(known))}; got {value!r}")
        sizes = {"width": width, "channels": channels, "classes": classes, "stem_stride": stem_stride}
        for name, size in {**sizes, "stages": len(blocks), "blocks": min(blocks, default=0)}.items():
            if size < 1:
                raise InputError(f"{name} must be at least 1, got {size}")
        if not 0 <= sparsity < 1:
            raise InputError(f"sparsity must lie in [0, 1), got {sparsity}")
        self.stem = nn.Conv2d(channels, width, 3, stem_stride, 1, bias=False)
        self.norm = _normalization(norm, width)
        self.activation = _ACTIVATIONS[activation]
        layers: list[nn.Module] = []
        current = width
        for stage, count in enumerate(blocks):
            for block in range(count):
                channels, stride = width * 2**stage, 2 if stage and not block else 1
                layers.append(BasicBlock(current, channels, stride, sparsity, norm, activation))
                current = channels
        self.blocks = nn.Sequential(*layers)
        self.head = nn.Linear(current, classes)

    def forward(self, x: Float[Tensor, "samples channels height width"]) -> Float[Tensor, "samples classes"]:
        """Logits of a batch of images.

        Args:
            x: normalized images.

        Returns:
            Logits ``(samples, classes)``.
        """
        out = self.blocks(self.activation(self.norm(self.stem(x))))
        return self.head(out.mean(dim=(2, 3)))


@torch.no_grad()
def folded(model: ResNet) -> ResNet:
    """A copy that predicts what the model does in evaluation mode, with its batch norms inside the convolutions before them.

    The same to rounding, in less than half of the time; made for evaluating many images, not for training.

    Args:
        model: any residual network; group norm, which depends on the image, stays.

    Returns:
        A network of its own weights, in evaluation mode.

    Examples:
        >>> import torch
        >>> from sharpdiv import ResNet
        >>> from sharpdiv.empirical.models import folded
        >>> model, images = ResNet(width=2, blocks=(1,), channels=1).eval(), torch.ones(1, 1, 8, 8)
        >>> torch.allclose(folded(model)(images), model(images), atol=1e-5)
        True
    """
    network = copy.deepcopy(model).eval()
    _fold(network, "stem", "norm")
    for block in network.blocks:
        _fold(block, "conv1", "norm1")
        _fold(block, "conv2", "norm2")
        if isinstance(block.shortcut, nn.Sequential):
            _fold(block.shortcut, "0", "1")
    return network


def _fold(parent: nn.Module, convolution: str, norm: str) -> None:
    """Replace a convolution and the batch norm behind it by one convolution and nothing."""
    before, behind = parent.get_submodule(convolution), parent.get_submodule(norm)
    if not (isinstance(before, nn.Conv2d) and isinstance(behind, nn.BatchNorm2d)):
        return
    if behind.running_mean is None or behind.running_var is None:
        return
    weight = before.weight * before.mask if isinstance(before, SparseConv2d) else before.weight
    statistics = (behind.running_mean, behind.running_var, behind.eps, behind.weight, behind.bias)
    kernel, bias = fuse_conv_bn_weights(weight, before.bias, *statistics)
    channels_out, channels, side, _ = kernel.shape
    joined = nn.Conv2d(channels, channels_out, side, before.stride, before.padding)  # type: ignore[arg-type]  # as it was
    joined.weight, joined.bias = kernel, bias
    setattr(parent, convolution, joined)
    setattr(parent, norm, nn.Identity())
