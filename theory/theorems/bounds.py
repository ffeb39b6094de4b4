"""Bounds of the sharpness at the mean member: as published, and as they can be proven at finite (n, d).

Along e the loss rises by ``e'We/2 + e'g``; moving along g and bounding the curvature gives ``rho_0^2/2 x_min + rho_0 |g| <=
kappa <= rho_0^2/2 x_max + rho_0 |g|``. What remains is ``E|g|``: at most ``sqrt(E|g|^2)`` by Jensen's inequality, and at least
that minus a gap, by ``sqrt y >= sqrt m + (y-m)/(2 sqrt m) - (y-m)^2/(2 m^{3/2})``.
"""

from fractions import Fraction

import numpy as np
from jaxtyping import Float

from sharpdiv.theory.filters import Filter, Training, integral
from sharpdiv.theory.setting import Setting
from sharpdiv.theory.spectra.base import Spectrum
from sharpdiv.theory.spectra.marchenko_pastur import MarchenkoPastur
from sharpdiv.theory.spectra.narayana import filter_polynomial
from sharpdiv.theory.spectra.wishart import FiniteWishart, trace_square
from sharpdiv.theory.theorems.blocks import BlockMoments, block_moments, q_finite, q_paper

__all__ = [
    "NO_LOWER_RIGOROUS",
    "gradient_variance",
    "sam_lower_published",
    "sam_lower_rigorous",
    "sam_upper_published",
    "sam_upper_rigorous",
    "sharpbalance_upper_published",
    "sharpbalance_upper_rigorous",
]

NO_LOWER_RIGOROUS = "proven up to 20 steps, for SAM without label noise"

_JOINT_STEPS = 10
"""Up to here the gap uses exact joint moments of two traces; their number explodes with the degree ``4 k + 2``."""
_CAUCHY_SCHWARZ_STEPS = 20
"""Up to here the fourth powers of the filter are exact moments of the finite law."""


def sam_upper_published(setting: Setting, training: Filter, spectrum: Spectrum) -> Float[np.ndarray, " rho"]:
    """Theorem 1's upper bound ``rho_0^2/2 x_+ + rho_0 omega sqrt(q_2)``. It is asymptotic: finite d can exceed it.

    Args:
        setting: the problem.
        training: filter of every member.
        spectrum: law of W in the limit.

    Returns:
        The bound for each rho.

    Examples:
        >>> import numpy as np
        >>> from sharpdiv.theory import MarchenkoPastur, Setting, Training
        >>> from sharpdiv.theory.theorems.bounds import sam_upper_published
        >>> untrained, setting = Training(0.01, np.zeros((1, 1)), 0), Setting(400, 100, teacher_norm=1.0, radius=0.1)
        >>> sam_upper_published(setting, untrained, MarchenkoPastur(4.0)).round(6).tolist()  # 0.045 + 0.1 sqrt(20)
        [0.492214]
    """
    q2 = integral(spectrum, lambda x: training.residual(x) ** 2 * x**2, 2 * training.degree + 2)
    return _upper(setting, spectrum.largest, q2, 1)


def sam_lower_published(setting: Setting, training: Filter, spectrum: Spectrum) -> Float[np.ndarray, " rho"]:
    """Theorem 1's lower bound ``rho_0^2/2 x_- + rho_0 omega sqrt(q_2) - J``.

    J is the authors' term for the gap of Jensen's inequality, ``J = rho_0 (phi(4k,4) - q_2^2) / (2 omega q_2^{3/2})``. It
    divides by omega where the inequality multiplies, so the bound fails for large omega at finite d.

    Args:
        setting: the problem.
        training: filter of every member.
        spectrum: law of W in the limit.

    Returns:
        The bound for each rho; minus infinity where omega or ``q_2`` is 0 and J has no value.

    Examples:
        >>> import numpy as np
        >>> from sharpdiv.theory import MarchenkoPastur, Setting, Training
        >>> from sharpdiv.theory.theorems.bounds import sam_lower_published
        >>> untrained, setting = Training(0.01, np.zeros((1, 1)), 0), Setting(400, 100, teacher_norm=1.0, radius=0.1)
        >>> sam_lower_published(setting, untrained, MarchenkoPastur(4.0)).round(6).tolist()  # 0.005 + 0.1 sqrt(20) - J
        [0.262148]
    """
    q2 = integral(spectrum, lambda x: training.residual(x) ** 2 * x**2, 2 * training.degree + 2)
    fourth = integral(spectrum, lambda x: training.residual(x) ** 4 * x**4, 4 * training.degree + 4)
    denominator = 2 * setting.omega * q2**1.5
    gap = setting.radius * (fourth - q2**2)
    jensen = np.divide(gap, denominator, out=np.full_like(q2, np.inf), where=denominator > 0)
    return np.asarray(setting.radius**2 / 2 * spectrum.smallest + setting.radius * setting.omega * np.sqrt(q2) - jensen)


