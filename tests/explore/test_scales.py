"""Scales: what is stable is seen, ticks are round and inside."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sharpdiv.explore.scales import Scale, fitting

values = st.lists(st.floats(1e-12, 1e12), min_size=1, max_size=20).map(np.array)


@given(stable=values, beyond=values)
def test_what_is_stable_is_seen(stable: np.ndarray, beyond: np.ndarray) -> None:
    scale = fitting(stable, beyond)
    places = scale.at(stable)
    assert ((places > -1e-9) & (places < 1 + 1e-9)).all()
    assert scale.low < scale.high <= 200 * stable.max()


@given(stable=values)
def test_ticks_are_inside_and_few(stable: np.ndarray) -> None:
    scale = fitting(stable, np.array([]))
    ticks = scale.ticks()
    assert all(scale.low <= tick * (1 + 1e-9) and tick * (1 - 1e-9) <= scale.high for tick in ticks)
    assert list(ticks) == sorted(set(ticks))
    assert 2 <= len(ticks) <= 9


def test_what_does_not_move_looks_so() -> None:
    scale = fitting(np.full(4, 1 / 3) + np.array([0, 1e-16, 2e-16, 0]), np.array([]))
    assert np.ptp(scale.at(np.array([1 / 3, 1 / 3 + 2e-16]))) < 1e-9
    assert 0.45 < scale.at(np.array([1 / 3]))[0] < 0.55


def test_nothing_and_zero_have_a_scale() -> None:
    for found in (np.array([]), np.full(3, np.nan), np.zeros(3)):
        scale = fitting(found, np.array([]))
        assert scale.low < scale.high


@pytest.mark.parametrize("log", [False, True])
def test_ends_are_0_and_1(log: bool) -> None:
    scale = Scale(0.5, 80.0, log=log)
    assert scale.at(np.array([0.5, 80.0])).tolist() == pytest.approx([0, 1])
    middle = math.sqrt(40) if log else 40.25
    assert scale.at(np.array([middle]))[0] == pytest.approx(0.5)


def test_a_logarithm_of_nothing_has_no_place() -> None:
    assert np.isnan(Scale(0.5, 80.0, log=True).at(np.array([0.0, -1.0]))).all()
