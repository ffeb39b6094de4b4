"""Closed forms of the sharpness-diversity theory, exact arithmetic, and the Monte Carlo referee.

Everything is a functional of a spectral measure: optimizers are polynomial filters of W = A'A, and diversity, sharpness
and errors are integrals of powers of the filter.
"""

from theory.errors import ConvergenceError, DomainError
from theory.filters import critical_rho, is_stable, phi, sam_filter
from theory.sam import sam_tradeoff
from theory.setting import Setting
from theory.sharpbalance import sharpbalance_tradeoff
from theory.sharpness import dual_sharpness, trust_region_maximum
from theory.simulation import Estimate, Simulation, simulate
from theory.spectrum import EmpiricalSpectrum, MarchenkoPastur, Spectrum
from theory.tradeoff import Tradeoff

__all__ = [
    "ConvergenceError",
    "DomainError",
    "EmpiricalSpectrum",
    "Estimate",
    "MarchenkoPastur",
    "Setting",
    "Simulation",
    "Spectrum",
    "Tradeoff",
    "critical_rho",
    "dual_sharpness",
    "is_stable",
    "phi",
    "sam_filter",
    "sam_tradeoff",
    "sharpbalance_tradeoff",
    "simulate",
    "trust_region_maximum",
]
