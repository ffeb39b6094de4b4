"""Theorem 1: diversity and sharpness of an ensemble trained by SAM on the same data.

With ``q_j = phi(2k, j)`` and ``omega = |w*|``: ``D = sigma^2 q_0``, and the mean member ends at ``w* - M^k w*``, where
the gradient is ``-W M^k w*`` with expected squared norm ``omega^2 q_2``.
"""

import numpy as np
from jaxtyping import Float

from theory.errors import DomainError
from theory.filters import critical_rho, is_stable, phi, sam_filter
from theory.setting import Setting, rho_values
from theory.sharpness import dual_sharpness
from theory.spectrum import MarchenkoPastur, Spectrum
from theory.tradeoff import Tradeoff, improvement_rate

__all__ = ["sam_tradeoff", "sharpness_limit", "sharpness_lower_published", "sharpness_upper_published"]


def sam_tradeoff(
    setting: Setting,
    rho: float | tuple[float, ...] | Float[np.ndarray, " rho"],
    *,
    members: int = 3,
    spectrum: Spectrum | None = None,
) -> Tradeoff:
    """Theorem 1 over a range of rho, with the exact limit of the sharpness beside the published bounds.

    ``member = (sigma^2 + omega^2/d) q_0`` and ``ensemble = (sigma^2/m + omega^2/d) q_0`` for independent
    initialisations: without label noise the improvement rate does not depend on rho, eta or k.

    Args:
        setting: the problem; ``n`` enters through the ratio only.
        rho: SAM radii; 0 is gradient descent.
        members: m, at least 2.
        spectrum: of W; the Marchenko-Pastur law of the setting's ratio unless given.

    Returns:
        Arrays over rho.

    Raises:
        DomainError: if rho is negative or not finite, there are fewer than two members, or the iteration overflows.
        ConvergenceError: if the secular equation of the sharpness was not solved.
    """
    rho = rho_values(rho)
    if members < 2:
        raise DomainError(f"an ensemble needs at least 2 members, got {members}")
    if spectrum is None:
        spectrum = MarchenkoPastur(setting.ratio, degree=max(1023, 4 * 2 * setting.steps + 4))
    q0 = phi(2 * setting.steps, 0, spectrum, setting.learning_rate, rho)
    bias = setting.omega**2 / setting.d * q0
    diversity = setting.init_variance * q0
    member, ensemble = diversity + bias, diversity / members + bias
    return Tradeoff(
        rho=rho,
        diversity=diversity,
        sharpness=sharpness_limit(setting, rho, spectrum),
        sharpness_lower=sharpness_lower_published(setting, rho, spectrum),
        sharpness_upper=sharpness_upper_published(setting, rho, spectrum),
        member_error=member,
        ensemble_error=ensemble,
        eir=improvement_rate(member, ensemble),
        stable=is_stable(spectrum, setting.learning_rate, rho),
        critical_rho=critical_rho(spectrum, setting.learning_rate),
    )


def sharpness_limit(setting: Setting, rho: Float[np.ndarray, " rho"], spectrum: Spectrum) -> Float[np.ndarray, " rho"]:
    """Exact limit of kappa at the mean member, n and d growing at fixed ratio, omega and radius.

    ``kappa = min_{mu >= x_+} mu rho_0^2/2 + (omega^2/2) int x^2 q^{2k} / (mu - x)``.

    Args:
        setting: the problem.
        rho: SAM radii.
        spectrum: of W.

    Returns:
        kappa for each rho.
    """

    def squared_gradient(x: np.ndarray, index: np.ndarray) -> np.ndarray:
        return setting.omega**2 * x**2 * sam_filter(x, setting.learning_rate, rho[index]) ** (2 * setting.steps)

    def resolvent(gap: np.ndarray, index: np.ndarray) -> np.ndarray:
        return spectrum.cauchy(lambda x: squared_gradient(x, index), gap)

    total = setting.omega**2 * phi(2 * setting.steps, 2, spectrum, setting.learning_rate, rho)
    return dual_sharpness(resolvent, spectrum.largest, total, setting.radius)


def sharpness_upper_published(
    setting: Setting, rho: Float[np.ndarray, " rho"], spectrum: Spectrum
) -> Float[np.ndarray, " rho"]:
    """Published upper bound ``rho_0^2/2 x_+ + rho_0 omega sqrt(q_2)``. It is asymptotic: finite d can exceed it.

    Args:
        setting: the problem.
        rho: SAM radii.
        spectrum: of W.

    Returns:
        The bound for each rho.
    """
    q2 = phi(2 * setting.steps, 2, spectrum, setting.learning_rate, rho)
    return np.asarray(setting.radius**2 / 2 * spectrum.largest + setting.radius * setting.omega * np.sqrt(q2))


def sharpness_lower_published(
    setting: Setting, rho: Float[np.ndarray, " rho"], spectrum: Spectrum
) -> Float[np.ndarray, " rho"]:
    """Published lower bound ``rho_0^2/2 x_- + rho_0 omega sqrt(q_2) - J``.

    J is the authors' term for the gap of Jensen's inequality, ``J = rho_0 (phi(4k,4) - q_2^2) / (2 omega q_2^{3/2})``.
    It divides by omega where the inequality ``sqrt x >= sqrt m + (x-m)/(2 sqrt m) - (x-m)^2/(2 m^{3/2})`` multiplies,
    so the bound fails for large omega at finite d.

    Args:
        setting: the problem.
        rho: SAM radii.
        spectrum: of W.

    Returns:
        The bound for each rho; minus infinity where omega or ``q_2`` is 0 and J has no value.
    """
    k, eta = setting.steps, setting.learning_rate
    q2 = phi(2 * k, 2, spectrum, eta, rho)
    spread = phi(4 * k, 4, spectrum, eta, rho) - q2**2
    denominator = 2 * setting.omega * q2**1.5
    jensen = np.divide(setting.radius * spread, denominator, out=np.full_like(q2, np.inf), where=denominator > 0)
    return np.asarray(setting.radius**2 / 2 * spectrum.smallest + setting.radius * setting.omega * np.sqrt(q2) - jensen)
