"""Ensembles trained with SGD, SAM and SharpBalance, and the measurement of their sharpness and diversity.

Everything measured is a function of predictions ``(members, samples, classes)`` or of one model and a fixed list of
batches.
"""

from empirical.config import RunConfig
from empirical.corruptions import CORRUPTIONS, SEVERITIES, corrupt
from empirical.data import ImageData, digits
from empirical.errors import DivergenceError, InputError, StoreError, WorkerError
from empirical.metrics import diversity, load_predictions, vote
from empirical.models import ResNet
from empirical.per_sample import evaluation_mode, per_sample_sharpness
from empirical.runs import MeasureConfig, load_result, measure, measure_runs, open_run, train_runs
from empirical.sam import SAM, frozen_running_statistics
from empirical.sharpbalance import sharpbalance_step, sharpness_aware_sets
from empirical.sharpness import worst_case_sharpness

__all__ = [
    "CORRUPTIONS",
    "SAM",
    "SEVERITIES",
    "DivergenceError",
    "ImageData",
    "InputError",
    "MeasureConfig",
    "ResNet",
    "RunConfig",
    "StoreError",
    "WorkerError",
    "corrupt",
    "digits",
    "diversity",
    "evaluation_mode",
    "frozen_running_statistics",
    "load_predictions",
    "load_result",
    "measure",
    "measure_runs",
    "open_run",
    "per_sample_sharpness",
    "sharpbalance_step",
    "sharpness_aware_sets",
    "train_runs",
    "vote",
    "worst_case_sharpness",
]
