"""Optimizers on the quadratic problem, as records: each is the filter that its steps leave, and where they contract.

Three examples explain it. Gradient descent leaves ``a(x) = (1 - eta x)^k``: it is SAM at rho = 0. SAM leaves
``a(x) = (1 - eta x (1 + rho x))^k``, whatever the data's law. Normalized SAM divides rho by the gradient's norm, which the filter
of the steps before says: its filter depends on the law, and has a formula only while every step contracts.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from sharpdiv.registry import Registry
from sharpdiv.theory.errors import DomainError
from sharpdiv.theory.filters import Filter, Training, critical_rho, is_stable, sam_filter
from sharpdiv.theory.setting import Setting
from sharpdiv.theory.spectra.base import Spectrum
from sharpdiv.theory.theorems.normalized import OUTSIDE, is_valid, normalized_critical_rho, normalized_training

__all__ = ["OPTIMIZERS", "Optimizer", "optimizer_named"]


@dataclass(frozen=True, kw_only=True)
class Optimizer:
    """Full-batch steps behind an ascent that rho scales; theorems, tangent kernels and the simulation take any.

    Examples:
        >>> import numpy as np
        >>> from sharpdiv.theory import OPTIMIZERS, MarchenkoPastur, Setting
        >>> setting, rho = Setting(steps=2, learning_rate=0.25), np.array([0.0, 1.0])
        >>> trained = OPTIMIZERS["sam"].filter(setting, rho, MarchenkoPastur(2.0))
        >>> trained.residual(np.ones(1)).tolist()  # (1 - eta)^2 and (1 - 2 eta)^2
        [[0.5625], [0.25]]
    """

    name: str
    """value of ``optimizer``, and of the command line's ``--optimizer``"""
    label: str
    """name for people"""
    filter: Callable[[Setting, np.ndarray, Spectrum], Filter]
    """what the setting's steps leave at every rho, for the law of the W that a member trains on; NaN outside the domain"""
    critical_rho: Callable[[Setting, Spectrum], float | None]
    """rho at which contraction is lost, for a law with a largest eigenvalue; None where even rho = 0 does not contract"""
    stable: Callable[[Setting, np.ndarray, Spectrum], np.ndarray]
    """where, over rho, every direction but the null space contracts in every step"""
    step: Callable[[np.ndarray, np.ndarray, float, np.ndarray], tuple[np.ndarray, np.ndarray]]
    """one explicit step: from eigenvalues of one draw of W ``(d,)``, gradients in its eigenbasis ``(rho, inits, d)``, the learning
    rate and rho to what is added to the weights, and to a filter ``(rho, d)`` near to what the step does to an initialization:
    where it is not, squared means are too large by the variance of the difference over the number of initializations. Simulations
    take the steps, or the filter alone if it is exact"""
    linear: bool = False
    """whether that filter is exactly what a step does"""
    finite: bool = False
    """whether the filter is the same at finite (n, d)"""
    published: bool = False
    """whether the published bounds are about it"""
    outside: str = ""
    """why there is no formula where the filter is NaN"""


def optimizer_named(name: str) -> Optimizer:
    """An optimizer by its name.

    Args:
        name: Key of ``OPTIMIZERS``.

    Returns:
        The optimizer.

    Raises:
        DomainError: if there is none.

    Examples:
        >>> from sharpdiv.theory import MarchenkoPastur, Setting, optimizer_named
        >>> round(optimizer_named("sam").critical_rho(Setting(), MarchenkoPastur(20.0)), 4)
        0.1897
    """
    return OPTIMIZERS.named(name, DomainError)


def _sam(setting: Setting, rho: np.ndarray, _: Spectrum) -> Training:
    return Training(setting.learning_rate, rho[None], setting.steps)


def _sam_step(
    x: np.ndarray, gradient: np.ndarray, learning_rate: float, rho: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The gradient behind an ascent of rho times the gradient."""
    return -learning_rate * (gradient + rho[:, None, None] * x * gradient), sam_filter(x, learning_rate, rho)


def _normalized_step(
    x: np.ndarray, gradient: np.ndarray, learning_rate: float, rho: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The gradient behind an ascent of length rho."""
    norm = np.linalg.norm(gradient, axis=-1, keepdims=True)
    if not norm.all():
        raise DomainError("normalized SAM needs a gradient: an initialization is already a minimum")
    radius = rho[:, None, None] / norm
    step = -learning_rate * (gradient + radius * x * gradient)
    return step, sam_filter(x, learning_rate, radius.mean(axis=(1, 2)))


OPTIMIZERS = Registry(
    "optimizer",
    (
        Optimizer(
            name="sam",
            label="SAM, un-normalized",
            filter=_sam,
            critical_rho=lambda setting, law: critical_rho(law, setting.learning_rate),
            stable=lambda setting, rho, law: is_stable(law, setting.learning_rate, rho),
            step=_sam_step,
            linear=True,
            finite=True,
            published=True,
        ),
        Optimizer(
            name="normalized-sam",
            label="SAM with an ascent of fixed length",
            filter=normalized_training,
            critical_rho=normalized_critical_rho,
            stable=lambda setting, rho, law: is_valid(normalized_training(setting, rho, law)),
            step=_normalized_step,
            outside=OUTSIDE,
        ),
    ),
)
"""All optimizers by name."""
