"""The Monte Carlo referee of the diagonal ensemble: networks trained by discrete steps of SAM.

Nothing of the theory is used but its test distribution: at a new ``x ~ N(0, I_d/d)`` mean squares of predictions are mean
squares of the coordinates of beta, so that no test inputs are drawn.
"""

import numpy as np
from jaxtyping import Float

from sharpdiv.theory.errors import DomainError, require_finite, require_integer
from sharpdiv.theory.feature_learning.diagonal.setting import DiagonalSetting
from sharpdiv.theory.feature_learning.diagonal.training import Networks, Training
from sharpdiv.theory.feature_learning.tradeoff import LearnedSimulation
from sharpdiv.theory.setting import ensemble_size, rho_values
from sharpdiv.theory.theorems.sharpness import trust_region_maximum

__all__ = ["simulate_diagonal"]

_MEASURED = ("diversity", "member_error", "ensemble_error", "training_loss", "trace", "sharpness")


def simulate_diagonal(
    setting: DiagonalSetting,
    rho: float | tuple[float, ...] | Float[np.ndarray, " rho"],
    *,
    members: int | None = None,
    blocks: int = 1,
    share: float = 1.0,
    draws: int = 10,
    networks: int = 12,
    stop: float = 1e-6,
    seed: int = 0,
) -> LearnedSimulation:
    """Train diagonal networks by un-normalized SAM and measure their ensembles.

    For each of ``draws``: a data set (inputs, a teacher of the setting's norm, label noise) and ``networks`` initializations on
    each block, the same ones for every rho. Groups are a fixed partition of the samples. Kappa is that of the quadratic model at
    the end, whose Hessian is ``J'J/n`` (what it leaves out vanishes with the residuals).

    Args:
        setting: the problem.
        rho: values of SAM's rho.
        members: M of an ensemble on all the data, at least 2; 3 unless given. Blocks have one member each.
        blocks: s, a divisor of n; 1 for all on the same data.
        share: of the groups of samples that ascend, drawn for each member (SharpBalance's sets, at random); the rest descends
            plainly.
        draws: independent repetitions, at least 1; the standard errors are over them.
        networks: number of networks on each block in each draw, at least 2.
        stop: training loss at which training ends.
        seed: seed of the random generator.

    Returns:
        Estimates over rho.

    Raises:
        DomainError: if an argument is outside its domain or training diverges.
        ConvergenceError: if the secular equation of the sharpness was not solved.

    Examples:
        >>> from sharpdiv.theory.feature_learning.diagonal.setting import DiagonalSetting
        >>> from sharpdiv.theory.feature_learning.diagonal.simulation import simulate_diagonal
        >>> found = simulate_diagonal(DiagonalSetting(n=20, d=60), (0.0, 0.5), draws=4, networks=3, seed=1)
        >>> bool(found.trace.mean[1] < found.trace.mean[0]), bool(found.training_loss.mean.max() <= 1e-6)
        (True, True)
    """
    rho = rho_values(rho)
    size, samples = ensemble_size(members, blocks, setting.n), setting.block_samples(blocks)
    for name, value, least in (("draws", draws, 1), ("networks", networks, 2)):
        require_integer(name, value, least)
    require_finite("stop", stop, positive=True)
    require_finite("share", share, positive=True)
    groups = samples // min(setting.group, samples)
    if share > 1 or not round(share * groups):
        raise DomainError(f"share must select one of {groups} groups at least and all at most, got {share}")
    generator = np.random.default_rng(seed)
    with np.errstate(over="ignore", invalid="ignore"):
        drawn = [_one_draw(setting, rho, size, blocks, share, networks, stop, generator) for _ in range(draws)]
    return LearnedSimulation.of(rho, **dict(zip(_MEASURED, np.stack(drawn, axis=1), strict=True)))


def _one_draw(
    setting: DiagonalSetting,
    rho: np.ndarray,
    size: int,
    blocks: int,
    share: float,
    networks: int,
    stop: float,
    generator: np.random.Generator,
) -> np.ndarray:
    """Each measured quantity, ``(6, rho)``."""
    X, y, teacher = _draw_data(setting, generator)
    ends, flatness = [], []
    for inputs, targets in zip(np.split(X, blocks), np.split(y, blocks), strict=True):
        training = Training(inputs, targets, min(setting.group, len(targets)), setting.learning_rate)
        start = Networks.started(
            setting.alpha * np.exp(setting.spread * generator.standard_normal((networks, setting.d)))
        )
        order = generator.random((networks, training.groups)).argsort(axis=1)
        aware = order < round(share * training.groups)
        trained = [training.run(start, radius, stop, aware) for radius in rho.tolist()]
        ends.append([each.beta for each in trained])
        flatness.append([_flatness(training, each, setting.radius) for each in trained])
    beta = np.swapaxes(np.array(ends), 0, 1)  # (rho, blocks, networks, d)
    member, diversity = _errors(beta, teacher)
    return np.stack([diversity, member, member - (1 - 1 / size) * diversity, *np.mean(flatness, axis=0).T])


def _draw_data(
    setting: DiagonalSetting, generator: np.random.Generator
) -> tuple[Float[np.ndarray, "n d"], Float[np.ndarray, " n"], Float[np.ndarray, " d"]]:
    """Inputs, targets and the teacher, which has at least one coordinate that is not 0."""
    X = generator.standard_normal((setting.n, setting.d)) / np.sqrt(setting.d)
    teacher = generator.standard_normal(setting.d)
    order = generator.random(setting.d).argsort()
    teacher[order[max(round(setting.density * setting.d), 1) :]] = 0
    teacher *= np.sqrt(setting.signal_variance * setting.d) / np.linalg.norm(teacher)
    return X, X @ teacher + np.sqrt(setting.label_noise) * generator.standard_normal(setting.n), teacher


def _errors(
    beta: Float[np.ndarray, "rho blocks networks d"], teacher: Float[np.ndarray, " d"]
) -> tuple[Float[np.ndarray, " rho"], Float[np.ndarray, " rho"]]:
    """Error of a member, and D, half the mean squared difference of two (of different blocks if there are several)."""
    d, blocks, networks = len(teacher), beta.shape[1], beta.shape[2]
    member = ((beta - teacher) ** 2).sum(axis=-1).mean(axis=(1, 2)) / d
    if blocks == 1:
        return member, np.asarray(beta[:, 0].var(axis=1, ddof=1).sum(axis=-1) / d)
    means = beta.mean(axis=2)
    within = (beta - means[:, :, None]) ** 2
    between = means.var(axis=1, ddof=1).sum(axis=-1) / d
    return member, np.asarray(between + within.sum(axis=(1, 2, 3)) / (blocks * networks * d))


def _flatness(training: Training, networks: Networks, radius: float) -> tuple[float, float, float]:
    """Training loss, trace of the Hessian and kappa, means over the members."""
    residuals, samples = training.residuals(networks), len(training.targets)
    curvature = 4 * networks.curvature / samples
    kernels = np.einsum("sd,id,td->ist", training.inputs, curvature, training.inputs, optimize=True)
    eigenvalues, vectors = np.linalg.eigh(kernels)
    eigenvalues = eigenvalues.clip(0)
    gradient = np.sqrt(eigenvalues / samples) * np.einsum("iks,ik->is", vectors, residuals)
    kappa = trust_region_maximum(eigenvalues, gradient, radius)
    return float((residuals**2).mean()) / 2, float(eigenvalues.sum(axis=1).mean()), float(kappa.mean())
