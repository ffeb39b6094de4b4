"""Both theorems beyond the paper's model: label noise, covariances, shared starts, places of measurement, finite size."""

from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import strategies as st

from sharpdiv.theory.errors import DomainError
from sharpdiv.theory.setting import Setting
from sharpdiv.theory.simulation import Simulation, simulate
from sharpdiv.theory.spectra import data_law as laws
from sharpdiv.theory.spectra import wishart
from sharpdiv.theory.spectra.data_law import data_law
from sharpdiv.theory.spectra.marchenko_pastur import MarchenkoPastur
from sharpdiv.theory.spectra.narayana import moment
from sharpdiv.theory.spectra.wishart import FiniteWishart
from sharpdiv.theory.theorems.sam import sam_tradeoff
from sharpdiv.theory.theorems.sharpbalance import sharpbalance_tradeoff
from sharpdiv.theory.theorems.tradeoff import Tradeoff
from tests.laws import Mutation, law
from tests.simulated import simulated

SETTING = Setting(
    n=1200, d=300, steps=4, learning_rate=0.02, radius=0.2, teacher_norm=2.0, init_variance=0.02, label_noise=0.05
)
RHO = np.array([0.0, 0.2])
COVARIANCE = np.repeat([0.3, 1.0, 2.0], 100)
TEACHER = np.repeat([0.0, 1.0, 4.0], 100)
NAMES = (
    "diversity",
    "member_error",
    "ensemble_error",
    "eir",
    "sharpness",
    "sharpness_ensemble",
    "sharpness_member",
)
NO_NOISE = Mutation(
    "label noise left out", "sharpdiv.theory.filters.Training.noise", lambda f: lambda self, x: 0 * f(self, x)
)


def assert_agrees(measured: Simulation, predicted: Tradeoff, *, kappa_allowance: float = 0.0) -> None:
    """4 standard errors, 3/d for finite size, and for kappa what the edge's fluctuation costs (theory.md: 1 to 3%)."""
    for name in NAMES:
        estimate, value = getattr(measured, name), getattr(predicted, name)
        if np.isnan(value).all():
            continue
        allowance = 3 / SETTING.d + (kappa_allowance if name.startswith("sharpness") else 0)
        assert np.all(np.abs(estimate.mean - value) <= 4 * estimate.stderr + allowance * np.abs(value)), name


@law(
    NO_NOISE,
    Mutation("m + 1 members", "sharpdiv.theory.theorems.sam.improvement_rate", lambda f: lambda m, e: f(m, 0.9 * e)),
)
def test_sam_with_label_noise() -> None:
    measured = simulated(SETTING, RHO, members=4, draws=30, inits=30, seed=1)
    assert_agrees(measured, sam_tradeoff(SETTING, RHO, members=4))


@law(
    Mutation(
        "label noise left out of the sharpness",
        "sharpdiv.theory.theorems.sharpbalance.BlockSharpness",
        lambda f: lambda s, *a: f(replace(s, label_noise=0.0), *a),
    ),
    Mutation(
        "all members' noise in common",
        "sharpdiv.theory.theorems.subordination.BlockSharpness._kappa",
        lambda f: lambda self, share, common, own: f(self, 1.0, common, own),
    ),
    shared=st.booleans(),
    examples=2,
)
def test_sharpbalance_with_label_noise(shared: bool) -> None:
    setting = replace(SETTING, learning_rate=0.1)
    measured = simulated(setting, RHO, blocks=3, shared_init=shared, draws=30, inits=30, seed=2)
    predicted = sharpbalance_tradeoff(setting, RHO, blocks=3, shared_init=shared)
    # A single member sits far from the minimum, where edge fluctuations show most.
    assert_agrees(measured, predicted, kappa_allowance=0.01)


@pytest.mark.long
@pytest.mark.slow
@law(
    Mutation(
        "test points isotropic",
        "sharpdiv.theory.spectra.covariance.GeneralizedMarchenkoPastur.at_test",
        lambda _: property(lambda self: self),
    ),
    Mutation(
        "teacher of uniform direction",
        "sharpdiv.theory.spectra.covariance.GeneralizedMarchenkoPastur.quadratic",
        lambda f: lambda self, g, e, *more, **named: f(self, g, np.full_like(e, e.mean()), *more, **named),
    ),
    Mutation(
        "two resolvents taken as independent",
        "sharpdiv.theory.spectra.covariance.GeneralizedMarchenkoPastur.fluctuation",
        lambda f: lambda self, g, e, b: 0 * f(self, g, e, b),
    ),
    blocks=st.sampled_from([1, 3]),
    examples=2,
)
def test_anisotropic_data_and_an_aligned_teacher(blocks: int) -> None:
    law_ = data_law(SETTING, covariance=COVARIANCE)
    options: dict[str, Any] = {"covariance": COVARIANCE, "teacher": TEACHER, "draws": 40, "inits": 30, "seed": 3}
    measured = simulate(SETTING, RHO, blocks=blocks, **options)
    predicted = (
        sam_tradeoff(SETTING, RHO, law=law_, teacher=TEACHER)
        if blocks == 1
        else sharpbalance_tradeoff(SETTING, RHO, blocks=blocks, law=law_, teacher=TEACHER)
    )
    assert_agrees(measured, predicted)


