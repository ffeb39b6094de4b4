"""Corruptions by weather; spatter has a file of its own."""

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from sharpdiv.empirical.data.corrupting.corruption import Constants, Corruption
from sharpdiv.empirical.data.corrupting.draws import Draws
from sharpdiv.empirical.data.corrupting.filters import clipped_zoom, smear
from sharpdiv.empirical.data.corrupting.pixels import Images, Layers, grey, quantized
from sharpdiv.empirical.errors import InputError

__all__ = ["WEATHER", "frost_texture"]


def _snow(
    images: Images,
    draws: Draws,
    location: float,
    scale: float,
    zoom: float,
    threshold: float,
    radius: int,
    sigma: float,
    mix: float,
) -> Images:
    """Flakes are the peaks of zoomed noise, smeared, and once more turned by 180 degrees; the image whitens beneath them."""
    flakes = location + scale * draws.normal(1, *images.shape[2:])
    flakes = clipped_zoom(flakes, zoom)
    flakes = quantized(torch.where(flakes < threshold, torch.zeros_like(flakes), flakes)) / 255
    flakes = smear(flakes, -135 + 90 * draws.uniform(), radius, sigma)
    white = torch.maximum(images, 1.5 * grey(images) + 0.5)
    return mix * images + (1 - mix) * white + flakes + flakes.flip(2, 3)


def _frost(images: Images, draws: Draws, weight: float, frost_weight: float, textures: list[Tensor]) -> Images:
    """Add a random crop of a random texture."""
    height, width = images.shape[2:]
    which, where = draws.integers(0, len(textures), 1).flatten().tolist(), draws.uniform(2).tolist()
    crops = []
    for texture, (down, right) in zip((textures[index] for index in which), where, strict=True):
        top, left = int(down * (texture.shape[1] - height)), int(right * (texture.shape[2] - width))
        crops.append(texture[:, top : top + height, left : left + width])
    return weight * images + frost_weight * torch.stack(crops)


def frost_texture(
    photograph: Tensor, shrink: float, images: UInt8[Tensor, "samples channels height width"]
) -> Float[Tensor, "channels _ _"]:
    """A photograph shrunk by bilinear interpolation without antialiasing, as OpenCV does, in the images' colours.

    Args:
        photograph: uint8 photograph ``(3, height, width)``.
        shrink: factor of its sides.
        images: batch to be corrupted.

    Returns:
        The texture in [0, 1], on the images' device.

    Raises:
        InputError: if the photograph is not as described, or too small.

    Examples:
        >>> import torch
        >>> from sharpdiv.empirical.data.corrupting.weather import frost_texture
        >>> photograph, images = torch.zeros(3, 100, 120, dtype=torch.uint8), torch.zeros(2, 1, 16, 16, dtype=torch.uint8)
        >>> tuple(frost_texture(photograph, 0.2, images).shape)  # grey, as the images are
        (1, 20, 24)
    """
    if photograph.dtype != torch.uint8 or photograph.ndim != 3 or len(photograph) != 3:
        raise InputError(
            f"frost images must be uint8 of shape (3, height, width), got {photograph.dtype} {tuple(photograph.shape)}"
        )
    size = [round(side * shrink) for side in photograph.shape[1:]]
    if size[0] <= images.shape[2] or size[1] <= images.shape[3]:
        raise InputError(
            f"a frost image of {tuple(photograph.shape[1:])} pixels, shrunk by {shrink}, must be larger than the images, "
            f"{tuple(images.shape[2:])}"
        )
    texture = photograph[None].to(images.device).float() / 255
    texture = nn.functional.interpolate(texture, size=size, mode="bilinear", align_corners=False)
    return (grey(texture) if images.shape[1] == 1 else texture)[0]


def _fog(images: Images, draws: Draws, weight: float, decay: float) -> Images:
    """Add a plasma fractal and scale so that the brightest value of the image would stay where the fog is thickest."""
    height, width = images.shape[2:]
    fog = _plasma(draws, 1 << (max(height, width) - 1).bit_length(), decay)[:, None, :height, :width]
    brightest = images.amax(dim=(1, 2, 3), keepdim=True)
    return (images + weight * fog) * brightest / (brightest + weight)


