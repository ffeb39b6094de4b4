"""Laws of the diagonal ensemble's prediction."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import strategies as st

from sharpdiv.theory.feature_learning.diagonal.closed_forms import diagonal_tradeoff
from sharpdiv.theory.feature_learning.diagonal.setting import DiagonalSetting
from tests.laws import Mutation, law
from tests.theory.feature_learning.diagonal.cases import ROOM, problem, settings_

SHARPER = Mutation(
    "inverse of the trace",
    f"{ROOM}.shift.Descent.at",
    lambda f: lambda self, fall, name: 1 / f(self, fall, name) if name == "trace" else f(self, fall, name),
)
FULL_STRENGTH = Mutation("m ignored", f"{ROOM}.shift.group_strength", lambda _: lambda n, m: (1.0, 0.0))


@pytest.mark.long
@pytest.mark.slow
@law(
    SHARPER,
    Mutation(
        "D for D/M",
        f"{ROOM}.closed_forms.ensemble_size",
        lambda f: lambda *args: 10**6 + 0 * f(*args),
    ),
    examples=4,
    members=st.integers(2, 6),
    **settings_ | {"alpha": st.floats(0.05, 0.5), "spread": st.floats(0.1, 0.6)},
)
def test_per_sample_sam_trades_diversity_for_flatness(members: int, **given: Any) -> None:
    setting = problem(**given | {"n": 150})  # with fewer samples the uneven part may win, which raises D
    edge = diagonal_tradeoff(setting, 0.0).critical_rho
    assert edge is not None
    curve = diagonal_tradeoff(setting, np.array([0, 0.1, 0.25, 0.4]) * edge, members=members)
    assert curve.stable.all()
    assert np.all(np.diff(curve.trace) < 0)
    assert np.all(np.diff(curve.diversity) < 0)
    assert np.all(curve.training_loss == 0)
    gained = (1 - 1 / members) * curve.diversity
    assert curve.member_error - curve.ensemble_error == pytest.approx(gained)
    assert curve.eir == pytest.approx(gained / curve.member_error)


@pytest.mark.long
@pytest.mark.slow
@law(FULL_STRENGTH, examples=6, m=st.sampled_from([2, 4, 8]), rho=st.floats(0.05, 0.2))
def test_groups_divide_rho_by_their_size(m: int, rho: float) -> None:
    """In the limit of many samples; what is uneven is of order m/n."""
    setting = DiagonalSetting(n=16_000, d=48_000, teacher_norm=220.0)
    alone, grouped = diagonal_tradeoff(setting, rho), diagonal_tradeoff(replace(setting, m=m), m * rho)
    for name in ("diversity", "trace", "member_error"):
        assert getattr(grouped, name) == pytest.approx(getattr(alone, name), rel=3e-3), name


@pytest.mark.long
@pytest.mark.slow
@law(
    Mutation(
        "potential of data 1000 times as strong",
        f"{ROOM}.channel.Response.potential",
        lambda f: property(lambda self: 1000 * f.fget(self)),
    ),
    examples=2,
    alpha=st.floats(5, 10),
)
def test_large_alphas_do_not_feel_rho(alpha: float) -> None:
    """The effect on the logarithms is of order ``rho / alpha^2`` where the trace is of order ``alpha^2``: rho <= 1/trace here."""
    curve = diagonal_tradeoff(DiagonalSetting(alpha=alpha), (0.0, 1 / (8 * alpha**2)))
    for name in ("diversity", "trace", "member_error", "eir"):
        values = getattr(curve, name)
        assert values[1] == pytest.approx(values[0], rel=1 / alpha**4), name


@pytest.mark.parametrize("n", [40, 60])
def test_where_there_is_no_closed_form_there_is_a_reason(n: int) -> None:
    full = diagonal_tradeoff(DiagonalSetting(n=n, m=None), (0.0, 0.1))
    for name in ("diversity", "trace", "member_error", "ensemble_error", "eir", "training_loss"):
        assert np.isfinite(getattr(full, name)).tolist() == [True, False]
        assert f"no closed form for m = {n} of {n} samples" in full.reasons[name]
    assert "no limit" in full.reasons["sharpness"]


def test_without_ascent_there_are_no_groups() -> None:
    full, alone = (diagonal_tradeoff(DiagonalSetting(n=60, d=180, m=m), 0.0) for m in (None, 1))
    for name in ("diversity", "trace", "member_error", "ensemble_error", "eir"):
        assert getattr(full, name) == pytest.approx(getattr(alone, name), rel=1e-7), name


def test_from_the_edge_on_nothing_is_predicted() -> None:
    setting = DiagonalSetting(n=60, d=180)
    edge = diagonal_tradeoff(setting, 0.0).critical_rho
    assert edge is not None
    curve = diagonal_tradeoff(setting, (0.99 * edge, 1.01 * edge, 100 * edge))
    assert curve.stable.tolist() == [True, False, False]
    assert np.isfinite(curve.diversity).tolist() == [True, False, False]
    assert "critical_rho" in curve.reasons["trace"]


@pytest.mark.long
@pytest.mark.slow
def test_rho_broadcasts_and_matches_single_values() -> None:
    setting, rho = DiagonalSetting(n=60, d=180, m=2), np.linspace(0, 0.6, 4)
    together = diagonal_tradeoff(setting, rho)
    single = [diagonal_tradeoff(setting, float(r)) for r in rho]
    for name in ("diversity", "trace", "eir"):
        assert getattr(together, name) == pytest.approx(
            np.concatenate([getattr(curve, name) for curve in single]), rel=1e-9
        )


def test_blocks_have_their_own_data() -> None:
    """With alphas that do not differ, members on the same data agree and those on disjoint data do not."""
    setting = DiagonalSetting(n=200, d=300, spread=0.0)
    assert diagonal_tradeoff(setting, 0.0).diversity == pytest.approx(0, abs=1e-9)
    blocks = diagonal_tradeoff(setting, 0.0, blocks=2)
    alone = diagonal_tradeoff(replace(setting, n=100), 0.0)
    assert blocks.diversity > 0.1
    assert blocks.member_error == pytest.approx(alone.member_error)
    assert blocks.ensemble_error == pytest.approx(blocks.member_error - blocks.diversity / 2)
