"""The diagonal network's problem: data, teacher, initialization and training, and the ensembles that fit it."""

from dataclasses import dataclass

from sharpdiv.theory.errors import DomainError, require_finite, require_integer

__all__ = ["DiagonalSetting", "group_strength"]

_WIDEST = 2.0
"""exp(4 * 2) is how much a typical alpha^2 differs from the median there; the mean's quadrature holds to about here."""


@dataclass(frozen=True)
class DiagonalSetting:
    """Regression with ``f(x) = x'beta``, ``beta = w_+^2 - w_-^2`` elementwise, on n samples in d > n dimensions.

    A member starts at ``w_+ = w_- = alpha_i``, its own positive ``log alpha_ij ~ N(log alpha, spread^2)`` for each coordinate,
    and minimizes ``|X beta - y|^2 / (2n)`` to zero. Rows of X are ``N(0, I_d/d)``, as in ``sharpdiv.theory.Setting``. With data
    of that scale the trace of the Hessian is of order 1, its eigenvalues of order 1/n, and rho of per-sample ascent acts through
    ``rho x trace``: its unit is the inverse of the trace.

    Raises:
        DomainError: if a number is outside its domain; the message names it.

    Examples:
        >>> from sharpdiv.theory.feature_learning.diagonal.setting import DiagonalSetting
        >>> setting = DiagonalSetting(n=50, d=200, teacher_norm=10.0)
        >>> setting.ratio, setting.signal_variance, setting.group
        (0.25, 0.5, 1)
    """

    n: int = 100
    """samples, fewer than dimensions"""
    d: int = 300
    """dimensions"""
    alpha: float = 0.3
    """median of the initial weights"""
    spread: float = 0.5
    """standard deviation of the logarithm of the initial weights, over members and coordinates; what members differ by"""
    density: float = 1.0
    """share of the teacher's coordinates that are not 0; those are normal"""
    teacher_norm: float | None = None
    """|beta*|; sqrt(d), a signal of variance 1, unless given"""
    label_noise: float = 0.0
    """s_e^2, variance of the noise on the training targets"""
    m: int | None = 1
    """samples that share one ascent: 1 is per-sample SAM; None, all of them (full batch)"""
    learning_rate: float = 2.0
    """eta; predictions are for the flow, its limit at 0"""
    radius: float = 0.1
    """rho_0, l2 radius in which sharpness is the largest increase of the loss"""

    def __post_init__(self) -> None:
        require_integer("n", self.n, 2)
        require_integer("d", self.d, 2)
        if self.n >= self.d:
            raise DomainError(f"n must be below d = {self.d}, so that many weights fit the data, got {self.n}")
        require_finite("alpha", self.alpha, positive=True)
        require_finite("spread", self.spread)
        if self.spread > _WIDEST:
            raise DomainError(f"spread must be at most {_WIDEST}, got {self.spread}")
        require_finite("density", self.density, positive=True)
        if self.density > 1:
            raise DomainError(f"density is a share and must be at most 1, got {self.density}")
        require_finite("label noise", self.label_noise)
        require_finite("learning rate", self.learning_rate, positive=True)
        require_finite("radius", self.radius, positive=True)
        if self.teacher_norm is not None:
            require_finite("teacher norm", self.teacher_norm, positive=True)
        _require_group(self.m, self.n)

    @property
    def ratio(self) -> float:
        """Delta = n/d, below 1."""
        return self.n / self.d

    @property
    def signal_variance(self) -> float:
        """``|beta*|^2 / d``, variance of the target without noise."""
        return 1.0 if self.teacher_norm is None else self.teacher_norm**2 / self.d

    @property
    def group(self) -> int:
        """Samples that share one ascent."""
        return self.n if self.m is None else self.m

    def block_samples(self, blocks: int) -> int:
        """Samples of one member on one of disjoint blocks of the data.

        Args:
            blocks: s, a divisor of n; 1 for all the data.

        Returns:
            n / s.

        Raises:
            DomainError: if that is a single sample, or m does not divide it.
        """
        samples = self.n // blocks
        if samples < 2:
            raise DomainError(f"blocks must have at least 2 of the n = {self.n} samples each, got {blocks} blocks")
        _require_group(self.m, samples)
        return samples


def _require_group(m: int | None, samples: int) -> None:
    if m is None:
        return
    require_integer("m", m, 1)
    if samples % m:
        raise DomainError(f"m must divide the {samples} samples of a member, got {m}")


def group_strength(samples: int, group: int) -> tuple[float, float]:
    """How strongly SAM with groups acts through single samples and through their mean.

    Over random partitions of n samples into groups of m, a coordinate of the group gradients has the mean square
    ``f P + (1 - f) g^2``, where P is the mean square over samples, g the mean and ``f = (n - m) / (m (n - 1))``.

    Args:
        samples: n.
        group: m, from 1 to n.

    Returns:
        f and 1 - f.

    Examples:
        >>> from sharpdiv.theory.feature_learning.diagonal.setting import group_strength
        >>> group_strength(9, 1), group_strength(9, 9), group_strength(9, 3)
        ((1.0, 0.0), (0.0, 1.0), (0.25, 0.75))
    """
    strength = (samples - group) / (group * (samples - 1))
    return strength, 1 - strength
