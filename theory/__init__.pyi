# The setting and the closed forms
from .setting import Setting as Setting
from .curves import Curves as Curves
from .theorems.tradeoff import Tradeoff as Tradeoff
from .theorems.sam import sam_tradeoff as sam_tradeoff
from .theorems.sharpbalance import sharpbalance_tradeoff as sharpbalance_tradeoff
from .theorems.sharpness import dual_sharpness as dual_sharpness
from .theorems.sharpness import trust_region_maximum as trust_region_maximum
from .theorems.normalized import gradient_floor as gradient_floor
from .theorems.normalized import normalized_training as normalized_training
from .theorems.normalized import normalised_training as normalised_training

# Theory's optimizers as filters of spectra
from .optimizers import OPTIMIZERS as OPTIMIZERS
from .optimizers import Optimizer as Optimizer
from .optimizers import optimizer_named as optimizer_named
from .filters import Filter as Filter
from .filters import Training as Training
from .filters import critical_rho as critical_rho
from .filters import is_stable as is_stable
from .filters import phi as phi
from .filters import sam_filter as sam_filter

# Spectra and laws of the data
from .spectra.base import DataLaw as DataLaw
from .spectra.empirical import EmpiricalSpectrum as EmpiricalSpectrum
from .spectra.wishart import FiniteWishart as FiniteWishart
from .spectra.covariance import GeneralizedMarchenkoPastur as GeneralizedMarchenkoPastur
from .spectra.covariance import GeneralisedMarchenkoPastur as GeneralisedMarchenkoPastur
from .spectra.marchenko_pastur import MarchenkoPastur as MarchenkoPastur
from .spectra.base import Spectrum as Spectrum
from .spectra.data_law import data_law as data_law
from .spectra.wishart import joint_moment as joint_moment
from .spectra.wishart import wishart_moment as wishart_moment

# The Monte Carlo referee
from .estimate import Estimate as Estimate
from .simulation import Simulation as Simulation
from .simulation import simulate as simulate

# Other solvable models: random features, two-layer and diagonal linear networks
from .feature_learning.diagonal.setting import DiagonalSetting as DiagonalSetting
from .random_features.setting import RandomFeatureSetting as RandomFeatureSetting
from .feature_learning.two_layer.setting import TwoLayerSetting as TwoLayerSetting
from .feature_learning.diagonal.closed_forms import diagonal_tradeoff as diagonal_tradeoff
from .random_features.closed_forms import random_feature_tradeoff as random_feature_tradeoff
from .feature_learning.two_layer.closed_forms import two_layer_tradeoff as two_layer_tradeoff
from .feature_learning.diagonal.simulation import simulate_diagonal as simulate_diagonal
from .random_features.simulation import simulate_random_features as simulate_random_features
from .feature_learning.two_layer.simulation import simulate_two_layer as simulate_two_layer

# Tangent kernels
from .kernels import BinnedModes as BinnedModes
from .kernels import LinearizedNetwork as LinearizedNetwork
from .kernels import TwoPointMeasure as TwoPointMeasure
from .kernels import bin_modes as bin_modes
from .kernels import ensemble_errors as ensemble_errors
from .kernels import linearize as linearize
from .kernels import two_point_measure as two_point_measure

# Symbolic proofs (SymPy loads when one of these is used)
from .symbolic.proof import Proof as Proof
from .symbolic.registry import proofs as proofs

# Errors
from .errors import ConvergenceError as ConvergenceError
from .errors import DomainError as DomainError
from .errors import DomainWarning as DomainWarning
