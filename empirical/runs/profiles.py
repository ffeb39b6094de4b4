"""Designs: which networks are trained and measured together, and the named sets of designs that the main job takes.

A design trains every condition with the same seeds, block by block: a block is one ensemble of three of each condition, and what it
costs to lose if the machine goes away.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from sharpdiv.empirical.runs.config import RunConfig
from sharpdiv.empirical.runs.measure_config import MeasureConfig

__all__ = ["DESIGNS", "LABELS", "MEASURED_IN_FULL", "PILOT_SEEDS", "PROFILES", "QUICK_BLOCKS", "Design"]

PILOT_SEEDS = (*range(101, 107), *range(1001, 1004))
"""Seeds that decided about the designs below or were looked at before they were final, and decide nothing else."""

LABELS = {
    "sgd": "SGD",
    "sam-low": "SAM, low rho",
    "sam-mid": "SAM",
    "sam-high": "SAM, high rho",
    "late-sam": "SAM after the exchange only",
    "sharpbalance-low": "SharpBalance, low rho",
    "sharpbalance-mid": "SharpBalance",
    "sharpbalance-high": "SharpBalance, high rho",
    "shuffled": "SharpBalance on shuffled sets",
    "code": "SharpBalance as the authors' code",
    "code-random": "the authors' code on random sets",
    "sgd-short": "SGD, fewer epochs",
    "narrow-sgd": "SGD, half the width",
    "narrow-sam": "SAM, half the width",
    "sparse-sgd": "SGD, sparse",
    "sparse-sam": "SAM, sparse",
}
"""Conditions and what they are called; unless another is named rho is the middle one."""
MEASURED_IN_FULL = (
    "sgd",
    "sam-low",
    "sam-mid",
    "sam-high",
    "sharpbalance-low",
    "sharpbalance-mid",
    "sharpbalance-high",
)
"""Conditions that the paper's claims are about; the others tell them apart."""


@dataclass(frozen=True, eq=False)
class Design:
    """Conditions on one data set, with the same seeds.

    Examples:
        >>> from sharpdiv.empirical.runs.profiles import DESIGNS
        >>> design = DESIGNS["digits"].first(2)
        >>> design.blocks, len(design.conditions), len(design.all_runs)
        (((1004, 1005, 1006), (1007, 1008, 1009)), 12, 24)
    """

    name: str
    """name of the design, and of the folder of its results"""
    conditions: Mapping[str, RunConfig]
    """configurations by a key of ``LABELS``; their seeds are those of the first block"""
    blocks: tuple[tuple[int, ...], ...]
    """blocks of seeds, each of one ensemble of every condition"""
    how: MeasureConfig
    """measurement of the conditions in ``MEASURED_IN_FULL``"""
    how_others: MeasureConfig
    """measurement of the others, by few corrupted images and no costly sharpness"""

    @property
    def data(self) -> str:
        """Name of the data set."""
        return next(iter(self.conditions.values())).data

    def runs(self, block: Sequence[int]) -> dict[str, RunConfig]:
        """A block's runs.

        Args:
            block: seeds of one ensemble.

        Returns:
            A run for each condition.
        """
        return {name: replace(config, seeds=tuple(block)) for name, config in self.conditions.items()}

    @cached_property
    def runs_of_blocks(self) -> Mapping[tuple[int, ...], Mapping[str, RunConfig]]:
        """The runs of each block of the design."""
        return {block: self.runs(block) for block in self.blocks}

    @property
    def all_runs(self) -> tuple[RunConfig, ...]:
        """Every run, block after block."""
        return tuple(run for runs in self.runs_of_blocks.values() for run in runs.values())

    def measurement(self, name: str) -> MeasureConfig:
        """How a condition is measured.

        Args:
            name: name of the condition.

        Returns:
            Settings.
        """
        return self.how if name in MEASURED_IN_FULL else self.how_others

    def first(self, blocks: int) -> "Design":
        """The same design with fewer seeds.

        Args:
            blocks: number of blocks.

        Returns:
            A design whose runs are among these.
        """
        return replace(self, blocks=self.blocks[:blocks])


def _blocks(count: int) -> tuple[tuple[int, ...], ...]:
    """Triples of the confirming seeds, which begin at 1004: no earlier run has one of them."""
    return tuple((seed, seed + 1, seed + 2) for seed in range(1004, 1004 + 3 * count, 3))


