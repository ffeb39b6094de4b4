"""Laws of the spectral measures."""

from dataclasses import replace
from fractions import Fraction
from math import comb

import numpy as np
import pytest
from hypothesis import strategies as st

from tests.laws import Mutation, law
from theory import (
    DataLaw,
    DomainError,
    EmpiricalSpectrum,
    FiniteWishart,
    GeneralisedMarchenkoPastur,
    MarchenkoPastur,
    Spectrum,
    narayana,
)
from theory.narayana import moment

ratios = st.floats(0.05, 30)
seeds = st.integers(0, 10_000)


def random_matrix(seed: int, n: int = 7, d: int = 5) -> np.ndarray:
    data = np.random.default_rng(seed).standard_normal((n, d)) / np.sqrt(d)
    return data.T @ data


@law(
    Mutation("no atom at 0", "theory.spectrum._gauss", lambda g: lambda r, c: (g(r, c)[0][:c], g(r, c)[1][:c])),
    Mutation(
        "nodes not scaled by r < 1",
        "theory.spectrum._gauss",
        lambda g: lambda r, c: (g(r, c)[0] / min(r, 1), g(r, c)[1]),
    ),
    ratio=ratios,
    order=st.integers(0, 12),
)
def test_moments_are_narayana_sums(ratio: float, order: int) -> None:
    exact = float(moment(order, Fraction(ratio)))
    # Rounding of a sum of positive terms, each a power: a few units in the last place per factor.
    assert float(MarchenkoPastur(ratio).integrate(lambda x: x**order)) == pytest.approx(exact, rel=1e-13 * (order + 1))


@law(
    Mutation(
        "quadrature of the edge alone",
        "theory.spectrum.MarchenkoPastur.stieltjes",
        lambda g: lambda s, gap: g(s, gap) * 0,
    ),
    Mutation(
        "wrong branch", "theory.spectrum.MarchenkoPastur.stieltjes", lambda g: lambda s, gap: 1 / (s.largest + gap)
    ),
    Mutation(
        "the tangent's part left out",
        "theory.spectrum.tangent_resolvent",
        lambda f: lambda *a: replace(f(*a), slope=np.asarray(0 * f(*a).slope)),
    ),
    ratio=ratios,
    log_gap=st.floats(-12, 4),
    power=st.integers(0, 3),
)
def test_cauchy_transform_by_long_division(ratio: float, log_gap: float, power: int) -> None:
    """``x^(p+1)/(z-x) = z x^p/(z-x) - x^p``, down to gaps that no quadrature resolves."""
    spectrum, gap = MarchenkoPastur(ratio), np.array(10.0**log_gap)
    z = spectrum.largest + gap
    left = spectrum.resolvent(lambda x: x ** (power + 1))(gap)
    right = z * spectrum.resolvent(lambda x: x**power)(gap) - spectrum.integrate(lambda x: x**power)
    # The subtraction loses log10(z) digits; near the edge the quadrature of the smooth part is good to 1e-7.
    assert float(left) == pytest.approx(float(right), rel=1e-6, abs=1e-12 * float(z) ** (power + 1))


@law(
    Mutation(
        "ratio - 1",
        "theory.spectrum.MarchenkoPastur.stieltjes",
        lambda g: lambda s, gap: g(MarchenkoPastur(s.ratio + 0.01), gap),
    ),
    ratio=ratios,
    log_gap=st.floats(-6, 4),
)
def test_stieltjes_solves_its_equation(ratio: float, log_gap: float) -> None:
    """``z G^2 - (z + 1 - r) G + 1 = 0``, the free Poisson law's own equation."""
    spectrum = MarchenkoPastur(ratio)
    z = spectrum.largest + 10.0**log_gap
    G = float(spectrum.stieltjes(np.array(10.0**log_gap)))
    assert z * G**2 - (z + 1 - ratio) * G + 1 == pytest.approx(0, abs=1e-12 * (1 + z * G**2 + abs(z + 1 - ratio) * G))


