"""Random-feature ensembles, where diversity comes from what real ensembles draw: each member's own features.

A member fits ``|Z a - y|^2 / 2`` from a = 0 by k steps of un-normalized SAM. ``Z = (act(X F'/sqrt(d)) - mu0) / sqrt(p)`` has its
own standard normal F (p x d), the data are ``x ~ N(0, I_d)`` and ``y = X beta/sqrt(d)`` plus label noise. In the eigenvalues of
``K = ZZ'`` the member predicts ``z(x)'Z' K^{-1} P(K) y`` with ``P = 1 - q^k``.

Gaussian equivalent: of the activation only ``mu0 = E act(g)``, ``mu1 = E g act(g)`` and ``mu*^2 = E act(g)^2 - mu0^2 - mu1^2``
matter, as if it were ``mu0 + mu1 u + mu* theta`` with independent normal theta. Then the columns of Z are independent N(0, Phi/p)
given X, ``Phi = mu1^2 XX'/d + mu*^2 I``, and K follows a generalized Marchenko-Pastur law whose deterministic equivalents give
everything.

The features at a new x are ``z(x)' = k(x)'Phi^{-1} Z`` with ``k(x) = mu1^2 Xx/d``, and noise of variance v/p each. So the
variance of the prediction over F at a random x is

    ``D = y'[P(K) B P(K) - EP B EP]y + (v/p) y' K^{-1} P(K)^2 y``,  ``B = Phi^{-1} C Phi^{-1}``,  ``C = E kk' = mu1^4 XX'/d^2``,
    ``v = mu1^2 + mu*^2 - tr(Phi^{-1} C)``,

and the mean predictor is linear in x. This is a limit (n, d, p large in proportion) in the Gaussian-equivalent model; that it
holds for the activations themselves is measured by ``sharpdiv.theory.random_features.simulation``.

It does not hold where a member has many samples for the square of the dimensions: then it also fits the products of two
coordinates, which the equivalent takes for noise. Measured at rho = 0 and eta x_+ = 0.8 (ReLU, erf and tanh; n = 100 to 600, d = 3
to 200, p = n/2 and n; k = 10, 30 and 100; label noise 0 and 0.1; standard errors of 2% to 15%), relative errors of D, of the member
error and of kappa are at most

    n / d^2 up to    0.025    0.05    0.12    0.2     0.4     1.1     3.1     12      70
    D                0.07     0.10    0.15    0.23    0.53    1.3     5.6     23      30
    member           0.05     0.07    0.07    0.12    0.27    0.63    0.85    1.8     2.1
    kappa            0.06     0.08    0.07    0.03    0.12    0.20    0.31    0.35    0.30

and they grow with k. So from n > d^2 / 10 on, n the samples of one member, a ``DomainWarning`` sends the reader to the simulation.
"""

import warnings
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from sharpdiv.theory.curves import Curves
from sharpdiv.theory.errors import DomainError, DomainWarning
from sharpdiv.theory.filters import critical_rho, is_stable
from sharpdiv.theory.random_features.activations import activation
from sharpdiv.theory.random_features.member import fit
from sharpdiv.theory.random_features.regression import averaged, given
from sharpdiv.theory.random_features.setting import FeatureData, RandomFeatureSetting, require_shape
from sharpdiv.theory.setting import ensemble_size, rho_values
from sharpdiv.theory.theorems.tradeoff import improvement_rate

__all__ = ["RandomFeatureTradeoff", "random_feature_tradeoff"]

_SAMPLES_PER_SQUARE = 0.1
"""n / d^2 up to which the Gaussian equivalent was off by 15% at most."""


@dataclass(frozen=True, eq=False)
class RandomFeatureTradeoff(Curves):
    """Diversity, sharpness and errors against rho; every array has shape ``(rho,)``.

    Examples:
        >>> import numpy as np
        >>> from sharpdiv.theory.random_features.closed_forms import random_feature_tradeoff
        >>> from sharpdiv.theory.random_features.setting import FeatureData, RandomFeatureSetting
        >>> data = FeatureData(np.ones((4, 1)), np.ones(4), teacher=np.full(1, 2.0))
        >>> untrained = random_feature_tradeoff(RandomFeatureSetting(n=4, d=1, features=8, steps=0), 0.0, data=data)
        >>> untrained.member_error.round(6).tolist(), untrained.diversity.round(6).tolist()  # |beta|^2 / d, and none
        ([4.0], [0.0])
    """

    rho: Float[np.ndarray, " rho"]
    """values of SAM's rho"""
    diversity: Float[np.ndarray, " rho"]
    """variance of the prediction at a new x over the features and, with blocks, over the members' blocks (population)"""
    sharpness: Float[np.ndarray, " rho"]
    """kappa of one member's own training loss at its trained second layer (mean over the blocks)"""
    member_error: Float[np.ndarray, " rho"]
    """mean squared error of one member at a new x, against the target without noise"""
    ensemble_error: Float[np.ndarray, " rho"]
    """mean squared error of the mean of the members at a new x"""
    eir: Float[np.ndarray, " rho"]
    """ensemble improvement rate, (member error - ensemble error) / member error; NaN where the member error is 0"""
    stable: Bool[np.ndarray, " rho"]
    """whether every direction that a member sees contracts"""
    critical_rho: float | None
    """rho at which contraction is lost (None if even rho = 0 does not contract)"""

    def __post_init__(self) -> None:
        for name in ("diversity", "sharpness", "member_error", "ensemble_error"):
            if not np.all(np.isfinite(getattr(self, name))):
                raise DomainError(f"{name} overflows; lower rho, steps or the learning rate")


