"""Spatter: drops of water or mud on the lens."""

import itertools
import math

import torch
from jaxtyping import Bool
from torch import Tensor, nn

from sharpdiv.empirical.data.corrupting.corruption import Constants, Corruption
from sharpdiv.empirical.data.corrupting.draws import Draws
from sharpdiv.empirical.data.corrupting.filters import blurred, correlate
from sharpdiv.empirical.data.corrupting.pixels import GUARD, Images, Layers, colour

__all__ = ["SPATTER"]


def _spatter(
    images: Images,
    draws: Draws,
    location: float,
    scale: float,
    smoothing: float,
    threshold: float,
    strength: float,
    mud: int,
) -> Images:
    """Drops are the peaks of smooth noise.

    Returns:
        For water, the images plus pale turquoise of at most ``strength``; for mud, the images hidden behind brown whose outline
        is blurred by the deviation ``strength``.
    """
    liquid = blurred(location + scale * draws.normal(1, *images.shape[2:]), smoothing)
    liquid = torch.where(liquid < threshold, torch.zeros_like(liquid), liquid)
    if mud:
        opaque = blurred((liquid > threshold).to(images), strength)
        opaque = torch.where(opaque < 0.8, torch.zeros_like(opaque), opaque)
        return images * (1 - opaque) + opaque * colour((63, 42, 20), images)
    # What is brighter than white wraps round, as in the originals' cast to 8 bits.
    water = _water((liquid[:, 0] * 255 + GUARD).floor() % 256)[:, None]
    return images + strength * water * colour((175, 238, 238), images)


def _water(liquid: Layers) -> Layers:
    """Brightness of drops as if lit from the upper left: the liquid times an embossed map of the distance to its outline.

    Args:
        liquid: levels 0 to 255.

    Returns:
        In [0, 1] with maximum 1, or 0 where there is no drop.
    """
    emboss = torch.tensor([[-2.0, -1.0, 0.0], [-1.0, 1.0, 1.0], [0.0, 1.0, 2.0]])
    mean = torch.full((3, 3), 1 / 9)
    depth = (correlate(_distance(_canny(liquid), limit=20)[:, None], mean) + GUARD).floor()
    relief = correlate(_equalize(depth[:, 0], levels=21)[:, None], emboss).clamp(0, 255)
    drops = liquid * correlate(relief, mean).round()[:, 0]
    return drops / drops.amax(dim=(1, 2), keepdim=True).clamp_min(1)


def _canny(levels: Layers, low: float = 50.0, high: float = 150.0) -> Bool[Tensor, "samples height width"]:
    """Canny's edges as OpenCV has them: 3x3 Sobel gradients, their 1-norm, non-maximum suppression, hysteresis.

    Weak edges are followed from strong ones over at most height + width pixels.

    Returns:
        True on edges.
    """
    sobel = torch.tensor([[-1.0, 0.0, 1.0], [-2.0, 0.0, 2.0], [-1.0, 0.0, 1.0]])
    dx, dy = (correlate(levels[:, None], kernel, edges="replicate")[:, 0] for kernel in (sobel, sobel.T))
    height, width = levels.shape[1:]
    size = dx.abs() + dy.abs()
    padded = nn.functional.pad(size, (1, 1, 1, 1))

    def beside(down: int, right: int) -> Layers:
        return padded[:, 1 + down : 1 + down + height, 1 + right : 1 + right + width]

    tangent = math.sqrt(2) - 1  # of 22.5 degrees
    flat, steep = dy.abs() < tangent * dx.abs(), dx.abs() < tangent * dy.abs()
    falling = torch.where(
        dx * dy < 0, torch.maximum(beside(-1, 1), beside(1, -1)), torch.maximum(beside(-1, -1), beside(1, 1))
    )
    peak = size > falling
    peak = torch.where(steep, (size > beside(-1, 0)) & (size >= beside(1, 0)), peak)
    peak = torch.where(flat, (size > beside(0, -1)) & (size >= beside(0, 1)), peak)
    weak = peak & (size > low)
    edges = weak & (size > high)
    for _ in range(height + width):
        edges = _dilate(edges) & weak
    return edges


def _dilate(mask: Bool[Tensor, "samples height width"]) -> Bool[Tensor, "samples height width"]:
    """True where one of the 3x3 pixels around is."""
    for axis in (1, 2):
        wide, size = mask.clone(), mask.shape[axis] - 1
        wide.narrow(axis, 1, size).logical_or_(mask.narrow(axis, 0, size))
        wide.narrow(axis, 0, size).logical_or_(mask.narrow(axis, 1, size))
        mask = wide
    return mask


def _distance(edges: Bool[Tensor, "samples height width"], limit: int) -> Layers:
    """Length of the shortest path to an edge, at most ``limit``, as OpenCV measures it with a 5x5 mask.

    A path is made of moves to a neighbour (length 1), a diagonal neighbour (1.4) and a knight's move (2.1969), and so within 2%
    as long as a straight line.

    Returns:
        Distances; ``limit`` everywhere where there is no edge.
    """
    height, width = edges.shape[1:]
    shortest = torch.where(edges, 0.0, float(limit))
    for _ in range(limit):  # no move is shorter than 1
        padded = nn.functional.pad(shortest, (2, 2, 2, 2), value=limit)
        for down, right in itertools.product(range(-2, 3), repeat=2):
            length = {1: 1, 2: 1.4, 5: 2.1969}.get(down**2 + right**2)
            if length:
                beside = padded[:, 2 + down : 2 + down + height, 2 + right : 2 + right + width]
                shortest = torch.minimum(shortest, beside + length)
    return shortest


def _equalize(values: Layers, levels: int) -> Layers:
    """Histogram equalization as OpenCV has it: the least value becomes 0, the greatest 255, a constant stays.

    Args:
        values: whole numbers below ``levels``.
        levels: how many there are.

    Returns:
        Whole numbers from 0 to 255.
    """
    flat = values.flatten(1)
    counts = (flat[:, None] <= torch.arange(levels, device=values.device)[:, None]).sum(dim=2)
    ranks = counts.gather(1, flat.long())
    least = ranks.amin(dim=1, keepdim=True)
    rest = flat.shape[1] - least
    equal = (255 * (ranks - least) / rest.clamp_min(1)).round()
    return torch.where(rest > 0, equal, flat).view_as(values)


_SPATTER: Constants = {
    "location": (0.62, 0.65, 0.65, 0.65, 0.65),
    "scale": (0.1, 0.1, 0.3, 0.1, 0.1),
    "smoothing": (0.7, 0.8, 1.0, 0.7, 0.5),
    "mud": (0, 0, 0, 1, 1),
}

SPATTER = (
    Corruption(
        "spatter",
        _spatter,
        cifar={**_SPATTER, "threshold": (0.7, 0.7, 0.69, 0.69, 0.68), "strength": (0.5, 0.5, 0.5, 0.6, 0.6)},
        tiny={**_SPATTER, "threshold": (0.7, 0.7, 0.69, 0.68, 0.67), "strength": (0.6, 0.6, 0.6, 0.6, 0.6)},
        extra=True,
    ),
)
