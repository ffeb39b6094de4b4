"""The random-feature problem: data, network and training, and the ensembles that fit it."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from sharpdiv.theory.errors import DomainError, require_finite, require_integer
from sharpdiv.theory.random_features.activations import ActivationName, activation

__all__ = ["FeatureData", "RandomFeatureSetting", "require_shape"]

_MOST_STEPS = 1000
"""The variance needs two-point functions on a grid that grows with the square root of the steps: 1 GB of memory here."""


@dataclass(frozen=True)
class RandomFeatureSetting:
    """Regression on random features: data, network and training.

    Raises:
        DomainError: if a number is outside its domain; the message names it.

    Examples:
        >>> from sharpdiv.theory.random_features.setting import RandomFeatureSetting
        >>> RandomFeatureSetting(d=100, teacher_norm=5.0).signal_variance
        0.25
    """

    n: int = 600
    """samples"""
    d: int = 300
    """dimensions of the data, whose entries are standard normal"""
    features: int = 400
    """p, random features: width of the hidden layer, drawn anew for each member"""
    activation: ActivationName = "relu"
    """activation of the hidden layer"""
    steps: int = 10
    """k, full-batch steps on the second layer, from 0"""
    learning_rate: float = 0.3
    """eta"""
    radius: float = 0.1
    """rho_0, l2 radius in which sharpness is the largest increase of the loss"""
    teacher_norm: float | None = None
    """|beta| of the target x'beta/sqrt(d); sqrt(d), a signal of variance 1, unless given"""
    label_noise: float = 0.0
    """s_e^2, variance of the noise on the training targets"""

    def __post_init__(self) -> None:
        for name in ("n", "d", "features"):
            require_integer(name, getattr(self, name), 1)
        activation(self.activation)
        require_integer("steps", self.steps, 0, _MOST_STEPS)
        require_finite("learning rate", self.learning_rate, positive=True)
        require_finite("radius", self.radius, positive=True)
        require_finite("label noise", self.label_noise)
        if self.teacher_norm is not None:
            require_finite("teacher norm", self.teacher_norm)
            require_finite("signal variance, the teacher norm's square over d", self.signal_variance)

    @property
    def signal_variance(self) -> float:
        """``|beta|^2 / d``, variance of the target without noise."""
        return 1.0 if self.teacher_norm is None else self.teacher_norm**2 / self.d


@dataclass(frozen=True)
class FeatureData:
    """Given data, for predictions conditional on them.

    Raises:
        DomainError: if shapes do not fit or a number is not finite.

    Examples:
        >>> import numpy as np
        >>> from sharpdiv.theory.random_features.setting import FeatureData
        >>> X, beta = np.random.default_rng(0).standard_normal((20, 5)), np.ones(5)
        >>> FeatureData(X, targets=X @ beta / np.sqrt(5), teacher=beta).inputs.shape
        (20, 5)
    """

    inputs: Float[np.ndarray, "n d"]
    """X, entries of about unit variance and mean 0"""
    targets: Float[np.ndarray, " samples"]
    """y, whatever they are: with label noise, if any"""
    teacher: Float[np.ndarray, " dimensions"]
    """beta; errors are against x'beta/sqrt(d) at new x ~ N(0, I_d)"""

    def __post_init__(self) -> None:
        n, d = self.inputs.shape
        if self.targets.shape != (n,) or self.teacher.shape != (d,):
            raise DomainError(
                f"inputs {self.inputs.shape} need targets ({n},) and a teacher ({d},), "
                f"got {self.targets.shape} and {self.teacher.shape}"
            )
        if not all(np.all(np.isfinite(values)) for values in (self.inputs, self.targets, self.teacher)):
            raise DomainError("inputs, targets and teacher must be finite")


def require_shape(setting: RandomFeatureSetting, data: FeatureData | None) -> None:
    """Accept given data of the setting's shape, or none.

    Args:
        setting: the problem.
        data: given data, if any.

    Raises:
        DomainError: if their shape is another.

    Examples:
        >>> import numpy as np
        >>> from sharpdiv.theory.random_features.setting import FeatureData, RandomFeatureSetting, require_shape
        >>> require_shape(RandomFeatureSetting(n=4, d=2), FeatureData(np.ones((4, 1)), np.ones(4), teacher=np.ones(1)))
        Traceback (most recent call last):
        ...
        sharpdiv.theory.errors.DomainError: inputs must have the setting's shape (4, 2), got (4, 1)
    """
    if data is not None and data.inputs.shape != (setting.n, setting.d):
        raise DomainError(f"inputs must have the setting's shape {(setting.n, setting.d)}, got {data.inputs.shape}")
