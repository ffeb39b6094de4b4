"""Two methods at equal sharpness: is SharpBalance's ensemble the more diverse one, and where can the question be asked at all?

Sharpness is convex in rho: it falls, turns once at most, and rises until SAM is unstable. So a sharpness may belong to two
values of rho, or to none, and a comparison has to say which part of a curve it reads.
"""

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from jaxtyping import Bool, Float, Int

from sharpdiv.theory.errors import DomainError, require_finite
from sharpdiv.theory.filters import critical_rho
from sharpdiv.theory.setting import Setting, check_blocks
from sharpdiv.theory.spectra.data_law import data_law
from sharpdiv.theory.theorems.sam import sam_tradeoff
from sharpdiv.theory.theorems.sharpbalance import sharpbalance_tradeoff
from sharpdiv.theory.theorems.tradeoff import Tradeoff

__all__ = ["Comparison", "Regime", "compare", "diversity_at", "interpolate", "largest_diversity_at"]

_SAMPLES = 200
"""Values of rho along a curve, close enough for straight lines between them."""
_STEP = 1e-5
"""Of a one-sided difference, in critical rho: its error moves a turning point by about as much."""
_ROUNDING = 1e-12
"""Of kappa; a smaller rise is none."""


def interpolate(
    kappa: Float[np.ndarray, " rho"], diversity: Float[np.ndarray, " rho"], at: Float[np.ndarray, " points"]
) -> Float[np.ndarray, " points"]:
    """Diversity at given sharpness on the part of a curve along which sharpness falls from its start.

    Args:
        kappa: sharpness along the curve; the curve ends before a NaN.
        diversity: diversity along the curve, at the same points.
        at: sharpness asked for.

    Returns:
        Diversity, NaN outside the range of that part.

    Examples:
        >>> import numpy as np
        >>> from sharpdiv.theory.theorems.comparison import interpolate
        >>> kappa, diversity = np.array([3.0, 2.0, 2.5]), np.array([1.0, 2.0, 5.0])  # sharpness rises at the end
        >>> interpolate(kappa, diversity, np.array([2.5, 4.0])).tolist()
        [1.5, nan]
    """
    falls = kappa[1:] <= kappa[:-1] * (1 + _ROUNDING)  # false next to a NaN
    end = 1 + int(np.argmin(np.append(falls, False)))
    inside = np.interp(at, kappa[:end][::-1], diversity[:end][::-1], left=np.nan, right=np.nan)
    return np.asarray(inside + 0 * kappa[0])  # NaN if there is no first point


def diversity_at(curve: Tradeoff, sharpness: Float[np.ndarray, " points"]) -> Float[np.ndarray, " points"]:
    """Diversity of a curve at given sharpness, on the part along which sharpness falls from its start.

    Args:
        curve: a prediction over increasing rho.
        sharpness: sharpness asked for.

    Returns:
        Diversity, NaN outside the range of that part and where the curve's sharpness has no formula.

    Examples:
        >>> import numpy as np
        >>> from sharpdiv.theory import Setting, sam_tradeoff
        >>> from sharpdiv.theory.theorems.comparison import diversity_at
        >>> curve = sam_tradeoff(Setting(), (0.0, 0.05, 0.1))
        >>> bool(np.allclose(diversity_at(curve, curve.sharpness), curve.diversity))
        True
    """
    return interpolate(curve.sharpness, curve.diversity, sharpness)


def largest_diversity_at(curve: Tradeoff, sharpness: Float[np.ndarray, " points"]) -> Float[np.ndarray, " points"]:
    """Largest diversity that a curve has at given sharpness, on any of its parts.

    Args:
        curve: a prediction at two values of rho or more, in their order.
        sharpness: sharpness asked for.

    Returns:
        Diversity, NaN where no part of the curve has this sharpness.

    Examples:
        >>> import numpy as np
        >>> from sharpdiv.theory import Setting, sam_tradeoff
        >>> from sharpdiv.theory.theorems.comparison import diversity_at, largest_diversity_at
        >>> curve = sam_tradeoff(Setting(), np.linspace(0, 1, 50))  # sharpness falls, then rises
        >>> kappa = curve.sharpness[10:11]
        >>> bool(largest_diversity_at(curve, kappa) >= diversity_at(curve, kappa) * (1 - 1e-12))  # up to rounding
        True
    """
    kappa, diversity = curve.sharpness, curve.diversity
    with np.errstate(divide="ignore", invalid="ignore"):
        share = (sharpness[:, None] - kappa[:-1]) / np.diff(kappa)
        crossing = diversity[:-1] + share * np.diff(diversity)
    largest = np.where((share >= 0) & (share <= 1), crossing, -np.inf).max(axis=1)
    return np.where(np.isfinite(largest), largest, np.nan)


