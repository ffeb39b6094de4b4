"""The simulation is explicit SAM on the second layer."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import strategies as st

from sharpdiv.theory.random_features.activations import activation
from sharpdiv.theory.random_features.setting import RandomFeatureSetting
from sharpdiv.theory.random_features.simulation import simulate_random_features
from tests.laws import Mutation, law
from tests.reference import dual_maximum
from tests.theory.random_features.cases import SMALL, constants, draw


def simulate_by_iterating(
    setting: RandomFeatureSetting, rho: float, blocks: int, members: int, seed: int
) -> dict[str, float]:
    """One draw of two networks on each block by explicit SAM steps and a dense dual, from the same stream of random numbers."""
    rng, act = np.random.default_rng(seed), activation(setting.activation)
    n, d, p = setting.n, setting.d, setting.features
    X, beta = rng.standard_normal((n, d)), rng.standard_normal(d)
    beta *= np.sqrt(setting.signal_variance * d) / np.linalg.norm(beta)
    y = X @ beta / np.sqrt(d) + np.sqrt(setting.label_noise) * rng.standard_normal(n)
    test = rng.standard_normal((7, d))
    errors, kappa = np.empty((blocks, 2, 7)), []
    for block, rows in enumerate(np.split(np.arange(n), blocks)):
        for network in range(2):
            F = rng.standard_normal((p, d))
            Z, new = ((act.function(x @ F.T / np.sqrt(d)) - act.mu0) / np.sqrt(p) for x in (X[rows], test))
            a = np.zeros(p)
            for _ in range(setting.steps):
                ahead = a + rho * Z.T @ (Z @ a - y[rows])
                a = a - setting.learning_rate * Z.T @ (Z @ ahead - y[rows])
            errors[block, network] = new @ a - test @ beta / np.sqrt(d)
            kappa.append(dual_maximum(Z.T @ Z, Z.T @ (Z @ a - y[rows]), setting.radius))
    within = errors.var(axis=1, ddof=1).mean(axis=1)  # of each block
    # Products of different networks only: no network's own variance is in them.
    pairs = np.einsum("bnt,cmt->bncm", errors, errors) / 7
    same = np.arange(blocks)[:, None, None, None] == np.arange(blocks)[:, None]
    other = (1 - np.eye(2))[:, None, :] * 2
    bias = (pairs * np.where(same, other, 1.0)).mean()
    return {
        "diversity": (errors**2).mean() - bias,
        "member_error": (errors**2).mean(),
        "ensemble_error": bias + within.mean() / (blocks if blocks > 1 else members),
        "sharpness": np.mean(kappa),
    }


@law(
    Mutation(
        "gradient descent",
        "sharpdiv.theory.random_features.simulation.sam_filter",
        lambda f: lambda x, e, r: f(x, e, 0 * r),
    ),
    Mutation("mean left in", "sharpdiv.theory.random_features.simulation.activation", constants(mu0=lambda _: 0.0)),
    Mutation(
        "radius fixed",
        "sharpdiv.theory.random_features.simulation.trust_region_maximum",
        lambda f: lambda x, g, _: f(x, g, 1.0),
    ),
    examples=8,
    features=st.sampled_from([4, 30]),
    blocks=st.sampled_from([1, 2, 3]),
    rho=st.floats(0.1, 1.0),
)
def test_simulation_in_the_eigenbasis_is_sam_on_the_second_layer(features: int, blocks: int, rho: float) -> None:
    setting = RandomFeatureSetting(n=12, d=5, features=features, steps=3, radius=0.3, label_noise=0.5, teacher_norm=1.5)
    measure = simulate_random_features
    members = 4 if blocks == 1 else None
    one = measure(setting, rho, members=members, blocks=blocks, draws=1, networks=2, test_samples=7, seed=3)
    for name, value in simulate_by_iterating(setting, rho, blocks, 4, 3).items():
        assert float(getattr(one, name).mean[0]) == pytest.approx(value, rel=1e-7), name
    assert one.eir.mean == pytest.approx(1 - one.ensemble_error.mean / one.member_error.mean)


def test_a_simulation_is_its_seed() -> None:
    setting, data = replace(SMALL, n=20, d=8, features=10), draw(replace(SMALL, n=20, d=8), 5)
    measure = simulate_random_features
    first, second, other = (measure(setting, 0.1, data=data, draws=2, networks=2, seed=s) for s in (1, 1, 2))
    assert np.array_equal(first.diversity.mean, second.diversity.mean)
    assert not np.array_equal(first.diversity.mean, other.diversity.mean)
    assert first.eir.stderr is not None
    single = measure(setting, 0.1, draws=1, networks=2)
    assert single.diversity.stderr is None
    assert single.eir.stderr is None
