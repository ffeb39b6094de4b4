"""Measured ensembles as arrays, and bootstrap intervals over ensembles and test points."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from empirical import StoreError
from empirical.store import load_json, unpack

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
    same ones for all ensembles and methods, so that differences are paired). A single ensemble cannot be resampled: then the
    sharpness is resampled over its members, and the rest over test points alone.
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

    def of(self, data: str) -> "Evidence":
        """The ensembles trained on one data set.

        Returns:
            Empty evidence if there are none.
        """
        return Evidence(tuple(run for run in self.runs if run["config"]["data"] == data))

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
        means = np.stack([np.stack([self._resampled(run) for run in group], axis=2) for group in groups])
        draw = _draws(SEED + 1, means.shape[3])
        # (rho, quantity, replicates, ensembles) at the drawn ensembles, averaged.
        picked = np.take_along_axis(means, draw[None, None], axis=3).mean(axis=3)
        sharpness = [
            _resampled_sharpness(groups, name, draw if means.shape[3] > 1 else None)
            for name in ("worst_l2_adaptive", "worst_l2")
        ]
        return Measured(np.array(rhos), *sharpness, *(np.ascontiguousarray(q.T) for q in picked.swapaxes(0, 1)))

    @property
    def ensembles(self) -> int:
        """Number of ensembles for each method and rho."""
        return len({tuple(run["config"]["seeds"]) for run in self.runs})

    @cached_property
    def _point_weights(self) -> Float[np.ndarray, "replicates points"]:
        """How often each test point is drawn, divided by their number; once each in the first replicate."""
        points = self.runs[0]["labels"]["shape"][0]
        counts = np.random.default_rng(SEED).multinomial(points, np.full(points, 1 / points), size=REPLICATES)
        return np.vstack([np.ones(points), counts]) / points

    def _resampled(self, run: dict[str, Any]) -> Float[np.ndarray, "quantities replicates"]:
        """Means over test points of one run, in the order of ``Measured``, resampled over test points."""
        predicted, labels = unpack(run["predicted"]), unpack(run["labels"])
        wrong = (predicted != labels).mean(axis=0)
        ensemble_wrong = (unpack(run["predicted_ensemble"]) != labels).astype(float)
        pairs = np.triu_indices(len(predicted), 1)
        differ = (predicted[pairs[0]] != predicted[pairs[1]]).mean(axis=0)
        points = np.stack([differ, wrong, ensemble_wrong]) @ self._point_weights.T
        # Corrupted versions exist of the first test points only: those, with the weights they were drawn with.
        variants = sum(len(levels) for levels in run["corrupted"].values())
        right = 1 - np.stack(
            [
                unpack(run["corrupted_errors"]["members"]) / (variants * len(predicted)),
                unpack(run["corrupted_errors"]["ensemble"]) / variants,
            ]
        )
        weights = self._point_weights[:, : right.shape[1]]
        return np.vstack([points, right @ weights.T / weights.sum(axis=1)])


def _draws(seed: int, count: int) -> np.ndarray:
    """Indices of resampled units ``(replicates, count)``, the units themselves in the first replicate."""
    draw = np.random.default_rng(seed).integers(count, size=(REPLICATES + 1, count))
    draw[0] = np.arange(count)
    return draw


def _resampled_sharpness(
    groups: list[list[dict[str, Any]]], name: str, draw: np.ndarray | None
) -> Float[np.ndarray, "replicates rho"]:
    """Mean sharpness for every rho: over drawn ensembles, or over drawn members of the only one."""
    values = np.array([[run["members"]["sharpness"][name] for run in group] for group in groups])
    if draw is not None:
        return values.mean(axis=2)[:, draw].mean(axis=2).T
    return values[:, 0][:, _draws(SEED + 2, values.shape[2])].mean(axis=2).T


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
    """Evidence from a results file, or from all that a folder holds.

    Returns:
        Empty evidence if there are none.

    Raises:
        StoreError: if a file is damaged or holds something else.
    """
    runs: list[dict[str, Any]] = []
    for file in sorted(path.glob("*.json")) if path.is_dir() else [path] * path.exists():
        found = load_json(file).get("runs")
        if not isinstance(found, list):
            raise StoreError(f"{file} holds no measured runs; make reproduce writes such a file")
        runs += found
    return Evidence(tuple(runs))
