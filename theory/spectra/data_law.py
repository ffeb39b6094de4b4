"""Which law of W a setting means: the limit, the limit for a covariance, or the exact law at finite (n, d)."""

import numpy as np
from jaxtyping import Float

from sharpdiv.theory.errors import DomainError
from sharpdiv.theory.setting import Setting
from sharpdiv.theory.spectra.base import DataLaw
from sharpdiv.theory.spectra.covariance import GeneralizedMarchenkoPastur
from sharpdiv.theory.spectra.marchenko_pastur import MarchenkoPastur
from sharpdiv.theory.spectra.wishart import FiniteWishart

__all__ = ["data_law"]

_RESOLVENT_DEGREE = 255


def data_law(setting: Setting, *, covariance: Float[np.ndarray, " d"] | None = None, finite: bool = False) -> DataLaw:
    """Law of W = A'A with quadrature for all of the theorems' integrals at the setting's steps.

    Args:
        setting: the problem, of which n, d and steps count.
        covariance: eigenvalues of Sigma, rows of A being N(0, Sigma/d); their distribution counts, not their number.
        finite: whether to take the exact law at (n, d) instead of the limit; isotropic only, up to 41 steps.

    Returns:
        A law for ``sam_tradeoff`` and ``sharpbalance_tradeoff``.

    Raises:
        DomainError: if both a covariance and finite size are asked for, or the steps are too many for the finite law.

    Examples:
        >>> from sharpdiv.theory import Setting, data_law
        >>> data_law(Setting())
        MarchenkoPastur(ratio=20.0, degree=255)
        >>> data_law(Setting(n=40, d=20), finite=True)
        FiniteWishart(n=40, d=20, degree=14)
    """
    degree = 4 * setting.steps + 2  # squares of the residual filter, times x^2
    if finite:
        if covariance is not None:
            raise DomainError(
                "exact moments at finite (n, d) are known for isotropic data only; leave out the covariance"
            )
        return FiniteWishart(setting.n, setting.d, degree)
    degree = max(_RESOLVENT_DEGREE, 2 * degree)  # the published lower bound integrates fourth powers
    if covariance is not None:
        return GeneralizedMarchenkoPastur(setting.ratio, covariance, degree=degree)
    return MarchenkoPastur(setting.ratio, degree)
