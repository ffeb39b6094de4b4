# Names by subject, in the order of a first reading.
__version__: str

# The setting and the closed forms
from .theory.setting import Setting as Setting
from .theory.theorems.tradeoff import Tradeoff as Tradeoff
from .theory.theorems.sam import sam_tradeoff as sam_tradeoff
from .theory.theorems.sharpbalance import sharpbalance_tradeoff as sharpbalance_tradeoff
from .theory.theorems.sharpness import dual_sharpness as dual_sharpness
from .theory.theorems.sharpness import trust_region_maximum as trust_region_maximum
from .theory.theorems.normalized import gradient_floor as gradient_floor
from .theory.theorems.normalized import normalized_training as normalized_training
from .theory.theorems.normalized import normalised_training as normalised_training

# Theory's optimizers as filters of spectra
from .theory.optimizers import OPTIMIZERS as OPTIMIZERS
from .theory.filters import Training as Training
from .theory.filters import critical_rho as critical_rho
from .theory.filters import is_stable as is_stable
from .theory.filters import phi as phi
from .theory.filters import sam_filter as sam_filter

# Spectra and laws of the data
from .theory.spectra.base import DataLaw as DataLaw
from .theory.spectra.empirical import EmpiricalSpectrum as EmpiricalSpectrum
from .theory.spectra.wishart import FiniteWishart as FiniteWishart
from .theory.spectra.covariance import GeneralizedMarchenkoPastur as GeneralizedMarchenkoPastur
from .theory.spectra.covariance import GeneralisedMarchenkoPastur as GeneralisedMarchenkoPastur
from .theory.spectra.marchenko_pastur import MarchenkoPastur as MarchenkoPastur
from .theory.spectra.base import Spectrum as Spectrum
from .theory.spectra.data_law import data_law as data_law
from .theory.spectra.wishart import joint_moment as joint_moment
from .theory.spectra.wishart import wishart_moment as wishart_moment

# The Monte Carlo referee
from .theory.estimate import Estimate as Estimate
from .theory.simulation import Simulation as Simulation
from .theory.simulation import simulate as simulate

# Other solvable models: random features, two-layer and diagonal linear networks
from .theory.feature_learning.diagonal.setting import DiagonalSetting as DiagonalSetting
from .theory.random_features.setting import RandomFeatureSetting as RandomFeatureSetting
from .theory.feature_learning.two_layer.setting import TwoLayerSetting as TwoLayerSetting
from .theory.feature_learning.diagonal.closed_forms import diagonal_tradeoff as diagonal_tradeoff
from .theory.random_features.closed_forms import random_feature_tradeoff as random_feature_tradeoff
from .theory.feature_learning.two_layer.closed_forms import two_layer_tradeoff as two_layer_tradeoff
from .theory.feature_learning.diagonal.simulation import simulate_diagonal as simulate_diagonal
from .theory.random_features.simulation import simulate_random_features as simulate_random_features
from .theory.feature_learning.two_layer.simulation import simulate_two_layer as simulate_two_layer

# Tangent kernels
from .theory.kernels import BinnedModes as BinnedModes
from .theory.kernels import LinearizedNetwork as LinearizedNetwork
from .theory.kernels import TwoPointMeasure as TwoPointMeasure
from .theory.kernels import bin_modes as bin_modes
from .theory.kernels import ensemble_errors as ensemble_errors
from .theory.kernels import linearize as linearize
from .theory.kernels import two_point_measure as two_point_measure

# Networks and optimizers
from .empirical.optim.methods import METHODS as METHODS
from .empirical.models import ResNet as ResNet
from .empirical.optim.sam import SAM as SAM
from .empirical.optim.ensemble import SharpBalance as SharpBalance
from .empirical.optim.indexed import IndexedDataset as IndexedDataset
from .empirical.optim.running import frozen_running_statistics as frozen_running_statistics
from .empirical.optim.sharpbalance import sharpbalance_step as sharpbalance_step
from .empirical.optim.sharpbalance import sharpness_aware_sets as sharpness_aware_sets

# Networks that stay close to their initialization, and small ones at equal training loss
from .empirical.lazy.equal_loss import EqualLoss as EqualLoss
from .empirical.lazy.equal_loss import FitProblem as FitProblem
from .empirical.lazy.training import LazyProblem as LazyProblem
from .empirical.lazy.training import LazyTraining as LazyTraining
from .empirical.lazy.training import freeze_batch_norm as freeze_batch_norm
from .empirical.lazy.training import lazy_network as lazy_network
from .empirical.curvature.tangent_kernel import tangent_kernel as tangent_kernel
from .empirical.curvature.tangent_kernel import TangentKernel as TangentKernel
from .empirical.lazy.training import train_lazy as train_lazy
from .empirical.lazy.equal_loss import train_to_losses as train_to_losses

