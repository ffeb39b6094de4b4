"""Normalized SAM: the recursion against explicit steps, its domain, and the floor it ends on."""

import warnings
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import strategies as st

from sharpdiv.theory.errors import DomainError, DomainWarning
from sharpdiv.theory.filters import phi, sam_filter
from sharpdiv.theory.setting import Setting
from sharpdiv.theory.simulation import simulate
from sharpdiv.theory.spectra.data_law import data_law
from sharpdiv.theory.spectra.empirical import EmpiricalSpectrum
from sharpdiv.theory.spectra.marchenko_pastur import MarchenkoPastur
from sharpdiv.theory.theorems import normalized
from sharpdiv.theory.theorems.normalized import gradient_floor, normalized_critical_rho, normalized_training
from sharpdiv.theory.theorems.sam import sam_tradeoff
from sharpdiv.theory.theorems.sharpbalance import sharpbalance_tradeoff
from tests.laws import Mutation, law

SETTING = Setting(n=900, d=300, steps=4, learning_rate=0.04, radius=0.2, teacher_norm=2.0, init_variance=0.05)
NO_NOISE = Mutation(
    "label noise left out of the gradient",
    "sharpdiv.theory.theorems.normalized._squared_gradient",
    lambda f: lambda steps, start, noise, spectrum: f(steps, start, 0.0, spectrum),
)
NO_TRAINING = Mutation(
    "gradient of the initialization at every step",
    "sharpdiv.theory.theorems.normalized._squared_gradient",
    lambda f: lambda steps, start, noise, spectrum: f(type(steps)(0.0, steps.radii), start, noise, spectrum),
)


@law(
    NO_NOISE,
    Mutation(
        "omega^2 alone",
        "sharpdiv.theory.theorems.normalized._squared_gradient",
        lambda f: lambda steps, start, noise, spectrum: f(steps, SETTING.omega**2, noise, spectrum),
    ),
    examples=20,
    share=st.floats(0.1, 0.9),
    label_noise=st.floats(0.05, 0.5),
)
def test_one_step_is_un_normalized_with_the_radius_over_the_gradient(share: float, label_noise: float) -> None:
    """``|grad f|^2 = R^2 phi(0, 2) + s_e^2 d phi(0, 1)`` at the start."""
    setting = replace(SETTING, steps=1, label_noise=label_noise)
    spectrum = MarchenkoPastur(setting.ratio)
    second, first = (float(phi(0, j, spectrum, 0.1, 0.0)) for j in (2, 1))
    norm = np.sqrt((0.05 * 300 + 4.0) * second + label_noise * 300 * first)
    rho = share * (normalized_critical_rho(setting, spectrum) or 0.0)
    ours = sam_tradeoff(setting, rho, optimizer="normalized-sam")
    plain = sam_tradeoff(setting, rho / norm)
    for name in ("diversity", "member_error", "sharpness", "sharpness_member"):
        assert getattr(ours, name) == pytest.approx(getattr(plain, name), rel=1e-10), name


@pytest.mark.slow
@law(NO_NOISE, NO_TRAINING, blocks=st.sampled_from([1, 3]), examples=2)
def test_the_recursion_is_what_explicit_steps_do(blocks: int) -> None:
    """At d = 300 with 30 draws: 4 standard errors and 3/d for finite size."""
    setting = replace(SETTING, label_noise=0.05, steps=6)
    rho = np.array([0.5, 2.0])
    if blocks == 1:
        predicted = sam_tradeoff(setting, rho, optimizer="normalized-sam")
        assert predicted.stable.all()
    else:
        predicted = sharpbalance_tradeoff(setting, rho, blocks=blocks, optimizer="normalized-sam")
    measured = simulate(setting, rho, blocks=blocks, optimizer="normalized-sam", draws=30, inits=20, seed=1)
    for name in ("diversity", "member_error", "ensemble_error", "sharpness"):
        estimate, value = getattr(measured, name), getattr(predicted, name)
        assert np.all(np.abs(estimate.mean - value) <= 4 * estimate.stderr + 3 / 300 * value), name


