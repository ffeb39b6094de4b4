"""phi as a polynomial is the alternating sum, the exact rational and the integral."""

from fractions import Fraction

import numpy as np
import pytest
import sympy as sp
from hypothesis import strategies as st

from sharpdiv.theory.spectra.marchenko_pastur import MarchenkoPastur
from sharpdiv.theory.spectra.narayana import exact_phi
from sharpdiv.theory.symbolic import phi
from tests.laws import law
from tests.theory.symbolic.wrong import CLASSICAL, MORE_STEPS, NO_SQUARE, at, rationals


@law(NO_SQUARE, MORE_STEPS, CLASSICAL)
def test_phi_is_the_alternating_sum() -> None:
    assert phi.phi_alternating_sum().holds


@law(NO_SQUARE, CLASSICAL, i=st.integers(0, 4), j=st.integers(0, 3), ratio=rationals, rate=rationals, rho=rationals)
def test_phi_polynomial_is_the_exact_rational(i: int, j: int, ratio: Fraction, rate: Fraction, rho: Fraction) -> None:
    assert at(phi.phi_polynomial(i, j), ratio, rate, rho) == sp.Rational(exact_phi(i, j, ratio, rate, rho))


@law(
    NO_SQUARE,
    MORE_STEPS,
    steps=st.integers(0, 3),
    ratio=st.fractions(Fraction(1, 5), 5, max_denominator=9),
    rho=st.fractions(0, 1, max_denominator=9),
)
def test_psi_polynomial_is_the_integral(steps: int, ratio: Fraction, rho: Fraction) -> None:
    spectrum, rate = MarchenkoPastur(float(ratio)), Fraction(1, 20)

    def integrand(x: np.ndarray) -> np.ndarray:
        share = 1 - (1 - float(rate) * x * (1 + float(rho) * x)) ** steps
        return np.divide(share**2, x, out=np.zeros_like(x), where=x > 0)

    value = float(at(phi.psi_polynomial(steps), ratio, rate, rho))
    # 1 - q^k cancels for small x: an absolute error of 1e-16 over the smallest node.
    assert float(spectrum.integrate(integrand)) == pytest.approx(value, rel=1e-9, abs=1e-12)
