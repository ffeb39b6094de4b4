"""Theorem 1: diversity, sharpness and errors of an ensemble trained by SAM on the same data.

A member ends at ``w_k - w* = a(W)(w_0 - w*) + (1 - a(W)) W^{-1} A'noise``, a its residual filter. Everything is an integral of a
against the law of W: new data are a new law, a new optimizer is a new filter.
"""

from typing import Any

import numpy as np
from jaxtyping import Float

from sharpdiv.theory.errors import require_integer
from sharpdiv.theory.filters import Filter, Training, integral
from sharpdiv.theory.optimizers import optimizer_named
from sharpdiv.theory.setting import Setting, rho_values
from sharpdiv.theory.spectra.base import Spectrum
from sharpdiv.theory.spectra.covariance import GeneralizedMarchenkoPastur
from sharpdiv.theory.spectra.data_law import data_law
from sharpdiv.theory.spectra.wishart import FiniteWishart
from sharpdiv.theory.theorems import bounds
from sharpdiv.theory.theorems.member import check_law, error_parts
from sharpdiv.theory.theorems.over_rho import predict_over_rho
from sharpdiv.theory.theorems.sharpness import dual_sharpness
from sharpdiv.theory.theorems.tradeoff import (
    BOUNDS,
    NO_BOUND,
    NO_LIMIT,
    SHARPNESS,
    Tradeoff,
    improvement_rate,
)

__all__ = ["sam_tradeoff"]


def sam_tradeoff(
    setting: Setting,
    rho: float | tuple[float, ...] | Float[np.ndarray, " rho"],
    *,
    members: int = 3,
    law: Spectrum | None = None,
    teacher: Float[np.ndarray, " d"] | None = None,
    optimizer: str = "sam",
) -> Tradeoff:
    """Theorem 1 over a range of rho: exact limits beside the published bounds, or exact values at finite (n, d).

    With ``T2 = tau(Sigma a^2)``, ``beta = w*'a Sigma a w* / d`` and ``psi = tau(Sigma (1-a)^2 / W)``: ``D = sigma^2 T2``,
    ``member = sigma^2 T2 + beta + s_e^2 psi``, ``ensemble = sigma^2 T2 / m + beta + s_e^2 psi``. For a teacher of uniform
    direction ``beta = T2 omega^2/d``, so without label noise the improvement rate does not depend on rho, eta or k.

    Args:
        setting: the problem.
        rho: values of SAM's rho; 0 is gradient descent.
        members: m, at least 2, with independent initializations.
        law: law of W, see ``data_law``: Marchenko-Pastur at the setting's ratio unless given. ``FiniteWishart`` gives exact
            diversity, errors and bounds at its (n, d) and no sharpness.
        teacher: squared coordinates of w* in Sigma's eigenbasis, in any unit, for a ``GeneralizedMarchenkoPastur`` law; a
            teacher of uniform direction unless given.
        optimizer: key of ``OPTIMIZERS``; the ascent of ``normalized-sam`` has the length rho, in the limit only.

    Returns:
        Arrays over rho.

    Raises:
        DomainError: if rho is negative or not finite, there are fewer than two members, the law does not fit, or the
            iteration overflows.
        ConvergenceError: if the secular equation of the sharpness was not solved.

    Examples:
        >>> from sharpdiv.theory import Setting, sam_tradeoff
        >>> curve = sam_tradeoff(Setting(), (0.0, 0.1), members=3)
        >>> curve.eir.round(6).tolist()  # (1 - 1/m) / 2 where omega^2/d = sigma^2, whatever rho is
        [0.333333, 0.333333]
        >>> bool((curve.sharpness_lower < curve.sharpness).all() and (curve.sharpness < curve.sharpness_upper).all())
        True
    """
    rho = rho_values(rho)
    require_integer("members of an ensemble", members, 2)
    data = data_law(setting) if law is None else law
    steps = optimizer_named(optimizer)
    check_law(setting, data, teacher, steps)
    limit = data if np.isfinite(data.largest) else data_law(setting)

    def predict(training: Filter) -> dict[str, Any]:
        known = _errors(setting, training, data, teacher, members)
        known |= _sharpness(setting, training, data, teacher, members)
        return known | _bounds(setting, training, data, limit, published=steps.published)

    return predict_over_rho(setting, rho, data, limit, predict, steps)


def _errors(
    setting: Setting, training: Filter, law: Spectrum, teacher: np.ndarray | None, members: int
) -> dict[str, Any]:
    diversity, bias, noise = error_parts(setting, training, law, teacher)
    common = bias + noise
    member, ensemble = diversity + common, diversity / members + common
    return {
        "diversity": diversity,
        "member_error": member,
        "ensemble_error": ensemble,
        "eir": improvement_rate(member, ensemble),
    }


def _sharpness(
    setting: Setting, training: Filter, law: Spectrum, teacher: np.ndarray | None, members: int
) -> dict[str, Any]:
    """Exact limits of kappa, ``min_{mu >= x_+} mu rho_0^2/2 + int (omega^2 x^2 + s_e^2 d x) a^2 / (mu - x) / 2``.

    At the mean of m members the initialization adds ``sigma^2 d / m`` to ``omega^2``, at a single one ``sigma^2 d``.

    Returns:
        One array for each place.
    """
    if not np.isfinite(law.largest):
        return {}
    aligned = law
    if teacher is not None and isinstance(law, GeneralizedMarchenkoPastur):
        aligned = law.weighted(teacher / teacher.sum())
    degree, powers = 2 * training.degree + 2, np.array([2, 1])[:, None, None]
    start, noise = setting.init_variance * setting.d, setting.label_noise * setting.d

    def gradients(x: np.ndarray) -> np.ndarray:
        return np.asarray(training.residual(x) ** 2 * x**powers)

    along, uniform = aligned.resolvent(gradients), law.resolvent(gradients)
    along_total, uniform_total = (integral(measure, gradients, degree) for measure in (aligned, law))

    def kappa(own: float) -> np.ndarray:
        def total(along: np.ndarray, uniform: np.ndarray) -> np.ndarray:
            return np.asarray(setting.omega**2 * along[0] + own * uniform[0] + noise * uniform[1])

        def resolvent(gap: np.ndarray) -> np.ndarray:
            at_gap = uniform(gap)
            return total(at_gap if aligned is law else along(gap), at_gap)

        return dual_sharpness(resolvent, law.largest, total(along_total, uniform_total), setting.radius)

    return {name: kappa(share * start) for name, share in zip(SHARPNESS, (0.0, 1 / members, 1.0), strict=True)}


def _bounds(setting: Setting, training: Filter, law: Spectrum, limit: Spectrum, *, published: bool) -> dict[str, Any]:
    """Published bounds and rigorous ones, as far as they apply, and why not."""
    published = published and not (setting.label_noise or isinstance(law, GeneralizedMarchenkoPastur))
    reasons = {} if published else dict.fromkeys(BOUNDS, NO_BOUND)
    found: dict[str, Any] = {}
    if published:
        found["sharpness_lower"] = bounds.sam_lower_published(setting, training, limit)
        found["sharpness_upper"] = bounds.sam_upper_published(setting, training, limit)
    if isinstance(law, FiniteWishart):
        reasons |= dict.fromkeys(SHARPNESS, NO_LIMIT) | {"sharpness_lower_rigorous": bounds.NO_LOWER_RIGOROUS}
        found["sharpness_upper_rigorous"] = bounds.sam_upper_rigorous(setting, training)
        if published and isinstance(training, Training):
            found["sharpness_lower_rigorous"] = bounds.sam_lower_rigorous(setting, training)
    return found | {"reasons": reasons}
