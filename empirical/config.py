"""What one ensemble is: a frozen configuration that is the command line, the JSON record and the identity of a run."""

import math
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, get_args

from empirical.errors import InputError
from empirical.sharpbalance import Rule
from empirical.store import digest

__all__ = ["Method", "RunConfig"]

Method = Literal["sgd", "sam", "sharpbalance"]
Data = Literal["digits"]


@dataclass(frozen=True)
class RunConfig:
    """One ensemble. Defaults are the quick profile on the digits; seeds, rate, momentum and schedule are the paper's.

    Raises:
        InputError: if a number is outside its domain or does not fit the method; the message names it.
    """

    method: Method
    """sgd, sam, or sharpbalance"""
    rho: float = 0.0
    """radius of SAM's ascent; 0 for sgd, positive otherwise"""
    seeds: tuple[int, ...] = (13, 17, 27)
    """one member each: initialisation and data order"""
    data: Data = "digits"
    """data set"""
    train_samples: int = 200
    """training images"""
    split_seed: int = 0
    """seed of the split in training and test images"""
    width: int = 8
    """channels of the first stage of the residual network"""
    blocks: int = 1
    """residual blocks per stage"""
    stages: int = 3
    """stages, each twice as wide as the one before"""
    epochs: int = 60
    """passes over the training images"""
    batch_size: int = 50
    """images in a step; SAM's norm is taken over all of them"""
    learning_rate: float = 0.1
    """initial rate, divided by 10 at 1/2 and at 3/4 of the epochs"""
    momentum: float = 0.9
    """of SGD"""
    weight_decay: float = 5e-3
    """of SGD; the paper has 5e-4 for 200 epochs of CIFAR, too little to act within the 240 steps of this profile"""
    switch_epoch: int | None = None
    """T_d: epochs of plain training before SharpBalance exchanges sharpness scores; half of the epochs unless given"""
    top_fraction: float = 0.5
    """k: fraction of a member's sharpest samples that the others treat with SAM"""
    rule: Rule = "paper"
    """how SharpBalance forms its sets"""

    def __post_init__(self) -> None:
        for name, known in (("method", Method), ("data", Data), ("rule", Rule)):
            if getattr(self, name) not in get_args(known):
                raise InputError(f"{name} must be one of {', '.join(get_args(known))}; got {getattr(self, name)!r}")
        self._normalise()
        self._check_ranges()
        if (self.method == "sgd") != (self.rho == 0):
            raise InputError(
                f"rho must be 0 for sgd and positive for sam and sharpbalance, got {self.method} with {self.rho}"
            )
        if len(self.seeds) < 2 or len(set(self.seeds)) < len(self.seeds) or min(self.seeds) < 0:
            raise InputError(f"an ensemble needs at least 2 different non-negative seeds, got {self.seeds}")
        if not 0 <= self.switch < self.epochs:
            raise InputError(f"switch_epoch must lie between 0 and {self.epochs - 1}, got {self.switch_epoch}")

    def _check_ranges(self) -> None:
        """Ranges of the numbers, each by itself."""
        smallest = {"train_samples": 2, "width": 1, "blocks": 1, "stages": 1, "epochs": 1, "batch_size": 2}
        for name, minimum in smallest.items():
            if getattr(self, name) < minimum:
                raise InputError(f"{name} must be at least {minimum}, got {getattr(self, name)}")
        for name in ("rho", "momentum", "weight_decay"):
            if not (math.isfinite(getattr(self, name)) and getattr(self, name) >= 0):
                raise InputError(f"{name} must be finite and non-negative, got {getattr(self, name)}")
        if not (math.isfinite(self.learning_rate) and self.learning_rate > 0):
            raise InputError(f"learning_rate must be finite and positive, got {self.learning_rate}")
        if not 0 < self.top_fraction < 1:
            raise InputError(f"top_fraction must lie strictly between 0 and 1, got {self.top_fraction}")

    def _normalise(self) -> None:
        """Fill in T_d, and make equal configurations the same run, however their numbers were written."""
        for name in ("rho", "learning_rate", "momentum", "weight_decay", "top_fraction"):
            object.__setattr__(self, name, float(getattr(self, name)))
        if self.switch_epoch is None:
            object.__setattr__(self, "switch_epoch", self.epochs // 2)

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> "RunConfig":
        """Configuration of a stored run.

        Returns:
            The configuration.

        Raises:
            InputError: if fields are missing, unknown or invalid.
        """
        try:
            if missing := set(cls.__dataclass_fields__) - set(value):
                raise InputError(f"not a run's configuration: it lacks {', '.join(sorted(missing))}")
            return cls(**{**value, "seeds": tuple(value["seeds"])})
        except TypeError as error:
            raise InputError(f"not a run's configuration: {error}") from error

    def to_json(self) -> dict[str, Any]:
        """All fields as JSON values.

        Returns:
            What ``from_json`` takes.
        """
        return {**asdict(self), "seeds": list(self.seeds)}

    @property
    def run_id(self) -> str:
        """Readable name that ends in a hash of every field."""
        radius = "" if self.method == "sgd" else f"-rho{self.rho:g}"
        return f"{self.data}-{self.method}{radius}-{digest(self.to_json())[:12]}"

    @property
    def first_phase(self) -> "RunConfig":
        """The SGD ensemble of the same seeds, whose training up to ``switch_epoch`` SharpBalance shares."""
        return replace(self, method="sgd", rho=0.0, top_fraction=RunConfig.top_fraction, rule=RunConfig.rule)

    @property
    def switch(self) -> int:
        """T_d as a number."""
        return self.epochs // 2 if self.switch_epoch is None else self.switch_epoch

    def learning_rate_at(self, epoch: int) -> float:
        """Step schedule: a pure function of the epoch, so that resuming needs no scheduler state.

        Returns:
            The rate, divided by 10 from 1/2 and again from 3/4 of the epochs on.
        """
        return self.learning_rate * 0.1 ** ((2 * epoch >= self.epochs) + (4 * epoch >= 3 * self.epochs))
