"""Theorem 2: SharpBalance in theory, one SAM member on each of s disjoint row blocks of the data.

A member ends at ``w_k - w* = a(W_i)(w_0 - w*) + (1 - a(W_i)) W_i^{-1} A_i'noise``, W_i its block's matrix and a its residual
filter. Errors need the block's law only, sharpness that of the full data's loss at the mean of the members.
"""

from typing import Any

import numpy as np
from jaxtyping import Float

from sharpdiv.theory.errors import DomainError
from sharpdiv.theory.filters import Filter, Training
from sharpdiv.theory.optimizers import optimizer_named
from sharpdiv.theory.setting import Setting, check_blocks, rho_values
from sharpdiv.theory.spectra.base import DataLaw
from sharpdiv.theory.spectra.covariance import GeneralizedMarchenkoPastur
from sharpdiv.theory.spectra.data_law import data_law
from sharpdiv.theory.spectra.marchenko_pastur import MarchenkoPastur
from sharpdiv.theory.spectra.wishart import FiniteWishart
from sharpdiv.theory.theorems import bounds
from sharpdiv.theory.theorems.blocks import block_moments
from sharpdiv.theory.theorems.member import check_law, error_parts
from sharpdiv.theory.theorems.over_rho import predict_over_rho
from sharpdiv.theory.theorems.subordination import BlockSharpness
from sharpdiv.theory.theorems.tradeoff import (
    BOUNDS,
    NO_BOUND,
    NO_LIMIT,
    SHARPNESS,
    Tradeoff,
    improvement_rate,
)

__all__ = ["sharpbalance_tradeoff"]

_OPEN = "the sharpness of SharpBalance on anisotropic data is an open problem: the blocks are free only if Sigma is 1"
_NO_LOWER = "no lower bound is published for SharpBalance"
_NO_LOWER_RIGOROUS = "no lower bound is proven for SharpBalance"
_NO_UPPER_RIGOROUS = "proven without label noise only"


def sharpbalance_tradeoff(
    setting: Setting,
    rho: float | tuple[float, ...] | Float[np.ndarray, " rho"],
    *,
    blocks: int,
    law: DataLaw | None = None,
    teacher: Float[np.ndarray, " d"] | None = None,
    shared_init: bool = False,
    optimizer: str = "sam",
) -> Tradeoff:
    """Theorem 2 over a range of rho: exact limits beside the published bound, or exact values at finite (n, d).

    With T2, beta and psi of ``sam_tradeoff`` at ``r/s`` and ``b = w*'(Ea) Sigma (Ea) w* / d``: ``member = sigma^2 T2 + beta +
    s_e^2 psi`` and ``ensemble = member/s + (1 - 1/s) b``. D is the variance over initializations plus the population variance over
    the s blocks, ``D = sigma^2 T2 + (1 - 1/s)(beta - b + s_e^2 psi)``. At rho = 0 this is the control "gradient descent on disjoint
    blocks". In the limit the data are split as ``r/s`` whether or not s divides n.

    Args:
        setting: the problem.
        rho: values of SAM's rho; 0 is gradient descent.
        blocks: s, the number of row blocks and of members.
        law: law of the full data's W, see ``data_law``: Marchenko-Pastur unless given. ``FiniteWishart`` needs s to divide n and
            gives exact diversity, errors and a rigorous bound, a covariance everything but the sharpness.
        teacher: squared coordinates of w* in Sigma's eigenbasis, in any unit; a teacher of uniform direction unless given.
        shared_init: whether all members start at the same weights, as in the authors' notebook. The mean of the members then keeps
            what their initialization leaves in common, ``(1 - 1/s) sigma^2 tau(Sigma (Ea)^2)`` in the ensemble error.
        optimizer: key of ``OPTIMIZERS``; the ascent of ``normalized-sam`` has the length rho, in the limit only.

    Returns:
        Arrays over rho; there is no published lower bound.

    Raises:
        DomainError: if rho is negative or not finite, blocks do not fit the data, the law does not fit, or the iteration
            overflows.
        ConvergenceError: if the secular equation of the sharpness was not solved.

    Examples:
        >>> from sharpdiv.theory import Setting, sam_tradeoff, sharpbalance_tradeoff
        >>> sam, balance = sam_tradeoff(Setting(), 0.1), sharpbalance_tradeoff(Setting(), 0.1, blocks=3)
        >>> bool(balance.diversity > sam.diversity), bool(balance.sharpness > sam.sharpness)
        (True, True)
    """
    rho = rho_values(rho)
    check_blocks(blocks, setting.n)
    if blocks < 2:
        raise DomainError(f"at least 2 blocks are needed, got {blocks}; one block is all the data")
    full = data_law(setting) if law is None else law
    steps = optimizer_named(optimizer)
    check_law(setting, full, teacher, steps)
    ratio = getattr(full, "ratio", setting.ratio)
    if not np.isclose(ratio, setting.ratio, rtol=1e-9, atol=0):
        raise DomainError(f"the law is at n/d = {ratio:g}, the setting at {setting.ratio:g}: sharpness depends on both")
    block = full.blocks(blocks)
    limit = block if np.isfinite(block.largest) else data_law(setting).blocks(blocks)

    def predict(training: Filter) -> dict[str, Any]:
        known = _errors(setting, training, block, teacher, blocks, shared_init=shared_init)
        published = steps.published and not setting.label_noise
        return known | _sharpness(setting, training, block, blocks, shared_init=shared_init, published=published)

    return predict_over_rho(setting, rho, block, limit, predict, steps)