def _conditions(
    rho: tuple[float, float, float], rule: str, short: int, epochs: int, **network: Any
) -> dict[str, RunConfig]:
    """SGD, and SAM and SharpBalance at the same three values of rho; at the middle one what they are to be told apart from.

    Args:
        rho: the three values of rho, the lowest first.
        rule: rule of the authors' code for this data set.
        short: epochs of the shorter SGD, which reaches about the training loss of SAM.
        epochs: epochs of all others.
        **network: options of ``RunConfig``.

    Returns:
        Conditions by name.
    """
    low, mid, high = rho
    half, seeds = epochs // 2, _blocks(1)[0]
    network = {"seeds": seeds, "epochs": epochs, "switch_epoch": half, **network}
    # The authors' code exchanges at the start of epoch T_d + 1, counted from 0; its plain SAM shares that first phase.
    theirs: dict[str, Any] = {"rho": mid, "switch_epoch": half + 1}

    def balance(**options: Any) -> RunConfig:
        return RunConfig("sharpbalance", **network | options)

    return {
        "sgd": RunConfig("sgd", **network),
        "sam-low": RunConfig("sam", low, **network),
        "sam-mid": RunConfig("sam", **network | theirs),
        "sam-high": RunConfig("sam", high, **network),
        "late-sam": balance(rho=mid, rule="all"),
        "sharpbalance-low": balance(rho=low),
        "sharpbalance-mid": balance(rho=mid),
        "sharpbalance-high": balance(rho=high),
        "shuffled": balance(rho=mid, rule="shuffled"),
        "code": balance(**theirs, first_phase="sam", rule=rule),
        "code-random": balance(**theirs, first_phase="sam", rule="random"),
        "sgd-short": RunConfig("sgd", **network | {"epochs": short, "switch_epoch": short // 2}),
    }


_RHO = (0.02, 0.05, 0.1)
"""Of the weights' norm, which grows with the width, as much as .05 to .25 are in the paper's ResNet-18; the paper's own is .2."""
_NETWORK: dict[str, Any] = {
    "augment": "flip",
    "weight_decay": 5e-4,
    "schedule": "one-cycle",
    "width": 16,
    "blocks": (1, 1, 1, 1),
    "stem_stride": 2,
    "epochs": 20,
}
"""Small enough for two cores, large enough to interpolate its training images."""
_SHARPNESS = (
    "worst_linf",
    "worst_l2_adaptive",
    "average_l2_adaptive",
    "one_step",
    "hessian_trace",
    "fisher_trace",
)
_HOW = MeasureConfig(
    sharpness=_SHARPNESS,
    linf_radius=5e-4,
    corrupted_samples=2000,
    stored_samples=2400,
    iterations=10,
    draws=4,
    trace_draws=2,
    replicates=200,
)
_HOW_OTHERS = replace(_HOW, sharpness=("worst_linf", "fisher_trace"), corrupted_samples=200)
"""On 1,024 images; radii at which the loss rises by .3 to .5, as in the paper's figures; half of the usual ascent steps, and few
random draws, as their noise is below that of seeds; probabilities of as many test images as leave results/ below 40 MB."""

_FASHION = {
    **_NETWORK,
    "data": "fashion-mnist",
    "train_samples": 2000,
    "validation_samples": 5000,
    "batch_size": 50,
}


def _other_networks(rho: float, width: int, **network: Any) -> dict[str, RunConfig]:
    """SGD and SAM in networks of half the width, with half the rho as is the norm of the weights, and of a fifth of the weights."""
    network = {"seeds": _blocks(1)[0], **network}
    narrow, sparse = {"width": width // 2}, {"width": width, "sparsity": 0.8}
    return {
        "narrow-sgd": RunConfig("sgd", **network | narrow),
        "narrow-sam": RunConfig("sam", rho / 2, **network | narrow),
        "sparse-sgd": RunConfig("sgd", **network | sparse),
        "sparse-sam": RunConfig("sam", rho, **network | sparse),
    }


_DIGITS = Design(
    "digits",
    _conditions(_RHO, "code", 30, 40, validation_samples=300, width=8, schedule="one-cycle", weight_decay=5e-4),
    _blocks(8),
    replace(_HOW, corrupted_samples=400, sharpness_samples=200),
    replace(_HOW_OTHERS, corrupted_samples=40, sharpness_samples=200),
)
_CIFAR10_JPEG = Design(
    "cifar10-jpeg",
    _conditions(
        _RHO,
        "code-boost",
        short=17,
        **_NETWORK,
        data="cifar10-jpeg",
        train_samples=5000,
        validation_samples=5000,
        batch_size=64,
    ),
    _blocks(8),
    _HOW,
    _HOW_OTHERS,
)
_FASHION_MNIST = Design(
    "fashion-mnist",
    {**_conditions(_RHO, "code", short=17, **_FASHION), **_other_networks(_RHO[1], **_FASHION)},
    _blocks(8),
    _HOW,
    _HOW_OTHERS,
)

_PAPER_SEEDS = ((13, 17, 27), (31, 37, 41), (43, 47, 53))
"""Three ensembles of three; 13, 17, 27 are the paper's first, its others are not published."""
_PAPER: dict[str, Any] = {
    "train_samples": None,
    "validation_samples": 5000,
    "augment": "crop-flip",
    "batch_size": 128,
    "weight_decay": 5e-4,
    "width": 64,
    "blocks": (2, 2, 2, 2),
    "epochs": 200,
}
_PAPER_DATA: tuple[dict[str, Any], ...] = (
    {"data": "cifar10", "rule": "code-boost"},
    {"data": "cifar100", "rule": "code"},
    {"data": "tiny-imagenet", "rule": "code", "validation_samples": 10_000},
)
_PAPER_RHO = (0.05, 0.1, 0.2)
_PAPER_HOW = MeasureConfig(
    sharpness=(
        "worst_l2_adaptive",
        "worst_l2",
        "worst_linf_adaptive",
        "worst_linf",
        "average_l2_adaptive",
        "average_l2",
        "one_step",
        "hessian_top",
        "hessian_trace",
        "fisher_trace",
    ),
    corrupted_samples=2000,
)


def _paper_design(data: str, rule: str, **options: Any) -> Design:
    """A data set of the paper; on CIFAR-10 with its other widths and sparsities, whose numbers are not published: half, and .8."""
    options = {**_PAPER, "data": data, **options}
    conditions = _conditions(_PAPER_RHO, rule, short=160, **options)
    others = _other_networks(_PAPER_RHO[1], **options) if data == "cifar10" else {}
    first = {name: replace(config, seeds=_PAPER_SEEDS[0]) for name, config in (conditions | others).items()}
    return Design(f"paper-{data}", first, _PAPER_SEEDS, _PAPER_HOW, _PAPER_HOW)


DESIGNS: dict[str, Design] = {
    design.name: design
    for design in (_DIGITS, _FASHION_MNIST, _CIFAR10_JPEG, *(_paper_design(**data) for data in _PAPER_DATA))
}
"""Designs by the name of their results."""

_GPU_CONDITIONS = ("sgd", "sam-low", "sam-mid", "sam-high", "sharpbalance-mid", "sharpbalance-high")
_GPU_NETWORK: dict[str, Any] = {
    "data": "cifar10-jpeg",
    "train_samples": None,
    "validation_samples": 5000,
    "augment": "crop-flip",
    "batch_size": 128,
    "schedule": "one-cycle",
    "weight_decay": 5e-4,
    "width": 16,
    "blocks": (1, 1, 1, 1),
}
_GPU_BLOCKS = tuple((seed, seed + 1, seed + 2) for seed in (2001, 2004, 2007))


def _gpu_design() -> Design:
    """The protocol's networks and rho on all images of CIFAR-10, unstrided, with crops, for 30 epochs.

    109 million passes over an image and 10.6 PFLOP. The data set is that of the committed results, to be put beside them; the
    paper's own comes with ``paper``.

    Returns:
        Conditions that say how SAM and SharpBalance change diversity and sharpness, and none that tell them apart further.
    """
    every = _conditions(_RHO, "code-boost", short=25, epochs=30, **_GPU_NETWORK)
    conditions = {name: replace(every[name], seeds=_GPU_BLOCKS[0], switch_epoch=15) for name in _GPU_CONDITIONS}
    return Design("gpu-cifar10-jpeg", conditions, _GPU_BLOCKS, _HOW, _HOW)


QUICK_BLOCKS = 3
"""Blocks of the digits that the main job trains."""

PROFILES: dict[str, tuple[Design, ...]] = {
    "quick": (replace(_DIGITS.first(QUICK_BLOCKS), how=_DIGITS.how_others),),
    "cpu": (_DIGITS, _FASHION_MNIST, _CIFAR10_JPEG),
    "gpu": (_gpu_design(),),
    "paper": tuple(design for name, design in DESIGNS.items() if name.startswith("paper-")),
}
"""``quick``: digits, minutes on two cores. ``cpu``: the protocol's seeds, many hours on two cores. ``gpu``: some ten minutes of one
large GPU, with seeds of its own, which no claim is decided by. ``paper``: the paper's data and networks, for many hours of GPUs."""
