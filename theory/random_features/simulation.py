"""The Monte Carlo referee of random-feature ensembles: real activations, drawn features, trained second layers.

A member's training is a filter of the eigenvalues of its own Gram matrix, so each network is diagonalised once and serves every
rho. Nothing here uses the Gaussian equivalent but the constant mu0 that is removed from the features. Removing each feature's mean
over the training set instead leaves predictions without an intercept, an error of order 1/n that the theory does not have.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from sharpdiv.theory.curves import Curves
from sharpdiv.theory.errors import DomainError, require_integer
from sharpdiv.theory.estimate import Estimate
from sharpdiv.theory.filters import sam_filter
from sharpdiv.theory.random_features.activations import activation
from sharpdiv.theory.random_features.setting import FeatureData, RandomFeatureSetting, require_shape
from sharpdiv.theory.setting import ensemble_size, rho_values
from sharpdiv.theory.theorems.sharpness import trust_region_maximum

__all__ = ["RandomFeatureSimulation", "simulate_random_features"]


@dataclass(frozen=True, eq=False)
class RandomFeatureSimulation(Curves):
    """What was measured, one estimate for each quantity of ``RandomFeatureTradeoff``.

    Examples:
        >>> from sharpdiv.theory.random_features.setting import RandomFeatureSetting
        >>> from sharpdiv.theory.random_features.simulation import simulate_random_features
        >>> setting = RandomFeatureSetting(n=20, d=10, features=30, steps=0)
        >>> found = simulate_random_features(setting, 0.0, draws=2, networks=2, test_samples=10, seed=1)
        >>> found.diversity.mean.tolist()  # untrained networks agree
        [0.0]
    """

    rho: Float[np.ndarray, " rho"]
    """values of SAM's rho"""
    diversity: Estimate
    """variance of the prediction at drawn test points: unbiased over features, population over blocks"""
    sharpness: Estimate
    """exact kappa of one member's training loss, mean over networks"""
    member_error: Estimate
    """mean squared error of one member at drawn test points"""
    ensemble_error: Estimate
    """mean squared error of the mean of the members, unbiased for the asked number of members"""
    eir: Estimate
    """ratio of means, with a jackknife standard error"""


def simulate_random_features(
    setting: RandomFeatureSetting,
    rho: float | tuple[float, ...] | Float[np.ndarray, " rho"],
    *,
    members: int | None = None,
    blocks: int = 1,
    data: FeatureData | None = None,
    draws: int = 10,
    networks: int = 8,
    test_samples: int = 2000,
    seed: int = 0,
) -> RandomFeatureSimulation:
    """Train random-feature networks by un-normalized SAM and measure their ensembles.

    For each of ``draws``: a data set (inputs, a teacher of the setting's norm and uniform direction, label noise), test inputs, and
    ``networks`` networks on each block. With ``data`` a draw renews the networks and the test inputs only.

    Args:
        setting: the problem.
        rho: values of SAM's rho; every network serves all of them.
        members: m of an ensemble on all the data, at least 2; 3 unless given. Blocks have one member each.
        blocks: s, a divisor of n; 1 for SAM on all the data.
        data: given data (the setting's teacher norm and label noise are not used).
        draws: independent repetitions, at least 1; the standard errors are over them.
        networks: number of networks on each block in each draw, at least 2.
        test_samples: test inputs in each draw.
        seed: seed of the random generator.

    Returns:
        Estimates over rho.

    Raises:
        DomainError: if an argument is outside its domain, blocks do not divide n, or training overflows.
        ConvergenceError: if the secular equation of the sharpness was not solved.

    Examples:
        >>> from sharpdiv.theory.random_features.closed_forms import random_feature_tradeoff
        >>> from sharpdiv.theory.random_features.setting import RandomFeatureSetting
        >>> from sharpdiv.theory.random_features.simulation import simulate_random_features
        >>> setting = RandomFeatureSetting(n=60, d=30, features=40, steps=3)
        >>> found = simulate_random_features(setting, 0.1, draws=20, test_samples=200, seed=1).diversity
        >>> bool(abs(found.mean - random_feature_tradeoff(setting, 0.1).diversity) < 4 * found.stderr)
        True
    """
    rho = rho_values(rho)
    size = ensemble_size(members, blocks, setting.n)
    require_shape(setting, data)
    for name, value, least in (("draws", draws, 1), ("networks", networks, 2), ("test samples", test_samples, 1)):
        require_integer(name, value, least)
    generator = np.random.default_rng(seed)
    with np.errstate(over="ignore", invalid="ignore"):
        drawn = [
            _one_draw(
                setting, rho, data or _draw_data(setting, generator), size, blocks, networks, test_samples, generator
            )
            for _ in range(draws)
        ]
    diversity, sharpness, member, ensemble = np.stack(drawn, axis=1)
    return RandomFeatureSimulation(
        rho,
        diversity=Estimate.of(diversity),
        sharpness=Estimate.of(sharpness),
        member_error=Estimate.of(member),
        ensemble_error=Estimate.of(ensemble),
        eir=Estimate.of_improvement(member, ensemble),
    )


