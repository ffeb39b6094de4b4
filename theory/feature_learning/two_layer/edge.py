"""Edges in rho: where the origin begins to attract the weights, and where training no longer fits the data."""

from functools import lru_cache

import numpy as np

from sharpdiv.theory.feature_learning.two_layer.dynamics import train
from sharpdiv.theory.feature_learning.two_layer.setting import TwoLayerSetting

__all__ = ["collapse_rho", "critical_rho"]

_RANGE = np.geomspace(0.01, 1000, 12)
"""Multiples of the origin's edge that are tried."""


def collapse_rho(setting: TwoLayerSetting) -> float:
    """The rho from which on weights of 0 attract: ``1 / sqrt(mean_B |X_B'y_B / m|^2)``, over the groups B.

    With ``v_B`` the groups' gradients by W'a at the origin, v their mean and V the mean of ``v_B v_B'``, a small unit (a, w)
    follows ``a' = -(v'w + rho N a)``, ``w' = -(v a + rho V w)``, ``N = mean |v_B|^2``. It shrinks if ``rho^2 N > v'V^+ v``, which
    is 1 as long as the v_B are independent, and they are for n < d samples. Below the edge the origin is a saddle that training
    leaves.

    Args:
        setting: the problem.

    Returns:
        The edge, with the mean over data for ``|v_B|^2``. Weights that start small collapse beyond it; large ones may still fit.

    Examples:
        >>> from sharpdiv.theory.feature_learning.two_layer.edge import collapse_rho
        >>> from sharpdiv.theory.feature_learning.two_layer.setting import TwoLayerSetting
        >>> collapse_rho(TwoLayerSetting(n=100, d=400)), collapse_rho(TwoLayerSetting(n=100, d=400, m=1))  # in m a square root
        (0.5, 0.05)
    """
    m, d, signal = setting.group, setting.d, setting.teacher_norm**2
    seen = d if setting.whitened else d + m + 1
    return float(np.sqrt(m / (signal * seen + setting.label_noise * d)))


@lru_cache(maxsize=64)
def critical_rho(setting: TwoLayerSetting) -> float | None:
    """The rho from which on SAM does not fit the data: the weights collapse, or steps of this learning rate diverge.

    Close to the origin's edge training is slow, and counts as not fitting after ten times the steps of gradient descent.

    Args:
        setting: the problem.

    Returns:
        The largest rho that still fits in the small network, good to 1%; but by full batch on f - f_0 at a rate whose steps
        nearly diverge rounding decides which rho fit, and it is ragged by some per cent. None if rho = 0 does not.

    Examples:
        >>> from sharpdiv.theory.feature_learning.two_layer.edge import critical_rho
        >>> from sharpdiv.theory.feature_learning.two_layer.setting import TwoLayerSetting
        >>> [round(critical_rho(TwoLayerSetting(m=m)), 3) for m in (100, 1)]  # here steps of the rate .02 diverge
        [0.975, 0.014]
    """
    low, tried = 0.0, collapse_rho(setting) * _RANGE
    if not train(setting, np.zeros(1)).fitted.all():
        return None
    for _ in range(3):
        fitted = train(setting, tried).fitted
        if fitted.all():
            return float(tried[-1])
        first = int(np.argmin(fitted))
        low = float(tried[first - 1]) if first else low
        tried = (
            np.linspace(low, tried[first], _RANGE.size) if low == 0 else np.geomspace(low, tried[first], _RANGE.size)
        )
    return low
