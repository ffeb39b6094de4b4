"""Trained networks as points: what each was trained with, and what was measured of it."""

from dataclasses import dataclass

from sharpdiv.checks.ensembles.quantities import MAIN_SHARPNESS
from sharpdiv.checks.evidence import Evidence
from sharpdiv.empirical.runs.profiles import DESIGNS, LABELS
from sharpdiv.empirical.runs.record import RunRecord
from sharpdiv.empirical.store import digest

__all__ = ["Point", "points"]


@dataclass(frozen=True)
class Point:
    """One network."""

    condition: str
    """how it was trained, in words"""
    rho: float
    """radius of SAM"""
    seed: int
    """of the network"""
    accuracy: float
    """on the test images"""
    sharpness: float
    """by the measure that decides"""
    diversity: float
    """D of the ensemble that it is in, on the images whose probabilities are kept"""


def points(evidence: Evidence) -> dict[str, list[Point]]:
    """Networks of every design that any were measured of.

    Args:
        evidence: what was measured.

    Returns:
        By name of the design; conditions in its order.
    """
    records = {record.key: record for record in evidence.records}
    found: dict[str, list[Point]] = {}
    for name, design in DESIGNS.items():
        for condition in design.conditions:
            for runs in design.runs_of_blocks.values():
                record = records.get(digest(runs[condition].to_json()))
                if record is not None and MAIN_SHARPNESS in record.measures:
                    found.setdefault(name, []).extend(_points(LABELS[condition], record))
    return found


def _points(condition: str, record: RunRecord) -> list[Point]:
    accuracies = (record.predicted == record.labels).mean(axis=1).tolist()
    diversity = float(record.probs.var(axis=0, ddof=1).sum(axis=1).mean())
    members = zip(record.config.seeds, accuracies, record.sharpness(MAIN_SHARPNESS), strict=True)
    return [Point(condition, record.config.rho, seed, accuracy, sharp, diversity) for seed, accuracy, sharp in members]
