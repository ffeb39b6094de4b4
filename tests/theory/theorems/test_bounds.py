"""Bounds of the sharpness and Theorem 2's Q at finite (n, d), against drawn matrices and each other."""

from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import strategies as st

from sharpdiv.theory.errors import DomainError
from sharpdiv.theory.filters import Training, critical_rho
from sharpdiv.theory.setting import Setting
from sharpdiv.theory.simulation import simulate
from sharpdiv.theory.spectra.marchenko_pastur import MarchenkoPastur
from sharpdiv.theory.spectra.narayana import filter_polynomial
from sharpdiv.theory.spectra.wishart import FiniteWishart
from sharpdiv.theory.theorems import blocks, bounds
from tests.laws import Mutation, law

shapes = {"n": st.integers(1, 12), "d": st.integers(2, 8), "steps": st.integers(0, 4), "share": st.floats(0, 0.95)}


def problem(n: int, d: int, steps: int, share: float) -> tuple[Setting, Training]:
    edge = MarchenkoPastur(n / d).largest
    setting = Setting(n=n, d=d, steps=steps, learning_rate=0.7 / edge, radius=0.1, teacher_norm=2.0)
    rho = share * (critical_rho(MarchenkoPastur(setting.ratio), setting.learning_rate) or 0.0)
    return setting, Training(setting.learning_rate, np.array([[rho]]), steps)


NO_SPREAD = Mutation(
    "variance left out",
    "sharpdiv.theory.theorems.bounds.gradient_variance",
    lambda f: lambda *a: (f(*a)[0], 0 * f(*a)[1]),
)


@law(
    Mutation("half of it", "sharpdiv.theory.theorems.bounds.trace_square", lambda f: lambda p, n, d: f(p, n, d) / 2),
    examples=25,
    **shapes,
)
def test_exact_variance_is_below_cauchy_schwarz(n: int, d: int, steps: int, share: float) -> None:
    setting, training = problem(n, d, steps, share)
    mean, variance = bounds.gradient_variance(setting, training)
    exact = Fraction(training.learning_rate), Fraction(float(training.radii[0, 0]))
    fourth = float(FiniteWishart(n, d).expectation(filter_polynomial(4 * steps, 4, *exact)))
    assert 0 <= variance[0] <= (fourth - mean[0] ** 2) * (1 + 1e-12)


@law(
    Mutation(
        "without the term of tr H^2",
        "sharpdiv.theory.theorems.bounds.FiniteWishart.expectation",
        lambda f: lambda self, p: f(self, p) if len(p) < 13 else 0 * f(self, p),
    ),
    Mutation(
        "product of means",
        "sharpdiv.theory.theorems.bounds.trace_square",
        lambda _: lambda p, n, d: (d * FiniteWishart(n, d).expectation(p)) ** 2,
    ),
)
def test_variance_of_the_gradient_against_draws() -> None:
    """``|g|^2 / omega^2`` over data and teacher: 200,000 draws, 4 standard errors of mean and variance."""
    setting, training = Setting(n=5, d=4, steps=2, learning_rate=0.1), Training(0.1, np.array([[0.02]]), 2)
    rng = np.random.default_rng(0)
    data = rng.standard_normal((200_000, 5, 4)) / 2
    eigenvalues, _ = np.linalg.eigh(data.swapaxes(1, 2) @ data)
    teacher = rng.standard_normal((200_000, 4))
    teacher /= np.linalg.norm(teacher, axis=1, keepdims=True)
    squares = ((eigenvalues * training_filter(training, eigenvalues) * teacher) ** 2).sum(axis=1)
    mean, variance = bounds.gradient_variance(setting, training)
    assert abs(squares.mean() - mean[0]) <= 4 * squares.std() / np.sqrt(squares.size)
    spread = (squares - squares.mean()) ** 2
    assert abs(spread.mean() - variance[0]) <= 4 * spread.std() / np.sqrt(squares.size)


def training_filter(training: Training, x: np.ndarray) -> np.ndarray:
    return (1 - training.learning_rate * x * (1 + training.radii[0, 0] * x)) ** training.repeats


@pytest.mark.long
@pytest.mark.slow
@law(
    Mutation(
        "asymptotic: without 1/d and with the limit's moments",
        "sharpdiv.theory.theorems.bounds.sam_upper_rigorous",
        lambda _: lambda s, t: bounds.sam_upper_published(s, t, MarchenkoPastur(s.ratio, 1023)),
    ),
    Mutation("half the norm", "sharpdiv.theory.theorems.bounds.sam_upper_rigorous", lambda f: lambda s, t: f(s, t) / 2),
)
def test_rigorous_bounds_where_the_published_ones_fail() -> None:
    """n=40, d=20, k=5, eta=.15052, rho=.2 (above the published upper bound) and n=5, d=10 (below the published lower one)."""
    above = Setting(n=40, d=20, steps=5, learning_rate=0.15052, radius=0.001, teacher_norm=1.0)
    below = Setting(n=5, d=10, steps=5, learning_rate=0.10294, radius=0.01, teacher_norm=float(np.sqrt(1500)))
    for setting, rho in ((above, 0.2), (below, 0.0)):
        kappa = simulate(setting, rho, draws=2000, inits=2, seed=3).sharpness
        training = Training(setting.learning_rate, np.array([[rho]]), setting.steps)
        upper = bounds.sam_upper_rigorous(setting, training)
        lower = bounds.sam_lower_rigorous(setting, training)
        error = 4 * np.asarray(kappa.stderr)
        assert np.all(kappa.mean <= upper + error)
        assert np.all(kappa.mean >= lower - error)