@pytest.mark.long
@pytest.mark.slow
@law(
    Mutation(
        "the limit instead",
        "sharpdiv.theory.spectra.data_law.FiniteWishart",
        lambda _: lambda n, d, _degree: MarchenkoPastur(n / d),
    ),
    Mutation(
        "moments a little too large",
        "sharpdiv.theory.spectra.wishart.wishart_moment",
        lambda f: lambda m, n, d: f(m, n, d) * Fraction(100 + m * m, 100),
    ),
)
def test_finite_size_is_exact_where_the_limit_is_not() -> None:
    """At d = 3 with 20,000 data draws in all: 4 standard errors without any allowance."""
    setting = Setting(n=6, d=3, steps=2, learning_rate=0.15, label_noise=0.3, teacher_norm=1.0)
    rho = np.array([0.0, 0.1])
    wishart._gauss.cache_clear()
    exact = laws.data_law(setting, finite=True)
    for blocks in (1, 2):
        measured = simulated(setting, rho, blocks=blocks, draws=10_000, inits=2, seed=4)
        predicted = (
            sam_tradeoff(setting, rho, law=exact)
            if blocks == 1
            else sharpbalance_tradeoff(setting, rho, blocks=2, law=exact)
        )
        for name in ("diversity", "member_error", "ensemble_error"):
            estimate, value = getattr(measured, name), getattr(predicted, name)
            assert np.all(np.abs(estimate.mean - value) <= 4 * estimate.stderr), name
    wishart._gauss.cache_clear()


@law(
    NO_NOISE,
    Mutation(
        "the mean filter's square left out",
        "sharpdiv.theory.spectra.marchenko_pastur.MarchenkoPastur.mean_squared",
        lambda _: lambda s, f: 0 * s.integrate(f),
    ),
)
def test_the_worked_example_of_label_noise() -> None:
    """r=4, s=m=3, eta=.02, k=20, all variances .1: EIR of SAM falls from .186 to .022, of SharpBalance rises from .405 to .516."""
    setting = Setting(n=1200, d=300, steps=20, learning_rate=0.02, label_noise=0.1)
    sam = sam_tradeoff(setting, (0.0, 1.0)).eir
    balance = sharpbalance_tradeoff(setting, (0.0, 1.0), blocks=3).eir
    assert sam == pytest.approx([0.186, 0.022], abs=5e-4)
    assert balance == pytest.approx([0.405, 0.516], abs=5e-4)


problems: dict[str, Any] = {"ratio": st.floats(0.3, 20), "share": st.floats(0, 0.9), "steps": st.integers(1, 10)}


def problem(ratio: float, share: float, steps: int, label_noise: float = 0.1) -> tuple[Setting, np.ndarray]:
    """Inside the range where every mode contracts monotonically."""
    setting = Setting(n=round(200 * ratio), d=200, steps=steps, label_noise=label_noise, radius=0.1)
    edge = MarchenkoPastur(setting.ratio).largest
    setting = replace(setting, learning_rate=0.5 / edge)
    return setting, np.linspace(0, share * (1 / (setting.learning_rate * edge) - 1) / edge, 5) + 1e-6


@law(NO_NOISE, **problems)
def test_label_noise_makes_the_improvement_of_sam_fall(ratio: float, share: float, steps: int) -> None:
    setting, rho = problem(ratio, max(share, 0.1), steps)
    assert np.all(np.diff(sam_tradeoff(setting, rho).eir) < 0)


@law(
    Mutation(
        "the ensemble's own start left out",
        "sharpdiv.theory.theorems.sam.SHARPNESS",
        lambda names: (names[0], names[2], names[1]),
    ),
    **problems,
)
def test_averaging_members_lowers_sharpness(ratio: float, share: float, steps: int) -> None:
    setting, rho = problem(ratio, share, steps)
    for curve in (sam_tradeoff(setting, rho), sharpbalance_tradeoff(setting, rho, blocks=3)):
        mean, ensemble, member = curve.sharpness, curve.sharpness_ensemble, curve.sharpness_member
        assert np.all(mean < ensemble)
        assert np.all(ensemble < member)


