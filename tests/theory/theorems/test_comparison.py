"""Laws of the comparison at equal sharpness: made-up curves with known answers, root finding, symmetries, and known regimes."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import assume
from hypothesis import strategies as st
from scipy.optimize import brentq

from sharpdiv.theory.errors import DomainError
from sharpdiv.theory.filters import critical_rho
from sharpdiv.theory.setting import Setting
from sharpdiv.theory.spectra.data_law import data_law
from sharpdiv.theory.spectra.marchenko_pastur import MarchenkoPastur
from sharpdiv.theory.theorems import comparison
from sharpdiv.theory.theorems.comparison import Regime
from sharpdiv.theory.theorems.sam import sam_tradeoff
from sharpdiv.theory.theorems.sharpbalance import sharpbalance_tradeoff
from sharpdiv.theory.theorems.tradeoff import Tradeoff
from tests.laws import Mutation, law

steps_of_kappa = st.lists(st.floats(0.1, 1), min_size=2, max_size=8)
problems: dict[str, Any] = {
    "ratio": st.floats(2, 100),
    "fraction": st.floats(0.05, 0.6),
    "steps": st.integers(1, 8),
    "blocks": st.integers(2, 6),
}


def setting_of(ratio: float, fraction: float, steps: int) -> Setting:
    """Stable: ``eta x_+`` is the fraction."""
    setting = Setting(n=round(100 * ratio), d=100, steps=steps)
    return replace(setting, learning_rate=fraction / MarchenkoPastur(setting.ratio).largest)


def sam(setting: Setting, rho: float) -> tuple[float, float]:
    """Sharpness and diversity of SAM."""
    curve = sam_tradeoff(setting, rho)
    return float(curve.sharpness[0]), float(curve.diversity[0])


def made_up(kappa: np.ndarray, diversity: np.ndarray) -> Tradeoff:
    """A curve of any shape."""
    return replace(sam_tradeoff(Setting(), np.linspace(0, 0.1, len(kappa))), sharpness=kappa, diversity=diversity)


def zigzag(falls: list[float], rises: list[float], further: list[float]) -> tuple[np.ndarray, np.ndarray, int]:
    """Sharpness that falls, rises, and falls below its first minimum; a diversity; and where the first fall ends."""
    first, rise = -np.array(falls), np.array(rises)
    second = -np.append(further, rise.sum() + 1)
    kappa = 20 + np.cumsum(np.concatenate([[0.0], first, rise, second]))
    return kappa, np.cos(np.arange(len(kappa))) + 2, len(falls) + 1


@law(
    Mutation(
        "to the lowest sharpness",
        "sharpdiv.theory.theorems.comparison.interpolate",
        lambda f: lambda k, d, at: f(np.sort(k[: np.argmin(k) + 1])[::-1], d[: np.argmin(k) + 1], at),
    ),
    Mutation(
        "the ends extended",
        "sharpdiv.theory.theorems.comparison.interpolate",
        lambda f: lambda k, d, at: f(np.append(1e9, k), np.append(d[0], d), at),
    ),
    Mutation(
        "the first point left out",
        "sharpdiv.theory.theorems.comparison.interpolate",
        lambda f: lambda k, d, at: f(k[1:], d[1:], at),
    ),
    falls=steps_of_kappa,
    rises=steps_of_kappa,
    further=steps_of_kappa,
)
def test_the_first_fall_is_read_and_nothing_else(falls: list[float], rises: list[float], further: list[float]) -> None:
    kappa, diversity, end = zigzag(falls, rises, further)
    first = kappa[:end]
    middle = (first[1:] + first[:-1]) / 2
    assert comparison.interpolate(kappa, diversity, first) == pytest.approx(diversity[:end], rel=1e-12)
    expected = (diversity[1:end] + diversity[: end - 1]) / 2
    assert comparison.interpolate(kappa, diversity, middle) == pytest.approx(expected, rel=1e-9)
    outside = comparison.interpolate(kappa, diversity, np.array([kappa[0] + 1e-6, first[-1] - 1e-6]))
    assert np.all(np.isnan(outside))


@law(
    Mutation(
        "NaN taken for a value",
        "sharpdiv.theory.theorems.comparison.interpolate",
        lambda f: lambda k, *a: f(np.nan_to_num(k), *a),
    ),
    falls=steps_of_kappa,
    lost=st.integers(1, 4),
)
def test_a_curve_ends_where_it_has_no_value(falls: list[float], lost: int) -> None:
    """As normalized SAM does outside its domain."""
    kappa = 20 - np.cumsum(falls)
    diversity = np.sqrt(kappa)
    at = np.append(kappa, kappa[-1] / 2)
    found = comparison.interpolate(np.append(kappa, np.full(lost, np.nan)), np.append(diversity, np.ones(lost)), at)
    assert found == pytest.approx(np.append(diversity, np.nan), rel=1e-12, nan_ok=True)


@law(
    Mutation(
        "at the same share of the range of sharpness",
        "sharpdiv.theory.theorems.comparison.interpolate",
        lambda _: lambda k, d, at: np.interp((at - k[0]) / (k[-1] - k[0]), np.linspace(0, 1, len(d)), d),
    ),
    share=st.floats(0.05, 0.95),
    ratio=problems["ratio"],
    fraction=problems["fraction"],
    steps=problems["steps"],
    examples=12,
)
def test_diversity_at_is_that_of_the_rho_with_this_sharpness(
    share: float, ratio: float, fraction: float, steps: int
) -> None:
    """Where ``0 <= q <= 1`` sharpness falls with rho, so there is one such rho, which root finding knows."""
    setting = setting_of(ratio, fraction, steps)
    largest = data_law(setting).largest
    end = (1 / fraction - 1) / largest
    target = sam(setting, share * end)[0]
    rho = brentq(lambda rho: sam(setting, rho)[0] / target - 1, 0, end, xtol=1e-12 * end)
    curve = sam_tradeoff(setting, np.linspace(0, end, 200))
    found = comparison.diversity_at(curve, np.array([target]))
    assert float(found[0]) == pytest.approx(sam(setting, rho)[1], rel=5e-3)


@law(
    Mutation(
        "the first fall alone",
        "sharpdiv.theory.theorems.comparison.largest_diversity_at",
        lambda _: comparison.diversity_at,
    ),
    Mutation(
        "the smallest",
        "sharpdiv.theory.theorems.comparison.largest_diversity_at",
        lambda f: lambda curve, at: 6 - f(replace(curve, diversity=6 - curve.diversity), at),
    ),
    falls=steps_of_kappa,
    rises=steps_of_kappa,
    further=steps_of_kappa,
)
def test_the_largest_diversity_is_over_all_parts(falls: list[float], rises: list[float], further: list[float]) -> None:
    """A crossing lies on every part that spans the sharpness, found here one part at a time by another route."""
    kappa, diversity, _ = zigzag(falls, rises, further)
    turn = len(falls), len(falls) + len(rises)
    parts = [slice(0, turn[0] + 1), slice(turn[0], turn[1] + 1), slice(turn[1], None)]
    at = np.linspace(kappa.min() - 0.3, kappa.max() + 0.3, 41)
    each = []
    for part in parts:
        order = np.argsort(kappa[part])
        each.append(np.interp(at, kappa[part][order], diversity[part][order], left=-np.inf, right=-np.inf))
    expected = np.max(each, axis=0)
    expected[np.isinf(expected)] = np.nan
    found = comparison.largest_diversity_at(made_up(kappa, diversity), at)
    assert found == pytest.approx(expected, rel=1e-9, nan_ok=True)


def with_rho(factor: float) -> Callable[[Any], Any]:
    return lambda f: lambda setting, rho, **k: f(setting, factor * rho, **k)


@pytest.mark.slow
@law(
    Mutation("unstable SAM too", "sharpdiv.theory.theorems.comparison.sam_tradeoff", with_rho(1.5)),
    Mutation(
        "no SAM beyond 0.3 of its critical rho", "sharpdiv.theory.theorems.comparison.sam_tradeoff", with_rho(0.3)
    ),
    Mutation(
        "SharpBalance at half its rho", "sharpdiv.theory.theorems.comparison.sharpbalance_tradeoff", with_rho(0.5)
    ),
    share=st.floats(0.02, 1.3),
    ratio=st.floats(5, 150),
    fraction=st.floats(0.1, 0.6),
    steps=st.integers(2, 12),
    blocks=st.integers(2, 4),
    examples=25,
)
def test_the_regime_is_that_of_root_finding(
    share: float, ratio: float, fraction: float, steps: int, blocks: int
) -> None:
    setting = setting_of(ratio, fraction, steps)
    found = comparison.compare(setting, np.array([share]), blocks=blocks)
    law_ = data_law(setting)
    rho = share * (critical_rho(law_.blocks(blocks), setting.learning_rate) or np.nan)
    balance = sharpbalance_tradeoff(setting, rho, blocks=blocks)
    assert float(found.rho[0]) == pytest.approx(rho, rel=1e-12)
    matched = diversities(setting, float(balance.sharpness[0]), critical_rho(law_, setting.learning_rate) or 0.0)
    regime = Regime(int(found.regime[0]))
    if share >= 1:
        assert regime is Regime.UNSTABLE
    elif not matched:
        assert regime is Regime.NO_OVERLAP
        assert np.isnan(found.ratio[0])
    else:
        ratio_ = float(balance.diversity[0]) / max(matched)
        assert float(found.ratio[0]) == pytest.approx(ratio_, rel=0.03)
        assert regime is (Regime.SHARPBALANCE if found.ratio[0] > 1 else Regime.SAM)


def diversities(setting: Setting, kappa: float, critical: float) -> list[float]:
    """Diversity of every stable SAM of this sharpness: one for each sign change, bisected."""
    rho = np.linspace(0, critical, 400)
    curve = sam_tradeoff(setting, rho)
    ends = curve.sharpness[0], curve.sharpness[-1], curve.sharpness.min()
    assume(not np.any(np.isclose(kappa, ends, rtol=1e-3)))  # where the samples of both sides decide what is in range
    above = curve.sharpness > kappa
    crossings = np.flatnonzero(above[1:] != above[:-1])
    roots = [brentq(lambda x: sam(setting, x)[0] - kappa, rho[i], rho[i + 1]) for i in crossings]
    return [sam(setting, root)[1] for root in roots]


@law(
    Mutation("a step of 0.2", "sharpdiv.theory.theorems.comparison._STEP", lambda _: 0.2),
    Mutation(
        "sharpness for diversity",
        "sharpdiv.theory.theorems.comparison.sharpbalance_tradeoff",
        lambda f: lambda *a, **k: (lambda t: replace(t, diversity=t.sharpness))(f(*a, **k)),
    ),
    examples=15,
    ratio=st.floats(0.5, 50),
    fraction=problems["fraction"],
    steps=problems["steps"],
    blocks=st.integers(3, 10),
)
def test_the_trade_off_reverses_between_the_turning_points(
    ratio: float, fraction: float, steps: int, blocks: int
) -> None:
    """On a fine grid the turning points are where each curve is lowest; there D turns before sharpness does, or the other way."""
    setting = setting_of(ratio, fraction, steps)
    share = np.linspace(0, 0.999, 400)
    found = comparison.compare(setting, share, blocks=blocks)
    curve = sharpbalance_tradeoff(setting, found.rho, blocks=blocks)
    slopes = [np.gradient(values, share) / values for values in (curve.sharpness, curve.diversity)]
    clear = np.min(np.abs(slopes), axis=0) > 0.02  # away from the turning points, where a grid cannot tell
    assert np.array_equal(found.reversed[clear], (slopes[0] * slopes[1] < 0)[clear])


@law(
    Mutation(
        "SAM of initial variance 0.1",
        "sharpdiv.theory.theorems.comparison.sam_tradeoff",
        lambda f: lambda setting, *a: f(replace(setting, init_variance=0.1), *a),
    ),
    Mutation(
        "SharpBalance of radius 0.01",
        "sharpdiv.theory.theorems.comparison.sharpbalance_tradeoff",
        lambda f: lambda setting, *a, **k: f(replace(setting, radius=0.01), *a, **k),
    ),
    scale=st.floats(0.1, 10),
    examples=15,
    **problems,
)
def test_the_unit_of_weights_does_not_matter(
    scale: float, ratio: float, fraction: float, steps: int, blocks: int
) -> None:
    """Weights and radius scaled by c scale D and kappa of both methods by ``c^2``."""
    setting, share = setting_of(ratio, fraction, steps), np.linspace(0.03, 1.03, 11)
    scaled = replace(setting, init_variance=setting.init_variance * scale**2, radius=setting.radius * scale)
    here, there = (comparison.compare(each, share, blocks=blocks) for each in (setting, scaled))
    assert there.ratio == pytest.approx(here.ratio, rel=1e-6, nan_ok=True)
    assert np.array_equal(there.regime, here.regime)


@law(
    Mutation(
        "every stable SAM is beaten",
        "sharpdiv.theory.theorems.comparison.largest_diversity_at",
        lambda f: lambda *a: np.minimum(f(*a), 1e-12),
    ),
    Mutation("SAM beyond its stability", "sharpdiv.theory.theorems.comparison.sam_tradeoff", with_rho(1.4)),
    Mutation(
        "the first fall alone",
        "sharpdiv.theory.theorems.comparison.largest_diversity_at",
        lambda _: comparison.diversity_at,
    ),
)
def test_known_regimes() -> None:
    """The paper's Fig. 1b has no overlap with stable SAM on 10 blocks up to rho = 1.5, overlaps on 3; SAM can win, too."""
    paper, ten = Setting(), np.array([0.01, 1.5]) / 5.7158774183
    assert np.all(comparison.compare(paper, ten, blocks=10).regime == Regime.NO_OVERLAP)
    overlap = comparison.compare(paper, np.array([0.4, 0.8]), blocks=3)
    assert np.all(overlap.regime == Regime.SHARPBALANCE)
    assert np.all((overlap.ratio > 1.4) & (overlap.ratio < 2))
    # Sharper than gradient descent, which SAM is near its stability limit only.
    sharp = replace(Setting(n=9900, steps=8), learning_rate=0.33 / MarchenkoPastur(66.0).largest)
    assert comparison.compare(sharp, np.array([0.1]), blocks=2).regime.tolist() == [Regime.SHARPBALANCE]
    # Past SharpBalance's own turning point: simulated at d = 400, SAM's D is 1.6 times as large here.
    against = replace(Setting(n=9000, steps=10), learning_rate=0.3 / MarchenkoPastur(60.0).largest)
    found = comparison.compare(against, np.array([0.6, 0.8]), blocks=2)
    assert found.regime.tolist() == [Regime.SHARPBALANCE, Regime.SAM]
    assert found.ratio == pytest.approx([2.09, 0.581], rel=0.01)


def test_bad_input_is_a_typed_error() -> None:
    with pytest.raises(DomainError, match="no SAM is stable: eta x_max must be below 2"):
        comparison.compare(Setting(learning_rate=0.1), np.zeros(1), blocks=2)
    with pytest.raises(DomainError, match=r"share of the critical rho must be finite and non-negative, got -1\.0"):
        comparison.compare(Setting(), -np.ones(1), blocks=2)
    with pytest.raises(DomainError, match="at least 2 blocks"):
        comparison.compare(Setting(), np.zeros(1), blocks=1)


def test_a_curve_without_sharpness_has_nothing_to_compare() -> None:
    setting, rho, at = Setting(n=20, d=10), np.array([0.0, 0.1]), np.ones(3)
    curve = sam_tradeoff(setting, rho, law=data_law(setting, finite=True))
    assert np.all(np.isnan(comparison.diversity_at(curve, at)))
    assert np.all(np.isnan(comparison.largest_diversity_at(curve, at)))
