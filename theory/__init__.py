"""Closed forms of the sharpness-diversity theory, exact arithmetic, and the Monte Carlo referee.

Everything is a functional of a spectral measure: optimizers are polynomial filters of W = A'A, and diversity, sharpness
and errors are integrals of powers of the filter.
"""

from theory.errors import ConvergenceError, DomainError, DomainWarning
from theory.filters import Training, critical_rho, is_stable, phi, sam_filter
from theory.generalised import GeneralisedMarchenkoPastur
from theory.kernels import (
    BinnedModes,
    LinearizedNetwork,
    TwoPointMeasure,
    bin_modes,
    ensemble_errors,
    linearize,
    two_point_measure,
)
from theory.laws import data_law
from theory.normalised import gradient_floor, normalised_training
from theory.sam import sam_tradeoff
from theory.setting import Setting
from theory.sharpbalance import sharpbalance_tradeoff
from theory.sharpness import dual_sharpness, trust_region_maximum
from theory.simulation import Estimate, Simulation, simulate
from theory.spectrum import DataLaw, EmpiricalSpectrum, MarchenkoPastur, Spectrum
from theory.tradeoff import Tradeoff
from theory.wishart import FiniteWishart, joint_moment, wishart_moment

__all__ = [
    "BinnedModes",
    "ConvergenceError",
    "DataLaw",
    "DomainError",
    "DomainWarning",
    "EmpiricalSpectrum",
    "Estimate",
    "FiniteWishart",
    "GeneralisedMarchenkoPastur",
    "LinearizedNetwork",
    "MarchenkoPastur",
    "Setting",
    "Simulation",
    "Spectrum",
    "Tradeoff",
    "Training",
    "TwoPointMeasure",
    "bin_modes",
    "critical_rho",
    "data_law",
    "dual_sharpness",
    "ensemble_errors",
    "gradient_floor",
    "is_stable",
    "joint_moment",
    "linearize",
    "normalised_training",
    "phi",
    "sam_filter",
    "sam_tradeoff",
    "sharpbalance_tradeoff",
    "simulate",
    "trust_region_maximum",
    "two_point_measure",
    "wishart_moment",
]
