"""Pictures to corrupt, the published constants, and random numbers that corruptions take."""

from typing import Any

import numpy as np
import torch
from hypothesis import strategies as st
from scipy import ndimage
from torch import Tensor

from sharpdiv.empirical.data.corrupting.draws import Draws
from sharpdiv.empirical.data.corruptions import SEVERITIES

__all__ = [
    "FACTS",
    "assert_truncated",
    "constant",
    "draws",
    "facts",
    "frost_images",
    "levels",
    "noise_images",
    "seeds",
    "sides",
    "smooth_images",
    "units",
]

levels = st.sampled_from(SEVERITIES)
seeds = st.integers(0, 1000)
sides = st.integers(8, 24)


# From make_cifar_c.py and make_tinyimagenet_c.py, severity by severity: first CIFAR-10-C, then Tiny-ImageNet-C.
FACTS: dict[str, tuple[str, list[tuple[float, ...]], list[tuple[float, ...]]]] = {
    "gaussian_noise": (
        "sigma",
        [(0.04,), (0.06,), (0.08,), (0.09,), (0.10,)],
        [(0.04,), (0.08,), (0.12,), (0.15,), (0.18,)],
    ),
    "shot_noise": ("photons", [(500,), (250,), (100,), (75,), (50,)], [(250,), (100,), (50,), (30,), (15,)]),
    "impulse_noise": (
        "amount",
        [(0.01,), (0.02,), (0.03,), (0.05,), (0.07,)],
        [(0.01,), (0.02,), (0.05,), (0.08,), (0.14,)],
    ),
    "speckle_noise": (
        "sigma",
        [(0.06,), (0.1,), (0.12,), (0.16,), (0.2,)],
        [(0.15,), (0.2,), (0.25,), (0.3,), (0.35,)],
    ),
    "gaussian_blur": ("sigma", [(0.4,), (0.6,), (0.7,), (0.8,), (1,)], [(0.5,), (0.75,), (1,), (1.25,), (1.5,)]),
    "glass_blur": (
        "sigma max_delta iterations",
        [(0.05, 1, 1), (0.25, 1, 1), (0.4, 1, 1), (0.25, 1, 2), (0.4, 1, 2)],
        [(0.1, 1, 1), (0.5, 1, 1), (0.6, 1, 2), (0.7, 2, 1), (0.9, 2, 2)],
    ),
    "defocus_blur": (
        "radius alias",
        [(0.3, 0.4), (0.4, 0.5), (0.5, 0.6), (1, 0.2), (1.5, 0.1)],
        [(0.5, 0.6), (1, 0.1), (1.5, 0.1), (2.5, 0.01), (3, 0.1)],
    ),
    "motion_blur": (
        "radius sigma",
        [(6, 1), (6, 1.5), (6, 2), (8, 2), (9, 2.5)],
        [(10, 1), (10, 1.5), (10, 2), (10, 2.5), (12, 3)],
    ),
    "zoom_blur": ("stop", [(1.06,), (1.11,), (1.16,), (1.21,), (1.26,)], [(1.06,), (1.11,), (1.16,), (1.21,), (1.26,)]),
    "snow": (
        "location scale zoom threshold radius sigma mix",
        [
            (0.1, 0.2, 1, 0.6, 8, 3, 0.95),
            (0.1, 0.2, 1, 0.5, 10, 4, 0.9),
            (0.15, 0.3, 1.75, 0.55, 10, 4, 0.9),
            (0.25, 0.3, 2.25, 0.6, 12, 6, 0.85),
            (0.3, 0.3, 1.25, 0.65, 14, 12, 0.8),
        ],
        [
            (0.1, 0.2, 1, 0.6, 8, 3, 0.8),
            (0.1, 0.2, 1, 0.5, 10, 4, 0.8),
            (0.15, 0.3, 1.75, 0.55, 10, 4, 0.7),
            (0.25, 0.3, 2.25, 0.6, 12, 6, 0.65),
            (0.3, 0.3, 1.25, 0.65, 14, 12, 0.6),
        ],
    ),
    "frost": (
        "weight frost_weight shrink",
        [(1, 0.2, 0.2), (1, 0.3, 0.2), (0.9, 0.4, 0.2), (0.85, 0.4, 0.2), (0.75, 0.45, 0.2)],
        [(1, 0.3, 0.3), (0.9, 0.4, 0.3), (0.8, 0.45, 0.3), (0.75, 0.5, 0.3), (0.7, 0.55, 0.3)],
    ),
    "fog": (
        "weight decay",
        [(0.2, 3), (0.5, 3), (0.75, 2.5), (1, 2), (1.5, 1.75)],
        [(0.4, 3), (0.7, 3), (1, 2.5), (1.5, 2), (2, 1.75)],
    ),
    "brightness": ("shift", [(0.05,), (0.1,), (0.15,), (0.2,), (0.3,)], [(0.1,), (0.2,), (0.3,), (0.4,), (0.5,)]),
    "contrast": ("factor", [(0.75,), (0.5,), (0.4,), (0.3,), (0.15,)], [(0.4,), (0.3,), (0.2,), (0.1,), (0.05,)]),
    "elastic_transform": (
        "displacement smoothing jitter",
        [(0, 0, 0.08), (0.05, 0.2, 0.07), (0.08, 0.06, 0.06), (0.1, 0.04, 0.05), (0.1, 0.03, 0.03)],
        [(0, 0, 0.08), (0.05, 0.3, 0.06), (0.1, 0.08, 0.06), (0.1, 0.03, 0.03), (0.16, 0.03, 0.02)],
    ),
    "pixelate": ("scale", [(0.95,), (0.9,), (0.85,), (0.75,), (0.65,)], [(0.9,), (0.8,), (0.7,), (0.6,), (0.5,)]),
    "jpeg_compression": ("quality", [(80,), (65,), (58,), (50,), (40,)], [(65,), (58,), (50,), (40,), (25,)]),
    "spatter": (
        "location scale smoothing threshold strength mud",
        [
            (0.62, 0.1, 0.7, 0.7, 0.5, 0),
            (0.65, 0.1, 0.8, 0.7, 0.5, 0),
            (0.65, 0.3, 1, 0.69, 0.5, 0),
            (0.65, 0.1, 0.7, 0.69, 0.6, 1),
            (0.65, 0.1, 0.5, 0.68, 0.6, 1),
        ],
        [
            (0.62, 0.1, 0.7, 0.7, 0.6, 0),
            (0.65, 0.1, 0.8, 0.7, 0.6, 0),
            (0.65, 0.3, 1, 0.69, 0.6, 0),
            (0.65, 0.1, 0.7, 0.68, 0.6, 1),
            (0.65, 0.1, 0.5, 0.67, 0.6, 1),
        ],
    ),
    "saturate": (
        "factor shift",
        [(0.3, 0), (0.1, 0), (1.5, 0), (2, 0.1), (2.5, 0.2)],
        [(0.3, 0), (0.1, 0), (2, 0), (5, 0.1), (30, 0.2)],
    ),
}