@law(
    NO_SPREAD,
    Mutation(
        "omega divides",
        "sharpdiv.theory.theorems.bounds.sam_lower_rigorous",
        lambda f: lambda s, t: f(replace(s, teacher_norm=1.0), t) * s.omega,
    ),
)
def test_the_lower_bound_by_hand() -> None:
    """One dimension, no training: ``|g| = omega w`` with w chi-square of n degrees; mean n, ``E w^2 = n(n+2)``, ``E w^4`` known."""
    n, omega, radius = 6, 3.0, 0.2
    setting = Setting(n=n, d=1, steps=0, radius=radius, teacher_norm=omega)
    found = bounds.sam_lower_rigorous(setting, Training(0.1, np.zeros((1, 1)), 0))
    second, fourth = n * (n + 2), n * (n + 2) * (n + 4) * (n + 6)
    norm = np.sqrt(second) - (fourth - second**2) / (2 * second**1.5)
    assert float(found[0]) == pytest.approx(radius**2 / 2 * (np.sqrt(n) - 1) ** 2 + radius * omega * norm, rel=1e-12)


def test_domains_of_the_bounds() -> None:
    setting, training = problem(6, 4, 21, 0.1)
    assert np.isnan(bounds.sam_lower_rigorous(setting, training)).all()
    setting, training = problem(6, 4, 11, 0.1)  # Cauchy-Schwarz from here
    lower, upper = bounds.sam_lower_rigorous(setting, training), bounds.sam_upper_rigorous(setting, training)
    assert lower[0] < upper[0]


# ------------------------------------------------------------------------------------------------------------- Theorem 2


def q_of(setting: Setting, training: Training, count: int) -> float:
    law_ = FiniteWishart(setting.n, setting.d, 4 * setting.steps + 2).blocks(count)
    moments = blocks.block_moments(setting, training, law_, count)
    return float(blocks.q_finite(moments, training, law_, setting.d)[0])


@law(
    Mutation("the limit's Q", "sharpdiv.theory.theorems.blocks.q_finite", lambda _: lambda m, *a: blocks.q_exact(*m)),
    Mutation(
        "no correlation of tau(W_1) and tau(a(W_1))",
        "sharpdiv.theory.theorems.blocks.integral",
        lambda f: lambda law_, g, degree: f(law_, g, degree) * (0 if g.__name__ == "slope" else 1),
    ),
    count=st.integers(2, 5),
    rows=st.integers(1, 6),
    d=st.integers(2, 8),
)
def test_q_of_two_linear_filters_by_hand(count: int, rows: int, d: int) -> None:
    """One step at rho = 0: ``W sum_i (1 - eta W_i) = s W - eta W^2``, so Q is three moments of the full W."""
    eta = 0.3 / MarchenkoPastur(rows / d).largest
    setting = Setting(n=rows * count, d=d, steps=1, learning_rate=eta)
    full = FiniteWishart(setting.n, d, 4).integrate(lambda x: x ** np.array([[2], [3], [4]]))
    expected = float(count**2 * full[0] - 2 * count * eta * full[1] + eta**2 * full[2])
    assert q_of(setting, Training(eta, np.zeros((1, 1)), 1), count) == pytest.approx(expected, rel=1e-11)


@pytest.mark.slow
@law(
    Mutation("the limit's Q", "sharpdiv.theory.theorems.blocks.q_finite", lambda _: lambda m, *a: blocks.q_exact(*m)),
    Mutation(
        "(d - 1) m1^2 in the cross term",
        "sharpdiv.theory.theorems.blocks.q_finite",
        lambda f: lambda m, t, w, d: f(m, t, w, d) + m[0] * (m[0] - 1) * m[3] ** 2 / ((d - 1) * (d + 2)),
    ),
)
def test_exact_q_against_matrices() -> None:
    """Blocks of 3 x 3 and 2 x 2 matrices, 400,000 draws, 4 standard errors; the limit is 6% off there."""
    rng = np.random.default_rng(0)
    for n, d, count, steps, rho in ((6, 2, 3, 2, 0.1), (12, 3, 4, 2, 0.05)):
        setting = Setting(n=n, d=d, steps=steps, learning_rate=0.04)
        data = rng.standard_normal((400_000, count, n // count, d)) / np.sqrt(d)
        grams = data.swapaxes(2, 3) @ data
        step = np.eye(d) - 0.04 * (grams + rho * grams @ grams)
        total = grams.sum(axis=1) @ np.linalg.matrix_power(step, steps).sum(axis=1)
        values = (total**2).sum(axis=(1, 2)) / d
        exact = q_of(setting, Training(0.04, np.array([[rho]]), steps), count)
        assert abs(values.mean() - exact) <= 4 * values.std() / np.sqrt(values.size)


def test_finite_q_tends_to_the_limit() -> None:
    training = Training(0.02, np.array([[0.1]]), 2)
    ratios = []
    for d in (20, 40, 80):
        setting = Setting(n=6 * d, d=d, steps=2, learning_rate=0.02)
        limit = blocks.block_moments(setting, training, MarchenkoPastur(2.0), 3)
        ratios.append(q_of(setting, training, 3) / float(blocks.q_exact(*limit)[0]) - 1)
    assert ratios[1] == pytest.approx(ratios[0] / 2, rel=0.05)
    assert ratios[2] == pytest.approx(ratios[1] / 2, rel=0.05)


def test_one_dimension_has_no_rotations() -> None:
    with pytest.raises(DomainError, match="d >= 2"):
        q_of(Setting(n=6, d=1, steps=1), Training(0.1, np.zeros((1, 1)), 1), 2)


def test_a_training_knows_its_degree() -> None:
    found: Any = Training(0.1, np.zeros((3, 2)), 1)
    assert found.degree == 6
    assert Training(0.1, np.zeros((1, 2)), 5).degree == 10
