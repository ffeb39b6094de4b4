"""Constants of activations, against integrals."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import strategies as st
from scipy.integrate import quad

from sharpdiv.theory.random_features import activations
from tests.laws import Mutation, law
from tests.theory.random_features.cases import (
    constants,
)


@law(
    Mutation(
        "mu0 not removed",
        "sharpdiv.theory.random_features.activations.activation",
        constants(mu_star_squared=lambda a: a.mu_star_squared + a.mu0**2),
    ),
    Mutation(
        "E act'(g) of a rescaled activation",
        "sharpdiv.theory.random_features.activations.activation",
        constants(mu1=lambda a: a.mu1 / np.sqrt(2)),
    ),
    name=st.sampled_from(["relu", "erf", "tanh", "linear"]),
)
def test_constants_are_gaussian_integrals(name: str) -> None:
    act = activations.activation(name)

    def mean(f: Callable[[float], float]) -> float:
        density = lambda g: f(g) * np.exp(-(g**2) / 2) / np.sqrt(2 * np.pi)  # noqa: E731
        return sum(quad(density, *ends, epsabs=1e-13)[0] for ends in ((-12, 0), (0, 12)))

    assert act.mu0 == pytest.approx(mean(lambda g: float(act.function(np.array(g)))), abs=1e-11)
    assert act.mu1 == pytest.approx(mean(lambda g: g * float(act.function(np.array(g)))), abs=1e-11)
    second = mean(lambda g: float(act.function(np.array(g))) ** 2)
    assert act.mu_star_squared == pytest.approx(second - act.mu0**2 - act.mu1**2, abs=1e-11)