def _draw_data(setting: RandomFeatureSetting, generator: np.random.Generator) -> FeatureData:
    inputs = generator.standard_normal((setting.n, setting.d))
    teacher = generator.standard_normal(setting.d)
    teacher *= np.sqrt(setting.signal_variance * setting.d) / np.linalg.norm(teacher)
    noise = np.sqrt(setting.label_noise) * generator.standard_normal(setting.n)
    return FeatureData(inputs, inputs @ teacher / np.sqrt(setting.d) + noise, teacher)


def _one_draw(
    setting: RandomFeatureSetting,
    rho: np.ndarray,
    data: FeatureData,
    size: int,
    blocks: int,
    networks: int,
    test_samples: int,
    generator: np.random.Generator,
) -> np.ndarray:
    """Diversity, sharpness, member and ensemble error, ``(4, rho)``."""
    test = generator.standard_normal((test_samples, setting.d))
    target = test @ data.teacher / np.sqrt(setting.d)
    mean_residual = np.zeros((rho.size, test_samples))
    member, within, sharpness = np.zeros((3, rho.size))
    for X, y in zip(np.split(data.inputs, blocks), np.split(data.targets, blocks), strict=True):
        block_residual, squares = np.zeros_like(mean_residual), np.zeros(rho.size)
        for _ in range(networks):
            prediction, kappa = _network(setting, rho, X, y, test, generator)
            block_residual += (prediction - target) / networks
            squares += ((prediction - target) ** 2).mean(axis=1) / networks
            sharpness += kappa / (networks * blocks)
        within += (squares - (block_residual**2).mean(axis=1)) * networks / (networks - 1) / blocks
        member += squares / blocks
        mean_residual += block_residual / blocks
    # The mean over few networks still varies with them; what it leaves at infinitely many is unbiased.
    bias = (mean_residual**2).mean(axis=1) - within / (networks * blocks)
    return np.stack([member - bias, sharpness, member, bias + within / size])


def _network(
    setting: RandomFeatureSetting,
    rho: np.ndarray,
    X: np.ndarray,
    y: np.ndarray,
    test: np.ndarray,
    generator: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """Predictions ``(rho, test)`` and sharpness ``(rho,)`` of one network with its own features."""
    act = activation(setting.activation)
    F = generator.standard_normal((setting.features, setting.d)) / np.sqrt(setting.d)
    Z, at_test = ((act.function(inputs @ F.T) - act.mu0) / np.sqrt(setting.features) for inputs in (X, test))
    wide = setting.features > len(X)
    eigenvalues, vectors = np.linalg.eigh(Z @ Z.T if wide else Z.T @ Z)  # the smaller Gram matrix
    eigenvalues = eigenvalues.clip(0)
    start = vectors.T @ (y if wide else Z.T @ y)
    left = sam_filter(eigenvalues, setting.learning_rate, rho) ** setting.steps
    learnt = np.divide(1 - left, eigenvalues, out=np.zeros_like(left), where=eigenvalues > 0)
    weights = (learnt * start) @ vectors.T
    if wide:
        weights, start = weights @ Z, start * np.sqrt(eigenvalues)
    gradient = left * start
    if not (np.all(np.isfinite(weights)) and np.all(np.isfinite(gradient))):
        raise DomainError(f"SAM diverges at learning rate {setting.learning_rate}; lower rho, steps or the rate")
    return weights @ at_test.T, trust_region_maximum(eigenvalues, gradient, setting.radius)
