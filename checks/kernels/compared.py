"""Measured runs beside what the tangent kernels of their own networks predict: the results of ``sharpdiv compare``."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from sharpdiv.checks.kernels.ranks import spearman

__all__ = ["QUANTITIES", "ComparedRun", "KernelComparison"]

QUANTITIES = ("diversity", "eir", "member_error", "ensemble_error", "disagreement", "sharpness")
"""What is predicted and measured"""


@dataclass(frozen=True)
class ComparedRun:
    """One run, measured and predicted."""

    run: str
    """its id"""
    method: str
    rho: float
    seeds: tuple[int, ...]
    measured: Mapping[str, float]
    """by quantity; sharpness in units of its mean at the smallest rho"""
    predicted: Mapping[str, float] | None
    """the same; None where there is no prediction"""
    reason: str = ""
    """why there is none"""


@dataclass(frozen=True)
class KernelComparison:
    """Runs that differ in method, rho and seeds only."""

    config: Mapping[str, Any]
    """what all have in common: fields of ``RunConfig`` by name, or of networks that are not ours ``name`` and ``members``"""
    kernel: Mapping[str, int]
    """``train_samples`` and ``test_samples`` of the kernels"""
    provenance: Mapping[str, Any]
    """where kernels were taken"""
    steps: int
    """k of the predictions: the first at which gradient descent has the runs' training accuracy"""
    accuracy_predicted: float
    """training accuracy of gradient descent after so many steps"""
    accuracy_measured: float
    """training accuracy of the runs of the smallest rho"""
    sharpness: str
    """name of the measure"""
    points: tuple[ComparedRun, ...]

    @property
    def name(self) -> str:
        """What is compared: data set and channels of the first stage of runs of ours, or the name that others were given."""
        if "width" in self.config:
            return f"{self.config['data']}, width {self.config['width']}"
        return str(self.config["name"])

    @property
    def rhos(self) -> list[float]:
        """Values of rho that have a prediction, which rise."""
        return sorted({point.rho for point in self.points if point.predicted})

    def over_rho(self, quantity: str) -> tuple[Float[np.ndarray, "ensembles rho"], Float[np.ndarray, "ensembles rho"]]:
        """Curves over rho of SGD and SAM.

        Args:
            quantity: One of ``QUANTITIES``.

        Returns:
            Predicted and measured ones, a row for each ensemble.
        """
        pairs = [(p, p.predicted) for p in self.points if p.predicted]
        pairs.sort(key=lambda pair: (pair[0].seeds, pair[0].rho))
        ensembles = len({point.seeds for point, _ in pairs})
        predicted = np.array([values[quantity] for _, values in pairs])
        measured = np.array([point.measured[quantity] for point, _ in pairs])
        return predicted.reshape(ensembles, -1), measured.reshape(ensembles, -1)

    def rank_correlation(self, quantity: str) -> float | None:
        """Rank correlation of the mean curves over rho.

        Args:
            quantity: One of ``QUANTITIES``.

        Returns:
            0 where one side does not change; None for two values of rho, whose correlation says nothing.
        """
        predicted, measured = (side.mean(axis=0) for side in self.over_rho(quantity))
        return float(spearman(predicted, measured)) if len(predicted) > 2 else None

    def to_json(self) -> dict[str, Any]:
        """Everything, and the rank correlations.

        Returns:
            JSON values.
        """
        return {
            "config": dict(self.config),
            "kernel": dict(self.kernel),
            "provenance": dict(self.provenance),
            "steps": self.steps,
            "training_accuracy": {"run": self.accuracy_measured, "predicted": self.accuracy_predicted},
            "sharpness": self.sharpness,
            "points": [_point(point) for point in self.points],
            "rank_correlation": {name: self.rank_correlation(name) for name in QUANTITIES},
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "KernelComparison":
        """What ``to_json`` made.

        Args:
            value: JSON values.

        Returns:
            The comparison.

        Raises:
            KeyError: if something is missing, TypeError if it is of another kind.
        """
        accuracy = value["training_accuracy"]
        return cls(
            config=value["config"],
            kernel=value["kernel"],
            provenance=value["provenance"],
            steps=value["steps"],
            accuracy_predicted=accuracy["predicted"],
            accuracy_measured=accuracy["run"],
            sharpness=value["sharpness"],
            points=tuple(ComparedRun(**{**point, "seeds": tuple(point["seeds"])}) for point in value["points"]),
        )


def _point(point: ComparedRun) -> dict[str, Any]:
    values = vars(point) | {"seeds": list(point.seeds)}
    return values if point.reason else {name: value for name, value in values.items() if name != "reason"}