def facts(name: str, severity: int, tiny: bool = False) -> dict[str, Any]:
    keys, *tables = FACTS[name]
    return dict(zip(keys.split(), tables[tiny][severity - 1], strict=True))


def constant(name: str, key: str, severity: int) -> float:
    return facts(name, severity)[key]


def noise_images(seed: int, samples: int = 2, channels: int = 3, height: int = 16, width: int = 16) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(256, (samples, channels, height, width), generator=generator, dtype=torch.uint8)


def smooth_images(samples: int, channels: int, side: int) -> Tensor:
    """Blobs of all sizes, as natural images have."""
    noise = np.random.default_rng(0).standard_normal((samples, channels, side, side))
    image = sum(ndimage.gaussian_filter(noise, (0, 0.5, s, s), mode="wrap") * s for s in (0.5, 1, 2, 4))
    return torch.from_numpy((128 + 45 * image / image.std()).clip(0, 255)).to(torch.uint8)


def draws(seed: int, samples: int) -> Draws:
    """The random numbers that ``corrupt`` takes for the first samples."""
    return Draws(seed, range(samples), torch.device("cpu"))


def units(images: Tensor) -> np.ndarray:
    return images.numpy().astype(float) / 255


def assert_truncated(found: Tensor, exact: np.ndarray) -> None:
    """Found is 255 times exact, clipped and truncated.

    A few roundings in float32 move 255 by less than 1e-3, and so do values that count as the level just above them.
    """
    excess = 255 * exact.clip(0, 1) - found.numpy()
    assert excess.min() > -1e-3
    assert excess.max() < 1 + 1e-3


def frost_images() -> list[Tensor]:
    """Plain photographs of two colours."""
    colours = torch.tensor([[50, 100, 150], [200, 100, 0]], dtype=torch.uint8)
    return list(colours[:, :, None, None].expand(2, 3, 200, 240))
