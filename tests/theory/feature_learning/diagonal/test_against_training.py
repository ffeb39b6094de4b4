"""Predictions against trained networks: levels at rho = 0, and logarithms of ratios to it."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from sharpdiv.theory.feature_learning.diagonal.closed_forms import diagonal_tradeoff
from sharpdiv.theory.feature_learning.diagonal.setting import DiagonalSetting
from sharpdiv.theory.feature_learning.diagonal.simulation import simulate_diagonal
from tests.laws import Mutation, law
from tests.theory.feature_learning.diagonal.cases import ROOM

DENSE = DiagonalSetting(learning_rate=4.0)
NOISY = DiagonalSetting(n=120, d=240, label_noise=0.2, learning_rate=3.0)
SPARSE = DiagonalSetting(density=0.1, alpha=0.2, learning_rate=4.0)
CASES = [
    *((replace(DENSE, m=m), m * 0.25) for m in (1, 5, 10)),
    *((replace(NOISY, m=m), m * 0.2) for m in (1, 4, 12)),
    *((replace(SPARSE, m=m), m * 0.2) for m in (1, 5, 10)),
]
"""Three group sizes each, at about the same share of what rho can be."""
DRAWS = 8


@cache
def trained(case: int) -> dict[str, np.ndarray]:
    """Quantities of each draw at rho = 0 and at the case's rho, ``(draws, 2)``."""
    setting, rho = CASES[case]
    found = [simulate_diagonal(setting, (0.0, rho), draws=1, networks=8, stop=1e-5, seed=seed) for seed in range(DRAWS)]
    return {name: np.array([getattr(each, name).mean for each in found]) for name in ("diversity", "trace", "eir")}


@pytest.fixture(scope="module")
def taken_before_anything_is_wrong() -> None:
    for case in range(len(CASES)):
        trained(case)


def wrong_strength(factor: float) -> Mutation:
    def change(groups: object) -> object:
        return lambda n, m: (factor * (n - m) / (m * (n - 1)), 1 - (n - m) / (m * (n - 1)))

    return Mutation(f"rho {factor} times", f"{ROOM}.shift.group_strength", change)


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.usefixtures("taken_before_anything_is_wrong")
@law(
    wrong_strength(0.5),
    wrong_strength(2.0),
    Mutation("m ignored", f"{ROOM}.shift.group_strength", lambda _: lambda n, m: (1.0, 0.0)),
    Mutation(
        "curvature of w_+ only",
        f"{ROOM}.channel.Response.curvature",
        lambda f: property(lambda self: self.estimate),
    ),
)
def test_ratios_are_those_of_trained_networks() -> None:
    """4 standard errors over 8 draws, or 5%, plus 5% for finite size: the fall is 4% larger at n = 100 than in the limit.

    Levels at rho = 0: 4 standard errors, or 3%.
    """
    for case, (setting, rho) in enumerate(CASES):
        curve = diagonal_tradeoff(setting, (0.0, rho))
        for name, values in trained(case).items():
            predicted = getattr(curve, name)
            level, stderr = values[:, 0].mean(), values[:, 0].std(ddof=1) / np.sqrt(DRAWS)
            assert abs(level - predicted[0]) <= max(4 * stderr, 0.03 * level), (case, name, level, stderr, predicted)
            ratios = np.log(values[:, 1] / values[:, 0])
            expected, stderr = np.log(predicted[1] / predicted[0]), ratios.std(ddof=1) / np.sqrt(DRAWS)
            allowed = max(4 * stderr, 0.05 * abs(expected)) + 0.05 * abs(expected)
            assert abs(ratios.mean() - expected) <= allowed, (case, name, ratios.mean(), stderr, expected)