def sam_upper_rigorous(setting: Setting, training: Filter) -> Float[np.ndarray, " rho"]:
    """``rho_0^2/2 (x_+ + 1/d) + rho_0 sqrt(E|g|^2)``, proven at every finite (n, d), rho and k.

    ``E x_max <= x_+ + 1/d`` since ``E s_max(sqrt(d) A) <= sqrt n + sqrt d`` (Gordon 1985) and its variance is at most 1 (Poincaré's
    inequality); ``E|g|^2 = omega^2 phi_d(2k,2) + s_e^2 d phi_d(2k,1)``.

    Args:
        setting: the problem, n and d as they are.
        training: filter of every member, the same at finite size as in the limit.

    Returns:
        The bound for each rho.

    Examples:
        >>> import numpy as np
        >>> from sharpdiv.theory import Setting, Training
        >>> from sharpdiv.theory.theorems.bounds import sam_upper_rigorous
        >>> setting, untrained = Setting(n=40, d=10, teacher_norm=1.0, radius=0.1), Training(0.01, np.zeros((1, 1)), 0)
        >>> sam_upper_rigorous(setting, untrained).round(6).tolist()  # 0.005 (9 + 1/d) + 0.1 sqrt(20 + 4/d)
        [0.497164]
    """
    degree = 2 * training.degree + 2
    law = FiniteWishart(setting.n, setting.d, degree)

    def squared_gradient(x: np.ndarray) -> np.ndarray:
        weight = setting.omega**2 * x**2 + setting.label_noise * setting.d * x
        return np.asarray(training.residual(x) ** 2 * weight)

    squared = integral(law, squared_gradient, degree)
    return np.asarray(setting.radius**2 / 2 * _largest_eigenvalue(setting) + setting.radius * np.sqrt(squared))


def sam_lower_rigorous(setting: Setting, training: Training) -> Float[np.ndarray, " rho"]:
    """``rho_0^2/2 (1 - sqrt r)^2 + rho_0 omega (sqrt m - V/(2 m^{3/2}))``, ``m = phi_d(2k,2)``, proven at every finite (n, d).

    The gradient lies in the range of W; the smallest non-zero singular value of ``sqrt(d) A`` is ``|sqrt n - sqrt d|`` or more in
    the mean (Gordon 1985).

    Args:
        setting: the problem without label noise, n and d as they are.
        training: filter of every member, of un-normalized SAM.

    Returns:
        The bound for each rho, NaN beyond 20 steps.

    Examples:
        >>> import numpy as np
        >>> from sharpdiv.theory import Setting, Training, simulate
        >>> from sharpdiv.theory.theorems.bounds import sam_lower_rigorous, sam_upper_rigorous
        >>> setting, steps = Setting(n=40, d=10), Training(0.01, np.array([[0.1]]), 3)
        >>> kappa = simulate(setting, 0.1, draws=100, inits=2, seed=1).sharpness.mean
        >>> bool(sam_lower_rigorous(setting, steps) < kappa < sam_upper_rigorous(setting, steps))
        True
    """
    if training.repeats > _CAUCHY_SCHWARZ_STEPS:
        return np.full(training.radii.shape[1], np.nan)
    mean, variance = gradient_variance(setting, training)
    norm = np.sqrt(mean) - np.divide(variance, 2 * mean**1.5, out=np.zeros_like(mean), where=mean > 0)
    edge = MarchenkoPastur(setting.ratio).smallest
    return np.asarray(setting.radius**2 / 2 * edge + setting.radius * setting.omega * norm)


