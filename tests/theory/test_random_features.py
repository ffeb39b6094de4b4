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
from theory import DomainError, random_features, random_features_simulation
from theory.generalised import GeneralisedMarchenkoPastur
from theory.random_features import FeatureData, RandomFeatureSetting, activation
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
        "sharpness of a flat point",
        "theory.random_features.dual_sharpness",
        lambda f: lambda resolvent, top, g2, radius: f(resolvent, top, 0 * g2, radius),
    ),
    Mutation(
        "the law of K for p = n",
        "theory.generalised.GeneralisedMarchenkoPastur.__init__",
        lambda f: lambda self, ratio, sigma, *rest: f(self, 1.0, sigma * ratio, *rest),
    ),
)
def test_given_data_are_predicted_like_dense_gaussian_networks() -> None:
    """150 networks: 4 standard errors plus 2/d for finite size, which the smallest term of the formulas exceeds many times."""
    for index, setting in enumerate(DENSE):
        curve = random_features.random_feature_tradeoff(setting, 0.2, data=draw(setting, index))
        sample = gaussian_networks(setting, 0.2, 150, index)
        for name in ("diversity", "member_error", "sharpness"):
            values, predicted = getattr(sample, name), float(getattr(curve, name)[0])
            error = 4 * values.std() / np.sqrt(values.size) + 2 / setting.d * predicted
            assert abs(values.mean() - predicted) <= error, (index, name, predicted, values.mean(), error)


# ----------------------------------------------------------------------------------------------------------- real networks

REAL = [
    (replace(SMALL, label_noise=0.2, steps=15), 1),
    (replace(SMALL, activation="erf", learning_rate=0.2, steps=12), 1),
    (replace(SMALL, n=360, activation="tanh", learning_rate=0.2, label_noise=0.1), 3),
    (replace(SMALL, n=360, steps=20), 2),
]


@cache
def measured(index: int) -> RandomFeatureSimulation:
    setting, blocks = REAL[index]
    return random_features_simulation.simulate_random_features(
        setting, RHO, blocks=blocks, draws=20, networks=5, test_samples=800, seed=index
    )


@law(
    NO_FLUCTUATION,
    NO_WIDTH,
    MU1,
    NO_NOISE,
    NOT_DIVIDED,
    Mutation(
        "half the teacher for the same targets",
        "theory.random_features._average",
        regression(teacher=lambda r: r.teacher / 2, directions=lambda r: r.directions / 2),
    ),
)
def test_real_activations_follow_their_gaussian_equivalent() -> None:
    """20 draws at d = 120: 4 standard errors plus 3/d for finite size, the most that 500 draws at d = 75 showed is 2/d."""
    for index, (setting, blocks) in enumerate(REAL):
        curve = random_features.random_feature_tradeoff(setting, RHO, blocks=blocks)
        for name in ("diversity", "sharpness", "member_error", "ensemble_error", "eir"):
            estimate, value = getattr(measured(index), name), getattr(curve, name)
            allowed = 4 * estimate.stderr + 3 / setting.d * np.abs(value)
            assert np.all(np.abs(estimate.mean - value) <= allowed), (index, name, value, estimate, allowed)


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
        "gradient descent", "theory.random_features_simulation.sam_filter", lambda f: lambda x, e, r: f(x, e, 0 * r)
    ),
    Mutation("mean left in", "theory.random_features_simulation.activation", constants(mu0=lambda _: 0.0)),
    Mutation(
        "radius fixed", "theory.random_features_simulation.trust_region_maximum", lambda f: lambda x, g, _: f(x, g, 1.0)
    ),
    examples=8,
    features=st.sampled_from([4, 30]),
    blocks=st.sampled_from([1, 2, 3]),
    rho=st.floats(0.1, 1.0),
)
def test_simulation_in_the_eigenbasis_is_sam_on_the_second_layer(features: int, blocks: int, rho: float) -> None:
    setting = RandomFeatureSetting(n=12, d=5, features=features, steps=3, radius=0.3, label_noise=0.5, teacher_norm=1.5)
    measure = random_features_simulation.simulate_random_features
    members = 4 if blocks == 1 else None
    one = measure(setting, rho, members=members, blocks=blocks, draws=1, networks=2, test_samples=7, seed=3)
    for name, value in simulate_by_iterating(setting, rho, blocks, 4, 3).items():
        assert float(getattr(one, name).mean[0]) == pytest.approx(value, rel=1e-7), name
    assert one.eir.mean == pytest.approx(1 - one.ensemble_error.mean / one.member_error.mean)


