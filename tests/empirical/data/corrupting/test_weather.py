"""Weather against plain loops and colorsys."""

import colorsys
import itertools
import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import strategies as st
from scipy import stats

from sharpdiv.empirical.data import corruptions
from sharpdiv.empirical.data.corrupting import weather
from sharpdiv.empirical.data.corruptions import corrupt
from tests.empirical.data.corrupting.pictures import (
    assert_truncated,
    constant,
    draws,
    frost_images,
    levels,
    noise_images,
    seeds,
    units,
)
from tests.laws import Mutation, law

ROOM = "sharpdiv.empirical.data.corrupting"


@law(
    Mutation("flakes not turned", "torch.Tensor.flip", lambda _: lambda t, *_: t),
    Mutation("not thresholded", "torch.where", lambda f: lambda c, a, b: f(c, b, b)),
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
    Mutation("snow at the threshold's other side", "torch.where", lambda f: lambda c, a, b: f(c, b, a)),
    Mutation("scale ignored", f"{ROOM}.draws.Draws.normal", lambda f: lambda *a: 1.5 * f(*a)),
    severity=st.sampled_from([1, 2]),
    examples=4,
)
def test_snow_has_the_mass_of_a_truncated_gaussian(severity: int) -> None:
    constants: dict[str, Any] = {key: values[severity - 1] for key, values in corruptions._TABLE["snow"].cifar.items()}
    black, random = torch.zeros(300, 1, 32, 32), draws(0, 300)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(weather, "smear", lambda layer, *_: layer)
        whitened = weather._snow(black, random, **constants).double()
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
    Mutation(
        "range shrinks by the decay",
        f"{ROOM}.weather._plasma",
        lambda f: lambda d, n, decay: f(d, n, decay**0.5),
    ),
    Mutation("no torus", "torch.Tensor.roll", lambda _: lambda t, *_: t),
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
    Mutation("added to every channel", "torch.Tensor.amax", lambda f: lambda t, **k: t),
    Mutation("black stays black", "torch.ones_like", lambda _: torch.zeros_like),
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


@law(
    Mutation("always the first", f"{ROOM}.draws.Draws.integers", lambda f: lambda *a: 0 * f(*a)),
    Mutation("a mean of two", "torch.stack", lambda f: lambda t: 0.5 * f(t)),
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
