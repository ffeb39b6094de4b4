"""The Monte Carlo referee against explicit SAM steps on the same draws, and against exact moments of the data."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from sharpdiv.theory import simulation
from sharpdiv.theory.errors import DomainError
from sharpdiv.theory.setting import Setting
from sharpdiv.theory.simulation import Simulation
from sharpdiv.theory.spectra.wishart import wishart_moment
from tests.laws import Mutation, law
from tests.reference import dual_maximum

SETTING = Setting(n=24, d=6, steps=3, learning_rate=0.1, radius=0.3, teacher_norm=1.3)


@dataclass(frozen=True)
class Case:
    """One way of drawing and training."""

    rho: float
    blocks: int = 1
    label_noise: float = 0.0
    covariance: tuple[float, ...] | None = None
    teacher: tuple[float, ...] | None = None
    shared_init: bool = False
    optimizer: str = "sam"

    @property
    def setting(self) -> Setting:
        return Setting(**{**vars(SETTING), "label_noise": self.label_noise})

    def options(self) -> dict[str, Any]:
        spectra = {
            k: None if v is None else np.array(v)
            for k, v in (("covariance", self.covariance), ("teacher", self.teacher))
        }
        return {"blocks": self.blocks, "shared_init": self.shared_init, "optimizer": self.optimizer, **spectra}


def train(gram: np.ndarray, pull: np.ndarray, teacher: np.ndarray, weights: np.ndarray, case: Case) -> np.ndarray:
    """Explicit SAM steps on ``|A w - y|^2 / 2`` with ``A'A = gram`` and ``A'(y - A w*) = pull``; weights (..., d)."""
    setting = case.setting
    for _ in range(setting.steps):
        gradient = (weights - teacher) @ gram - pull
        length = np.linalg.norm(gradient, axis=-1, keepdims=True) if case.optimizer == "normalized-sam" else 1.0
        ahead = weights + case.rho * gradient / length
        weights = weights - setting.learning_rate * ((ahead - teacher) @ gram - pull)
    return weights


def drawn(
    case: Case, inits: int, seed: int
) -> tuple[np.ndarray, list[np.ndarray], np.ndarray, np.ndarray, list[np.ndarray]]:
    """Sigma, the blocks' W, the teacher, the starts and the blocks' noise, from the simulation's stream of random numbers."""
    setting, d, s = case.setting, SETTING.d, case.blocks
    rng = np.random.default_rng(seed)
    sigma = np.ones(d) if case.covariance is None else np.repeat(case.covariance, d // len(case.covariance))
    root = np.sqrt(sigma)
    grams = [
        root[:, None] * simulation._gram(rng, len(rows), d) * root for rows in np.array_split(np.empty(setting.n), s)
    ]
    teacher = rng.standard_normal(d)
    if case.teacher is not None:
        teacher = np.sign(teacher) * np.sqrt(np.repeat(case.teacher, d // len(case.teacher)))
    teacher *= setting.omega / np.linalg.norm(teacher)
    starts = np.sqrt(setting.init_variance) * rng.standard_normal((inits, d))
    pulls = []
    for gram in grams:
        eigenvalues, vectors = np.linalg.eigh(gram)
        white = rng.standard_normal(d) if setting.label_noise else np.zeros(d)
        pulls.append(vectors @ (np.sqrt(setting.label_noise * eigenvalues.clip(0)) * white))
    return sigma, grams, teacher, starts, pulls


def measure(case: Case, inits: int, seed: int) -> dict[str, float]:
    """One data draw, trained step by step, with dense duals."""
    setting, d, s = case.setting, SETTING.d, case.blocks
    sigma, grams, teacher, starts, pulls = drawn(case, inits, seed)
    blocks = [(gram, pull, teacher) for gram, pull in zip(grams, pulls, strict=True)]
    trained = np.stack([train(*block, starts, case) for block in blocks])
    means = np.stack([train(*block, np.zeros(d), case) for block in blocks])
    # The exact trace, by training every unit vector without a teacher.
    units = [train(gram, 0 * pull, 0 * teacher, np.eye(d), case) for gram, pull, _ in blocks]
    noise = np.mean([setting.init_variance * np.sum(u**2 @ sigma) for u in units]) / d
    mean, full, pull = means.mean(axis=0), np.asarray(sum(grams)), sum(pulls)

    def risk(weights: np.ndarray) -> np.ndarray:
        return (weights - teacher) ** 2 @ sigma / d

    def kappa(weights: np.ndarray) -> float:
        return dual_maximum(full, full @ (weights - teacher) - pull, setting.radius)

    within = np.mean([t.var(axis=0, ddof=1) @ sigma for t in trained]) / d
    members = s if s > 1 else 3
    ensemble = (
        trained[0][:3].mean(axis=0)
        if s == 1
        else trained[np.arange(s), 0 if case.shared_init else np.arange(s)].mean(axis=0)
    )
    shared = np.mean(risk(trained.mean(axis=0) - means.mean(axis=0) + teacher)) + risk(mean)
    return {
        "diversity": within + means.var(axis=0) @ sigma / d,
        "member_error": noise + np.mean(risk(means)),
        "ensemble_error": shared if case.shared_init else noise / members + risk(mean),
        "sharpness": kappa(mean),
        "sharpness_ensemble": kappa(ensemble),
        "sharpness_member": kappa(trained[0, 0]),
    }


def assert_matches(case: Case) -> None:
    measured: Simulation = simulation.simulate(case.setting, case.rho, draws=1, inits=5, seed=3, **case.options())
    for name, value in measure(case, 5, 3).items():
        assert float(getattr(measured, name).mean[0]) == pytest.approx(value, rel=1e-7), name


FILTER = "sharpdiv.theory.optimizers.sam_filter"


@law(
    Mutation("k + 1 steps", FILTER, lambda f: lambda x, e, r: f(x, e, r) ** (4 / 3)),
    Mutation("gradient descent", FILTER, lambda f: lambda x, e, r: f(x, e, 0 * r)),
    Mutation("label noise left out", "sharpdiv.theory.simulation._data", lambda f: lambda g, s, r: f(g, 0.0, r)),
    examples=15,
    rho=st.floats(0.05, 0.2),
    label_noise=st.sampled_from([0.02, 0.5]),
)
def test_the_eigenbasis_is_sam_on_all_the_data(rho: float, label_noise: float) -> None:
    assert_matches(Case(rho, label_noise=label_noise))


@law(
    Mutation("gradient descent", FILTER, lambda f: lambda x, e, r: f(x, e, 0 * r)),
    Mutation(
        "members start alike", "sharpdiv.theory.simulation._mean_start", lambda _: lambda _p, t: t[0].starts[:, 0]
    ),
    Mutation(
        "test points isotropic",
        "sharpdiv.theory.simulation._at_test",
        lambda _: lambda p, e: np.asarray((e**2).sum(axis=-1) / 6),
    ),
    examples=15,
    rho=st.floats(0.05, 0.5),
    blocks=st.sampled_from([2, 3, 5]),
    shared_init=st.booleans(),
    label_noise=st.sampled_from([0.0, 0.2]),
)
def test_the_eigenbasis_is_sam_on_blocks(rho: float, blocks: int, shared_init: bool, label_noise: float) -> None:
    assert_matches(
        Case(rho, blocks, label_noise, covariance=(0.3, 1.0, 2.0), teacher=(0.1, 2.0), shared_init=shared_init)
    )


@law(
    Mutation(
        "within taken as isotropic",
        "sharpdiv.theory.simulation.np.cov",
        lambda f: lambda x, rowvar: np.eye(6) * f(x, rowvar=rowvar),
    ),
    examples=15,
    rho=st.floats(0.05, 0.2),
)
def test_variance_on_anisotropic_data(rho: float) -> None:
    assert_matches(Case(rho, covariance=(0.3, 1.0, 2.0)))


def test_normalized_steps_are_explicit_steps() -> None:
    """The mean over initializations is estimated there, so only what needs no mean can be compared."""
    case = Case(0.4, blocks=2, label_noise=0.1, optimizer="normalized-sam")
    measured = simulation.simulate(case.setting, 0.4, draws=1, inits=5, seed=3, **case.options())
    expected = measure(case, 5, 3)
    for name in ("sharpness_ensemble", "sharpness_member"):
        assert float(getattr(measured, name).mean[0]) == pytest.approx(expected[name], rel=1e-7), name


@law(
    Mutation(
        "chi-square with one degree too many", "sharpdiv.theory.simulation.np.arange", lambda f: lambda n: f(n) - 1
    ),
    Mutation("entries of variance 1", "sharpdiv.theory.simulation._gram", lambda f: lambda g, n, d: d * f(g, n, d)),
)
def test_the_drawn_data_have_the_exact_moments() -> None:
    """``E tr W^m / d`` for m = 1, 2, 3 and both ways of drawing, 4 standard errors of 4,000 draws."""
    for n, d in ((7, 4), (3, 4)):
        rng = np.random.default_rng(n)
        eigenvalues = np.linalg.eigvalsh([simulation._gram(rng, n, d) for _ in range(4000)])
        for m in (1, 2, 3):
            traces = (eigenvalues**m).mean(axis=1)
            error = traces.std(ddof=1) / np.sqrt(traces.size)
            assert abs(traces.mean() - float(wishart_moment(m, n, d))) <= 4 * error


def test_a_simulation_is_its_seed() -> None:
    setting = Setting(n=30, d=5)
    first, second, other = (simulation.simulate(setting, 0.1, draws=3, inits=4, seed=s) for s in (1, 1, 2))
    assert np.array_equal(first.diversity.mean, second.diversity.mean)
    assert not np.array_equal(first.diversity.mean, other.diversity.mean)
    assert simulation.simulate(setting, 0.1, draws=1).diversity.stderr is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"draws": 0}, "draws"),
        ({"inits": 1}, "inits"),
        ({"members": 1}, "members"),
        ({"blocks": 31}, "blocks must lie between"),
        ({"covariance": np.ones(4)}, "must divide d = 5"),
        ({"covariance": np.array([-1.0])}, "covariance eigenvalues"),
        ({"teacher": np.array([np.nan])}, "teacher"),
        ({"teacher": np.zeros(5)}, "must not all be zero"),
        ({"covariance": np.zeros(5)}, "must not all be zero"),
    ],
)
def test_bad_input_is_a_typed_error(options: dict[str, Any], message: str) -> None:
    with pytest.raises(DomainError, match=message):
        simulation.simulate(Setting(n=30, d=5), 0.1, **options)


