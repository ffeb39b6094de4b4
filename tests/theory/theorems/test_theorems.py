"""Laws of both theorems: identities, monotonicity, limits, and explicit iterates as a referee."""

import warnings
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sharpdiv.theory.errors import ConvergenceError, DomainError, DomainWarning
from sharpdiv.theory.filters import Training, critical_rho
from sharpdiv.theory.setting import Setting
from sharpdiv.theory.simulation import Simulation
from sharpdiv.theory.spectra.covariance import GeneralizedMarchenkoPastur
from sharpdiv.theory.spectra.data_law import data_law
from sharpdiv.theory.spectra.marchenko_pastur import MarchenkoPastur
from sharpdiv.theory.theorems import blocks as row_blocks
from sharpdiv.theory.theorems import sam, sharpbalance
from sharpdiv.theory.theorems.blocks import BlockMoments, block_moments
from sharpdiv.theory.theorems.tradeoff import Tradeoff
from tests.laws import Mutation, law
from tests.simulated import simulated

MINUS = Mutation(
    "1 - eta x (1 - rho x)",
    "sharpdiv.theory.filters.sam_filter",
    lambda _: lambda x, eta, rho: 1 - eta * x * (1 - rho[..., None] * x),
)


def change(**changes: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """A wrong tradeoff: fields recomputed from the right one."""
    return lambda f: lambda *a, **k: (lambda t: replace(t, **{n: g(t) for n, g in changes.items()}))(f(*a, **k))


problems: dict[str, Any] = {
    "ratio": st.floats(0.2, 20),
    "fraction": st.floats(0.05, 1.8),
    "share": st.floats(0, 0.95),
    "steps": st.integers(1, 12),
    "blocks": st.integers(2, 8),
}


def problem(ratio: float, fraction: float, share: float, steps: int, blocks: int) -> tuple[Setting, np.ndarray]:
    """A setting that is stable for the block's spectrum too."""
    setting = Setting(n=max(blocks, round(1000 * ratio)), d=1000, steps=steps, radius=0.1, teacher_norm=5.0)
    edge = MarchenkoPastur(setting.ratio).largest
    setting = replace(setting, learning_rate=fraction / edge)
    return setting, np.array([share * (critical_rho(MarchenkoPastur(setting.ratio), setting.learning_rate) or 0.0)])


def limit_moments(setting: Setting, rho: np.ndarray, count: int) -> BlockMoments:
    training = Training(setting.learning_rate, rho[None], setting.steps)
    return block_moments(setting, training, MarchenkoPastur(setting.ratio / count), count)


@law(
    Mutation(
        "2 m1^2 for m1^2",
        "sharpdiv.theory.theorems.blocks.q_exact",
        lambda f: lambda *m: f(*m) + m[0] * (m[0] - 1) * m[3] ** 2,
    ),
    Mutation(
        "one r1^2 q0 more for each block",
        "sharpdiv.theory.theorems.blocks.q_paper",
        lambda f: lambda *m: f(*m) + m[0] * m[1] ** 2 * m[5],
    ),
    **problems,
)
def test_the_published_q_exceeds_the_exact_one_by_two_squares(**given: Any) -> None:
    setting, rho = problem(**given)
    m = limit_moments(setting, rho, given["blocks"])
    s, r1 = m.blocks, m.ratio
    square = r1**2 * m.q0 - 2 * r1 * m.m0 * m.m1 + m.m0**2 * r1 * (1 + r1)  # tau((r1 M^k - m0 W1)^2)
    expected = s * (s - 1) * (m.m1 - m.m0 * r1) ** 2 + s * (s - 1) * (s - 2) / 2 * square
    difference = row_blocks.q_paper(*m) - row_blocks.q_exact(*m)
    assert difference == pytest.approx(expected, rel=1e-6, abs=1e-12 * float(row_blocks.q_paper(*m)[0]))
    assert float(difference[0]) >= -1e-12 * float(row_blocks.q_paper(*m)[0])


@law(
    Mutation(
        "3 r m0 m1 for 4",
        "sharpdiv.theory.theorems.blocks.q_exact",
        lambda f: lambda *m: f(*m) - m[0] * (m[0] - 1) * (m[0] - 2) * m[1] * m[2] * m[3],
    ),
    Mutation("q_paper for q_exact", "sharpdiv.theory.theorems.blocks.q_exact", lambda _: row_blocks.q_paper),
    ratio=st.floats(0.05, 10),
    count=st.integers(2, 12),
)
def test_exact_q_of_untrained_blocks_is_a_moment(ratio: float, count: int) -> None:
    """Without training every M is the identity and ``tau(|W s|^2) = s^2 (r^2 + r)``, r the ratio of all the data."""
    m0, m1, m2 = np.ones(1), np.array([ratio]), np.array([ratio + ratio**2])
    moments = BlockMoments(count, ratio, m0, m1, m2, m0, m1, m2)
    r = count * ratio
    assert float(row_blocks.q_exact(*moments)[0]) == pytest.approx(count**2 * (r**2 + r), rel=1e-12)


@law(MINUS, **problems)
def test_both_fall_with_rho_where_modes_contract_monotonically(**given: Any) -> None:
    setting, _ = problem(**given)
    setting = replace(setting, learning_rate=setting.learning_rate / 2)  # eta x_max < 0.9
    edge = MarchenkoPastur(setting.ratio).largest
    rho = np.linspace(0, given["share"] * (1 / (setting.learning_rate * edge) - 1) / edge, 6)
    curve = sam.sam_tradeoff(setting, rho)
    # Equality up to rounding: at share 0 all six values of rho are the same.
    assert np.all(np.diff(curve.diversity) <= 1e-14 * curve.diversity[0])
    assert np.all(np.diff(curve.sharpness) <= 1e-12 * curve.sharpness[0])


@law(
    Mutation(
        "half of the variance of initialization alone",
        "sharpdiv.theory.theorems.sharpbalance.sharpbalance_tradeoff",
        change(diversity=lambda t: 0.4 * t.member_error),
    ),
    **problems,
)
def test_sharpbalance_is_more_diverse_at_equal_rho(**given: Any) -> None:
    """Proven where ``0 <= q <= 1``: a block's filter dominates the whole data's."""
    setting, _ = problem(**given)
    setting = replace(setting, learning_rate=setting.learning_rate / 2, n=setting.n - setting.n % given["blocks"])
    spectrum = MarchenkoPastur(setting.ratio)
    rho = given["share"] * max((1 / (setting.learning_rate * spectrum.largest) - 1) / spectrum.largest, 0)
    balance = sharpbalance.sharpbalance_tradeoff(setting, rho, blocks=given["blocks"])
    assert balance.diversity[0] >= sam.sam_tradeoff(setting, rho).diversity[0] * (1 - 1e-12)


@law(
    Mutation(
        "m + 1 members",
        "sharpdiv.theory.theorems.sam.sam_tradeoff",
        lambda f: lambda *a, members=3: f(*a, members=members + 1),
    ),
    Mutation(
        "D for the member error",
        "sharpdiv.theory.theorems.sam.sam_tradeoff",
        change(member_error=lambda t: t.diversity),
    ),
    members=st.integers(2, 9),
    **problems,
)
def test_improvement_of_sam_is_its_share_of_the_variance(members: int, **given: Any) -> None:
    """``member - ensemble = (1 - 1/m) D`` and so EIR is ``(1 - 1/m) sigma^2 / (sigma^2 + omega^2/d)`` for every rho, eta, k."""
    setting, rho = problem(**given)
    curve = sam.sam_tradeoff(setting, rho, members=members)
    gain = curve.member_error - curve.ensemble_error
    assert gain == pytest.approx((1 - 1 / members) * curve.diversity, rel=1e-12)
    law_ = (1 - 1 / members) * setting.init_variance / (setting.init_variance + 25 / 1000)
    assert curve.eir == pytest.approx(law_, rel=1e-12)


@law(
    Mutation(
        "ensemble error 1% too large",
        "sharpdiv.theory.theorems.sharpbalance.sharpbalance_tradeoff",
        change(ensemble_error=lambda t: t.ensemble_error * 1.01),
    ),
    **problems,
)
def test_errors_of_blocks_decompose(**given: Any) -> None:
    """The mean over s members removes ``1 - 1/s`` of the variance over initialization and block."""
    setting, rho = problem(**given)
    s = given["blocks"]
    curve = sharpbalance.sharpbalance_tradeoff(setting, rho, blocks=s)
    m = limit_moments(setting, rho, s)
    per_dimension = 25 / 1000
    between = (1 - 1 / s) * per_dimension * (m.q0 - m.m0**2)
    gain = (1 - 1 / s) * setting.init_variance * m.q0 + between
    assert curve.member_error - curve.ensemble_error == pytest.approx(gain, rel=1e-9)
    assert curve.diversity == pytest.approx(setting.init_variance * m.q0 + between, rel=1e-12)


@law(
    Mutation(
        "half the steps",
        "sharpdiv.theory.optimizers.Training",
        lambda f: lambda eta, radii, k: f(eta, radii, k // 2),
    ),
    Mutation(
        "D 10% too large", "sharpdiv.theory.theorems.sam.sam_tradeoff", change(diversity=lambda t: t.diversity * 1.1)
    ),
)
def test_theorem_1_against_simulation() -> None:
    """60 draws at d = 400: 4 standard errors plus 3/d for finite size; a 5% error is far outside."""
    setting, rho = Setting(n=2000, d=400, steps=3, learning_rate=0.03, radius=0.05), np.array([0.0, 0.1, 0.3])
    assert_agrees(simulated(setting, rho, draws=60, inits=20, seed=1), sam.sam_tradeoff(setting, rho), setting.d)


@pytest.mark.slow
@law(
    Mutation(
        "kappa 3 times too large",
        "sharpdiv.theory.theorems.subordination.dual_sharpness",
        lambda f: lambda r, t, g, rad: f(r, t, 9 * g, rad) * 3,
    ),
    Mutation(
        "D 10% too small",
        "sharpdiv.theory.theorems.sharpbalance.sharpbalance_tradeoff",
        change(diversity=lambda t: t.diversity * 0.9),
    ),
)
def test_theorem_2_against_simulation() -> None:
    setting, rho = Setting(n=1800, d=300, steps=4, learning_rate=0.03, radius=0.05), np.array([0.0, 0.3, 0.8])
    measured = simulated(setting, rho, blocks=3, draws=40, inits=20, seed=2)
    assert_agrees(measured, sharpbalance.sharpbalance_tradeoff(setting, rho, blocks=3), setting.d)


def assert_agrees(measured: Simulation, predicted: Tradeoff, d: int) -> None:
    for name in ("diversity", "sharpness", "member_error", "ensemble_error", "eir"):
        estimate, value = getattr(measured, name), getattr(predicted, name)
        assert np.all(np.abs(estimate.mean - value) <= 4 * estimate.stderr + 3 / d * np.abs(value)), name


def test_gradient_descent_on_blocks_is_the_control() -> None:
    setting = Setting(n=600, d=100)
    curve = sharpbalance.sharpbalance_tradeoff(setting, (0.0, 0.2), blocks=3)
    assert curve.rho[0] == 0
    assert np.isnan(curve.sharpness_lower).all()


@pytest.mark.parametrize("ratio", [0.5, 1.0])
def test_r_of_one_and_below_have_a_null_space(ratio: float) -> None:
    """The atom at 0 keeps its initialization for ever, so D tends to sigma^2 (1 - r)."""
    setting = Setting(n=round(400 * ratio), d=400, steps=250, learning_rate=0.3)
    diversity = sam.sam_tradeoff(setting, 0.1).diversity[0] / setting.init_variance
    assert 1 - ratio <= diversity <= 1 - ratio + 0.06


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Setting(n=0), "n must be an integer of at least 1, got 0"),
        (lambda: Setting(d=0), "d must be"),
        (lambda: Setting(steps=-1), "steps must be"),
        (lambda: Setting(learning_rate=0.0), "learning rate must be finite and positive"),
        (lambda: Setting(radius=-1.0), "radius"),
        (lambda: Setting(teacher_norm=float("inf")), "teacher norm"),
        (lambda: sam.sam_tradeoff(Setting(), -1.0), "rho must be finite and non-negative, got -1.0"),
        (lambda: sam.sam_tradeoff(Setting(), float("nan")), "rho"),
        (lambda: sam.sam_tradeoff(Setting(), ()), "rho"),
        (
            lambda: sam.sam_tradeoff(Setting(), 0.1, members=1),
            "members of an ensemble must be an integer of at least 2",
        ),
        (
            lambda: sharpbalance.sharpbalance_tradeoff(Setting(n=4), 0.1, blocks=5),
            "blocks must lie between 1 and n = 4",
        ),
        (lambda: sharpbalance.sharpbalance_tradeoff(Setting(), 0.1, blocks=1), "at least 2 blocks"),
        (
            lambda: sharpbalance.sharpbalance_tradeoff(Setting(), 0.1, blocks=3, law=MarchenkoPastur(2.0)),
            "the law is at n/d = 2, the setting at 20",
        ),
        (
            lambda: sam.sam_tradeoff(
                Setting(n=40, d=20),
                0.1,
                law=GeneralizedMarchenkoPastur(2.0, np.array([0.5, 2.0])),
                teacher=np.array([1.0, 0.0]),
                optimizer="normalized-sam",
            ),
            "the filter of normalized-sam depends on the gradient, .*; leave the teacher's coordinates out",
        ),
    ],
)
def test_bad_input_is_a_typed_error(make: Callable[[], object], message: str) -> None:
    with pytest.raises(DomainError, match=message):
        make()