# Curvature and sharpness
from .empirical.curvature.measures import MEASURES as MEASURES
from .empirical.curvature.loss_surface import NormalizedLogits as NormalizedLogits
from .empirical.curvature.average_case import average_case_sharpness as average_case_sharpness
from .empirical.curvature.recording import evaluation_mode as evaluation_mode
from .empirical.curvature.eigenvalues import hessian_eigenvalues as hessian_eigenvalues
from .empirical.curvature.trace import hessian_trace as hessian_trace
from .empirical.curvature.one_step import one_step_sharpness as one_step_sharpness
from .empirical.curvature.per_sample import per_sample_sharpness as per_sample_sharpness
from .empirical.curvature.worst_case import worst_case_sharpness as worst_case_sharpness

# Predictions: diversity, calibration, representation
from .empirical.predictions.metrics import METRICS as METRICS
from .empirical.predictions.bootstrap import Interval as Interval
from .empirical.predictions.bootstrap import bootstrap as bootstrap
from .empirical.predictions.sizes import by_size as by_size
from .empirical.predictions.metrics import diversity as diversity
from .empirical.predictions.representation import layer_features as layer_features
from .empirical.predictions.representation import linear_cka as linear_cka
from .empirical.predictions.files import load_predictions as load_predictions
from .empirical.predictions.metrics import logit_variance as logit_variance
from .empirical.predictions.representation import member_cka as member_cka
from .empirical.predictions.metrics import vote as vote
from .empirical.predictions.decompositions import AmbiguityDecomposition as AmbiguityDecomposition
from .empirical.predictions.decompositions import BiasVarianceDiversity as BiasVarianceDiversity
from .empirical.predictions.decompositions import ambiguity_decomposition as ambiguity_decomposition
from .empirical.predictions.decompositions import bias_variance_diversity as bias_variance_diversity
from .empirical.predictions.decompositions import jensen_gap as jensen_gap
from .empirical.predictions.uncertainty import entropy_of_mean as entropy_of_mean
from .empirical.predictions.uncertainty import mean_entropy as mean_entropy
from .empirical.predictions.uncertainty import mutual_information as mutual_information
from .empirical.predictions.pairs import PairMatrices as PairMatrices
from .empirical.predictions.pairs import pair_matrices as pair_matrices
from .empirical.predictions.streaming import EnsembleDiversity as EnsembleDiversity

# Data
from .empirical.data.corruptions import CORRUPTIONS as CORRUPTIONS
from .empirical.data.datasets import DATASETS as DATASETS
from .empirical.data.corruptions import EXTRA_CORRUPTIONS as EXTRA_CORRUPTIONS
from .empirical.data.corruptions import SEVERITIES as SEVERITIES
from .empirical.data.splits import ImageData as ImageData
from .empirical.data.corruptions import corrupt as corrupt
from .empirical.data.splits import digits as digits
from .empirical.data.fetching import fetch as fetch
from .empirical.data.installed import installed as installed
from .empirical.data.splits import load_data as load_data
from .empirical.data.loading import load_images as load_images
from .empirical.data.corruption_files import load_published as load_published
from .empirical.data.verifying import verify as verify
from .empirical.data.corruption_files import verify_published as verify_published

# Anybody's ensembles, measured
from .empirical.ensembles.checkpoints import Checkpoints as Checkpoints
from .empirical.ensembles.result import MeasuredEnsemble as MeasuredEnsemble
from .empirical.ensembles.measuring import measure_ensemble as measure_ensemble

# Between members: lines, barriers, planes
from .empirical.connectivity.lines import Barriers as Barriers
from .empirical.connectivity.lines import LossLine as LossLine
from .empirical.connectivity.planes import LossPlane as LossPlane
from .empirical.connectivity.lines import barriers as barriers
from .empirical.connectivity.lines import loss_along_line as loss_along_line
from .empirical.connectivity.planes import loss_on_plane as loss_on_plane
from .empirical.connectivity.batch_norm import recalibrate_batch_norm as recalibrate_batch_norm

# Runs: trained, measured, kept
from .empirical.runs.measure_config import MeasureConfig as MeasureConfig
from .empirical.runs.plan import PlannedRun as PlannedRun
from .empirical.runs.config import RunConfig as RunConfig
from .empirical.runs.record import RunRecord as RunRecord
from .empirical.runs.record import load_record as load_record
from .empirical.runs.measuring import measure as measure
from .empirical.runs.measuring import measure_runs as measure_runs
from .empirical.runs.folders import open_run as open_run
from .empirical.runs.plan import plan_runs as plan_runs
from .empirical.runs.config import read_fields as read_fields
from .empirical.runs.ensembles import train_runs as train_runs
from .empirical.runs.config import write_config as write_config

# Errors
from .theory.errors import ConvergenceError as ConvergenceError
from .empirical.errors import DivergenceError as DivergenceError
from .theory.errors import DomainError as DomainError
from .theory.errors import DomainWarning as DomainWarning
from .empirical.errors import InputError as InputError
from .empirical.errors import NotMeasuredError as NotMeasuredError
from .empirical.errors import StoreError as StoreError
from .empirical.errors import WorkerError as WorkerError
