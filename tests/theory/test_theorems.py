"""Laws of both theorems: identities, monotonicity, limits, and explicit iterates as a referee."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import strategies as st

from tests.laws import Mutation, law
from tests.reference import dual_maximum, sam_iterates
from theory import (
    DomainError,
    MarchenkoPastur,
    Setting,
    Simulation,
    Tradeoff,
    critical_rho,
    sam,
    sharpbalance,
    simulation,
)
from theory.sharpbalance import BlockMoments, block_moments

MINUS = Mutation(
    "1 - eta x (1 - rho x)",
    "theory.filters.sam_filter",
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


@law(
    Mutation(
        "2 m1^2 for m1^2", "theory.sharpbalance.q_exact", lambda f: lambda m: f(m) + m.blocks * (m.blocks - 1) * m.m1**2
    ),
    Mutation(
        "one r1^2 q0 more for each block",
        "theory.sharpbalance.q_paper",
        lambda f: lambda m: f(m) + m.blocks * m.ratio**2 * m.q0,
    ),
    **problems,
)
def test_the_published_q_exceeds_the_exact_one_by_two_squares(**given: Any) -> None:
    setting, rho = problem(**given)
    m = block_moments(setting, rho, given["blocks"])
    s, r1 = m.blocks, m.ratio
    square = r1**2 * m.q0 - 2 * r1 * m.m0 * m.m1 + m.m0**2 * r1 * (1 + r1)  # tau((r1 M^k - m0 W1)^2)
    expected = s * (s - 1) * (m.m1 - m.m0 * r1) ** 2 + s * (s - 1) * (s - 2) / 2 * square
    difference = sharpbalance.q_paper(m) - sharpbalance.q_exact(m)
    assert difference == pytest.approx(expected, rel=1e-6, abs=1e-12 * float(sharpbalance.q_paper(m)[0]))
    assert float(difference[0]) >= -1e-12 * float(sharpbalance.q_paper(m)[0])


@law(
    Mutation(
        "3 r m0 m1 for 4",
        "theory.sharpbalance.q_exact",
        lambda f: lambda m: f(m) - m.blocks * (m.blocks - 1) * (m.blocks - 2) * m.ratio * m.m0 * m.m1,
    ),
    Mutation("q_paper for q_exact", "theory.sharpbalance.q_exact", lambda _: lambda m: sharpbalance.q_paper(m)),
    ratio=st.floats(0.05, 10),
    blocks=st.integers(2, 12),
)
def test_exact_q_of_untrained_blocks_is_a_moment(ratio: float, blocks: int) -> None:
    """Without training every M is the identity and ``tau(|W s|^2) = s^2 (r^2 + r)``, r the ratio of all the data."""
    m0, m1, m2 = np.ones(1), np.array([ratio]), np.array([ratio + ratio**2])
    moments = BlockMoments(blocks, ratio, m0, m1, m2, m0, m1, m2)
    r = blocks * ratio
    assert float(sharpbalance.q_exact(moments)[0]) == pytest.approx(blocks**2 * (r**2 + r), rel=1e-12)


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
        "half of the variance of initialisation alone",
        "theory.sharpbalance.sharpbalance_tradeoff",
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
    Mutation("m + 1 members", "theory.sam.sam_tradeoff", lambda f: lambda *a, members=3: f(*a, members=members + 1)),
    Mutation("D for the member error", "theory.sam.sam_tradeoff", change(member_error=lambda t: t.diversity)),
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
        "theory.sharpbalance.sharpbalance_tradeoff",
        change(ensemble_error=lambda t: t.ensemble_error * 1.01),
    ),
    **problems,
)
def test_errors_of_blocks_decompose(**given: Any) -> None:
    """The mean over s members removes ``1 - 1/s`` of the variance over initialisation and block."""
    setting, rho = problem(**given)
    s = given["blocks"]
    curve = sharpbalance.sharpbalance_tradeoff(setting, rho, blocks=s)
    m = block_moments(setting, rho, s)
    per_dimension = 25 / 1000
    between = (1 - 1 / s) * per_dimension * (m.q0 - m.m0**2)
    gain = (1 - 1 / s) * setting.init_variance * m.q0 + between
    assert curve.member_error - curve.ensemble_error == pytest.approx(gain, rel=1e-9)
    assert curve.diversity == pytest.approx(setting.init_variance * m.q0 + between, rel=1e-12)


def simulate_by_iterating(
    setting: Setting, rho: float, blocks: int, members: int, inits: int, seed: int
) -> dict[str, float]:
    """One data draw by explicit SAM steps and a dense dual, from the same stream of random numbers."""
    rng = np.random.default_rng(seed)
    d = setting.d
    data = rng.standard_normal((setting.n, d)) / np.sqrt(d)
    teacher = rng.standard_normal(d)
    teacher *= setting.omega / np.linalg.norm(teacher)
    starts = np.sqrt(setting.init_variance) * rng.standard_normal((inits, d))
    step = (setting.learning_rate, rho, setting.steps)
    trained = [sam_iterates(rows, teacher, starts, *step) for rows in np.array_split(data, blocks)]
    means = np.stack([sam_iterates(rows, teacher, np.zeros(d), *step) for rows in np.array_split(data, blocks)])
    # tr M^{2k} by training every unit vector.
    traces = [np.sum((sam_iterates(rows, np.zeros(d), np.eye(d), *step)) ** 2) for rows in np.array_split(data, blocks)]
    mean = means.mean(axis=0)
    within = np.mean([t.var(axis=0, ddof=1).sum() for t in trained]) / d
    noise = setting.init_variance * np.mean(traces) / d
    W = data.T @ data
    return {
        "diversity": within + means.var(axis=0).sum() / d,
        "member_error": noise + np.mean(np.sum((means - teacher) ** 2, axis=1)) / d,
        "ensemble_error": noise / (blocks if blocks > 1 else members) + np.sum((mean - teacher) ** 2) / d,
        "sharpness": dual_maximum(W, W @ (mean - teacher), setting.radius),
    }


def assert_simulation_matches(blocks: int, rho: float) -> None:
    setting = Setting(n=24, d=7, steps=3, learning_rate=0.1, radius=0.3, teacher_norm=1.3)
    measured: Simulation = simulation.simulate(setting, rho, blocks=blocks, members=4, draws=1, inits=5, seed=3)
    for name, value in simulate_by_iterating(setting, rho, blocks, 4, 5, 3).items():
        assert float(getattr(measured, name).mean[0]) == pytest.approx(value, rel=1e-7), name


@law(
    Mutation("k + 1 steps", "theory.simulation.sam_filter", lambda f: lambda x, e, r: f(x, e, r) ** (4 / 3)),
    Mutation("gradient descent", "theory.simulation.sam_filter", lambda f: lambda x, e, r: f(x, e, 0 * r)),
    rho=st.floats(0.05, 0.2),
)
def test_simulation_in_the_eigenbasis_is_sam_on_all_the_data(rho: float) -> None:
    assert_simulation_matches(1, rho)


@law(
    Mutation("gradient descent", "theory.simulation.sam_filter", lambda f: lambda x, e, r: f(x, e, 0 * r)),
    Mutation("data scaled by 2%", "theory.simulation._eigen", lambda f: lambda g: f(1.02 * g)),
    rho=st.floats(0.05, 0.5),
    blocks=st.sampled_from([2, 3, 5]),
)
def test_simulation_in_the_eigenbasis_is_sam_on_blocks(rho: float, blocks: int) -> None:
    assert_simulation_matches(blocks, rho)


@law(
    Mutation("phi(k) for phi(2k)", "theory.sam.phi", lambda f: lambda i, j, *a: f(i // 2, j, *a)),
    Mutation("D 10% too large", "theory.sam.sam_tradeoff", change(diversity=lambda t: t.diversity * 1.1)),
)
def test_theorem_1_against_simulation() -> None:
    """60 draws at d = 400: 4 standard errors plus 3/d for finite size; a 5% error is far outside."""
    setting, rho = Setting(n=2000, d=400, steps=3, learning_rate=0.03, radius=0.05), np.array([0.0, 0.1, 0.3])
    assert_agrees(
        simulation.simulate(setting, rho, draws=60, inits=20, seed=1), sam.sam_tradeoff(setting, rho), setting.d
    )


@law(
    Mutation(
        "kappa 3 times too large",
        "theory.sharpbalance.dual_sharpness",
        lambda f: lambda r, t, g, rad: f(r, t, 9 * g, rad) * 3,
    ),
    Mutation(
        "D 10% too small",
        "theory.sharpbalance.sharpbalance_tradeoff",
        change(diversity=lambda t: t.diversity * 0.9),
    ),
)
def test_theorem_2_against_simulation() -> None:
    setting, rho = Setting(n=1800, d=300, steps=4, learning_rate=0.03, radius=0.05), np.array([0.0, 0.3, 0.8])
    measured = simulation.simulate(setting, rho, blocks=3, draws=40, inits=20, seed=2)
    assert_agrees(measured, sharpbalance.sharpbalance_tradeoff(setting, rho, blocks=3), setting.d)


def assert_agrees(measured: Simulation, predicted: Tradeoff, d: int) -> None:
    for name in ("diversity", "sharpness", "member_error", "ensemble_error", "eir"):
        estimate, value = getattr(measured, name), getattr(predicted, name)
        assert np.all(np.abs(estimate.mean - value) <= 4 * estimate.stderr + 3 / d * np.abs(value)), name


def test_a_simulation_is_its_seed() -> None:
    setting = Setting(n=30, d=5)
    first, second, other = (simulation.simulate(setting, 0.1, draws=3, inits=4, seed=s) for s in (1, 1, 2))
    assert np.array_equal(first.diversity.mean, second.diversity.mean)
    assert not np.array_equal(first.diversity.mean, other.diversity.mean)
    assert simulation.simulate(setting, 0.1, draws=1).diversity.stderr is None


def test_gradient_descent_on_blocks_is_the_control() -> None:
    setting = Setting(n=600, d=100)
    curve = sharpbalance.sharpbalance_tradeoff(setting, (0.0, 0.2), blocks=3)
    assert curve.rho[0] == 0
    assert curve.sharpness_lower is None


@pytest.mark.parametrize("ratio", [0.5, 1.0])
def test_r_of_one_and_below_have_a_null_space(ratio: float) -> None:
    """The atom at 0 keeps its initialisation for ever, so D tends to sigma^2 (1 - r)."""
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
        (lambda: sam.sam_tradeoff(Setting(), 0.1, members=1), "at least 2 members"),
        (
            lambda: sharpbalance.sharpbalance_tradeoff(Setting(n=4), 0.1, blocks=5),
            "blocks must lie between 1 and n = 4",
        ),
        (lambda: sharpbalance.sharpbalance_tradeoff(Setting(), 0.1, blocks=1), "at least 2 blocks"),
        (lambda: simulation.simulate(Setting(), 0.1, draws=0), "draws"),
        (lambda: simulation.simulate(Setting(), 0.1, inits=1), "inits"),
        (lambda: simulation.simulate(Setting(n=50, d=5, steps=400, learning_rate=5.0), 1.0), "diverges"),
    ],
)
def test_bad_input_is_a_typed_error(make: Callable[[], object], message: str) -> None:
    with pytest.raises(DomainError, match=message):
        make()
