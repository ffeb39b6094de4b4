"""Records of designs in which what the questions ask for is planted: as they state it, the other way round, or nowhere."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from sharpdiv.checks.ensembles.protocol import committed
from sharpdiv.checks.ensembles.quantities import SHARPNESS
from sharpdiv.checks.ensembles.study import Condition, Study
from sharpdiv.checks.evidence import Evidence
from sharpdiv.empirical.runs.config import RunConfig
from sharpdiv.empirical.runs.profiles import DESIGNS, MEASURED_IN_FULL, Design
from sharpdiv.empirical.runs.record import RunRecord

__all__ = ["COMMIT", "IMAGES", "KEPT", "changed", "planted_evidence", "planted_records", "planted_study"]

IMAGES, KEPT = 400, 320
"""Test images, and those whose probabilities are kept; 40 groups divide both."""
COMMIT = "0" * 40
_CLASSES = 10
_VARIANTS = 6  # corruptions and severities


@dataclass(frozen=True)
class _World:
    """What differs between conditions, as logarithms of ratios to SGD."""

    spread: float = 0.0
    """of the standard deviation of what a member adds to its logits"""
    height: float = 0.0
    """of the logit of the right class"""
    sharpness: float = 0.0
    loss: float = 0.0
    wrong: float = 0.0
    """of the error on corrupted images, and of likelihood there"""
    bottom: float = 0.0
    """spread where the sign does not turn it"""
    validation: float = 0.0


_STATED: Mapping[str, _World] = {
    "sgd": _World(),
    "sam-low": _World(-0.2, 0.0, -0.3, 0.2, -0.1, validation=0.01),
    "sam-mid": _World(-0.5, 0.0, -0.7, 0.4, -0.3, validation=0.03),
    "sam-high": _World(-0.7, 0.0, -1.2, 0.6, -0.4, validation=0.02),
    "late-sam": _World(-0.4, 0.0, -0.7, 0.2, -0.3),
    "sharpbalance-low": _World(0.1, 0.2, -0.2, 0.1, -0.3, validation=0.01),
    "sharpbalance-mid": _World(0.2, 0.35, -0.6, 0.2, -0.9, validation=0.03),
    "sharpbalance-high": _World(0.1, 0.2, -0.9, 0.4, -0.5, validation=0.02),
    "shuffled": _World(-0.4, 0.0, -0.6, 0.2, -0.3),
    "code": _World(-0.5, 0.3, -0.7, 0.2, -0.3),
    "code-random": _World(-0.5, 0.0, -0.7, 0.2, -0.3),
    "sgd-short": _World(0.0, 0.0, 0.0, 0.6),
    "narrow-sgd": _World(),
    "narrow-sam": _World(-0.5, 0.0, -0.7, 0.4, bottom=-0.4),
    "sparse-sgd": _World(),
    "sparse-sam": _World(-0.5, 0.0, -0.7, 0.4, bottom=-0.4),
}
"""A world in which every question has the answer that it states; with all signs turned it has none of them."""


def planted_study(
    design: Design = DESIGNS["fashion-mnist"], blocks: int = 8, sign: float = 1.0, seed: int = 0, noise: float = 0.02
) -> Study:
    """Blocks of a design.

    Args:
        design: whose conditions.
        blocks: how many.
        sign: 1 for what the questions state, -1 for the opposite, 0 for no effect.
        seed: of all draws.
        noise: of the logarithms of members' sharpness and loss.

    Returns:
        The study.
    """
    records = planted_records(design, blocks, sign, seed, noise)
    return Study({name: Condition(tuple(block[name] for block in records)) for name in design.conditions})


def planted_evidence(
    design: Design = DESIGNS["fashion-mnist"], blocks: int = 8, sign: float = 1.0, seed: int = 0, noise: float = 0.02
) -> Evidence:
    """The same as evidence, with the seeds of the design; arguments are those of ``planted_study``."""
    records = planted_records(design, blocks, sign, seed, noise)
    return Evidence(tuple(record for block in records for record in block.values()))


def planted_records(
    design: Design, blocks: int, sign: float = 1.0, seed: int = 0, noise: float = 0.02
) -> list[dict[str, RunRecord]]:
    """The same as records: for each block those of every condition; arguments are those of ``planted_study``."""
    generator = np.random.default_rng(seed)
    labels = np.arange(IMAGES) % _CLASSES
    hardness = generator.standard_normal((IMAGES, _CLASSES))
    return [
        {
            name: _record(generator, config, name, sign, noise, labels, hardness)
            for name, config in design.runs(seeds).items()
        }
        for seeds in design.blocks[:blocks]
    ]


def changed(evidence: Evidence, change: Callable[[dict[str, Any]], dict[str, Any]]) -> Evidence:
    """Evidence with other summaries.

    Args:
        evidence: whose records.
        change: from a record's summary to fields that replace its.

    Returns:
        The evidence.
    """
    return Evidence(tuple(replace(r, summary=r.summary | change(r.summary)) for r in evidence.records))


def _record(
    generator: np.random.Generator,
    config: RunConfig,
    name: str,
    sign: float,
    noise: float,
    labels: np.ndarray,
    hardness: np.ndarray,
) -> RunRecord:
    world = _STATED[name]
    own = generator.standard_normal((3, len(labels), _CLASSES))
    # What members of a block have in common is less where they exchanged scores, and more in the opposite world.
    common = -0.8 * sign if name.startswith("sharpbalance") else 0.0
    own = own + common * own.mean(axis=0)
    height, spread = 2 * np.exp(sign * world.height), 0.5 * np.exp(sign * world.spread + abs(sign) * world.bottom)
    logits = height * np.eye(_CLASSES)[labels] + hardness + spread * own
    probs = np.exp(logits) / np.exp(logits).sum(axis=2, keepdims=True)
    corrupted = KEPT // 2 if name in MEASURED_IN_FULL else 40
    wrong = 0.4 * np.exp(sign * world.wrong)
    summary = _summary(generator, config, sign, noise, world)
    return RunRecord(
        summary,
        labels,
        probs.argmax(axis=2),
        probs.mean(axis=0).argmax(axis=1),
        probs[:, :KEPT],
        generator.random((4, _VARIANTS, corrupted)) < wrong,
        3 * wrong + 0.5 * generator.random((4, corrupted)),
    )


def _summary(
    generator: np.random.Generator, config: RunConfig, sign: float, noise: float, world: _World
) -> dict[str, Any]:
    def each(logarithm: float) -> list[float]:
        return np.exp(sign * logarithm + noise * generator.standard_normal(3)).tolist()

    origin = {"commit": COMMIT, "protocol": committed()}
    passes = {"sgd": 0.0, "sam": 1.0, "sharpbalance": 0.5}[config.method] * 2000 * config.epochs
    calibration = {"size": [1, 2, 3], "ece": [0.3, 0.2, *each(world.wrong)[:1]]}
    return {
        "config": config.to_json(),
        "measure": {"sharpness_samples": 1024, "feature_samples": 256},
        "provenance": origin | {"processor": "none", "instructions": "none", "trained": [dict(origin)] * 3},
        "members": {
            "sharpness": {measure: each(world.sharpness) for measure in SHARPNESS},
            "train_loss": each(world.loss),
            "train_accuracy": [0.99, 0.99, 1.0],
            "sam_samples": [passes] * 3,
        },
        "validation": {
            "accuracy_ensemble": 0.9 + world.validation,
            "accuracy_members": [0.8 + world.validation] * 3,
        },
        "cka": {"blocks.0": 0.5, "blocks.1": 1 - 0.2 * each(world.spread)[0]},
        "by_size": calibration,
        "corrupted_by_size": calibration,
    }


def altered(study: Study, change: Callable[[str, RunRecord], RunRecord]) -> Study:
    """A study of other records, changed by condition."""
    return Study({n: Condition(tuple(change(n, record) for record in c.blocks)) for n, c in study.conditions.items()})