def _plasma(draws: Draws, size: int, decay: float) -> Layers:
    """Height map in [0, 1] by the diamond-square algorithm on a torus whose side is a power of two.

    Each new height is the mean of its four neighbours plus a uniform term whose range shrinks by ``decay`` *squared* with each
    halving of the grid: the originals multiply two amplitudes that both shrink by ``decay``.

    Returns:
        One map for each image.
    """
    noise = 2 * draws.uniform(size, size) - 1
    heights = torch.zeros_like(noise)
    step, amplitude = size, 1.0
    while step > 1:
        half = step // 2
        corners, middles = heights[:, ::step, ::step], heights[:, half::step, half::step]
        rows = corners + corners.roll(-1, 1)
        middles[:] = (rows + rows.roll(-1, 2)) / 4
        middles += amplitude * noise[:, half::step, half::step]
        above = middles + middles.roll(1, 1) + corners + corners.roll(-1, 2)
        heights[:, ::step, half::step] = above / 4 + amplitude * noise[:, ::step, half::step]
        beside = middles + middles.roll(1, 2) + corners + corners.roll(-1, 1)
        heights[:, half::step, ::step] = beside / 4 + amplitude * noise[:, half::step, ::step]
        step, amplitude = half, amplitude / decay**2
    heights = heights - heights.amin(dim=(1, 2), keepdim=True)
    return heights / heights.amax(dim=(1, 2), keepdim=True)


def _brightness(images: Images, draws: Draws, shift: float) -> Images:  # noqa: ARG001
    """Raise the value of HSV; hue and saturation stay, so the channels keep their ratios (black becomes grey)."""
    value = images.amax(dim=1, keepdim=True)
    brighter = (value + shift).clamp(max=1)
    ratio = torch.where(value > 0, images / value.clamp_min(torch.finfo(images.dtype).tiny), torch.ones_like(images))
    return ratio * brighter


_SNOW: Constants = {
    "location": (0.1, 0.1, 0.15, 0.25, 0.3),
    "scale": (0.2, 0.2, 0.3, 0.3, 0.3),
    "zoom": (1.0, 1.0, 1.75, 2.25, 1.25),
    "threshold": (0.6, 0.5, 0.55, 0.6, 0.65),
    "radius": (8, 10, 10, 12, 14),
    "sigma": (3.0, 4.0, 4.0, 6.0, 12.0),
}

WEATHER = (
    Corruption(
        "snow",
        _snow,
        cifar={**_SNOW, "mix": (0.95, 0.9, 0.9, 0.85, 0.8)},
        tiny={**_SNOW, "mix": (0.8, 0.8, 0.7, 0.65, 0.6)},
    ),
    Corruption(
        "frost",
        _frost,
        cifar={
            "weight": (1.0, 1.0, 0.9, 0.85, 0.75),
            "frost_weight": (0.2, 0.3, 0.4, 0.4, 0.45),
            "shrink": (0.2, 0.2, 0.2, 0.2, 0.2),
        },
        tiny={
            "weight": (1.0, 0.9, 0.8, 0.75, 0.7),
            "frost_weight": (0.3, 0.4, 0.45, 0.5, 0.55),
            "shrink": (0.3, 0.3, 0.3, 0.3, 0.3),
        },
        photographs=True,
    ),
    Corruption(
        "fog",
        _fog,
        cifar={"weight": (0.2, 0.5, 0.75, 1.0, 1.5), "decay": (3.0, 3.0, 2.5, 2.0, 1.75)},
        tiny={"weight": (0.4, 0.7, 1.0, 1.5, 2.0), "decay": (3.0, 3.0, 2.5, 2.0, 1.75)},
    ),
    Corruption(
        "brightness",
        _brightness,
        cifar={"shift": (0.05, 0.1, 0.15, 0.2, 0.3)},
        tiny={"shift": (0.1, 0.2, 0.3, 0.4, 0.5)},
    ),
)
