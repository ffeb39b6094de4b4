"""The protocol: what was fixed before the seeds that decide were trained, and whether a result kept to it.

``results/protocol.json`` holds the designs (every run by its configuration), the questions with their smallest effects of interest
and reasons, the rule, what the pilot showed, and the answers that the rule gives on made-up records. It is written once, by
``python -m sharpdiv.checks.ensembles.protocol``, and committed before training; a record names the protocol and the commit it was
trained under. If a configuration, a question or what the rule computes has changed since, results count as exploratory.
"""

import subprocess
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from sharpdiv.checks.ensembles.crossed import GROUPS, LEVEL, POWER, decide, estimated
from sharpdiv.checks.ensembles.quantities import MAIN_SHARPNESS, SHARPNESS
from sharpdiv.checks.ensembles.questions import QUESTIONS, Question
from sharpdiv.checks.ensembles.study import Condition, Study
from sharpdiv.empirical.provenance import PROTOCOL as PATH
from sharpdiv.empirical.provenance import protocol_name as committed
from sharpdiv.empirical.runs.config import RunConfig
from sharpdiv.empirical.runs.profiles import DESIGNS, PILOT_SEEDS, PROFILES, Design
from sharpdiv.empirical.runs.record import RunRecord
from sharpdiv.empirical.store import load_json, save_json

__all__ = [
    "PATH",
    "asked",
    "committed",
    "deviation",
    "made_up_study",
    "obstacle",
    "protocol",
    "protocol_commit",
    "stated",
]

_RULE = (
    "Every estimate is a function of means over seeds and test points. Its variance is that of a two-way analysis of variance "
    f"of the pseudo-values of a jackknife over units and {GROUPS} groups of test points, its interval Student's with degrees of "
    "freedom by Satterthwaite. Units are seeds where members are independent, triples where they exchanged scores. Two-sided "
    "p-values of no effect are adjusted by Holm over the questions of one family on one data set, so are those of two one-sided "
    f"tests of an effect as large as the smallest of interest. Equivalence at {LEVEL:g}: no effect; otherwise a direction at "
    f"{LEVEL:g}: holds or fails; otherwise inconclusive. No verdict before all blocks of a design are there. Everything is "
    "conditional on one choice of training images, and two families on a data set make two adjustments."
)


def asked(design: Design, family: str | None = None) -> list[Question]:
    """Questions that a design can answer.

    Args:
        design: Any design.
        family: ``paper`` or ``ours``; both unless given.

    Returns:
        In their order.
    """
    return [q for q in QUESTIONS if family in {None, q.family} and all(n in design.conditions for n in q.needs)]


def stated() -> dict[str, Any]:
    """The protocol as this code states it, without what the pilot showed.

    Returns:
        JSON values.
    """
    return {
        "designs": {
            design.name: {
                "blocks": [list(block) for block in design.blocks],
                "conditions": {name: config.run_id for name, config in design.conditions.items()},
                "measure": design.how.to_json(),
                "measure_others": design.how_others.to_json(),
            }
            for design in PROFILES["cpu"]
        },
        "pilot_seeds": list(PILOT_SEEDS),
        "questions": {
            q.id: {
                "family": q.family,
                "statement": q.statement,
                "source": q.source,
                "statistic": q.tells,
                "direction": q.direction,
                "delta": q.delta,
                "reason": q.reason,
                "needs": list(q.needs),
            }
            for q in QUESTIONS
        },
        "main_sharpness": MAIN_SHARPNESS,
        "level": LEVEL,
        "power": POWER,
        "rule": _RULE,
        "answers_on_made_up_records": _answers(),
    }


@cache
def protocol() -> dict[str, Any]:
    """The committed protocol.

    Returns:
        Content of ``results/protocol.json``; empty if there is none.
    """
    return load_json(PATH) if PATH.exists() else {}


@cache
def deviation() -> str:
    """Where this code differs from the committed protocol.

    Returns:
        Empty if nowhere.
    """
    if not protocol():
        return "there is no committed protocol"
    now, then = stated(), protocol()["protocol"]
    differ = [name for name in now if now[name] != then.get(name)]
    return f"this version's {', '.join(differ)} differ from the committed protocol's" if differ else ""


def obstacle(study: Study) -> str:
    """Why results do not count as confirmed.

    Args:
        study: whole blocks of a design.

    Returns:
        Empty if they do: nothing differs from the protocol, and they were trained under it from a clean commit.
    """
    if reason := deviation():
        return reason
    for condition in study.conditions.values():
        for record in condition.blocks:
            for under, commit in record.origin.code:
                if under != committed():
                    return "some results were not trained and measured under the committed protocol"
                if (commit or "-dirty").endswith("-dirty"):
                    return "some results are from a checkout with uncommitted changes"
    return ""


