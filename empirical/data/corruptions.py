"""Image corruptions of Hendrycks and Dietterich (2019), generated batched on the images' device.

Every corruption is a function of images in [0, 1], of random numbers and of named constants (``corrupting``); those are of
``make_cifar_c.py``, or of ``make_tinyimagenet_c.py`` where both sides of an image have 64 pixels or more. Lengths (radii,
sigmas, shifts) are pixels and stay as they are at every size below 64; the elastic transform's are fractions of the shorter
side, as in the originals. Results are quantized as the published files are, but the random numbers are our own: call these
images "generated", never CIFAR-10-C. Where the originals call OpenCV, scikit-image, SciPy or ImageMagick, the functions
below state and follow those libraries' definitions.

Images with one channel are grey: they have no saturation, so ``saturate`` leaves them as they are, and coloured things (frost,
water, mud) count with their luma.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor

from sharpdiv.empirical.data.corrupting.blur import BLUR
from sharpdiv.empirical.data.corrupting.digital import DIGITAL
from sharpdiv.empirical.data.corrupting.draws import Draws
from sharpdiv.empirical.data.corrupting.noise import NOISE
from sharpdiv.empirical.data.corrupting.pixels import quantized
from sharpdiv.empirical.data.corrupting.spatter import SPATTER
from sharpdiv.empirical.data.corrupting.weather import WEATHER, frost_texture
from sharpdiv.empirical.errors import InputError

__all__ = ["CORRUPTIONS", "EXTRA_CORRUPTIONS", "SEVERITIES", "corrupt"]

_TABLE = {entry.name: entry for entry in (*NOISE, *BLUR, *WEATHER, *SPATTER, *DIGITAL)}

CORRUPTIONS = tuple(entry.name for entry in _TABLE.values() if not entry.extra and not entry.photographs)
"""The standard corruptions in the paper's order (noise, blur, weather, digital), without frost, which needs photographs."""

EXTRA_CORRUPTIONS = tuple(entry.name for entry in _TABLE.values() if entry.extra)
"""The paper's extra ones, meant for validation."""

SEVERITIES = (1, 2, 3, 4, 5)

_CHUNK = 250  # images at a time, which bounds the memory
_LEAST_SIDE = 8  # of an image, so that no kernel, crop or triangle degenerates
_TINY_SIDE = 64  # from here on the constants of Tiny-ImageNet-C


def corrupt(
    images: Tensor | np.ndarray,
    name: str,
    severity: int,
    seed: int = 0,
    *,
    frost_images: Sequence[Tensor] | None = None,
) -> UInt8[Tensor, "samples channels height width"]:
    """Corrupt images by one of the corruptions of Hendrycks and Dietterich (2019).

    The random numbers of an image depend on the seed and on its position only, neither on the images beside it nor on the
    device. With one seed, the severities of a corruption share their random numbers where they draw alike.

    Args:
        images: uint8 images ``(samples, channels, height, width)`` with 1 or 3 channels and sides of at least 8.
        name: name of the corruption, in ``CORRUPTIONS`` or ``EXTRA_CORRUPTIONS``, or ``frost`` if ``frost_images`` are given.
        severity: severity of the corruption, 1 to 5.
        seed: seed of the random numbers, not negative.
        frost_images: uint8 photographs ``(3, height, width)`` at their original size, for ``frost``. The originals use the
            first five of the six in Hendrycks' repository.

    Returns:
        uint8 images of the same shape on the same device: clipped to [0, 1], times 255, truncated.

    Raises:
        InputError: if the corruption or the severity does not exist, the images or the seed are not as described, or frost
            images are missing, too small or not as described.

    Examples:
        >>> import torch
        >>> from sharpdiv import corrupt
        >>> images = torch.full((2, 1, 8, 8), 128, dtype=torch.uint8)
        >>> corrupt(images, "brightness", severity=5).unique()  # 128 + 0.3 * 255, truncated
        tensor([204], dtype=torch.uint8)
        >>> torch.equal(corrupt(images, "gaussian_noise", 1, seed=0), corrupt(images, "gaussian_noise", 1, seed=0))
        True
    """
    if name not in _TABLE:
        known = (*CORRUPTIONS, *EXTRA_CORRUPTIONS, "frost")
        raise InputError(f"corruption must be one of {', '.join(known)}; got {name!r}")
    if severity not in SEVERITIES:
        raise InputError(f"severity must be 1 to 5, got {severity}")
    if seed < 0:
        raise InputError(f"seed must not be negative, got {seed}")
    images = torch.as_tensor(images)
    _check_images(images)
    entry = _TABLE[name]
    table = entry.tiny if min(images.shape[2:]) >= _TINY_SIDE else entry.cifar
    constants: dict[str, Any] = {key: values[severity - 1] for key, values in table.items()}
    if entry.photographs:
        if frost_images is None or not len(frost_images):
            raise InputError(f"{name} is made from photographs that are not shipped; give them as frost_images")
        shrink = constants.pop("shrink")
        constants["textures"] = [frost_texture(photograph, shrink, images) for photograph in frost_images]
    chunks = []
    for start in range(0, len(images), _CHUNK):
        chunk = images[start : start + _CHUNK]
        draws = Draws(seed, range(start, start + len(chunk)), images.device)
        chunks.append(quantized(entry.function(chunk.float() / 255, draws, **constants)).to(torch.uint8))
    return torch.cat(chunks)


def _check_images(images: Tensor) -> None:
    if images.dtype != torch.uint8:
        raise InputError(
            f"images must be uint8, got {images.dtype}; corrupt them before they are scaled and normalized"
        )
    if images.ndim != 4 or not len(images) or images.shape[1] not in {1, 3} or min(images.shape[2:]) < _LEAST_SIDE:
        raise InputError(
            f"images must have shape (samples, 1 or 3 channels, height, width), at least one of them and "
            f"{_LEAST_SIDE}x{_LEAST_SIDE} pixels; got {tuple(images.shape)}"
        )
