"""Blurs against SciPy's filters and plain loops."""

import math

import numpy as np
import pytest
import torch
from hypothesis import strategies as st
from scipy import ndimage
from torch import Tensor

from sharpdiv.empirical.data import corruptions
from sharpdiv.empirical.data.corrupting import blur, filters, weather
from sharpdiv.empirical.data.corruptions import corrupt
from tests.empirical.data.corrupting.pictures import (
    assert_truncated,
    constant,
    draws,
    levels,
    noise_images,
    seeds,
    sides,
    units,
)
from tests.laws import Mutation, law

ROOM = "sharpdiv.empirical.data.corrupting"


@law(
    Mutation(
        "cut off early",
        f"{ROOM}.filters._blur_matrix",
        lambda f: lambda n, s, _, e: f(n, s, 2.0, e),
    ),
    Mutation(
        "mirrored edges",
        f"{ROOM}.filters._blur_matrix",
        lambda f: lambda n, s, t, _: f(n, s, t, "symmetric"),
    ),
    Mutation("sigma, not 2 sigma^2", "torch.exp", lambda f: lambda x: f(x / 2)),
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
    Mutation(
        "edges replicated",
        f"{ROOM}.blur.correlate",
        lambda f: lambda i, k: f(i, k, "replicate"),
    ),
    Mutation("alias ignored", "torch.outer", lambda _: lambda *_: torch.eye(3)[1:2].T @ torch.eye(3)[1:2]),
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
    Mutation("visited first to last", "torch.maximum", lambda _: torch.minimum),
    Mutation("one step only", "torch.maximum", lambda _: lambda _, own: own),
    Mutation(
        "rows for columns",
        f"{ROOM}.blur._glass_sources",
        lambda f: lambda o, d: f(o.flip(1), d),
    ),
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
    sources = blur._glass_sources(torch.from_numpy(offsets), max_delta)[0].numpy()
    assert np.array_equal(pixels.reshape(-1, 3)[sources], moved.reshape(-1, 3))


@law(
    Mutation("no blur", f"{ROOM}.blur.blurred", lambda _: lambda i, _: i),
    Mutation("no shuffling", f"{ROOM}.blur._glass_sources", lambda f: lambda o, d: f(0 * o, d)),
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
    Mutation("two-sided", "torch.arange", lambda f: lambda *a, **k: f(*a, **k) - 2 * (len(a) == 1)),
    Mutation("angle in radians", "torch.deg2rad", lambda _: lambda d: d),
    Mutation("weights not normalized", "torch.Tensor.sum", lambda f: lambda t, *a, **k: 1.1 * f(t, *a, **k)),
    seed=seeds,
    height=sides,
    degrees=st.floats(-180, 180),
    radius=st.integers(1, 9),
    sigma=st.floats(0.5, 6),
)
def test_motion_follows_a_ray(seed: int, height: int, degrees: float, radius: int, sigma: float) -> None:
    images = noise_images(seed, height=height).float() / 255
    smeared = filters.smear(images, torch.full((2,), degrees), radius, sigma)
    reach, kernel = 2 * radius, np.zeros((4 * radius + 1, 4 * radius + 1))
    # In float32, as a step may end within rounding of the middle between two pixels.
    angle = np.deg2rad(np.float32(degrees))
    for step in range(2 * radius + 1):
        place = [math.ceil(np.float32(step) * part - np.float32(0.5)) for part in (np.sin(angle), np.cos(angle))]
        kernel[reach + place[0], reach + place[1]] += math.exp(-(step**2) / (2 * sigma**2))
    exact = ndimage.correlate(images.double().numpy(), (kernel / kernel.sum())[None, None], mode="nearest")
    assert np.abs(255 * (smeared.numpy() - exact)).max() < 0.5 + 1e-3  # rounded, not truncated


@law(
    Mutation("any direction", f"{ROOM}.draws.Draws.uniform", lambda f: lambda d, *s: 4 * f(d, *s)),
    Mutation(
        "one direction",
        f"{ROOM}.draws.Draws.uniform",
        lambda f: lambda d, *s: f(d, *s).mean(0).expand(300, *s),
    ),
)
def test_motion_is_sideways_and_snow_falls() -> None:
    images = torch.zeros(300, 1, 8, 8, dtype=torch.uint8)
    seen: list[Tensor] = []

    def spy(layer: Tensor, degrees: Tensor, radius: int, sigma: float) -> Tensor:
        seen.append(degrees)
        return layer

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(corruptions, "_CHUNK", 300)
        patch.setattr(blur, "smear", spy)
        patch.setattr(weather, "smear", spy)
        for name, middle in (("motion_blur", 0), ("snow", -90)):
            corrupt(images, name, 1)
            offset = seen[-1] - middle
            assert offset.abs().max() <= 45
            # Uniform over 90 degrees: deviation 26; 300 draws.
            assert abs(float(offset.mean())) < 4 * 26 / math.sqrt(300)
            assert float(offset.std()) == pytest.approx(90 / math.sqrt(12), rel=0.15)  # 4 standard errors of 0.037


@law(
    Mutation("the image once", "torch.Tensor.clone", lambda _: lambda t: 0 * t),
    Mutation("pixel centres aligned", "torch.nn.functional.interpolate", lambda f: lambda i, size, **_: f(i, size)),
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
