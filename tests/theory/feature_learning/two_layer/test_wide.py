"""The closed forms of wide networks against the recursion, and the edges."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import strategies as st

from sharpdiv.theory.errors import DomainError
from sharpdiv.theory.feature_learning.two_layer import dynamics, edge
from sharpdiv.theory.feature_learning.two_layer.dynamics import train
from sharpdiv.theory.feature_learning.two_layer.edge import critical_rho
from sharpdiv.theory.feature_learning.two_layer.reduced import reduced_network
from sharpdiv.theory.feature_learning.two_layer.setting import TwoLayerSetting
from sharpdiv.theory.feature_learning.two_layer.training import train_networks
from sharpdiv.theory.feature_learning.two_layer.wide import wide_limit
from tests.laws import Mutation, law
from tests.theory.feature_learning.two_layer.cases import ROOM, SMALL, changed


def recursion(setting: TwoLayerSetting, rate: float) -> np.ndarray:
    """Both norms at rho = 0 and the slopes of their logarithms, by a difference of the second order."""
    step = 1e-3 * setting.group / setting.n
    found = train(replace(setting, learning_rate=rate, target_loss=1e-20), np.arange(3) * step)
    values = [found.norm[0], found.moved[0]]
    return np.array([*values, *(np.log(v) @ [-1.5, 2, -0.5] / step for v in (found.norm, found.moved))])


@pytest.mark.long
@pytest.mark.slow
@law(
    Mutation(
        "as strong on both layers",
        f"{ROOM}.wide._friction",
        lambda f: lambda parts, mean, half: f(parts, mean, 0 * half),
    ),
    Mutation(
        "only the even part", f"{ROOM}.wide._friction", lambda f: lambda parts, *args: f((*parts[:2], 0.0), *args)
    ),
    Mutation("full batch", f"{ROOM}.dynamics._step", changed(m=lambda s: None)),
    examples=4,
    norm=st.floats(0.5, 3),
    first=st.floats(0.2, 2),
    second=st.floats(0.2, 2),
    m=st.sampled_from([None, 10, 1]),
)
def test_small_steps_of_wide_networks_have_a_closed_form(
    norm: float, first: float, second: float, m: int | None
) -> None:
    """Extrapolated to no learning rate from two of them: 1e-3 of the norms, 1% of the slopes."""
    width = 10**10
    setting = TwoLayerSetting(
        n=50, d=150, width=width, teacher_norm=norm, output_variance=first / width, weight_variance=second / width, m=m
    )
    found, limit = 2 * recursion(setting, 0.004) - recursion(setting, 0.008), wide_limit(setting)
    assert found[:2] == pytest.approx([limit.norm, limit.moved], rel=1e-3)
    assert found[2] == pytest.approx(limit.norm_slope, rel=0.01)
    assert found[3] == pytest.approx(limit.moved_slope, rel=0.01, abs=0.003 * abs(limit.norm_slope))


@law(
    Mutation("m for its root", f"{ROOM}.edge.collapse_rho", lambda f: lambda s: f(s) * (s.group / s.n) ** 0.5),
    Mutation("a signal without noise", f"{ROOM}.edge.collapse_rho", lambda f: lambda s: f(replace(s, label_noise=0.0))),
)
def test_the_small_network_leaves_the_origin_up_to_its_edge() -> None:
    """5% below weights that are nearly 0 grow, 5% above they shrink."""
    for m in (None, 10, 1):
        setting = replace(SMALL, m=m, learning_rate=0.05, label_noise=1.0, output_variance=1e-20, weight_variance=1e-20)
        start = reduced_network(setting)
        rho = edge.collapse_rho(setting) * np.array([0.95, 1.05])
        a, W = np.tile(start.output, (2, 1)), np.tile(start.hidden, (2, 1, 1))
        before = np.abs(a).max()
        for _ in range(6000):
            if np.abs(a[0]).max() > 1e-3:
                break
            a, W, _ = dynamics._step(setting, rho, a, W, start)
        assert np.abs(a[0]).max() > 5 * before
        assert np.abs(a[1]).max() < before / 5


@pytest.mark.parametrize("m", [None, 15])
def test_networks_collapse_where_the_origin_attracts(m: int | None) -> None:
    """Around the edge of the drawn data: the groups' mean squared gradient at 0."""
    setting = replace(SMALL, n=30, d=60, width=20, m=m, learning_rate=0.05)
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((30, 60)), rng.standard_normal(30)
    groups = (y[:, None] * X).reshape(-1, setting.group, 60).mean(axis=1)
    attracts = 1 / np.sqrt((groups**2).sum(axis=1).mean())
    a, W = 1e-3 * rng.standard_normal((2, 20)), 1e-3 * rng.standard_normal((2, 20, 60))
    targets = np.stack([y, y])
    train_networks(setting, 0.9 * attracts, X, targets, a, W)
    with pytest.raises(DomainError, match="does not fit"):
        train_networks(setting, 1.1 * attracts, X, targets, a, W)


def test_a_learning_rate_too_large_has_no_edge() -> None:
    assert critical_rho(replace(SMALL, learning_rate=1.0)) is None