def _errors(
    setting: Setting,
    training: Filter,
    block: DataLaw,
    teacher: np.ndarray | None,
    blocks: int,
    *,
    shared_init: bool,
) -> dict[str, Any]:
    per_dimension, between = setting.omega**2 / setting.d, 1 - 1 / blocks
    start, bias, noise = error_parts(setting, training, block, teacher)
    mean_filter = block.at_test.mean_squared(training.residual)
    common = mean_filter
    if teacher is not None and isinstance(block, GeneralizedMarchenkoPastur):
        energy = teacher / teacher.sum() * block.covariance
        common = block.equivalent(training.residual) ** 2 @ energy
    member = start + bias + noise
    ensemble = member / blocks + between * per_dimension * common
    if shared_init:
        ensemble = ensemble + between * setting.init_variance * mean_filter
    return {
        "diversity": start + between * (bias - per_dimension * common + noise),
        "member_error": member,
        "ensemble_error": ensemble,
        "eir": improvement_rate(member, ensemble),
    }


def _sharpness(
    setting: Setting, training: Filter, block: DataLaw, blocks: int, *, shared_init: bool, published: bool
) -> dict[str, Any]:
    """Exact limits of kappa and its bounds, as far as there are any, and why not."""
    reasons = {"sharpness_lower": _NO_LOWER, "sharpness_lower_rigorous": _NO_LOWER_RIGOROUS}
    found: dict[str, Any] = {}
    if isinstance(block, GeneralizedMarchenkoPastur):
        return {"reasons": reasons | dict.fromkeys(SHARPNESS, _OPEN) | {"sharpness_upper": NO_BOUND}}
    limit = MarchenkoPastur(setting.ratio / blocks, max(255, 4 * setting.steps + 2))
    moments = block_moments(setting, training, limit, blocks)
    if published:
        found["sharpness_upper"] = bounds.sharpbalance_upper_published(setting, moments)
    else:
        reasons |= dict.fromkeys(BOUNDS, NO_BOUND)
    if not isinstance(block, FiniteWishart):
        kappa = BlockSharpness(setting, training, moments)
        places = (kappa.at_mean(), kappa.at_ensemble(shared_init=shared_init), kappa.at_member())
        return found | dict(zip(SHARPNESS, places, strict=True)) | {"reasons": reasons}
    if published and isinstance(training, Training):
        found["sharpness_upper_rigorous"] = bounds.sharpbalance_upper_rigorous(setting, training, blocks)
    return found | {
        "reasons": reasons | dict.fromkeys(SHARPNESS, NO_LIMIT) | {"sharpness_upper_rigorous": _NO_UPPER_RIGOROUS}
    }
