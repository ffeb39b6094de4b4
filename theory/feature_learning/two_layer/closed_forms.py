"""Ensembles of two-layer linear networks: diversity, errors and sharpness over rho, from ``|a|^2`` of the small network.

Gradients of W are outer products with combinations of the rows of X, also ahead of an ascent. So the part of W on the null space
of X never moves, ``W'a = (what fits the data) + P_null W_0'a``, and members with independent first weights have, exactly,

    ``D = s_w^2 (d - n) E|a|^2``, ``bias = |P_null beta|^2 + s_e^2 tr (XX')^{-1}``, ``member = bias + D``, ``ensemble = bias +
    D/M``, ``EIR = (1 - 1/M) D / (bias + D)``,

with ``|a - a_0|^2`` for ``|a|^2`` if the networks predict ``f - f_0``. The bias does not know rho, and all that SAM can do is to
change ``|a|^2``: D, the member error, EIR and the trace of the Hessian, ``|a|^2 tr(XX')/n + |WX'|_F^2 / n``, fall and rise with
it.
"""

import numpy as np
from jaxtyping import Float

from sharpdiv.theory.feature_learning.tradeoff import LearnedTradeoff
from sharpdiv.theory.feature_learning.two_layer.dynamics import TrainedNetwork, train
from sharpdiv.theory.feature_learning.two_layer.edge import critical_rho
from sharpdiv.theory.feature_learning.two_layer.setting import TwoLayerSetting
from sharpdiv.theory.feature_learning.two_layer.sharpness import hessian_trace, largest_eigenvalue
from sharpdiv.theory.setting import ensemble_size, rho_values

__all__ = ["two_layer_tradeoff"]

_NOT_FITTED = "SAM does not fit the data at this rho: its weights collapse, or its steps diverge"


def two_layer_tradeoff(
    setting: TwoLayerSetting,
    rho: float | tuple[float, ...] | Float[np.ndarray, " rho"],
    *,
    members: int | None = None,
    blocks: int = 1,
) -> LearnedTradeoff:
    """Diversity, sharpness and errors of an ensemble over a range of rho, for large n, d and width.

    Members differ by their first weights. With disjoint blocks (SharpBalance with one member on each) they differ by their data
    too: D gains the population variance of what they fit over the blocks.

    Args:
        setting: the problem.
        rho: values of SAM's rho; 0 is gradient descent.
        members: M of an ensemble on all the data, at least 2; 3 unless given. Blocks have one member each.
        blocks: s, a divisor of n; 1 for SAM on all the data.

    Returns:
        Arrays over rho. Sharpness is ``radius^2 / 2`` times the largest eigenvalue of the Hessian of a member's own training
        loss, its kappa in second order at zero loss. Where SAM does not fit the data all is NaN.

    Raises:
        DomainError: if an argument is outside its domain, or blocks do not divide n.

    Examples:
        >>> from sharpdiv.theory.feature_learning.two_layer.closed_forms import two_layer_tradeoff
        >>> from sharpdiv.theory.feature_learning.two_layer.setting import TwoLayerSetting
        >>> curve = two_layer_tradeoff(TwoLayerSetting(m=1), (0.0, 0.002))
        >>> [bool(values[1] < values[0]) for values in (curve.diversity, curve.eir, curve.trace)]
        [True, True, True]
    """
    rho = rho_values(rho)
    size = ensemble_size(members, blocks, setting.n)
    one = setting.block(blocks)
    trained = train(one, rho)
    within = one.first_variance * one.null_dimensions * (trained.moved if one.subtract_initial else trained.norm)
    alone, between = _fits(one, blocks)
    member = alone + within
    known = {
        "diversity": between + within,
        "member_error": member,
        "ensemble_error": alone - between + within / size,
        "training_loss": trained.loss,
        **_flatness(one, trained),
    }
    known = {name: np.where(trained.fitted, values, np.nan) for name, values in known.items()}
    reasons = {} if trained.fitted.all() else dict.fromkeys((*known, "eir"), _NOT_FITTED)
    return LearnedTradeoff.of(rho, critical_rho=critical_rho(one), reasons=reasons, **known)


def _flatness(one: TwoLayerSetting, trained: TrainedNetwork) -> dict[str, np.ndarray]:
    """Trace and sharpness where SAM fits."""
    trace, sharpness = np.full((2, trained.fitted.size), np.nan)
    found = trained.where(trained.fitted)
    trace[trained.fitted] = hessian_trace(one, found)
    sharpness[trained.fitted] = largest_eigenvalue(one, found) * one.radius**2 / 2
    return {"trace": trace, "sharpness": sharpness}


def _fits(one: TwoLayerSetting, blocks: int) -> tuple[float, float]:
    """Squared error of what one member fits, and the population variance of that over the members' blocks."""
    n, d, signal = one.n, one.d, one.teacher_norm**2
    # tr (XX')^-1 of normal entries is n / (d - n - 1); in the limit, where all else is taken, n / (d - n).
    noise = one.label_noise * (n / d if one.whitened else n / (d - n))
    # Two blocks of orthogonal rows see orthogonal parts of the teacher, independent ones a common (n/d)^2.
    overlap = 0.0 if one.whitened else (n / d) ** 2
    return signal * (1 - n / d) + noise, (1 - 1 / blocks) * (signal * (n / d - overlap) + noise)
