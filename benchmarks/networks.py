"""Networks of the kinds that people have, small enough to be timed: ConvNeXt, MobileNet, a vision transformer and ALBERT."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

__all__ = ["NETWORKS"]


class ConvNextBlock(nn.Module):
    """A depthwise convolution, two linear layers over channels and a scale for each channel, around an identity."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.depthwise, self.norm = nn.Conv2d(width, width, 7, padding=3, groups=width), nn.LayerNorm(width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        self.gamma = nn.Parameter(torch.full((width,), 0.1))

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(self.depthwise(x).permute(0, 2, 3, 1))
        return x + (self.gamma * self.down(nn.functional.gelu(self.up(y)))).permute(0, 3, 1, 2)


class InvertedResidual(nn.Module):
    """Expand, a depthwise convolution, squeeze, around an identity."""

    def __init__(self, width: int) -> None:
        super().__init__()
        wide = 4 * width
        self.layers = nn.Sequential(
            *(nn.Conv2d(width, wide, 1, bias=False), nn.BatchNorm2d(wide), nn.ReLU6()),
            *(nn.Conv2d(wide, wide, 3, padding=1, groups=wide, bias=False), nn.BatchNorm2d(wide), nn.ReLU6()),
            *(nn.Conv2d(wide, width, 1, bias=False), nn.BatchNorm2d(width)),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.layers(x)


class Encoder(nn.Module):
    """Transformer layers on a token of its own and what an embedding makes of the inputs, in places that are learned."""

    def __init__(self, embed: nn.Module, tokens: int, width: int, layers: list[nn.Module]) -> None:
        super().__init__()
        self.embed, self.layers, self.head = embed, nn.Sequential(*layers), nn.Linear(width, 10)
        self.token, self.places = nn.Parameter(torch.zeros(1, 1, width)), nn.Embedding(tokens + 1, width)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.cat([self.token.expand(len(x), -1, -1), self.embed(x)], dim=1)
        x = self.layers(x + self.places(torch.arange(x.shape[1])))
        found: Tensor = self.head(x[:, 0])
        return found


def _images(*blocks: nn.Module, width: int) -> nn.Module:
    head = nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, 10)
    return nn.Sequential(nn.Conv2d(3, width, 2, stride=2), *blocks, *head)


def _layer(width: int) -> nn.Module:
    return nn.TransformerEncoderLayer(width, 4, 4 * width, 0.0, "gelu", batch_first=True)


def _vit() -> nn.Module:
    patches = nn.Sequential(nn.Conv2d(3, 64, 4, stride=4), nn.Flatten(2), _Turned())
    return Encoder(patches, 64, 64, [_layer(64) for _ in range(4)])


class _Turned(nn.Module):
    """Channels last."""

    def forward(self, x: Tensor) -> Tensor:
        return x.mT


def _albert() -> nn.Module:
    embed = nn.Sequential(nn.Embedding(1000, 32), nn.Linear(32, 64))
    return Encoder(embed, 64, 64, [_layer(64)] * 4)


NETWORKS: dict[str, tuple[Callable[[], nn.Module], Callable[[int], Tensor]]] = {
    "ConvNeXt, 3 blocks of width 32": (
        lambda: _images(*(ConvNextBlock(32) for _ in range(3)), width=32),
        lambda size: torch.randn(size, 3, 32, 32),
    ),
    "MobileNet, 3 blocks of width 24": (
        lambda: _images(*(InvertedResidual(24) for _ in range(3)), width=24),
        lambda size: torch.randn(size, 3, 32, 32),
    ),
    "ViT, 4 layers of width 64": (_vit, lambda size: torch.randn(size, 3, 32, 32)),
    "ALBERT, one layer of width 64 used 4 times": (_albert, lambda size: torch.randint(1000, (size, 64))),
}
"""from a name to functions that make the network, and a number of inputs"""
