"""Degrees at which polynomials of many steps are resolved."""

import numpy as np

__all__ = ["filter_degree", "law_degree"]


def filter_degree(power: int) -> int:
    """Degree that resolves q^power to rounding."""
    # Chebyshev coefficients of y^m beyond order j add up to 2 exp(-j^2 / 2m) at most, and y = q(x) doubles the degree.
    return 2 * min(power, int(np.ceil(8.6 * np.sqrt(power))))


def law_degree(steps: int) -> int:
    """Degree for x q^{2k} and its resolvent, which is then good to 1e-6 for any k."""
    return max(255, filter_degree(2 * steps) + 1)
