"""What one member of a random-feature ensemble fits: given data, or the mean over data, in the eigenbasis of XX'/d."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from sharpdiv.theory.random_features.degrees import law_degree
from sharpdiv.theory.random_features.setting import RandomFeatureSetting
from sharpdiv.theory.spectra.marchenko_pastur import MarchenkoPastur

__all__ = ["Regression", "averaged", "given"]


@dataclass(frozen=True)
class Regression:
    """What one member fits, in the eigenbasis u of XX'/d; an eigenvalue may stand for several or fractional dimensions.

    Examples:
        >>> import numpy as np
        >>> from sharpdiv.theory.random_features.regression import given
        >>> regression = given(np.ones((3, 1)), np.array([1.0, 2.0, 3.0]), np.ones(1))
        >>> regression.counts.tolist(), regression.eigenvalues.round(6).tolist()  # x explains one of three dimensions
        ([1.0, 2.0], [3.0, 0.0])
        >>> regression.energy.round(6).tolist()
        [12.0, 2.0]
    """

    eigenvalues: Float[np.ndarray, " modes"]
    """eigenvalues of XX'/d"""
    counts: Float[np.ndarray, " modes"]
    """dimensions that each stands for; their sum is the number of samples"""
    energy: Float[np.ndarray, " modes"]
    """sum of ``(u'y)^2`` over them"""
    directions: Float[np.ndarray, "modes axes"]
    """sum of ``X'u u'y / d`` over them, expected if averaged; a prediction x'b at x ~ N(0, I_d) has variance ``|b|^2``"""
    teacher: Float[np.ndarray, " axes"]
    """beta in the same units"""
    d: int
    """dimensions of the data"""


def given(X: Float[np.ndarray, "n d"], y: Float[np.ndarray, " n"], beta: Float[np.ndarray, " d"]) -> Regression:
    """Regression on given data.

    Args:
        X: inputs ``(n, d)``.
        y: targets ``(n,)``.
        beta: teacher ``(d,)``.

    Returns:
        Its eigenvalues, and what the targets are along the eigenvectors.

    Examples:
        >>> import numpy as np
        >>> from sharpdiv.theory.random_features.regression import given
        >>> regression = given(np.diag([2.0, 1.0]), np.array([6.0, 1.0]), np.array([3.0, 1.0]))
        >>> regression.eigenvalues.round(6).tolist(), regression.energy.round(6).tolist()
        ([2.0, 0.5], [36.0, 1.0])
    """
    n, d = X.shape
    left, singular, right = np.linalg.svd(X / np.sqrt(d), full_matrices=False)
    singular[singular <= singular[0] * max(n, d) * np.finfo(float).eps] = 0  # rounding is no signal
    y_left = left.T @ y
    spare = max(n - d, 0)
    pad = (0, int(spare > 0))  # what no direction of x explains is one eigenvalue 0
    energy = np.pad(y_left**2, pad)
    if spare:
        energy[-1] = max(y @ y - energy.sum(), 0)
    return Regression(
        eigenvalues=np.pad(singular**2, pad),
        counts=np.pad(np.ones(singular.size), pad, constant_values=spare),
        energy=energy,
        directions=np.pad((singular * y_left)[:, None] * right, (pad, (0, 0))) / np.sqrt(d),
        teacher=beta / np.sqrt(d),
        d=d,
    )


def averaged(setting: RandomFeatureSetting, n: int) -> Regression:
    """Limit over X, noise and the teacher's direction: XX'/d has the eigenvalues of a Marchenko-Pastur law and zeros.

    Args:
        setting: the problem.
        n: samples of one member.

    Returns:
        Expected sums over eigenvectors.

    Examples:
        >>> from sharpdiv.theory.random_features.regression import averaged
        >>> from sharpdiv.theory.random_features.setting import RandomFeatureSetting
        >>> regression = averaged(RandomFeatureSetting(n=20, d=10), 20)
        >>> round(float(regression.counts.sum()), 6), float(regression.counts[-1])  # n, and n - d at the eigenvalue 0
        (20.0, 10.0)
    """
    d, ratio = setting.d, n / setting.d
    law = MarchenkoPastur(max(ratio, 1 / ratio), degree=law_degree(setting.steps))
    # The rule itself, from integrals of the nodes' indicators. Moments of K need moments of XX'/d of the same order only.
    weights = law.integrate(lambda x: np.eye(x.size))
    nodes = law.integrate(np.diag) / weights
    eigenvalues, counts = min(ratio, 1) * nodes, min(n, d) * weights
    if n > d:
        eigenvalues, counts = np.append(eigenvalues, 0.0), np.append(counts, n - d)
    signal = setting.signal_variance
    return Regression(
        eigenvalues=eigenvalues,
        counts=counts,
        energy=counts * (signal * eigenvalues + setting.label_noise),
        directions=(counts * eigenvalues * np.sqrt(signal) / d)[:, None],
        teacher=np.array([np.sqrt(signal)]),
        d=d,
    )