def test_outside_the_domain_nothing_is_reported() -> None:
    spectrum = MarchenkoPastur(SETTING.ratio)
    edge = normalized_critical_rho(SETTING, spectrum) or 0.0
    assert edge > 0
    with pytest.warns(DomainWarning, match="only while every step contracts"):
        curve = sam_tradeoff(SETTING, (0.5 * edge, 0.999 * edge, 1.001 * edge), optimizer="normalized-sam")
    assert curve.stable.tolist() == [True, True, False]
    assert np.isnan(curve.diversity[2])
    assert np.isfinite(curve.diversity[:2]).all()
    assert np.isnan(curve.sharpness[2])
    assert curve.critical_rho == pytest.approx(edge)
    assert "only while" in curve.reasons["diversity"]
    too_fast = replace(SETTING, learning_rate=2.1 / spectrum.largest)
    for setting, rho, critical in ((SETTING, 5 * edge, edge), (too_fast, 0.1, None)):
        with pytest.warns(DomainWarning):
            nothing = sam_tradeoff(setting, rho, optimizer="normalized-sam")
        assert np.isnan(nothing.diversity).all()
        assert not nothing.stable.any()
        assert nothing.critical_rho == (None if critical is None else pytest.approx(critical))


def test_limits_known_by_hand() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        at_zero = sam_tradeoff(SETTING, 0.0, optimizer="normalized-sam")
        untrained = sam_tradeoff(replace(SETTING, steps=0), 0.3, optimizer="normalized-sam")
    assert at_zero.diversity == pytest.approx(sam_tradeoff(SETTING, 0.0).diversity, rel=1e-13)
    assert untrained.diversity == pytest.approx([0.05])
    too_fast = replace(SETTING, learning_rate=2.1 / MarchenkoPastur(SETTING.ratio).largest)
    assert normalized_critical_rho(too_fast, MarchenkoPastur(SETTING.ratio)) is None


def test_without_a_gradient_there_is_no_direction() -> None:
    setting = replace(SETTING, teacher_norm=0.0, init_variance=0.0)
    with pytest.raises(DomainError, match="needs a gradient"):
        normalized_training(setting, np.array([0.1]), MarchenkoPastur(3.0))


@law(
    Mutation(
        "no 2 - eta x",
        "sharpdiv.theory.theorems.normalized.gradient_floor",
        lambda _: lambda x, eta, rho: eta * rho * x**2 / 2,
    ),
    Mutation(
        "x for x^2",
        "sharpdiv.theory.theorems.normalized.gradient_floor",
        lambda f: lambda x, eta, rho: f(x, eta, rho) / x,
    ),
    eta=st.floats(0.1, 0.6),
    rho=st.floats(0.01, 2),
)
def test_late_steps_bounce_on_the_top_eigenvector(eta: float, rho: float) -> None:
    """Iterated on eigenvalues 0.5, 1, 2 from a generic start, where only the top one is left in the end."""
    x = np.array([0.5, 1.0, 2.0])
    weights = np.array([0.3, -0.2, 0.4])
    for _ in range(4000):
        gradient = x * weights
        weights = weights - eta * x * (weights + rho * gradient / np.linalg.norm(gradient))
    assert np.linalg.norm(x * weights) == pytest.approx(normalized.gradient_floor(2.0, eta, rho), rel=1e-6)


def test_the_floor_needs_a_contracting_rate() -> None:
    with pytest.raises(DomainError, match="eta x_max < 2"):
        gradient_floor(2.0, 1.0, 0.1)


def _steps_contract(setting: Setting, x: np.ndarray, rho: float) -> bool:
    """Normalized SAM in the mean over initializations, step by step in the logarithm of what each mode keeps."""
    total = setting.init_variance * setting.d + setting.omega**2
    kept = np.zeros_like(x)  # logarithm of the residual
    for _ in range(setting.steps):
        size = kept.max()
        norm = size + np.log(total * np.mean(x**2 * np.exp(2 * (kept - size)))) / 2
        radius = np.exp(np.log(rho) - norm)
        if setting.learning_rate * x.max() * (1 + radius * x.max()) >= 2:
            return False
        with np.errstate(divide="ignore"):
            kept = kept + np.log(np.abs(1 - setting.learning_rate * x * (1 + radius * x)))
    return True


