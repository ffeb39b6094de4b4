"""Claims about phi: quadrature is exact to rounding, the published alternating sum is not."""

from fractions import Fraction

import numpy as np

from sharpdiv.checks.claim import Claim, Finding, Verdict, number
from sharpdiv.checks.evidence import Evidence
from sharpdiv.theory.filters import critical_rho, phi, sam_filter
from sharpdiv.theory.spectra.marchenko_pastur import MarchenkoPastur
from sharpdiv.theory.spectra.narayana import alternating_phi, exact_phi

__all__ = ["CLAIMS"]


def _cancellation(_: Evidence) -> Finding:
    arguments = (80, 0, 20.0, 0.01, 0.05)
    exact = float(exact_phi(80, 0, Fraction(20), Fraction(0.01), Fraction(0.05)))
    summed = alternating_phi(*arguments)
    quadrature = float(phi(80, 0, MarchenkoPastur(20.0), 0.01, 0.05))
    return Finding(
        Verdict.HOLDS if abs(quadrature / exact - 1) <= 1e-12 and abs(summed / exact - 1) > 1 else Verdict.FAILS,
        (
            ("phi(80, 0) exact rational", number(exact, form=".10g")),
            ("quadrature: relative error", number(abs(quadrature / exact - 1), form=".0e")),
            ("alternating sum in double precision", number(summed, form=".3g")),
        ),
        "The published alternating sum loses every digit here, even from correctly rounded terms.",
    )


def _absolute_phi(i: int, j: int, spectrum: MarchenkoPastur, rate: float, rho: float) -> float:
    return float(spectrum.integrate(lambda x: np.abs(sam_filter(x, rate, np.array(rho))) ** i * x**j))


def _quadrature(_: Evidence) -> Finding:
    errors = []
    for ratio in (0.2, 1.0, 5.0, 20.0):
        spectrum = MarchenkoPastur(ratio)
        for fraction in (0.3, 1.0, 1.8):
            # Few binary digits, so that the exact rationals stay short.
            rate = round(fraction / spectrum.largest * 4096) / 4096
            for share in (0.0, 0.4, 0.95):
                rho = round(share * (critical_rho(spectrum, rate) or 0.0) * 256) / 256
                errors += [
                    _quadrature_error(k, j, spectrum, rate, rho) for k in (1, 2, 5, 10, 20) for j in (0, 1, 2, 3, 4)
                ]
    return Finding(
        Verdict.HOLDS if np.max(errors) <= 1e-12 else Verdict.FAILS,
        (
            (
                f"largest error of {len(errors)} values, relative to the integral of |q|^i x^j",
                number(np.max(errors), form=".0e"),
            ),
        ),
    )


def _quadrature_error(k: int, j: int, spectrum: MarchenkoPastur, rate: float, rho: float) -> float:
    exact = exact_phi(k, j, Fraction(spectrum.ratio), Fraction(rate), Fraction(rho))
    return abs(float(phi(k, j, spectrum, rate, rho)) - float(exact)) / _absolute_phi(k, j, spectrum, rate, rho)


CLAIMS = (
    Claim(
        id="phi-quadrature",
        subject="implementation",
        title="Gauss quadrature gives phi to rounding",
        statement="phi(i, j) by quadrature equals the exact rational value from Narayana moments, r in {0.2, 1, 5, 20}, "
        "i <= 20, stable.",
        source="definition of phi",
        method="Quadrature against exact rational arithmetic on a grid of r, eta, i, j and rho up to 0.95 of the critical one.",
        tolerance="1e-12 of the integral of |q|^i x^j: rounding of some hundred nodes and powers",
        seed=None,
        check=_quadrature,
    ),
    Claim(
        id="alternating-sum",
        subject="implementation",
        title="The published alternating sum cancels; quadrature does not",
        statement="At r=20, eta=0.01, rho=0.05, k=40 quadrature gives phi(2k, 0) to 1e-12, the alternating Narayana sum no digit.",
        source="Theorem 1's formula as published and in the authors' notebook",
        method="Both against exact rational arithmetic.",
        tolerance="1e-12, rounding of the quadrature; the sum off by more than 100%",
        seed=None,
        check=_cancellation,
    ),
)
