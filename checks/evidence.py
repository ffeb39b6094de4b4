"""Measured ensembles as arrays, and bootstrap intervals over ensembles and test points."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from empirical import StoreError
from empirical.store import load_json

__all__ = ["Evidence", "Interval", "Measured", "interval", "load_evidence", "slope"]

REPLICATES = 2000
SEED = 2024


@dataclass(frozen=True)
class Interval:
    """A value with its 95% percentile bootstrap interval."""

    value: float
    """on all the data"""
    low: float
    """2.5% quantile of the replicates"""
    high: float
    """97.5% quantile"""

    def __str__(self) -> str:
        return f"{self.value:.4g} [{self.low:.4g}, {self.high:.4g}]"


@dataclass(frozen=True)
class Measured:
    """Means that every statistic is made of, for one method over its values of rho; arrays ``(replicates, rho)``.

    The first replicate is the data itself; in the others ensembles are drawn with replacement, then test points (the
    same ones for all ensembles and methods, so that differences are paired).
    """

    rho: Float[np.ndarray, " rho"]
    """SAM radii, increasing"""
    sharpness: Float[np.ndarray, "replicates rho"]
    """adaptive worst-case sharpness, mean over members"""
    sharpness_plain: Float[np.ndarray, "replicates rho"]
    """the same in a ball without adaptive scaling"""
    disagreement: Float[np.ndarray, "replicates rho"]
    """mean over member pairs and test points"""
    member_error: Float[np.ndarray, "replicates rho"]
    """mean over members and test points"""
    ensemble_error: Float[np.ndarray, "replicates rho"]
    """of the mean probabilities"""
    corrupted_member_accuracy: Float[np.ndarray, "replicates rho"]
    """mean over members, corruptions, severities and the test points that were corrupted"""
    corrupted_ensemble_accuracy: Float[np.ndarray, "replicates rho"]
    """the same of the mean probabilities"""

    @property
    def der(self) -> Float[np.ndarray, "replicates rho"]:
        """Disagreement over member error."""
        return self.disagreement / self.member_error

    @property
    def eir(self) -> Float[np.ndarray, "replicates rho"]:
        """Ensemble improvement rate."""
        return (self.member_error - self.ensemble_error) / self.member_error


@dataclass(frozen=True)
class Evidence:
    """Results of measured ensembles, as ``sharpdiv reproduce`` writes them; empty if there are none."""

    runs: tuple[dict[str, Any], ...] = ()
    """one result for each ensemble"""

    def measured(self, *methods: str) -> Measured:
        """Resampled means of the runs of some methods, by rho.

        Args:
            *methods: ``sgd`` (as rho = 0), ``sam``, ``sharpbalance``.

        Returns:
            Arrays over replicates and rho.

        Raises:
            StoreError: if a method has not been measured on the same ensembles as the others.
        """
        chosen = [run for run in self.runs if run["config"]["method"] in methods]
        rhos = sorted({run["config"]["rho"] for run in chosen})
        groups = [[run for run in chosen if run["config"]["rho"] == rho] for rho in rhos]
        # Differences are paired by ensemble, so every group must hold the same ones in the same order.
        seeds = [run["config"]["seeds"] for run in self.runs if run["config"]["method"] == "sgd"]
        if not groups or any([run["config"]["seeds"] for run in group] != seeds for group in groups):
            raise StoreError(f"the results lack runs of {' or '.join(methods)} for every ensemble; run make reproduce")
        means = [np.stack([self._resampled(run) for run in group], axis=2) for group in groups]
        ensembles = means[0].shape[2]
        draw = np.random.default_rng(SEED + 1).integers(ensembles, size=(REPLICATES + 1, ensembles))
        draw[0] = np.arange(ensembles)
        # (rho, quantity, replicates, ensembles) at the drawn ensembles, averaged.
        picked = np.take_along_axis(np.stack(means), draw[None, None], axis=3).mean(axis=3)
        return Measured(np.array(rhos), *(np.ascontiguousarray(picked[:, q].T) for q in range(picked.shape[1])))

    @property
    def ensembles(self) -> int:
        """Number of ensembles for each method and rho."""
        return len({tuple(run["config"]["seeds"]) for run in self.runs})

    @cached_property
    def _point_weights(self) -> Float[np.ndarray, "replicates points"]:
        """How often each test point is drawn, divided by their number; once each in the first replicate."""
        points = len(self.runs[0]["labels"])
        counts = np.random.default_rng(SEED).multinomial(points, np.full(points, 1 / points), size=REPLICATES)
        return np.vstack([np.ones(points), counts]) / points

    def _resampled(self, run: dict[str, Any]) -> Float[np.ndarray, "quantities replicates"]:
        """Quantities of one run in the order of ``Measured``, resampled over test points where they have them."""
        predicted, labels = np.array(run["predicted"]), np.array(run["labels"])
        wrong = (predicted != labels).mean(axis=0)
        ensemble_wrong = (np.array(run["predicted_ensemble"]) != labels).astype(float)
        pairs = np.triu_indices(len(predicted), 1)
        differ = (predicted[pairs[0]] != predicted[pairs[1]]).mean(axis=0)
        points = np.stack([differ, wrong, ensemble_wrong]) @ self._point_weights.T
        # Corrupted versions exist of the first test points only: those, with the weights they were drawn with.
        variants = sum(len(levels) for levels in run["corrupted"].values())
        right = 1 - np.stack(
            [
                np.array(run["corrupted_errors"]["members"]) / (variants * len(predicted)),
                np.array(run["corrupted_errors"]["ensemble"]) / variants,
            ]
        )
        weights = self._point_weights[:, : right.shape[1]]
        robust = right @ weights.T / weights.sum(axis=1)
        sharpness = [np.mean(run["members"][name]) for name in ("sharpness", "sharpness_plain")]
        return np.vstack([np.repeat(np.array(sharpness)[:, None], points.shape[1], axis=1), points, robust])


def interval(replicates: Float[np.ndarray, " replicates"]) -> Interval:
    """Percentile interval of resampled values, the first of which is the data's own.

    Returns:
        Value, 2.5% and 97.5% quantiles.
    """
    low, high = np.quantile(replicates[1:], [0.025, 0.975])
    return Interval(float(replicates[0]), float(low), float(high))


def slope(values: Float[np.ndarray, "replicates rho"]) -> Float[np.ndarray, " replicates"]:
    """Least-squares slope of every replicate against the rank of rho: the mean change from one rho to the next.

    Returns:
        One slope for each replicate.
    """
    x = np.arange(values.shape[1]) - (values.shape[1] - 1) / 2
    return values @ x / (x @ x)


def load_evidence(path: Path) -> Evidence:
    """Evidence from a results file.

    Returns:
        Empty evidence if the file does not exist.

    Raises:
        StoreError: if it is damaged or holds something else.
    """
    if not path.exists():
        return Evidence()
    runs = load_json(path).get("runs")
    if not isinstance(runs, list):
        raise StoreError(f"{path} holds no measured runs; make reproduce writes such a file")
    return Evidence(tuple(runs))
