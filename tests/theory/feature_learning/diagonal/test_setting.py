"""What is outside the domain of a diagonal network's problem, its prediction and its simulation."""

from collections.abc import Callable
from itertools import combinations, product
from typing import Any

import numpy as np
import pytest
from hypothesis import strategies as st

from sharpdiv.theory.errors import DomainError
from sharpdiv.theory.feature_learning.diagonal import setting as module
from sharpdiv.theory.feature_learning.diagonal.closed_forms import diagonal_tradeoff
from sharpdiv.theory.feature_learning.diagonal.setting import DiagonalSetting
from sharpdiv.theory.feature_learning.diagonal.simulation import simulate_diagonal
from tests.laws import Mutation, law
from tests.theory.feature_learning.diagonal.cases import ROOM

SMALL = DiagonalSetting(n=12, d=30)


def predict(setting: DiagonalSetting = SMALL, rho: Any = 0.1, **options: Any) -> object:
    return diagonal_tradeoff(setting, rho, **options)


def simulate(setting: DiagonalSetting = SMALL, rho: Any = 0.1, **options: Any) -> object:
    return simulate_diagonal(setting, rho, draws=1, networks=2, **options)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: DiagonalSetting(n=1), "n must be an integer of at least 2, got 1"),
        (lambda: DiagonalSetting(n=300), "n must be below d = 300, so that many weights fit the data, got 300"),
        (lambda: DiagonalSetting(alpha=0.0), "alpha must be finite and positive"),
        (lambda: DiagonalSetting(spread=-0.1), "spread must be finite and non-negative"),
        (lambda: DiagonalSetting(spread=2.5), "spread must be at most 2.0, got 2.5"),
        (lambda: DiagonalSetting(density=0.0), "density must be finite and positive"),
        (lambda: DiagonalSetting(density=1.1), "density is a share and must be at most 1, got 1.1"),
        (lambda: DiagonalSetting(teacher_norm=0.0), "teacher norm"),
        (lambda: DiagonalSetting(label_noise=float("nan")), "label noise"),
        (lambda: DiagonalSetting(m=0), "m must be an integer of at least 1, got 0"),
        (lambda: DiagonalSetting(m=7), "m must divide the 100 samples of a member, got 7"),
        (lambda: DiagonalSetting(learning_rate=0.0), "learning rate"),
        (lambda: DiagonalSetting(radius=0.0), "radius"),
        (lambda: predict(rho=-1.0), "rho must be finite and non-negative, got -1.0"),
        (lambda: predict(members=1), "members must be an integer of at least 2, got 1"),
        (lambda: predict(blocks=0), "blocks must be"),
        (lambda: predict(blocks=5), "blocks must divide n = 12, got 5: drop 2 samples"),
        (lambda: predict(blocks=12), "blocks must have at least 2 of the n = 12 samples each"),
        (lambda: predict(blocks=2, members=2), "leave members out with 2 blocks, got 2"),
        (lambda: predict(DiagonalSetting(n=12, d=30, m=4), blocks=2), "m must divide the 6 samples of a member, got 4"),
        (lambda: simulate(share=1.5), "share must select one of 12 groups at least and all at most, got 1.5"),
        (lambda: simulate(share=0.01), "share must select one of 12 groups"),
        (lambda: simulate(stop=0.0), "stop must be"),
        (lambda: simulate_diagonal(SMALL, 0.1, draws=0), "draws must be"),
        (lambda: simulate_diagonal(SMALL, 0.1, networks=1), "networks must be"),
        (lambda: simulate(DiagonalSetting(n=12, d=30, learning_rate=100.0)), "SAM diverges at rho 0.1"),
    ],
)
def test_bad_input_is_a_typed_error(make: Callable[[], object], message: str) -> None:
    with pytest.raises(DomainError, match=message):
        make()


@law(
    Mutation("1/m", f"{ROOM}.setting.group_strength", lambda _: lambda n, m: (1 / m, 1 - 1 / m)),
    Mutation(
        "groups drawn with replacement",
        f"{ROOM}.setting.group_strength",
        lambda _: lambda n, m: ((1 - 1 / n) / m, 1 - (1 - 1 / n) / m),
    ),
    examples=10,
    samples=st.integers(2, 6),
    seed=st.integers(0, 1000),
)
def test_the_strength_of_groups_is_the_mean_over_all_of_them(samples: int, seed: int) -> None:
    values = np.random.default_rng(seed).standard_normal(samples)
    for group in range(1, samples + 1):
        squares = [np.mean(values[list(each)]) ** 2 for each in combinations(range(samples), group)]
        single, mean = module.group_strength(samples, group)
        assert np.mean(squares) == pytest.approx(single * np.mean(values**2) + mean * np.mean(values) ** 2)


def test_all_samples_are_one_group() -> None:
    assert DiagonalSetting(m=None).group == 100
    for m, blocks in product((1, 5, None), (2, 4)):
        assert DiagonalSetting(m=m).block_samples(blocks) == 100 // blocks
