"""Theorem 2: SharpBalance in theory, one SAM member on each of s disjoint row blocks of the data.

With ``m_j = phi(k, j)`` and ``q_j = phi(2k, j)`` at the blocks' ratio ``r1 = r/s``. Sharpness is that of the full
data's W at the mean of the members, where the gradient is ``-W (1/s) sum_i M_i^k w*``; ``Q = tau(|W sum_i M_i^k|^2)``
is its expected squared norm times ``s^2 / omega^2``.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from theory.errors import DomainError
from theory.filters import critical_rho, is_stable, phi, sam_filter
from theory.setting import Setting, check_blocks, rho_values
from theory.sharpness import dual_sharpness
from theory.spectrum import MarchenkoPastur
from theory.tradeoff import Tradeoff, improvement_rate

__all__ = ["BlockMoments", "block_moments", "q_exact", "q_paper", "sharpbalance_tradeoff"]


@dataclass(frozen=True)
class BlockMoments:
    """Moments of one block's filter that Theorem 2 is made of; arrays over rho."""

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


def block_moments(setting: Setting, rho: Float[np.ndarray, " rho"], blocks: int) -> BlockMoments:
    """Moments of a block of ``n / blocks`` rows in the Marchenko-Pastur limit.

    Returns:
        Arrays over rho.
    """
    spectrum = _block_spectrum(setting, blocks)
    k, eta = setting.steps, setting.learning_rate
    m0, m1, m2 = (phi(k, j, spectrum, eta, rho) for j in range(3))
    q0, q1, q2 = (phi(2 * k, j, spectrum, eta, rho) for j in range(3))
    return BlockMoments(blocks, spectrum.ratio, m0, m1, m2, q0, q1, q2)


def q_paper(moments: BlockMoments) -> Float[np.ndarray, " rho"]:
    """The published bound on ``tau(|W sum_i M_i^k|^2)``.

    Returns:
        Q for each rho.
    """
    s, r, m0, m1, m2 = moments.blocks, moments.ratio, moments.m0, moments.m1, moments.m2
    q0, q1, q2 = moments.q0, moments.q1, moments.q2
    return np.asarray(
        s * q2
        + s * (s - 1) * (2 * r * q1 + 2 * m2 * m0 + r * (1 + r) * q0 + 2 * m1**2)
        + s * (s - 1) * (s - 2) * (1.5 * r * (1 + r) * m0**2 + 1.5 * r**2 * q0 + 3 * r * m0 * m1)
        + s * (s - 1) * (s - 2) * (s - 3) * r**2 * m0**2
    )


def q_exact(moments: BlockMoments) -> Float[np.ndarray, " rho"]:
    """The exact limit of ``tau(|W sum_i M_i^k|^2)``, blocks being asymptotically free.

    ``q_paper - q_exact = s(s-1)(m1 - m0 r1)^2 + s(s-1)(s-2)/2 tau((r1 M^k - m0 W1)^2) >= 0``.

    Returns:
        Q for each rho.
    """
    s, r, m0, m1, m2 = moments.blocks, moments.ratio, moments.m0, moments.m1, moments.m2
    q0, q1, q2 = moments.q0, moments.q1, moments.q2
    return np.asarray(
        s * q2
        + s * (s - 1) * (2 * r * q1 + 2 * m2 * m0 + r * (1 + r) * q0 + m1**2 + 2 * m0 * m1 * r - m0**2 * r**2)
        + s * (s - 1) * (s - 2) * (r * (1 + r) * m0**2 + r**2 * q0 + 4 * r * m0 * m1)
        + s * (s - 1) * (s - 2) * (s - 3) * r**2 * m0**2
    )


