"""Random-feature ensembles, where diversity comes from what real ensembles draw: each member's own features.

A member fits ``|Z a - y|^2 / 2`` from a = 0 by k steps of un-normalised SAM. ``Z = (act(X F'/sqrt(d)) - mu0) / sqrt(p)`` has its
own standard normal F (p x d), the data are ``x ~ N(0, I_d)`` and ``y = X beta/sqrt(d)`` plus label noise. In the eigenvalues of
``K = ZZ'`` the member predicts ``z(x)'Z' K^{-1} P(K) y`` with ``P = 1 - q^k``.

Gaussian equivalent: of the activation only ``mu0 = E act(g)``, ``mu1 = E g act(g)`` and ``mu*^2 = E act(g)^2 - mu0^2 - mu1^2``
matter, as if it were ``mu0 + mu1 u + mu* theta`` with independent normal theta. Then the columns of Z are independent N(0, Phi/p)
given X, ``Phi = mu1^2 XX'/d + mu*^2 I``, and K follows a generalised Marchenko-Pastur law whose deterministic equivalents give
everything.

The features at a new x are ``z(x)' = k(x)'Phi^{-1} Z`` with ``k(x) = mu1^2 Xx/d``, and noise of variance v/p each. So the
variance of the prediction over F at a random x is

    ``D = y'[P(K) B P(K) - EP B EP]y + (v/p) y' K^{-1} P(K)^2 y``,  ``B = Phi^{-1} C Phi^{-1}``,  ``C = E kk' = mu1^4 XX'/d^2``,
    ``v = mu1^2 + mu*^2 - tr(Phi^{-1} C)``,

and the mean predictor is linear in x. This is a limit (n, d, p large in proportion) in the Gaussian-equivalent model; that it
holds for the activations themselves is measured by ``theory.random_features_simulation``.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float
from scipy.special import erf

from theory.errors import DomainError, require_finite, require_integer
from theory.filters import Training, critical_rho, is_stable
from theory.generalised import GeneralisedMarchenkoPastur
from theory.setting import rho_values
from theory.sharpness import dual_sharpness
from theory.spectrum import MarchenkoPastur
from theory.tradeoff import improvement_rate

__all__ = [
    "Activation",
    "ActivationName",
    "FeatureData",
    "RandomFeatureSetting",
    "RandomFeatureTradeoff",
    "activation",
    "ensemble_size",
    "random_feature_tradeoff",
]

ActivationName = Literal["relu", "erf", "tanh", "linear"]

_MOST_STEPS = 1000
"""The variance needs two-point functions on a grid that grows with the square root of the steps: 1 GB of memory here."""


@dataclass(frozen=True)
class Activation:
    """An activation and the constants of its Gaussian equivalent."""

    function: Callable[[np.ndarray], np.ndarray]
    """elementwise"""
    mu0: float
    """E act(g), g standard normal"""
    mu1: float
    """E g act(g), the linear part"""
    mu_star_squared: float
    """E act(g)^2 - mu0^2 - mu1^2, the nonlinear part that acts as noise"""


@lru_cache
def activation(name: str) -> Activation:
    """Constants of an activation, in closed form where there is one.

    Args:
        name: which one; ``erf`` is ``erf(u)``, not a rescaled one.

    Returns:
        The activation.

    Raises:
        DomainError: if the name is unknown.
    """
    if name == "relu":
        return Activation(lambda u: np.maximum(u, 0), 1 / np.sqrt(2 * np.pi), 0.5, 0.25 - 0.5 / np.pi)
    if name == "erf":
        mu1 = 2 / np.sqrt(3 * np.pi)
        return Activation(erf, 0.0, mu1, 2 / np.pi * np.arcsin(2 / 3) - mu1**2)
    if name == "linear":
        return Activation(lambda u: u, 0.0, 1.0, 0.0)
    if name == "tanh":
        g, weights = np.polynomial.hermite_e.hermegauss(200)
        weights /= weights.sum()
        mu1 = float(weights @ (g * np.tanh(g)))
        return Activation(np.tanh, 0.0, mu1, float(weights @ np.tanh(g) ** 2) - mu1**2)
    raise DomainError(f"activation must be relu, erf, tanh or linear, got {name!r}")


@dataclass(frozen=True)
class RandomFeatureSetting:
    """Regression on random features: data, network and training.

    Raises:
        DomainError: if a number is outside its domain; the message names it.
    """

    n: int = 600
    """samples"""
    d: int = 300
    """dimensions of the data, whose entries are standard normal"""
    features: int = 400
    """p, random features: width of the hidden layer, drawn anew for each member"""
    activation: ActivationName = "relu"
    """of the hidden layer"""
    steps: int = 10
    """k, full-batch steps on the second layer, from 0"""
    learning_rate: float = 0.3
    """eta"""
    radius: float = 0.1
    """rho_0, l2 radius in which sharpness is the largest increase of the loss"""
    teacher_norm: float | None = None
    """|beta| of the target x'beta/sqrt(d); sqrt(d), a signal of variance 1, unless given"""
    label_noise: float = 0.0
    """s_e^2, variance of the noise on the training targets"""

    def __post_init__(self) -> None:
        for name in ("n", "d", "features"):
            require_integer(name, getattr(self, name), 1)
        activation(self.activation)
        require_integer("steps", self.steps, 0, _MOST_STEPS)
        require_finite("learning rate", self.learning_rate, positive=True)
        require_finite("radius", self.radius, positive=True)
        require_finite("label noise", self.label_noise)
        if self.teacher_norm is not None:
            require_finite("teacher norm", self.teacher_norm)

    @property
    def signal_variance(self) -> float:
        """``|beta|^2 / d``, variance of the target without noise."""
        return 1.0 if self.teacher_norm is None else self.teacher_norm**2 / self.d