def random_feature_tradeoff(
    setting: RandomFeatureSetting,
    rho: float | tuple[float, ...] | Float[np.ndarray, " rho"],
    *,
    members: int | None = None,
    blocks: int = 1,
    data: FeatureData | None = None,
) -> RandomFeatureTradeoff:
    """Diversity, sharpness and errors of an ensemble over a range of rho.

    With b_i the mean predictor of member i and ``D_i`` its variance over F, ``member = |b_i - beta|^2/d + D_i``. On all the data
    the members share b and ``ensemble = |b - beta|^2/d + D/m``. SharpBalance has one member on each of s blocks of n/s rows, so
    that ``ensemble = |mean b_i - beta|^2/d + sum_i D_i/s^2``; the population variance of the b_i over the blocks adds to D.

    Args:
        setting: the problem.
        rho: values of SAM's rho; 0 is gradient descent.
        members: m of an ensemble on all the data, at least 2; 3 unless given. Blocks have one member each.
        blocks: s, a divisor of n; 1 for SAM on all the data.
        data: given data to predict for (the setting's teacher norm and label noise are not used); unless given, the prediction is
            the mean over X, the noise and the teacher's direction.

    Returns:
        Arrays over rho.

    Raises:
        DomainError: if an argument is outside its domain, blocks do not divide n, or SAM overflows.
        ConvergenceError: if the law or the secular equation was not solved.

    Warns:
        DomainWarning: where a member has more than ``d^2 / 10`` samples and the activation is not linear: the prediction is off by
            tens of percent or more, as measured above; ``simulate_random_features`` is not.

    Examples:
        >>> from sharpdiv.theory.random_features.closed_forms import random_feature_tradeoff
        >>> from sharpdiv.theory.random_features.setting import RandomFeatureSetting
        >>> setting = RandomFeatureSetting(n=60, d=30, features=40, steps=3)
        >>> curve = random_feature_tradeoff(setting, 0.1, members=4)
        >>> bool(abs(curve.member_error - curve.ensemble_error - 0.75 * curve.diversity) < 1e-9)  # 1 - 1/m of it
        True
    """
    rho = rho_values(rho)
    size = ensemble_size(members, blocks, setting.n)
    require_shape(setting, data)
    _warn_outside(setting, setting.n // blocks)
    if data is None:
        regressions = [averaged(setting, setting.n // blocks)]  # one stands for all blocks: they are alike
    else:
        parts = zip(np.split(data.inputs, blocks), np.split(data.targets, blocks), strict=True)
        regressions = [given(X, y, data.teacher) for X, y in parts]
    teacher = regressions[0].teacher
    with np.errstate(over="ignore", invalid="ignore"):
        fits = [fit(setting, rho, regression) for regression in regressions]
        within, square = _mean(f.variance for f in fits), _mean(f.square for f in fits)
        predictor, alone = _mean(f.predictor for f in fits), _mean((f.predictor**2).sum(axis=-1) for f in fits)
        # |mean b_i|^2: what two blocks contribute is the product of their predictors, expected ones as blocks are independent.
        mean_square = (predictor**2).sum(axis=-1) + (square - alone) / blocks
        rest = teacher @ teacher - 2 * predictor @ teacher
        member, ensemble = square + rest + within, mean_square + rest + within / size
    law = max((f.law for f in fits), key=lambda law: law.largest)
    return RandomFeatureTradeoff(
        rho=rho,
        diversity=within + square - mean_square,
        sharpness=_mean(f.sharpness for f in fits),
        member_error=member,
        ensemble_error=ensemble,
        eir=improvement_rate(member, ensemble),
        stable=is_stable(law, setting.learning_rate, rho),
        critical_rho=critical_rho(law, setting.learning_rate),
    )


def _warn_outside(setting: RandomFeatureSetting, samples: int) -> None:
    """Say where the Gaussian equivalent of an activation is known to fail."""
    exact = setting.steps == 0 or activation(setting.activation).mu_star_squared == 0
    if samples > _SAMPLES_PER_SQUARE * setting.d**2 and not exact:
        warnings.warn(
            f"{samples} samples of a member are more than d^2/10 at d = {setting.d}: the Gaussian equivalent of "
            f"{setting.activation} is off by tens of percent or more; simulate_random_features measures it",
            DomainWarning,
            stacklevel=3,
        )


def _mean(values: Iterable[np.ndarray]) -> np.ndarray:
    """Mean over the blocks."""
    return np.mean(list(values), axis=0)
