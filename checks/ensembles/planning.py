"""What the protocol's rule decides, by simulation: errors of the first kind, and power from the pilot's variances."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from sharpdiv.checks.ensembles.crossed import Decision, Estimate, Primary, Table, decide, estimated
from sharpdiv.checks.ensembles.quantities import log_ratio, mean_of
from sharpdiv.checks.ensembles.questions import QUESTIONS, Question
from sharpdiv.checks.ensembles.study import Condition, Study
from sharpdiv.checks.results import load_evidence
from sharpdiv.empirical.runs.record import RunRecord

__all__ = ["IN_TRIPLES", "Component", "pilot_components", "pilot_summary", "power"]


@dataclass(frozen=True)
class Component:
    """What a statistic varied by on the pilot's seeds."""

    value: float
    """of the pilot"""
    of_seed: float
    """variance that one seed would have"""
    of_points: float
    """variance that all seeds share"""

    def estimate(self, truth: float, seeds: int, blocks: bool, generator: np.random.Generator) -> Estimate:
        """A simulated study's estimate; the variance between units is estimated, too.

        Args:
            truth: the effect.
            seeds: how many.
            blocks: whether triples are the units.
            generator: of the draw.

        Returns:
            A value with its variances.
        """
        units = seeds // 3 if blocks else seeds
        true = self.of_seed / seeds
        value = truth + np.sqrt(true + self.of_points) * generator.standard_normal()
        return Estimate(float(value), units, float(true * generator.chisquare(units - 1) / (units - 1)), self.of_points)


def _improvement_of_two(study: Study, name: str, units: str) -> Table:
    error = study.mean(name, "first member error", units)
    return (error - study.mean(name, "error of two", units)) / error


_PILOT: dict[str, Callable[[Study], Table]] = {
    "D": log_ratio(mean_of("D"), "sam-mid", "sgd"),
    "EIR": log_ratio(_improvement_of_two, "sam-mid", "sgd"),
    "corrupted member error": log_ratio(mean_of("corrupted member error"), "sam-mid", "sgd"),
    "ensemble error": log_ratio(mean_of("error of two"), "sharpbalance-mid", "sam-mid"),
    "NLL": log_ratio(mean_of("NLL of two"), "sharpbalance-mid", "sam-mid"),
    "D, SharpBalance": log_ratio(mean_of("D"), "sharpbalance-mid", "sam-mid"),
}
"""Statistics of the pilot's three conditions; of ensembles of two, as three seeds have one triple only; members taken for
independent."""

_STANDS_FOR: dict[str, tuple[str, bool]] = {
    "c1-{}": ("D", False),
    "c1-{}-der": ("D", False),
    "c1-{}-eir": ("EIR", False),
    "c2-{}": ("corrupted member error", False),
    "c5-{}": ("D, SharpBalance", True),
    "c6-{}": ("ensemble error", True),
    "c6-{}-corrupted": ("corrupted member error", True),
    "c7-{}": ("NLL", True),
    "c7-{}-corrupted": ("corrupted member error", True),
}
"""Which statistic's variances each question of the paper is planned with, and whether triples are its units."""
IN_TRIPLES = frozenset(name for name, (_, triples) in _STANDS_FOR.items() if triples)
"""Questions whose units are triples of seeds."""


def pilot_components(records: Mapping[str, Sequence[RunRecord]]) -> dict[str, Component]:
    """Variances of the pilot.

    Args:
        records: of ``sgd``, ``sam-mid`` and ``sharpbalance-mid``, a record for each block of seeds.

    Returns:
        One for each statistic.
    """
    study = Study({name: Condition(tuple(map(_independent, blocks))) for name, blocks in records.items()})
    found = {name: estimated(statistic(study)) for name, statistic in _PILOT.items()}
    return {name: Component(e.value, e.units_variance * e.units, e.points_variance) for name, e in found.items()}


def _independent(record: RunRecord) -> RunRecord:
    """The record as if its members knew nothing of each other, as they do not where all samples are in the sets."""
    if not Condition((record,)).coupled:
        return record
    return replace(record, summary=record.summary | {"config": replace(record.config, rule="all").to_json()})


def power(
    components: Mapping[str, Component], seeds: int, effect: str, replicates: int = 1000, seed: int = 0
) -> dict[str, dict[str, float]]:
    """How often the rule gives each decision on the paper's questions.

    Args:
        components: of the pilot.
        seeds: members of each condition, in triples.
        effect: ``none``; ``least``: every effect as large as the smallest of interest, on the claimed side; ``pilot``: as there.
        replicates: simulated studies.
        seed: of the draws.

    Returns:
        For each question the share of every decision.
    """
    generator = np.random.default_rng(seed)
    questions = [q for q in QUESTIONS if q.id in _STANDS_FOR]
    counts = {q.id: dict.fromkeys(map(str, Decision), 0) for q in questions}
    for _ in range(replicates):
        family = [_simulated(q, components, seeds, effect, generator) for q in questions]
        for question, decision in zip(questions, decide(family), strict=True):
            counts[question.id][decision] += 1
    return {name: {d: n / replicates for d, n in found.items()} for name, found in counts.items()}


def _simulated(
    question: Question, components: Mapping[str, Component], seeds: int, effect: str, generator: np.random.Generator
) -> Primary:
    name, blocks = _STANDS_FOR[question.id]
    component = components[name]
    truth = {"none": 0.0, "least": question.direction * question.delta, "pilot": component.value}[effect]
    return question.decided_by(component.estimate(truth, seeds, blocks, generator))


def pilot_summary(folder: Path) -> dict[str, Any]:
    """What the pilot showed, for the protocol.

    Args:
        folder: with a folder of records for each data set.

    Returns:
        For each data set the components, and the rule's decisions with 24 seeds if there is no effect, the least, or the pilot's.
    """
    summary = {}
    for data in sorted(path.name for path in folder.iterdir() if path.is_dir()):
        found = _by_condition(load_evidence(folder / data).records)
        components = pilot_components(found)
        decisions = {effect: power(components, 24, effect) for effect in ("none", "least", "pilot")}
        summary[data] = {
            "components": {n: asdict(c) for n, c in components.items()},
            "decisions_with_24_seeds": decisions,
        }
    return summary


def _by_condition(records: Sequence[RunRecord]) -> dict[str, list[RunRecord]]:
    names = {("sgd", 0.0): "sgd", ("sam", 0.05): "sam-mid", ("sharpbalance", 0.05): "sharpbalance-mid"}
    found: dict[str, list[RunRecord]] = {name: [] for name in names.values()}
    for record in sorted(records, key=lambda r: r.config.seeds):
        config = record.config
        if (name := names.get((config.method, config.rho))) and config.epochs == 20:
            found[name].append(record)
    return found
