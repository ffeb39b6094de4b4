"""Activations and the constants of their Gaussian equivalent."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
from scipy.special import erf

from sharpdiv.theory.errors import DomainError

__all__ = ["Activation", "ActivationName", "activation"]

ActivationName = Literal["relu", "erf", "tanh", "linear"]


@dataclass(frozen=True)
class Activation:
    """An activation and the constants of its Gaussian equivalent.

    Examples:
        >>> from sharpdiv.theory.random_features.activations import Activation
        >>> square = Activation(lambda u: u**2, mu0=1.0, mu1=0.0, mu_star_squared=2.0)  # E g^4 = 3
        >>> square.mu0**2 + square.mu1**2 + square.mu_star_squared
        3.0
    """

    function: Callable[[np.ndarray], np.ndarray]
    """the activation, elementwise"""
    mu0: float
    """E act(g), g standard normal"""
    mu1: float
    """E g act(g), the linear part"""
    mu_star_squared: float
    """E act(g)^2 - mu0^2 - mu1^2, the nonlinear part that acts as noise"""


@lru_cache
def activation(name: str) -> Activation:
    """Constants of an activation, in closed form where there is one.

    Args:
        name: ``relu``, ``erf``, ``tanh`` or ``linear``; ``erf`` is ``erf(u)``, not a rescaled one.

    Returns:
        The activation.

    Raises:
        DomainError: if the name is unknown.

    Examples:
        >>> from sharpdiv.theory.random_features.activations import activation
        >>> relu = activation("relu")
        >>> round(float(relu.mu0**2 + relu.mu1**2 + relu.mu_star_squared), 6)  # E relu(g)^2
        0.5
    """
    if name == "relu":
        return Activation(lambda u: np.maximum(u, 0), 1 / np.sqrt(2 * np.pi), 0.5, 0.25 - 0.5 / np.pi)
    if name == "erf":
        mu1 = 2 / np.sqrt(3 * np.pi)
        return Activation(erf, 0.0, mu1, 2 / np.pi * np.arcsin(2 / 3) - mu1**2)
    if name == "linear":
        return Activation(lambda u: u, 0.0, 1.0, 0.0)
    if name == "tanh":
        g, weights = np.polynomial.hermite_e.hermegauss(200)
        weights /= weights.sum()
        mu1 = float(weights @ (g * np.tanh(g)))
        return Activation(np.tanh, 0.0, mu1, float(weights @ np.tanh(g) ** 2) - mu1**2)
    raise DomainError(f"activation must be relu, erf, tanh or linear, got {name!r}")
