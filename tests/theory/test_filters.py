"""Laws of the filters and of phi."""

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import strategies as st

from sharpdiv.theory import filters
from sharpdiv.theory.errors import DomainError
from sharpdiv.theory.filters import Training, critical_rho, is_stable, phi
from sharpdiv.theory.spectra.empirical import EmpiricalSpectrum
from sharpdiv.theory.spectra.marchenko_pastur import MarchenkoPastur
from sharpdiv.theory.spectra.narayana import alternating_phi, exact_phi
from tests.laws import Mutation, law

PLUS = Mutation(
    "1 - eta x (1 - rho x)",
    "sharpdiv.theory.filters.sam_filter",
    lambda f: lambda x, eta, rho: 1 - eta * x * (1 - rho[..., None] * x),
)
NO_SQUARE = Mutation(
    "1 - eta x (1 + rho)",
    "sharpdiv.theory.filters.sam_filter",
    lambda f: lambda x, eta, rho: 1 - eta * x * (1 + rho[..., None] + 0 * x),
)
ratios = st.floats(0.1, 20)
fractions = st.floats(0.05, 1.8)  # of 1 / largest eigenvalue
stable = st.floats(0.0, 0.95)  # of critical rho


def problem(ratio: float, fraction: float, share: float) -> tuple[MarchenkoPastur, float, float]:
    spectrum = MarchenkoPastur(ratio)
    rate = fraction / spectrum.largest
    return spectrum, rate, share * (critical_rho(spectrum, rate) or 0.0)


@law(PLUS, NO_SQUARE, ratio=ratios, fraction=fractions, share=stable, i=st.integers(0, 16), j=st.integers(0, 4))
def test_phi_is_the_exact_rational(ratio: float, fraction: float, share: float, i: int, j: int) -> None:
    spectrum, rate, rho = problem(ratio, fraction, share)
    exact = float(exact_phi(i, j, Fraction(ratio), Fraction(rate), Fraction(rho)))
    scale = float(spectrum.integrate(lambda x: np.abs(1 - rate * x * (1 + rho * x)) ** i * x**j))
    assert abs(float(phi(i, j, spectrum, rate, rho)) - exact) <= 1e-12 * scale


@law(
    NO_SQUARE,
    Mutation("j ignored", "sharpdiv.theory.filters.phi", lambda f: lambda i, j, *a: f(i, 0, *a)),
    c=st.floats(0.2, 5),
    rate=st.floats(0.01, 0.3),
    rho=st.floats(0, 1),
    i=st.integers(1, 8),
    j=st.integers(1, 3),
)
def test_phi_scales_with_the_data(c: float, rate: float, rho: float, i: int, j: int) -> None:
    """A -> A/sqrt(c), eta -> c eta, rho -> c rho leaves the filter alone and divides x^j by c^j."""
    eigenvalues = np.array([0.0, 0.3, 1.1, 2.5])
    here = filters.phi(i, j, EmpiricalSpectrum(eigenvalues), rate, rho)
    there = filters.phi(i, j, EmpiricalSpectrum(eigenvalues / c), c * rate, c * rho)
    assert float(there) == pytest.approx(float(here) / c**j, rel=1e-9)


@law(
    Mutation(
        "2/(eta x) without - 1",
        "sharpdiv.theory.filters.critical_rho",
        lambda f: lambda s, e: 2 / (e * s.largest) / s.largest,
    ),
    Mutation(
        "divided by eta", "sharpdiv.theory.filters.critical_rho", lambda f: lambda s, e: (2 / (e * s.largest) - 1) / e
    ),
    ratio=ratios,
    fraction=st.floats(0.05, 1.95),
    share=st.floats(0.01, 3).filter(lambda x: abs(x - 1) > 1e-3),
)
def test_stable_means_contraction_of_every_mode(ratio: float, fraction: float, share: float) -> None:
    spectrum, rate, rho = problem(ratio, fraction, share)
    x = np.linspace(0, spectrum.largest, 501)[1:]
    contracts = bool(np.all(np.abs(1 - rate * x * (1 + rho * x)) < 1))
    assert bool(filters.is_stable(spectrum, rate, np.array([rho]))[0]) == contracts


