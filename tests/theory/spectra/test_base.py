"""Which laws fit the protocols, and laws of the resolvent."""

import numpy as np
import pytest
from hypothesis import strategies as st

from sharpdiv.theory.errors import DomainError
from sharpdiv.theory.spectra.base import DataLaw, Spectrum
from sharpdiv.theory.spectra.covariance import GeneralizedMarchenkoPastur
from sharpdiv.theory.spectra.empirical import EmpiricalSpectrum
from sharpdiv.theory.spectra.marchenko_pastur import MarchenkoPastur
from sharpdiv.theory.spectra.wishart import FiniteWishart
from tests.laws import Mutation, law

ratios = st.floats(0.05, 30)


def test_all_are_spectra_and_random_data_have_laws() -> None:
    laws = (MarchenkoPastur(2.0), FiniteWishart(6, 3), GeneralizedMarchenkoPastur(2.0, np.ones(3)))
    assert all(isinstance(law, DataLaw) for law in laws)
    assert isinstance(EmpiricalSpectrum(np.ones(3)), Spectrum)
    assert not isinstance(EmpiricalSpectrum(np.ones(3)), DataLaw)


@law(
    Mutation(
        "value and derivative swapped",
        "sharpdiv.theory.spectra.base.Resolvent.__call__",
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


def test_a_point_inside_the_support_is_refused() -> None:
    with pytest.raises(DomainError, match="gap"):
        MarchenkoPastur(2.0).resolvent(np.ones_like)(np.array(0.0))
