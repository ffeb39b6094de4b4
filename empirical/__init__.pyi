# Networks and optimizers
from .optim.methods import METHODS as METHODS
from .models import ResNet as ResNet
from .optim.sam import SAM as SAM
from .optim.ensemble import SharpBalance as SharpBalance
from .optim.indexed import IndexedDataset as IndexedDataset
from .optim.running import frozen_running_statistics as frozen_running_statistics
from .optim.sharpbalance import sharpbalance_step as sharpbalance_step
from .optim.sharpbalance import sharpness_aware_sets as sharpness_aware_sets

# Networks that stay close to their initialization
from .lazy.training import LazyProblem as LazyProblem
from .lazy.training import LazyTraining as LazyTraining
from .lazy.training import freeze_batch_norm as freeze_batch_norm
from .lazy.training import lazy_network as lazy_network
from .curvature.tangent_kernel import tangent_kernel as tangent_kernel
from .curvature.tangent_kernel import TangentKernel as TangentKernel
from .lazy.training import train_lazy as train_lazy

# Curvature and sharpness
from .curvature.measures import MEASURES as MEASURES
from .curvature.loss_surface import NormalizedLogits as NormalizedLogits
from .curvature.average_case import average_case_sharpness as average_case_sharpness
from .curvature.recording import evaluation_mode as evaluation_mode
from .curvature.eigenvalues import hessian_eigenvalues as hessian_eigenvalues
from .curvature.trace import hessian_trace as hessian_trace
from .curvature.one_step import one_step_sharpness as one_step_sharpness
from .curvature.per_sample import per_sample_sharpness as per_sample_sharpness
from .curvature.worst_case import worst_case_sharpness as worst_case_sharpness

# Predictions: diversity, calibration, representation
from .predictions.metrics import METRICS as METRICS
from .predictions.bootstrap import Interval as Interval
from .predictions.bootstrap import bootstrap as bootstrap
from .predictions.sizes import by_size as by_size
from .predictions.metrics import diversity as diversity
from .predictions.representation import layer_features as layer_features
from .predictions.representation import linear_cka as linear_cka
from .predictions.files import load_predictions as load_predictions
from .predictions.metrics import logit_variance as logit_variance
from .predictions.representation import member_cka as member_cka
from .predictions.metrics import vote as vote
from .predictions.decompositions import AmbiguityDecomposition as AmbiguityDecomposition
from .predictions.decompositions import BiasVarianceDiversity as BiasVarianceDiversity
from .predictions.decompositions import ambiguity_decomposition as ambiguity_decomposition
from .predictions.decompositions import bias_variance_diversity as bias_variance_diversity
from .predictions.decompositions import jensen_gap as jensen_gap
from .predictions.uncertainty import entropy_of_mean as entropy_of_mean
from .predictions.uncertainty import mean_entropy as mean_entropy
from .predictions.uncertainty import mutual_information as mutual_information
from .predictions.pairs import PairMatrices as PairMatrices
from .predictions.pairs import pair_matrices as pair_matrices
from .predictions.streaming import EnsembleDiversity as EnsembleDiversity

# Data
from .data.corruptions import CORRUPTIONS as CORRUPTIONS
from .data.datasets import DATASETS as DATASETS
from .data.corruptions import EXTRA_CORRUPTIONS as EXTRA_CORRUPTIONS
from .data.corruptions import SEVERITIES as SEVERITIES
from .data.splits import ImageData as ImageData
from .data.corruptions import corrupt as corrupt
from .data.splits import digits as digits
from .data.fetching import fetch as fetch
from .data.installed import installed as installed
from .data.splits import load_data as load_data
from .data.loading import load_images as load_images
from .data.corruption_files import load_published as load_published
from .data.verifying import verify as verify
from .data.corruption_files import verify_published as verify_published

# Anybody's ensembles, measured
from .ensembles.checkpoints import Checkpoints as Checkpoints
from .ensembles.result import MeasuredEnsemble as MeasuredEnsemble
from .ensembles.measuring import measure_ensemble as measure_ensemble

# Between members: lines, barriers, planes
from .connectivity.lines import Barriers as Barriers
from .connectivity.lines import LossLine as LossLine
from .connectivity.planes import LossPlane as LossPlane
from .connectivity.lines import barriers as barriers
from .connectivity.lines import loss_along_line as loss_along_line
from .connectivity.planes import loss_on_plane as loss_on_plane
from .connectivity.batch_norm import recalibrate_batch_norm as recalibrate_batch_norm

# Runs: trained, measured, kept
from .runs.measure_config import MeasureConfig as MeasureConfig
from .runs.plan import PlannedRun as PlannedRun
from .runs.config import RunConfig as RunConfig
from .runs.record import RunRecord as RunRecord
from .runs.record import load_record as load_record
from .runs.measuring import measure as measure
from .runs.measuring import measure_runs as measure_runs
from .runs.folders import open_run as open_run
from .runs.plan import plan_runs as plan_runs
from .runs.config import read_fields as read_fields
from .runs.ensembles import train_runs as train_runs
from .runs.config import write_config as write_config

# Errors
from .errors import DivergenceError as DivergenceError
from .errors import InputError as InputError
from .errors import NotMeasuredError as NotMeasuredError
from .errors import StoreError as StoreError
from .errors import WorkerError as WorkerError