def test_a_simulation_is_its_seed() -> None:
    setting, data = replace(SMALL, n=20, d=8, features=10), draw(replace(SMALL, n=20, d=8), 5)
    measure = random_features_simulation.simulate_random_features
    first, second, other = (measure(setting, 0.1, data=data, draws=2, networks=2, seed=s) for s in (1, 1, 2))
    assert np.array_equal(first.diversity.mean, second.diversity.mean)
    assert not np.array_equal(first.diversity.mean, other.diversity.mean)
    assert first.eir.stderr is not None
    single = measure(setting, 0.1, draws=1, networks=2)
    assert single.diversity.stderr is None
    assert single.eir.stderr is None


# -------------------------------------------------------------------------------------------------------- limits and laws

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
    critical = random_features.random_feature_tradeoff(setting, 0.0).critical_rho
    assert critical is not None
    # critical_rho = (2 / (eta x) - 1) / x, solved for the edge x.
    edge = (np.sqrt(1 + 8 * critical / 1e-3) - 1) / (2 * critical)
    return replace(setting, learning_rate=0.9 / edge)


@law(
    Mutation(
        "|beta| for |beta|^2",
        "theory.random_features.RandomFeatureSetting.signal_variance",
        lambda _: property(lambda self: self.teacher_norm / self.d),
    ),
    examples=8,
    norm=st.floats(0, 30),
    blocks=st.sampled_from([1, 2, 5]),
)
def test_without_training_there_is_only_the_signal(norm: float, blocks: int) -> None:
    setting = replace(SMALL, steps=0, teacher_norm=norm)
    curve = random_features.random_feature_tradeoff(setting, RHO, blocks=blocks)
    assert curve.diversity == pytest.approx(0, abs=1e-12)
    assert curve.member_error == pytest.approx(norm**2 / setting.d)
    assert curve.ensemble_error == pytest.approx(norm**2 / setting.d)


@law(NO_WIDTH, MU1, examples=7, n=settings_["n"], name=settings_["name"], steps=st.integers(1, 12))
def test_infinitely_wide_networks_are_kernel_regression(n: int, name: str, steps: int) -> None:
    """At p = 1e8: K is Phi, D is of order 1/p, and the mean predictor is explicit SAM on the kernel's residuals."""
    setting = replace(problem(n, 400, name, steps, 0.3), features=10**8)
    data, act, rho = draw(setting, n), activation(setting.activation), 0.3
    curve = random_features.random_feature_tradeoff(setting, rho, data=data)
    assert 0 <= curve.diversity[0] < 1e-5
    X, y = data.inputs, data.targets
    phi = act.mu1**2 * X @ X.T / setting.d + act.mu_star_squared * np.eye(n)
    dual = np.zeros(n)  # a = Z'dual
    for _ in range(steps):
        ahead = dual + rho * (phi @ dual - y)
        dual = dual - setting.learning_rate * (phi @ ahead - y)
    error = act.mu1**2 * X.T @ dual / setting.d - data.teacher / np.sqrt(setting.d)
    assert curve.member_error[0] == pytest.approx(error @ error, rel=1e-5)


@law(
    Mutation(
        "m + 1 members",
        "theory.random_features.ensemble_size",
        lambda f: lambda setting, members, blocks, data: f(setting, members, blocks, data) + (blocks == 1),
    ),
    Mutation(
        "predictors distorted along some directions",
        "theory.random_features._given",
        regression(directions=lambda r: r.directions @ np.diag(np.random.default_rng(0).permutation(100) / 50)),
    ),
    examples=4,
    blocks=st.sampled_from([2, 3]),
    **settings_,
)
def test_blocks_of_equal_data_are_members_on_one_of_them(blocks: int, **given: Any) -> None:
    one = problem(**given)
    data = draw(one, blocks)
    copies = FeatureData(np.tile(data.inputs, (blocks, 1)), np.tile(data.targets, blocks), data.teacher)
    many = replace(one, n=blocks * one.n)
    predict = random_features.random_feature_tradeoff
    here, there = predict(one, RHO, members=blocks, data=data), predict(many, RHO, blocks=blocks, data=copies)
    for name in ("diversity", "member_error", "ensemble_error", "sharpness"):
        assert getattr(there, name) == pytest.approx(getattr(here, name), rel=1e-9, abs=1e-13), name
    assert there.critical_rho == pytest.approx(here.critical_rho)


