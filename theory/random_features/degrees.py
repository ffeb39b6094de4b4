"""Degree at which the law of a random-feature member is resolved."""

from sharpdiv.theory.filters import power_degree

__all__ = ["law_degree"]


def law_degree(steps: int) -> int:
    """Degree for x q^{2k} and its resolvent, which is then good to 1e-6 for any k.

    Args:
        steps: k.

    Returns:
        Degree at which a law is to be resolved.

    Examples:
        >>> from sharpdiv.theory.random_features.degrees import law_degree
        >>> law_degree(10), law_degree(1000)
        (255, 771)
    """
    return max(255, power_degree(2 * steps) + 1)
