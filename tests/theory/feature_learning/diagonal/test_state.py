"""The state evolution against its own equations, sampled, and against linear regression."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import strategies as st

from sharpdiv.theory.feature_learning.diagonal import state as module
from sharpdiv.theory.feature_learning.diagonal.setting import DiagonalSetting
from sharpdiv.theory.feature_learning.diagonal.state import Limit, Shift
from tests.laws import Mutation, law
from tests.theory.feature_learning.diagonal.cases import ROOM, draws_of_the_channel, problem, settings_


def made_with(wrong: Callable[[Limit], dict[str, Any]]) -> Callable[[Any], Any]:
    """A limit whose attributes are replaced once it is made."""

    def change(init: Any) -> Any:
        def made(self: Limit, *args: Any) -> None:
            init(self, *args)
            vars(self).update(wrong(self))

        return made

    return change


NO_NOISE = Mutation(
    "no label noise",
    f"{ROOM}.state.Limit.__init__",
    made_with(lambda self: {"label_noise": 0.0}),
)
DENSE = Mutation(
    "teacher taken as dense",
    f"{ROOM}.state.Limit.__init__",
    made_with(lambda self: {"parts": [(1.0, self.signal)]}),
)


def channel(setting: DiagonalSetting, found: Any, noise: np.ndarray, teacher: np.ndarray, alphas: np.ndarray) -> Any:
    """By bisection, from the equation ``x + theta asinh(x / 2 alpha^2) = v`` alone; ``(members, draws)``."""
    v = teacher + noise
    low, high = np.zeros_like(v), np.abs(v)
    for _ in range(60):
        x = (low + high) / 2
        above = x + found.threshold * np.arcsinh(x / (2 * alphas**2)) > np.abs(v)
        low, high = np.where(above, low, x), np.where(above, x, high)
    return np.sign(v) * low


@pytest.mark.slow
@law(
    NO_NOISE,
    DENSE,
    Mutation(
        "one alpha for both members",
        f"{ROOM}.state.Limit._energies",
        lambda f: lambda self, response: (0.0, f(self, response)[1]),
    ),
    Mutation(
        "noise of the two members independent",
        f"{ROOM}.state.Limit._distance",
        lambda _: lambda self, energies, noise: self._distance_apart(energies, noise),
    ),
    examples=6,
    **settings_,
)
def test_the_equations_hold_for_sampled_coordinates(**given: Any) -> None:
    """4 standard errors over 40,000 coordinates."""
    given |= {"density": 0.2, "label_noise": 0.2}  # where neither can be left out
    setting = problem(**given)
    limit, delta = Limit(setting, setting.n), setting.n / setting.d
    found = limit.solve(Shift())
    teacher, alphas = draws_of_the_channel(setting, 40_000, 0)
    rng = np.random.default_rng(1)
    apart = found.diversity / delta
    shared = np.sqrt(found.noise - apart) * rng.standard_normal(teacher.shape)
    noise = shared + np.sqrt(apart) * rng.standard_normal(alphas.shape)
    x = channel(setting, found, noise, teacher, alphas)
    errors = x - teacher
    curvature = np.sqrt(x**2 + 4 * alphas**4)

    def agrees(samples: np.ndarray, value: float) -> None:
        samples = samples.mean(axis=0) if samples.ndim == 2 else samples
        assert abs(samples.mean() - value) <= 4 * samples.std() / np.sqrt(samples.size) + 1e-12

    agrees(curvature / (curvature + found.threshold), delta)
    agrees(errors**2, found.member)
    agrees(errors[0] ** 2, delta * found.noise - setting.label_noise)
    agrees((errors[0] - errors[1]) ** 2 / 2, found.diversity)
    agrees(4 * curvature, found.trace)
    lone = np.sqrt(found.noise) * rng.standard_normal(alphas.shape)
    distinct = channel(setting, found, lone, teacher, alphas)
    agrees((distinct[0] - distinct[1]) ** 2 / 2, found.apart)


@law(
    NO_NOISE,
    Mutation(
        "samples over dimensions inverted",
        f"{ROOM}.state.Limit.__init__",
        made_with(lambda self: {"delta": 1 - self.delta}),
    ),
    examples=8,
    n=st.integers(30, 270),
    noise=st.floats(0.1, 1),
)
def test_large_alphas_are_linear_regression(n: int, noise: float) -> None:
    """The minimum-norm interpolator: bias ``(1 - delta) b^2``, variance ``s_e^2 delta/(1 - delta)``."""
    if abs(n - 150) < 10:
        return  # there 1 - delta is delta
    setting = DiagonalSetting(n=n, d=300, alpha=300.0, spread=0.0, teacher_norm=15.0, label_noise=noise)
    found, delta = Limit(setting, n).solve(Shift()), n / 300
    assert found.member == pytest.approx((1 - delta) * 0.75 + noise * delta / (1 - delta), rel=1e-6)
    assert found.diversity == pytest.approx(0, abs=1e-9)
    assert found.trace == pytest.approx(8 * 300.0**2, rel=1e-6)


@law(
    Mutation(
        "potential plus its conjugate",
        f"{ROOM}.channel.Response.potential",
        lambda _: property(lambda self: self.estimate * self.dual / 4 + self.conjugate),
    ),
    Mutation(
        "noise not adapted",
        f"{ROOM}.state.Limit._error",
        lambda f: lambda self, responses, noise: 0.9 * f(self, responses, noise),
    ),
    examples=6,
    **settings_,
)
def test_the_potential_rises_as_alphas_fall_by_its_conjugate(**given: Any) -> None:
    """The envelope theorem: V is a minimum over interpolators, so that only the potential's own alphas count."""
    limit = Limit(problem(**given), given["n"])
    here = limit.solve(Shift(0.3))
    ahead, behind = (limit.solve(Shift(0.3 + step), here).potential for step in (1e-3, -1e-3))
    assert (ahead - behind) / 2e-3 == pytest.approx(here.conjugate, rel=1e-5)


def test_nodes_of_the_rule_are_those_of_a_normal_variable() -> None:
    nodes, weights = module._NODES, module._NORMAL
    assert [float(weights @ nodes**k) for k in (0, 2, 4, 6)] == pytest.approx([1, 1, 3, 15], rel=1e-12)
