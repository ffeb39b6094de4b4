"""Averaged data are the mean over given data, and eigenvalues may stand for several."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from hypothesis import strategies as st

from sharpdiv.theory.random_features.closed_forms import random_feature_tradeoff
from sharpdiv.theory.spectra.covariance import GeneralizedMarchenkoPastur
from tests.laws import Mutation, law
from tests.theory.random_features.cases import NO_NOISE, NOT_DIVIDED, RHO, SMALL, draw, regression

CASES = [
    (replace(SMALL, n=120, d=60, label_noise=0.3), 1),
    (replace(SMALL, n=120, d=60, features=90, activation="erf", learning_rate=0.3, label_noise=0.3), 3),
    (replace(SMALL, n=60, d=90, activation="linear", learning_rate=0.1), 2),
]


@cache
def mean_of_given(index: int) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Predictions conditional on 12 drawn data sets: mean and standard error over them."""
    setting, blocks = CASES[index]
    curves = [random_feature_tradeoff(setting, RHO, blocks=blocks, data=draw(setting, s)) for s in range(12)]
    names = ("diversity", "sharpness", "member_error", "ensemble_error")
    values = {name: np.stack([getattr(curve, name) for curve in curves]) for name in names}
    return {name: (v.mean(axis=0), v.std(axis=0, ddof=1) / np.sqrt(12)) for name, v in values.items()}


@pytest.fixture(scope="module")
def taken_of_right_formulas() -> None:
    """The referee is made of the same functions: it is kept before any of them is made wrong."""
    for index in range(len(CASES)):
        mean_of_given(index)


@pytest.mark.slow
@pytest.mark.usefixtures("taken_of_right_formulas")
@law(
    NO_NOISE,
    NOT_DIVIDED,
    Mutation(
        "null space of XX' ignored",
        "sharpdiv.theory.random_features.closed_forms.averaged",
        regression(energy=lambda r: r.energy * (r.eigenvalues > 0)),
    ),
    Mutation(
        "expected predictor 10% too short",
        "sharpdiv.theory.random_features.closed_forms.averaged",
        regression(directions=lambda r: r.directions / 1.1),
    ),
)
def test_averaged_data_are_the_mean_over_given_data() -> None:
    """4 standard errors plus 3/d for finite size."""
    for index, (setting, blocks) in enumerate(CASES):
        curve = random_feature_tradeoff(setting, RHO, blocks=blocks)
        for name, (mean, stderr) in mean_of_given(index).items():
            value = getattr(curve, name)
            assert np.all(np.abs(mean - value) <= 4 * stderr + 3 / setting.d * value), (
                index,
                name,
                value,
                mean,
                stderr,
            )


@law(
    Mutation(
        "shares ignored",
        "sharpdiv.theory.spectra.covariance.GeneralizedMarchenkoPastur.__init__",
        lambda f: lambda self, ratio, sigma, weights, degree, shares=None: f(self, ratio, sigma, weights, degree),
    ),
    seed=st.integers(0, 1000),
    ratio=st.sampled_from([0.3, 1.0, 2.5]),
)
def test_shares_are_repeated_eigenvalues(seed: int, ratio: float) -> None:
    rng = np.random.default_rng(seed)
    sigma, counts, weights, sandwich = rng.uniform(0, 2, 5), rng.integers(1, 4, 5), rng.random(5), rng.random(5)
    short = GeneralizedMarchenkoPastur(ratio, sigma, weights, 30, counts / counts.sum())
    long = GeneralizedMarchenkoPastur(ratio, np.repeat(sigma, counts), np.repeat(weights / counts, counts), 30)

    def function(x: np.ndarray) -> np.ndarray:
        return 1 - (1 - 0.2 * x) ** 7

    assert short.largest == pytest.approx(long.largest)
    assert short.integrate(function) == pytest.approx(long.integrate(function))
    assert short.at_test.integrate(function) == pytest.approx(long.at_test.integrate(function))
    here = short.fluctuation(function, weights, sandwich)
    assert here == pytest.approx(long.fluctuation(function, long.weights, np.repeat(sandwich, counts)), abs=1e-12)
