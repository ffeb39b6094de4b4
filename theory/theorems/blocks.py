"""Moments of disjoint row blocks, and Theorem 2's Q made of them: as published, in the limit, and at finite (n, d).

With ``m_j = int a x^j`` and ``q_j = int a^2 x^j`` over a block's law, a its residual filter (``phi(k, j)`` and ``phi(2k, j)``).
The gradient at the mean of the members is ``-W (1/s) sum_i a(W_i) w*``, and ``Q = tau(|W sum_i a(W_i)|^2)`` is its expected
squared norm times ``s^2 / omega^2``.
"""

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from sharpdiv.theory.errors import DomainError
from sharpdiv.theory.filters import Filter, Training, integral, sam_filter
from sharpdiv.theory.setting import Setting
from sharpdiv.theory.spectra.base import DataLaw

__all__ = ["BlockMoments", "block_moments", "q_exact", "q_finite", "q_paper"]


class BlockMoments(NamedTuple):
    """What Theorem 2's Q is made of; arrays over rho. ``q_paper(*moments)`` and ``q_exact(*moments)`` take it apart.

    Examples:
        >>> from sharpdiv.theory.theorems.blocks import BlockMoments, q_exact
        >>> untrained = BlockMoments(3, 2.0, m0=1.0, m1=2.0, m2=6.0, q0=1.0, q1=2.0, q2=6.0)  # a = 1
        >>> q_exact(*untrained)  # s^2 tau(W^2) = s^2 r (1 + r) at r = s r1
        378.0
    """

    blocks: int
    """s"""
    ratio: float
    """r1 = n / (s d), the ratio of one block"""
    m0: Float[np.ndarray, " rho"]
    """phi(k, 0)"""
    m1: Float[np.ndarray, " rho"]
    """phi(k, 1)"""
    m2: Float[np.ndarray, " rho"]
    """phi(k, 2)"""
    q0: Float[np.ndarray, " rho"]
    """phi(2k, 0)"""
    q1: Float[np.ndarray, " rho"]
    """phi(2k, 1)"""
    q2: Float[np.ndarray, " rho"]
    """phi(2k, 2)"""


def block_moments(setting: Setting, training: Filter, law: DataLaw, blocks: int) -> BlockMoments:
    """Moments of a block's filter.

    Args:
        setting: the problem.
        training: filter of one block's member.
        law: law of one block's W.
        blocks: s.

    Returns:
        Arrays over rho.

    Examples:
        >>> import numpy as np
        >>> from sharpdiv.theory import MarchenkoPastur, Setting, Training
        >>> from sharpdiv.theory.theorems.blocks import block_moments
        >>> step = Training(0.1, np.zeros((1, 1)), 1)
        >>> block_moments(Setting(n=600, d=100), step, MarchenkoPastur(2.0), 3).m0.round(6).tolist()  # 1 - eta r1
        [0.8]
    """

    def moments(power: int) -> Float[np.ndarray, "3 rho"]:
        def function(x: np.ndarray) -> np.ndarray:
            return np.asarray(training.residual(x) ** power * x ** np.arange(3)[:, None, None])

        return integral(law, function, power * training.degree + 2)

    return BlockMoments(blocks, setting.ratio / blocks, *moments(1), *moments(2))


def q_paper(s: Any, r: Any, m0: Any, m1: Any, m2: Any, q0: Any, q1: Any, q2: Any) -> Any:
    """The published bound on ``tau(|W sum_i a(W_i)|^2)``; plain arithmetic, for arrays and for symbols.

    Args:
        s: number of blocks.
        r: r1, the ratio of one block.
        m0: phi(k, 0).
        m1: phi(k, 1).
        m2: phi(k, 2).
        q0: phi(2k, 0).
        q1: phi(2k, 1).
        q2: phi(2k, 2).

    Returns:
        Q.

    Examples:
        >>> from sharpdiv.theory.theorems.blocks import q_exact, q_paper
        >>> untrained = (3, 2.0, 1.0, 2.0, 6.0, 1.0, 2.0, 6.0)  # three blocks at r1 = 2 and a = 1
        >>> q_paper(*untrained) - q_exact(*untrained)  # s (s - 1) (s - 2) / 2 times the variance r1 of W_1
        6.0
    """
    return (
        s * q2
        + s * (s - 1) * (2 * r * q1 + 2 * m2 * m0 + r * (1 + r) * q0 + 2 * m1**2)
        + s * (s - 1) * (s - 2) * (1.5 * r * (1 + r) * m0**2 + 1.5 * r**2 * q0 + 3 * r * m0 * m1)
        + s * (s - 1) * (s - 2) * (s - 3) * r**2 * m0**2
    )


