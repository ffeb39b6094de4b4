"""Image corruptions of Hendrycks and Dietterich (2019), generated batched on the fly with the constants of CIFAR-10-C.

Images are in [0, 1]. Results are clipped to [0, 1] but not quantised to 8 bits as the published files are, and the
random draws are our own, so call these "generated", never CIFAR-10-C.
"""

import math
from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from empirical.errors import InputError

__all__ = ["CORRUPTIONS", "SEVERITIES", "corrupt"]

Corruption = Callable[[Tensor, float, torch.Generator], Tensor]
SEVERITIES = (1, 2, 3, 4, 5)


def corrupt(
    images: Float[Tensor, "samples channels height width"], name: str, severity: int, seed: int = 0
) -> Float[Tensor, "samples channels height width"]:
    """Corrupt a batch of images.

    Args:
        images: in [0, 1].
        name: one of ``CORRUPTIONS``.
        severity: 1 to 5.
        seed: of the noise.

    Returns:
        Corrupted images in [0, 1], on the images' device.

    Raises:
        InputError: if the corruption or the severity does not exist.
    """
    if name not in CORRUPTIONS:
        raise InputError(f"corruption must be one of {', '.join(CORRUPTIONS)}; got {name!r}")
    if severity not in SEVERITIES:
        raise InputError(f"severity must be 1 to 5, got {severity}")
    function, constants = CORRUPTIONS[name]
    generator = torch.Generator(images.device).manual_seed(seed)
    return function(images, constants[severity - 1], generator).clamp(0, 1)


def _gaussian_noise(images: Tensor, sigma: float, generator: torch.Generator) -> Tensor:
    return images + sigma * torch.randn(images.shape, generator=generator, device=images.device, dtype=images.dtype)


def _shot_noise(images: Tensor, photons: float, generator: torch.Generator) -> Tensor:
    return torch.poisson(images * photons, generator=generator) / photons


def _impulse_noise(images: Tensor, amount: float, generator: torch.Generator) -> Tensor:
    """Salt and pepper, half each, on ``amount`` of the values."""
    draw = torch.rand(images.shape, generator=generator, device=images.device, dtype=images.dtype)
    salted = torch.where(draw < amount / 2, torch.ones_like(images), images)
    return torch.where(draw > 1 - amount / 2, torch.zeros_like(images), salted)


def _gaussian_blur(images: Tensor, sigma: float, generator: torch.Generator) -> Tensor:  # noqa: ARG001
    """Separable blur, cut off at 4 sigma, edges replicated."""
    reach = math.ceil(4 * sigma)
    offsets = torch.arange(-reach, reach + 1, device=images.device, dtype=images.dtype)
    kernel = torch.exp(-(offsets**2) / (2 * sigma**2))
    kernel = (kernel / kernel.sum()).expand(images.shape[1], 1, 1, -1)
    padded = nn.functional.pad(images, (reach, reach, reach, reach), mode="replicate")
    rows = nn.functional.conv2d(padded, kernel, groups=images.shape[1])
    return nn.functional.conv2d(rows, kernel.mT, groups=images.shape[1])


def _brightness(images: Tensor, shift: float, generator: torch.Generator) -> Tensor:  # noqa: ARG001
    """Raise the value of HSV; hue and saturation stay, so the channels keep their ratios (black becomes grey)."""
    value = images.amax(dim=1, keepdim=True)
    brighter = (value + shift).clamp(max=1)
    ratio = torch.where(value > 0, images / value.clamp_min(torch.finfo(images.dtype).tiny), torch.ones_like(images))
    return ratio * brighter


def _contrast(images: Tensor, factor: float, generator: torch.Generator) -> Tensor:  # noqa: ARG001
    mean = images.mean(dim=(2, 3), keepdim=True)
    return (images - mean) * factor + mean


CORRUPTIONS: dict[str, tuple[Corruption, tuple[float, float, float, float, float]]] = {
    "gaussian_noise": (_gaussian_noise, (0.04, 0.06, 0.08, 0.09, 0.10)),
    "shot_noise": (_shot_noise, (500.0, 250.0, 100.0, 75.0, 50.0)),
    "impulse_noise": (_impulse_noise, (0.01, 0.02, 0.03, 0.05, 0.07)),
    "gaussian_blur": (_gaussian_blur, (0.4, 0.6, 0.7, 0.8, 1.0)),
    "brightness": (_brightness, (0.05, 0.1, 0.15, 0.2, 0.3)),
    "contrast": (_contrast, (0.75, 0.5, 0.4, 0.3, 0.15)),
}
"""Each corruption with its CIFAR-10-C constant at severity 1 to 5."""
