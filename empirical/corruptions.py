"""Image corruptions of Hendrycks and Dietterich (2019), generated batched on the images' device.

Every corruption is a function of images in [0, 1], of random numbers and of named constants; the constants are those of
``make_cifar_c.py``, or of ``make_tinyimagenet_c.py`` where both sides of an image have 64 pixels or more. Lengths (radii,
sigmas, shifts) are pixels and stay as they are at every size below 64; the elastic transform's are fractions of the shorter
side, as in the originals. Results are quantised as the published files are, but the random numbers are our own: call these
images "generated", never CIFAR-10-C. Where the originals call OpenCV, scikit-image, SciPy or ImageMagick, the functions
below state and follow those libraries' definitions.

Images with one channel are grey: they have no saturation, so ``saturate`` leaves them as they are, and coloured things (frost,
water, mud) count with their luma.
"""

import io
import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, UInt8
from PIL import Image
from torch import Tensor, nn

from empirical.errors import InputError

__all__ = ["CORRUPTIONS", "EXTRA_CORRUPTIONS", "SEVERITIES", "corrupt"]

CORRUPTIONS = (
    "gaussian_noise",
    "shot_noise",
    "impulse_noise",
    "defocus_blur",
    "glass_blur",
    "motion_blur",
    "zoom_blur",
    "snow",
    "fog",
    "brightness",
    "contrast",
    "elastic_transform",
    "pixelate",
    "jpeg_compression",
)
"""The standard corruptions in the paper's order (noise, blur, weather, digital), without frost, which needs photographs."""

EXTRA_CORRUPTIONS = ("speckle_noise", "gaussian_blur", "spatter", "saturate")
"""The paper's extra ones, meant for validation."""

SEVERITIES = (1, 2, 3, 4, 5)

Images = Float[Tensor, "samples channels height width"]
Layers = Float[Tensor, "samples height width"]
Constants = dict[str, tuple[float, ...] | tuple[int, ...]]

_CHUNK = 250  # images at a time, which bounds the memory
_LEAST_SIDE = 8  # of an image, so that no kernel, crop or triangle degenerates
_TINY_SIDE = 64  # from here on the constants of Tiny-ImageNet-C

# Truncation turns a rounding error into a whole level: what lies this little (in levels) below a level counts as that level.
_GUARD = 2**-13

_LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601, as OpenCV's and Pillow's grey


def corrupt(
    images: Tensor,
    name: str,
    severity: int,
    seed: int = 0,
    *,
    frost_images: Sequence[Tensor] | None = None,
) -> UInt8[Tensor, "samples channels height width"]:
    """Corrupt images.

    The random numbers of an image depend on the seed and on its position only, neither on the images beside it nor on the
    device. With one seed, the severities of a corruption share their random numbers where they draw alike.

    Args:
        images: uint8 ``(samples, channels, height, width)`` with 1 or 3 channels and sides of at least 8.
        name: one of ``CORRUPTIONS`` or ``EXTRA_CORRUPTIONS``, or ``frost`` if ``frost_images`` are given.
        severity: 1 to 5.
        seed: of the random numbers, not negative.
        frost_images: uint8 photographs ``(3, height, width)`` at their original size, for ``frost``. The originals use the
            first five of the six in Hendrycks' repository.

    Returns:
        uint8 images of the same shape on the same device: clipped to [0, 1], times 255, truncated.

    Raises:
        InputError: if the corruption or the severity does not exist, the images or the seed are not as described, or frost
            images are missing, too small or not as described.
    """
    if name not in _TABLE:
        known = (*CORRUPTIONS, *EXTRA_CORRUPTIONS, "frost")
        raise InputError(f"corruption must be one of {', '.join(known)}; got {name!r}")
    if severity not in SEVERITIES:
        raise InputError(f"severity must be 1 to 5, got {severity}")
    if seed < 0:
        raise InputError(f"seed must not be negative, got {seed}")
    _check_images(images)
    entry = _TABLE[name]
    table = entry.tiny if min(images.shape[2:]) >= _TINY_SIDE else entry.cifar
    constants: dict[str, Any] = {key: values[severity - 1] for key, values in table.items()}
    if name == "frost":
        if frost_images is None or not len(frost_images):
            raise InputError("frost is made from photographs that are not shipped; give them as frost_images")
        shrink = constants.pop("shrink")
        constants["textures"] = [_frost_texture(photograph, shrink, images) for photograph in frost_images]
    chunks = []
    for start in range(0, len(images), _CHUNK):
        chunk = images[start : start + _CHUNK]
        draws = _Draws(seed, range(start, start + len(chunk)), images.device)
        chunks.append(_levels(entry.function(chunk.float() / 255, draws, **constants)).to(torch.uint8))
    return torch.cat(chunks)


