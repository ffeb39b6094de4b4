"""The two-layer linear problem: data, network, SAM and what is measured."""

from dataclasses import dataclass, replace

from sharpdiv.theory.errors import DomainError, require_finite, require_integer

__all__ = ["TwoLayerSetting"]

_FITTED = 1e-3
"""Part of the loss of predicting 0 below which the theory takes the data for fitted: weights are then off by a few percent."""


@dataclass(frozen=True)
class TwoLayerSetting:
    """A network ``f(x) = a'Wx`` of random first and second layer that SAM trains on fewer samples than dimensions.

    Raises:
        DomainError: if a number is outside its domain; the message names it.

    Examples:
        >>> from sharpdiv.theory.feature_learning.two_layer.setting import TwoLayerSetting
        >>> setting = TwoLayerSetting(n=40, d=120, width=60, m=10)
        >>> setting.first_variance, setting.group, setting.null_dimensions  # 1/d, m, and d - n
        (0.008333333333333333, 10, 80)
    """

    n: int = 100
    """samples, fewer than d: every network interpolates them"""
    d: int = 300
    """dimensions of the data; test points are ``N(0, I_d)``"""
    width: int = 300
    """p, rows of W, the hidden units"""
    weight_variance: float | None = None
    """s_w^2, variance of the entries of W at first; 1/d, hidden units of variance 1, unless given"""
    output_variance: float | None = None
    """variance of the entries of a at first; 1/p, an output of variance ``d s_w^2``, unless given"""
    m: int | None = None
    """samples that share one ascent, a divisor of n (m-sharpness); n, full batch, unless given, and 1 is per-sample SAM"""
    learning_rate: float = 0.02
    """eta of the full-batch steps (descent averages over all samples, whatever m is)"""
    target_loss: float = 1e-8
    """training stops at the first step whose loss ``|f(X) - y|^2 / (2n)`` is not above it"""
    radius: float = 0.1
    """rho_0, l2 radius in which sharpness is the largest increase of the loss"""
    teacher_norm: float = 1.0
    """|beta|, whose direction is uniform: the target ``x'beta`` has this standard deviation"""
    label_noise: float = 0.0
    """s_e^2, variance of the noise on the training targets"""
    whitened: bool = True
    """rows of equal length that are orthogonal, ``XX' = d I``, in uniform directions; standard normal entries otherwise"""
    subtract_initial: bool = False
    """train and predict with ``f - f_0``, f_0 the network at first"""

    def __post_init__(self) -> None:
        require_integer("n", self.n, 1)
        require_integer("d", self.d, 2)
        require_integer("width", self.width, 1)
        if self.n >= self.d:
            raise DomainError(f"n must be below d = {self.d} for networks that interpolate, got {self.n}")
        if self.m is not None:
            require_integer("m", self.m, 1)
            if self.n % self.m:
                raise DomainError(f"m must divide n = {self.n} into groups of equal size, got {self.m}")
        for name in ("weight_variance", "output_variance"):
            if getattr(self, name) is not None:
                require_finite(name.replace("_", " "), getattr(self, name), positive=True)
        for name in ("learning_rate", "target_loss", "radius"):
            require_finite(name.replace("_", " "), getattr(self, name), positive=True)
        require_finite("teacher norm", self.teacher_norm, positive=True)
        require_finite("label noise", self.label_noise)
        loss = (self.teacher_norm**2 + self.label_noise) / 2
        if self.target_loss > _FITTED * loss:
            raise DomainError(
                f"target loss must be at most {_FITTED:g} of the loss {loss:g} of predicting 0, as networks are to fit the data, "
                f"got {self.target_loss:g}"
            )

    @property
    def first_variance(self) -> float:
        """``s_w^2``."""
        return 1 / self.d if self.weight_variance is None else self.weight_variance

    @property
    def second_variance(self) -> float:
        """Variance of the entries of a."""
        return 1 / self.width if self.output_variance is None else self.output_variance

    @property
    def group(self) -> int:
        """m, n if none was given."""
        return self.n if self.m is None else self.m

    @property
    def null_dimensions(self) -> int:
        """Dimensions that no sample shows, d - n."""
        return self.d - self.n

    @property
    def per_sample(self) -> float:
        """How far groups are from full batch, f = ``(n - m)/(m (n - 1))``: 0 there, and 1 for per-sample SAM."""
        return 0.0 if self.n == self.group else (self.n - self.group) / (self.group * (self.n - 1))

    def block(self, blocks: int) -> "TwoLayerSetting":
        """The problem of one member on one of disjoint blocks of the data.

        Args:
            blocks: s, a divisor of n; 1 for all the data.

        Returns:
            The setting with ``n / s`` samples; without a given m the block is one group.

        Raises:
            DomainError: if it does not divide n, or m does not divide the block.
        """
        require_integer("blocks", blocks, 1)
        if self.n % blocks:
            raise DomainError(f"blocks must divide n = {self.n}, got {blocks}: take another number of blocks")
        return replace(self, n=self.n // blocks)
