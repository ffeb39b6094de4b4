"""Small networks and batches, each from its seed."""

import torch
from torch import nn

from empirical import ResNet

__all__ = ["batch", "mlp", "resnet", "state"]


def mlp(seed: int, dtype: torch.dtype = torch.float32) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(5, 7), nn.BatchNorm1d(7), nn.ReLU(), nn.Linear(7, 3)).to(dtype)


def resnet(seed: int, dtype: torch.dtype = torch.float32) -> ResNet:
    torch.manual_seed(seed)
    return ResNet(width=3, blocks=1, stages=2, channels=1, classes=4).to(dtype)


def batch(
    seed: int, size: int = 12, shape: tuple[int, ...] = (5,), classes: int = 3
) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    inputs = torch.randn(size, *shape, generator=generator)
    return inputs, torch.randint(classes, (size,), generator=generator)


def state(model: nn.Module) -> list[torch.Tensor]:
    return [t.clone() for t in model.state_dict().values()]
