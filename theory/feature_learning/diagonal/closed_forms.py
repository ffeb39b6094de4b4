"""The diagonal ensemble's closed forms: diversity, errors and the trace of the Hessian against SAM's rho.

The flow of SAM ends at the interpolator of gradient flow from smaller alphas (exactly). How much smaller: see
``sharpdiv.theory.feature_learning.diagonal.shift``. Everything else is a function of the alphas alone, the state evolution of
``sharpdiv.theory.feature_learning.diagonal.state``. Where groups are a small part of the samples the alphas fall alike in all
coordinates: then rho, the group size m and which samples ascend only say how far a member has gone along one and the same curve.
"""

import numpy as np
from jaxtyping import Float

from sharpdiv.theory.feature_learning.diagonal.setting import DiagonalSetting
from sharpdiv.theory.feature_learning.diagonal.shift import Descent
from sharpdiv.theory.feature_learning.tradeoff import LearnedTradeoff
from sharpdiv.theory.setting import ensemble_size, rho_values

__all__ = ["LARGEST_UNEVEN", "diagonal_tradeoff"]

LARGEST_UNEVEN = 0.25
"""Share of the fall that differs between coordinates up to which it is predicted: it is an estimate."""

_NO_KAPPA = (
    "at the end kappa is radius^2/2 times the Hessian's largest eigenvalue, which has no limit: "
    "coordinates' curvatures are unbounded"
)


def diagonal_tradeoff(
    setting: DiagonalSetting,
    rho: float | tuple[float, ...] | Float[np.ndarray, " rho"],
    *,
    members: int | None = None,
    blocks: int = 1,
) -> LearnedTradeoff:
    """Diversity, errors and trace of the Hessian of members that SAM has trained to zero loss, over a range of rho.

    With D half the mean squared difference of two members' predictions, ``ensemble = member - (1 - 1/M) D``. Members on the
    same data differ by their alphas only; blocks have data of their own, too.

    Args:
        setting: the problem.
        rho: values of SAM's rho (un-normalized); 0 is gradient descent.
        members: M of an ensemble on all the data, at least 2; 3 unless given. Blocks have one member each.
        blocks: s, a divisor of n: members on disjoint blocks of n/s samples; 1 for all on the same data.

    Returns:
        Arrays over rho; NaN with a reason from ``critical_rho`` on, where a seventh is left of alpha or what SAM does to
        coordinates unevenly, which is derived to first order, has lowered ``log alpha^2`` by 0.06, and at every rho
        but 0 where this part is over a quarter, as for the full batch.

    Raises:
        DomainError: if an argument is outside its domain or blocks and groups do not fit.
        ConvergenceError: if the state evolution was not solved.

    Examples:
        >>> from sharpdiv.theory.feature_learning.diagonal.closed_forms import diagonal_tradeoff
        >>> from sharpdiv.theory.feature_learning.diagonal.setting import DiagonalSetting
        >>> curve = diagonal_tradeoff(DiagonalSetting(), (0.0, 0.5))
        >>> bool(curve.diversity[1] < curve.diversity[0]), bool(curve.trace[1] < curve.trace[0])
        (True, True)
    """
    rho = rho_values(rho)
    size, samples = ensemble_size(members, blocks, setting.n), setting.block_samples(blocks)
    descent = Descent(setting, samples)
    critical = descent.critical_rho()
    fall = descent.fall(rho)
    fall[rho >= critical] = np.nan
    reason = f"from critical_rho = {critical:.4g} on the effect is not small any more; simulate_diagonal measures what happens"
    if descent.uneven > LARGEST_UNEVEN:
        fall[rho > 0] = np.nan
        reason = (
            f"no closed form for m = {min(setting.group, samples)} of {samples} samples: {descent.uneven:.0%} of the effect "
            "differs between coordinates; take a smaller m, or simulate_diagonal"
        )
    fall[~np.isfinite(fall)] = np.nan
    diversity = descent.at(fall, "diversity" if blocks == 1 else "apart")
    member = descent.at(fall, "member")
    known = {"diversity": diversity, "member_error": member, "ensemble_error": member - (1 - 1 / size) * diversity}
    known |= {"trace": descent.at(fall, "trace"), "training_loss": 0 * fall}
    reasons = dict.fromkeys((*known, "eir"), reason) | {"sharpness": _NO_KAPPA}
    return LearnedTradeoff.of(rho, critical_rho=critical, reasons=reasons, **known)