def _check_images(images: Tensor) -> None:
    if images.dtype != torch.uint8:
        raise InputError(
            f"images must be uint8, got {images.dtype}; corrupt them before they are scaled and normalised"
        )
    if images.ndim != 4 or not len(images) or images.shape[1] not in {1, 3} or min(images.shape[2:]) < _LEAST_SIDE:
        raise InputError(
            f"images must have shape (samples, 1 or 3 channels, height, width), at least one of them and "
            f"{_LEAST_SIDE}x{_LEAST_SIDE} pixels; got {tuple(images.shape)}"
        )


def _levels(values: Images) -> Images:
    """Quantised as in the published files: whole numbers from 0 to 255."""
    return (values.clamp(0, 1) * 255 + _GUARD).floor()


class _Draws:
    """Random numbers for some images, each image with its own stream.

    Drawn on the CPU, so that every device sees the same ones, and moved to the images' device in one go.
    """

    def __init__(self, seed: int, positions: range, device: torch.device) -> None:
        self._streams = [np.random.default_rng((seed, position)) for position in positions]
        self._device = device

    def normal(self, *shape: int) -> Tensor:
        return self._stack([stream.standard_normal(shape, dtype=np.float32) for stream in self._streams])

    def uniform(self, *shape: int) -> Tensor:
        """In [0, 1).

        Returns:
            Shape ``(samples, *shape)``.
        """
        return self._stack([stream.random(shape, dtype=np.float32) for stream in self._streams])

    def integers(self, low: int, high: int, *shape: int) -> Tensor:
        """From ``low`` to ``high - 1``.

        Returns:
            Shape ``(samples, *shape)``.
        """
        return self._stack([stream.integers(low, high, shape) for stream in self._streams])

    def poisson(self, rates: Images) -> Images:
        pairs = zip(self._streams, rates.cpu().numpy(), strict=True)
        return self._stack([stream.poisson(rate).astype(np.float32) for stream, rate in pairs])

    def _stack(self, draws: list[np.ndarray]) -> Tensor:
        return torch.from_numpy(np.stack(draws)).to(self._device)


# Noise


def _gaussian_noise(images: Images, draws: _Draws, sigma: float) -> Images:
    return images + sigma * draws.normal(*images.shape[1:])


def _shot_noise(images: Images, draws: _Draws, photons: int) -> Images:
    return draws.poisson(images * photons) / photons


def _impulse_noise(images: Images, draws: _Draws, amount: float) -> Images:
    """Salt or pepper, half each, on ``amount`` of the values."""
    draw = draws.uniform(*images.shape[1:])
    salted = torch.where(draw < amount / 2, torch.ones_like(images), images)
    return torch.where(draw >= 1 - amount / 2, torch.zeros_like(images), salted)


def _speckle_noise(images: Images, draws: _Draws, sigma: float) -> Images:
    return images + images * sigma * draws.normal(*images.shape[1:])


# Blur


def _gaussian_blur(images: Images, draws: _Draws, sigma: float) -> Images:  # noqa: ARG001
    return _blur(images, sigma)


def _defocus_blur(images: Images, draws: _Draws, radius: float, alias: float) -> Images:  # noqa: ARG001
    """A disk of whole pixels, its rim softened by a 3x3 Gaussian of deviation ``alias``; edges mirrored without repetition."""
    reach = int(radius) + 1
    offsets = torch.arange(-reach, reach + 1.0)
    disk = (offsets[:, None] ** 2 + offsets**2 <= radius**2).float()
    soft = torch.exp(-(torch.arange(-1.0, 2.0) ** 2) / (2 * alias**2))
    kernel = nn.functional.conv2d(disk[None, None], torch.outer(soft, soft)[None, None], padding=1)
    return _correlate(images, kernel[0, 0] / kernel.sum())


