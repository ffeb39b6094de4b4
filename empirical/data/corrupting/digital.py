"""Corruptions of digital processing."""

import io

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor, nn

from sharpdiv.empirical.data.corrupting.corruption import Corruption
from sharpdiv.empirical.data.corrupting.draws import Draws
from sharpdiv.empirical.data.corrupting.filters import blurred
from sharpdiv.empirical.data.corrupting.pixels import GUARD, Images

__all__ = ["DIGITAL"]


def _contrast(images: Images, draws: Draws, factor: float) -> Images:  # noqa: ARG001
    mean = images.mean(dim=(2, 3), keepdim=True)
    return (images - mean) * factor + mean


def _elastic_transform(images: Images, draws: Draws, displacement: float, smoothing: float, jitter: float) -> Images:
    """A random affine map, then a random smooth displacement of every pixel; lengths in units of the shorter side."""
    height, width = images.shape[2:]
    side = min(height, width)
    images = _affine(images, jitter * side * (2 * draws.uniform(3, 2) - 1))
    if not displacement:
        return images
    field = 2 * draws.uniform(2, height, width) - 1
    field = displacement * side * blurred(field, smoothing * side, truncate=3.0, edges="symmetric")
    x = torch.arange(width, device=images.device) + field[:, 0]
    y = torch.arange(height, device=images.device)[:, None] + field[:, 1]
    # Without aligned corners, grid_sample's reflection repeats the edge: SciPy's "reflect".
    grid = torch.stack([(2 * x + 1) / width - 1, (2 * y + 1) / height - 1], dim=-1)
    return nn.functional.grid_sample(images, grid, padding_mode="reflection", align_corners=False)


def _affine(images: Images, shifts: Float[Tensor, "samples 3 2"]) -> Images:
    """Move three points, which are a third of the side off the centre, by ``shifts``, and the image with them.

    Returns:
        Images sampled bilinearly, edges mirrored without repetition.
    """
    height, width = images.shape[2:]
    third = min(height, width) // 3
    centre = torch.tensor([width // 2, height // 2], dtype=torch.float64)
    points = centre + third * torch.tensor([[1, 1], [1, -1], [-1, -1]])
    # Where each pixel comes from: the map from the moved points back. On the CPU, as not every device solves in float64.
    moved = nn.functional.pad(points + shifts.cpu(), (0, 1), value=1)
    back = torch.linalg.solve(moved, points.expand(len(images), -1, -1)).to(images)
    x = torch.arange(width, device=images.device).expand(height, -1)
    y = torch.arange(height, device=images.device)[:, None].expand(-1, width)
    source = torch.stack([x, y, torch.ones_like(x)], dim=-1).to(images) @ back[:, None]
    scale = source.new_tensor([width - 1, height - 1])
    return nn.functional.grid_sample(images, 2 * source / scale - 1, padding_mode="reflection", align_corners=True)


def _pixelate(images: Images, draws: Draws, scale: float) -> Images:  # noqa: ARG001
    """Shrink and enlarge again with Pillow's box filter."""
    height, width = images.shape[2:]
    small = _resize_box(images, int(height * scale), int(width * scale))
    return _resize_box(small, height, width)


def _resize_box(images: Images, height: int, width: int) -> Float[Tensor, "samples channels {height} {width}"]:
    """Pillow's resize: along each axis the mean of the pixels whose centre is in the box, rows first, rounded each time."""
    resized = images @ _box_matrix(images.shape[3], width).to(images).mT
    resized = (resized * 255 + 0.5 + GUARD).floor() / 255
    resized = _box_matrix(images.shape[2], height).to(images) @ resized
    return (resized * 255 + 0.5 + GUARD).floor() / 255


def _box_matrix(size: int, target: int) -> Float[Tensor, "target size"]:
    """Means over boxes of ``size / target`` pixels, at least one.

    Rounding decides whether a pixel whose centre is on the rim of a box belongs to it, so this is Pillow's order of operations.

    Returns:
        Rows that sum to 1, in float64.
    """
    scale = size / target
    width = max(scale, 1.0)
    centres = (torch.arange(target, dtype=torch.float64)[:, None] + 0.5) * scale
    pixels = torch.arange(size)
    window = (pixels >= (centres - 0.5 * width + 0.5).floor()) & (pixels < (centres + 0.5 * width + 0.5).floor())
    distance = (pixels - centres + 0.5) * (1 / width)
    box = (window & (distance > -0.5) & (distance <= 0.5)).double()
    return box / box.sum(dim=1, keepdim=True)


def _jpeg_compression(images: Images, draws: Draws, quality: int) -> Images:  # noqa: ARG001
    """Through Pillow's JPEG encoder and decoder, one image at a time: there is no batched one that all devices have."""
    layout = images.mul(255).round().to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()
    decoded = []
    for pixels in layout:
        file = io.BytesIO()
        Image.fromarray(pixels.squeeze(2) if pixels.shape[2] == 1 else pixels).save(file, "JPEG", quality=quality)
        decoded.append(np.asarray(Image.open(file)).reshape(pixels.shape))
    return torch.from_numpy(np.stack(decoded)).to(images.device).permute(0, 3, 1, 2).float() / 255


def _saturate(images: Images, draws: Draws, factor: float, shift: float) -> Images:  # noqa: ARG001
    """Scale and shift the saturation of HSV; hue and value stay. Grey pixels of colour images have the hue of red."""
    if images.shape[1] == 1:
        return images
    value = images.amax(dim=1, keepdim=True)
    spread = value - images.amin(dim=1, keepdim=True)
    tiny = torch.finfo(images.dtype).tiny
    saturation = (spread / value.clamp_min(tiny) * factor + shift).clamp(0, 1)
    red = images.new_tensor([0.0, 1.0, 1.0])[:, None, None]
    below = torch.where(spread > 0, (value - images) / spread.clamp_min(tiny), red)
    return value * (1 - saturation * below)


DIGITAL = (
    Corruption(
        "contrast",
        _contrast,
        cifar={"factor": (0.75, 0.5, 0.4, 0.3, 0.15)},
        tiny={"factor": (0.4, 0.3, 0.2, 0.1, 0.05)},
    ),
    Corruption(
        "elastic_transform",
        _elastic_transform,
        cifar={
            "displacement": (0.0, 0.05, 0.08, 0.1, 0.1),
            "smoothing": (0.0, 0.2, 0.06, 0.04, 0.03),
            "jitter": (0.08, 0.07, 0.06, 0.05, 0.03),
        },
        tiny={
            "displacement": (0.0, 0.05, 0.1, 0.1, 0.16),
            "smoothing": (0.0, 0.3, 0.08, 0.03, 0.03),
            "jitter": (0.08, 0.06, 0.06, 0.03, 0.02),
        },
    ),
    Corruption(
        "pixelate", _pixelate, cifar={"scale": (0.95, 0.9, 0.85, 0.75, 0.65)}, tiny={"scale": (0.9, 0.8, 0.7, 0.6, 0.5)}
    ),
    Corruption(
        "jpeg_compression",
        _jpeg_compression,
        cifar={"quality": (80, 65, 58, 50, 40)},
        tiny={"quality": (65, 58, 50, 40, 25)},
    ),
    Corruption(
        "saturate",
        _saturate,
        cifar={"factor": (0.3, 0.1, 1.5, 2.0, 2.5), "shift": (0.0, 0.0, 0.0, 0.1, 0.2)},
        tiny={"factor": (0.3, 0.1, 2.0, 5.0, 30.0), "shift": (0.0, 0.0, 0.0, 0.1, 0.2)},
        extra=True,
    ),
)
