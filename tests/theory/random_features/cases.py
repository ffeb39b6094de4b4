"""Problems, drawn data, and wrong formulas that several laws must reject."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from hypothesis import strategies as st

from sharpdiv.theory.random_features.closed_forms import random_feature_tradeoff
from sharpdiv.theory.random_features.setting import FeatureData, RandomFeatureSetting
from tests.laws import Mutation

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
    "sharpdiv.theory.spectra.covariance.GeneralizedMarchenkoPastur.fluctuation",
    lambda f: lambda *args: 0 * f(*args),
)


NO_WIDTH = Mutation(
    "v for v/p", "sharpdiv.theory.random_features.member._unseen_variance", lambda f: lambda *args: 160 * f(*args)
)


ALL_UNSEEN = Mutation(
    "v without tr(Phi^-1 C)",
    "sharpdiv.theory.random_features.member._unseen_variance",
    lambda f: lambda act, seen: f(act, 0.0),
)


MU1 = Mutation(
    "mu1 for mu1^2", "sharpdiv.theory.random_features.member.activation", constants(mu1=lambda a: np.sqrt(a.mu1))
)


NO_NOISE = Mutation(
    "no label noise",
    "sharpdiv.theory.random_features.closed_forms.averaged",
    lambda f: lambda setting, n: f(replace(setting, label_noise=0.0), n),
)


NOT_DIVIDED = Mutation(
    "sum_i D_i/s instead of /s^2",
    "sharpdiv.theory.random_features.closed_forms.ensemble_size",
    lambda f: lambda *args: f(*args) and 1,
)


def draw(setting: RandomFeatureSetting, seed: int) -> FeatureData:
    rng = np.random.default_rng(seed)
    X, beta = rng.standard_normal((setting.n, setting.d)), rng.standard_normal(setting.d)
    beta *= np.sqrt(setting.signal_variance * setting.d) / np.linalg.norm(beta)
    noise = np.sqrt(setting.label_noise) * rng.standard_normal(setting.n)
    return FeatureData(X, X @ beta / np.sqrt(setting.d) + noise, beta)


settings_: dict[str, Any] = {
    "n": st.sampled_from([40, 100, 240]),
    "features": st.integers(20, 400),
    "name": st.sampled_from(["relu", "erf", "tanh", "linear"]),
    "steps": st.integers(1, 30),
    "noise": st.floats(0, 1),
}


def problem(n: int, features: int, name: Any, steps: int, noise: float) -> RandomFeatureSetting:
    """100 dimensions, a learning rate of 0.9 over the upper edge of K."""
    setting = RandomFeatureSetting(n, 100, features, name, steps, 1e-3, label_noise=noise, teacher_norm=7.0)
    critical = random_feature_tradeoff(setting, 0.0).critical_rho
    assert critical is not None
    # critical_rho = (2 / (eta x) - 1) / x, solved for the edge x.
    edge = (np.sqrt(1 + 8 * critical / 1e-3) - 1) / (2 * critical)
    return replace(setting, learning_rate=0.9 / edge)
