"""Measured ensembles as arrays, one value for each ensemble and, where test points matter, for each resampling of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from empirical import RunConfig, StoreError
from empirical.store import digest, load_json, unpack

__all__ = ["REPLICATES", "SEED", "Evidence", "Measured", "load_evidence"]

REPLICATES = 2000
SEED = 2024


@dataclass(frozen=True)
class Measured:
    """Means that every statistic is made of, for each ensemble of one method at its values of rho.

    The first replicate is the data itself; in the others test points are drawn with replacement, the same ones for all ensembles
    and methods, so that differences are paired. Sharpness is measured on training images and has no replicates.
    """

    rho: Float[np.ndarray, " rho"]
    """SAM radii, increasing"""
    sharpness: Float[np.ndarray, "1 ensembles rho"]
    """adaptive worst-case sharpness, mean over members"""
    disagreement: Float[np.ndarray, "replicates ensembles rho"]
    """mean over member pairs and test points"""
    member_error: Float[np.ndarray, "replicates ensembles rho"]
    """mean over members and test points"""
    ensemble_error: Float[np.ndarray, "replicates ensembles rho"]
    """of the mean probabilities"""
    corrupted_member_accuracy: Float[np.ndarray, "replicates ensembles rho"]
    """mean over members, corruptions, severities and the test points that were corrupted"""
    corrupted_ensemble_accuracy: Float[np.ndarray, "replicates ensembles rho"]
    """the same of the mean probabilities"""

    @property
    def der(self) -> Float[np.ndarray, "replicates ensembles rho"]:
        """Disagreement over member error."""
        return self.disagreement / self.member_error

    @property
    def eir(self) -> Float[np.ndarray, "replicates ensembles rho"]:
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

    def whole(self, plan: Sequence[RunConfig]) -> "Evidence":
        """The runs of a plan, without ensembles of which any is not here yet: differences are paired by ensemble.

        Args:
            plan: configurations of runs; others are left out.

        Returns:
            Runs in the order of the plan; empty evidence if no ensemble is whole.

        Raises:
            StoreError: if a run is here twice.
        """
        planned = {digest(config.to_json()): config for config in plan}
        here: dict[str, dict[str, Any]] = {}
        for run in self.runs:
            if (key := digest(run["config"])) in here:
                raise StoreError(f"{planned[key].run_id} is in the results twice; remove one of the files that have it")
            if key in planned:
                here[key] = run
        lacking = {config.seeds for key, config in planned.items() if key not in here}
        return Evidence(tuple(here[key] for key, config in planned.items() if config.seeds not in lacking))

    def by_rho(self, *methods: str) -> dict[float, list[dict[str, Any]]]:
        """Runs of some methods, grouped.

        Args:
            *methods: ``sgd`` (as rho = 0), ``sam``, ``sharpbalance``.

        Returns:
            The ensembles of each rho, by increasing rho, in the same order everywhere.
        """
        chosen = sorted((run for run in self.runs if run["config"]["method"] in methods), key=_seeds)
        rhos = sorted({run["config"]["rho"] for run in chosen})
        return {rho: [run for run in chosen if run["config"]["rho"] == rho] for rho in rhos}

    def measured(self, *methods: str, half: int | None = None) -> Measured:
        """Means of the runs of some methods, by rho.

        Args:
            *methods: as ``by_rho`` takes them.
            half: 0 or 1 for every second test point, from the first or the second on; all unless given.

        Returns:
            Arrays over replicates, ensembles and rho.

        Raises:
            StoreError: if the runs are not one for each ensemble and rho, for the same ensembles as all runs here.
        """
        groups = self.by_rho(*methods)
        seeds = sorted({_seeds(run) for run in self.runs})
        if not groups or any([_seeds(run) for run in group] != seeds for group in groups.values()):
            raise StoreError(f"the results lack runs of {' or '.join(methods)} for every ensemble; run make reproduce")
        means = np.stack([np.stack([_resampled(run, half) for run in group]) for group in groups.values()])
        sharpness = [[np.mean(run["members"]["sharpness"]["worst_l2_adaptive"]) for run in g] for g in groups.values()]
        return Measured(np.array(list(groups)), np.array(sharpness).T[None], *means.transpose(2, 3, 1, 0))

    @property
    def ensembles(self) -> int:
        """Number of ensembles for each method and rho."""
        return len({_seeds(run) for run in self.runs})


def _seeds(run: dict[str, Any]) -> tuple[int, ...]:
    return tuple(run["config"]["seeds"])


@lru_cache(maxsize=2)
def _point_weights(points: int, half: int | None) -> Float[np.ndarray, "replicates points"]:
    """Shares of each test point in what each replicate draws of all or of one half; all alike in the first, the data itself."""
    counts = np.random.default_rng(SEED).multinomial(points, np.full(points, 1 / points), size=REPLICATES)
    weights = np.vstack([np.ones(points), counts])
    if half is not None:
        weights[:, 1 - half :: 2] = 0
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))


def _resampled(run: dict[str, Any], half: int | None) -> Float[np.ndarray, "quantities replicates"]:
    """Means over test points of one run, in the order of ``Measured``, resampled over test points."""
    predicted, labels = unpack(run["predicted"]), unpack(run["labels"])
    drawn = _point_weights(len(labels), half)
    wrong = (predicted != labels).mean(axis=0)
    ensemble_wrong = (unpack(run["predicted_ensemble"]) != labels).astype(float)
    pairs = np.triu_indices(len(predicted), 1)
    differ = (predicted[pairs[0]] != predicted[pairs[1]]).mean(axis=0)
    clean = np.stack([differ, wrong, ensemble_wrong]) @ drawn.T
    # Corrupted versions exist of the first test points only: those, with the weights they were drawn with.
    variants = sum(len(metrics["accuracy_ensemble"]) for metrics in run["corrupted"].values())
    right = 1 - np.stack(
        [
            unpack(run["corrupted_errors"]["members"]) / (variants * len(predicted)),
            unpack(run["corrupted_errors"]["ensemble"]) / variants,
        ]
    )
    weights = drawn[:, : right.shape[1]]
    return np.vstack([clean, right @ weights.T / weights.sum(axis=1)])


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
