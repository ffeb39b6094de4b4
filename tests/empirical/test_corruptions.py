"""Corruptions against their definitions: SciPy, Pillow, colorsys and plain loops, which share no code with ours."""

import colorsys
import io
import itertools
import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import strategies as st
from PIL import Image
from scipy import ndimage, stats
from torch import Tensor

from empirical import corruptions
from empirical.corruptions import CORRUPTIONS, EXTRA_CORRUPTIONS, SEVERITIES, corrupt
from empirical.errors import InputError
from tests.laws import Mutation, law

ALL = (*CORRUPTIONS, *EXTRA_CORRUPTIONS)
MODULE = "empirical.corruptions"
levels = st.sampled_from(SEVERITIES)
BLUR = corruptions._blur
seeds = st.integers(0, 1000)
sides = st.integers(8, 24)


# From make_cifar_c.py and make_tinyimagenet_c.py, severity by severity: first CIFAR-10-C, then Tiny-ImageNet-C.
_FACTS: dict[str, tuple[str, list[tuple[float, ...]], list[tuple[float, ...]]]] = {
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
    keys, *tables = _FACTS[name]
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


def draws(seed: int, samples: int) -> corruptions._Draws:
    """The random numbers that ``corrupt`` takes for the first samples."""
    return corruptions._Draws(seed, range(samples), torch.device("cpu"))


def units(images: Tensor) -> np.ndarray:
    return images.numpy().astype(float) / 255


def assert_truncated(found: Tensor, exact: np.ndarray) -> None:
    """Found is 255 times exact, clipped and truncated.

    A few roundings in float32 move 255 by less than 1e-3, and so do values that count as the level just above them.
    """
    excess = 255 * exact.clip(0, 1) - found.numpy()
    assert excess.min() > -1e-3
    assert excess.max() < 1 + 1e-3


# Noise


@law(
    Mutation("variance for the deviation", f"{MODULE}._Draws.normal", lambda f: lambda *a: f(*a) ** 2),
    severity=levels,
)
def test_gaussian_noise_has_its_deviation(severity: int) -> None:
    grey = torch.full((40, 1, 16, 16), 128, dtype=torch.uint8)
    noise = corrupt(grey, "gaussian_noise", severity).double() - 128
    # Truncation lowers the mean by half a level and adds the variance of a uniform number. 10,240 values: the deviation's
    # standard error is 0.7%, the mean's 1% of sigma.
    sigma = math.hypot(255 * constant("gaussian_noise", "sigma", severity), 12**-0.5)
    assert float(noise.std()) == pytest.approx(sigma, rel=0.03)
    assert abs(float(noise.mean()) + 0.5) < 0.04 * sigma


@law(
    Mutation("photons not divided out", f"{MODULE}._Draws.poisson", lambda f: lambda d, rates: f(d, 2 * rates) / 2),
    Mutation("Gaussian", f"{MODULE}._Draws.poisson", lambda f: lambda d, r: r + r.sqrt() * d.normal(*r.shape[1:])),
    severity=levels,
)
def test_shot_noise_counts_photons(severity: int) -> None:
    photons = constant("shot_noise", "photons", severity)
    noisy = corrupt(torch.full((40, 1, 16, 16), 100, dtype=torch.uint8), "shot_noise", severity).flatten().numpy()
    count = np.arange(1000)
    law_of_counts = stats.poisson(100 / 255 * photons).pmf(count)
    level = np.floor((count / photons * 255).clip(max=255) + 1e-6)
    assert set(noisy) <= set(level)
    mean = level @ law_of_counts
    variance = (level - mean) ** 2 @ law_of_counts
    # 10,240 values; the fourth moment of nearly Gaussian numbers makes the variance's relative error 1.4%.
    assert noisy.mean() == pytest.approx(mean, abs=4 * math.sqrt(variance / noisy.size))
    assert noisy.var() == pytest.approx(variance, rel=0.06)


@law(
    Mutation("salt only", f"{MODULE}.torch.zeros_like", lambda _: torch.ones_like),
    Mutation("amount of each", f"{MODULE}._Draws.uniform", lambda f: lambda *a: (f(*a) - 0.5) * 0.5 + 0.5),
    Mutation("whole pixels", f"{MODULE}._Draws.uniform", lambda f: lambda d, _, *s: f(d, 1, *s).expand(-1, 3, -1, -1)),
    severity=levels,
)
def test_impulse_noise_is_salt_and_pepper(severity: int) -> None:
    noisy = corrupt(torch.full((14, 3, 16, 16), 128, dtype=torch.uint8), "impulse_noise", severity)
    half = constant("impulse_noise", "amount", severity) / 2
    error = 4 * math.sqrt(half / noisy.numel())  # 4 standard errors of a fraction
    assert float((noisy == 255).double().mean()) == pytest.approx(half, abs=error)
    assert float((noisy == 0).double().mean()) == pytest.approx(half, abs=error)
    assert set(noisy.unique().tolist()) == {0, 128, 255}
    assert not torch.equal(noisy[:, 0], noisy[:, 1])


@law(
    Mutation("additive", f"{MODULE}._speckle_noise", lambda _: corruptions._gaussian_noise),
    severity=levels,
)
def test_speckle_is_proportional_to_the_image(severity: int) -> None:
    for level in (60, 120):
        grey = torch.full((40, 1, 16, 16), level, dtype=torch.uint8)
        # Called by name, so that a wrong one can take its place.
        sigma = constant("speckle_noise", "sigma", severity)
        noise = corruptions._speckle_noise(grey.double() / 255, draws(0, 40), sigma) - level / 255
        assert float(noise.std()) == pytest.approx(sigma * level / 255, rel=0.03)  # 4 standard errors


# Blur


@law(
    Mutation("cut off early", f"{MODULE}._blur_matrix", lambda f: lambda n, s, _, e: f(n, s, 2.0, e)),
    Mutation("mirrored edges", f"{MODULE}._blur_matrix", lambda f: lambda n, s, t, _: f(n, s, t, "symmetric")),
    Mutation("sigma, not 2 sigma^2", f"{MODULE}.torch.exp", lambda f: lambda x: f(x / 2)),
    seed=seeds,
    height=sides,
    width=sides,
    severity=levels,
)
def test_gaussian_blur_is_scipys(seed: int, height: int, width: int, severity: int) -> None:
    images = noise_images(seed, height=height, width=width)
    sigma = constant("gaussian_blur", "sigma", severity)
    exact = ndimage.gaussian_filter(units(images), (0, 0, sigma, sigma), mode="nearest", truncate=4)
    assert_truncated(corrupt(images, "gaussian_blur", severity), exact)


@law(
    Mutation("edges replicated", f"{MODULE}._correlate", lambda f: lambda i, k: f(i, k, "replicate")),
    Mutation("alias ignored", f"{MODULE}.torch.outer", lambda _: lambda *_: torch.eye(3)[1:2].T @ torch.eye(3)[1:2]),
    seed=seeds,
    side=sides,
    severity=levels,
)
def test_defocus_is_a_soft_disk(seed: int, side: int, severity: int) -> None:
    images = noise_images(seed, height=side)
    radius, alias = (constant("defocus_blur", key, severity) for key in ("radius", "alias"))
    grid = np.hypot(*np.mgrid[-4:5, -4:5])
    kernel = ndimage.gaussian_filter((grid <= radius).astype(float), alias, radius=1)
    exact = ndimage.correlate(units(images), (kernel / kernel.sum())[None, None], mode="mirror")
    assert_truncated(corrupt(images, "defocus_blur", severity), exact)


@law(
    Mutation("visited first to last", f"{MODULE}.torch.maximum", lambda _: torch.minimum),
    Mutation("one step only", f"{MODULE}.torch.maximum", lambda _: lambda _, own: own),
    Mutation("rows for columns", f"{MODULE}._glass_sources", lambda f: lambda o, d: f(o.flip(1), d)),
    seed=seeds,
    height=sides,
    width=sides,
    max_delta=st.integers(1, 3),
)
def test_glass_moves_pixels_as_the_loop_does(seed: int, height: int, width: int, max_delta: int) -> None:
    rng = np.random.default_rng(seed)
    offsets = rng.integers(-max_delta, max_delta, (1, 2, height, width))
    pixels = np.arange(height * width * 3).reshape(height, width, 3)
    moved = pixels.copy()
    for h in range(height - max_delta, max_delta, -1):
        for w in range(width - max_delta, max_delta, -1):
            y, x = h + offsets[0, 0, h, w], w + offsets[0, 1, h, w]
            # As in make_cifar_c.py: an exchange of views, and so a copy.
            moved[h, w], moved[y, x] = moved[y, x], moved[h, w]
    sources = corruptions._glass_sources(torch.from_numpy(offsets), max_delta)[0].numpy()
    assert np.array_equal(pixels.reshape(-1, 3)[sources], moved.reshape(-1, 3))


@law(
    Mutation("no blur", f"{MODULE}._blur", lambda _: lambda i, _: i),
    Mutation("no shuffling", f"{MODULE}._glass_sources", lambda f: lambda o, d: f(0 * o, d)),
    seed=seeds,
    severity=levels,
)
def test_glass_blurs_before_and_after(seed: int, severity: int) -> None:
    images = noise_images(seed)
    sigma, iterations = (constant("glass_blur", key, severity) for key in ("sigma", "iterations"))
    filtered = ndimage.gaussian_filter(units(images), (0, 0, sigma, sigma), mode="nearest")
    pixels = np.floor(255 * filtered + 1e-4) / 255
    random = draws(seed, 2)
    y, x = np.mgrid[:16, :16]
    for _ in range(int(iterations)):
        # With offsets -1 and 0 the loop, which runs backwards, always copies a pixel that has not changed yet.
        dy, dx = random.integers(-1, 1, 2, 16, 16).numpy().transpose(1, 0, 2, 3) * ((y > 1) & (x > 1))
        pixels = np.stack([image[:, y + dy[n], x + dx[n]] for n, image in enumerate(pixels)])
    exact = ndimage.gaussian_filter(pixels, (0, 0, sigma, sigma), mode="nearest")
    found = corrupt(images, "glass_blur", severity, seed)
    excess = 255 * exact - found.numpy()
    # Where rounding decides the first truncation, the second blur spreads that level.
    assert np.abs(excess).max() < 2
    assert np.mean((excess > -1e-3) & (excess < 1 + 1e-3)) > 0.99


@law(
    Mutation("two-sided", f"{MODULE}.torch.arange", lambda f: lambda *a, **k: f(*a, **k) - 2 * (len(a) == 1)),
    Mutation("angle in radians", f"{MODULE}.torch.deg2rad", lambda _: lambda d: d),
    Mutation("weights not normalised", f"{MODULE}.torch.Tensor.sum", lambda f: lambda t, *a, **k: 1.1 * f(t, *a, **k)),
    seed=seeds,
    height=sides,
    degrees=st.floats(-180, 180),
    radius=st.integers(1, 9),
    sigma=st.floats(0.5, 6),
)
def test_motion_follows_a_ray(seed: int, height: int, degrees: float, radius: int, sigma: float) -> None:
    images = noise_images(seed, height=height).float() / 255
    smeared = corruptions._smear(images, torch.full((2,), degrees), radius, sigma)
    reach, kernel = 2 * radius, np.zeros((4 * radius + 1, 4 * radius + 1))
    # In float32, as a step may end within rounding of the middle between two pixels.
    angle = np.deg2rad(np.float32(degrees))
    for step in range(2 * radius + 1):
        place = [math.ceil(np.float32(step) * part - np.float32(0.5)) for part in (np.sin(angle), np.cos(angle))]
        kernel[reach + place[0], reach + place[1]] += math.exp(-(step**2) / (2 * sigma**2))
    exact = ndimage.correlate(images.double().numpy(), (kernel / kernel.sum())[None, None], mode="nearest")
    assert np.abs(255 * (smeared.numpy() - exact)).max() < 0.5 + 1e-3  # rounded, not truncated


@law(
    Mutation("any direction", f"{MODULE}._Draws.uniform", lambda f: lambda d, *s: 4 * f(d, *s)),
    Mutation("one direction", f"{MODULE}._Draws.uniform", lambda f: lambda d, *s: f(d, *s).mean(0).expand(300, *s)),
)
def test_motion_is_sideways_and_snow_falls() -> None:
    images = torch.zeros(300, 1, 8, 8, dtype=torch.uint8)
    seen: list[Tensor] = []

    def spy(layer: Tensor, degrees: Tensor, radius: int, sigma: float) -> Tensor:
        seen.append(degrees)
        return layer

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(corruptions, "_CHUNK", 300)
        patch.setattr(corruptions, "_smear", spy)
        for name, middle in (("motion_blur", 0), ("snow", -90)):
            corrupt(images, name, 1)
            offset = seen[-1] - middle
            assert offset.abs().max() <= 45
            # Uniform over 90 degrees: deviation 26; 300 draws.
            assert abs(float(offset.mean())) < 4 * 26 / math.sqrt(300)
            assert float(offset.std()) == pytest.approx(90 / math.sqrt(12), rel=0.15)  # 4 standard errors of 0.037


@law(
    Mutation("the image once", f"{MODULE}.torch.Tensor.clone", lambda _: lambda t: 0 * t),
    Mutation("pixel centres aligned", f"{MODULE}.nn.functional.interpolate", lambda f: lambda i, size, **_: f(i, size)),
    seed=seeds,
    side=st.sampled_from([16, 28, 32]),
    severity=levels,
    examples=15,
)
def test_zoom_is_a_mean_of_scipys_zooms(seed: int, side: int, severity: int) -> None:
    images = noise_images(seed, 1, 1, side, side)
    image = units(images)[0, 0]
    zooms = [image]
    for factor in np.arange(1, constant("zoom_blur", "stop", severity), 0.01):
        crop = math.ceil(side / factor)
        top = (side - crop) // 2
        zoomed = ndimage.zoom(image[top : top + crop, top : top + crop], factor, order=1)
        top = (len(zoomed) - side) // 2
        zooms.append(zoomed[top : top + side, top : top + side])
    assert len(zooms) - 1 == (7, 12, 16, 21, 26)[severity - 1]
    assert_truncated(corrupt(images, "zoom_blur", severity), np.mean(zooms, axis=0)[None, None])


# Weather


@law(
    Mutation("flakes not turned", f"{MODULE}.torch.Tensor.flip", lambda _: lambda t, *_: t),
    Mutation("not thresholded", f"{MODULE}.torch.where", lambda f: lambda c, a, b: f(c, b, b)),
    seed=seeds,
    severity=levels,
)
def test_snow_on_a_plain_image_is_symmetric(seed: int, severity: int) -> None:
    mix = constant("snow", "mix", severity)
    images = torch.tensor([51, 102, 204], dtype=torch.uint8)[None, :, None, None].expand(4, 3, 32, 32)
    snowy = corrupt(images, "snow", severity, seed)
    assert torch.equal(snowy, snowy.rot90(2, (2, 3)))
    # Where no flake is: colours mixed with the lightened luma 1.5 (0.299 * 0.2 + 0.587 * 0.4 + 0.114 * 0.8) + 0.5 = 1.0787.
    plain = 255 * np.array([mix * c + (1 - mix) * max(c, 1.0787) for c in (0.2, 0.4, 0.8)])
    found = snowy.amin(dim=(0, 2, 3)).numpy()
    assert (found >= np.floor(plain.clip(0, 255) + 1e-3)).all()
    if severity == 1:  # later snow covers everything
        assert (found == np.floor(plain)).all()


@law(
    Mutation("snow at the threshold's other side", f"{MODULE}.torch.where", lambda f: lambda c, a, b: f(c, b, a)),
    Mutation("scale ignored", f"{MODULE}._Draws.normal", lambda f: lambda *a: 1.5 * f(*a)),
    severity=st.sampled_from([1, 2]),
    examples=4,
)
def test_snow_has_the_mass_of_a_truncated_gaussian(severity: int) -> None:
    constants: dict[str, Any] = {key: values[severity - 1] for key, values in corruptions._TABLE["snow"].cifar.items()}
    black, random = torch.zeros(300, 1, 32, 32), draws(0, 300)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(corruptions, "_smear", lambda layer, *_: layer)
        whitened = corruptions._snow(black, random, **constants).double()
    flakes = (whitened - (1 - constants["mix"]) * 0.5) / 2
    bar = (constants["threshold"] - constants["location"]) / constants["scale"]
    tail, density = stats.norm.sf(bar), stats.norm.pdf(bar)
    # Truncated to 8 bits: half a level less for each flake; clipping at white is 3.5 deviations away or more.
    mean = constants["location"] * tail + constants["scale"] * density - tail / 2 / 255
    # A flake is worth at most 1: the deviation is below the square root of the tail. 307,200 values, each used twice.
    assert float(flakes.mean()) == pytest.approx(mean, abs=4 * math.sqrt(tail / flakes.numel()))


def plasma_loop(noise: np.ndarray, decay: float) -> np.ndarray:
    """Diamond-square, point by point on a torus; wibble as in the originals, which multiply by it twice."""
    size = len(noise)
    heights, step, wibble = np.zeros((size, size)), size, 100.0
    while step > 1:
        half = step // 2
        for corners, parity in (([(-1, -1), (-1, 1), (1, -1), (1, 1)], 2), ([(-1, 0), (1, 0), (0, -1), (0, 1)], 1)):
            for y, x in itertools.product(range(0, size, half), repeat=2):
                odd = y // half % 2 + x // half % 2
                if odd == parity:
                    around = [heights[(y + half * a) % size, (x + half * b) % size] for a, b in corners]
                    heights[y, x] = sum(around) / 4 + wibble * wibble * noise[y, x]
        step, wibble = half, wibble / decay
    heights -= heights.min()
    return heights / heights.max()


@law(
    Mutation("range shrinks by the decay", f"{MODULE}._plasma", lambda f: lambda d, n, decay: f(d, n, decay**0.5)),
    Mutation("no torus", f"{MODULE}.torch.Tensor.roll", lambda _: lambda t, *_: t),
    seed=seeds,
    side=st.integers(8, 20),
    severity=levels,
    examples=20,
)
def test_fog_is_diamond_square(seed: int, side: int, severity: int) -> None:
    images = noise_images(seed, height=side, width=side - 1 if side > 8 else 8)
    weight, decay = (constant("fog", key, severity) for key in ("weight", "decay"))
    size = 8 if side == 8 else 16 if side <= 16 else 32
    noise = 2 * draws(seed, 2).uniform(size, size).double().numpy() - 1
    image = units(images)
    brightest = image.max(axis=(1, 2, 3), keepdims=True)
    fog = np.stack([plasma_loop(n, decay) for n in noise])[:, None, : image.shape[2], : image.shape[3]]
    exact = (image + weight * fog) * brightest / (brightest + weight)
    assert_truncated(corrupt(images, "fog", severity, seed), exact)


@law(
    Mutation("added to every channel", f"{MODULE}.torch.Tensor.amax", lambda f: lambda t, **k: t),
    Mutation("black stays black", f"{MODULE}.torch.ones_like", lambda _: torch.zeros_like),
    seed=seeds,
    severity=levels,
)
def test_brightness_raises_the_value_of_hsv(seed: int, severity: int) -> None:
    images = noise_images(seed, height=8, width=8)
    images[0, :, 0] = 0
    exact = np.empty(images.shape)
    for n, y, x in itertools.product(range(2), range(8), range(8)):
        hue, saturation, value = colorsys.rgb_to_hsv(*units(images)[n, :, y, x])
        value = min(value + constant("brightness", "shift", severity), 1)
        exact[n, :, y, x] = colorsys.hsv_to_rgb(hue, saturation, value)
    assert_truncated(corrupt(images, "brightness", severity), exact)


def frost_images() -> list[Tensor]:
    """Plain photographs of two colours."""
    colours = torch.tensor([[50, 100, 150], [200, 100, 0]], dtype=torch.uint8)
    return list(colours[:, :, None, None].expand(2, 3, 200, 240))


@law(
    Mutation("always the first", f"{MODULE}._Draws.integers", lambda f: lambda *a: 0 * f(*a)),
    Mutation("a mean of two", f"{MODULE}.torch.stack", lambda f: lambda t: 0.5 * f(t)),
    severity=levels,
)
def test_frost_adds_a_photograph(severity: int) -> None:
    images = noise_images(1, samples=12)
    frosty = corrupt(images, "frost", severity, frost_images=frost_images())
    weight, frost_weight = (constant("frost", key, severity) for key in ("weight", "frost_weight"))
    matches = []
    for colour in ([50, 100, 150], [200, 100, 0]):
        exact = weight * images.double() + frost_weight * torch.tensor(colour)[:, None, None]
        difference = exact.clamp(0, 255) - frosty
        matches.append(((difference > -1e-3) & (difference < 1 + 1e-3)).flatten(1).all(dim=1))
    assert bool((matches[0] ^ matches[1]).all())
    assert 0 < int(matches[0].sum()) < 12
    # Grey images get the luma: 0.299 * 200 + 0.587 * 100 = 118.5.
    grey = corrupt(images[:, :1], "frost", severity, frost_images=frost_images()[1:])
    assert_truncated(grey, weight * units(images[:, :1]) + frost_weight * 118.5 / 255)


def test_frost_crops_at_random_places() -> None:
    ramp = torch.arange(250, dtype=torch.uint8).expand(3, 250, 250)
    frosty = corrupt(torch.zeros(60, 3, 8, 8, dtype=torch.uint8), "frost", 5, frost_images=[ramp]).float()
    # 250 pixels shrink to 50; each of the crop's 8 columns is 5 levels, times 0.45, brighter than the one before.
    assert ((frosty[..., 7] - frosty[..., 0]) / 7 - 0.45 * 5).abs().max() < 1 / 7 + 1e-3
    starts = ((frosty[:, 0, 0, 0] / 0.45 - 2) / 5).round()
    assert starts.min() >= 0
    assert starts.max() <= 50 - 8
    assert len(starts.unique()) > 20


# Digital


@law(
    Mutation("about black", f"{MODULE}.torch.Tensor.mean", lambda f: lambda t, **k: 0 * f(t, **k)),
    Mutation("one mean for all channels", f"{MODULE}.torch.Tensor.mean", lambda f: lambda t, **_: f(t)),
    seed=seeds,
    severity=levels,
)
def test_contrast_scales_about_the_mean(seed: int, severity: int) -> None:
    images = noise_images(seed)
    images[:, 0] //= 2
    mean = units(images).mean(axis=(2, 3), keepdims=True)
    exact = mean + constant("contrast", "factor", severity) * (units(images) - mean)
    assert_truncated(corrupt(images, "contrast", severity), exact)


@law(
    Mutation("a pixel off", f"{MODULE}.torch.linalg.solve", lambda f: lambda a, b: f(a, b) + 0.1),
    Mutation("shrunk", f"{MODULE}.nn.functional.grid_sample", lambda f: lambda i, g, **k: f(i, 0.99 * g, **k)),
    seed=seeds,
    height=sides,
    width=sides,
)
def test_elastic_transform_by_nothing_is_the_identity(seed: int, height: int, width: int) -> None:
    images = noise_images(seed, height=height, width=width).float() / 255
    for displacement in (0.0, 1e-9):
        found = corruptions._elastic_transform(images, draws(seed, 2), displacement, 0.1, 0.0)
        # Grid coordinates in [-1, 1] are rounded by half of 6e-8, pixels by up to 12 times that, differences are up to 1.
        assert float((found - images).abs().max()) < 1e-5


@law(
    Mutation(
        "the way there",
        f"{MODULE}.torch.linalg.solve",
        lambda f: lambda a, b: f(torch.cat([b, a[..., 2:]], dim=-1), a[..., :2]),
    ),
    Mutation(
        "black beyond the edges",
        f"{MODULE}.nn.functional.grid_sample",
        lambda f: lambda i, g, **_: f(i, g, "bilinear", "zeros", True),
    ),
    seed=seeds,
    height=sides,
    width=sides,
)
def test_affine_maps_three_points(seed: int, height: int, width: int) -> None:
    images = noise_images(seed, height=height, width=width)
    side = min(height, width)
    shifts = 0.08 * side * np.random.default_rng(seed).uniform(-1, 1, (2, 3, 2))
    moved = corruptions._affine(images.double() / 255, torch.from_numpy(shifts)).numpy()
    centre, third = np.array([width // 2, height // 2]), side // 3
    points = centre + third * np.array([[1, 1], [1, -1], [-1, -1]])
    y, x = np.mgrid[:height, :width]
    for image, shift, found in zip(units(images), shifts, moved, strict=True):
        # Forwards, from the points to the moved ones, then inverted: ours solves for the way back at once.
        forwards = np.linalg.lstsq(np.c_[points, np.ones(3)], points + shift)[0]
        source = (np.stack([x, y], axis=-1) - forwards[2]) @ np.linalg.inv(forwards[:2])
        exact = [ndimage.map_coordinates(c, [source[..., 1], source[..., 0]], order=1, mode="mirror") for c in image]
        assert np.abs(found - exact).max() < 1e-9


@law(
    Mutation("edges replicated", f"{MODULE}._blur_matrix", lambda f: lambda n, s, t, _: f(n, s, t, "nearest")),
    Mutation("cut off at 4 sigma", f"{MODULE}._blur_matrix", lambda f: lambda n, s, _, e: f(n, s, 4.0, e)),
    Mutation("x for y", f"{MODULE}.torch.stack", lambda f: lambda t, dim: f(t[::-1], dim=dim)),
    seed=seeds,
    side=sides,
    severity=st.sampled_from(SEVERITIES[1:]),
)
def test_elastic_displacement_is_scipys(seed: int, side: int, severity: int) -> None:
    images = noise_images(seed, height=side, width=side + 3)
    displacement, smoothing = (
        side * constant("elastic_transform", key, severity) for key in ("displacement", "smoothing")
    )
    random = draws(seed, 2)
    random.uniform(3, 2)  # what the affine map takes first
    field = 2 * random.uniform(2, side, side + 3).double().numpy() - 1
    dx, dy = (
        displacement * ndimage.gaussian_filter(field[:, axis], (0, smoothing, smoothing), mode="reflect", truncate=3)
        for axis in (0, 1)
    )
    y, x = np.mgrid[:side, : side + 3]
    exact = [
        [ndimage.map_coordinates(c, [y + dy[n], x + dx[n]], order=1, mode="reflect") for c in image]
        for n, image in enumerate(units(images))
    ]
    found = corruptions._elastic_transform(
        images.float() / 255, draws(seed, 2), displacement / side, smoothing / side, 0.0
    )
    assert np.abs(found.numpy() - exact).max() < 1e-4  # coordinates up to 27 in float32, differences up to 1


@law(
    Mutation("truncated", f"{MODULE}.torch.Tensor.floor", lambda f: lambda t: f(t - 0.5)),
    Mutation(
        "areas", f"{MODULE}._resize_box", lambda _: lambda i, h, w: torch.nn.functional.adaptive_avg_pool2d(i, (h, w))
    ),
    seed=seeds,
    height=st.integers(8, 63),
    width=st.integers(8, 63),
    channels=st.sampled_from([1, 3]),
    severity=levels,
)
def test_pixelate_is_pillows_box_filter(seed: int, height: int, width: int, channels: int, severity: int) -> None:
    images = noise_images(seed, 1, channels, height, width)
    scale = constant("pixelate", "scale", severity)
    for found, plane in zip(corrupt(images, "pixelate", severity)[0], images[0], strict=True):
        small = Image.fromarray(plane.numpy())
        # One axis at a time: newer versions of Pillow begin with columns in some images that are not square.
        for size in ((int(width * scale), height), (int(width * scale), int(height * scale)), (width, height)):
            small = small.resize(size, Image.Resampling.BOX)
        assert np.array_equal(found.numpy(), np.asarray(small))


@law(
    Mutation(
        "blue first", f"{MODULE}.torch.Tensor.permute", lambda f: lambda t, *axes: f(t.flip(axes[-1] or 1), *axes)
    ),
    Mutation("another quality", f"{MODULE}._jpeg_compression", lambda f: lambda i, d, quality: f(i, d, quality + 5)),
    severity=levels,
    examples=5,
)
def test_jpeg_is_pillows(severity: int) -> None:
    images = smooth_images(3, 3, 32)
    # Called by name, so that a wrong one can take its place.
    found = 255 * corruptions._jpeg_compression(images / 255, draws(0, 3), **facts("jpeg_compression", severity))
    for image, coded in zip(images, found, strict=True):
        file = io.BytesIO()
        Image.fromarray(image.permute(1, 2, 0).numpy()).save(
            file, "JPEG", quality=facts("jpeg_compression", severity)["quality"]
        )
        assert np.array_equal(np.asarray(Image.open(file)), coded.permute(1, 2, 0).round().numpy())


# Extra


def canny_loop(levels: np.ndarray) -> np.ndarray:
    """Canny's edge detector, pixel by pixel, with OpenCV's conventions."""
    dx, dy = (ndimage.sobel(levels, axis, mode="nearest") for axis in (1, 0))
    size = np.pad(np.abs(dx) + np.abs(dy), 1)
    weak = np.zeros(levels.shape, bool)
    for y, x in np.ndindex(levels.shape):
        slope = math.degrees(math.atan2(abs(dy[y, x]), abs(dx[y, x])))
        step = (0, 1) if slope < 22.5 else (1, 0) if slope > 67.5 else (1, 1) if dx[y, x] * dy[y, x] >= 0 else (1, -1)
        here, before = size[y + 1, x + 1], size[y + 1 - step[0], x + 1 - step[1]]
        after = size[y + 1 + step[0], x + 1 + step[1]]
        straight = 0 in step
        weak[y, x] = here > 50 and here > before and (here >= after if straight else here > after)
    islands, _ = ndimage.label(weak, np.ones((3, 3)))
    strong = islands[weak & (size[1:-1, 1:-1] > 150)]
    return weak & np.isin(islands, strong)


@law(
    Mutation("no hysteresis", f"{MODULE}._dilate", lambda _: lambda mask: mask),
    Mutation("falling for rising", f"{MODULE}._canny", lambda f: lambda levels: f(levels.flip(2)).flip(2)),
    Mutation("edges mirrored", f"{MODULE}._correlate", lambda f: lambda i, k, edges: f(i, k)),
    seed=seeds,
    side=st.integers(8, 32),
)
def test_edges_are_cannys(seed: int, side: int) -> None:
    rng = np.random.default_rng(seed)
    smooth = ndimage.gaussian_filter(rng.standard_normal((side, side + 2)), 1)
    picture = np.floor((128 + 60 * smooth / smooth.std()).clip(0, 255))
    # Plateaus make ties, which must fall to the side that OpenCV takes.
    picture = np.where(rng.random() < 0.5, picture, picture // 64 * 64)
    found = corruptions._canny(torch.from_numpy(picture).float()[None])[0].numpy()
    assert np.array_equal(found, canny_loop(picture))


def chamfer(down: int, right: int) -> float:
    """Shortest way with moves of length 1, 1.4 (diagonal) and 2.1969 (knight's) on a free board."""
    far, near = max(abs(down), abs(right)), min(abs(down), abs(right))
    return near * 2.1969 + (far - 2 * near) if far >= 2 * near else (far - near) * 2.1969 + (2 * near - far) * 1.4


@law(
    Mutation(
        "city blocks", f"{MODULE}.itertools.product", lambda _: lambda *_, **__: [(0, 1), (1, 0), (0, -1), (-1, 0)]
    ),
    Mutation("one sweep", f"{MODULE}._distance", lambda f: lambda e, limit: f(e, 1) * limit),
    seed=seeds,
    height=sides,
    width=sides,
    edges=st.integers(0, 5),
)
def test_distance_is_the_nearest_edges(seed: int, height: int, width: int, edges: int) -> None:
    rng = np.random.default_rng(seed)
    places = np.stack([rng.integers(0, height, edges), rng.integers(0, width, edges)], axis=1)
    mask = torch.zeros(1, height, width, dtype=torch.bool)
    mask[0, places[:, 0], places[:, 1]] = True
    exact = [min([20, *(chamfer(y - down, x - right) for down, right in places)]) for y, x in np.ndindex(height, width)]
    found = corruptions._distance(mask, limit=20)[0].flatten().numpy()
    assert np.abs(found - exact).max() < 1e-4
    if edges:
        euclidean = np.minimum(ndimage.distance_transform_edt(~mask[0].numpy()), 20).flatten()
        assert (np.abs(found - euclidean) <= 0.02 * euclidean + 1e-4).all()


@law(
    Mutation("least not 0", f"{MODULE}.torch.Tensor.amin", lambda f: lambda t, **k: 0 * f(t, **k)),
    values=st.lists(st.integers(0, 20), min_size=4, max_size=30),
)
def test_equalised_levels_are_ranks(values: list[int]) -> None:
    found = corruptions._equalize(torch.tensor(values, dtype=torch.float32)[None, None], levels=21)[0, 0].tolist()
    least = values.count(min(values))
    for value, level in zip(values, found, strict=True):
        if least == len(values):
            assert level == value
        else:
            ranked = sum(other <= value for other in values) - least
            assert abs(level - 255 * ranked / (len(values) - least)) <= 0.5 + 1e-4  # rounded


@law(
    Mutation("water is white", f"{MODULE}._colour", lambda _: lambda *_: torch.ones(1, 3, 1, 1)),
    Mutation("not at full strength", f"{MODULE}._water", lambda f: lambda liquid: 0.9 * f(liquid)),
    Mutation(
        "no threshold",
        f"{MODULE}.torch.where",
        lambda f: lambda c, a, b: b if b is not None and isinstance(b, Tensor) and b.ndim == 4 else f(c, a, b),
    ),
    seed=seeds,
    severity=levels,
    examples=15,
)
def test_spatter_is_turquoise_water_then_brown_mud(seed: int, severity: int) -> None:
    images = torch.full((8, 3, 32, 32), 10, dtype=torch.uint8)
    added = corrupt(images, "spatter", severity, seed).double() - 10
    strength, mud = (constant("spatter", key, severity) for key in ("strength", "mud"))
    if mud:
        # Opaque by at least 0.8, or not at all: (63, 42, 20) on 10 adds (53, 32, 10) at full opacity.
        full = torch.tensor([53.0, 32.0, 10.0])[:, None, None]
        opacity = added / full
        covered = added[:, 0] > 0
        assert bool((opacity[:, 0][covered] >= 0.8 - 1 / 53).all())
    else:
        full = strength * torch.tensor([175.0, 238.0, 238.0])[:, None, None]
        assert torch.equal(added.amax(dim=(0, 2, 3)), (full + 1e-4).floor().flatten())
        covered = added[:, 1] > 0
    # Each channel is truncated, so off by less than a level.
    share = added / full
    assert float((share[:, 0] - share[:, 1]).abs().max()) < 1 / float(full.min())
    assert float(share.min()) >= 0
    assert bool(covered.any())


def water_by_hand(liquid: np.ndarray) -> np.ndarray:
    """The originals' chain on 8-bit levels: edges, distance, mean, equalised histogram, emboss, mean."""
    edges = np.argwhere(canny_loop(liquid))
    places = np.ndindex(liquid.shape)
    distance = np.array([min([20, *(chamfer(y - down, x - right) for down, right in edges)]) for y, x in places])
    mean = np.full((3, 3), 1 / 9)
    depth = np.floor(ndimage.correlate(distance.reshape(liquid.shape), mean, mode="mirror") + 1e-4).astype(int)
    cumulative = np.cumsum(np.bincount(depth.ravel()))
    least = cumulative[depth.min()]
    flat = least == depth.size
    equal = depth if flat else np.rint(255 * (cumulative[depth] - least) / (depth.size - least))
    emboss = np.array([[-2, -1, 0], [-1, 1, 1], [0, 1, 2]])
    relief = ndimage.correlate(equal.astype(float), emboss, mode="mirror").clip(0, 255)
    drops = liquid * np.rint(ndimage.correlate(relief, mean, mode="mirror"))
    return drops / max(drops.max(), 1)


@law(
    Mutation(
        "lit from the lower right",
        f"{MODULE}._correlate",
        lambda f: lambda i, k, **options: f(i, k.flip(0, 1), **options),
    ),
    Mutation("histogram not equalised", f"{MODULE}._equalize", lambda _: lambda values, levels: values),
    Mutation("bright drops do not wrap", "torch.Tensor.__mod__", lambda _: lambda values, _: values),
    Mutation(
        "mud with a sharp outline",
        f"{MODULE}._blur",
        lambda f: lambda i, sigma: i if len(i.unique()) <= 2 else f(i, sigma),
    ),
    # A handful of fixed pictures: levels that lie on a boundary could round either way in others.
    seed=st.sampled_from(range(4)),
    severity=levels,
    examples=20,
)
def test_spatter_is_the_originals_chain(seed: int, severity: int) -> None:
    constants: dict[str, Any] = {key: float(value) for key, value in facts("spatter", severity).items()}
    constants["mud"] = int(constants["mud"])
    noise = constants["location"] + constants["scale"] * draws(seed, 2).normal(1, 24, 24)
    # The blur has a law of its own; what follows it here is independent.
    liquid = BLUR(noise, constants["smoothing"])[:, 0].double().numpy()
    liquid[liquid < constants["threshold"]] = 0
    picture = torch.full((2, 3, 24, 24), 0.1)
    found = corruptions._spatter(picture, draws(seed, 2), **constants).double().numpy()
    for drops, ours in zip(liquid, found, strict=True):
        if constants["mud"]:
            mask = (drops > constants["threshold"]).astype(float)
            opaque = ndimage.gaussian_filter(mask, constants["strength"], mode="nearest")
            opaque[opaque < 0.8] = 0
            exact = 0.1 * (1 - opaque) + opaque * np.array([63, 42, 20])[:, None, None] / 255
        else:
            water = water_by_hand(np.floor(255 * drops + 1e-4) % 256)
            exact = 0.1 + constants["strength"] * water * np.array([175, 238, 238])[:, None, None] / 255
        assert np.abs(ours - exact).max() < 1e-4  # float32, through sums of nine levels up to 255


@law(
    Mutation(
        "shift forgotten", f"{MODULE}._saturate", lambda f: lambda i, d, factor, shift: f(i, d, factor, 0 * shift)
    ),
    Mutation("grey stays grey", f"{MODULE}.torch.where", lambda f: lambda c, a, b: f(c, a, 0 * b)),
    seed=seeds,
    severity=levels,
)
def test_saturate_scales_the_saturation_of_hsv(seed: int, severity: int) -> None:
    images = noise_images(seed, height=8, width=8)
    images[0, :, 0] = images[0, :1, 0]  # grey: colorsys, too, gives it the hue of red
    images[0, :, 1] = 0
    factor, shift = (float(constant("saturate", key, severity)) for key in ("factor", "shift"))
    exact = np.empty(images.shape)
    for n, y, x in itertools.product(range(2), range(8), range(8)):
        hue, saturation, value = colorsys.rgb_to_hsv(*units(images)[n, :, y, x])
        exact[n, :, y, x] = colorsys.hsv_to_rgb(hue, min(saturation * factor + shift, 1), value)
    found = corruptions._saturate(images.float() / 255, draws(0, 2), factor=factor, shift=shift)
    assert np.abs(found.numpy() - exact).max() < 1e-6
    assert_truncated(corrupt(images, "saturate", severity), found.double().numpy())


# All of them


@pytest.mark.parametrize("tiny", [False, True])
def test_constants_are_the_published_ones(tiny: bool) -> None:
    assert set(corruptions._TABLE) == set(_FACTS) == {*ALL, "frost"}
    for name, entry in corruptions._TABLE.items():
        for severity in SEVERITIES:
            table = entry.tiny if tiny else entry.cifar
            assert {key: values[severity - 1] for key, values in table.items()} == facts(name, severity, tiny)
            assert {len(values) for values in table.values()} == {5}


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize(
    ("channels", "height", "width"), [(1, 16, 16), (1, 28, 28), (3, 8, 11), (3, 32, 32), (3, 64, 70)]
)
def test_images_stay_images(name: str, channels: int, height: int, width: int) -> None:
    images = noise_images(0, 3, channels, height, width)
    before = images.clone()
    corrupted = corrupt(images, name, 5, seed=3)
    assert (corrupted.shape, corrupted.dtype) == (images.shape, torch.uint8)
    assert torch.equal(images, before)
    assert torch.equal(corrupted, images) == (name == "saturate" and channels == 1)
    assert torch.equal(corrupt(images, name, 5, seed=3), corrupted)
    laid_out_otherwise = images.to(memory_format=torch.channels_last)
    assert torch.equal(corrupt(laid_out_otherwise, name, 5, seed=3), corrupted)


@pytest.mark.parametrize("name", [*ALL, "frost"])
def test_an_image_does_not_depend_on_its_company(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    images = smooth_images(7, 3, 16)
    photographs = frost_images() if name == "frost" else None
    whole = corrupt(images, name, 4, seed=5, frost_images=photographs)
    monkeypatch.setattr(corruptions, "_CHUNK", 2)
    assert torch.equal(corrupt(images, name, 4, seed=5, frost_images=photographs), whole)
    random = name not in {
        *(
            "defocus_blur",
            "gaussian_blur",
            "zoom_blur",
            "brightness",
            "contrast",
            "pixelate",
            "jpeg_compression",
            "saturate",
        )
    }
    same = images[:1].expand(2, -1, -1, -1)
    first, second = corrupt(same, name, 4, seed=5, frost_images=photographs)
    other = corrupt(same, name, 4, seed=6, frost_images=photographs)[0]
    assert torch.equal(first, second) != random
    assert torch.equal(first, other) != random


@pytest.mark.parametrize("severity", SEVERITIES)
@pytest.mark.parametrize(
    "name",
    [
        *("defocus_blur", "glass_blur", "motion_blur", "zoom_blur", "gaussian_blur", "snow", "fog"),
        *("brightness", "contrast", "elastic_transform", "pixelate", "spatter"),
    ],
)
def test_grey_images_are_colour_images_of_equal_channels(name: str, severity: int) -> None:
    # Water on bright pixels would be clipped channel by channel.
    grey = smooth_images(4, 1, 20) // (4 if name == "spatter" else 1)
    colour = corrupt(grey.expand(-1, 3, -1, -1), name, severity)
    alone = corrupt(grey, name, severity)
    if name == "spatter":  # what is added to a grey image is the luma of what is added to colours
        luma = torch.tensor([0.299, 0.587, 0.114])[:, None, None]
        assert float((alone - (colour * luma).sum(dim=1, keepdim=True)).abs().max()) < 1 + 1e-3
    else:
        # The luma's weights sum to 1 up to rounding, which may decide a truncation of snow.
        assert int((colour.int() - alone.int()).abs().max()) <= (name == "snow")


NOT_MONOTONE = {
    "glass_blur": "shuffles once up to severity 3, then twice; a wider blur takes some of the shuffling back",
    "elastic_transform": "the affine map weakens as the displacement grows",
    "spatter": "water, then mud",
    "saturate": "less colour, then more",
}


@pytest.mark.parametrize("name", [name for name in ALL if name not in NOT_MONOTONE])
@pytest.mark.parametrize("side", [32, 64])
def test_severity_is_monotone(name: str, side: int) -> None:
    images = smooth_images(24, 3, side)
    change = [float((corrupt(images, name, level).float() - images).square().mean()) for level in SEVERITIES]
    assert change[0] > 0
    # Motion blur of radius 8 and sigma 2 differs from that of radius 6 by weights below 1e-8: no order.
    assert all(after > 0.999 * before for before, after in itertools.pairwise(change))


def test_severities_of_the_others_are_ordered_where_they_can_be() -> None:
    def change(name: str, severity: int) -> float:
        return float((corrupt(images, name, severity).float() - images).square().mean())

    images = smooth_images(24, 3, 32)
    assert max(change("glass_blur", s) for s in (1, 2, 3)) < min(change("glass_blur", s) for s in (4, 5))
    assert change("spatter", 1) < change("spatter", 2) < change("spatter", 3)
    assert change("spatter", 4) < change("spatter", 5)
    assert change("saturate", 1) < change("saturate", 2)
    assert change("saturate", 3) < change("saturate", 4) < change("saturate", 5)


def test_names_are_the_papers() -> None:
    assert len(CORRUPTIONS) == 14
    assert len(EXTRA_CORRUPTIONS) == 4
    assert not {"frost", *EXTRA_CORRUPTIONS} & set(CORRUPTIONS)
    assert [name.rsplit("_", 1)[-1] for name in CORRUPTIONS[:7]] == ["noise"] * 3 + ["blur"] * 4


GOOD = noise_images(0)


@pytest.mark.parametrize(
    ("images", "options", "message"),
    [
        (GOOD, {"name": "rain"}, r"gaussian_noise, .*, frost; got 'rain'"),
        (GOOD, {"severity": 0}, "1 to 5, got 0"),
        (GOOD, {"severity": 6}, "1 to 5, got 6"),
        (GOOD, {"seed": -1}, "not be negative, got -1"),
        (GOOD.float() / 255, {}, "uint8, got torch.float32"),
        (GOOD[0], {}, r"got \(3, 16, 16\)"),
        (GOOD[:0], {}, r"got \(0, 3, 16, 16\)"),
        (GOOD[:, :2], {}, r"got \(2, 2, 16, 16\)"),
        (GOOD[:, :, :7], {}, r"8x8 pixels; got \(2, 3, 7, 16\)"),
        (GOOD, {"name": "frost"}, "give them as frost_images"),
        (GOOD, {"name": "frost", "frost_images": []}, "give them as frost_images"),
        (GOOD, {"name": "frost", "frost_images": [frost_images()[0].float()]}, "uint8 of shape"),
        (GOOD, {"name": "frost", "frost_images": [frost_images()[0][0]]}, "uint8 of shape"),
        (GOOD, {"name": "frost", "frost_images": [frost_images()[0][:, :80]]}, r"\(80, 240\) pixels, shrunk by 0.2"),
    ],
)
def test_what_cannot_be_corrupted_is_refused(images: Tensor, options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        corrupt(images, **{"name": "contrast", "severity": 1, **options})
