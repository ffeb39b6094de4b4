"""What is trained to tell ascents of few samples from those of many: networks, regimes, ascents, by profile."""

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import torch
from torch import nn

from sharpdiv.empirical.curvature.tangent_kernel import tangent_kernel
from sharpdiv.empirical.data.splits import TEST_ORDER, digits
from sharpdiv.empirical.lazy.equal_loss import FitProblem
from sharpdiv.empirical.lazy.training import lazy_network

__all__ = [
    "CONSTANTS",
    "DESCENT",
    "FULL_BATCH",
    "RATE",
    "SWEEPS",
    "Ascent",
    "FittedNetwork",
    "Regime",
    "Sweep",
    "largest_eigenvalue",
]

RATE = 0.3
"""learning rate times the largest eigenvalue of the member's own kernel K/n at its initialization"""
_WIDTH = 48
_SPLIT_SEED = 0
_FIRST_SEED = 1000
CONSTANTS = {"rate": RATE, "split_seed": _SPLIT_SEED, "order": TEST_ORDER}
"""What every member depends on besides its network."""


@dataclass(frozen=True)
class Ascent:
    """One way to train."""

    fraction: float
    """rho times the largest eigenvalue of the member's own kernel; 0 for gradient descent"""
    m: int
    """number of samples of an ascent; 0 for all"""

    @property
    def name(self) -> str:
        """Short and readable."""
        if not self.fraction:
            return "gradient descent"
        return f"rho x_max = {self.fraction:g}, {f'm = {self.m}' if self.m else 'full batch'}"


DESCENT = Ascent(0.0, 0)
FULL_BATCH = Ascent(1.0, 0)
"""below the rho x_max = 2 / RATE - 1 = 5.7 from which on full-batch SAM does not contract the top mode"""


@dataclass(frozen=True)
class Regime:
    """What is fitted."""

    alpha: float = 1.0
    """scale of the outputs"""
    subtract_initial: bool = False
    """whether h is ``alpha (f - f_0)``"""

    @property
    def name(self) -> str:
        """Short and readable."""
        return f"{'f - f_0' if self.subtract_initial else 'f'}, alpha = {self.alpha:g}"


@dataclass(frozen=True)
class FittedNetwork:
    """A network, and the ways it is trained."""

    kind: Literal["two-layer", "residual"]
    """two layers without biases, or a small residual network with group norm and centred features"""
    activation: Literal["relu", "tanh"]
    """its nonlinearity"""
    scale: float
    """scale of both layers' weights at the initialization, times that of LeCun (tanh) or He (relu); 1 for the residual network"""
    train_samples: int
    """digits to train on"""
    losses: tuple[float, ...]
    """levels of ``|h - y|^2 / (2n)`` that members are compared at, falling; outputs of 0 have .45"""
    ascents: tuple[Ascent, ...]
    """the first is gradient descent"""
    regimes: tuple[Regime, ...] = (Regime(), Regime(subtract_initial=True))
    """the first is ordinary training"""
    members: int = 24
    """number of members; every way to train has the same seeds"""
    test_samples: int = 400
    """the first test digits"""

    @property
    def name(self) -> str:
        """Short and readable."""
        return "residual" if self.kind == "residual" else f"two-layer {self.activation}, scale {self.scale:g}"

    @property
    def last_layer(self) -> int:
        """Place of the last layer's matrix among the trained tensors, from the end."""
        return -2 if self.kind == "residual" else -1

    @property
    def seeds(self) -> range:
        """Seeds of the members: the pilot's were 0 to 3, and enter nowhere."""
        return range(_FIRST_SEED, _FIRST_SEED + self.members)

    def problem(self) -> FitProblem:
        """Its data: digits less the mean training image, ones and zeros for labels less one over the classes; classes are as drawn.

        Returns:
            Flat images for two layers.
        """
        return _problem(self.train_samples, self.test_samples, self.kind == "two-layer")[0]

    def test_targets(self) -> torch.Tensor:
        """What the outputs should be at the test digits.

        Returns:
            Shape ``(test, classes)``.
        """
        return _problem(self.train_samples, self.test_samples, self.kind == "two-layer")[1]

    def initialized(self, seed: int) -> nn.Module:
        """A member before training.

        Args:
            seed: seed of its initialization.

        Returns:
            A network of the data's precision.
        """
        images = self.problem().images
        if self.kind == "residual":
            return _centered(lazy_network(8, "relu", "group", images, seed), images)
        relu = self.activation == "relu"
        inputs, outputs = images.shape[1], self.test_targets().shape[1]
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            torch.manual_seed(seed)
            first, last = nn.Linear(inputs, _WIDTH, bias=False), nn.Linear(_WIDTH, outputs, bias=False)
            first.weight.normal_(0, self.scale * math.sqrt((2 if relu else 1) / inputs))
            last.weight.normal_(0, self.scale / math.sqrt(_WIDTH))
        return nn.Sequential(first, nn.ReLU() if relu else nn.Tanh(), last)


