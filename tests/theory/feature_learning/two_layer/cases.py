"""Problems and wrong formulas that several laws must reject."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from sharpdiv.theory.feature_learning.two_layer.setting import TwoLayerSetting
from tests.laws import Mutation

ROOM = "sharpdiv.theory.feature_learning.two_layer"

SMALL = TwoLayerSetting(n=60, d=180, width=180, teacher_norm=2.0, target_loss=1e-6)


def changed(**fields: Callable[[TwoLayerSetting], Any]) -> Callable[[Any], Any]:
    """A function of a setting and more, called with a wrong one."""
    return lambda f: lambda setting, *args: f(replace(setting, **{n: g(setting) for n, g in fields.items()}), *args)


ALL_DIMENSIONS = Mutation(
    "d dimensions that no sample shows",
    f"{ROOM}.setting.TwoLayerSetting.null_dimensions",
    lambda _: property(lambda self: self.d),
)

FULL_BATCH = Mutation("one ascent whatever m", f"{ROOM}.dynamics._step", changed(m=lambda s: None))

WIDE = Mutation(
    "an infinitely wide network",
    f"{ROOM}.closed_forms.train",
    changed(
        width=lambda s: 10**8,
        weight_variance=lambda s: s.width * s.first_variance / 10**8,
        output_variance=lambda s: s.width * s.second_variance / 10**8,
    ),
)


def log_ratio(values: np.ndarray) -> np.ndarray:
    """Logarithms of ratios to the first rho."""
    return np.asarray(np.log(values[..., 1:] / values[..., :1]))