CASES = [
    (replace(SMALL, n=120, d=60, label_noise=0.3), 1),
    (replace(SMALL, n=120, d=60, features=90, activation="erf", learning_rate=0.3, label_noise=0.3), 3),
    (replace(SMALL, n=60, d=90, activation="linear", learning_rate=0.1), 2),
]


@cache
def mean_of_given(index: int) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Predictions conditional on 12 drawn data sets: mean and standard error over them."""
    setting, blocks = CASES[index]
    curves = [
        random_features.random_feature_tradeoff(setting, RHO, blocks=blocks, data=draw(setting, s)) for s in range(12)
    ]
    names = ("diversity", "sharpness", "member_error", "ensemble_error")
    values = {name: np.stack([getattr(curve, name) for curve in curves]) for name in names}
    return {name: (v.mean(axis=0), v.std(axis=0, ddof=1) / np.sqrt(12)) for name, v in values.items()}


@law(
    NO_NOISE,
    NOT_DIVIDED,
    Mutation(
        "null space of XX' ignored",
        "theory.random_features._average",
        regression(energy=lambda r: r.energy * (r.eigenvalues > 0)),
    ),
    Mutation(
        "expected predictor 10% too short",
        "theory.random_features._average",
        regression(directions=lambda r: r.directions / 1.1),
    ),
)
def test_averaged_data_are_the_mean_over_given_data() -> None:
    """4 standard errors plus 3/d for finite size."""
    for index, (setting, blocks) in enumerate(CASES):
        curve = random_features.random_feature_tradeoff(setting, RHO, blocks=blocks)
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
    Mutation("degree too low", "theory.random_features._filter_degree", lambda f: lambda power: f(power) // 8),
)
def test_many_steps_need_a_degree_of_their_square_root_only() -> None:
    """100 steps against laws of the full degree, 2k and 4k + 1, stable and slightly unstable."""
    setting = problem(40, 80, "relu", 100, 0.2)
    rho = np.array([0.0, 0.9, 1.02]) * (random_features.random_feature_tradeoff(setting, 0.0).critical_rho or 0.0)
    curve = random_features.random_feature_tradeoff(setting, rho)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(random_features, "_filter_degree", lambda power: 2 * power)
        full = random_features.random_feature_tradeoff(setting, rho)
    for field in ("diversity", "sharpness", "member_error", "ensemble_error"):
        assert getattr(curve, field) == pytest.approx(
            getattr(full, field), rel=1e-5 if field == "sharpness" else 1e-9
        ), field


@law(
    Mutation(
        "shares ignored",
        "theory.generalised.GeneralisedMarchenkoPastur.__init__",
        lambda f: lambda self, ratio, sigma, weights, degree, shares=None: f(self, ratio, sigma, weights, degree),
    ),
    seed=st.integers(0, 1000),
    ratio=st.sampled_from([0.3, 1.0, 2.5]),
)
def test_shares_are_repeated_eigenvalues(seed: int, ratio: float) -> None:
    rng = np.random.default_rng(seed)
    sigma, counts, weights, sandwich = rng.uniform(0, 2, 5), rng.integers(1, 4, 5), rng.random(5), rng.random(5)
    short = GeneralisedMarchenkoPastur(ratio, sigma, weights, 30, counts / counts.sum())
    long = GeneralisedMarchenkoPastur(ratio, np.repeat(sigma, counts), np.repeat(weights / counts, counts), 30)

    def function(x: np.ndarray) -> np.ndarray:
        return 1 - (1 - 0.2 * x) ** 7

    assert short.largest == pytest.approx(long.largest)
    assert short.integrate(function) == pytest.approx(long.integrate(function))
    assert short.at_test.integrate(function) == pytest.approx(long.at_test.integrate(function))
    here = short.fluctuation(function, weights, sandwich)
    assert here == pytest.approx(long.fluctuation(function, long.weights, np.repeat(sandwich, counts)), abs=1e-12)


@pytest.mark.parametrize("blocks", [1, 3])
@pytest.mark.parametrize("given", [False, True])
def test_rho_broadcasts_and_matches_single_values(blocks: int, given: bool) -> None:
    setting, rho = replace(SMALL, label_noise=0.1), np.linspace(0, 0.4, 4)
    data = draw(setting, 0) if given else None
    together = random_features.random_feature_tradeoff(setting, rho, blocks=blocks, data=data)
    single = [random_features.random_feature_tradeoff(setting, r, blocks=blocks, data=data) for r in rho]
    for name in ("diversity", "sharpness", "member_error", "ensemble_error", "eir", "stable"):
        values = np.concatenate([getattr(curve, name) for curve in single])
        assert getattr(together, name) == pytest.approx(values, rel=1e-10), name
    assert together.critical_rho == single[0].critical_rho


def test_a_feature_that_is_not_drawn_has_no_variance() -> None:
    """Linear features with n > d and infinite width: Phi is singular, v is 0, and nothing is 0/0."""
    setting = replace(SMALL, activation="linear", learning_rate=0.1, features=10**10)
    curve = random_features.random_feature_tradeoff(setting, 0.1, data=draw(setting, 0))
    assert curve.diversity[0] == pytest.approx(0, abs=1e-8)
    assert curve.eir[0] == pytest.approx(0, abs=1e-7)


def test_no_rho_is_stable_at_a_large_rate() -> None:
    curve = random_features.random_feature_tradeoff(replace(SMALL, learning_rate=1.5, steps=3), (0.0, 0.1))
    assert curve.critical_rho is None
    assert not curve.stable.any()


DATA = draw(SMALL, 0)


def predict(setting: RandomFeatureSetting = SMALL, rho: Any = 0.1, **options: Any) -> object:
    return random_features.random_feature_tradeoff(setting, rho, **options)


def simulate(setting: RandomFeatureSetting = SMALL, rho: Any = 0.1, **options: Any) -> object:
    return random_features_simulation.simulate_random_features(setting, rho, **options)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: RandomFeatureSetting(n=0), "n must be an integer of at least 1, got 0"),
        (lambda: RandomFeatureSetting(features=0), "features must be"),
        (lambda: activation("gelu"), "activation must be relu, erf, tanh or linear, got 'gelu'"),
        (lambda: RandomFeatureSetting(steps=-1), "steps must be"),
        (lambda: RandomFeatureSetting(steps=10**6), "steps must be at most 1000"),
        (lambda: RandomFeatureSetting(learning_rate=float("nan")), "learning rate must be finite and positive"),
        (lambda: RandomFeatureSetting(radius=0.0), "radius"),
        (lambda: RandomFeatureSetting(label_noise=-0.1), "label noise"),
        (lambda: RandomFeatureSetting(teacher_norm=float("inf")), "teacher norm"),
        (lambda: FeatureData(np.zeros((3, 2)), np.zeros(2), np.zeros(2)), "need targets"),
        (lambda: FeatureData(np.zeros((3, 2)), np.full(3, np.nan), np.zeros(2)), "must be finite"),
        (lambda: predict(rho=-1.0), "rho must be finite and non-negative, got -1.0"),
        (lambda: predict(members=1), "members must be an integer of at least 2, got 1"),
        (lambda: predict(blocks=0), "blocks must be"),
        (lambda: predict(blocks=7), "blocks must divide n = 240, got 7: drop 2 samples or take another number"),
        (lambda: predict(blocks=2, members=2), "leave members out"),
        (lambda: predict(replace(SMALL, n=120), data=DATA), "inputs must have the setting's shape"),
        (lambda: predict(replace(SMALL, learning_rate=1e3, steps=80), 9.0), "overflows; lower rho"),
        (lambda: simulate(networks=1), "networks must be"),
        (lambda: simulate(draws=0), "draws must be"),
        (lambda: simulate(test_samples=0), "test samples must be"),
        (lambda: simulate(blocks=7), "blocks must divide"),
        (lambda: simulate(replace(SMALL, learning_rate=1e3, steps=80), 9.0), "diverges"),
    ],
)
def test_bad_input_is_a_typed_error(make: Callable[[], object], message: str) -> None:
    with pytest.raises(DomainError, match=message):
        make()
