"""The Monte Carlo referee: draws data, initialisations and teachers, and measures what the theorems predict.

Everything that depends on rho is a filter of fixed eigenvalues, so each data draw is diagonalised once and serves every
rho. Nothing here uses an integral against a limit law.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from theory.errors import DomainError, require_integer
from theory.filters import sam_filter
from theory.setting import Setting, check_blocks, rho_values
from theory.sharpness import trust_region_maximum

__all__ = ["Estimate", "Simulation", "simulate"]


@dataclass(frozen=True)
class Estimate:
    """Mean over data draws with its standard error (None for a single draw); arrays over rho."""

    mean: Float[np.ndarray, " rho"]
    """mean over data draws"""
    stderr: Float[np.ndarray, " rho"] | None
    """standard error of the mean over data draws"""


@dataclass(frozen=True)
class Simulation:
    """What was measured, one estimate for each quantity of ``Tradeoff``."""

    rho: Float[np.ndarray, " rho"]
    """SAM radii"""
    diversity: Estimate
    """prediction variance at an independent test point"""
    sharpness: Estimate
    """exact one-draw kappa at the mean over the initialisation"""
    member_error: Estimate
    """mean squared error of one member, exact over test points and initialisations"""
    ensemble_error: Estimate
    """the same of the mean of the members"""
    eir: Estimate
    """ratio of means, with a jackknife standard error"""


def simulate(
    setting: Setting,
    rho: float | tuple[float, ...] | Float[np.ndarray, " rho"],
    *,
    blocks: int = 1,
    members: int = 3,
    draws: int = 10,
    inits: int = 100,
    seed: int = 0,
) -> Simulation:
    """Train ensembles on drawn data by un-normalised SAM and measure them.

    For each of ``draws`` data sets: A, a teacher of the setting's norm and uniform direction, and ``inits``
    initialisations. With one block every member sees all the data; with s > 1 there is one member per row block (blocks
    differ by at most one row if s does not divide n). Variances are unbiased over initialisations and population over
    blocks.

    Args:
        setting: the problem; n and d are used as they are.
        rho: SAM radii; every data draw serves all of them.
        blocks: s, 1 for Theorem 1 and at least 2 for Theorem 2.
        members: m of the ensemble error when ``blocks`` is 1.
        draws: data draws, at least 1.
        inits: initialisations in each, at least 2.
        seed: of the random generator.

    Returns:
        Estimates over rho.

    Raises:
        DomainError: if a count is too small, rho is negative or not finite, or training overflows.
    """
    rho = rho_values(rho)
    check_blocks(blocks, setting.n)
    for name, value, minimum in (("draws", draws, 1), ("inits", inits, 2), ("members", members, 2)):
        require_integer(name, value, minimum)
    generator = np.random.default_rng(seed)
    with np.errstate(over="ignore", invalid="ignore"):
        drawn = [_one_draw(setting, rho, blocks, members, inits, generator) for _ in range(draws)]
    diversity, member, ensemble, eigenvalues, gradient = (np.stack(values) for values in zip(*drawn, strict=True))
    if not all(np.all(np.isfinite(values)) for values in (diversity, member, ensemble, gradient)):
        raise DomainError(f"SAM diverges at learning rate {setting.learning_rate}; lower rho, steps or the rate")
    # One call solves the secular equations of all draws and all rho.
    sharpness = trust_region_maximum(eigenvalues[:, None], gradient, setting.radius)
    return Simulation(
        rho,
        diversity=_estimate(diversity),
        sharpness=_estimate(sharpness),
        member_error=_estimate(member),
        ensemble_error=_estimate(ensemble),
        eir=_ratio(member, ensemble),
    )


def _one_draw(
    setting: Setting, rho: np.ndarray, blocks: int, members: int, inits: int, generator: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Diversity, member and ensemble error (rho,), eigenvalues (d,) and gradient (rho, d) of one data set."""
    d, k = setting.d, setting.steps
    data = generator.standard_normal((setting.n, d)) / np.sqrt(d)
    teacher = generator.standard_normal(d)
    teacher *= setting.omega / np.linalg.norm(teacher)
    start = np.sqrt(setting.init_variance) * generator.standard_normal((inits, d))

    within = np.zeros(rho.size)  # variance over initialisations, mean over blocks
    trace = np.zeros(rho.size)  # tr M^{2k} / d, mean over blocks
    errors = np.empty((blocks, rho.size, d))  # w_k - w* at the mean over initialisations, up to sign
    for index, rows in enumerate(np.array_split(data, blocks)):
        eigenvalues, vectors = _eigen(rows.T @ rows)
        residual = sam_filter(eigenvalues, setting.learning_rate, rho) ** k
        within += residual**2 @ (start @ vectors).var(axis=0, ddof=1) / (d * blocks)
        trace += (residual**2).sum(axis=1) / (d * blocks)
        errors[index] = (residual * (vectors.T @ teacher)) @ vectors.T
    mean_error = errors.mean(axis=0)
    bias = (errors**2).sum(axis=2).mean(axis=0) / d  # of one member
    mean_bias = (mean_error**2).sum(axis=1) / d  # of the mean of all of them
    if blocks > 1:
        eigenvalues, vectors = _eigen(data.T @ data)
        members = blocks
    return (
        within + bias - mean_bias,
        setting.init_variance * trace + bias,
        setting.init_variance * trace / members + mean_bias,
        eigenvalues,
        eigenvalues * (mean_error @ vectors),
    )


def _eigen(gram: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    eigenvalues, vectors = np.linalg.eigh(gram)
    return eigenvalues.clip(0), vectors


def _estimate(values: np.ndarray) -> Estimate:
    draws = len(values)
    return Estimate(values.mean(axis=0), values.std(axis=0, ddof=1) / np.sqrt(draws) if draws > 1 else None)


def _ratio(member: np.ndarray, ensemble: np.ndarray) -> Estimate:
    """Improvement rate as a ratio of means; leaving out one draw at a time gives its standard error."""
    draws = len(member)
    mean = _rate(member.mean(axis=0), ensemble.mean(axis=0))
    if draws == 1:
        return Estimate(mean, None)
    left_out = _rate((member.sum(axis=0) - member) / (draws - 1), (ensemble.sum(axis=0) - ensemble) / (draws - 1))
    return Estimate(mean, np.sqrt((draws - 1) * left_out.var(axis=0)))


def _rate(member: np.ndarray, ensemble: np.ndarray) -> np.ndarray:
    return np.divide(member - ensemble, member, out=np.full_like(member, np.nan), where=member > 0)
