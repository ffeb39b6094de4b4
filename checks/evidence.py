"""What was measured: records of trained ensembles, networks of the lazy-to-rich dial, runs beside their lazy predictions."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

from checks.study import Condition, Study
from empirical import StoreError
from empirical.profiles import Design
from empirical.record import RunRecord, load_record
from empirical.store import digest, load_json

__all__ = ["Evidence", "load_evidence"]


@dataclass(frozen=True, eq=False)
class Evidence:
    """Everything that claims and figures are made of; empty if there is nothing."""

    records: tuple[RunRecord, ...] = ()
    """one for each measured ensemble"""
    networks: tuple[dict[str, Any], ...] = ()
    """networks of the lazy-to-rich dial, each with the ``dial`` it belongs to"""
    comparisons: tuple[dict[str, Any], ...] = ()
    """runs beside their lazy predictions, as ``sharpdiv compare`` writes them"""

    @cached_property
    def _by_config(self) -> Mapping[str, RunRecord]:
        return {digest(record.summary["config"]): record for record in self.records}

    def blocks(self, design: Design) -> tuple[tuple[int, ...], ...]:
        """Blocks of a design that are whole: with a record of every condition.

        Args:
            design: Any design.

        Returns:
            Their seeds, in the order of the design.
        """
        return tuple(
            block
            for block in design.blocks
            if all(digest(run.to_json()) in self._by_config for run in design.runs(block).values())
        )

    def study(self, design: Design) -> Study | None:
        """The whole blocks of a design.

        Comparisons are paired by seed, so a block of which a condition is missing does not enter.

        Args:
            design: Any design.

        Returns:
            None if no two blocks are whole: one cannot show how much blocks vary.
        """
        found = self.blocks(design)
        return _study(self, design, found) if len(found) > 1 else None


@lru_cache(maxsize=32)
def _study_of(evidence: Evidence, name: str, keys: tuple[tuple[str, tuple[str, ...]], ...]) -> Study:
    del name
    by_config = evidence._by_config
    return Study({each: Condition(tuple(by_config[key] for key in of)) for each, of in keys})


def _study(evidence: Evidence, design: Design, blocks: tuple[tuple[int, ...], ...]) -> Study:
    keys = tuple(
        (name, tuple(digest(design.runs(block)[name].to_json()) for block in blocks)) for name in design.conditions
    )
    return _study_of(evidence, design.name, keys)


def load_evidence(path: Path) -> Evidence:
    """Evidence from everything that a folder holds: records (``.npz``, at any depth) and results (``.json``).

    Args:
        path: of the folder; it need not exist.

    Returns:
        Empty evidence if there is nothing.

    Raises:
        StoreError: if a file is damaged or holds something else, or a run is there twice.
    """
    records: dict[str, Path] = {}
    loaded = []
    for file in sorted(path.rglob("*.npz")):
        record = load_record(file)
        if (earlier := records.setdefault(digest(record.summary["config"]), file)) != file:
            raise StoreError(f"{file} and {earlier} are of one run; remove one of them")
        loaded.append(record)
    networks: dict[str, dict[str, Any]] = {}
    comparisons: list[dict[str, Any]] = []
    for file in sorted(path.glob("*.json")):
        found = load_json(file)
        if isinstance(found.get("networks"), list):
            # dial.json sorts behind dial-quick.json, and has more of the networks that are in both.
            networks |= {n["network"]["name"]: n | {"dial": found["dial"]} for n in found["networks"]}
        elif isinstance(found.get("points"), list):
            comparisons.append(found)
        elif "protocol" not in found:
            raise StoreError(f"{file} holds nothing that was measured; make reproduce writes such files")
    return Evidence(tuple(loaded), tuple(networks.values()), tuple(comparisons))
