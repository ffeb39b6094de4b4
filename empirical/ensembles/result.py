"""Result of measuring anybody's ensemble: every number, and the predictions they are computed from, in one file.

The file is an ``.npz`` that NumPy alone reads and ``sharpdiv metrics`` takes: ``probs`` and ``logits`` ``(members, samples,
classes)``, ``labels`` ``(samples,)``, and the text ``summary``, the JSON object of ``to_json``; null is what was not measured.
"""

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from sharpdiv.empirical.errors import NotMeasuredError, StoreError
from sharpdiv.empirical.predictions.bootstrap import Interval
from sharpdiv.empirical.predictions.metrics import Metrics
from sharpdiv.empirical.runs.measure_config import MeasureConfig
from sharpdiv.empirical.runs.record import DAMAGE
from sharpdiv.empirical.store import write_atomically

__all__ = ["SCHEMA", "Fit", "MeasuredEnsemble", "Sharpness"]

SCHEMA = 1
"""Version of the JSON object's layout."""


@dataclass(frozen=True)
class Fit:
    """How members fit the training data, in evaluation mode."""

    accuracy: tuple[float, ...]
    """accuracy of each member"""
    loss: tuple[float, ...]
    """mean cross entropy of each member, in nats"""


@dataclass(frozen=True)
class Sharpness:
    """Sharpness of each member by one measure."""

    values: tuple[float, ...]
    """one for each member"""
    stderr: tuple[float, ...]
    """standard errors, 0 where the value is no estimate"""


