"""What pieces of work cost, in 10^6 operations of the network: to say how much is left, and to start the longest first."""

from pathlib import Path

from sharpdiv.empirical.curvature.measures import MEASURES
from sharpdiv.empirical.data.corruptions import CORRUPTIONS, SEVERITIES
from sharpdiv.empirical.data.datasets import DATASETS
from sharpdiv.empirical.optim.methods import METHODS
from sharpdiv.empirical.runs.config import RunConfig
from sharpdiv.empirical.runs.folders import run_folder, trained_epochs
from sharpdiv.empirical.runs.measure_config import MeasureConfig
from sharpdiv.empirical.runs.plan import forward_flops

__all__ = ["measuring_cost", "training_cost"]

_UNIT = 1e6
_BACKWARD = 3
"""Operations of a forward and a backward pass, in forward passes."""
_FEW = 4
"""Passes of a sharpness that is no worst case."""


def training_cost(root: Path, config: RunConfig, seed: int, first: int, last: int) -> float:
    """Cost of some epochs of a member, as far as they are not done.

    Args:
        root: folder of all runs.
        config: configuration of the run.
        seed: seed of the member.
        first: epochs that are another piece's.
        last: epoch to train to.

    Returns:
        The cost, 0 if all is there.

    Examples:
        >>> from pathlib import Path
        >>> from sharpdiv import RunConfig
        >>> from sharpdiv.empirical.runs.costs import training_cost
        >>> sgd, sam = RunConfig("sgd"), RunConfig("sam", rho=0.1)
        >>> training_cost(Path("none"), sam, 1, 0, 60) / training_cost(Path("none"), sgd, 1, 30, 60)  # passes, epochs
        4.0
    """
    epochs = last - max(first, trained_epochs(root, config, seed))
    if epochs <= 0:
        return 0.0
    return epochs * _training_images(config) * METHODS[config.method].passes * _BACKWARD * forward_flops(config) / _UNIT


def measuring_cost(root: Path, config: RunConfig, seed: int, how: MeasureConfig) -> float:
    """About what measuring a member of a run costs that is not measured so: its outputs on all images, passes of each sharpness.

    Args:
        root: folder of all runs.
        config: configuration of the run.
        seed: seed of the member.
        how: settings of the measurement.

    Returns:
        The cost, 0 if the member's measurement is there already.

    Examples:
        >>> from pathlib import Path
        >>> from sharpdiv import MeasureConfig, RunConfig
        >>> from sharpdiv.empirical.runs.costs import measuring_cost
        >>> few, many = (MeasureConfig(iterations=iterations) for iterations in (2, 20))
        >>> measuring_cost(Path("none"), RunConfig("sgd"), 1, few) < measuring_cost(Path("none"), RunConfig("sgd"), 1, many)
        True
    """
    folder = run_folder(root, config)
    # Where a record is there, the run was measured, but in another way: it would not be asked for.
    if (folder / f"measured-{seed}.safetensors").exists() and not (folder / "record.npz").exists():
        return 0.0
    images = _training_images(config) + config.validation_samples + DATASETS[config.data].extent.test
    images += how.corrupted_samples * len(CORRUPTIONS) * len(SEVERITIES)
    ascents = sum(how.iterations if "iterations" in MEASURES[name].needs else _FEW for name in how.sharpness)
    return (images + how.sharpness_samples * ascents * _BACKWARD) * forward_flops(config) / _UNIT


def _training_images(config: RunConfig) -> int:
    return config.train_samples or DATASETS[config.data].extent.train - config.validation_samples
