"""Measured ensembles as arrays, and bootstrap intervals over ensembles and test points."""

import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from empirical import StoreError
from empirical.store import load_json, unpack

__all__ = [
    "Evidence",
    "Interval",
    "Measured",
    "detectable",
    "draws",
    "interval",
    "load_evidence",
    "point_weights",
    "slope",
]

REPLICATES = 2000
SEED = 2024
_MAIN_WIDTH = {"digits": 8, "fashion-mnist": 8, "cifar10-jpeg": 16}


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
    networks: tuple[dict[str, Any], ...] = ()
    """networks of the lazy-to-rich dial, each with the ``dial`` it belongs to"""
    comparisons: tuple[dict[str, Any], ...] = ()
    """runs beside their lazy predictions, as ``sharpdiv compare`` writes them"""

    def of(self, data: str) -> "Evidence":
        """The ensembles trained on one data set.

        Returns:
            Empty evidence if there are none.
        """
        return Evidence(tuple(run for run in self.runs if run["config"]["data"] == data))

    def where(self, **fields: Any) -> "Evidence":
        """The ensembles whose configuration has these values.

        Args:
            **fields: of ``RunConfig``.

        Returns:
            Empty evidence if there are none.
        """
        wanted = {name: list(value) if isinstance(value, tuple) else value for name, value in fields.items()}
        return Evidence(
            tuple(run for run in self.runs if all(run["config"][name] == value for name, value in wanted.items()))
        )

    def main(self, data: str) -> "Evidence":
        """The main design of a data set: dense networks of one width in ensembles of three, and the paper's SharpBalance.

        Returns:
            Those ensembles that were trained by every method at every rho; empty evidence if there are none.
        """
        design = {"width": _MAIN_WIDTH[data], "sparsity": 0.0, "rule": "paper", "top_fraction": 0.5}
        return self.of(data).where(**design).of_size(3).complete()

    def of_size(self, members: int) -> "Evidence":
        """The ensembles of that many members.

        Returns:
            Empty evidence if there are none.
        """
        return Evidence(tuple(run for run in self.runs if len(run["config"]["seeds"]) == members))

    def complete(self) -> "Evidence":
        """The ensembles that were trained in every way in which any was: a grid that is still growing has others.

        Returns:
            Runs whose differences can be paired by ensemble.
        """
        ways: dict[str, set[tuple[int, ...]]] = {}
        for run in self.runs:
            ways.setdefault(_way(run), set()).add(_seeds(run))
        everywhere = set.intersection(*ways.values()) if ways else set()
        return Evidence(tuple(run for run in self.runs if _seeds(run) in everywhere))

    def measured(self, *methods: str) -> Measured:
        """Resampled means of the runs of some methods, by rho.

        Args:
            *methods: ``sgd`` (as rho = 0), ``sam``, ``sharpbalance``.

        Returns:
            Arrays over replicates and rho.

        Raises:
            StoreError: if the runs are not one for each ensemble and rho, for the same ensembles as all runs here.
        """
        chosen = [run for run in self.runs if run["config"]["method"] in methods]
        rhos = sorted({run["config"]["rho"] for run in chosen})
        # Differences are paired by ensemble, so every group must hold the same ones in the same order.
        groups = [sorted((run for run in chosen if run["config"]["rho"] == rho), key=_seeds) for rho in rhos]
        seeds = sorted({_seeds(run) for run in self.runs})
        if not groups or any([_seeds(run) for run in group] != seeds for group in groups):
            raise StoreError(f"the results lack runs of {' or '.join(methods)} for every ensemble; run make reproduce")
        means = np.stack([np.stack([_resampled(run) for run in group], axis=2) for group in groups])
        draw = draws(SEED + 1, means.shape[3])
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
        return len({_seeds(run) for run in self.runs})


def _seeds(run: dict[str, Any]) -> tuple[int, ...]:
    return tuple(run["config"]["seeds"])


def _way(run: dict[str, Any]) -> str:
    """How a run was trained, whatever its seeds."""
    return json.dumps(run["config"] | {"seeds": []}, sort_keys=True)


@lru_cache(maxsize=1)
def point_weights(points: int, seed: int) -> Float[np.ndarray, "replicates points"]:
    """How often each replicate draws each test point, divided by their number.

    Args:
        points: how many there are.
        seed: of the draws.

    Returns:
        Weights that sum to 1; all alike in the first replicate, which is the data itself.
    """
    counts = np.random.default_rng(seed).multinomial(points, np.full(points, 1 / points), size=REPLICATES)
    return np.vstack([np.ones(points), counts]) / points


def _resampled(run: dict[str, Any]) -> Float[np.ndarray, "quantities replicates"]:
    """Means over test points of one run, in the order of ``Measured``, resampled over test points."""
    predicted, labels = unpack(run["predicted"]), unpack(run["labels"])
    drawn = point_weights(len(labels), SEED)
    wrong = (predicted != labels).mean(axis=0)
    ensemble_wrong = (unpack(run["predicted_ensemble"]) != labels).astype(float)
    pairs = np.triu_indices(len(predicted), 1)
    differ = (predicted[pairs[0]] != predicted[pairs[1]]).mean(axis=0)
    points = np.stack([differ, wrong, ensemble_wrong]) @ drawn.T
    # Corrupted versions exist of the first test points only: those, with the weights they were drawn with.
    variants = sum(len(metrics["accuracy_ensemble"]) for metrics in run["corrupted"].values())
    right = 1 - np.stack(
        [
            unpack(run["corrupted_errors"]["members"]) / (variants * len(predicted)),
            unpack(run["corrupted_errors"]["ensemble"]) / variants,
        ]
    )
    weights = drawn[:, : right.shape[1]]
    return np.vstack([points, right @ weights.T / weights.sum(axis=1)])


def draws(seed: int, count: int) -> np.ndarray:
    """Resampled units.

    Args:
        seed: of the draws.
        count: of units.

    Returns:
        Indices ``(replicates, count)``, the units themselves in the first replicate.
    """
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
    return values[:, 0][:, draws(SEED + 2, values.shape[2])].mean(axis=2).T


def interval(replicates: Float[np.ndarray, " replicates"]) -> Interval:
    """Percentile interval of resampled values, the first of which is the data's own.

    Returns:
        Value, 2.5% and 97.5% quantiles.
    """
    low, high = np.quantile(replicates[1:], [0.025, 0.975])
    return Interval(float(replicates[0]), float(low), float(high))


def detectable(replicates: Float[np.ndarray, " replicates"]) -> float:
    """Smallest true value that a two-sided test at 5% would have seen with 80% power, for normal errors.

    Returns:
        ``1.96 + 0.84`` standard errors, the standard deviation of the replicates.
    """
    return float((1.96 + 0.84) * replicates[1:].std(ddof=1))


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
    networks: dict[str, dict[str, Any]] = {}
    comparisons: list[dict[str, Any]] = []
    for file in sorted(path.glob("*.json")) if path.is_dir() else [path] * path.exists():
        found = load_json(file)
        if isinstance(found.get("runs"), list):
            runs += found["runs"]
        elif isinstance(found.get("networks"), list):
            # dial.json sorts behind dial-quick.json, and has more of the networks that are in both.
            networks |= {n["network"]["name"]: n | {"dial": found["dial"]} for n in found["networks"]}
        elif isinstance(found.get("points"), list):
            comparisons.append(found)
        else:
            raise StoreError(f"{file} holds no measured runs; make reproduce writes such a file")
    return Evidence(tuple(runs), tuple(networks.values()), tuple(comparisons))
