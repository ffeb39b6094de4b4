"""Trace and largest eigenvalue of the Hessian of a trained two-layer linear network, in the limit.

At zero loss the Hessian is ``J'J/n``, with the non-zero eigenvalues of the tangent kernel ``X (|a|^2 + W'W) X'/n``. Training
moves W in the directions of the small network; every other one keeps its first weights, but for the decay of SAM in small groups.
"""

import numpy as np
from jaxtyping import Float

from sharpdiv.theory.feature_learning.two_layer.dynamics import TrainedNetwork
from sharpdiv.theory.feature_learning.two_layer.reduced import curvature_law, reduced_network
from sharpdiv.theory.feature_learning.two_layer.setting import TwoLayerSetting
from sharpdiv.theory.spectra.covariance import GeneralizedMarchenkoPastur
from sharpdiv.theory.spectra.marchenko_pastur import MarchenkoPastur

__all__ = ["hessian_trace", "largest_eigenvalue"]

_DEPTH = 40
"""Levels of the chains of which an eigenvalue above all others is found."""


def hessian_trace(setting: TwoLayerSetting, trained: TrainedNetwork) -> Float[np.ndarray, " rho"]:
    """``|a|^2 tr(XX')/n + |WX'|_F^2 / n``, which is the trace at any loss.

    Args:
        setting: the problem.
        trained: the small network, trained.

    Returns:
        The trace for each rho.

    Examples:
        >>> import numpy as np
        >>> from sharpdiv.theory.feature_learning.two_layer.dynamics import train
        >>> from sharpdiv.theory.feature_learning.two_layer.setting import TwoLayerSetting
        >>> from sharpdiv.theory.feature_learning.two_layer.sharpness import hessian_trace
        >>> setting = TwoLayerSetting(teacher_norm=0.01, subtract_initial=True)  # little to learn: about d (|a_0|^2 + p s_w^2)
        >>> hessian_trace(setting, train(setting, np.zeros(1))).round().tolist()
        [600.0]
    """
    start, energy = trained.start, setting.width * setting.first_variance
    fading = trained.decay[:, None]
    curvature, share = curvature_law(setting, _DEPTH)
    untouched = setting.n * energy * (share * curvature * np.exp(-2 * fading * curvature)).sum(axis=-1)
    faded = (start.hidden**2).sum(axis=0) * np.exp(-2 * fading * start.curvature)
    learned = ((trained.hidden**2).sum(axis=1) - faded) @ start.curvature
    return np.asarray(setting.d * trained.norm + untouched + learned)


def largest_eigenvalue(setting: TwoLayerSetting, trained: TrainedNetwork) -> Float[np.ndarray, " rho"]:
    """Largest eigenvalue of ``J'J/n``: the edge of the many that did not learn, or the one that did if it is above.

    Args:
        setting: the problem.
        trained: the small network, trained.

    Returns:
        The eigenvalue for each rho.

    Examples:
        >>> import numpy as np
        >>> from sharpdiv.theory.feature_learning.two_layer.dynamics import train
        >>> from sharpdiv.theory.feature_learning.two_layer.setting import TwoLayerSetting
        >>> from sharpdiv.theory.feature_learning.two_layer.sharpness import largest_eigenvalue
        >>> setting = TwoLayerSetting(n=100, d=400, width=400, teacher_norm=0.01, subtract_initial=True)
        >>> largest_eigenvalue(setting, train(setting, np.zeros(1))).round(2).tolist()  # 4 (1 + (1 + 1/2)^2)
        [13.0]
    """
    hidden, curvature = _deeper(setting, trained) if setting.whitened else (trained.hidden, trained.start.curvature)
    gram = hidden.transpose(0, 2, 1) @ hidden + trained.norm[:, None, None] * np.eye(len(curvature))
    root = np.sqrt(curvature)
    alone = np.linalg.eigvalsh(root[:, None] * gram * root)[:, -1]
    return np.maximum(alone, [_edge(setting, a, fading) for a, fading in zip(trained.norm, trained.decay, strict=True)])


def _deeper(setting: TwoLayerSetting, trained: TrainedNetwork) -> tuple[np.ndarray, np.ndarray]:
    """The two chains of orthogonal rows, longer, with the trained weights at their beginning."""
    few, deep = len(trained.start.curvature) // 2, reduced_network(setting, levels=(1,) * _DEPTH)
    directions = np.concatenate([np.arange(few), _DEPTH + np.arange(few)])
    units = np.concatenate([[0], 1 + directions])
    hidden = deep.hidden * np.exp(-trained.decay[:, None, None] * deep.curvature)
    hidden[:, units[:, None], directions] = trained.hidden
    return hidden, deep.curvature


def _edge(setting: TwoLayerSetting, norm: float, fading: float) -> float:
    """Upper edge of the spectrum of ``X (|a|^2 + W'W) X'/n`` at the first W, faded where rows are whitened."""
    # Of Gaussian rows W's part is not faded: an upper bound of it, by some percent where ascents are of few samples.
    n, d, p, variance = setting.n, setting.d, setting.width, setting.first_variance
    if setting.whitened:
        return float(d / n * (norm + variance * (np.sqrt(n) + np.sqrt(p)) ** 2 * np.exp(-2 * fading * d / n)))
    law = MarchenkoPastur(p / d, degree=99)
    share = law.integrate(lambda x: np.eye(x.size))
    hidden = law.integrate(np.diag) / share * d * variance
    return d / n * GeneralizedMarchenkoPastur(n / d, norm + hidden, shares=share).largest