@cache
def protocol_commit() -> str:
    """Commit that the protocol came with.

    Returns:
        Its hash; empty outside a checkout, or if the protocol is not committed.
    """
    command = ["git", "-C", str(PATH.parent), "log", "-1", "--format=%H", "--", PATH.name]
    try:
        found = subprocess.run(command, capture_output=True, check=True, text=True, timeout=30)  # noqa: S603
    except (OSError, subprocess.SubprocessError):
        return ""
    return found.stdout.strip()


# --------------------------------------------------------------------------------------- what the rule gives on made-up records


def made_up_study(
    conditions: Mapping[str, RunConfig], blocks: int = 5, images: int = 400, seed: int = 0, truth: bool = True
) -> Study:
    """Random records of some conditions, no network behind them.

    Args:
        conditions: whose configurations the records have.
        blocks: triples of seeds.
        images: test images.
        seed: of the draws.
        truth: whether conditions differ; otherwise they are all draws of one law.

    Returns:
        A study in which a larger rho makes logits, sharpness and diversity smaller.
    """
    generator = np.random.default_rng(seed)
    labels = np.arange(images) % 10
    hardness = generator.standard_normal((images, 10))

    def block(config: RunConfig) -> RunRecord:
        strength = config.rho * (0.6 if config.method == "sharpbalance" else 1.0) if truth else 0.0
        return _made_up(generator, config, strength, labels, hardness)

    return Study({name: Condition(tuple(block(c) for _ in range(blocks))) for name, c in conditions.items()})


def _made_up(
    generator: np.random.Generator, config: RunConfig, strength: float, labels: np.ndarray, hardness: np.ndarray
) -> RunRecord:
    def draw(*shape: int) -> np.ndarray:
        return generator.standard_normal(shape)

    logits = (3 - 8 * strength) * (np.eye(10)[labels] + 0.4 * hardness + 0.5 * draw(3, len(labels), 10))
    probs = np.exp(logits) / np.exp(logits).sum(axis=2, keepdims=True)
    mean = probs.mean(axis=0)
    sharp = np.exp(-10 * strength + 0.02 * draw(3))
    shorter = 1.5 if config.method == "sgd" and config.epochs % 20 else 1.0
    summary: dict[str, Any] = {
        "config": config.to_json(),
        "members": {
            "sharpness": {name: (1.5**place * sharp).tolist() for place, name in enumerate(SHARPNESS)},
            "train_loss": (0.1 * shorter * np.exp(5 * strength + 0.02 * draw(3))).tolist(),
        },
        "validation": {"accuracy_ensemble": 0.7 + strength, "accuracy_members": [0.6 + strength] * 3},
        "cka": {"blocks.1": 0.8 + 0.05 * float(generator.random())},
    }
    corrupted = len(labels) // 2
    return RunRecord(
        summary,
        labels,
        probs.argmax(axis=2),
        mean.argmax(axis=1),
        probs,
        generator.random((4, 6, corrupted)) < 0.4 - strength,
        generator.random((4, corrupted)) + 1 - strength,
    )


def _answers() -> dict[str, Any]:
    """What every question gives on made-up records, in five digits, and the decisions of the families."""
    study = made_up_study(DESIGNS["fashion-mnist"].conditions)
    answers: dict[str, Any] = {}
    for family in ("paper", "ours"):
        questions = [q for q in QUESTIONS if q.family == family]
        primaries = [q.primary(study) for q in questions]
        for question, primary, decision in zip(questions, primaries, decide(primaries), strict=True):
            numbers = [primary.p, primary.p_within]
            if question.statistic is not None:
                found = estimated(question.statistic(study))
                numbers = [found.value, found.stderr, found.freedom, *numbers]
            answers[question.id] = [f"{number:.5g}" for number in numbers] + [str(decision)]
    return answers


def _write() -> None:
    from sharpdiv.checks.ensembles.planning import pilot_summary

    folder = Path(sys.argv[1])
    notes = (folder / "notes.txt").read_text(encoding="utf-8").splitlines()
    save_json(PATH, {"protocol": stated(), "pilot": {"notes": notes, **pilot_summary(folder)}})
    print(f"wrote {PATH}")


if __name__ == "__main__":
    _write()
