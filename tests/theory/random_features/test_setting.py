"""What is outside the domain of a random-feature problem, its prediction and its simulation."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from sharpdiv.theory.errors import DomainError
from sharpdiv.theory.random_features.activations import activation
from sharpdiv.theory.random_features.closed_forms import random_feature_tradeoff
from sharpdiv.theory.random_features.setting import FeatureData, RandomFeatureSetting
from sharpdiv.theory.random_features.simulation import simulate_random_features
from tests.theory.random_features.cases import (
    SMALL,
    draw,
)

DATA = draw(SMALL, 0)


def predict(setting: RandomFeatureSetting = SMALL, rho: Any = 0.1, **options: Any) -> object:
    return random_feature_tradeoff(setting, rho, **options)


def simulate(setting: RandomFeatureSetting = SMALL, rho: Any = 0.1, **options: Any) -> object:
    return simulate_random_features(setting, rho, **options)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: RandomFeatureSetting(n=0), "n must be an integer of at least 1, got 0"),
        (lambda: RandomFeatureSetting(features=0), "features must be"),
        (lambda: activation("gelu"), "activation must be relu, erf, tanh or linear, got 'gelu'"),
        (lambda: RandomFeatureSetting(steps=-1), "steps must be"),
        (lambda: RandomFeatureSetting(steps=10**6), "steps must be at most 1000"),
        (lambda: RandomFeatureSetting(learning_rate=float("nan")), "learning rate must be finite and positive"),
        (lambda: RandomFeatureSetting(radius=0.0), "radius"),
        (lambda: RandomFeatureSetting(label_noise=-0.1), "label noise"),
        (lambda: RandomFeatureSetting(teacher_norm=float("inf")), "teacher norm"),
        (lambda: FeatureData(np.zeros((3, 2)), np.zeros(2), np.zeros(2)), "need targets"),
        (lambda: FeatureData(np.zeros((3, 2)), np.full(3, np.nan), np.zeros(2)), "must be finite"),
        (lambda: predict(rho=-1.0), "rho must be finite and non-negative, got -1.0"),
        (lambda: predict(members=1), "members must be an integer of at least 2, got 1"),
        (lambda: predict(blocks=0), "blocks must be"),
        (lambda: predict(blocks=7), "blocks must divide n = 240, got 7: drop 2 samples or take another number"),
        (lambda: predict(blocks=2, members=2), "leave members out"),
        (lambda: predict(replace(SMALL, n=120), data=DATA), "inputs must have the setting's shape"),
        (lambda: predict(replace(SMALL, learning_rate=1e3, steps=80), 9.0), "overflows; lower rho"),
        (lambda: simulate(networks=1), "networks must be"),
        (lambda: simulate(draws=0), "draws must be"),
        (lambda: simulate(test_samples=0), "test samples must be"),
        (lambda: simulate(blocks=7), "blocks must divide"),
        (lambda: simulate(replace(SMALL, learning_rate=1e3, steps=80), 9.0), "diverges"),
    ],
)
def test_bad_input_is_a_typed_error(make: Callable[[], object], message: str) -> None:
    with pytest.raises(DomainError, match=message):
        make()
