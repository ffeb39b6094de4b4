"""Corruptions by noise in every value."""

import torch

from sharpdiv.empirical.data.corrupting.corruption import Corruption
from sharpdiv.empirical.data.corrupting.draws import Draws
from sharpdiv.empirical.data.corrupting.pixels import Images

__all__ = ["NOISE"]


def _gaussian_noise(images: Images, draws: Draws, sigma: float) -> Images:
    return images + sigma * draws.normal(*images.shape[1:])


def _shot_noise(images: Images, draws: Draws, photons: int) -> Images:
    return draws.poisson(images * photons) / photons


def _impulse_noise(images: Images, draws: Draws, amount: float) -> Images:
    """Salt or pepper, half each, on ``amount`` of the values."""
    draw = draws.uniform(*images.shape[1:])
    salted = torch.where(draw < amount / 2, torch.ones_like(images), images)
    return torch.where(draw >= 1 - amount / 2, torch.zeros_like(images), salted)


def _speckle_noise(images: Images, draws: Draws, sigma: float) -> Images:
    return images + images * sigma * draws.normal(*images.shape[1:])


NOISE = (
    Corruption(
        "gaussian_noise",
        _gaussian_noise,
        cifar={"sigma": (0.04, 0.06, 0.08, 0.09, 0.10)},
        tiny={"sigma": (0.04, 0.08, 0.12, 0.15, 0.18)},
    ),
    Corruption(
        "shot_noise", _shot_noise, cifar={"photons": (500, 250, 100, 75, 50)}, tiny={"photons": (250, 100, 50, 30, 15)}
    ),
    Corruption(
        "impulse_noise",
        _impulse_noise,
        cifar={"amount": (0.01, 0.02, 0.03, 0.05, 0.07)},
        tiny={"amount": (0.01, 0.02, 0.05, 0.08, 0.14)},
    ),
    Corruption(
        "speckle_noise",
        _speckle_noise,
        cifar={"sigma": (0.06, 0.1, 0.12, 0.16, 0.2)},
        tiny={"sigma": (0.15, 0.2, 0.25, 0.3, 0.35)},
        extra=True,
    ),
)