@law(
    Mutation(
        "noise from one block only",
        "sharpdiv.theory.theorems.subordination.BlockSharpness._kappa",
        lambda f: lambda self, share, common, own: f(self, share, common, own) * 0.999,
    ),
    ratio=st.floats(0.5, 10),
    blocks=st.integers(2, 6),
    label_noise=st.floats(0, 1),
)
def test_without_training_blocks_do_not_matter(ratio: float, blocks: int, label_noise: float) -> None:
    """At k = 0 all members are at the start: free subordination with noise must give SAM's sharpness everywhere."""
    setting = Setting(n=round(300 * ratio), d=300, steps=0, label_noise=label_noise, radius=0.3)
    here, there = sam_tradeoff(setting, 0.0, members=blocks), sharpbalance_tradeoff(setting, 0.0, blocks=blocks)
    for name in ("sharpness", "sharpness_ensemble", "sharpness_member"):
        assert getattr(there, name) == pytest.approx(getattr(here, name), rel=1e-6), name


def test_an_isotropic_covariance_is_the_limit() -> None:
    law_ = data_law(SETTING, covariance=np.ones(7))
    here, there = sam_tradeoff(SETTING, RHO, law=law_), sam_tradeoff(SETTING, RHO)
    for name in NAMES:
        assert getattr(here, name) == pytest.approx(getattr(there, name), rel=1e-8), name
    here, there = sharpbalance_tradeoff(SETTING, RHO, blocks=4, law=law_), sharpbalance_tradeoff(SETTING, RHO, blocks=4)
    for name in NAMES[:4]:
        assert getattr(here, name) == pytest.approx(getattr(there, name), rel=1e-8), name
    assert np.isnan(here.sharpness).all()
    assert "open" in here.reasons["sharpness"]
    aligned = sam_tradeoff(SETTING, RHO, law=law_, teacher=np.array([5.0, 0, 0, 0, 0, 1, 1]))
    assert aligned.sharpness == pytest.approx(sam_tradeoff(SETTING, RHO).sharpness, rel=1e-8)


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.parametrize("ratio", [1, 4])
def test_r_of_one_exactly_and_two_hundred_steps(ratio: int) -> None:
    """At r = 1 the law reaches 0 with an infinite density; at k = 200 degree 802 is still a sum of positive terms.

    With eta = 1/32 and rho = 1/16 the filter is ``(512 - 16 x - x^2) / 512``: the referee is integer arithmetic.
    """
    setting = Setting(n=ratio * 100, d=100, steps=200, learning_rate=1 / 32)
    power = np.array([1], dtype=object)
    for _ in range(400):
        power = np.convolve(power, np.array([512, -16, -1], dtype=object))
    exact = sum(int(c) * moment(m, Fraction(ratio)) for m, c in enumerate(power)) / Fraction(512) ** 400
    curve = sam_tradeoff(setting, 1 / 16)
    assert float(curve.diversity[0]) == pytest.approx(0.1 * float(exact), rel=1e-12)
    assert 0 < curve.sharpness[0] < np.inf


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: data_law(SETTING, covariance=np.array([1.0, -1.0])),
            "covariance eigenvalues must be finite and non-neg",
        ),
        (lambda: data_law(SETTING, covariance=np.array([np.nan])), "covariance eigenvalues"),
        (lambda: data_law(SETTING, covariance=np.ones(3), finite=True), "isotropic data only"),
        (lambda: data_law(replace(SETTING, steps=50), finite=True), "degree of the finite law"),
        (lambda: sam_tradeoff(SETTING, 0.1, law=FiniteWishart(3, 3)), r"the law is at \(n, d\) = \(3, 3\)"),
        (
            lambda: sam_tradeoff(SETTING, 0.1, law=data_law(SETTING, finite=True), optimizer="normalized-sam"),
            "in the limit only",
        ),
        (lambda: sam_tradeoff(SETTING, 0.1, teacher=np.ones(3)), "teacher's coordinates need a covariance"),
        (
            lambda: sam_tradeoff(SETTING, 0.1, law=data_law(SETTING, covariance=np.ones(2)), teacher=np.zeros(2)),
            "must not all be zero",
        ),
        (
            lambda: sharpbalance_tradeoff(SETTING, 0.1, blocks=7, law=data_law(SETTING, finite=True)),
            "7 does not divide n = 1200",
        ),
        (
            lambda: sharpbalance_tradeoff(
                Setting(n=6, d=1, steps=1), 0.1, blocks=2, law=data_law(Setting(n=6, d=1, steps=1), finite=True)
            ),
            "d >= 2",
        ),
        (lambda: Setting(label_noise=-1.0), "label noise must be finite and non-negative"),
    ],
)
def test_bad_input_is_a_typed_error(make: Any, message: str) -> None:
    with pytest.raises(DomainError, match=message):
        make()


def test_blocks_of_unequal_size_are_the_limit_s() -> None:
    """S not dividing n: the limit takes r/s, the simulation blocks that differ by a row."""
    setting = replace(SETTING, n=1000, label_noise=0.0)
    measured = simulated(setting, RHO, blocks=7, draws=20, inits=20, seed=5)
    assert_agrees(measured, sharpbalance_tradeoff(setting, RHO, blocks=7), kappa_allowance=0.01)