WILD = st.floats(-45, 45).map(lambda power: 10.0**power)
SOME = st.one_of(WILD, st.floats(1e-3, 1))


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(
    shape=st.sampled_from([(1, 100), (300, 100), (6, 3), (40, 20)]),
    steps=st.sampled_from([0, 1, 5, 25, 41]),
    rate=SOME,
    variance=st.one_of(st.just(0.0), WILD),
    teacher=st.one_of(st.none(), st.just(0.0), WILD),
    noise=st.one_of(st.just(0.0), WILD),
    radius=WILD,
    rho=st.one_of(st.just(0.0), SOME),
    kind=st.sampled_from(["sam", "sharpbalance", "normalized", "finite", "covariance"]),
)
def test_every_setting_gives_numbers_and_reasons_or_one_typed_line(
    shape: tuple[int, int],
    steps: int,
    rate: float,
    variance: float,
    teacher: float | None,
    noise: float,
    radius: float,
    rho: float,
    kind: str,
) -> None:
    """Over 90 orders of magnitude, where pytest takes NumPy's warnings for errors."""
    setting = Setting(*shape, steps, rate, variance, radius, teacher, noise)
    curve, line = None, ""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DomainWarning)
            curve = predicted(kind, setting, rho)
    except (DomainError, ConvergenceError) as error:
        line = str(error)
    if curve is None:
        assert line
        assert "\n" not in line
        return
    for name, column in vars(curve).items():
        if isinstance(column, np.ndarray) and column.dtype.kind == "f" and np.isnan(column).any():
            assert curve.reasons[name]


