"""Exact limit of SharpBalance's sharpness by free subordination.

The full data's W is the sum of one block's ``W_i`` and the rest, which are free. Seen from the block, the resolvent of W at
mu is that of the block at ``om = mu - (r - r1)/(1 - G)``, G the Stieltjes transform of W:

    ``tau(f(W_i) (mu - W)^{-1}) = int f/(om - x)`` and ``tau(f(W_i) (mu - W)^{-1} f(W_j)) = (int f/(om - x))^2 / G``.

A gradient ``W P w*``, P the mean of the members' filters, needs ``tau(P W (mu - W)^{-1} W P)``, and ``W (mu - W)^{-1} W =
mu^2 (mu - W)^{-1} - mu - W``. The two largest terms in mu cancel, so they are removed by hand, with ``c = mu - om``:

    ``1/(om - x) = 1/mu + (x + c)/mu^2 + (x + c)^2/(mu^2 (om - x))``  and  ``1/G = mu - r/(1 - G)``.

Label noise adds ``sum_i (c_i W (1 - a(W_i)) W_i^{-1} - 1) A_i'noise_i`` to the gradient at ``sum_i c_i w_i``: a sum over
independent blocks of squares that take the same three forms, with ``(1-a)^2/x``, ``1 - a`` and x in place of ``a^2``.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float

from sharpdiv.theory.filters import Filter, integral
from sharpdiv.theory.setting import Setting
from sharpdiv.theory.spectra.base import Resolvent
from sharpdiv.theory.spectra.marchenko_pastur import MarchenkoPastur
from sharpdiv.theory.theorems.blocks import BlockMoments, q_exact
from sharpdiv.theory.theorems.sharpness import dual_sharpness

__all__ = ["BlockSharpness"]


@dataclass(frozen=True)
class BlockSharpness:
    """Sharpness of the full data's loss at weights made of members trained on blocks; isotropic data, in the limit.

    Examples:
        >>> import numpy as np
        >>> from sharpdiv.theory import MarchenkoPastur, Setting, Training, sam_tradeoff
        >>> from sharpdiv.theory.theorems.blocks import block_moments
        >>> from sharpdiv.theory.theorems.subordination import BlockSharpness
        >>> setting, untrained = Setting(steps=0), Training(0.01, np.zeros((1, 1)), 0)
        >>> moments = block_moments(setting, untrained, MarchenkoPastur(setting.ratio / 3), 3)
        >>> kappa = BlockSharpness(setting, untrained, moments).at_mean()
        >>> bool(np.allclose(kappa, sam_tradeoff(setting, 0.0).sharpness))  # without training blocks make no difference
        True
    """

    setting: Setting
    """the problem"""
    training: Filter
    """filter of one block's member"""
    moments: BlockMoments
    """moments of one block in the limit"""

    def at_mean(self) -> Float[np.ndarray, " rho"]:
        """At the mean over the ensemble's randomness, initializations included.

        Returns:
            kappa for each rho.
        """
        return self._kappa(1 / self.moments.blocks, self.setting.omega**2, 0.0)

    def at_ensemble(self, *, shared_init: bool) -> Float[np.ndarray, " rho"]:
        """At the mean of the s members; independent initializations leave ``sigma^2 d / s`` of their noise.

        Args:
            shared_init: whether all members start at the same weights, which then act like the teacher.

        Returns:
            kappa for each rho.
        """
        start = self.setting.init_variance * self.setting.d
        share = 1 / self.moments.blocks
        if shared_init:
            return self._kappa(share, self.setting.omega**2 + start, 0.0)
        return self._kappa(share, self.setting.omega**2, start * share)

    def at_member(self) -> Float[np.ndarray, " rho"]:
        """At a single member.

        Returns:
            kappa for each rho.
        """
        return self._kappa(1.0, self.setting.omega**2 + self.setting.init_variance * self.setting.d, 0.0)

    def _kappa(self, share: float, common: float, own: float) -> np.ndarray:
        """Sharpness at weights ``sum_i c_i w_i`` with ``sum_i c_i = 1``.

        Args:
            share: ``sum_i c_i^2``, 1/s at a mean of all and 1 at one member.
            common: squared norm of what all members have in common, the teacher.
            own: squared norm of the mean of what each has for itself, its initialization.

        Returns:
            kappa for each rho.
        """
        s, r1, m0, m1, _, q0, q1, q2 = self.moments
        full, block = MarchenkoPastur(self.setting.ratio), self._block
        resolvent, noise = self._resolvent, self.setting.label_noise * self.setting.d

        def value(gap: np.ndarray) -> np.ndarray:
            mu, G = full.largest + gap, full.stieltjes(gap)
            rest = r1 / (1 - G)  # r/(1 - G) is s of these, and c is s - 1
            c = (s - 1) * rest
            h = resolvent(mu - c - block.largest)
            once, twice = h[:, 1] + c * h[:, 0], h[:, 2] + c * (2 * h[:, 1] + c * h[:, 0])
            tail = rest * G
            b = m1 + c * m0 + twice[0]
            same = (s - 1) * tail * q0 + twice[1]
            cross = (s - 2) * tail * m0**2 + 2 * m0 * twice[0] + b**2 / mu
            cross = cross - 2 * s * rest * m0 * b / mu - s * rest * b**2 / mu**2
            total = (common * share + own) * same + common * (1 - share) * cross
            if noise:
                own_noise = (s - 1) * tail * self._learnt[0, 0] + twice[2]
                total = total + noise * (share * own_noise - 2 * once[3] + s * h[4, 0])
            return np.asarray(total)

        # The same at mu to infinity, where mu times the resolvent is the squared norm of the gradient.
        rest = (s - 1) * r1
        spread = q2 + 2 * rest * q1 + rest * (1 + rest) * q0
        mixed = (q_exact(*self.moments) - s * spread) / (s * (s - 1))
        squared = (common * share + own) * spread + common * (1 - share) * mixed
        if noise:
            learnt = self._learnt
            own_noise = learnt[0, 2] + 2 * rest * learnt[0, 1] + rest * (1 + rest) * learnt[0, 0]
            squared = squared + noise * (share * own_noise - 2 * (learnt[1, 1] + rest * learnt[1, 0]) + s * r1)
        return dual_sharpness(value, full.largest, squared, self.setting.radius)

    @property
    def _block(self) -> MarchenkoPastur:
        return MarchenkoPastur(self.moments.ratio, 4 * self.training.degree + 255)

    @cached_property
    def _resolvent(self) -> Resolvent:
        """``int f x^i / (om - x)``, i = 0, 1, 2, for f = a, a^2 and, with label noise, (1-a)^2/x, 1-a, x."""

        def functions(x: np.ndarray) -> np.ndarray:
            a = self.training.residual(x)
            parts = [a, a**2]
            if self.setting.label_noise:
                parts += [self.training.noise(x), self.training.learnt(x), np.broadcast_to(x, a.shape)]
            return np.asarray(np.stack(parts)[:, None] * x ** np.arange(3)[:, None, None])

        return self._block.resolvent(functions)

    @cached_property
    def _learnt(self) -> Float[np.ndarray, "2 3 rho"]:
        """``int f x^i`` for f = (1-a)^2/x and 1-a."""

        def functions(x: np.ndarray) -> np.ndarray:
            parts = np.stack([self.training.noise(x), self.training.learnt(x)])
            return np.asarray(parts[:, None] * x ** np.arange(3)[:, None, None])

        return integral(self._block, functions, 2 * self.training.degree + 2)
