"""Corruptions by blur."""

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor, nn

from sharpdiv.empirical.data.corrupting.corruption import Constants, Corruption
from sharpdiv.empirical.data.corrupting.draws import Draws
from sharpdiv.empirical.data.corrupting.filters import blurred, clipped_zoom, correlate, smear
from sharpdiv.empirical.data.corrupting.pixels import Images, quantized

__all__ = ["BLUR"]


def _defocus_blur(images: Images, draws: Draws, radius: float, alias: float) -> Images:  # noqa: ARG001
    """A disk of whole pixels, its rim softened by a 3x3 Gaussian of deviation ``alias``; edges mirrored without repetition."""
    reach = int(radius) + 1
    offsets = torch.arange(-reach, reach + 1.0)
    disk = (offsets[:, None] ** 2 + offsets**2 <= radius**2).float()
    soft = torch.exp(-(torch.arange(-1.0, 2.0) ** 2) / (2 * alias**2))
    kernel = nn.functional.conv2d(disk[None, None], torch.outer(soft, soft)[None, None], padding=1)
    return correlate(images, kernel[0, 0] / kernel.sum())


def _glass_blur(images: Images, draws: Draws, sigma: float, max_delta: int, iterations: int) -> Images:
    """Blur, let every pixel take the value of a near one, blur."""
    _, channels, height, width = images.shape
    pixels = quantized(blurred(images, sigma)).flatten(2) / 255
    for _ in range(iterations):
        sources = _glass_sources(draws.integers(-max_delta, max_delta, 2, height, width), max_delta)
        pixels = pixels.gather(2, sources[:, None].expand(-1, channels, -1))
    return blurred(pixels.unflatten(2, (height, width)), sigma)


def _glass_sources(
    offsets: Int[Tensor, "samples 2 height width"], max_delta: int
) -> Int[Tensor, "samples height_times_width"]:
    """Where the value of each pixel comes from when they are visited from the last to the first.

    The originals exchange pixel (h, w) with (h + dy, w + dx), dx and dy uniform from ``-max_delta`` to ``max_delta - 1``, for h
    and w from ``size - max_delta`` down to ``max_delta + 1``. But they exchange NumPy views of colour pixels, so that the first
    assignment also changes what the second one reads, and the published images hold a copy: (h, w) takes the other's value and
    nothing else changes. A pixel behind p in raster order was visited before p, and p takes what that one took; a pixel before
    p still has its own value. So p follows sources as long as they lead forwards, all at once by pointer doubling.

    Returns:
        Raster index of the source of each pixel.
    """
    samples, _, height, width = offsets.shape
    rows, columns = (torch.arange(size, device=offsets.device) for size in (height, width))
    inner = [(axis > max_delta) & (axis <= axis.numel() - max_delta) for axis in (rows, columns)]
    visited = inner[0][:, None] & inner[1]
    own = (rows[:, None] * width + columns).flatten().expand(samples, -1)
    sources = own + ((offsets[:, 0] * width + offsets[:, 1]) * visited).flatten(1)
    last = torch.maximum(sources, own)
    if max_delta > 1:  # otherwise no offset is positive, and no source leads forwards
        for _ in range((height * width).bit_length()):
            last = last.gather(1, last)
    return sources.gather(1, last)


def _motion_blur(images: Images, draws: Draws, radius: int, sigma: float) -> Images:
    return smear(images, 90 * draws.uniform() - 45, radius, sigma)


def _zoom_blur(images: Images, draws: Draws, stop: float) -> Images:  # noqa: ARG001
    """Mean of the image and of its zooms by 1, 1.01, ... up to ``stop``: the unzoomed image counts twice."""
    # As the originals have it: rounding makes the factor nearest to stop belong or not, and zoomed sizes round up or down.
    factors = np.arange(1, stop, 0.01).tolist()
    total = images.clone()
    for factor in factors:
        total += clipped_zoom(images, factor)
    return total / (len(factors) + 1)


def _gaussian_blur(images: Images, draws: Draws, sigma: float) -> Images:  # noqa: ARG001
    return blurred(images, sigma)


_ZOOMS: Constants = {"stop": (1.06, 1.11, 1.16, 1.21, 1.26)}

BLUR = (
    Corruption(
        "defocus_blur",
        _defocus_blur,
        cifar={"radius": (0.3, 0.4, 0.5, 1.0, 1.5), "alias": (0.4, 0.5, 0.6, 0.2, 0.1)},
        tiny={"radius": (0.5, 1.0, 1.5, 2.5, 3.0), "alias": (0.6, 0.1, 0.1, 0.01, 0.1)},
    ),
    Corruption(
        "glass_blur",
        _glass_blur,
        cifar={"sigma": (0.05, 0.25, 0.4, 0.25, 0.4), "max_delta": (1, 1, 1, 1, 1), "iterations": (1, 1, 1, 2, 2)},
        tiny={"sigma": (0.1, 0.5, 0.6, 0.7, 0.9), "max_delta": (1, 1, 1, 2, 2), "iterations": (1, 1, 2, 1, 2)},
    ),
    Corruption(
        "motion_blur",
        _motion_blur,
        cifar={"radius": (6, 6, 6, 8, 9), "sigma": (1.0, 1.5, 2.0, 2.0, 2.5)},
        tiny={"radius": (10, 10, 10, 10, 12), "sigma": (1.0, 1.5, 2.0, 2.5, 3.0)},
    ),
    Corruption("zoom_blur", _zoom_blur, cifar=_ZOOMS, tiny=_ZOOMS),
    Corruption(
        "gaussian_blur",
        _gaussian_blur,
        cifar={"sigma": (0.4, 0.6, 0.7, 0.8, 1.0)},
        tiny={"sigma": (0.5, 0.75, 1.0, 1.25, 1.5)},
        extra=True,
    ),
)
