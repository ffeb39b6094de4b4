"""How far rho lowers alpha: bounds, its first order, and the lazy limit by dense matrices."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import strategies as st

from sharpdiv.theory.feature_learning.diagonal import shift
from sharpdiv.theory.feature_learning.diagonal.setting import DiagonalSetting
from sharpdiv.theory.feature_learning.diagonal.shift import Descent, LazyModes
from tests.laws import Mutation, law
from tests.theory.feature_learning.diagonal.cases import ROOM, problem, settings_


def strength(factor: float) -> Mutation:
    def change(init: Any) -> Any:
        def made(self: Descent, *args: Any) -> None:
            init(self, *args)
            self.strength *= factor

        return made

    return Mutation(f"{factor} times as strong", f"{ROOM}.shift.Descent.__init__", change)


@pytest.mark.long
@pytest.mark.slow
@law(
    strength(0.5),
    strength(1.5),
    Mutation(
        "everything is there from the start",
        f"{ROOM}.shift.LazyModes.missing",
        lambda _: lambda self, distance: 0.0,
    ),
    examples=4,
    **settings_,
)
def test_the_fall_lies_between_the_potentials_before_and_after(**given: Any) -> None:
    """``8 R V(0) <= L <= 8 R V(L)``: on the way there is less of the conjugate than at the end, and not less than none."""
    descent = Descent(problem(**given), given["n"])
    rho = np.array([1e-3, 0.1, 0.3, 0.6]) * descent.critical_rho()
    fall, unit = descent.fall(rho), 8 * rho  # m = 1
    assert np.all(fall >= unit * descent.at(0 * rho, "potential") * (1 - 1e-9))
    assert np.all(fall <= unit * descent.at(fall, "potential") * (1 + 1e-2))  # to first order in what is uneven
    assert np.all(np.diff(fall) > 0)
    assert fall[0] == pytest.approx(unit[0] * descent.at(np.zeros(1), "potential")[0], rel=1e-2)


@law(
    Mutation(
        "pull of the slowest modes",
        f"{ROOM}.shift.LazyModes.pull",
        lambda _: property(lambda self: float(self.weights @ np.sqrt(self.rates))),
    ),
    Mutation("unevenness of the mean rate", f"{ROOM}.shift.LazyModes.unevenness", lambda _: property(lambda self: 1.0)),
    Mutation("u for phi", f"{ROOM}.shift.LazyModes.missing", lambda _: lambda self, distance: distance),
    examples=3,
    n=st.sampled_from([80, 150]),
    noise=st.sampled_from([0.0, 0.5]),
)
def test_lazy_modes_are_linear_regression_by_dense_matrices(n: int, noise: float) -> None:
    """One draw of the flow of ``h' = -X'r/n``; 4 standard errors of a mean over d coordinates are about 0.25 here."""
    rng, d = np.random.default_rng(n), 400
    X = rng.standard_normal((n, d)) / np.sqrt(d)
    y = X @ rng.standard_normal(d) + np.sqrt(noise) * rng.standard_normal(n)
    rates, vectors = np.linalg.eigh(X @ X.T)
    amplitudes = vectors.T @ y / rates
    modes = LazyModes.of(n / d, 1.0, noise)
    square = amplitudes**2 * rates  # of h at the end, by modes
    assert modes.pull == pytest.approx(square @ rates / square.sum(), rel=0.1)
    pairs = rates[:, None] * rates / (rates[:, None] + rates)  # the integral of exp(-(l + l') t), times the rates
    directions = vectors.T @ X
    pulled = np.einsum("kj,k,kl,l,lj->j", directions, amplitudes, pairs, amplitudes, directions, optimize=True)
    dual = (amplitudes @ directions) ** 2
    slope = np.cov(pulled, dual)[0, 1] / dual.var(ddof=1) * dual.mean() / pulled.mean()
    assert modes.unevenness == pytest.approx(slope, abs=0.1)
    left = np.exp(-rates * 0.7)
    distance = square @ left**2 / square.sum()
    assert modes.missing(distance) == pytest.approx(square @ (2 * left - left**2) / square.sum(), abs=0.05)


def test_a_farther_fall_than_is_described_is_infinite() -> None:
    descent = Descent(DiagonalSetting(n=40, d=120), 40)
    edge = descent.critical_rho()
    inside, outside = descent.fall(np.array([0.999, 1.001]) * edge)
    assert inside < descent.farthest < outside == np.inf
    assert shift.Descent(DiagonalSetting(n=40, d=120, m=4), 40).critical_rho() > 2 * edge


@pytest.mark.parametrize("blocks", [2, 10])
def test_a_full_batch_on_a_block_is_the_blocks_own(blocks: int) -> None:
    """As groups of as many samples as it has."""
    whole = DiagonalSetting(m=None)
    samples = whole.n // blocks
    found, expected = Descent(whole, samples), Descent(replace(whole, m=samples), samples)
    assert (found.strength, found.uneven) == (expected.strength, expected.uneven)
    assert found.critical_rho() == expected.critical_rho()
    assert 0 <= found.uneven <= 1
