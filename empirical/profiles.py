"""Named sets of ensembles that the main job trains, and how it measures them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, get_args

from empirical.config import Method, RunConfig
from empirical.measuring import MeasureConfig, Sharpness

__all__ = ["PROFILES", "Profile"]


@dataclass(frozen=True)
class Profile:
    """What the main job trains and measures."""

    results: str
    """name of the file of results"""
    runs: tuple[RunConfig, ...]
    """ensembles"""
    how: MeasureConfig
    """measurement of each"""


_SEEDS = ((13, 17, 27), (31, 37, 41), (43, 47, 53))
"""Three ensembles of three; 13, 17, 27 are the paper's first, its others are not published."""


def _runs(
    seeds: Sequence[tuple[int, ...]], sam: Sequence[float], balance: Sequence[float], **options: Any
) -> tuple[RunConfig, ...]:
    """SGD, SAM and SharpBalance at some radii, for every ensemble."""
    radii: dict[Method, Sequence[float]] = {"sgd": (0.0,), "sam": sam, "sharpbalance": balance}
    return tuple(
        RunConfig(method, rho, seeds=ensemble, **options)
        for ensemble in seeds
        for method, values in radii.items()
        for rho in values
    )


_CIFAR = {"validation_samples": 5000, "augment": True, "batch_size": 128, "weight_decay": 5e-4}
"""As in the paper; rate, momentum and schedule are the defaults."""

PROFILES = {
    "quick": Profile("digits.json", _runs(_SEEDS, (0.05, 0.1, 0.2, 0.4), (0.1, 0.2)), MeasureConfig()),
    "cpu": Profile(
        "cifar10-jpeg.json",
        _runs(
            _SEEDS[:1],
            (0.05, 0.1, 0.2),
            (0.1, 0.2),
            data="cifar10-jpeg",
            train_samples=10_000,
            width=16,
            blocks=(1, 1, 1, 1),
            precision="bfloat16",
            **_CIFAR,
        ),
        MeasureConfig(
            sharpness=get_args(Sharpness), sharpness_samples=256, corrupted_samples=500, draws=10, trace_draws=4
        ),
    ),
    "paper": Profile(
        "paper.json",
        tuple(
            run
            for data in ("cifar10", "cifar100", "tiny-imagenet")
            for run in _runs(
                _SEEDS,
                (0.05, 0.1, 0.2),
                (0.05, 0.1, 0.2),
                data=data,
                train_samples=None,
                width=64,
                blocks=(2, 2, 2, 2),
                epochs=200,
                **(_CIFAR if data != "tiny-imagenet" else {**_CIFAR, "validation_samples": 10_000}),
            )
        ),
        MeasureConfig(sharpness=get_args(Sharpness), corrupted_samples=10_000),
    ),
}
"""``quick``: digits, minutes on two cores. ``cpu``: part of CIFAR-10, hours on two cores. ``paper``: the paper's, for a GPU."""
