"""How long training takes a GPU that is not here, by arithmetic alone: nobody measured it.

A step takes as long as the longer of two things: its additions and multiplications at a share of the card's published peak, and the
launches of its operations by the host, one after the other. Wide networks are bound by the first, narrow ones by the second.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from sharpdiv.empirical.data.datasets import DATASETS
from sharpdiv.empirical.data.splits import ImageData
from sharpdiv.empirical.engines.workers import single_thread
from sharpdiv.empirical.optim.methods import METHODS, Treated
from sharpdiv.empirical.optim.sharpbalance import sharpbalance_step
from sharpdiv.empirical.runs.config import Precision, RunConfig
from sharpdiv.empirical.runs.member import new_member

__all__ = ["CARDS", "LAUNCH_SECONDS", "SUSTAINED", "Card", "Work", "hours_of", "operations_of_step", "random_images"]


@dataclass(frozen=True)
class Card:
    """A GPU by its maker's numbers.

    Examples:
        >>> from sharpdiv.empirical.runs.gpu_time import CARDS
        >>> [card.name for card in CARDS]
        ['A100', 'H100']
    """

    name: str
    """what people call it"""
    peak: Mapping[Precision, float]
    """published additions and multiplications a second, of dense matrices, by precision"""


CARDS = (
    Card("A100", {"float32": 19.5e12, "tf32": 156e12, "bfloat16": 312e12}),
    Card("H100", {"float32": 67e12, "tf32": 494.7e12, "bfloat16": 989.4e12}),
)
"""NVIDIA's data sheets of the A100 and of the H100 SXM; float32 is IEEE's, without tensor cores."""
SUSTAINED = 0.3
"""Share of the peak that training sustains, assumed: small images leave much of a card idle, norms wait for memory."""
LAUNCH_SECONDS = 6.5e-6
"""Time of the host for one operation, assumed: what PyTorch takes without a compiler, some 5 to 10 microseconds."""


@dataclass(frozen=True)
class Work:
    """What a GPU has to do.

    Examples:
        >>> from sharpdiv.empirical.runs.gpu_time import CARDS, Work
        >>> wide, narrow = Work(3.6e15, launches=10**6), Work(3.6e9, launches=10**9)
        >>> [round(work.hours(CARDS[0], "float32"), 2) for work in (wide, narrow)]
        [0.17, 1.81]
    """

    flops: float = 0.0
    """additions and multiplications"""
    launches: int = 0
    """operations that the host launches, one after the other"""

    def hours(self, card: Card, precision: Precision) -> float:
        """Time of one card that does nothing else.

        Args:
            card: whose peak counts.
            precision: of the passes.

        Returns:
            Hours of the larger of both times.
        """
        return max(self.flops / (SUSTAINED * card.peak[precision]), self.launches * LAUNCH_SECONDS) / 3600


def hours_of(works: Sequence[Work], card: Card, precision: Precision) -> float:
    """Time of one card for several pieces of work, of which each is bound by one thing or the other.

    Args:
        works: pieces of work.
        card: whose peak counts.
        precision: of the passes.

    Returns:
        The sum of their hours.

    Examples:
        >>> from sharpdiv.empirical.runs.gpu_time import CARDS, Work, hours_of
        >>> work = Work(3.6e15, launches=10**6)
        >>> hours_of([work, work], CARDS[0], "float32") == 2 * work.hours(CARDS[0], "float32")
        True
    """
    return sum(work.hours(card, precision) for work in works)


class _Operations(TorchDispatchMode):
    """Counts operations below autograd; views, too, which take the host as long as what computes something."""

    count = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        self.count += 1
        return function(*args, **(kwargs or {}))


def operations_of_step(config: RunConfig) -> int:
    """Operations that the host launches for a step, counted on a CPU in a network of width 1.

    SharpBalance's is one with as many samples in the member's set as outside of it.

    Args:
        config: configuration of the run.

    Returns:
        Their number.

    Examples:
        >>> from sharpdiv import RunConfig
        >>> from sharpdiv.empirical.runs.gpu_time import operations_of_step
        >>> options = {"width": 2, "blocks": (1,)}
        >>> sgd = operations_of_step(RunConfig("sgd", **options))
        >>> 2 * sgd < operations_of_step(RunConfig("sam", rho=0.1, **options)) < 3 * sgd
        True
    """
    treated = METHODS[config.method].treated
    # All else has no part in it, a batch's size and the width among it: how many operations there are, not how large they are.
    options: dict[str, Any] = {
        n: getattr(config, n) for n in ("blocks", "adaptive", "m", "momentum", "weight_decay", "precision")
    }
    batch = config.batch_size if config.m else 8
    return _operations_of_step(
        RunConfig(
            config.method,
            rho=0.0 if treated == Treated.NONE else 1.0,
            width=1,
            batch_size=batch,
            sparsity=0.5 if config.sparsity else 0.0,
            clip_norm=None if config.clip_norm is None else 1.0,
            **options,
        )
    )


@cache
def _operations_of_step(config: RunConfig) -> int:
    data = random_images(config, config.batch_size)
    member = new_member(config, data, 0, torch.device("cpu"))
    member.model.train()
    for group in member.optimizer.param_groups:
        group["foreach"] = True  # as it is on a GPU: one operation for all weights
    period = {Treated.NONE: 0, Treated.SETS: 1, Treated.ALL: 2}[METHODS[config.method].treated]
    aware = torch.arange(config.batch_size) % 2 < period
    batch = data.normalize(data.train_images), data.train_labels
    autocast = torch.bfloat16 if config.precision == "bfloat16" else None
    for _ in range(2):  # the first one makes the momentum
        with single_thread(), _Operations() as operations:  # type: ignore[no-untyped-call]
            sharpbalance_step(member.model, member.optimizer, *batch, aware, m=config.m, autocast=autocast)
    return int(operations.count)


def random_images(config: RunConfig, count: int) -> ImageData:
    """Images of the data set's size and number of classes.

    Args:
        config: configuration that names the data set.
        count: number of training images, and of test images.

    Returns:
        Images that look like nothing.

    Examples:
        >>> from sharpdiv import RunConfig
        >>> from sharpdiv.empirical.runs.gpu_time import random_images
        >>> tuple(random_images(RunConfig("sgd", data="cifar10"), 3).train_images.shape)
        (3, 3, 32, 32)
    """
    extent = DATASETS[config.data].extent
    channels, size, classes = extent.channels, extent.size, extent.classes
    images = torch.randint(256, (count, channels, size, size), dtype=torch.uint8)
    labels = torch.randint(classes, (count,))
    mean, std = torch.full((channels,), 0.5), torch.full((channels,), 0.25)
    return ImageData("random", images, labels, images[:0], labels[:0], images, labels, classes, mean, std)
