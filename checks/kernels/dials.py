"""What the lazy-to-rich dial trains: networks, alphas, radii and steps, by profile."""

from dataclasses import dataclass
from typing import Literal

from sharpdiv.empirical.data.splits import TEST_ORDER
from sharpdiv.empirical.models import Activation, Normalization

__all__ = [
    "ASCENT_STEPS",
    "BLOCKS",
    "CONSTANTS",
    "DIALS",
    "LIMIT",
    "RADIUS",
    "RATE",
    "SPLIT_SEED",
    "Dial",
    "Network",
    "Optimizer",
]

Optimizer = Literal["sam", "blocks", "normalized"]
"""full-batch SAM on all training samples; on disjoint blocks, one for each member in turn; with ascents of a fixed length"""
RATE = 0.5
"""learning rate times the largest eigenvalue"""
LIMIT = 2 / RATE - 1
"""fraction ``rho x_max`` at which SAM stops contracting the top mode, ``eta x (1 + rho x) = 2``"""
RADIUS = 0.02
"""radius of the sharpness times the root of the largest eigenvalue: so small that the gradient decides, and an ascent from 0 finds
the maximum also where training has emptied the sharpest direction"""
BLOCKS = 3
"""disjoint blocks of the training samples; member i has block i mod 3"""
ASCENT_STEPS = 10
SPLIT_SEED = 0
_NORMALIZED = 0.2
"""factor of the fractions for normalized SAM, whose radius grows as the gradient shrinks"""
CONSTANTS = {
    "rate": RATE,
    "radius": RADIUS,
    "blocks": BLOCKS,
    "ascent_steps": ASCENT_STEPS,
    "split_seed": SPLIT_SEED,
    "normalized": _NORMALIZED,
    "order": TEST_ORDER,
}
"""What every member depends on besides its dial and network."""


@dataclass(frozen=True)
class Network:
    """One network of the dial."""

    width: int = 8
    """channels of the first stage"""
    activation: Activation = "relu"
    """relu or gelu"""
    norm: Normalization = "none"
    """none, group, or batch, whose statistics are frozen at initialization"""
    head_only: bool = False
    """train the last layer alone, in float64: then the linearization is exact"""
    alphas: tuple[float, ...] = (1.0, 3.0, 10.0, 30.0, 100.0)
    """scales of the outputs"""
    optimizers: tuple[Optimizer, ...] = ("sam", "blocks")
    """ways to train; gradient descent is the fraction 0 of each"""

    @property
    def name(self) -> str:
        """Short and readable."""
        return f"{self.activation}-{self.norm}-{self.width}" + ("-head" if self.head_only else "")


@dataclass(frozen=True)
class Dial:
    """Networks, and what is done with each."""

    results: str
    """name of the file of results"""
    networks: tuple[Network, ...]
    """to predict and train"""
    fractions: tuple[float, ...] = (0.0, 1.0, 2.0, 2.85)
    """``rho x_max``, up to 0.95 of the limit"""
    snapshots: tuple[int, ...] = (5, 10, 20, 30, 40)
    """steps k at which members are looked at"""
    members: int = 6
    """of an ensemble"""
    rich_members: int = 12
    """the same where alpha is at most 3: there members differ more"""
    train_samples: int = 200
    """digits to train on"""
    test_samples: int = 400
    """the first test digits"""

    def seeds(self, alpha: float) -> range:
        """Seeds of the members at one alpha, those of a smaller ensemble first.

        Returns:
            0, 1, ...
        """
        return range(self.rich_members if alpha <= 3 else self.members)

    def radii(self, optimizer: Optimizer) -> tuple[float, ...]:
        """Fractions for an optimizer; of the first step for normalized SAM.

        Returns:
            As many as there are fractions.
        """
        return tuple(_NORMALIZED * f for f in self.fractions) if optimizer == "normalized" else self.fractions


def _head(alpha: float) -> Network:
    """The network of which only the last layer is trained, by every optimizer."""
    return Network(head_only=True, alphas=(alpha,), optimizers=("sam", "blocks", "normalized"))


DIALS = {
    "quick": Dial(
        "dial-quick.json",
        (_head(1.0), Network(activation="gelu", alphas=(1.0, 100.0), optimizers=("sam",))),
        fractions=(0.0, 2.0),
        snapshots=(10, 20),
        members=3,
        rich_members=3,
        train_samples=100,
        test_samples=200,
    ),
    "cpu": Dial(
        "dial.json",
        (
            _head(100.0),
            Network(activation="gelu", optimizers=("sam", "blocks", "normalized")),
            Network(),
            Network(norm="group"),
            Network(norm="batch"),
            Network(width=16),
        ),
    ),
}
"""Dials by profile; ``plan_dial`` says what they take."""
