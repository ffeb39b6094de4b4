"""Residual networks with the CIFAR stem, from toy sizes to ResNet-18 (He et al. 2016)."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from empirical.errors import InputError

__all__ = ["BasicBlock", "ResNet"]


class BasicBlock(nn.Module):
    """Two 3x3 convolutions with batch norm around an identity, or a strided 1x1 projection where the shape changes.

    Args:
        channels_in: input channels.
        channels: output channels.
        stride: of the first convolution.
    """

    def __init__(self, channels_in: int, channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, channels, 3, stride, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, 1, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(channels)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or channels_in != channels:
            self.shortcut = nn.Sequential(
                nn.Conv2d(channels_in, channels, 1, stride, bias=False), nn.BatchNorm2d(channels)
            )

    def forward(self, x: Float[Tensor, "samples _ _ _"]) -> Float[Tensor, "samples _ _ _"]:
        """Apply the block.

        Returns:
            ``(samples, channels, height / stride, width / stride)``.
        """
        out = torch.relu(self.norm1(self.conv1(x)))
        out = self.norm2(self.conv2(out))
        # Out of place: per-sample hooks and torch.func need the summands intact.
        return torch.relu(out + self.shortcut(x))


class ResNet(nn.Module):
    """Residual network for small images: 3x3 stem, stages that double the width and halve the image, mean pooling.

    ``width=64, blocks=2, stages=4`` is the ResNet-18 of the paper's experiments.

    Args:
        width: channels of the first stage.
        blocks: residual blocks in each stage.
        stages: number of stages.
        channels: of the images.
        classes: number of outputs.

    Raises:
        InputError: if a size is below 1.
    """

    def __init__(self, width: int, blocks: int, stages: int = 4, channels: int = 3, classes: int = 10) -> None:
        super().__init__()
        sizes = {"width": width, "blocks": blocks, "stages": stages, "channels": channels, "classes": classes}
        for name, size in sizes.items():
            if size < 1:
                raise InputError(f"{name} must be at least 1, got {size}")
        self.stem = nn.Conv2d(channels, width, 3, 1, 1, bias=False)
        self.norm = nn.BatchNorm2d(width)
        layers: list[nn.Module] = []
        current = width
        for stage in range(stages):
            for block in range(blocks):
                layers.append(BasicBlock(current, width * 2**stage, 2 if stage and not block else 1))
                current = width * 2**stage
        self.blocks = nn.Sequential(*layers)
        self.head = nn.Linear(current, classes)

    def forward(self, x: Float[Tensor, "samples channels height width"]) -> Float[Tensor, "samples classes"]:
        """Logits of a batch of images.

        Returns:
            ``(samples, classes)``.
        """
        out = self.blocks(torch.relu(self.norm(self.stem(x))))
        return self.head(out.mean(dim=(2, 3)))