@law(
    PLUS,
    ratio=ratios,
    fraction=fractions,
    share=stable,
    k=st.integers(1, 10),
)
def test_cauchy_schwarz_of_phi(ratio: float, fraction: float, share: float, k: int) -> None:
    """``phi(2k,0) >= phi(k,0)^2`` and ``phi`` of even order falls with k while SAM contracts."""
    spectrum, rate, rho = problem(ratio, fraction, share)
    even = float(phi(2 * k, 0, spectrum, rate, rho))
    assert even >= float(phi(k, 0, spectrum, rate, rho)) ** 2 * (1 - 1e-12)
    assert even <= float(phi(2 * k - 2, 0, spectrum, rate, rho)) * (1 + 1e-12)


def test_rho_broadcasts_and_matches_single_values() -> None:
    spectrum, rho = MarchenkoPastur(3.0), np.linspace(0, 0.2, 7)
    together = np.asarray(phi(6, 2, spectrum, 0.05, rho))
    assert together.shape == (7,)
    # Matrix-vector and vector-vector products may sum in another order.
    assert together == pytest.approx(np.array([float(phi(6, 2, spectrum, 0.05, r)) for r in rho]), rel=1e-13)


def test_the_alternating_sum_agrees_while_it_does_not_cancel() -> None:
    assert alternating_phi(4, 1, 2.0, 0.05, 0.1) == pytest.approx(
        float(phi(4, 1, MarchenkoPastur(2.0), 0.05, 0.1)), rel=1e-12
    )


def test_the_alternating_sum_loses_every_digit() -> None:
    exact = exact_phi(80, 0, Fraction(20), Fraction(0.01), Fraction(0.05))
    assert float(exact) == pytest.approx(4.675495968e-10, rel=1e-9)
    assert abs(alternating_phi(80, 0, 20.0, 0.01, 0.05)) > 1e6 * float(exact)


def test_no_rho_is_stable_at_a_large_rate() -> None:
    spectrum = MarchenkoPastur(4.0)
    assert critical_rho(spectrum, 2 / spectrum.largest) is None
    assert not is_stable(spectrum, 2 / spectrum.largest, np.zeros(1)).any()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((2, 0, 0.1, -1.0), "rho must be finite and non-negative, got -1.0"),
        ((2, 0, 0.1, float("nan")), "rho"),
        ((-1, 0, 0.1, 0.0), "i must be"),
        ((2, -1, 0.1, 0.0), "j must be"),
        ((2, 0, float("inf"), 0.0), "learning rate"),
        ((600, 0, 0.1, 0.0), "construct it with a higher degree"),
        ((120, 0, 1.0, 99.0), "overflows"),
    ],
)
def test_bad_input_is_a_typed_error(arguments: tuple[Any, ...], message: str) -> None:
    i, j, rate, rho = arguments
    with pytest.raises(DomainError, match=message):
        phi(i, j, MarchenkoPastur(4.0), rate, rho)


@pytest.mark.parametrize("rate", [1e-3, 1e-8, 1e-16, 1e-30])
def test_little_learnt_keeps_its_digits(rate: float) -> None:
    """``1 - (1 - y)^k = -expm1(k log1p(-y))``, for one rho in all steps and for one in each."""
    x, rho = np.array([0.0, 0.5, 2.0]), np.array([0.0, 0.3])
    exact = -np.expm1(7 * np.log1p(-rate * x * (1 + rho[:, None] * x)))
    assert Training(rate, rho[None], 7).learnt(x) == pytest.approx(exact, rel=1e-14)
    assert Training(rate, np.tile(rho, (7, 1)), 1).learnt(x) == pytest.approx(exact, rel=1e-14)
