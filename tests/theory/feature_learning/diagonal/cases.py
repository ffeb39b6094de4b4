"""Problems that several laws of the diagonal ensemble share."""

from typing import Any

import numpy as np
from hypothesis import strategies as st

from sharpdiv.theory.feature_learning.diagonal.setting import DiagonalSetting

ROOM = "sharpdiv.theory.feature_learning.diagonal"

settings_: dict[str, Any] = {
    "n": st.sampled_from([30, 100, 200]),
    "alpha": st.floats(0.05, 2),
    "spread": st.floats(0.1, 1),
    "density": st.sampled_from([1.0, 0.2]),
    "label_noise": st.sampled_from([0.0, 0.2]),
}


def problem(**given: Any) -> DiagonalSetting:
    return DiagonalSetting(d=300, teacher_norm=15.0, **given)


def draws_of_the_channel(setting: DiagonalSetting, count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Coordinates of a teacher and two members' alphas, ``(count,)`` and ``(2, count)``."""
    rng = np.random.default_rng(seed)
    teacher = rng.standard_normal(count) * (rng.random(count) < setting.density)
    alphas = setting.alpha * np.exp(setting.spread * rng.standard_normal((2, count)))
    return teacher * np.sqrt(setting.signal_variance / setting.density), alphas
