"""Corruptions against their definitions."""

import numpy as np
import pytest
import torch
from hypothesis import strategies as st

from empirical import CORRUPTIONS, SEVERITIES, InputError, corrupt, corruptions
from tests.laws import Mutation, law

GREY = torch.full((40, 1, 16, 16), 0.5)
levels = st.sampled_from(SEVERITIES)


@law(
    Mutation(
        "variance for the deviation", "empirical.corruptions.torch.randn", lambda f: lambda *a, **k: f(*a, **k) ** 2
    ),
    severity=levels,
)
def test_gaussian_noise_has_its_deviation(severity: int) -> None:
    sigma = CORRUPTIONS["gaussian_noise"][1][severity - 1]
    noise = corrupt(GREY, "gaussian_noise", severity) - GREY
    # 10,240 values: the deviation's standard error is 0.7%, the mean's 1% of sigma.
    assert float(noise.std()) == pytest.approx(sigma, rel=0.03)
    assert abs(float(noise.mean())) < 0.04 * sigma


@law(
    Mutation(
        "photons not divided out",
        "empirical.corruptions.torch.poisson",
        lambda f: lambda x, generator: f(2 * x, generator=generator) / 2,
    ),
    severity=levels,
)
def test_shot_noise_has_the_variance_of_photons(severity: int) -> None:
    photons = CORRUPTIONS["shot_noise"][1][severity - 1]
    noise = corrupt(GREY, "shot_noise", severity) - GREY
    # Variance x / photons; its relative standard error over 10,240 values is 1.4%.
    assert float(noise.var()) == pytest.approx(0.5 / photons, rel=0.06)


@law(
    Mutation("salt only", "empirical.corruptions.torch.zeros_like", lambda _: torch.ones_like),
    severity=levels,
)
def test_impulse_noise_is_salt_and_pepper(severity: int) -> None:
    amount = CORRUPTIONS["impulse_noise"][1][severity - 1]
    noisy = corrupt(GREY, "impulse_noise", severity)
    error = 4 * (amount / 2 / GREY.numel()) ** 0.5  # 4 standard errors of a fraction
    assert float((noisy == 1).double().mean()) == pytest.approx(amount / 2, abs=error)
    assert float((noisy == 0).double().mean()) == pytest.approx(amount / 2, abs=error)
    assert set(noisy.unique().tolist()) == {0.0, 0.5, 1.0}


@law(
    Mutation("kernel not normalised", "empirical.corruptions.torch.exp", lambda f: lambda x: f(x) * (x < 0)),
    Mutation("sigma, not 2 sigma^2", "empirical.corruptions.torch.exp", lambda f: lambda x: f(x / 2)),
    severity=levels,
)
def test_blur_spreads_a_point_by_its_sigma(severity: int) -> None:
    sigma = CORRUPTIONS["gaussian_blur"][1][severity - 1]
    point = torch.zeros(1, 1, 33, 33, dtype=torch.float64)
    point[0, 0, 16, 16] = 1
    blurred = corrupt(point, "gaussian_blur", severity)[0, 0]
    offsets = torch.arange(33, dtype=torch.float64) - 16
    discrete = torch.as_tensor(np.exp(-(offsets.numpy() ** 2) / (2 * sigma**2)))
    expected = torch.outer(discrete, discrete) / discrete.sum() ** 2
    assert float((blurred - expected).abs().max()) < 1e-4  # what is cut off beyond 4 sigma
    assert float(blurred.sum()) == pytest.approx(1, abs=1e-12)
    assert float((corrupt(GREY, "gaussian_blur", severity) - 0.5).abs().max()) < 1e-6


@law(
    Mutation("about black", "empirical.corruptions.torch.Tensor.mean", lambda f: lambda t, **k: 0 * f(t, **k)),
    severity=levels,
)
def test_contrast_scales_about_the_mean(severity: int) -> None:
    images = 0.25 + torch.rand(4, 3, 8, 8, generator=torch.Generator().manual_seed(0)) / 2
    factor = CORRUPTIONS["contrast"][1][severity - 1]
    flat = corrupt(images, "contrast", severity)
    mean = images.sum(dim=(2, 3), keepdim=True) / 64
    assert torch.allclose(flat - mean, factor * (images - mean), atol=1e-6)


@law(
    Mutation("added to every channel", "empirical.corruptions.torch.Tensor.amax", lambda f: lambda t, **k: t),
    severity=levels,
)
def test_brightness_raises_the_value_and_keeps_the_hue(severity: int) -> None:
    shift = CORRUPTIONS["brightness"][1][severity - 1]
    colour = torch.tensor([0.4, 0.2, 0.1]).view(1, 3, 1, 1)
    brighter = corrupt(colour, "brightness", severity).flatten()
    assert float(brighter[0]) == pytest.approx(min(0.4 + shift, 1))
    assert (brighter / brighter[0]).tolist() == pytest.approx([1, 0.5, 0.25])
    assert corrupt(torch.zeros(1, 1, 2, 2), "brightness", severity).unique().tolist() == pytest.approx([shift])


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_severity_is_monotone_and_seeded(name: str) -> None:
    images = torch.rand(64, 1, 16, 16, generator=torch.Generator().manual_seed(1))
    change = [float((corrupt(images, name, level, seed=3) - images).square().mean()) for level in SEVERITIES]
    assert change == sorted(change)
    again = corruptions.corrupt(images, name, 3, seed=3)
    assert torch.equal(again, corrupt(images, name, 3, seed=3))
    assert float(again.min()) >= 0
    assert float(again.max()) <= 1


@pytest.mark.parametrize(("name", "severity"), [("frost", 1), ("contrast", 0), ("contrast", 6)])
def test_unknown_corruptions_are_refused(name: str, severity: int) -> None:
    with pytest.raises(InputError, match=r"frost|severity"):
        corrupt(GREY, name, severity)