def sharpbalance_tradeoff(
    setting: Setting, rho: float | tuple[float, ...] | Float[np.ndarray, " rho"], *, blocks: int
) -> Tradeoff:
    """Theorem 2 over a range of rho, with the exact limit of the sharpness beside the published bound.

    ``D = sigma^2 q_0 + (1 - 1/s)(omega^2/d)(q_0 - m_0^2)``. Errors are for one member per block with independent
    initialisations: ``member = (sigma^2 + omega^2/d) q_0`` and ``ensemble = member/s + (1 - 1/s)(omega^2/d) m_0^2``. At
    rho = 0 this is the control "gradient descent on disjoint blocks".

    Args:
        setting: the problem.
        rho: SAM radii.
        blocks: s, the number of row blocks and of members.

    Returns:
        Arrays over rho; there is no published lower bound.

    Raises:
        DomainError: if rho is negative or not finite, blocks do not fit the data, or the iteration overflows.
        ConvergenceError: if the secular equation of the sharpness was not solved.
    """
    rho = rho_values(rho)
    check_blocks(blocks, setting.n)
    if blocks < 2:
        raise DomainError(f"at least 2 blocks are needed, got {blocks}; one block is all the data")
    moments = block_moments(setting, rho, blocks)
    per_dimension = setting.omega**2 / setting.d
    q0, m0 = moments.q0, moments.m0
    member = (setting.init_variance + per_dimension) * q0
    ensemble = member / blocks + (1 - 1 / blocks) * per_dimension * m0**2
    largest = MarchenkoPastur(setting.ratio).largest
    spectrum = _block_spectrum(setting, blocks)
    root_q = np.sqrt(q_paper(moments))
    return Tradeoff(
        rho=rho,
        diversity=setting.init_variance * q0 + (1 - 1 / blocks) * per_dimension * (q0 - m0**2),
        sharpness=_sharpness_limit(setting, rho, moments),
        sharpness_lower=None,
        sharpness_upper=setting.radius**2 / 2 * largest + setting.radius * setting.omega / blocks * root_q,
        member_error=member,
        ensemble_error=ensemble,
        eir=improvement_rate(member, ensemble),
        stable=is_stable(spectrum, setting.learning_rate, rho),
        critical_rho=critical_rho(spectrum, setting.learning_rate),
    )


def _block_spectrum(setting: Setting, blocks: int) -> MarchenkoPastur:
    return MarchenkoPastur(setting.ratio / blocks, degree=max(1023, 2 * 2 * setting.steps + 2))


def _sharpness_limit(
    setting: Setting, rho: Float[np.ndarray, " rho"], moments: BlockMoments
) -> Float[np.ndarray, " rho"]:
    """Exact limit of kappa at the mean of the members, by free subordination.

    W is the sum of one member's block and the rest, which are free. With ``P = (1/s) sum_i M_i^k``, ``a = q^k`` and G
    the Stieltjes transform of W, the resolvent of W at mu is, seen from the block, that of the block at
    ``om = mu - (r - r1)/(1 - G)``:

        ``tau(P (mu - W)^{-1} P) = h2/s + (1 - 1/s) h^2/G``,  ``h = int a/(om - x)``,  ``h2 = int a^2/(om - x)``.

    The gradient's resolvent is ``tau(P W (mu - W)^{-1} W P)``, and ``W (mu - W)^{-1} W = mu^2 (mu - W)^{-1} - mu - W``.
    The two largest terms in mu cancel, so they are removed by hand, with ``c = mu - om``:

        ``1/(om - x) = 1/mu + (x + c)/mu^2 + (x + c)^2/(mu^2 (om - x))``  and  ``1/G = mu - r/(1 - G)``.

    Returns:
        kappa for each rho.
    """
    full, block = MarchenkoPastur(setting.ratio), _block_spectrum(setting, moments.blocks)
    s, r1 = moments.blocks, moments.ratio

    def resolvent(gap: np.ndarray, index: np.ndarray) -> np.ndarray:
        m0, m1, q0 = moments.m0[index], moments.m1[index], moments.q0[index]
        mu, G = full.largest + gap, full.stieltjes(gap)
        rest = r1 / (1 - G)  # r/(1 - G) is s of these, and c is s - 1
        c = (s - 1) * rest
        block_gap = mu - c - block.largest

        def shifted(power: int) -> np.ndarray:
            """Integral of ``a^power (x + c)^2 / (om - x)`` over a block's spectrum."""
            return block.cauchy(
                lambda x: (
                    sam_filter(x, setting.learning_rate, rho[index]) ** (power * setting.steps)
                    * (x + c[..., None]) ** 2
                ),
                block_gap,
            )

        e = shifted(1)
        b = m1 + c * m0 + e
        tail = r1 * G / (1 - G)
        same = (s - 1) * tail * q0 + shifted(2)
        cross = (s - 2) * tail * m0**2 + 2 * m0 * e + b**2 / mu - 2 * s * rest * m0 * b / mu - s * rest * b**2 / mu**2
        return np.asarray(setting.omega**2 / s * (same + (s - 1) * cross))

    total = setting.omega**2 / s**2 * q_exact(moments)
    return dual_sharpness(resolvent, full.largest, total, setting.radius)