@dataclass(frozen=True)
class MeasuredEnsemble:
    """All that was measured of an ensemble.

    Example: see ``measure_ensemble``, which makes one.
    """

    members: tuple[str, ...]
    """what they are called: their files, or by number"""
    how: MeasureConfig
    """settings of the measurement"""
    provenance: Mapping[str, Any]
    """code, libraries, device, and files of the members where they come from files"""
    labels: Int[np.ndarray, " samples"] = field(repr=False)
    """true classes of the test samples"""
    logits: Float[np.ndarray, "members samples classes"] = field(repr=False)
    """outputs of the members"""
    probs: Float[np.ndarray, "members samples classes"] = field(repr=False)
    """their softmax"""
    metrics: Metrics
    """what ``diversity`` gives, and ``logit_variance``"""
    intervals: Mapping[str, Interval]
    """what ``bootstrap`` gives"""
    by_size: Mapping[str, list[int] | list[float]]
    """what ``by_size`` gives"""
    fit: Fit | None
    """training accuracy and loss; None without training data"""
    sharpness_samples: int
    """number of training samples that sharpness was taken on"""
    sharpness_by_measure: Mapping[str, Sharpness]
    """sharpness; empty without training data"""
    cka_by_layer: Mapping[str, float]
    """CKA of the members' features, mean over pairs"""
    corrupted: Mapping[str, tuple[Metrics, ...]]
    """what ``diversity`` gives for corrupted data, by corruption, over severities"""

    def metric(self, name: str) -> float:
        """A metric of the ensemble on the test data.

        Args:
            name: Key of ``metrics``, but for lists.

        Returns:
            Its value.

        Raises:
            NotMeasuredError: if it is not there, or has no value for these predictions.
        """
        value = self.metrics.get(name)
        if value is None or isinstance(value, list):
            raise NotMeasuredError(f"{name} has no value here")
        return float(value)

    def sharpness(self, measure: str) -> tuple[float, ...]:
        """Sharpness of each member.

        Args:
            measure: Key of ``MEASURES``.

        Returns:
            Values by one measure.

        Raises:
            NotMeasuredError: if it was not taken.
        """
        if measure not in self.sharpness_by_measure:
            reason = "" if self.fit else ": it needs training data"
            raise NotMeasuredError(f"sharpness {measure} was not measured here{reason}")
        return self.sharpness_by_measure[measure].values

    def of_members(self, name: str) -> tuple[float, ...]:
        """A number of each member.

        Args:
            name: ``train_accuracy`` or ``train_loss``.

        Returns:
            Its values.

        Raises:
            NotMeasuredError: if it was not taken.
        """
        if self.fit is None or name not in {"train_accuracy", "train_loss"}:
            raise NotMeasuredError(f"{name} was not measured here")
        return self.fit.accuracy if name == "train_accuracy" else self.fit.loss

    def cka(self, layer: str) -> float:
        """CKA of the members' features in one layer.

        Args:
            layer: Its name.

        Returns:
            Mean over pairs.

        Raises:
            NotMeasuredError: if it was not taken.
        """
        if layer not in self.cka_by_layer:
            raise NotMeasuredError(f"CKA of layer {layer!r} was not measured here")
        return self.cka_by_layer[layer]

    def numbers(self) -> dict[str, float | None]:
        """Numbers that fit a table, by the names of ``RunRecord.numbers``; all else is in ``to_json``.

        Returns:
            Metrics, means of the members' sharpness and training accuracy, CKA by layer, accuracy under corruption; None for what
            was not measured.
        """
        taken = {name: float(np.mean(each.values)) for name, each in self.sharpness_by_measure.items()}
        return {
            **{name: value for name, value in self.metrics.items() if not isinstance(value, list)},
            **{f"sharpness_{name}": taken.get(name) for name in self.how.sharpness},
            **{f"cka_{name}": value for name, value in self.cka_by_layer.items()},
            "train_accuracy": float(np.mean(self.fit.accuracy)) if self.fit else None,
            "corrupted_accuracy_mean": self._corrupted("accuracy_mean"),
            "corrupted_accuracy_ensemble": self._corrupted("accuracy_ensemble"),
        }

    def _corrupted(self, name: str) -> float | None:
        """Mean over corruptions and severities."""
        found = [level[name] for levels in self.corrupted.values() for level in levels]
        return float(np.mean(np.array(found, dtype=float))) if found else None

    def to_json(self) -> dict[str, Any]:
        """Everything but predictions, by the names of a run's ``result.json``.

        Returns:
            JSON values; null for what was not measured.
        """
        sharpness = self.sharpness_by_measure
        return {
            "schema": SCHEMA,
            "measure": self.how.to_json(),
            "provenance": dict(self.provenance),
            "samples": {"test": len(self.labels), "sharpness": self.sharpness_samples},
            "metrics": dict(self.metrics),
            "intervals": {name: [each.low, each.high] for name, each in self.intervals.items()},
            "by_size": dict(self.by_size),
            "cka": dict(self.cka_by_layer),
            "members": {
                "name": list(self.members),
                "sharpness": {name: list(each.values) for name, each in sharpness.items()},
                "sharpness_stderr": {name: list(each.stderr) for name, each in sharpness.items()},
                "train_accuracy": list(self.fit.accuracy) if self.fit else None,
                "train_loss": list(self.fit.loss) if self.fit else None,
            },
            "corrupted": {name: list(levels) for name, levels in self.corrupted.items()} or None,
        }

    def save(self, path: str | Path) -> None:
        """Write all of it atomically.

        Args:
            path: Path of the file, ``.npz``.

        Raises:
            StoreError: if the name ends otherwise, which ``sharpdiv metrics`` would not read.
        """
        path = Path(path)
        if path.suffix.lower() != ".npz":
            raise StoreError(f"a measured ensemble is an .npz file, got the name {path.name}")
        buffer = io.BytesIO()
        summary = json.dumps(self.to_json(), sort_keys=True, separators=(",", ":"), allow_nan=False)
        arrays = {"probs": self.probs, "logits": self.logits, "labels": self.labels, "summary": np.array(summary)}
        np.savez_compressed(buffer, allow_pickle=False, **arrays)
        write_atomically(path, buffer.getvalue())

    @classmethod
    def load(cls, path: str | Path) -> "MeasuredEnsemble":
        """Read what ``save`` wrote.

        Args:
            path: Path of the file.

        Returns:
            The same numbers and predictions.

        Raises:
            StoreError: if the file is missing, damaged, no measured ensemble, or has another layout than this version reads.
        """
        try:
            with np.load(io.BytesIO(Path(path).read_bytes()), allow_pickle=False) as stored:
                arrays = {name: stored[name] for name in ("labels", "logits", "probs")}
                summary = json.loads(str(stored["summary"]))
            if (schema := summary["schema"]) != SCHEMA:
                raise StoreError(
                    f"{path} has layout {schema}, this version reads {SCHEMA}; use the version that wrote it"
                )
            return cls(**arrays, **_fields(summary))
        except FileNotFoundError:
            raise StoreError(f"{path} does not exist") from None
        except StoreError:
            raise
        except DAMAGE as error:
            raise StoreError(
                f"{path} is not a whole measured ensemble ({type(error).__name__}: {error}); measure again"
            ) from error


def _fields(summary: Mapping[str, Any]) -> dict[str, Any]:
    """Fields from what ``to_json`` made."""
    members, how, metrics = summary["members"], summary["measure"], summary["metrics"]
    fitted = members["train_accuracy"] is not None
    return {
        "members": tuple(members["name"]),
        "how": MeasureConfig(**{**how, "sharpness": tuple(how["sharpness"])}),
        "provenance": summary["provenance"],
        "metrics": metrics,
        "intervals": {name: Interval(metrics[name], *ends) for name, ends in summary["intervals"].items()},
        "by_size": summary["by_size"],
        "fit": Fit(tuple(members["train_accuracy"]), tuple(members["train_loss"])) if fitted else None,
        "sharpness_samples": summary["samples"]["sharpness"],
        "sharpness_by_measure": {
            name: Sharpness(tuple(values), tuple(members["sharpness_stderr"][name]))
            for name, values in members["sharpness"].items()
        },
        "cka_by_layer": summary["cka"],
        "corrupted": {name: tuple(levels) for name, levels in (summary["corrupted"] or {}).items()},
    }
