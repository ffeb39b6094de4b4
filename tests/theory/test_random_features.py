"""Laws of random-feature ensembles, against dense Gaussian-equivalent networks, real networks, and limits known by hand."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import strategies as st
from scipy.integrate import quad

from tests.laws import Mutation, law
from tests.reference import dual_maximum
from theory import DomainError, generalised, random_features, random_features_simulation
from theory.generalised import GeneralisedMarchenkoPastur
from theory.random_features import FeatureData, RandomFeatureSetting, RandomFeatureTradeoff, activation
from theory.random_features_simulation import RandomFeatureSimulation
from theory.sharpness import trust_region_maximum

RHO = np.array([0.0, 0.2])
SMALL = RandomFeatureSetting(n=240, d=120, features=160)


def constants(**changes: Callable[[Any], float]) -> Callable[[Any], Any]:
    """A wrong activation: constants recomputed from the right ones."""
    return lambda f: lambda name: (lambda a: replace(a, **{n: g(a) for n, g in changes.items()}))(f(name))


def regression(**changes: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """A wrong regression problem: fields recomputed from the right one."""
    return lambda f: lambda *args: (lambda r: replace(r, **{n: g(r) for n, g in changes.items()}))(f(*args))


NO_FLUCTUATION = Mutation(
    "D without the fluctuation of P(K)",
    "theory.generalised.GeneralisedMarchenkoPastur.fluctuation",
    lambda f: lambda *args: 0 * f(*args),
)
NO_WIDTH = Mutation("v for v/p", "theory.random_features._unseen_variance", lambda f: lambda *args: 160 * f(*args))
ALL_UNSEEN = Mutation(
    "v without tr(Phi^-1 C)", "theory.random_features._unseen_variance", lambda f: lambda act, seen: f(act, 0.0)
)
MU1 = Mutation("mu1 for mu1^2", "theory.random_features.activation", constants(mu1=lambda a: np.sqrt(a.mu1)))
NO_NOISE = Mutation(
    "no label noise",
    "theory.random_features._average",
    lambda f: lambda setting, n: f(replace(setting, label_noise=0.0), n),
)
NOT_DIVIDED = Mutation(
    "sum_i D_i/s instead of /s^2", "theory.random_features.ensemble_size", lambda f: lambda *args: f(*args) and 1
)


def draw(setting: RandomFeatureSetting, seed: int) -> FeatureData:
    rng = np.random.default_rng(seed)
    X, beta = rng.standard_normal((setting.n, setting.d)), rng.standard_normal(setting.d)
    beta *= np.sqrt(setting.signal_variance * setting.d) / np.linalg.norm(beta)
    noise = np.sqrt(setting.label_noise) * rng.standard_normal(setting.n)
    return FeatureData(X, X @ beta / np.sqrt(setting.d) + noise, beta)


# ------------------------------------------------------------------------------------------------------------- activations


@law(
    Mutation(
        "mu0 not removed",
        "theory.random_features.activation",
        constants(mu_star_squared=lambda a: a.mu_star_squared + a.mu0**2),
    ),
    Mutation(
        "E act'(g) of a rescaled activation",
        "theory.random_features.activation",
        constants(mu1=lambda a: a.mu1 / np.sqrt(2)),
    ),
    name=st.sampled_from(["relu", "erf", "tanh", "linear"]),
)
def test_constants_are_gaussian_integrals(name: str) -> None:
    act = random_features.activation(name)

    def mean(f: Callable[[float], float]) -> float:
        density = lambda g: f(g) * np.exp(-(g**2) / 2) / np.sqrt(2 * np.pi)  # noqa: E731
        return sum(quad(density, *ends, epsabs=1e-13)[0] for ends in ((-12, 0), (0, 12)))

    assert act.mu0 == pytest.approx(mean(lambda g: float(act.function(np.array(g)))), abs=1e-11)
    assert act.mu1 == pytest.approx(mean(lambda g: g * float(act.function(np.array(g)))), abs=1e-11)
    second = mean(lambda g: float(act.function(np.array(g))) ** 2)
    assert act.mu_star_squared == pytest.approx(second - act.mu0**2 - act.mu1**2, abs=1e-11)


# ------------------------------------------------------------------------------------- dense Gaussian-equivalent networks


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


@law(
    NO_FLUCTUATION,
    NO_WIDTH,
    ALL_UNSEEN,
    MU1,
    Mutation(
        "mu* for mu*^2",
        "theory.random_features.activation",
        constants(mu_star_squared=lambda a: np.sqrt(a.mu_star_squared)),
    ),
    Mutation(
        "gradient without its factor Z",
        "theory.random_features.dual_sharpness",
        lambda f: lambda resolvent, top, g2, radius: f(resolvent, top, 0 * g2, radius),
    ),
    Mutation(
        "the law of K for p = n",
        "theory.random_features.GeneralisedMarchenkoPastur",
        lambda c: lambda ratio, sigma, *rest: c(1.0, sigma * ratio, *rest),
    ),
)
def test_given_data_are_predicted_like_dense_gaussian_networks() -> None:
    """200 networks: 4 standard errors plus 2/d for finite size, which the smallest term of the formulas exceeds many times."""
    for index, setting in enumerate(DENSE):
        curve = random_features.random_feature_tradeoff(setting, 0.2, data=draw(setting, index))
        sample = gaussian_networks(setting, 0.2, 200, index)
        for name in ("diversity", "member_error", "sharpness"):
            values, predicted = getattr(sample, name), float(getattr(curve, name)[0])
            error = 4 * values.std() / np.sqrt(values.size) + 2 / setting.d * predicted
            assert abs(values.mean() - predicted) <= error, (index, name, predicted, values.mean(), error)
