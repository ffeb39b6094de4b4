"""The Monte Carlo referee: draws data, initializations and teachers, and measures what the theorems predict.

Everything that depends on rho is a filter of fixed eigenvalues, so each data draw is diagonalised once and serves every
rho. Nothing here uses an integral against a limit law. The data enter through ``W = A'A`` and ``A'noise`` alone, which are drawn
from their exact laws (Bartlett 1933) instead of n rows.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from sharpdiv.theory.curves import Curves
from sharpdiv.theory.errors import DomainError, require_finite, require_integer
from sharpdiv.theory.estimate import Estimate
from sharpdiv.theory.optimizers import Optimizer, optimizer_named
from sharpdiv.theory.setting import Setting, check_blocks, rho_values
from sharpdiv.theory.theorems.sharpness import trust_region_maximum

__all__ = ["Simulation", "simulate"]


@dataclass(frozen=True, eq=False)
class Simulation(Curves):
    """What was measured, one estimate for each quantity of ``Tradeoff``.

    Examples:
        >>> from sharpdiv.theory import Setting, simulate
        >>> found = simulate(Setting(n=40, d=4), 0.1, seed=1)
        >>> list(found.columns())[:3]
        ['rho', 'diversity', 'diversity_stderr']
        >>> found == simulate(Setting(n=40, d=4), 0.1, seed=1)
        True
    """

    rho: Float[np.ndarray, " rho"]
    """values of SAM's rho"""
    diversity: Estimate
    """prediction variance at an independent test point"""
    sharpness: Estimate
    """exact one-draw kappa at the mean over the initialization"""
    sharpness_ensemble: Estimate
    """exact one-draw kappa at the mean weights of one finite ensemble in each data draw"""
    sharpness_member: Estimate
    """exact one-draw kappa at that ensemble's first member"""
    member_error: Estimate
    """mean squared error of one member, exact over test points and initializations"""
    ensemble_error: Estimate
    """mean squared error of the mean of the members"""
    eir: Estimate
    """ratio of means, with a jackknife standard error"""


@dataclass(frozen=True)
class _Problem:
    """Everything that is the same for all data draws."""

    setting: Setting
    rho: np.ndarray
    steps: np.ndarray
    """steps at each rho (rho,)"""
    blocks: int
    members: int
    inits: int
    covariance: np.ndarray
    """eigenvalues of Sigma (d,)"""
    teacher: np.ndarray | None
    """squared coordinates of w* in Sigma's eigenbasis (d,), None for a uniform direction"""
    isotropic: bool
    shared_init: bool
    optimizer: Optimizer


def simulate(
    setting: Setting,
    rho: float | tuple[float, ...] | Float[np.ndarray, " rho"],
    *,
    blocks: int = 1,
    members: int = 3,
    covariance: Float[np.ndarray, " values"] | None = None,
    teacher: Float[np.ndarray, " coordinates"] | None = None,
    shared_init: bool = False,
    optimizer: str = "sam",
    steps: Sequence[int] | None = None,
    draws: int = 10,
    inits: int = 100,
    seed: int = 0,
) -> Simulation:
    """Train ensembles on drawn data by full-batch SAM and measure them.

    For each of ``draws`` data sets: W, label noise, a teacher of the setting's norm, and ``inits`` initializations. With one block
    every member sees all the data; with s > 1 there is one member per row block (blocks differ by at most one row if s does not
    divide n). Variances are unbiased over initializations and population over blocks.

    Args:
        setting: the problem; n and d are used as they are.
        rho: values of SAM's rho; every data draw serves all of them.
        blocks: s, 1 for Theorem 1 and at least 2 for Theorem 2.
        members: m of the ensemble when ``blocks`` is 1.
        covariance: eigenvalues of Sigma, their number a divisor of d; all 1 unless given.
        teacher: squared coordinates of w* in Sigma's eigenbasis, in any unit, their number a divisor of d; a uniform direction
            unless given.
        shared_init: whether the members on blocks start at the same weights.
        optimizer: key of ``OPTIMIZERS``; the ascent of ``normalized-sam`` has the length rho.
        steps: steps at each rho, so that the same draws serve curves over the steps too; the setting's at all unless given.
        draws: data draws, at least 1.
        inits: initializations in each data draw, over which variances are taken, at least 2; an ensemble of more members draws
            more.
        seed: seed of the random generator.

    Returns:
        Estimates over rho.

    Raises:
        DomainError: if a count is too small, rho is negative or not finite, a spectrum does not fit, or training overflows.

    Examples:
        >>> from sharpdiv.theory import Setting, data_law, sam_tradeoff, simulate
        >>> setting = Setting(n=400, d=20)
        >>> found = simulate(setting, 0.1, draws=20, seed=1)
        >>> exact = sam_tradeoff(setting, 0.1, law=data_law(setting, finite=True))
        >>> bool(abs(found.diversity.mean - exact.diversity) < 4 * found.diversity.stderr)
        True
    """
    radii = rho_values(rho)
    problem = _Problem(
        setting,
        radii,
        _steps(setting, steps, len(radii)),
        blocks,
        blocks if blocks > 1 else members,
        inits,
        _repeated("covariance eigenvalues", np.ones(1) if covariance is None else covariance, setting.d),
        None if teacher is None else _repeated("teacher's squared coordinates", teacher, setting.d),
        covariance is None,
        shared_init,
        optimizer_named(optimizer),
    )
    check_blocks(blocks, setting.n)
    for name, value, minimum in (("draws", draws, 1), ("members", members, 2), ("inits", inits, 2)):
        require_integer(name, value, minimum)
    diversity, member, ensemble, sharpness = _measured(problem, draws, np.random.default_rng(seed))
    return Simulation(
        problem.rho,
        diversity=Estimate.of(diversity),
        sharpness=Estimate.of(sharpness[:, 0]),
        sharpness_ensemble=Estimate.of(sharpness[:, 1]),
        sharpness_member=Estimate.of(sharpness[:, 2]),
        member_error=Estimate.of(member),
        ensemble_error=Estimate.of(ensemble),
        eir=Estimate.of_improvement(member, ensemble),
    )


