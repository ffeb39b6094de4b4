"""Ways to train an ensemble, as records: trainer, plans and command line read them and name none.

A method is an optimizer and the samples of a batch that go through its ascent: none, all, or sets that members exchange scores for.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol, runtime_checkable

import torch
from torch import nn

from sharpdiv.empirical.errors import InputError
from sharpdiv.empirical.optim.sam import SAM
from sharpdiv.registry import Registry

__all__ = ["METHODS", "Method", "Settings", "Treated", "method_named", "sam_around_sgd"]


class Treated(StrEnum):
    """Samples that go through the ascent."""

    NONE = "none"
    ALL = "all"
    SETS = "sets"
    """those that the other members find sharp, after a first phase of another method"""


@runtime_checkable
class Settings(Protocol):
    """What an optimizer is made from: these options of a run."""

    @property
    def rho(self) -> float:
        """SAM's rho, the length of the ascent."""

    @property
    def adaptive(self) -> bool:
        """Whether the ascent is scaled by the magnitude of each weight."""

    @property
    def clip_norm(self) -> float | None:
        """Largest norm of the gradient of the descent."""

    @property
    def learning_rate(self) -> float:
        """Largest rate."""

    @property
    def momentum(self) -> float:
        """Momentum of the descent."""

    @property
    def weight_decay(self) -> float:
        """Weight decay of the descent."""


def sam_around_sgd(weights: Iterable[nn.Parameter], settings: Settings) -> SAM:
    """SGD with momentum inside SAM, which is SGD alone where no sample goes through the ascent.

    Args:
        weights: Parameters of a network.
        settings: Options of the run.

    Returns:
        The optimizer.

    Examples:
        >>> import torch
        >>> from sharpdiv import RunConfig
        >>> from sharpdiv.empirical.optim.methods import sam_around_sgd
        >>> weights = torch.nn.Linear(2, 1).parameters()
        >>> optimizer = sam_around_sgd(weights, RunConfig("sam", rho=0.05, learning_rate=0.2))
        >>> optimizer.rho, optimizer.param_groups[0]["lr"]
        (0.05, 0.2)
    """
    return SAM(
        weights,
        torch.optim.SGD,
        settings.rho,
        adaptive=settings.adaptive,
        clip_norm=settings.clip_norm,
        lr=settings.learning_rate,
        momentum=settings.momentum,
        weight_decay=settings.weight_decay,
    )


@dataclass(frozen=True, kw_only=True)
class Method:
    """One way to train.

    Examples:
        >>> from sharpdiv.empirical.optim.methods import Method, Treated
        >>> method = Method(name="mine", label="my SAM", treated=Treated.ALL)  # METHODS.add(method) makes it known to runs
        >>> method.ascends, method.passes
        (True, 2)
    """

    name: str
    """value of a configuration's ``method``"""
    label: str
    """name for people"""
    treated: Treated
    """samples that go through the ascent"""
    optimizer: Callable[[Iterable[nn.Parameter], Settings], SAM] = sam_around_sgd
    """maker of the optimizer"""

    @property
    def ascends(self) -> bool:
        """Whether there is an ascent, and with it a positive rho."""
        return self.treated != Treated.NONE

    @property
    def passes(self) -> int:
        """Forward and backward passes of a step, at most."""
        return 1 + self.ascends


METHODS = Registry(
    "method",
    (
        Method(name="sgd", label="SGD", treated=Treated.NONE),
        Method(name="sam", label="SAM", treated=Treated.ALL),
        Method(name="sharpbalance", label="SharpBalance", treated=Treated.SETS),
    ),
)
"""All methods by name."""


def method_named(name: str) -> Method:
    """A method by its name.

    Args:
        name: Key of ``METHODS``.

    Returns:
        The method.

    Raises:
        InputError: if there is none.

    Examples:
        >>> from sharpdiv.empirical.optim.methods import method_named
        >>> method_named("sharpbalance").label
        'SharpBalance'
    """
    return METHODS.named(name, InputError)
