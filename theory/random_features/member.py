"""One random-feature member: its mean predictor, its variance over features, and its sharpness."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from sharpdiv.theory.filters import Training
from sharpdiv.theory.random_features.activations import Activation, activation
from sharpdiv.theory.random_features.degrees import law_degree
from sharpdiv.theory.random_features.regression import Regression
from sharpdiv.theory.random_features.setting import RandomFeatureSetting
from sharpdiv.theory.spectra.covariance import GeneralizedMarchenkoPastur
from sharpdiv.theory.theorems.sharpness import dual_sharpness

__all__ = ["Fit", "fit"]


@dataclass(frozen=True)
class Fit:
    """One member: its mean over F, its variance, its sharpness.

    Examples:
        >>> import numpy as np
        >>> from sharpdiv.theory.random_features.member import fit
        >>> from sharpdiv.theory.random_features.regression import given
        >>> from sharpdiv.theory.random_features.setting import RandomFeatureSetting
        >>> setting = RandomFeatureSetting(n=2, d=2, features=4, steps=1)
        >>> found = fit(setting, np.array([0.0, 0.1, 0.2]), given(np.eye(2), np.ones(2), np.ones(2)))
        >>> found.predictor.shape, found.variance.shape  # (rho, d) and (rho,)
        ((3, 2), (3,))
    """

    law: GeneralizedMarchenkoPastur
    """law of K, weighted by the targets"""
    predictor: Float[np.ndarray, "rho axes"]
    """b, its mean over F (and over the data if averaged)"""
    square: Float[np.ndarray, " rho"]
    """``|b|^2``"""
    variance: Float[np.ndarray, " rho"]
    """D, variance of the prediction over F"""
    sharpness: Float[np.ndarray, " rho"]
    """kappa of its training loss"""


def fit(setting: RandomFeatureSetting, rho: Float[np.ndarray, " rho"], regression: Regression) -> Fit:
    """A member in the Gaussian-equivalent limit.

    Args:
        setting: the problem.
        rho: values of SAM's rho.
        regression: data that it fits.

    Returns:
        Its mean, variance and sharpness over rho.

    Examples:
        >>> import numpy as np
        >>> from sharpdiv.theory.random_features.member import fit
        >>> from sharpdiv.theory.random_features.regression import given
        >>> from sharpdiv.theory.random_features.setting import RandomFeatureSetting
        >>> setting = RandomFeatureSetting(n=2, d=2, features=4, steps=0)
        >>> fit(setting, np.zeros(1), given(np.eye(2), np.ones(2), np.ones(2))).square.tolist()  # it predicts 0
        [0.0]
    """
    act, p, k = activation(setting.activation), setting.features, setting.steps
    training = Training(setting.learning_rate, rho[None], k)
    x, n = regression.eigenvalues, regression.counts.sum()
    phi = act.mu1**2 * x + act.mu_star_squared

    def law(degree: int) -> GeneralizedMarchenkoPastur:
        """K sums p outer products of N(0, Phi)/p, that is A'A for p rows of N(0, Sigma/n), Sigma = Phi n/p."""
        return GeneralizedMarchenkoPastur(p / n, phi * n / p, regression.energy, degree, regression.counts / n)

    # Where mu* = 0, a direction that the features do not see has Phi = 0; its predictor and its features are 0.
    linear = np.divide(act.mu1**2, phi, out=np.zeros_like(phi), where=phi > 0)
    sandwich = linear**2 * x / regression.d
    two_point, full = law(training.resolved_degree), law(law_degree(k))
    # Training has fitted P = 1 - a, the share of y along each eigenvector.
    gain = linear * two_point.equivalent(training.learnt)
    fluctuation = two_point.fluctuation(training.learnt, regression.energy, sandwich)
    unseen = _unseen_variance(act, float(regression.counts @ (sandwich * phi)))
    return Fit(
        law=full,
        predictor=gain @ regression.directions,
        square=gain**2 @ (x * regression.energy) / regression.d,
        variance=fluctuation + unseen / p * full.integrate(training.noise),
        sharpness=_sharpness(setting, training, full),
    )


def _unseen_variance(act: Activation, seen: float) -> float:
    """v: what the features at the data leave open of a feature at a new x, where they explain ``tr(Phi^{-1} C)``."""
    return act.mu1**2 + act.mu_star_squared - seen


def _sharpness(
    setting: RandomFeatureSetting, training: Training, law: GeneralizedMarchenkoPastur
) -> Float[np.ndarray, " rho"]:
    """``min_{mu >= x_+} mu rho_0^2/2 + int x q^{2k} / (mu - x) dnu_y / 2``: the gradient is ``-Z' q^k(K) y``, the Hessian Z'Z."""

    def squared_gradient(x: np.ndarray) -> np.ndarray:
        return np.asarray(x * training.residual(x) ** 2)

    return dual_sharpness(law.resolvent(squared_gradient), law.largest, law.integrate(squared_gradient), setting.radius)