@law(
    Mutation("weights 1/(d-1)", "theory.spectrum.np.full", lambda f: lambda n, v: f(n, v * n / (n - 1))),
    seed=seeds,
    power=st.integers(0, 5),
)
def test_empirical_integral_is_a_trace(seed: int, power: int) -> None:
    matrix = random_matrix(seed)
    spectrum = EmpiricalSpectrum(np.linalg.eigvalsh(matrix))
    trace = np.trace(np.linalg.matrix_power(matrix, power)) / 5
    assert float(spectrum.integrate(lambda x: x**power)) == pytest.approx(trace, rel=1e-10)


@law(
    Mutation("unsorted weights", "theory.spectrum.np.argsort", lambda f: lambda x: f(x)[::-1]),
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


@law(
    Mutation("C(m, l)^2 / m", "theory.narayana.narayana", lambda _: lambda m, k: comb(m, k) ** 2 // m),
    m=st.integers(1, 30),
)
def test_narayana_numbers_sum_to_catalan_and_are_symmetric(m: int) -> None:
    row = [narayana.narayana(m, level) for level in range(1, m + 1)]
    assert sum(row) == comb(2 * m, m) // (m + 1)
    assert row == row[::-1]


@pytest.mark.parametrize("ratio", [0.2, 1.0, 1.0 + 1e-9, 20.0])
@pytest.mark.parametrize("degree", [0, 1, 4, 1023, 2001])
def test_quadrature_is_a_probability_measure_of_mean_r(ratio: float, degree: int) -> None:
    spectrum = MarchenkoPastur(ratio, degree=degree)
    assert float(spectrum.integrate(np.ones_like)) == pytest.approx(1, abs=1e-13)
    if degree:
        assert float(spectrum.integrate(lambda x: x)) == pytest.approx(ratio, rel=1e-13)


def test_all_are_spectra_and_random_data_have_laws() -> None:
    laws = (MarchenkoPastur(2.0), FiniteWishart(6, 3), GeneralisedMarchenkoPastur(2.0, np.ones(3)))
    assert all(isinstance(law, DataLaw) for law in laws)
    assert isinstance(EmpiricalSpectrum(np.ones(3)), Spectrum)
    assert not isinstance(EmpiricalSpectrum(np.ones(3)), DataLaw)


@law(
    Mutation(
        "value and derivative swapped",
        "theory.spectrum.Resolvent.__call__",
        lambda f: lambda s, gap: (lambda r: r.imag + 1j * r.real if np.iscomplexobj(r) else r)(f(s, gap)),
    ),
    ratio=ratios,
    log_gap=st.floats(-3, 3),
)
def test_a_complex_step_is_the_derivative(ratio: float, log_gap: float) -> None:
    resolvent, gap = MarchenkoPastur(ratio).resolvent(lambda x: (1 - 0.01 * x) ** 3), 10.0**log_gap
    step = 1e-6 * gap
    low, high = (float(resolvent(np.array(gap + s))) for s in (-step, step))
    derivative = float(resolvent(np.array(gap + 1e-20j)).imag / 1e-20)
    # Central differences: truncation 1e-12, rounding 1e-16 / 1e-6, both relative to the scale of R.
    assert derivative == pytest.approx((high - low) / (2 * step), rel=1e-7, abs=1e-8 * abs(low) / gap)


@pytest.mark.parametrize("ratio", [0.0, -1.0, float("nan"), float("inf")])
def test_a_ratio_must_be_positive(ratio: float) -> None:
    with pytest.raises(DomainError, match="ratio"):
        MarchenkoPastur(ratio)


@pytest.mark.parametrize("eigenvalues", [[], [-1.0], [float("nan")], [float("inf"), 1.0]])
def test_eigenvalues_must_be_finite_and_non_negative(eigenvalues: list[float]) -> None:
    with pytest.raises(DomainError, match="eigenvalues"):
        EmpiricalSpectrum(np.array(eigenvalues))


def test_a_point_inside_the_support_is_refused() -> None:
    with pytest.raises(DomainError, match="gap"):
        MarchenkoPastur(2.0).resolvent(np.ones_like)(np.array(0.0))