@law(
    Mutation("one initialization used twice", "sharpdiv.theory.simulation._kept", lambda _: lambda p, b: [0, 1, 0]),
)
def test_an_ensemble_never_repeats_an_initialization() -> None:
    """Fewer initializations than members: at k = 0 the mean of m members has ``omega^2 + sigma^2 d / m``, 4 standard errors."""
    setting = Setting(n=40, d=20, steps=0, radius=1e-4, teacher_norm=1.0, init_variance=1.0)
    measured = simulation.simulate(setting, 0.0, members=3, draws=400, inits=2, seed=8).sharpness_ensemble
    squares = 2.0**2 + 2.0 + 2.0 / 20  # E tau(W^2) at n=40, d=20
    assert measured.stderr is not None
    # A small radius sees the gradient's norm alone, and Jensen's inequality takes at most 1/d of it away.
    expected = 1e-4 * np.sqrt((1 + 20 / 3) * squares)
    assert abs(measured.mean[0] - expected * (1 - 0.5 / 20)) <= 4 * measured.stderr[0] + expected * 0.5 / 20


def test_divergence_is_said() -> None:
    with pytest.raises(DomainError, match="diverges"):
        simulation.simulate(Setting(n=50, d=5, steps=400, learning_rate=5.0), 1.0)


