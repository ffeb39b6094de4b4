"""Layers with masks, and networks whose gradients hooks on layers cannot tell."""

from typing import Any

import torch
from torch import nn

__all__ = [
    "AlwaysDropout",
    "Branches",
    "Bypass",
    "Centred",
    "Last",
    "MaskedConv2d",
    "MaskedLinear",
    "OwnForward",
    "convolutional",
    "shared",
    "twice",
]


def drop_half(layer: nn.Conv2d | nn.Linear) -> None:
    layer.register_buffer("mask", (torch.rand_like(layer.weight) < 0.5).to(layer.weight.dtype))


class MaskedConv2d(nn.Conv2d):
    """A convolution with any options and a mask."""

    mask: torch.Tensor

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        drop_half(self)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self._conv_forward(x, self.weight * self.mask, self.bias)


class MaskedLinear(nn.Linear):
    """A linear layer with a mask."""

    mask: torch.Tensor

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        drop_half(self)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return nn.functional.linear(x, self.weight * self.mask, self.bias)


class OwnForward(nn.Linear):
    """Weight-normalized, which only its forward knows."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return nn.functional.linear(x, self.weight / self.weight.norm(), self.bias)


class AlwaysDropout(nn.Module):
    """Random in every mode."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return nn.functional.dropout(x, 0.5, training=True)


class Centred(nn.Module):
    """Less the batch's mean."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x - x.mean(dim=0)


class Last(nn.Module):
    """Outputs of a recurrent layer at the last time."""

    def forward(self, found: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
        return found[0][:, -1]


class Bypass(nn.Module):
    """Uses the weight of a layer that it does not call."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.last = nn.Linear(5, 5), nn.Linear(5, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(x @ self.layer.weight)


class Overwrite(nn.Module):
    """Works in place on its input."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.zero_()


class Branches(nn.Module):
    """A linear layer whose input is overwritten after it ran."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.overwrite = nn.Linear(5, 3), Overwrite()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        copy = x.clone()
        return self.layer(copy) + self.overwrite(copy)[:, :3]


def shared() -> nn.Module:
    layer, other = nn.Linear(5, 5), nn.Linear(5, 5)
    other.weight = layer.weight
    return nn.Sequential(layer, nn.ReLU(), other)


def twice() -> nn.Module:
    layer = nn.Linear(5, 5)
    return nn.Sequential(layer, nn.ReLU(), layer)


def convolutional(**options: Any) -> nn.Module:
    return nn.Sequential(nn.Unflatten(1, (5, 1, 1)), nn.Conv2d(5, 5, 1, **options), nn.Flatten(), nn.Linear(5, 3))