class _Shift(nn.Module):
    """Features less what they are on average at the initialization."""

    mean: torch.Tensor

    def __init__(self, mean: torch.Tensor) -> None:
        super().__init__()
        self.register_buffer("mean", mean)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return features - self.mean


@torch.no_grad()
def _centered(model: nn.Module, images: torch.Tensor) -> nn.Module:
    """The network whose last layer sees centred features: the common part would throttle the learning rate."""
    head = model.get_submodule("head")
    model.register_module("head", nn.Identity())
    mean = model(images).mean(dim=0)
    model.register_module("head", nn.Sequential(_Shift(mean), head))
    return model


@lru_cache(maxsize=4)
def _problem(train_samples: int, test_samples: int, flat: bool) -> tuple[FitProblem, torch.Tensor]:
    data = digits(train_samples, _SPLIT_SEED)
    train, test = (data.normalize(images) for images in (data.train_images, data.test_images[:test_samples]))
    center = train.mean(dim=0)
    images = [(part - center).flatten(1) if flat else part - center for part in (train, test)]
    labels = [data.train_labels, data.test_labels[:test_samples]]
    targets = [nn.functional.one_hot(part, data.classes).float() - 1 / data.classes for part in labels]
    return FitProblem(images[0], targets[0], images[1]), targets[1]


def largest_eigenvalue(model: nn.Module, problem: FitProblem) -> float:
    """Of the tangent kernel over the number of samples, in which learning rate and rho are stated.

    Args:
        model: network at its initialization.
        problem: data.

    Returns:
        The Gauss-Newton matrix of the training loss has the same.
    """
    kernel = tangent_kernel(model, problem.images, problem.images[:1])[0]
    size = problem.targets.numel()
    # In double precision on the CPU: not every device has it.
    return float(torch.linalg.eigvalsh(kernel.reshape(size, size).cpu().double())[-1]) / problem.samples


@dataclass(frozen=True)
class Sweep:
    """Networks that are trained together."""

    results: str
    """name of the file of results"""
    networks: tuple[FittedNetwork, ...]
    """networks to train"""


_FIT = (0.3, 0.1, 0.03)
_TANH = (0.3, 0.1)
"""networks of tanh take ten times as long to .03"""
_FEW = tuple(Ascent(fraction, m) for fraction, m in ((0.1, 1), (0.1, 4), (0.1, 16), (0.05, 1)))
_TWO_LAYERS = (DESCENT, FULL_BATCH, *_FEW)
_RESIDUAL = (0.3, 0.2)
_RESIDUAL_WAYS = (DESCENT, FULL_BATCH, Ascent(1.0, 10), Ascent(0.3, 1))
_BOTH = (Regime(), Regime(subtract_initial=True))
_LAZY = Regime(alpha=10.0, subtract_initial=True)

SWEEPS = {
    "quick": Sweep(
        "ascents-quick.json",
        (FittedNetwork("two-layer", "relu", 0.5, 160, _FIT, (DESCENT, FULL_BATCH, Ascent(0.1, 1)), _BOTH[:1], 6),),
    ),
    "cpu": Sweep(
        "ascents.json",
        (
            FittedNetwork("two-layer", "relu", 0.5, 160, _FIT, _TWO_LAYERS, (*_BOTH, _LAZY)),
            FittedNetwork("two-layer", "relu", 1.0, 160, _FIT, _TWO_LAYERS),
            FittedNetwork("two-layer", "tanh", 1.0, 160, _TANH, _TWO_LAYERS),
            FittedNetwork("two-layer", "tanh", 0.5, 160, _TANH, _TWO_LAYERS),
            FittedNetwork("residual", "relu", 1.0, 100, _RESIDUAL, _RESIDUAL_WAYS, members=12),
        ),
    ),
}
"""Sweeps by profile."""
