"""When a prediction and its Monte Carlo referee agree, and how both are shown."""

import numpy as np

from sharpdiv.checks.claim import Row, Verdict, number
from sharpdiv.checks.quantity import beside_theory
from sharpdiv.theory.estimate import Estimate

__all__ = ["FOUR_ERRORS", "Z", "agreement", "all_within", "largest", "standard_errors", "z_scores"]

Z = 4.0
"""Standard errors beyond which a difference counts."""
FOUR_ERRORS = "every |z| <= 4: with normal errors one comparison exceeds that once in 16,000 times"


def standard_errors(estimate: Estimate) -> np.ndarray:
    """Standard errors of a simulation of several draws.

    Returns:
        One for each rho.

    Raises:
        ValueError: if it was a single draw.
    """
    if estimate.stderr is None:
        raise ValueError("a z score needs the standard error of at least two draws")
    return estimate.stderr


def z_scores(estimate: Estimate, predicted: np.ndarray, allowance: float = 0.0) -> np.ndarray:
    """Distance of simulation from prediction in standard errors, after a relative allowance for finite size.

    Returns:
        One for each rho.
    """
    distance = np.maximum(np.abs(estimate.mean - predicted) - allowance * np.abs(predicted), 0)
    return np.asarray(distance / standard_errors(estimate))


def all_within(scores: np.ndarray | list[float]) -> Verdict:
    """Holds if every z score is small; a NaN is not.

    Returns:
        The verdict.
    """
    return Verdict.HOLDS if np.all(np.asarray(scores) <= Z) else Verdict.FAILS


def largest(scores: np.ndarray | list[float]) -> Row:
    """The worst z score as a line of the report.

    Returns:
        Label and value.
    """
    return ("largest |z|", number(np.max(scores), form=".2f"))


def agreement(
    label: str, rho: np.ndarray, estimate: Estimate, predicted: np.ndarray, draws: int | None = None
) -> list[Row]:
    """Prediction beside simulation, one line for each rho.

    Args:
        label: what is compared.
        rho: SAM's radii.
        estimate: by simulation.
        predicted: by theory.
        draws: independent ones of the simulation.

    Returns:
        Labels and values.
    """
    errors = estimate.stderr if estimate.stderr is not None else np.zeros_like(rho)
    return [
        (f"{label} at rho = {r:g}: theory, simulation", beside_theory(number(p), number(m, e), draws))
        for r, p, m, e in zip(rho, predicted, estimate.mean, errors, strict=True)
    ]
