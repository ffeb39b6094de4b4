"""Laws of the prediction: what rho cannot change, units, limits, and one large network."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import strategies as st

from sharpdiv.theory.feature_learning.two_layer import dynamics
from sharpdiv.theory.feature_learning.two_layer.closed_forms import two_layer_tradeoff
from sharpdiv.theory.feature_learning.two_layer.edge import critical_rho
from sharpdiv.theory.feature_learning.two_layer.setting import TwoLayerSetting
from sharpdiv.theory.feature_learning.two_layer.training import train_networks
from tests.laws import Mutation, law
from tests.theory.feature_learning.two_layer.cases import (
    ALL_DIMENSIONS,
    FULL_BATCH,
    ROOM,
    SMALL,
    WIDE,
    changed,
    log_ratio,
)

settings_: dict[str, Any] = {
    "m": st.sampled_from([None, 10, 1]),
    "whitened": st.booleans(),
    "subtract_initial": st.booleans(),
    "label_noise": st.floats(0, 1),
}


def problem(**given: Any) -> TwoLayerSetting:
    return replace(SMALL, **given)


def small_rho(setting: TwoLayerSetting) -> np.ndarray:
    """0 and a tenth of what SAM cannot fit beyond, more or less."""
    return np.array([0.0, 0.1 * setting.group / setting.n * (1 if setting.group > 5 else 2)])


@law(
    Mutation("D/(M - 1)", f"{ROOM}.closed_forms.ensemble_size", lambda f: lambda *args: f(*args) - 1),
    ALL_DIMENSIONS,
    Mutation(
        "a bias of all dimensions",
        f"{ROOM}.closed_forms._fits",
        lambda f: lambda one, blocks: (one.teacher_norm**2, 0.0),
    ),
    examples=12,
    members=st.integers(2, 9),
    **settings_,
)
def test_rho_moves_diversity_and_with_it_everything(members: int, **given: Any) -> None:
    setting = problem(**given)
    curve = two_layer_tradeoff(setting, small_rho(setting), members=members)
    noise = setting.label_noise * (60 / 180 if setting.whitened else 60 / 120)
    bias = 4 * (1 - 60 / 180) + noise
    assert curve.member_error == pytest.approx(bias + curve.diversity)
    assert curve.ensemble_error == pytest.approx(bias + curve.diversity / members)
    assert curve.eir == pytest.approx((1 - 1 / members) * curve.diversity / (bias + curve.diversity))
    # Untrained members would differ on all d dimensions: here on 120 of 180, by at most what was there at first.
    if setting.subtract_initial:
        assert np.all(curve.diversity < 1)
    assert np.all(curve.trace[1:] < curve.trace[:1])
    assert np.all(curve.sharpness[1:] < curve.sharpness[:1])
    if not setting.subtract_initial:
        found = curve.diversity / curve.trace
        assert np.all(curve.diversity[1:] < curve.diversity[:1])
        # D = s_w^2 (d - n) A and tr H = d (A + p s_w^2) up to 1/n, so that D is known where the trace is.
        assert found == pytest.approx((120 / 180) * (1 / 180) * (1 - 180 / curve.trace), rel=0.03)


@pytest.mark.slow
@law(
    Mutation("rho squared", f"{ROOM}.dynamics._step", lambda f: lambda s, rho, *args: f(s, 10 * rho**2, *args)),
    Mutation(
        "noise as a standard deviation",
        f"{ROOM}.dynamics.reduced_network",
        changed(label_noise=lambda s: s.label_noise**0.5),
    ),
    examples=8,
    scale=st.floats(0.3, 3),
    **settings_,
)
def test_units(scale: float, **given: Any) -> None:
    """Targets c times as large, both layers sqrt(c): rho, the rate and times go as 1/c, D as c^2, curvatures as c."""
    setting = problem(**given)
    other = replace(
        setting,
        teacher_norm=scale * setting.teacher_norm,
        label_noise=scale**2 * setting.label_noise,
        weight_variance=scale * setting.first_variance,
        output_variance=scale * setting.second_variance,
        learning_rate=setting.learning_rate / scale,
        target_loss=setting.target_loss * scale**2,
    )
    rho = small_rho(setting)
    here, there = two_layer_tradeoff(setting, rho), two_layer_tradeoff(other, rho / scale)
    for name, power in (("diversity", 2), ("member_error", 2), ("eir", 0), ("trace", 1), ("sharpness", 1)):
        assert getattr(there, name) == pytest.approx(scale**power * getattr(here, name), rel=1e-7), name
    assert here.critical_rho is not None
    # By full batch on f - f_0 steps of this rate nearly diverge, and rounding decides which still fit: a smaller rate, below.
    if not (setting.m is None and setting.subtract_initial):
        assert there.critical_rho == pytest.approx(here.critical_rho / scale, rel=1e-7)


@pytest.mark.slow
def test_the_edge_has_the_units_of_rho_where_steps_do_not_diverge() -> None:
    setting = replace(problem(m=None, whitened=False, subtract_initial=True), learning_rate=0.3 * SMALL.learning_rate)
    other = replace(setting, teacher_norm=1.4, weight_variance=0.7 * setting.first_variance)
    other = replace(other, output_variance=0.7 * setting.second_variance, target_loss=0.49 * setting.target_loss)
    other = replace(other, learning_rate=setting.learning_rate / 0.7)
    here, there = critical_rho(setting), critical_rho(other)
    assert here is not None
    assert there == pytest.approx(here / 0.7, rel=1e-7)


@law(
    Mutation(
        "an ascent along the normalized gradient",
        f"{ROOM}.dynamics._step",
        lambda f: lambda s, rho, a, *args: f(s, rho * (a**2).sum(axis=1), a, *args),
    ),
    examples=6,
    m=st.sampled_from([None, 10, 1]),
    whitened=st.booleans(),
)
def test_lazy_networks_do_not_notice_rho(m: int | None, whitened: bool) -> None:
    """With both variances alpha^2 times as large, the effect at given rho |H| goes as alpha^-4.

    Wide networks that start at 0 for any alpha, that is: an f_0 of order alpha^2 has to be unlearned, and keeps the effect up.
    """
    effects = []
    for power in (64.0, 256.0):
        setting = TwoLayerSetting(
            n=60,
            d=180,
            width=10**10,
            weight_variance=power / 10**10,
            output_variance=power / 10**10,
            m=m,
            whitened=whitened,
            learning_rate=0.03 / power,
            target_loss=1e-14,
        )
        curve = two_layer_tradeoff(setting, np.array([0.0, 1e-3 / power * setting.group]))
        effects.append(log_ratio(curve.diversity)[0] * power)
    assert effects[0] < 0
    assert effects[1] / effects[0] == pytest.approx(1 / 4, rel=0.1)


@pytest.mark.long
@pytest.mark.slow
@law(
    WIDE,
    FULL_BATCH,
    Mutation("twice the rho", f"{ROOM}.dynamics._step", lambda f: lambda s, rho, *args: f(s, 2 * rho, *args)),
    Mutation("one eigenvalue", f"{ROOM}.closed_forms.train", changed(whitened=lambda s: True)),
)
def test_one_large_network_is_its_small_one() -> None:
    """|a|^2 and its change by rho, means over six networks on one data set of 90 samples: to 6% and 10%."""
    rng = np.random.default_rng(0)
    base = TwoLayerSetting(n=90, d=150, width=120, teacher_norm=2.0, target_loss=1e-4, learning_rate=0.04)
    for whitened, m, rho in ((True, None, 0.2), (False, None, 0.2), (True, 1, 0.002)):
        setting = replace(base, m=m, whitened=whitened)
        X = rng.standard_normal((90, 150))
        if whitened:
            X = np.linalg.qr(X.T)[0].T * np.sqrt(150)
        y = X @ rng.standard_normal(150)
        y *= 2 * np.sqrt(90 / 150 / (y @ np.linalg.solve(X @ X.T, y)))  # of the teacher, the part seen varies by 10%
        a, W = rng.standard_normal((6, 120)), rng.standard_normal((6, 120, 150)) / np.sqrt(150)
        a /= np.linalg.norm(a, axis=1, keepdims=True)
        targets = np.tile(y, (6, 1))
        norms = [(train_networks(setting, r, X, targets, a, W)[0] ** 2).sum(axis=1) for r in (0.0, rho)]
        curve = two_layer_tradeoff(setting, (0.0, rho))
        predicted = curve.diversity * 150 / 60
        assert np.mean(norms, axis=1) == pytest.approx(predicted, rel=0.06)
        assert np.log(norms[1] / norms[0]).mean() == pytest.approx(log_ratio(predicted)[0], rel=0.1)


def test_blocks_of_one_are_all_the_data() -> None:
    one, other = two_layer_tradeoff(SMALL, 0.1, members=3), two_layer_tradeoff(SMALL, 0.1, blocks=1)
    assert one == other


@pytest.mark.parametrize("whitened", [True, False])
def test_blocks_raise_diversity_at_equal_trace_and_do_not_help_the_ensemble(whitened: bool) -> None:
    """One member on each of s blocks: the trace is the same function of |a|^2, and more dimensions are free."""
    setting = replace(SMALL, whitened=whitened)
    rho = np.linspace(0, 0.2, 21)
    for blocks in (2, 3, 6):
        together = two_layer_tradeoff(setting, rho, members=blocks)
        apart = two_layer_tradeoff(setting, rho, blocks=blocks)
        traces = np.linspace(max(together.trace[-1], apart.trace[-1]), min(together.trace[0], apart.trace[0]), 5)
        equal = [np.interp(traces, c.trace[::-1], c.diversity[::-1]) for c in (together, apart)]
        assert np.all(equal[1] > equal[0])
        errors = [np.interp(traces, c.trace[::-1], c.ensemble_error[::-1]) for c in (together, apart)]
        assert np.all(errors[1] > errors[0])


def test_rho_broadcasts_and_matches_single_values() -> None:
    rho = np.linspace(0, 0.2, 4)
    for setting in (SMALL, replace(SMALL, whitened=False, m=10)):
        together = two_layer_tradeoff(setting, rho * setting.group / setting.n)
        single = [two_layer_tradeoff(setting, r) for r in (rho * setting.group / setting.n).tolist()]
        for name in ("diversity", "member_error", "eir", "trace", "sharpness", "stable"):
            values = np.concatenate([getattr(curve, name) for curve in single])
            assert getattr(together, name) == pytest.approx(values, rel=1e-9), name


WHITE, GAUSSIAN = ((1,) * 8, (1,) * 8), ((10, 4, 2), (4, 2, 2))
FINER = {"_WHITENED": WHITE, "_GAUSSIAN": GAUSSIAN}


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.parametrize(
    ("given", "accuracy"),
    [
        ({"m": 10, "width": 100}, 1e-5),
        ({"m": None}, 1e-5),
        ({"m": None, "whitened": False}, 0.01),
        ({"m": 1, "whitened": False}, 0.002),
        ({"m": None, "whitened": False, "d": 125}, 0.025),
    ],
)
def test_the_small_network_has_enough_directions(
    given: dict[str, Any], accuracy: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As is said where their numbers are; one level less is seen."""
    setting = TwoLayerSetting(learning_rate=0.01, **given)
    rho = 0.1 * setting.group / setting.n

    def change() -> float:
        dynamics._patience.cache_clear()  # steps of gradient descent are those of the small network
        return float(log_ratio(two_layer_tradeoff(setting, (0.0, rho)).diversity)[0])

    found = change()
    for name, levels in FINER.items():
        monkeypatch.setattr(f"{ROOM}.reduced.{name}", levels)
    finer = change()
    allowed = accuracy if setting.whitened else accuracy * abs(finer)
    assert abs(found - finer) < allowed
    monkeypatch.setattr(f"{ROOM}.reduced._WHITENED", ((1,) * 3, (1,) * 3))
    monkeypatch.setattr(f"{ROOM}.reduced._GAUSSIAN", ((2, 1), (1,)))
    assert abs(change() - finer) > allowed
    dynamics._patience.cache_clear()
