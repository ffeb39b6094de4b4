"""Laws of the Marchenko-Pastur law and its quadrature."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import strategies as st

from sharpdiv.theory.errors import DomainError
from sharpdiv.theory.spectra.marchenko_pastur import MarchenkoPastur
from sharpdiv.theory.spectra.narayana import moment
from tests.laws import Mutation, law

ratios = st.floats(0.05, 30)


@law(
    Mutation(
        "no atom at 0",
        "sharpdiv.theory.spectra.marchenko_pastur._gauss",
        lambda g: lambda r, c: (g(r, c)[0][:c], g(r, c)[1][:c]),
    ),
    Mutation(
        "nodes not scaled by r < 1",
        "sharpdiv.theory.spectra.marchenko_pastur._gauss",
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
        "sharpdiv.theory.spectra.marchenko_pastur.MarchenkoPastur.stieltjes",
        lambda g: lambda s, gap: g(s, gap) * 0,
    ),
    Mutation(
        "wrong branch",
        "sharpdiv.theory.spectra.marchenko_pastur.MarchenkoPastur.stieltjes",
        lambda g: lambda s, gap: 1 / (s.largest + gap),
    ),
    Mutation(
        "the tangent's part left out",
        "sharpdiv.theory.spectra.marchenko_pastur.tangent_resolvent",
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
        "sharpdiv.theory.spectra.marchenko_pastur.MarchenkoPastur.stieltjes",
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


@pytest.mark.parametrize("ratio", [0.2, 1.0, 1.0 + 1e-9, 20.0])
@pytest.mark.parametrize("degree", [0, 1, 4, 1023, 2001])
def test_quadrature_is_a_probability_measure_of_mean_r(ratio: float, degree: int) -> None:
    spectrum = MarchenkoPastur(ratio, degree=degree)
    assert float(spectrum.integrate(np.ones_like)) == pytest.approx(1, abs=1e-13)
    if degree:
        assert float(spectrum.integrate(lambda x: x)) == pytest.approx(ratio, rel=1e-13)


@pytest.mark.parametrize("ratio", [0.0, -1.0, float("nan"), float("inf")])
def test_a_ratio_must_be_positive(ratio: float) -> None:
    with pytest.raises(DomainError, match="ratio"):
        MarchenkoPastur(ratio)