def test_normalized_sam_needs_a_gradient() -> None:
    with pytest.raises(DomainError, match="needs a gradient"):
        simulation.simulate(Setting(n=50, d=5, init_variance=0.0), 1.0, optimizer="normalized-sam")


@pytest.mark.parametrize("optimizer", ["sam", "normalized-sam"])
def test_one_call_serves_curves_over_the_steps(optimizer: str) -> None:
    """Each number of steps as if it were the setting's, on the same draws."""
    setting = Setting(n=40, d=10)
    options: dict[str, Any] = {"blocks": 2, "optimizer": optimizer, "draws": 3, "inits": 4, "seed": 1}
    together = simulation.simulate(setting, (0.1, 0.1, 0.2), steps=(0, 4, 2), **options)
    for place, (rho, steps) in enumerate(((0.1, 0), (0.1, 4), (0.2, 2))):
        alone = simulation.simulate(replace(setting, steps=steps), rho, **options)
        for name in ("diversity", "sharpness", "member_error", "eir"):
            assert_allclose(getattr(together, name).mean[place], getattr(alone, name).mean[0], rtol=1e-12, err_msg=name)
    with pytest.raises(DomainError, match="steps needs a number for each rho, which are 1, got 2"):
        simulation.simulate(setting, 0.1, steps=(1, 2))
