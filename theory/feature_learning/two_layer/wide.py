"""Closed forms for orthogonal rows, wide networks (n << p) and small steps: the hyperbola at rho = 0, and its slope in rho.

Then W has the same length along every direction of the row space and W'a is small at first, so that only one direction
``e = t / |t|`` is ever trained: with ``c = a'We`` and ``gamma = (d/n)(c - |t|)``, in the time ``tau = -integral gamma~ dt``,

    ``a' = We - rho (n/m) sigma a``, ``(We)' = a - rho sigma We``, ``sigma = (d/n)(|t| - c)``,

until ``c = |t|``. SAM turns a hyperbolic rotation into one with friction, n/m times as strong on a as on W. At rho = 0
``tau = asinh(2 |t| / (A_0 + U_0)) / 2``, ``A = A_0 cosh^2 tau + U_0 sinh^2 tau`` with ``A_0 = |a_0|^2`` and ``U_0 = p s_w^2``.
"""

from dataclasses import dataclass

import numpy as np

from sharpdiv.theory.errors import DomainError
from sharpdiv.theory.feature_learning.two_layer.setting import TwoLayerSetting

__all__ = ["WideLimit", "wide_limit"]


@dataclass(frozen=True)
class WideLimit:
    """A wide network on orthogonal rows that gradient flow has trained, and the first order of SAM's effect.

    Examples:
        >>> from sharpdiv.theory.feature_learning.two_layer.setting import TwoLayerSetting
        >>> from sharpdiv.theory.feature_learning.two_layer.wide import wide_limit
        >>> full, alone = wide_limit(TwoLayerSetting(width=30_000)), wide_limit(TwoLayerSetting(width=30_000, m=1))
        >>> round(alone.norm_slope / full.norm_slope)  # per-sample SAM is about n times as strong
        100
    """

    tau: float
    """hyperbolic angle by which the weights turn"""
    norm: float
    """``|a|^2`` at rho = 0"""
    moved: float
    """``|a - a_0|^2`` at rho = 0"""
    norm_slope: float
    """derivative of ``log |a|^2`` by rho at 0, which is that of log D"""
    moved_slope: float
    """derivative of ``log |a - a_0|^2``, that of log D for networks that train ``f - f_0``"""


def wide_limit(setting: TwoLayerSetting) -> WideLimit:
    """Closed forms of a setting in the limit n << p of small learning rates; its width enters by ``p s_w^2`` only.

    Args:
        setting: the problem, with orthogonal rows.

    Returns:
        Angle, norms and slopes.

    Raises:
        DomainError: if rows are not orthogonal, so that residuals have several speeds.

    Example: see ``WideLimit``.
    """
    if not setting.whitened:
        raise DomainError(
            "rows must be orthogonal for one direction to be trained: set whitened, or use two_layer_tradeoff"
        )
    signal = setting.teacher_norm**2 + setting.label_noise
    first, second = setting.width * setting.second_variance, setting.width * setting.first_variance
    tau, integrals = _angle(np.sqrt(setting.n / setting.d * signal), first + second, setting.d / setting.n)
    on_output, on_hidden = setting.n / setting.group, 1.0
    cosh, sinh = np.cosh(tau), np.sinh(tau)
    end = np.array([[cosh, sinh], [sinh, cosh]])  # a and We, in units of a_0 and We_0
    change = -end @ _friction(integrals, (on_output + on_hidden) / 2, (on_output - on_hidden) / 2)
    start = np.array([first, second])  # a_0 and We_0 are orthogonal
    norms = start * end @ end.T
    # Friction lowers a'We, and training goes on until it is |t| again.
    later = -((start * change) @ end.T + (start * end) @ change.T)[0, 1] / np.trace(norms)
    change = change + later * end[::-1]
    leaves = end - np.array([[1.0, 0.0], [0.0, 0.0]])
    norm, moved = norms[0, 0], start @ leaves[0] ** 2
    return WideLimit(
        float(tau),
        float(norm),
        float(moved),
        float(2 * start @ (end * change)[0] / norm),
        float(2 * start @ (leaves * change)[0] / moved),
    )


def _angle(target: float, both: float, curvature: float) -> tuple[float, tuple[float, float, float]]:
    """tau, and the integrals of sigma times 1, cosh 2tau and sinh 2tau up to it."""
    double = np.arcsinh(2 * target / both)
    tau, cosh, sinh = double / 2, np.cosh(double), np.sinh(double)
    plain = target * tau - both * (cosh - 1) / 4
    even = both * sinh**2 / 8
    odd = target * (cosh - 1) / 2 - both * (sinh * cosh / 8 - tau / 4)
    return tau, (curvature * plain, curvature * even, curvature * odd)


def _friction(integrals: tuple[float, float, float], mean: float, half_difference: float) -> np.ndarray:
    """First order of the friction, in the frame that turns with the weights."""
    plain, even, odd = integrals
    common, split, turned = mean * plain, half_difference * even, half_difference * odd
    return np.array([[common + split, turned], [-turned, common - split]])
