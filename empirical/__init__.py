"""Ensembles trained with SGD, SAM and SharpBalance, and the measurement of their sharpness and diversity.

Everything measured is a function of predictions ``(members, samples, classes)`` or of one model and a fixed list of batches.
The modules in the order of an experiment:

* images: ``datasets`` (on disk; ``parsers``), ``data`` (in memory), ``corruptions``, ``corruption_files`` (published ones);
* methods: ``models``, ``sam``, ``per_sample`` (scores), ``sharpbalance`` (sets and the combined step);
* runs: ``config``, ``profiles``, ``training`` (one member), ``runs`` (an ensemble), ``plan``, ``store`` (files), ``workers``;
* one network: ``loss_surface``, ``sharpness``, ``average_sharpness``, ``hessian`` (``estimates``), ``representation``;
* an ensemble: ``metrics``, ``bootstrap``; ``measuring`` takes all of them of a run;
* lazy networks: ``tangent`` (kernels at initialisation), ``lazy`` (training with scaled outputs);
* ``random_features``: the referee of that theory.
"""

from empirical.average_sharpness import average_case_sharpness
from empirical.bootstrap import Interval, bootstrap
from empirical.config import RunConfig, read_fields, write_config
from empirical.corruption_files import load_published, verify_published
from empirical.corruptions import CORRUPTIONS, EXTRA_CORRUPTIONS, SEVERITIES, corrupt
from empirical.data import ImageData, digits, load_data
from empirical.datasets import DATASETS, fetch, installed, load_images, verify
from empirical.errors import DivergenceError, InputError, StoreError, WorkerError
from empirical.hessian import ConvergenceError, hessian_eigenvalues, hessian_trace
from empirical.lazy import LazyProblem, LazyTraining, freeze_batch_norm, lazy_network, train_lazy
from empirical.loss_surface import NormalizedLogits
from empirical.measuring import MeasureConfig, load_result, measure, measure_runs
from empirical.metrics import by_size, diversity, load_predictions, logit_variance, vote
from empirical.models import ResNet
from empirical.per_sample import evaluation_mode, per_sample_sharpness
from empirical.plan import PlannedRun, plan_runs
from empirical.representation import layer_features, linear_cka, member_cka
from empirical.runs import open_run, train_runs
from empirical.sam import SAM, frozen_running_statistics
from empirical.sharpbalance import sharpbalance_step, sharpness_aware_sets
from empirical.sharpness import one_step_sharpness, worst_case_sharpness
from empirical.tangent import TangentKernel, tangent_kernel

__all__ = [
    "CORRUPTIONS",
    "DATASETS",
    "EXTRA_CORRUPTIONS",
    "SAM",
    "SEVERITIES",
    "ConvergenceError",
    "DivergenceError",
    "ImageData",
    "InputError",
    "Interval",
    "LazyProblem",
    "LazyTraining",
    "MeasureConfig",
    "NormalizedLogits",
    "PlannedRun",
    "ResNet",
    "RunConfig",
    "StoreError",
    "TangentKernel",
    "WorkerError",
    "average_case_sharpness",
    "bootstrap",
    "by_size",
    "corrupt",
    "digits",
    "diversity",
    "evaluation_mode",
    "fetch",
    "freeze_batch_norm",
    "frozen_running_statistics",
    "hessian_eigenvalues",
    "hessian_trace",
    "installed",
    "layer_features",
    "lazy_network",
    "linear_cka",
    "load_data",
    "load_images",
    "load_predictions",
    "load_published",
    "load_result",
    "logit_variance",
    "measure",
    "measure_runs",
    "member_cka",
    "one_step_sharpness",
    "open_run",
    "per_sample_sharpness",
    "plan_runs",
    "read_fields",
    "sharpbalance_step",
    "sharpness_aware_sets",
    "tangent_kernel",
    "train_lazy",
    "train_runs",
    "verify",
    "verify_published",
    "vote",
    "worst_case_sharpness",
    "write_config",
]