def gradient_variance(
    setting: Setting, training: Training
) -> tuple[Float[np.ndarray, " rho"], Float[np.ndarray, " rho"]]:
    """Exact mean of ``|g|^2 / omega^2``, and its variance V over data and teacher, or a bound of V.

    With ``H = W^2 a(W)^2`` and a uniform direction of ``w*``, ``E (w*'Hw*)^2 = omega^4 (E (tr H)^2 + 2 E tr H^2) / (d(d+2))``.
    Up to 10 steps this is exact, in rational arithmetic; up to 20 the Cauchy-Schwarz bound ``V <= phi_d(4k,4) - phi_d(2k,2)^2``
    takes its place.

    Args:
        setting: the problem, n and d as they are.
        training: filter of every member, of un-normalized SAM, at most 20 steps.

    Returns:
        Mean and variance for each rho.

    Examples:
        >>> import numpy as np
        >>> from sharpdiv.theory import Setting, Training
        >>> from sharpdiv.theory.theorems.bounds import gradient_variance
        >>> untrained = Training(0.1, np.zeros((1, 1)), 0)
        >>> mean, variance = gradient_variance(Setting(n=1, d=1), untrained)  # E g^4 = 3 and E g^8 = 105 of a normal g
        >>> mean.tolist(), variance.tolist()
        ([3.0], [96.0])
    """
    n, d, k = setting.n, setting.d, training.repeats
    joint = k <= _JOINT_STEPS
    values = []
    for radius in training.radii[0].tolist():
        exact = Fraction(training.learning_rate), Fraction(radius)
        law = FiniteWishart(n, d)
        mean = law.expectation(filter_polynomial(2 * k, 2, *exact))
        square = law.expectation(filter_polynomial(4 * k, 4, *exact))
        if joint:
            # The expectation of a law is per dimension, the square of a trace is not.
            product = trace_square(filter_polynomial(2 * k, 2, *exact), n, d)
            square = (product + 2 * d * square) / (d * (d + 2))
        values.append((float(mean), float(square - mean**2)))
    mean_, variance = np.array(values).T
    return mean_, variance


def sharpbalance_upper_published(setting: Setting, moments: BlockMoments) -> Float[np.ndarray, " rho"]:
    """Theorem 2's bound ``rho_0^2/2 x_+ + (rho_0 omega / s) sqrt(Q_paper)``; asymptotic, and not tight.

    Args:
        setting: the problem.
        moments: moments of one block in the limit.

    Returns:
        The bound for each rho.

    Examples:
        >>> import numpy as np
        >>> from sharpdiv.theory import Setting
        >>> from sharpdiv.theory.theorems.blocks import BlockMoments
        >>> from sharpdiv.theory.theorems.bounds import sharpbalance_upper_published
        >>> setting, untrained = Setting(400, 100, teacher_norm=1.0, radius=0.1), np.array([[1.0], [1.0], [2.0]])
        >>> sharpbalance_upper_published(setting, BlockMoments(4, 1.0, *untrained, *untrained)).round(3).tolist()
        [0.501]
    """
    edge = MarchenkoPastur(setting.ratio).largest
    return _upper(setting, edge, q_paper(*moments), moments.blocks)


def sharpbalance_upper_rigorous(setting: Setting, training: Training, blocks: int) -> Float[np.ndarray, " rho"]:
    """``rho_0^2/2 (x_+ + 1/d) + (rho_0 omega / s) sqrt(Q_d)`` with the exact Q at finite (n, d), proven there.

    Args:
        setting: the problem without label noise, n and d as they are, n a multiple of the blocks.
        training: filter of one block's member, of un-normalized SAM.
        blocks: s.

    Returns:
        The bound for each rho.

    Examples:
        >>> import numpy as np
        >>> from sharpdiv.theory import Setting, Training
        >>> from sharpdiv.theory.theorems.bounds import sharpbalance_upper_rigorous
        >>> setting, untrained = Setting(n=40, d=10, teacher_norm=1.0, radius=0.1), Training(0.01, np.zeros((1, 1)), 0)
        >>> sharpbalance_upper_rigorous(setting, untrained, 2).round(6).tolist()  # without training that of SAM
        [0.497164]
    """
    law = FiniteWishart(setting.n, setting.d, 2 * training.degree + 2).blocks(blocks)
    exact = q_finite(block_moments(setting, training, law, blocks), training, law, setting.d)
    return _upper(setting, _largest_eigenvalue(setting), exact, blocks)


def _upper(setting: Setting, edge: float, Q: np.ndarray, blocks: int) -> np.ndarray:
    return np.asarray(setting.radius**2 / 2 * edge + setting.radius * setting.omega / blocks * np.sqrt(Q))


def _largest_eigenvalue(setting: Setting) -> float:
    """``x_+ + 1/d``, a bound of the largest eigenvalue's mean at finite (n, d)."""
    return MarchenkoPastur(setting.ratio).largest + 1 / setting.d
