"""Named sets of ensembles that the main job trains, and how it measures them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, get_args

from empirical.config import Method, RunConfig
from empirical.measuring import MeasureConfig, Sharpness

__all__ = ["PROFILES", "Part", "Profile"]


@dataclass(frozen=True)
class Part:
    """Ensembles whose results share a file."""

    results: str
    """name of the file of results"""
    runs: tuple[RunConfig, ...]
    """ensembles"""
    how: MeasureConfig
    """measurement of each"""
    lazy: bool = False
    """put them beside the lazy limit of their networks, which must be alike but for method, rho and seeds"""


Profile = tuple[Part, ...]
"""What the main job trains and measures, part by part."""

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


def _shapes(shapes: Sequence[dict[str, Any]], sam: Sequence[float], **options: Any) -> tuple[RunConfig, ...]:
    """SGD and SAM in networks of other widths or sparsities (Fig. 5 of the paper)."""
    return tuple(run for shape in shapes for run in _runs(_SEEDS, sam, (), **(options | shape)))


_CIFAR = {"validation_samples": 5000, "augment": True, "batch_size": 128, "weight_decay": 5e-4}
"""As in the paper; rate, momentum and schedule are the defaults."""

_CIFAR10_JPEG = Part(
    "cifar10-jpeg.json",
    _runs(
        _SEEDS,
        (0.05, 0.1, 0.2),
        (0.1, 0.2),
        data="cifar10-jpeg",
        train_samples=10_000,
        width=16,
        blocks=(1, 1, 1, 1),
        precision="bfloat16",
        **_CIFAR,
    ),
    MeasureConfig(sharpness=get_args(Sharpness), sharpness_samples=256, corrupted_samples=500, draws=10, trace_draws=4),
    lazy=True,
)

_FASHION: dict[str, Any] = {
    "data": "fashion-mnist",
    "train_samples": 4000,
    "validation_samples": 5000,
    "augment": True,
    "width": 8,
    "blocks": (1, 1, 1),
    "precision": "bfloat16",
    "batch_size": 64,
    "weight_decay": 5e-4,
    "epochs": 25,
}
_FASHION_HOW = MeasureConfig(
    sharpness=get_args(Sharpness),
    sharpness_samples=256,
    corrupted_samples=200,
    draws=4,
    trace_draws=2,
    feature_samples=300,
)
_SETS: tuple[dict[str, Any], ...] = (
    *({"rho": rho, "top_fraction": 0.25} for rho in (0.1, 0.2, 0.4)),
    *({"rho": 0.2, "rule": rule} for rule in ("code", "random", "same")),
)
"""SharpBalance on smaller sets, and on sets by other rules."""
_FASHION_MNIST = (
    Part(
        "fashion-mnist.json",
        _runs(_SEEDS, (0.05, 0.1, 0.2, 0.3, 0.4), (0.1, 0.2, 0.4), **_FASHION),
        _FASHION_HOW,
        lazy=True,
    ),
    Part(
        "fashion-mnist-variants.json",
        tuple(RunConfig("sharpbalance", seeds=seeds, **_FASHION, **sets) for seeds in _SEEDS for sets in _SETS),
        _FASHION_HOW,
    ),
    *(
        Part(f"fashion-mnist-{name}.json", _shapes(shapes, (0.1, 0.3), **_FASHION), _FASHION_HOW)
        for name, shapes in (
            ("widths", [{"width": 16}, {"width": 32}]),
            ("sparsities", [{"sparsity": 0.5}, {"sparsity": 0.8}]),
        )
    ),
    Part("fashion-mnist-sizes.json", _runs([_SEEDS[0] + _SEEDS[1]], (0.2,), (0.2,), **_FASHION), _FASHION_HOW),
)
"""The main design; variants of SharpBalance; other networks, and ensembles of six. A run's results are 50 kB."""

_PAPER = {"train_samples": None, "width": 64, "blocks": (2, 2, 2, 2), "epochs": 200, **_CIFAR}
_PAPER_HOW = MeasureConfig(sharpness=get_args(Sharpness), corrupted_samples=10_000)
_PAPER_DATA: tuple[dict[str, Any], ...] = (
    {"data": "cifar10"},
    {"data": "cifar100"},
    {"data": "tiny-imagenet", "validation_samples": 10_000},
)

PROFILES: dict[str, Profile] = {
    "quick": (Part("digits.json", _runs(_SEEDS, (0.05, 0.1, 0.2, 0.4), (0.1, 0.2)), MeasureConfig()),),
    "cpu": (_CIFAR10_JPEG, *_FASHION_MNIST),
    "paper": (
        *(
            Part(
                f"paper-{data['data']}.json",
                _runs(_SEEDS, (0.05, 0.1, 0.2), (0.05, 0.1, 0.2), **(_PAPER | data)),
                _PAPER_HOW,
            )
            for data in _PAPER_DATA
        ),
        # The paper's widths and sparsities are not published as numbers: half and a quarter of ResNet-18's, and ours.
        Part(
            "paper-shapes.json",
            _shapes(
                [{"width": 32}, {"width": 16}, {"sparsity": 0.5}, {"sparsity": 0.8}],
                (0.05, 0.1, 0.2),
                **(_PAPER | {"data": "cifar10"}),
            ),
            _PAPER_HOW,
        ),
    ),
}
"""``quick``: digits, minutes on two cores. ``cpu``: parts of CIFAR-10 and Fashion-MNIST, hours on two cores. ``paper``: the
paper's, for a GPU."""
