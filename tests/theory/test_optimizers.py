"""An optimizer that is not ours: a second ascent step, whose filter is one degree higher."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import strategies as st

from sharpdiv.theory.errors import DomainError, DomainWarning
from sharpdiv.theory.filters import Filter
from sharpdiv.theory.optimizers import OPTIMIZERS, Optimizer, optimizer_named
from sharpdiv.theory.setting import Setting
from sharpdiv.theory.simulation import simulate
from sharpdiv.theory.spectra.base import Spectrum
from sharpdiv.theory.spectra.marchenko_pastur import MarchenkoPastur
from sharpdiv.theory.theorems.sam import sam_tradeoff
from sharpdiv.theory.theorems.sharpbalance import sharpbalance_tradeoff
from tests.laws import Mutation, law

SETTING = Setting(n=1200, d=300, steps=4, learning_rate=0.05, radius=0.05, label_noise=0.02)


def one_step(x: np.ndarray, learning_rate: float, rho: np.ndarray) -> np.ndarray:
    """``w+ = w - eta grad f(w + rho grad f(w + rho grad f(w)))``: the ascent starts twice from w."""
    ascent = rho[..., None] * x
    return np.asarray(1 - learning_rate * x * (1 + ascent * (1 + ascent)))


@dataclass(frozen=True)
class Steps(Filter):
    """Some of those steps."""

    setting: Setting
    rho: np.ndarray

    @property
    def degree(self) -> int:
        return 3 * self.setting.steps

    def residual(self, x: np.ndarray) -> np.ndarray:
        return one_step(x, self.setting.learning_rate, self.rho) ** self.setting.steps


def explicit_step(
    x: np.ndarray, gradient: np.ndarray, learning_rate: float, rho: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    radius = rho[:, None, None]
    ahead = gradient + radius * x * gradient
    return -learning_rate * (gradient + radius * x * ahead), one_step(x, learning_rate, rho)


def edge(setting: Setting, spectrum: Spectrum) -> float | None:
    """Where ``eta x (1 + rho x + rho^2 x^2) = 2`` at the largest eigenvalue."""
    room = 2 / (setting.learning_rate * spectrum.largest) - 1
    return None if room <= 0 else float((np.sqrt(1 + 4 * room) - 1) / 2 / spectrum.largest)


TWO_ASCENTS = Optimizer(
    name="two-ascents",
    label="SAM with two ascent steps",
    filter=lambda setting, rho, _: Steps(setting, rho),
    critical_rho=edge,
    stable=lambda setting, rho, spectrum: rho < (edge(setting, spectrum) or 0.0),
    step=explicit_step,
)


@pytest.fixture(autouse=True)
def _known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(OPTIMIZERS, "two-ascents", TWO_ASCENTS)


@law(
    Mutation("one ascent", f"{__name__}.one_step", lambda _: lambda x, e, r: 1 - e * x * (1 + r[..., None] * x)),
    blocks=st.sampled_from([1, 3]),
    examples=2,
)
def test_theorems_and_simulation_take_any_optimizer(blocks: int) -> None:
    """At d = 300 with 30 draws: 4 standard errors and 3/d for finite size."""
    rho = np.array([0.05, 0.1])
    measured = simulate(SETTING, rho, blocks=blocks, optimizer="two-ascents", draws=30, inits=60, seed=1)
    if blocks == 1:
        predicted = sam_tradeoff(SETTING, rho, optimizer="two-ascents")
    else:
        predicted = sharpbalance_tradeoff(SETTING, rho, blocks=blocks, optimizer="two-ascents")
    assert predicted.stable.all()
    for name in ("diversity", "member_error", "ensemble_error", "sharpness"):
        estimate, value = getattr(measured, name), getattr(predicted, name)
        assert np.all(np.abs(estimate.mean - value) <= 4 * estimate.stderr + 3 / 300 * value), name


def test_simulated_by_steps_sam_is_itself() -> None:
    """The general way of simulating and that of a linear step see the same data, starts and noise."""
    rho = np.array([0.0, 0.2])
    options: dict[str, Any] = {"draws": 2, "inits": 4, "seed": 3}
    ours = simulate(SETTING, rho, **options)
    by_steps = Optimizer(**{**vars(optimizer_named("sam")), "name": "by-steps", "linear": False})
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(OPTIMIZERS, "by-steps", by_steps)
        theirs = simulate(SETTING, rho, optimizer="by-steps", **options)
    for name in ("sharpness", "sharpness_ensemble", "sharpness_member"):
        assert getattr(ours, name).mean == pytest.approx(getattr(theirs, name).mean, rel=1e-9), name


def test_what_is_published_is_about_sam_only() -> None:
    curve = sam_tradeoff(SETTING, 0.1, optimizer="two-ascents")
    assert np.isnan(curve.sharpness_upper).all()
    assert curve.critical_rho == pytest.approx(edge(SETTING, MarchenkoPastur(4.0)))


def test_an_unknown_optimizer_is_named_with_the_known_ones() -> None:
    for call in (sam_tradeoff, simulate):
        with pytest.raises(
            DomainError, match=r"optimizer must be one of sam, normalized-sam, .*two-ascents; got 'adam'"
        ):
            call(SETTING, 0.1, optimizer="adam")


def test_every_optimizer_is_gradient_descent_at_zero() -> None:
    reference = sam_tradeoff(SETTING, 0.0)
    for name in OPTIMIZERS:
        curve = sam_tradeoff(SETTING, 0.0, optimizer=name)
        assert curve.diversity == pytest.approx(reference.diversity, rel=1e-12), name
    with pytest.warns(DomainWarning):
        assert np.isnan(sam_tradeoff(SETTING, 50.0, optimizer="normalized-sam").diversity).all()