def _glass_blur(images: Images, draws: _Draws, sigma: float, max_delta: int, iterations: int) -> Images:
    """Blur, let every pixel take the value of a near one, blur."""
    _, channels, height, width = images.shape
    pixels = _levels(_blur(images, sigma)).flatten(2) / 255
    for _ in range(iterations):
        sources = _glass_sources(draws.integers(-max_delta, max_delta, 2, height, width), max_delta)
        pixels = pixels.gather(2, sources[:, None].expand(-1, channels, -1))
    return _blur(pixels.unflatten(2, (height, width)), sigma)


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


def _motion_blur(images: Images, draws: _Draws, radius: int, sigma: float) -> Images:
    return _smear(images, 90 * draws.uniform() - 45, radius, sigma)


def _smear(images: Images, degrees: Float[Tensor, " samples"], radius: int, sigma: float) -> Images:
    """ImageMagick's motion blur: half a Gaussian along a ray, the nearest pixel at each step, edges replicated.

    The weights of the steps 0 to ``2 radius`` are proportional to ``exp(-step^2 / (2 sigma^2))``.

    Returns:
        Images rounded to 8 bits, as ImageMagick writes them.
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


def _zoom_blur(images: Images, draws: _Draws, stop: float) -> Images:  # noqa: ARG001
    """Mean of the image and of its zooms by 1, 1.01, ... up to ``stop``: the unzoomed image counts twice."""
    # As the originals have it: rounding makes the factor nearest to stop belong or not, and zoomed sizes round up or down.
    factors = np.arange(1, stop, 0.01).tolist()
    total = images.clone()
    for factor in factors:
        total += _clipped_zoom(images, factor)
    return total / (len(factors) + 1)


# Weather


def _snow(
    images: Images,
    draws: _Draws,
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
    flakes = _clipped_zoom(flakes, zoom)
    flakes = _levels(torch.where(flakes < threshold, torch.zeros_like(flakes), flakes)) / 255
    flakes = _smear(flakes, -135 + 90 * draws.uniform(), radius, sigma)
    white = torch.maximum(images, 1.5 * _grey(images) + 0.5)
    return mix * images + (1 - mix) * white + flakes + flakes.flip(2, 3)


def _frost(images: Images, draws: _Draws, weight: float, frost_weight: float, textures: list[Tensor]) -> Images:
    """Add a random crop of a random texture."""
    height, width = images.shape[2:]
    which, where = draws.integers(0, len(textures), 1).flatten().tolist(), draws.uniform(2).tolist()
    crops = []
    for texture, (down, right) in zip((textures[index] for index in which), where, strict=True):
        top, left = int(down * (texture.shape[1] - height)), int(right * (texture.shape[2] - width))
        crops.append(texture[:, top : top + height, left : left + width])
    return weight * images + frost_weight * torch.stack(crops)


def _frost_texture(
    photograph: Tensor, shrink: float, images: UInt8[Tensor, "samples channels height width"]
) -> Float[Tensor, "channels _ _"]:
    """A photograph shrunk by bilinear interpolation without antialiasing, as OpenCV does, in the images' colours."""
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
    return (_grey(texture) if images.shape[1] == 1 else texture)[0]


def _fog(images: Images, draws: _Draws, weight: float, decay: float) -> Images:
    """Add a plasma fractal and scale so that the brightest value of the image would stay where the fog is thickest."""
    height, width = images.shape[2:]
    fog = _plasma(draws, 1 << (max(height, width) - 1).bit_length(), decay)[:, None, :height, :width]
    brightest = images.amax(dim=(1, 2, 3), keepdim=True)
    return (images + weight * fog) * brightest / (brightest + weight)


def _plasma(draws: _Draws, size: int, decay: float) -> Layers:
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


def _brightness(images: Images, draws: _Draws, shift: float) -> Images:  # noqa: ARG001
    """Raise the value of HSV; hue and saturation stay, so the channels keep their ratios (black becomes grey)."""
    value = images.amax(dim=1, keepdim=True)
    brighter = (value + shift).clamp(max=1)
    ratio = torch.where(value > 0, images / value.clamp_min(torch.finfo(images.dtype).tiny), torch.ones_like(images))
    return ratio * brighter


# Digital


def _contrast(images: Images, draws: _Draws, factor: float) -> Images:  # noqa: ARG001
    mean = images.mean(dim=(2, 3), keepdim=True)
    return (images - mean) * factor + mean


