"""How a trained ensemble is measured: a frozen configuration that is the command line's options and part of every result."""

from dataclasses import asdict, dataclass
from typing import Any, Literal

from sharpdiv.empirical.curvature.measures import MEASURES, SharpnessSettings
from sharpdiv.empirical.errors import InputError

__all__ = ["MeasureConfig"]


@dataclass(frozen=True)
class MeasureConfig(SharpnessSettings):
    """How a trained ensemble is measured; defaults as in Andriushchenko et al. (2023) and the authors' code.

    Raises:
        InputError: if a number is outside its domain, or a measure does not exist or not of normalized logits.

    Examples:
        >>> from sharpdiv import MeasureConfig
        >>> MeasureConfig(sharpness=("worst_linf", "fisher_trace"), iterations=10).sharpness
        ('worst_linf', 'fisher_trace')
        >>> MeasureConfig(replicates=0)
        Traceback (most recent call last):
        ...
        sharpdiv.empirical.errors.InputError: replicates must be finite and positive, got 0
    """

    split: Literal["test", "validation"] = "test"
    """images that predictions are made on"""
    sharpness: tuple[str, ...] = ("worst_l2_adaptive", "worst_l2")
    """measures of sharpness to take; the first is what claims are about"""
    normalize_logits: bool = False
    """whether sharpness is that of the network with normalized logits"""
    sharpness_samples: int = 1024
    """number of training images that sharpness is measured on, the first ones, un-augmented"""
    sharpness_batch: int = 128
    """number of images in a batch of the sharpness"""
    corrupted: Literal["generated", "published"] = "generated"
    """corrupted images: made here from those of the split (14 corruptions), or the published files of the test set (15)"""
    corrupted_samples: int = 300
    """number of images that are corrupted, the first ones, by every corruption and severity"""
    stored_samples: int = 4000
    """number of images whose probabilities the record keeps, the first ones"""
    feature_samples: int = 1000
    """number of images whose features are compared between members, the first ones"""
    replicates: int = 2000
    """number of replicates of the bootstrap over images"""

    def __post_init__(self) -> None:
        if unknown := {name for name in self.sharpness if name not in MEASURES}:
            raise InputError(f"sharpness must be of {', '.join(MEASURES)}; got {', '.join(sorted(unknown))}")
        plain = [name for name in self.sharpness if MEASURES[name].plain_logits]
        if self.normalize_logits and plain:
            names = " and ".join(plain)
            raise InputError(f"{names} cannot be taken of normalized logits; leave out {names} or normalize_logits")
        for name, value in asdict(self).items():
            number = isinstance(value, int | float) and not isinstance(value, bool)
            if number and not (0 < value < float("inf") or (name == "seed" and value == 0)):
                raise InputError(f"{name} must be finite and positive, got {value}")
        if self.seed >= 2**63:
            raise InputError(f"seed must have 63 bits at most, got {self.seed}")

    def to_json(self) -> dict[str, Any]:
        """All fields as JSON values.

        Returns:
            A dictionary.
        """
        return {**asdict(self), "sharpness": list(self.sharpness)}
