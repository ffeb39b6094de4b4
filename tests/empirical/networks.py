"""Small networks and batches, each from its seed."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from sharpdiv.empirical.curvature.untouched import untouched
from sharpdiv.empirical.models import ResNet

__all__ = ["Mlp", "batch", "left_scaled", "mlp", "resnet", "state"]


class Mlp(nn.Module):
    """Two linear layers around a batch norm."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm, self.last = nn.Linear(5, 7), nn.BatchNorm1d(7), nn.Linear(7, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(torch.relu(self.norm(self.first(x))))


def mlp(seed: int, dtype: torch.dtype = torch.float32) -> Mlp:
    torch.manual_seed(seed)
    return Mlp().to(dtype)


def resnet(seed: int, dtype: torch.dtype = torch.float32) -> ResNet:
    torch.manual_seed(seed)
    return ResNet(width=3, blocks=(1, 1), channels=1, classes=4).to(dtype)


def batch(
    seed: int, size: int = 12, shape: tuple[int, ...] = (5,), classes: int = 3
) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    inputs = torch.randn(size, *shape, generator=generator)
    return inputs, torch.randint(classes, (size,), generator=generator)


def state(model: nn.Module) -> list[torch.Tensor]:
    return [t.clone() for t in model.state_dict().values()]


@contextmanager
def left_scaled(model: nn.Module) -> Iterator[None]:
    """A measurement that leaves other weights behind."""
    with untouched(model):
        yield
    for p in model.parameters():
        p.data.mul_(1.001)
