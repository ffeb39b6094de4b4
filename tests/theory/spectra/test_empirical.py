"""Laws of the spectral measure of a given matrix."""

import numpy as np
import pytest
from hypothesis import strategies as st

from sharpdiv.theory.errors import DomainError
from sharpdiv.theory.spectra.empirical import EmpiricalSpectrum
from tests.laws import Mutation, law

seeds = st.integers(0, 10_000)


def random_matrix(seed: int, n: int = 7, d: int = 5) -> np.ndarray:
    data = np.random.default_rng(seed).standard_normal((n, d)) / np.sqrt(d)
    return data.T @ data


@law(
    Mutation(
        "weights 1/(d-1)", "sharpdiv.theory.spectra.empirical.np.full", lambda f: lambda n, v: f(n, v * n / (n - 1))
    ),
    seed=seeds,
    power=st.integers(0, 5),
)
def test_empirical_integral_is_a_trace(seed: int, power: int) -> None:
    matrix = random_matrix(seed)
    spectrum = EmpiricalSpectrum(np.linalg.eigvalsh(matrix))
    trace = np.trace(np.linalg.matrix_power(matrix, power)) / 5
    assert float(spectrum.integrate(lambda x: x**power)) == pytest.approx(trace, rel=1e-10)


@law(
    Mutation("unsorted weights", "sharpdiv.theory.spectra.empirical.np.argsort", lambda f: lambda x: f(x)[::-1]),
    seed=seeds,
)
def test_weighted_resolvent_is_a_quadratic_form(seed: int) -> None:
    matrix = random_matrix(seed)
    eigenvalues, vectors = np.linalg.eigh(matrix)
    v = np.random.default_rng(seed + 1).standard_normal(5)
    shuffle = np.random.default_rng(seed).permutation(5)
    spectrum = EmpiricalSpectrum(eigenvalues[shuffle], ((v @ vectors) ** 2)[shuffle])
    z = np.linalg.eigvalsh(matrix)[-1] + 0.3
    dense = v @ np.linalg.solve(z * np.eye(5) - matrix, v)
    assert spectrum.largest == pytest.approx(eigenvalues[-1])
    assert float(spectrum.resolvent(np.ones_like)(np.array(z - spectrum.largest))) == pytest.approx(dense, rel=1e-9)


@pytest.mark.parametrize("eigenvalues", [[], [-1.0], [float("nan")], [float("inf"), 1.0]])
def test_eigenvalues_must_be_finite_and_non_negative(eigenvalues: list[float]) -> None:
    with pytest.raises(DomainError, match="eigenvalues"):
        EmpiricalSpectrum(np.array(eigenvalues))