@dataclass(frozen=True)
class FeatureData:
    """Given data, for predictions conditional on them.

    Raises:
        DomainError: if shapes do not fit or a number is not finite.
    """

    inputs: Float[np.ndarray, "n d"]
    """X, entries of about unit variance and mean 0"""
    targets: Float[np.ndarray, " samples"]
    """y, whatever they are: with label noise, if any"""
    teacher: Float[np.ndarray, " dimensions"]
    """beta; errors are against x'beta/sqrt(d) at new x ~ N(0, I_d)"""

    def __post_init__(self) -> None:
        n, d = self.inputs.shape
        if self.targets.shape != (n,) or self.teacher.shape != (d,):
            raise DomainError(
                f"inputs {self.inputs.shape} need targets ({n},) and a teacher ({d},), "
                f"got {self.targets.shape} and {self.teacher.shape}"
            )
        if not all(np.all(np.isfinite(values)) for values in (self.inputs, self.targets, self.teacher)):
            raise DomainError("inputs, targets and teacher must be finite")


@dataclass(frozen=True)
class RandomFeatureTradeoff:
    """Diversity, sharpness and errors against rho; every array has shape ``(rho,)``."""

    rho: Float[np.ndarray, " rho"]
    """SAM radii"""
    diversity: Float[np.ndarray, " rho"]
    """variance of the prediction at a new x over the features and, with blocks, over the members' blocks (population)"""
    sharpness: Float[np.ndarray, " rho"]
    """kappa of one member's own training loss at its trained second layer (mean over the blocks)"""
    member_error: Float[np.ndarray, " rho"]
    """mean squared error of one member at a new x, against the target without noise"""
    ensemble_error: Float[np.ndarray, " rho"]
    """the same of the mean of the members"""
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


