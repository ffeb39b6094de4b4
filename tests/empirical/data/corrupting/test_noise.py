"""Noise against its law."""

import math

import numpy as np
import pytest
import torch
from scipy import stats

from sharpdiv.empirical.data.corrupting import noise
from sharpdiv.empirical.data.corruptions import corrupt
from tests.empirical.data.corrupting.pictures import constant, draws, levels
from tests.laws import Mutation, law

ROOM = "sharpdiv.empirical.data.corrupting"


@law(
    Mutation(
        "variance for the deviation",
        f"{ROOM}.draws.Draws.normal",
        lambda f: lambda *a: f(*a) ** 2,
    ),
    severity=levels,
)
def test_gaussian_noise_has_its_deviation(severity: int) -> None:
    grey = torch.full((40, 1, 16, 16), 128, dtype=torch.uint8)
    added = corrupt(grey, "gaussian_noise", severity).double() - 128
    # Truncation lowers the mean by half a level and adds the variance of a uniform number. 10,240 values: the deviation's
    # standard error is 0.7%, the mean's 1% of sigma.
    sigma = math.hypot(255 * constant("gaussian_noise", "sigma", severity), 12**-0.5)
    assert float(added.std()) == pytest.approx(sigma, rel=0.03)
    assert abs(float(added.mean()) + 0.5) < 0.04 * sigma


@law(
    Mutation(
        "photons not divided out",
        f"{ROOM}.draws.Draws.poisson",
        lambda f: lambda d, rates: f(d, 2 * rates) / 2,
    ),
    Mutation(
        "Gaussian",
        f"{ROOM}.draws.Draws.poisson",
        lambda f: lambda d, r: r + r.sqrt() * d.normal(*r.shape[1:]),
    ),
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
    Mutation("salt only", "torch.zeros_like", lambda _: torch.ones_like),
    Mutation(
        "amount of each",
        f"{ROOM}.draws.Draws.uniform",
        lambda f: lambda *a: (f(*a) - 0.5) * 0.5 + 0.5,
    ),
    Mutation(
        "whole pixels",
        f"{ROOM}.draws.Draws.uniform",
        lambda f: lambda d, _, *s: f(d, 1, *s).expand(-1, 3, -1, -1),
    ),
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
    Mutation("additive", f"{ROOM}.noise._speckle_noise", lambda _: noise._gaussian_noise),
    severity=levels,
)
def test_speckle_is_proportional_to_the_image(severity: int) -> None:
    for level in (60, 120):
        grey = torch.full((40, 1, 16, 16), level, dtype=torch.uint8)
        # Called by name, so that a wrong one can take its place.
        sigma = constant("speckle_noise", "sigma", severity)
        added = noise._speckle_noise(grey.double() / 255, draws(0, 40), sigma) - level / 255
        assert float(added.std()) == pytest.approx(sigma * level / 255, rel=0.03)  # 4 standard errors
