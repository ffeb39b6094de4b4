"""Given data are predicted like dense Gaussian-equivalent networks."""

from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import pytest

from sharpdiv.theory import filters
from sharpdiv.theory.random_features import degrees
from sharpdiv.theory.random_features.activations import activation
from sharpdiv.theory.random_features.closed_forms import random_feature_tradeoff
from sharpdiv.theory.random_features.setting import RandomFeatureSetting
from sharpdiv.theory.theorems.sharpness import trust_region_maximum
from tests.laws import Mutation, law
from tests.theory.random_features.cases import (
    ALL_UNSEEN,
    MU1,
    NO_FLUCTUATION,
    NO_WIDTH,
    SMALL,
    constants,
    draw,
    problem,
)


@dataclass(frozen=True)
class Sample:
    """Values of many networks on the same data."""

    diversity: np.ndarray
    member_error: np.ndarray
    sharpness: np.ndarray


@cache
def gaussian_networks(setting: RandomFeatureSetting, rho: float, networks: int, seed: int) -> Sample:
    """Networks with features ``mu1 u + mu* theta``, trained by explicit SAM steps; the test error is an exact mean over x."""
    rng, data, act = np.random.default_rng([seed, 1]), draw(setting, seed), activation(setting.activation)
    n, d, p = setting.n, setting.d, setting.features
    F = rng.standard_normal((networks, p, d))
    Z = act.mu1 * data.inputs @ F.transpose(0, 2, 1) / np.sqrt(d)
    Z = (Z + np.sqrt(act.mu_star_squared) * rng.standard_normal((networks, n, p))) / np.sqrt(p)
    hessian, pull = Z.transpose(0, 2, 1) @ Z, data.targets @ Z

    def gradient(a: np.ndarray) -> np.ndarray:
        return np.einsum("npq,nq->np", hessian, a) - pull

    a = np.zeros((networks, p))
    for _ in range(setting.steps):
        a = a - setting.learning_rate * gradient(a + rho * gradient(a))
    # A prediction is x'b plus the nonlinear part, whose theta are new at a new x.
    b = act.mu1 * np.einsum("npd,np->nd", F, a) / np.sqrt(p * d)
    theta = act.mu_star_squared * (a**2).sum(axis=1) / p
    eigenvalues, vectors = np.linalg.eigh(hessian)
    g = np.einsum("npq,np->nq", vectors, gradient(a))
    return Sample(
        diversity=((b - b.mean(axis=0)) ** 2).sum(axis=1) * networks / (networks - 1) + theta,
        member_error=((b - data.teacher / np.sqrt(d)) ** 2).sum(axis=1) + theta,
        sharpness=trust_region_maximum(eigenvalues.clip(0), g, setting.radius),
    )


DENSE = [
    replace(SMALL, label_noise=0.2, radius=0.5),
    replace(SMALL, n=120, d=240, activation="erf", learning_rate=0.25, steps=6),
    replace(SMALL, activation="linear", learning_rate=0.1, steps=20),
]


@pytest.mark.slow
@law(
    NO_FLUCTUATION,
    NO_WIDTH,
    ALL_UNSEEN,
    MU1,
    Mutation(
        "mu* for mu*^2",
        "sharpdiv.theory.random_features.member.activation",
        constants(mu_star_squared=lambda a: np.sqrt(a.mu_star_squared)),
    ),
    Mutation(
        "sharpness of a flat point",
        "sharpdiv.theory.random_features.member.dual_sharpness",
        lambda f: lambda resolvent, top, g2, radius: f(resolvent, top, 0 * g2, radius),
    ),
    Mutation(
        "the law of K for p = n",
        "sharpdiv.theory.spectra.covariance.GeneralizedMarchenkoPastur.__init__",
        lambda f: lambda self, ratio, sigma, *rest: f(self, 1.0, sigma * ratio, *rest),
    ),
)
def test_given_data_are_predicted_like_dense_gaussian_networks() -> None:
    """150 networks: 4 standard errors plus 2/d for finite size, which the smallest term of the formulas exceeds many times."""
    for index, setting in enumerate(DENSE):
        curve = random_feature_tradeoff(setting, 0.2, data=draw(setting, index))
        sample = gaussian_networks(setting, 0.2, 150, index)
        for name in ("diversity", "member_error", "sharpness"):
            values, predicted = getattr(sample, name), float(getattr(curve, name)[0])
            error = 4 * values.std() / np.sqrt(values.size) + 2 / setting.d * predicted
            assert abs(values.mean() - predicted) <= error, (index, name, predicted, values.mean(), error)


@pytest.mark.slow
@law(
    Mutation(
        "degree too low",
        "sharpdiv.theory.filters.power_degree",
        lambda f: lambda power: f(power) // 8,
    ),
)
def test_many_steps_need_a_degree_of_their_square_root_only() -> None:
    """100 steps against laws of the full degree, 2k and 4k + 1, stable and slightly unstable."""
    setting = problem(40, 80, "relu", 100, 0.2)
    rho = np.array([0.0, 0.9, 1.02]) * (random_feature_tradeoff(setting, 0.0).critical_rho or 0.0)
    curve = random_feature_tradeoff(setting, rho)
    with pytest.MonkeyPatch.context() as patch:
        for module in (degrees, filters):
            patch.setattr(module, "power_degree", lambda power: 2 * power)
        full = random_feature_tradeoff(setting, rho)
    for field in ("diversity", "sharpness", "member_error", "ensemble_error"):
        assert getattr(curve, field) == pytest.approx(
            getattr(full, field), rel=1e-5 if field == "sharpness" else 1e-9
        ), field


def test_a_feature_that_is_not_drawn_has_no_variance() -> None:
    """Linear features with n > d and infinite width: Phi is singular, v is 0, and nothing is 0/0."""
    setting = replace(SMALL, activation="linear", learning_rate=0.1, features=10**10)
    curve = random_feature_tradeoff(setting, 0.1, data=draw(setting, 0))
    assert curve.diversity[0] == pytest.approx(0, abs=1e-8)
    assert curve.eir[0] == pytest.approx(0, abs=1e-7)