def ensemble_size(setting: RandomFeatureSetting, members: int | None, blocks: int, data: FeatureData | None) -> int:
    """Number of members after checking that the ensemble and the data fit the setting.

    Args:
        setting: the problem.
        members: m, or None for 3 on all the data and one for each block otherwise.
        blocks: s.
        data: given data, if any.

    Returns:
        m, or s with blocks.

    Raises:
        DomainError: if they do not fit.
    """
    require_integer("blocks", blocks, 1)
    if setting.n % blocks:
        spare = setting.n % blocks
        raise DomainError(
            f"blocks must divide n = {setting.n}, got {blocks}: drop {spare} samples or take another number of blocks"
        )
    if data is not None and data.inputs.shape != (setting.n, setting.d):
        raise DomainError(f"inputs must have the setting's shape {(setting.n, setting.d)}, got {data.inputs.shape}")
    if blocks == 1:
        members = 3 if members is None else members
        require_integer("members", members, 2)
        return members
    if members is not None:
        raise DomainError(f"blocks have one member each: leave members out with {blocks} blocks, got {members}")
    return blocks


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
        rho: SAM radii; 0 is gradient descent.
        members: m of an ensemble on all the data, at least 2; 3 unless given. Blocks have one member each.
        blocks: s, a divisor of n; 1 for SAM on all the data.
        data: predict for these (the setting's teacher norm and label noise are not used); unless given, the mean over X, the
            noise and the teacher's direction.

    Returns:
        Arrays over rho.

    Raises:
        DomainError: if an argument is outside its domain, blocks do not divide n, or SAM overflows.
        ConvergenceError: if the law or the secular equation was not solved.
    """
    rho = rho_values(rho)
    size = ensemble_size(setting, members, blocks, data)
    if data is None:
        regressions = [_average(setting, setting.n // blocks)]  # one stands for all blocks: they are alike
    else:
        parts = zip(np.split(data.inputs, blocks), np.split(data.targets, blocks), strict=True)
        regressions = [_given(X, y, data.teacher) for X, y in parts]
    teacher = regressions[0].teacher
    with np.errstate(over="ignore", invalid="ignore"):
        fits = [_fit(setting, rho, regression) for regression in regressions]
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


@dataclass(frozen=True)
class _Regression:
    """What one member fits, in the eigenbasis u of XX'/d; an eigenvalue may stand for several or fractional dimensions."""

    eigenvalues: Float[np.ndarray, " modes"]
    """of XX'/d"""
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


def _given(X: np.ndarray, y: np.ndarray, beta: np.ndarray) -> _Regression:
    n, d = X.shape
    left, singular, right = np.linalg.svd(X / np.sqrt(d), full_matrices=False)
    singular[singular <= singular[0] * max(n, d) * np.finfo(float).eps] = 0  # rounding is no signal
    y_left = left.T @ y
    spare = max(n - d, 0)
    pad = (0, int(spare > 0))  # what no direction of x explains is one eigenvalue 0
    energy = np.pad(y_left**2, pad)
    if spare:
        energy[-1] = max(y @ y - energy.sum(), 0)
    return _Regression(
        eigenvalues=np.pad(singular**2, pad),
        counts=np.pad(np.ones(singular.size), pad, constant_values=spare),
        energy=energy,
        directions=np.pad((singular * y_left)[:, None] * right, (pad, (0, 0))) / np.sqrt(d),
        teacher=beta / np.sqrt(d),
        d=d,
    )


def _average(setting: RandomFeatureSetting, n: int) -> _Regression:
    """Limit over X, noise and the teacher's direction: XX'/d has the eigenvalues of a Marchenko-Pastur law and zeros."""
    d, ratio = setting.d, n / setting.d
    law = MarchenkoPastur(max(ratio, 1 / ratio), degree=_law_degree(setting.steps))
    # The rule itself, from integrals of the nodes' indicators. Moments of K need moments of XX'/d of the same order only.
    weights = law.integrate(lambda x: np.eye(x.size))
    nodes = law.integrate(np.diag) / weights
    eigenvalues, counts = min(ratio, 1) * nodes, min(n, d) * weights
    if n > d:
        eigenvalues, counts = np.append(eigenvalues, 0.0), np.append(counts, n - d)
    signal = setting.signal_variance
    return _Regression(
        eigenvalues=eigenvalues,
        counts=counts,
        energy=counts * (signal * eigenvalues + setting.label_noise),
        directions=(counts * eigenvalues * np.sqrt(signal) / d)[:, None],
        teacher=np.array([np.sqrt(signal)]),
        d=d,
    )


@dataclass(frozen=True)
class _Fit:
    """One member: its mean over F, its variance, its sharpness."""

    law: GeneralisedMarchenkoPastur
    """of K, weighted by the targets"""
    predictor: Float[np.ndarray, "rho axes"]
    """b, its mean over F (and over the data if averaged)"""
    square: Float[np.ndarray, " rho"]
    """``|b|^2``"""
    variance: Float[np.ndarray, " rho"]
    """D over F"""
    sharpness: Float[np.ndarray, " rho"]
    """kappa of its training loss"""


def _fit(setting: RandomFeatureSetting, rho: np.ndarray, regression: _Regression) -> _Fit:
    act, p, k = activation(setting.activation), setting.features, setting.steps
    training = Training(setting.learning_rate, rho[None], k)
    x, n = regression.eigenvalues, regression.counts.sum()
    phi = act.mu1**2 * x + act.mu_star_squared

    def law(degree: int) -> GeneralisedMarchenkoPastur:
        """K sums p outer products of N(0, Phi)/p, that is A'A for p rows of N(0, Sigma/n), Sigma = Phi n/p."""
        return GeneralisedMarchenkoPastur(p / n, phi * n / p, regression.energy, degree, regression.counts / n)

    def explained(eigenvalue: np.ndarray) -> np.ndarray:
        """P: what training has fitted, the share of y along each eigenvector."""
        return 1 - training.residual(eigenvalue)

    # Where mu* = 0, a direction that the features do not see has Phi = 0; its predictor and its features are 0.
    linear = np.divide(act.mu1**2, phi, out=np.zeros_like(phi), where=phi > 0)
    sandwich = linear**2 * x / regression.d
    two_point, full = law(_filter_degree(k)), law(_law_degree(k))
    gain = linear * two_point.equivalent(explained)
    fluctuation = two_point.fluctuation(explained, regression.energy, sandwich)
    unseen = _unseen_variance(act, float(regression.counts @ (sandwich * phi)))
    return _Fit(
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
    setting: RandomFeatureSetting, training: Training, law: GeneralisedMarchenkoPastur
) -> Float[np.ndarray, " rho"]:
    """``min_{mu >= x_+} mu rho_0^2/2 + int x q^{2k} / (mu - x) dnu_y / 2``: the gradient is ``-Z' q^k(K) y``, the Hessian Z'Z."""

    def squared_gradient(x: np.ndarray) -> np.ndarray:
        return np.asarray(x * training.residual(x) ** 2)

    total = law.integrate(squared_gradient)
    if not np.all(np.isfinite(total)):
        raise DomainError("the gradient overflows; lower rho, steps or the learning rate")
    return dual_sharpness(law.resolvent(squared_gradient), law.largest, total, setting.radius)


def _mean(values: Iterable[np.ndarray]) -> np.ndarray:
    """Mean over the blocks."""
    return np.mean(list(values), axis=0)


def _filter_degree(power: int) -> int:
    """Degree that resolves q^power to rounding."""
    # Chebyshev coefficients of y^m beyond order j add up to 2 exp(-j^2 / 2m) at most, and y = q(x) doubles the degree.
    return 2 * min(power, int(np.ceil(8.6 * np.sqrt(power))))


def _law_degree(steps: int) -> int:
    """Degree for x q^{2k} and its resolvent, which is then good to 1e-6 for any k."""
    return max(255, _filter_degree(2 * steps) + 1)
