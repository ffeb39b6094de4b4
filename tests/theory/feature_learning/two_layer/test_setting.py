"""What is outside the domain of a two-layer problem, its prediction and its simulation."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from sharpdiv.theory.errors import DomainError
from sharpdiv.theory.feature_learning.two_layer.closed_forms import two_layer_tradeoff
from sharpdiv.theory.feature_learning.two_layer.setting import TwoLayerSetting
from sharpdiv.theory.feature_learning.two_layer.simulation import simulate_two_layer
from sharpdiv.theory.feature_learning.two_layer.wide import wide_limit
from tests.theory.feature_learning.two_layer.cases import SMALL


def predict(rho: Any = 0.1, **options: Any) -> object:
    return two_layer_tradeoff(SMALL, rho, **options)


def simulate(rho: Any = 0.1, setting: TwoLayerSetting = SMALL, **options: Any) -> object:
    return simulate_two_layer(setting, rho, **options)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: TwoLayerSetting(n=0), "n must be an integer of at least 1, got 0"),
        (lambda: TwoLayerSetting(n=300), "n must be below d = 300 for networks that interpolate, got 300"),
        (lambda: TwoLayerSetting(width=0), "width must be"),
        (lambda: TwoLayerSetting(m=7), "m must divide n = 100 into groups of equal size, got 7"),
        (lambda: TwoLayerSetting(weight_variance=0.0), "weight variance must be finite and positive"),
        (lambda: TwoLayerSetting(output_variance=float("nan")), "output variance must be finite and positive"),
        (lambda: TwoLayerSetting(learning_rate=0.0), "learning rate must be finite and positive"),
        (lambda: TwoLayerSetting(target_loss=0.1), "target loss must be at most 0.001 of the loss 0.5 of predicting 0"),
        (lambda: TwoLayerSetting(radius=-1.0), "radius"),
        (lambda: TwoLayerSetting(teacher_norm=0.0), "teacher norm must be finite and positive"),
        (lambda: TwoLayerSetting(label_noise=-0.1), "label noise"),
        (lambda: predict(-1.0), "rho must be finite and non-negative, got -1.0"),
        (lambda: predict(members=1), "members must be an integer of at least 2, got 1"),
        (lambda: predict(blocks=7), "blocks must divide n = 60, got 7"),
        (lambda: predict(blocks=2, members=2), "leave members out"),
        (lambda: wide_limit(replace(SMALL, whitened=False)), "rows must be orthogonal"),
        (lambda: simulate(networks=1), "networks must be"),
        (lambda: simulate(draws=0), "draws must be"),
        (lambda: simulate(5.0), "SAM does not fit the data at rho = 5"),
        (lambda: simulate(0.0, replace(SMALL, learning_rate=1.0)), "learning rate 1: the loss of a member is"),
    ],
)
def test_bad_input_is_a_typed_error(make: Callable[[], object], message: str) -> None:
    with pytest.raises(DomainError, match=message):
        make()


def test_groups_go_from_full_batch_to_single_samples() -> None:
    found = [replace(SMALL, m=m).per_sample for m in (None, 60, 1)]
    assert found == [0, 0, 1]
    # The strength on a of groups of m is 1 - f + f n, which is n/m.
    for m in (2, 5, 30):
        f = replace(SMALL, m=m).per_sample
        assert 1 - f + 60 * f == pytest.approx(60 / m)


def test_blocks_keep_what_is_not_the_number_of_samples() -> None:
    assert replace(SMALL, m=5).block(3) == replace(SMALL, n=20, m=5)
    assert SMALL.block(3).group == 20
    with pytest.raises(DomainError, match="m must divide n = 30"):
        replace(SMALL, m=4).block(2)


def test_no_number_where_sam_does_not_fit() -> None:
    curve = two_layer_tradeoff(SMALL, (0.1, 5.0))
    assert np.isfinite(curve.diversity).tolist() == curve.stable.tolist() == [True, False]
    assert set(curve.reasons) == {
        "diversity",
        "member_error",
        "ensemble_error",
        "eir",
        "training_loss",
        "trace",
        "sharpness",
    }
    assert "collapse" in curve.reasons["diversity"]