def _measured(problem: _Problem, draws: int, generator: np.random.Generator) -> tuple[np.ndarray, ...]:
    """Diversity, member and ensemble error (draws, rho), and sharpness (draws, places, rho) of some data sets."""
    with np.errstate(over="ignore", invalid="ignore"):
        drawn = [_one_draw(problem, generator) for _ in range(draws)]
    diversity, member, ensemble, eigenvalues, gradients = (np.stack(values) for values in zip(*drawn, strict=True))
    if not all(np.all(np.isfinite(values)) for values in (diversity, member, ensemble, gradients)):
        raise DomainError(
            f"SAM diverges at learning rate {problem.setting.learning_rate}; lower rho, steps or the rate"
        )
    # One call solves the secular equations of all draws, places and rho.
    sharpness = trust_region_maximum(eigenvalues[:, None, None], gradients, problem.setting.radius)
    return diversity, member, ensemble, sharpness


def _steps(setting: Setting, steps: Sequence[int] | None, count: int) -> np.ndarray:
    if steps is None:
        return np.full(count, setting.steps)
    if len(steps) != count:
        raise DomainError(f"steps needs a number for each rho, which are {count}, got {len(steps)}")
    for value in steps:
        require_integer("steps", value, 0)
    return np.asarray(steps)


def _repeated(name: str, values: np.ndarray, d: int) -> np.ndarray:
    values = np.asarray(values, dtype=float)
    if values.ndim != 1 or not values.size or d % values.size:
        raise DomainError(f"{name}: their number must divide d = {d} to be drawn, got shape {values.shape}")
    require_finite(name, values.tolist())
    if not values.any():
        raise DomainError(f"{name} must not all be zero")
    return np.repeat(values, d // values.size)


@dataclass(frozen=True)
class _Data:
    """One block of data."""

    eigenvalues: np.ndarray
    """eigenvalues of W (d,)"""
    vectors: np.ndarray
    """eigenvectors of W (d, d)"""
    noise: np.ndarray
    """``A'noise`` in the eigenbasis (d,)"""


@dataclass(frozen=True)
class _Trained:
    """The members on one block of data, in the coordinates of Sigma's eigenbasis."""

    error: np.ndarray
    """``w* - w`` at the mean over initializations (rho, d)"""
    starts: np.ndarray
    """what the initialization adds to it, for some initializations (rho, inits, d)"""
    within: np.ndarray
    """prediction variance over the drawn initializations (rho,)"""
    expected: np.ndarray
    """prediction variance over all initializations, where it is known (rho,)"""


def _one_draw(problem: _Problem, generator: np.random.Generator) -> tuple[np.ndarray, ...]:
    """Diversity, member and ensemble error (rho,), eigenvalues (d,) and gradients (places, rho, d) of one data set."""
    setting, d = problem.setting, problem.setting.d
    rows = [len(part) for part in np.array_split(np.empty(setting.n), problem.blocks)]
    grams = [_gram(generator, n, d) for n in rows]
    if not problem.isotropic:
        root = np.sqrt(problem.covariance)
        grams = [root[:, None] * gram * root for gram in grams]
    teacher = generator.standard_normal(d)
    if problem.teacher is not None:
        teacher = np.copysign(np.sqrt(problem.teacher), teacher)
    teacher *= setting.omega / np.linalg.norm(teacher)
    # Members of one ensemble never share an initialization by accident.
    count = max(problem.inits, problem.members)
    start = np.sqrt(setting.init_variance) * generator.standard_normal((count, d))

    blocks = [_data(gram, setting.label_noise, generator) for gram in grams]
    train = _train if problem.optimizer.linear else _train_by_steps
    trained = [train(problem, block, teacher, start, _kept(problem, index)) for index, block in enumerate(blocks)]
    full, noise = blocks[0], sum(block.vectors @ block.noise for block in blocks)
    if problem.blocks > 1:
        full = _data(sum(grams[1:], start=grams[0]), 0.0, generator)

    error = np.mean([part.error for part in trained], axis=0)
    bias = np.mean([_at_test(problem, part.error) for part in trained], axis=0)
    expected = np.mean([part.expected for part in trained], axis=0)
    ensemble = expected / problem.members + _at_test(problem, error)
    first, mean_start = trained[0].starts[:, 0], _mean_start(problem, trained)
    if problem.shared_init:
        together = np.mean([part.starts for part in trained], axis=0)
        ensemble = _at_test(problem, error) + _at_test(problem, together).mean(axis=1)
    places = np.stack([error, error + mean_start, trained[0].error + first])
    gradients = full.eigenvalues * (places @ full.vectors) + noise @ full.vectors
    diversity = np.mean([part.within for part in trained], axis=0) + bias - _at_test(problem, error)
    return diversity, expected + bias, ensemble, full.eigenvalues, gradients


def _kept(problem: _Problem, block: int) -> list[int]:
    """Initializations whose members are needed one by one: those of one ensemble, or all if the members share them."""
    if problem.shared_init:
        return list(range(problem.inits))
    return list(range(problem.members)) if problem.blocks == 1 else [block]


def _mean_start(problem: _Problem, trained: list[_Trained]) -> np.ndarray:
    """What the initialization adds at the mean of one ensemble's members (rho, d)."""
    if problem.blocks == 1:
        return np.asarray(trained[0].starts.mean(axis=1))
    return np.mean([part.starts[:, 0] for part in trained], axis=0)


def _gram(generator: np.random.Generator, n: int, d: int) -> np.ndarray:
    """W of n isotropic rows, by the triangular factor of A where there are enough rows."""
    if n >= d:
        factor = np.tril(generator.standard_normal((d, d)), -1)
        factor[np.diag_indices(d)] = np.sqrt(generator.chisquare(n - np.arange(d)))
        return np.asarray(factor @ factor.T / d)
    data = generator.standard_normal((n, d))
    return np.asarray(data.T @ data / d)


def _data(gram: np.ndarray, label_noise: float, generator: np.random.Generator) -> _Data:
    eigenvalues, vectors = np.linalg.eigh(gram)
    eigenvalues = eigenvalues.clip(0)
    # A'noise given A is N(0, s_e^2 W).
    white = generator.standard_normal(len(eigenvalues)) if label_noise else np.zeros(len(eigenvalues))
    return _Data(eigenvalues, vectors, np.sqrt(label_noise * eigenvalues) * white)


def _at_test(problem: _Problem, error: np.ndarray) -> np.ndarray:
    """Mean squared error at a test point N(0, Sigma/d)."""
    return np.asarray(error**2 @ problem.covariance / problem.setting.d)


def _train(problem: _Problem, block: _Data, teacher: np.ndarray, start: np.ndarray, kept: list[int]) -> _Trained:
    """An optimizer whose step is a filter of the eigenvalues."""
    setting, x, vectors = problem.setting, block.eigenvalues, block.vectors
    none = np.zeros((problem.rho.size, 0, x.size))
    residual = problem.optimizer.step(x, none, setting.learning_rate, problem.rho)[1] ** problem.steps[:, None]
    learnt = np.divide(1 - residual, x, out=np.zeros_like(residual), where=x > 0)
    error = (residual * (vectors.T @ teacher) - learnt * block.noise) @ vectors.T
    rotated = start @ vectors
    if problem.isotropic:
        within = residual**2 @ rotated[: problem.inits].var(axis=0, ddof=1)
        expected = (residual**2).sum(axis=-1)
    else:
        metric = (vectors.T * problem.covariance) @ vectors
        spread = metric * np.cov(rotated[: problem.inits], rowvar=False)
        within = np.einsum("ri,ij,rj->r", residual, spread, residual, optimize=True)
        expected = residual**2 @ np.diag(metric)
    starts = -(residual[:, None] * rotated[kept]) @ vectors.T
    return _Trained(error, starts, within / setting.d, setting.init_variance * expected / setting.d)


def _train_by_steps(
    problem: _Problem, block: _Data, teacher: np.ndarray, start: np.ndarray, kept: list[int]
) -> _Trained:
    """Any optimizer, step by step, for all initializations and all rho at once."""
    setting, x, vectors = problem.setting, block.eigenvalues, block.vectors
    rotated = start @ vectors
    error = np.repeat((rotated - teacher @ vectors)[None], problem.rho.size, axis=0)
    linear = np.ones((problem.rho.size, x.size))
    for taken in range(problem.steps.max(initial=0)):
        step, near = problem.optimizer.step(x, x * error - block.noise, setting.learning_rate, problem.rho)
        more = (taken < problem.steps)[:, None]
        error = np.where(more[..., None], error + step, error)
        linear = np.where(more, linear * near, linear)
    # The part of the start that acts linearly has mean 0, so it is left out of the mean instead of averaged.
    mean = (error - linear[:, None] * rotated).mean(axis=1)
    trained, centre = error @ vectors.T, mean @ vectors.T
    within = trained[:, : problem.inits].var(axis=1, ddof=1) @ problem.covariance / setting.d
    return _Trained(-centre, centre[:, None] - trained[:, kept], within, within)