class Regime(IntEnum):
    """What a comparison at equal sharpness says at one value of SharpBalance's rho.

    Examples:
        >>> import numpy as np
        >>> from sharpdiv.theory import Setting
        >>> from sharpdiv.theory.theorems.comparison import Regime, compare
        >>> found = compare(Setting(), np.array([0.1, 0.9, 1.1]), blocks=3)
        >>> [Regime(value).name for value in found.regime]
        ['NO_OVERLAP', 'SHARPBALANCE', 'UNSTABLE']
    """

    SHARPBALANCE = 0
    """SharpBalance is more diverse than every stable SAM of equal sharpness"""
    SAM = 1
    """a stable SAM of equal sharpness is at least as diverse"""
    NO_OVERLAP = 2
    """no stable SAM has this sharpness"""
    UNSTABLE = 3
    """SharpBalance is not stable"""


@dataclass(frozen=True)
class Comparison:
    """SharpBalance against stable SAM with the same learning rate and steps; every array has shape ``(rho,)``.

    Examples:
        >>> import numpy as np
        >>> from sharpdiv.theory import Setting
        >>> from sharpdiv.theory.theorems.comparison import compare
        >>> found = compare(Setting(), np.array([0.9, 1.1]), blocks=3)
        >>> found.ratio.round(2).tolist()  # beyond its critical rho there is nothing to compare
        [2.23, nan]
    """

    rho: Float[np.ndarray, " rho"]
    """values of SharpBalance's rho"""
    regime: Int[np.ndarray, " rho"]
    """values of ``Regime``"""
    ratio: Float[np.ndarray, " rho"]
    """SharpBalance's diversity over the largest of a stable SAM of equal sharpness; NaN where there is none"""
    reversed: Bool[np.ndarray, " rho"]
    """whether more rho moves SharpBalance's sharpness and diversity in opposite directions, so that there is no trade-off"""


def compare(setting: Setting, share: Float[np.ndarray, " rho"], *, blocks: int) -> Comparison:
    """SharpBalance at some rho against all stable SAM.

    Args:
        setting: the problem, stable at rho = 0.
        share: SharpBalance's rho in units of its own critical rho, that of the blocks' law.
        blocks: s.

    Returns:
        One regime for each rho.

    Raises:
        DomainError: if a share is negative or not finite, blocks do not fit the data, or gradient descent is not stable.

    Examples:
        >>> import numpy as np
        >>> from sharpdiv.theory import Setting
        >>> from sharpdiv.theory.theorems.comparison import compare
        >>> found = compare(Setting(n=300, d=150), np.array([0.1, 0.5, 0.9]), blocks=3)
        >>> (found.ratio > 1).tolist()  # SharpBalance is the more diverse one
        [True, True, True]
    """
    require_finite("share of the critical rho", share.tolist())
    check_blocks(blocks, setting.n)
    law = data_law(setting)
    of_sam, of_blocks = (critical_rho(part, setting.learning_rate) for part in (law, law.blocks(blocks)))
    if of_sam is None or of_blocks is None:
        raise DomainError(
            f"no SAM is stable: eta x_max must be below 2, got {setting.learning_rate * law.largest:g}; lower the learning rate"
        )
    sam = sam_tradeoff(setting, np.linspace(0, of_sam, _SAMPLES))
    balance = sharpbalance_tradeoff(setting, np.append(share, share + _STEP) * of_blocks, blocks=blocks)
    kappa, further_kappa = np.split(balance.sharpness, 2)
    diversity, further_diversity = np.split(balance.diversity, 2)
    stable = share < 1
    ratio = np.where(stable, diversity / largest_diversity_at(sam, kappa), np.nan)
    ordering = np.where(ratio > 1, Regime.SHARPBALANCE, Regime.SAM)
    return Comparison(
        rho=share * of_blocks,
        regime=np.select([~stable, np.isnan(ratio)], [Regime.UNSTABLE, Regime.NO_OVERLAP], ordering),
        ratio=ratio,
        reversed=stable & ((further_kappa - kappa) * (further_diversity - diversity) < 0),
    )
