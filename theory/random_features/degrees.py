"""Degrees at which polynomials of many steps are resolved."""

import numpy as np

__all__ = ["filter_degree", "law_degree"]


def filter_degree(power: int) -> int:
    """Degree that resolves q^power to rounding.

    Args:
        power: power of the one-step filter q.

    Returns:
        Degree of a polynomial in the eigenvalue.

    Example:
        >>> from sharpdiv.theory.random_features.degrees import filter_degree
        >>> filter_degree(10), filter_degree(10_000)
        (20, 1720)
    """
    # Chebyshev coefficients of y^m beyond order j add up to 2 exp(-j^2 / 2m) at most, and y = q(x) doubles the degree.
    return 2 * min(power, int(np.ceil(8.6 * np.sqrt(power))))


def law_degree(steps: int) -> int:
    """Degree for x q^{2k} and its resolvent, which is then good to 1e-6 for any k.

    Args:
        steps: k.

    Returns:
        Degree at which a law is to be resolved.

    Example:
        >>> from sharpdiv.theory.random_features.degrees import law_degree
        >>> law_degree(10), law_degree(1000)
        (255, 771)
    """
    return max(255, filter_degree(2 * steps) + 1)