def predicted(kind: str, setting: Setting, rho: float) -> Tradeoff:
    if kind == "sharpbalance":
        return sharpbalance.sharpbalance_tradeoff(setting, rho, blocks=min(3, setting.n) if setting.n > 1 else 2)
    if kind == "normalized":
        return sam.sam_tradeoff(setting, rho, optimizer="normalized-sam")
    if kind == "sam":
        return sam.sam_tradeoff(setting, rho)
    covariance = np.array([0.1, 3.0]) if kind == "covariance" else None
    return sam.sam_tradeoff(setting, rho, law=data_law(setting, covariance=covariance, finite=kind == "finite"))


@pytest.mark.parametrize(
    ("setting", "finite", "name", "reason"),
    [
        (Setting(), False, "sharpness_lower_rigorous", "proven at finite"),
        (Setting(), False, "sharpness_upper_rigorous", "proven at finite"),
        (Setting(40, 20, 25), True, "sharpness_lower_rigorous", "up to 20 steps"),
        (Setting(40, 20, label_noise=0.1), True, "sharpness_lower_rigorous", "without label noise"),
        (Setting(init_variance=0.0, teacher_norm=0.0), False, "eir", "member error is 0"),
    ],
)
def test_what_is_nan_has_its_own_reason(setting: Setting, finite: bool, name: str, reason: str) -> None:
    curve = sam.sam_tradeoff(setting, (0.0, 0.01), law=data_law(setting, finite=finite))
    assert np.isnan(getattr(curve, name)).all()
    assert reason in curve.reasons[name]


def test_sharpbalance_says_that_no_lower_bound_is_proven() -> None:
    setting = Setting(60, 20)
    curve = sharpbalance.sharpbalance_tradeoff(setting, 0.1, blocks=3, law=data_law(setting, finite=True))
    assert curve.reasons["sharpness_lower_rigorous"] == "no lower bound is proven for SharpBalance"


def test_a_huge_start_is_no_divergence() -> None:
    """Kappa is homogeneous: at init_variance 1e40 it is 1e20 times that at a radius 1e20 times smaller."""
    large, small = Setting(init_variance=1e40), Setting(init_variance=1.0, radius=1e-22)
    for theorem in (sam.sam_tradeoff, lambda *a: sharpbalance.sharpbalance_tradeoff(*a, blocks=3)):
        there, here = theorem(large, 0.1).sharpness, theorem(small, 0.1).sharpness
        assert there == pytest.approx(1e40 * here, rel=1e-12)
