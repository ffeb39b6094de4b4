"""Small networks whose whole Hessian fits in memory: that Hessian by differences of gradients, and by our products."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from sharpdiv.empirical.batches import Batch
from sharpdiv.empirical.curvature.hessian_products import hessian_product, shares
from sharpdiv.empirical.curvature.loss_surface import LossSurface

__all__ = ["NETWORKS", "dense_hessian", "our_hessian", "problem"]

STEP = 1e-5


class Mean(nn.Module):
    """Mean over tokens."""

    def forward(self, x: Tensor) -> Tensor:
        return x.mean(dim=1)


def _convolutional() -> tuple[nn.Module, Tensor]:
    model = nn.Sequential(
        nn.Conv2d(1, 3, 3, padding=1), nn.BatchNorm2d(3), nn.Tanh(), nn.Conv2d(3, 2, 3, 2), nn.GELU(), nn.Flatten(),
        nn.Linear(8, 3),
    )  # fmt: skip
    return model, torch.randn(7, 1, 6, 6)


def _transformer() -> tuple[nn.Module, Tensor]:
    layer = nn.TransformerEncoderLayer(4, 2, 5, dropout=0.0, activation="gelu", batch_first=True)
    return nn.Sequential(layer, Mean(), nn.Linear(4, 3)), torch.randn(7, 5, 4)


NETWORKS: dict[str, Callable[[], tuple[nn.Module, Tensor]]] = {
    "convolutional": _convolutional,
    "transformer": _transformer,
}


def problem(name: str) -> tuple[nn.Module, list[Batch]]:
    """A network in evaluation mode and two batches of different sizes, in float64."""
    torch.manual_seed(0)
    model, inputs = NETWORKS[name]()
    model, inputs = model.double(), inputs.double()
    model(inputs)  # running statistics that are not the initial ones
    labels = torch.tensor([0, 1, 2, 0, 1, 2, 2])
    return model.eval(), [(inputs[:4], labels[:4]), (inputs[4:], labels[4:])]


def dense_hessian(model: nn.Module, batches: list[Batch]) -> Tensor:
    """Hessian of the mean cross-entropy over all samples, weights in the order of ``model.parameters()``.

    Central differences of first derivatives, symmetric to their error: ``STEP**2`` times a sixth of the fourth derivative, and
    ``2**-53 / STEP`` of rounding, both about 1e-11. PyTorch's own forward over reverse derivatives are no reference: for the scale
    of a layer norm those of torch 2.13 are not even symmetric.
    """
    whole: Any = zip(*batches, strict=True)
    inputs, labels = (torch.cat(parts) for parts in whole)
    named = {name: p.detach() for name, p in model.named_parameters()}

    def gradient(flat: Tensor) -> Tensor:
        point = flat.clone().requires_grad_()
        parts = point.split([p.numel() for p in named.values()])
        weights: Any = {n: part.reshape(p.shape) for (n, p), part in zip(named.items(), parts, strict=True)}
        loss = nn.functional.cross_entropy(functional_call(model, weights, (inputs,)), labels)
        return torch.autograd.grad(loss, point)[0]

    flat = torch.cat([p.flatten() for p in named.values()])
    moves = STEP * torch.eye(len(flat), dtype=flat.dtype)
    return torch.stack([gradient(flat + move) - gradient(flat - move) for move in moves]) / (2 * STEP)


def our_hessian(model: nn.Module, batches: list[Batch]) -> Tensor:
    """The same matrix, column by column, from our products with unit vectors."""
    surface = LossSurface(model, nn.functional.cross_entropy)
    found = torch.zeros(len(surface.weights), len(surface.weights), dtype=surface.weights.dtype)
    for share, batch in zip(shares(batches), batches, strict=True):
        product = hessian_product(surface, batch)
        found += float(share) * torch.stack([product(v) for v in torch.eye(len(found), dtype=found.dtype)])
    return found
