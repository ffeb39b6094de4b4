"""Linear filters of images as SciPy, OpenCV and ImageMagick define them."""

import math
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from sharpdiv.empirical.data.corrupting.pixels import Images

__all__ = ["blurred", "clipped_zoom", "correlate", "smear"]


def blurred(
    images: Images, sigma: float, truncate: float = 4.0, edges: Literal["nearest", "symmetric"] = "nearest"
) -> Images:
    """Gaussian blur as SciPy has it: cut off at ``truncate`` sigma, rounded to whole pixels.

    Args:
        images: batch of any number of channels.
        sigma: deviation in pixels.
        truncate: end of the kernel, in deviations.
        edges: rule for what lies beyond the edges.

    Returns:
        Images of the same shape.

    Examples:
        >>> import torch
        >>> from sharpdiv.empirical.data.corrupting.filters import blurred
        >>> image = torch.zeros(1, 1, 9, 9)
        >>> image[..., 4, 4] = 1
        >>> blur = blurred(image, sigma=1.0)
        >>> round(blur.sum().item(), 4), round(blur.max().item(), 3)  # 1 / (2 pi sigma^2) in the middle
        (1.0, 0.159)
    """
    rows, columns = (_blur_matrix(size, sigma, truncate, edges).to(images) for size in images.shape[2:])
    return rows @ images @ columns.mT


def _blur_matrix(size: int, sigma: float, truncate: float, edges: str) -> Float[Tensor, "size size"]:
    """The blur of a line of pixels; a matrix has room for every rule at the edges, also where the kernel is the longer one."""
    reach = int(truncate * sigma + 0.5)
    offsets = torch.arange(-reach, reach + 1, dtype=torch.float64)
    weights = torch.exp(-(offsets**2) / (2 * sigma**2))
    sources = torch.arange(size)[:, None] + offsets.long()
    if edges == "nearest":
        sources = sources.clamp(0, size - 1)
    else:
        sources = sources % (2 * size)
        sources = torch.minimum(sources, 2 * size - 1 - sources)
    matrix = torch.zeros(size, size, dtype=torch.float64)
    return matrix.scatter_add_(1, sources, (weights / weights.sum()).expand(size, -1))


def correlate(
    images: Images, kernel: Float[Tensor, "k k"], edges: Literal["reflect", "replicate"] = "reflect"
) -> Images:
    """Correlate each channel with a small kernel; by default edges are mirrored without repetition, as is OpenCV's default.

    A sum of shifted images, as the kernels are small.

    Args:
        images: batch of any number of channels.
        kernel: weights on the CPU, of odd size.
        edges: rule for what lies beyond the edges.

    Returns:
        Images of the same shape.

    Examples:
        >>> import torch
        >>> from sharpdiv.empirical.data.corrupting.filters import correlate
        >>> image = torch.arange(9.0).view(1, 1, 3, 3)
        >>> right = torch.tensor([[0.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, 0.0, 0.0]])  # each pixel takes its right neighbour
        >>> correlate(image, right)[0, 0, 0]
        tensor([1., 2., 1.])
    """
    reach, (height, width) = len(kernel) // 2, images.shape[2:]
    padded = nn.functional.pad(images, (reach, reach, reach, reach), mode=edges)
    total = torch.zeros_like(images)
    for down, row in enumerate(kernel.tolist()):
        for right, weight in enumerate(row):
            if weight:
                total.add_(padded[:, :, down : down + height, right : right + width], alpha=weight)
    return total


def clipped_zoom(images: Images, factor: float) -> Images:
    """The middle ``1 / factor`` of the image, enlarged linearly so that corner pixels stay corner pixels, and trimmed.

    Args:
        images: batch of any number of channels.
        factor: factor of the enlargement, at least 1.

    Returns:
        Images of the same shape.

    Examples:
        >>> import torch
        >>> from sharpdiv.empirical.data.corrupting.filters import clipped_zoom
        >>> image = torch.tensor([0.0, 1.0, 4.0, 9.0]).expand(1, 1, 4, 4)
        >>> clipped_zoom(image, factor=2.0)[0, 0, 0].round(decimals=4)  # from 1 to 4, linearly
        tensor([1., 2., 3., 4.])
    """
    sides = images.shape[2:]
    crop = [math.ceil(side / factor) for side in sides]
    top, left = ((side - kept) // 2 for side, kept in zip(sides, crop, strict=True))
    middle = images[:, :, top : top + crop[0], left : left + crop[1]]
    size = [round(kept * factor) for kept in crop]
    zoomed = nn.functional.interpolate(middle, size=size, mode="bilinear", align_corners=True)
    top, left = ((longer - side) // 2 for side, longer in zip(sides, size, strict=True))
    return zoomed[:, :, top : top + sides[0], left : left + sides[1]]


def smear(images: Images, degrees: Float[Tensor, " samples"], radius: int, sigma: float) -> Images:
    """ImageMagick's motion blur: half a Gaussian along a ray, the nearest pixel at each step, edges replicated.

    The weights of the steps 0 to ``2 radius`` are proportional to ``exp(-step^2 / (2 sigma^2))``.

    Args:
        images: batch of any number of channels.
        degrees: direction of the ray in each image, clockwise from the right.
        radius: half of the number of steps.
        sigma: deviation of the Gaussian.

    Returns:
        Images rounded to 8 bits, as ImageMagick writes them.

    Examples:
        >>> import torch
        >>> from sharpdiv.empirical.data.corrupting.filters import smear
        >>> image = torch.tensor([0.0, 0.0, 0.0, 0.6]).expand(1, 1, 2, 4)
        >>> smear(image, degrees=torch.zeros(1), radius=1, sigma=1e6)[0, 0, 0]  # means over three pixels to the right
        tensor([0.0000, 0.2000, 0.4000, 0.6000])
    """
    _, channels, height, width = images.shape
    steps = torch.arange(2 * radius + 1.0, device=images.device)
    weights = torch.exp(-(steps**2) / (2 * sigma**2))
    weights /= weights.sum()
    angle = torch.deg2rad(degrees)[:, None]
    right, down = ((steps * part - 0.5).ceil().long() for part in (angle.cos(), angle.sin()))
    rows = (torch.arange(height, device=images.device) + down[..., None]).clamp(0, height - 1)
    columns = (torch.arange(width, device=images.device) + right[..., None]).clamp(0, width - 1)
    pixels, total = images.flatten(2), torch.zeros_like(images)
    for step, weight in enumerate(weights):
        index = (rows[:, step, :, None] * width + columns[:, step, None, :]).flatten(1)
        total += weight * pixels.gather(2, index[:, None].expand(-1, channels, -1)).view_as(images)
    return (total * 255).round() / 255