@pytest.mark.slow
@law(
    Mutation(
        "bisected to an absolute tolerance",
        "sharpdiv.theory.theorems.normalized.normalized_critical_rho",
        lambda f: lambda *args: max(f(*args), 1e-12),
    ),
    examples=10,
    steps=st.integers(1, 40),
    share=st.floats(0.1, 1),
    seed=st.integers(0, 1000),
)
def test_the_critical_rho_is_relative(steps: int, share: float, seed: int) -> None:
    """On a given spectrum, by plain loops: just below it all steps contract, just above one does not; down to 1e-90.

    Without changes of sign, as with them a bounce at the very edge of contraction can attract, and rounding decides.
    """
    x = np.random.default_rng(seed).uniform(0.5, 1, 8)
    setting = Setting(8, 8, steps, share / x.max(), init_variance=0.3)
    critical = normalized.normalized_critical_rho(setting, EmpiricalSpectrum(x)) or 0.0
    assert _steps_contract(setting, x, critical * (1 - 1e-6))
    assert not _steps_contract(setting, x, critical * (1 + 1e-6))


def test_the_critical_rho_by_hand() -> None:
    """One eigenvalue 1 at eta = 0.999: 29 steps leave 1e-87 of a gradient of 2, and the last but one half of that."""
    setting = Setting(n=4, d=4, steps=30, learning_rate=0.999, init_variance=0.5)
    critical = normalized_critical_rho(setting, EmpiricalSpectrum([1.0])) or 0.0
    assert critical == pytest.approx(1.001e-87, rel=1e-3, abs=0)
    assert _steps_contract(setting, np.ones(1), critical * (1 - 1e-9))
    assert not _steps_contract(setting, np.ones(1), critical * (1 + 1e-9))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        (Setting(n=300, d=100, steps=80, learning_rate=1 / MarchenkoPastur(3.0).largest), 6.920066e-05),
        (Setting(n=3000, d=100, steps=80, learning_rate=1 / MarchenkoPastur(30.0).largest), 3.035494e-24),
        (Setting(n=1, d=100, steps=41, learning_rate=1.0, teacher_norm=1e20), 1.343401e-08),
        (Setting(n=1, d=100, steps=41, learning_rate=0.05, teacher_norm=1e20), 1.539588e18),
    ],
)
def test_critical_rho_of_any_size_is_found(setting: Setting, expected: float) -> None:
    """The second was 1.5e-12, the third "Failed to converge after 100 iterations"."""
    law_ = data_law(setting)
    critical = normalized_critical_rho(setting, law_) or 0.0
    assert critical == pytest.approx(expected, rel=1e-6, abs=0)
    around = critical * np.array([1 - 1e-9, 1 + 1e-9])
    assert normalized.is_valid(normalized_training(setting, around, law_)).tolist() == [True, False]


def test_a_vanishing_gradient_is_a_typed_error() -> None:
    """At eta x = 1 one step of gradient descent ends on the minimum: the next one has no direction at any rho."""
    setting = Setting(n=4, d=4, steps=3, learning_rate=1.0, init_variance=0.5)
    with pytest.raises(DomainError, match="gradient"):
        normalized_critical_rho(replace(setting, steps=400), EmpiricalSpectrum([1.0]))


def test_many_steps_take_a_filter_each(monkeypatch: pytest.MonkeyPatch) -> None:
    """400 steps took 9 s and more when each went through all the steps before it."""
    filters = 0

    def counted(*args: Any) -> np.ndarray:
        nonlocal filters
        filters += 1
        return sam_filter(*args)

    monkeypatch.setattr(normalized, "sam_filter", counted)
    setting = Setting(n=2000, d=150, steps=400, learning_rate=0.001)
    trained = normalized_training(setting, np.array([0.01]), data_law(setting))
    assert normalized.is_valid(trained).all()
    assert filters == 399  # the last step's filter is not needed for any gradient


@pytest.mark.long
@pytest.mark.slow
def test_many_steps_on_blocks() -> None:
    """400 steps, which are a long recursion."""
    setting = Setting(steps=400, learning_rate=0.001)
    curve = sharpbalance_tradeoff(setting, 0.01, blocks=3, optimizer="normalized-sam")
    assert float(curve.diversity[0]) == pytest.approx(0.00248202, rel=1e-5)