def _elastic_transform(images: Images, draws: _Draws, displacement: float, smoothing: float, jitter: float) -> Images:
    """A random affine map, then a random smooth displacement of every pixel; lengths in units of the shorter side."""
    height, width = images.shape[2:]
    side = min(height, width)
    images = _affine(images, jitter * side * (2 * draws.uniform(3, 2) - 1))
    if not displacement:
        return images
    field = 2 * draws.uniform(2, height, width) - 1
    field = displacement * side * _blur(field, smoothing * side, truncate=3.0, edges="symmetric")
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


def _pixelate(images: Images, draws: _Draws, scale: float) -> Images:  # noqa: ARG001
    """Shrink and enlarge again with Pillow's box filter."""
    height, width = images.shape[2:]
    small = _resize_box(images, int(height * scale), int(width * scale))
    return _resize_box(small, height, width)


def _resize_box(images: Images, height: int, width: int) -> Float[Tensor, "samples channels {height} {width}"]:
    """Pillow's resize: along each axis the mean of the pixels whose centre is in the box, rows first, rounded each time."""
    resized = images @ _box_matrix(images.shape[3], width).to(images).mT
    resized = (resized * 255 + 0.5 + _GUARD).floor() / 255
    resized = _box_matrix(images.shape[2], height).to(images) @ resized
    return (resized * 255 + 0.5 + _GUARD).floor() / 255


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


def _jpeg_compression(images: Images, draws: _Draws, quality: int) -> Images:  # noqa: ARG001
    """Through Pillow's JPEG encoder and decoder, one image at a time: there is no batched one that all devices have."""
    layout = images.mul(255).round().to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()
    decoded = []
    for pixels in layout:
        file = io.BytesIO()
        Image.fromarray(pixels.squeeze(2) if pixels.shape[2] == 1 else pixels).save(file, "JPEG", quality=quality)
        decoded.append(np.asarray(Image.open(file)).reshape(pixels.shape))
    return torch.from_numpy(np.stack(decoded)).to(images.device).permute(0, 3, 1, 2).float() / 255


# Extra


