"""What both theorems say of one member: which laws fit, and what its error at a test point is made of."""

import numpy as np
from jaxtyping import Float

from sharpdiv.theory.errors import DomainError, require_finite
from sharpdiv.theory.filters import Filter, integral
from sharpdiv.theory.optimizers import Optimizer
from sharpdiv.theory.setting import Setting
from sharpdiv.theory.spectra.base import Spectrum
from sharpdiv.theory.spectra.covariance import GeneralizedMarchenkoPastur
from sharpdiv.theory.spectra.wishart import FiniteWishart

__all__ = ["check_law", "error_parts", "squared_bias"]


def check_law(setting: Setting, law: Spectrum, teacher: Float[np.ndarray, " d"] | None, optimizer: Optimizer) -> None:
    """Accept a law that fits the setting, the teacher and the optimizer.

    Args:
        setting: the problem.
        law: law of W.
        teacher: squared coordinates of w* in Sigma's eigenbasis, if any.
        optimizer: optimizer of every member.

    Raises:
        DomainError: if a finite law is at another (n, d), the optimizer has no formula there, or a teacher fits no covariance, or
            is given to an optimizer whose filter depends on the gradient.

    Examples:
        >>> from sharpdiv.theory import FiniteWishart, Setting, optimizer_named
        >>> from sharpdiv.theory.theorems.member import check_law
        >>> check_law(Setting(n=40, d=10), FiniteWishart(80, 10), None, optimizer_named("sam"))
        Traceback (most recent call last):
        ...
        sharpdiv.theory.errors.DomainError: the law is at (n, d) = (80, 10), the setting at (40, 10)
    """
    if teacher is not None:
        require_finite("squared coordinates of the teacher", teacher.tolist())
        if not isinstance(law, GeneralizedMarchenkoPastur) or teacher.shape != law.covariance.shape:
            raise DomainError("a teacher's coordinates need a covariance with as many eigenvalues")
        if not teacher.any():
            raise DomainError("the teacher's coordinates must not all be zero")
        if not optimizer.finite:
            raise DomainError(
                f"the filter of {optimizer.name} depends on the gradient, which is solved for a teacher of uniform direction; "
                "leave the teacher's coordinates out"
            )
    if isinstance(law, FiniteWishart):
        if (law.n, law.d) != (setting.n, setting.d):
            raise DomainError(f"the law is at (n, d) = ({law.n}, {law.d}), the setting at ({setting.n}, {setting.d})")
        if not optimizer.finite:
            raise DomainError(f"{optimizer.name} is solved in the limit only; leave out the finite law")


def squared_bias(law: Spectrum, training: Filter, teacher: Float[np.ndarray, " d"] | None) -> Float[np.ndarray, " rho"]:
    """``w*'a(W) Sigma a(W) w* / |w*|^2``: the part of the teacher that is not learnt.

    Args:
        law: law of the W that a member trains on.
        training: filter of a member.
        teacher: squared coordinates of w* in Sigma's eigenbasis; a uniform direction unless given.

    Returns:
        One value for each rho.

    Examples:
        >>> import numpy as np
        >>> from sharpdiv.theory import EmpiricalSpectrum, Training
        >>> from sharpdiv.theory.theorems.member import squared_bias
        >>> step = Training(0.5, np.zeros((1, 1)), 1)
        >>> squared_bias(EmpiricalSpectrum([0.0, 1.0]), step, None).tolist()  # mean of 1 and (1 - 1/2)^2
        [0.625]
    """
    if teacher is None or not isinstance(law, GeneralizedMarchenkoPastur):
        return integral(law.at_test, lambda x: training.residual(x) ** 2, 2 * training.degree)
    return law.quadratic(training.residual, teacher / teacher.sum(), training.resolved_degree)


def error_parts(
    setting: Setting, training: Filter, law: Spectrum, teacher: Float[np.ndarray, " d"] | None
) -> tuple[Float[np.ndarray, " rho"], Float[np.ndarray, " rho"], Float[np.ndarray, " rho"]]:
    """What is left of the initialization, ``sigma^2 T2``, of the teacher, beta, and of the label noise, ``s_e^2 psi``.

    Args:
        setting: the problem.
        training: filter of a member.
        law: law of the W that it trains on.
        teacher: squared coordinates of w* in Sigma's eigenbasis; a uniform direction unless given.

    Returns:
        The three parts of a member's error for each rho.

    Examples:
        >>> import numpy as np
        >>> from sharpdiv.theory import MarchenkoPastur, Setting, Training
        >>> from sharpdiv.theory.theorems.member import error_parts
        >>> setting, untrained = Setting(init_variance=0.1, label_noise=1.0), Training(0.01, np.zeros((1, 1)), 0)
        >>> [round(float(part[0]), 6) for part in error_parts(setting, untrained, MarchenkoPastur(20.0), None)]
        [0.1, 0.1, 0.0]
    """
    start = setting.init_variance * integral(law.at_test, lambda x: training.residual(x) ** 2, 2 * training.degree)
    bias = setting.omega**2 / setting.d * squared_bias(law, training, teacher)
    noise = setting.label_noise * integral(law.at_test, training.noise, 2 * training.degree)
    return start, bias, noise
