"""The Monte Carlo referee of two-layer linear ensembles: drawn data, drawn networks, explicit SAM steps on all weights.

Nothing here uses the theory. Test points are ``N(0, I_d)``, so that errors of a predictor ``W'a`` over them are distances in R^d.
"""

import numpy as np
from jaxtyping import Float

from sharpdiv.theory.errors import require_integer
from sharpdiv.theory.feature_learning.tradeoff import LearnedSimulation
from sharpdiv.theory.feature_learning.two_layer.setting import TwoLayerSetting
from sharpdiv.theory.feature_learning.two_layer.training import train_networks
from sharpdiv.theory.setting import ensemble_size, rho_values
from sharpdiv.theory.theorems.sharpness import trust_region_maximum

__all__ = ["simulate_two_layer"]


def simulate_two_layer(
    setting: TwoLayerSetting,
    rho: float | tuple[float, ...] | Float[np.ndarray, " rho"],
    *,
    members: int | None = None,
    blocks: int = 1,
    draws: int = 10,
    networks: int = 8,
    seed: int = 0,
) -> LearnedSimulation:
    """Train two-layer linear networks by un-normalized SAM and measure their ensembles.

    For each of ``draws``: inputs, a teacher of the setting's norm and uniform direction, label noise, and ``networks`` networks on
    each block; every network is trained from the same first weights at every rho, until its loss is at the setting's target.

    Args:
        setting: the problem.
        rho: values of SAM's rho.
        members: M of an ensemble on all the data, at least 2; 3 unless given. Blocks have one member each.
        blocks: s, a divisor of n; 1 for SAM on all the data.
        draws: independent repetitions, at least 1; the standard errors are over them.
        networks: networks on each block in each draw, at least 2.
        seed: seed of the random generator.

    Returns:
        Estimates over rho. The sharpness is that of the second-order model of a member's own training loss, with the Gauss-Newton
        matrix J'J/n for the Hessian; both agree where the loss is 0.

    Raises:
        DomainError: if an argument is outside its domain, blocks do not divide n, or SAM does not fit the data at some rho.
        ConvergenceError: if the secular equation of the sharpness was not solved.

    Examples:
        >>> from sharpdiv.theory.feature_learning.two_layer.closed_forms import two_layer_tradeoff
        >>> from sharpdiv.theory.feature_learning.two_layer.setting import TwoLayerSetting
        >>> from sharpdiv.theory.feature_learning.two_layer.simulation import simulate_two_layer
        >>> setting = TwoLayerSetting(n=40, d=120, width=120)
        >>> found = simulate_two_layer(setting, 0.1, draws=5, networks=4).diversity
        >>> bool(abs(found.mean - two_layer_tradeoff(setting, 0.1).diversity) < 4 * found.stderr)
        True
    """
    rho = rho_values(rho)
    size = ensemble_size(members, blocks, setting.n)
    one = setting.block(blocks)
    require_integer("draws", draws, 1)
    require_integer("networks", networks, 2)
    generator = np.random.default_rng(seed)
    drawn = [_one_draw(setting, one, rho, size, networks, generator) for _ in range(draws)]
    names = ("diversity", "member_error", "ensemble_error", "training_loss", "trace", "sharpness")
    return LearnedSimulation.of(rho, **dict(zip(names, np.stack(drawn, axis=1), strict=True)))


def _draw_data(setting: TwoLayerSetting, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Inputs, targets and the teacher."""
    inputs = generator.standard_normal((setting.n, setting.d))
    if setting.whitened:
        left, _, right = np.linalg.svd(inputs, full_matrices=False)
        inputs = np.sqrt(setting.d) * left @ right
    teacher = generator.standard_normal(setting.d)
    teacher *= setting.teacher_norm / np.linalg.norm(teacher)
    noise = np.sqrt(setting.label_noise) * generator.standard_normal(setting.n)
    return inputs, inputs @ teacher + noise, teacher


def _one_draw(
    setting: TwoLayerSetting,
    one: TwoLayerSetting,
    rho: np.ndarray,
    size: int,
    networks: int,
    generator: np.random.Generator,
) -> np.ndarray:
    """Diversity, member and ensemble error, training loss, trace and sharpness, ``(6, rho)``."""
    inputs, targets, teacher = _draw_data(setting, generator)
    blocks = setting.n // one.n
    mean, (member, within) = np.zeros((rho.size, setting.d)), np.zeros((2, rho.size))
    flatness = np.zeros((3, rho.size))
    for X, y in zip(np.split(inputs, blocks), np.split(targets, blocks), strict=True):
        a = np.sqrt(one.second_variance) * generator.standard_normal((networks, one.width))
        W = np.sqrt(one.first_variance) * generator.standard_normal((networks, one.width, one.d))
        initial = (a[:, None] @ W)[:, 0] * one.subtract_initial
        for i, value in enumerate(rho.tolist()):
            a_end, W_end = train_networks(one, value, X, y + initial @ X.T, a, W)
            errors = (a_end[:, None] @ W_end)[:, 0] - initial - teacher
            squares = (errors**2).sum(axis=1).mean()
            block_mean = errors.mean(axis=0)
            within[i] += (squares - block_mean @ block_mean) * networks / (networks - 1) / blocks
            member[i] += squares / blocks
            mean[i] += block_mean / blocks
            flatness[:, i] += _flatness(one, X, errors @ X.T + X @ teacher - y, a_end, W_end) / blocks
    # The mean over few networks still varies with them; what it leaves at infinitely many is unbiased.
    bias = (mean**2).sum(axis=1) - within / (networks * blocks)
    return np.stack([member - bias, member, bias + within / size, *flatness])


def _flatness(one: TwoLayerSetting, X: np.ndarray, residual: np.ndarray, a: np.ndarray, W: np.ndarray) -> np.ndarray:
    """Training loss, trace of the Hessian and sharpness, means over networks."""
    # The network is linear in each weight, so that the Hessian's diagonal is that of J'J/n, whatever the residuals are.
    hidden = W @ X.T
    kernel = (hidden.transpose(0, 2, 1) @ hidden + (a**2).sum(axis=1)[:, None, None] * (X @ X.T)) / one.n
    eigenvalues, vectors = np.linalg.eigh(kernel)
    eigenvalues = eigenvalues.clip(0)
    gradient = np.sqrt(eigenvalues / one.n) * (residual[:, None] @ vectors)[:, 0]
    kappa = trust_region_maximum(eigenvalues, gradient, one.radius)
    return np.array([(residual**2).mean() / 2, eigenvalues.sum(axis=1).mean(), kappa.mean()])