def q_exact(s: Any, r: Any, m0: Any, m1: Any, m2: Any, q0: Any, q1: Any, q2: Any) -> Any:
    """The exact limit of ``tau(|W sum_i a(W_i)|^2)``, blocks being asymptotically free; derived in ``symbolic``.

    ``q_paper - q_exact = s(s-1)(m1 - m0 r1)^2 + s(s-1)(s-2)/2 tau((r1 a(W_1) - m0 W_1)^2) >= 0``.

    Args:
        s: number of blocks.
        r: r1, the ratio of one block.
        m0: phi(k, 0).
        m1: phi(k, 1).
        m2: phi(k, 2).
        q0: phi(2k, 0).
        q1: phi(2k, 1).
        q2: phi(2k, 2).

    Returns:
        Q.

    Examples:
        >>> import sympy
        >>> from sharpdiv.theory.theorems.blocks import q_exact
        >>> q_exact(1, *sympy.symbols("r1 m0 m1 m2 q0 q1 q2"))  # one block: tau(W^2 a^2)
        q2
    """
    return (
        s * q2
        + s * (s - 1) * (2 * r * q1 + 2 * m2 * m0 + r * (1 + r) * q0 + m1**2 + 2 * m0 * m1 * r - m0**2 * r**2)
        + s * (s - 1) * (s - 2) * (r * (1 + r) * m0**2 + r**2 * q0 + 4 * r * m0 * m1)
        + s * (s - 1) * (s - 2) * (s - 3) * r**2 * m0**2
    )


def q_finite(moments: BlockMoments, training: Training, law: DataLaw, d: int) -> Float[np.ndarray, " rho"]:
    """The exact ``E tau(|W sum_i a(W_i)|^2)`` at finite (n, d), un-normalized SAM on equal blocks.

    As ``q_exact``, with exact moments, ``E tau(W_1^2) = r1 (1 + r1) + r1/d``, and for two blocks in cross order
    ``T = ((d-2) m1^2 + 2 d^2 J m1 - d^2 J^2) / ((d-1)(d+2))``, ``J = E tau(W_1) tau(a(W_1)) = r1 m0 + (2/d^2) E tau(W_1 a'(W_1))``:
    the mean over a uniform rotation of one block against the other.

    Args:
        moments: moments of one block at finite (n/s, d).
        training: filter of one block's member, with the same rho in all steps.
        law: law of one block's W at finite (n/s, d).
        d: dimensions, at least 2.

    Returns:
        Q for each rho.

    Raises:
        DomainError: if d is 1, where blocks cannot be rotated against each other.

    Examples:
        >>> import numpy as np
        >>> from sharpdiv.theory import FiniteWishart, Setting, Training
        >>> from sharpdiv.theory.theorems.blocks import block_moments, q_finite
        >>> untrained, law = Training(0.1, np.zeros((1, 1)), 0), FiniteWishart(60, 10).blocks(3)
        >>> moments = block_moments(Setting(n=60, d=10), untrained, law, 3)
        >>> q_finite(moments, untrained, law, 10).round(6).tolist()  # s^2 E tau(W^2) = 9 (r (1 + r) + r/d) at r = 6
        [383.4]
    """
    if d < 2:
        raise DomainError("the exact Q needs d >= 2: in one dimension blocks commute")
    s, r, m0, m1, m2, q0, q1, q2 = moments
    eta, rho, k = training.learning_rate, training.radii[0], training.repeats

    def slope(x: np.ndarray) -> np.ndarray:
        """``x a'(x)`` of ``a = q^k``."""
        q = sam_filter(x, eta, rho)
        return np.asarray(-k * q ** max(k - 1, 0) * eta * x * (1 + 2 * rho[:, None] * x))

    mean_square = r * (1 + r) + r / d
    J = r * m0 + 2 / d**2 * integral(law, slope, training.degree)
    T = ((d - 2) * m1**2 + 2 * d**2 * J * m1 - d**2 * J**2) / ((d - 1) * (d + 2))
    return np.asarray(
        s * q2
        + s * (s - 1) * (2 * r * q1 + 2 * m2 * m0 + mean_square * q0 + m1**2 + T)
        + s * (s - 1) * (s - 2) * (mean_square * m0**2 + r**2 * q0 + 4 * r * m0 * m1)
        + s * (s - 1) * (s - 2) * (s - 3) * r**2 * m0**2
    )