def _spatter(
    images: Images,
    draws: _Draws,
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
    liquid = _blur(location + scale * draws.normal(1, *images.shape[2:]), smoothing)
    liquid = torch.where(liquid < threshold, torch.zeros_like(liquid), liquid)
    if mud:
        opaque = _blur((liquid > threshold).to(images), strength)
        opaque = torch.where(opaque < 0.8, torch.zeros_like(opaque), opaque)
        return images * (1 - opaque) + opaque * _colour((63, 42, 20), images)
    # What is brighter than white wraps round, as in the originals' cast to 8 bits.
    water = _water((liquid[:, 0] * 255 + _GUARD).floor() % 256)[:, None]
    return images + strength * water * _colour((175, 238, 238), images)


def _water(liquid: Layers) -> Layers:
    """Brightness of drops as if lit from the upper left: the liquid times an embossed map of the distance to its outline.

    Args:
        liquid: levels 0 to 255.

    Returns:
        In [0, 1] with maximum 1, or 0 where there is no drop.
    """
    emboss = torch.tensor([[-2.0, -1.0, 0.0], [-1.0, 1.0, 1.0], [0.0, 1.0, 2.0]])
    mean = torch.full((3, 3), 1 / 9)
    depth = (_correlate(_distance(_canny(liquid), limit=20)[:, None], mean) + _GUARD).floor()
    relief = _correlate(_equalize(depth[:, 0], levels=21)[:, None], emboss).clamp(0, 255)
    drops = liquid * _correlate(relief, mean).round()[:, 0]
    return drops / drops.amax(dim=(1, 2), keepdim=True).clamp_min(1)


def _canny(levels: Layers, low: float = 50.0, high: float = 150.0) -> Bool[Tensor, "samples height width"]:
    """Canny's edges as OpenCV has them: 3x3 Sobel gradients, their 1-norm, non-maximum suppression, hysteresis.

    Weak edges are followed from strong ones over at most height + width pixels.

    Returns:
        True on edges.
    """
    sobel = torch.tensor([[-1.0, 0.0, 1.0], [-2.0, 0.0, 2.0], [-1.0, 0.0, 1.0]])
    dx, dy = (_correlate(levels[:, None], kernel, edges="replicate")[:, 0] for kernel in (sobel, sobel.T))
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
    """Histogram equalisation as OpenCV has it: the least value becomes 0, the greatest 255, a constant stays.

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


def _saturate(images: Images, draws: _Draws, factor: float, shift: float) -> Images:  # noqa: ARG001
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


# What several share


def _grey(images: Images) -> Float[Tensor, "samples 1 height width"]:
    if images.shape[1] == 1:
        return images
    return (images * images.new_tensor(_LUMA)[:, None, None]).sum(dim=1, keepdim=True)


def _colour(levels: tuple[int, int, int], images: Images) -> Float[Tensor, "1 channels 1 1"]:
    colour = images.new_tensor(levels)[None, :, None, None] / 255
    return _grey(colour) if images.shape[1] == 1 else colour


def _blur(
    images: Images, sigma: float, truncate: float = 4.0, edges: Literal["nearest", "symmetric"] = "nearest"
) -> Images:
    """Gaussian blur as SciPy has it: cut off at ``truncate`` sigma, rounded to whole pixels."""
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


def _correlate(
    images: Images, kernel: Float[Tensor, "k k"], edges: Literal["reflect", "replicate"] = "reflect"
) -> Images:
    """Each channel with a small kernel; by default edges are mirrored without repetition, as is OpenCV's default.

    A sum of shifted images, as the kernels are small.

    Args:
        images: of any number of channels.
        kernel: on the CPU, of odd size.
        edges: beyond them.

    Returns:
        Images of the same shape.
    """
    reach, (height, width) = len(kernel) // 2, images.shape[2:]
    padded = nn.functional.pad(images, (reach, reach, reach, reach), mode=edges)
    total = torch.zeros_like(images)
    for down, row in enumerate(kernel.tolist()):
        for right, weight in enumerate(row):
            if weight:
                total.add_(padded[:, :, down : down + height, right : right + width], alpha=weight)
    return total


def _clipped_zoom(images: Images, factor: float) -> Images:
    """The middle ``1 / factor`` of the image, enlarged linearly so that corner pixels stay corner pixels, and trimmed."""
    sides = images.shape[2:]
    crop = [math.ceil(side / factor) for side in sides]
    top, left = ((side - kept) // 2 for side, kept in zip(sides, crop, strict=True))
    middle = images[:, :, top : top + crop[0], left : left + crop[1]]
    size = [round(kept * factor) for kept in crop]
    zoomed = nn.functional.interpolate(middle, size=size, mode="bilinear", align_corners=True)
    top, left = ((longer - side) // 2 for side, longer in zip(sides, size, strict=True))
    return zoomed[:, :, top : top + sides[0], left : left + sides[1]]


@dataclass(frozen=True)
class _Corruption:
    """A function of images and draws, and its constants at severity 1 to 5."""

    function: Callable[..., Images]
    cifar: Constants
    tiny: Constants


# What both sets have in common.
_ZOOMS: Constants = {"stop": (1.06, 1.11, 1.16, 1.21, 1.26)}
_SNOW: Constants = {
    "location": (0.1, 0.1, 0.15, 0.25, 0.3),
    "scale": (0.2, 0.2, 0.3, 0.3, 0.3),
    "zoom": (1.0, 1.0, 1.75, 2.25, 1.25),
    "threshold": (0.6, 0.5, 0.55, 0.6, 0.65),
    "radius": (8, 10, 10, 12, 14),
    "sigma": (3.0, 4.0, 4.0, 6.0, 12.0),
}
_SPATTER: Constants = {
    "location": (0.62, 0.65, 0.65, 0.65, 0.65),
    "scale": (0.1, 0.1, 0.3, 0.1, 0.1),
    "smoothing": (0.7, 0.8, 1.0, 0.7, 0.5),
    "mud": (0, 0, 0, 1, 1),
}

_TABLE = {
    "gaussian_noise": _Corruption(
        _gaussian_noise, cifar={"sigma": (0.04, 0.06, 0.08, 0.09, 0.10)}, tiny={"sigma": (0.04, 0.08, 0.12, 0.15, 0.18)}
    ),
    "shot_noise": _Corruption(
        _shot_noise, cifar={"photons": (500, 250, 100, 75, 50)}, tiny={"photons": (250, 100, 50, 30, 15)}
    ),
    "impulse_noise": _Corruption(
        _impulse_noise,
        cifar={"amount": (0.01, 0.02, 0.03, 0.05, 0.07)},
        tiny={"amount": (0.01, 0.02, 0.05, 0.08, 0.14)},
    ),
    "defocus_blur": _Corruption(
        _defocus_blur,
        cifar={"radius": (0.3, 0.4, 0.5, 1.0, 1.5), "alias": (0.4, 0.5, 0.6, 0.2, 0.1)},
        tiny={"radius": (0.5, 1.0, 1.5, 2.5, 3.0), "alias": (0.6, 0.1, 0.1, 0.01, 0.1)},
    ),
    "glass_blur": _Corruption(
        _glass_blur,
        cifar={"sigma": (0.05, 0.25, 0.4, 0.25, 0.4), "max_delta": (1, 1, 1, 1, 1), "iterations": (1, 1, 1, 2, 2)},
        tiny={"sigma": (0.1, 0.5, 0.6, 0.7, 0.9), "max_delta": (1, 1, 1, 2, 2), "iterations": (1, 1, 2, 1, 2)},
    ),
    "motion_blur": _Corruption(
        _motion_blur,
        cifar={"radius": (6, 6, 6, 8, 9), "sigma": (1.0, 1.5, 2.0, 2.0, 2.5)},
        tiny={"radius": (10, 10, 10, 10, 12), "sigma": (1.0, 1.5, 2.0, 2.5, 3.0)},
    ),
    "zoom_blur": _Corruption(_zoom_blur, cifar=_ZOOMS, tiny=_ZOOMS),
    "snow": _Corruption(
        _snow, cifar={**_SNOW, "mix": (0.95, 0.9, 0.9, 0.85, 0.8)}, tiny={**_SNOW, "mix": (0.8, 0.8, 0.7, 0.65, 0.6)}
    ),
    "frost": _Corruption(
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
    ),
    "fog": _Corruption(
        _fog,
        cifar={"weight": (0.2, 0.5, 0.75, 1.0, 1.5), "decay": (3.0, 3.0, 2.5, 2.0, 1.75)},
        tiny={"weight": (0.4, 0.7, 1.0, 1.5, 2.0), "decay": (3.0, 3.0, 2.5, 2.0, 1.75)},
    ),
    "brightness": _Corruption(
        _brightness, cifar={"shift": (0.05, 0.1, 0.15, 0.2, 0.3)}, tiny={"shift": (0.1, 0.2, 0.3, 0.4, 0.5)}
    ),
    "contrast": _Corruption(
        _contrast, cifar={"factor": (0.75, 0.5, 0.4, 0.3, 0.15)}, tiny={"factor": (0.4, 0.3, 0.2, 0.1, 0.05)}
    ),
    "elastic_transform": _Corruption(
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
    "pixelate": _Corruption(
        _pixelate, cifar={"scale": (0.95, 0.9, 0.85, 0.75, 0.65)}, tiny={"scale": (0.9, 0.8, 0.7, 0.6, 0.5)}
    ),
    "jpeg_compression": _Corruption(
        _jpeg_compression, cifar={"quality": (80, 65, 58, 50, 40)}, tiny={"quality": (65, 58, 50, 40, 25)}
    ),
    "speckle_noise": _Corruption(
        _speckle_noise, cifar={"sigma": (0.06, 0.1, 0.12, 0.16, 0.2)}, tiny={"sigma": (0.15, 0.2, 0.25, 0.3, 0.35)}
    ),
    "gaussian_blur": _Corruption(
        _gaussian_blur, cifar={"sigma": (0.4, 0.6, 0.7, 0.8, 1.0)}, tiny={"sigma": (0.5, 0.75, 1.0, 1.25, 1.5)}
    ),
    "spatter": _Corruption(
        _spatter,
        cifar={**_SPATTER, "threshold": (0.7, 0.7, 0.69, 0.69, 0.68), "strength": (0.5, 0.5, 0.5, 0.6, 0.6)},
        tiny={**_SPATTER, "threshold": (0.7, 0.7, 0.69, 0.68, 0.67), "strength": (0.6, 0.6, 0.6, 0.6, 0.6)},
    ),
    "saturate": _Corruption(
        _saturate,
        cifar={"factor": (0.3, 0.1, 1.5, 2.0, 2.5), "shift": (0.0, 0.0, 0.0, 0.1, 0.2)},
        tiny={"factor": (0.3, 0.1, 2.0, 5.0, 30.0), "shift": (0.0, 0.0, 0.0, 0.1, 0.2)},
    ),
}
"""Every corruption with its constants, from Hendrycks' make_cifar_c.py and make_tinyimagenet_c.py."""
