"""Claims about the protocol itself: nothing differs from what was committed, its errors of the first kind, and its power."""

import numpy as np

from checks.claim import Claim, Finding, Verdict
from checks.crossed import GROUPS, LEVEL, Decision, Estimate, decide, estimated, leave_out_means
from checks.evidence import Evidence
from checks.planning import Component, power
from checks.protocol import committed, deviation, protocol, protocol_commit
from checks.questions import QUESTIONS

__all__ = ["CLAIMS", "false_statements", "type_one_error"]

_STUDIES = 2000
_UNITS = {"24 seeds": 24, "8 triples": 8, "3 triples, as make reproduce has (told, not judged)": 3}
_SHARES = {
    "all between units": (1.0, 0.0, 0.0),
    "a third each": (1.0, 1.0, 1.0),
    "mostly shared by units": (0.1, 1.0, 0.3),
}
"""Of the estimate's variance: between units, between groups of test points, and of what groups do to single units."""


def _protocol(_: Evidence) -> Finding:
    if not protocol():
        return Finding(Verdict.FAILS, remark="There is no results/protocol.json.")
    rows = (
        ("commit", protocol_commit() or "no checkout here"),
        ("hash that results name", committed() or ""),
        ("questions", str(len(protocol()["protocol"]["questions"]))),
        ("rule", protocol()["protocol"]["rule"]),
        *((f"pilot, note {place}", note) for place, note in enumerate(protocol()["pilot"]["notes"], start=1)),
    )
    return Finding(Verdict.FAILS if deviation() else Verdict.HOLDS, rows, deviation())


def type_one_error(units: int, shares: tuple[float, float, float], studies: int, seed: int) -> float:
    """How often a two-sided test at 5% finds an effect where there is none.

    Args:
        units: seeds or triples.
        shares: variances between units, between groups of test points, and of both together.
        studies: simulated.
        seed: of the draws.

    Returns:
        The share of the studies.
    """
    generator = np.random.default_rng(seed)
    found = 0
    # A variance of the estimate is that of an effect over its number, so effects are scaled by the root of that.
    between, among, rest = np.sqrt(np.array(shares) * (units, GROUPS, units * GROUPS))
    for _ in range(studies):
        effects = (
            between * generator.standard_normal(units)
            + among * generator.standard_normal((GROUPS, 1))
            + rest * generator.standard_normal((GROUPS, units))
        )
        found += estimated(leave_out_means(effects, np.eye(units, dtype=bool))).p < LEVEL
    return found / studies


def false_statements(effect: str, studies: int, seed: int) -> float:
    """How often a family of ten questions has a false statement, with 24 seeds of variances at which they can decide.

    Args:
        effect: ``none``, where a direction is false, or ``least``, where no effect is.
        studies: simulated.
        seed: of the draws.

    Returns:
        The share of the studies.
    """
    generator = np.random.default_rng(seed)
    questions = [q for q in QUESTIONS if q.family == "paper" and q.delta][:10]
    false = {"none": {Decision.HOLDS, Decision.FAILS}, "least": {Decision.NO_EFFECT, Decision.FAILS}}[effect]
    wrong = 0
    for _ in range(studies):
        family = []
        for question in questions:
            truth = question.direction * question.delta if effect == "least" else 0.0
            variance = (question.delta / 4) ** 2
            value = truth + variance**0.5 * generator.standard_normal()
            family.append(question.decided_by(Estimate(float(value), 24, variance * generator.chisquare(23) / 23)))
        wrong += any(decision in false for decision in decide(family))
    return wrong / studies


def _errors(_: Evidence) -> Finding:
    rows, most = [], 0.0
    for place, (name, units) in enumerate(_UNITS.items()):
        for other, (share, parts) in enumerate(_SHARES.items()):
            rate = type_one_error(units, parts, _STUDIES, 100 + 10 * place + other)
            most = max(most, rate) if units > 3 else most
            rows.append((f"one test, {name}, variance {share}", f"{rate:.4f}"))
    for effect, text in (("none", "no effect anywhere"), ("least", "every effect the least of interest")):
        rate = false_statements(effect, _STUDIES, 200)
        most = max(most, rate)
        rows.append((f"any false statement in a family of ten, {text}", f"{rate:.4f}"))
    return Finding(Verdict.HOLDS if most <= LEVEL + _slack(4) else Verdict.FAILS, tuple(rows))


def _slack(errors: float) -> float:
    """Standard errors of a simulated share of 5%."""
    return float(errors * np.sqrt(LEVEL * (1 - LEVEL) / _STUDIES))


def _power(_: Evidence) -> Finding:
    rows = []
    stated = {data: found for data, found in protocol().get("pilot", {}).items() if data != "notes"}
    same = bool(stated)
    for data, found in stated.items():
        components = {name: Component(**values) for name, values in found["components"].items()}
        for effect, text in (
            ("none", "no effect"),
            ("least", "the least effect of interest"),
            ("pilot", "the pilot's effect"),
        ):
            decisions = power(components, 24, effect)
            same &= decisions == found["decisions_with_24_seeds"][effect]
            rows += [
                (
                    f"{data}, {name.format(data)}, {text}",
                    ", ".join(f"{d} {share:.0%}" for d, share in each.items() if share),
                )
                for name, each in decisions.items()
            ]
    return Finding(Verdict.HOLDS if same else Verdict.FAILS, tuple(rows))


CLAIMS = (
    Claim(
        "protocol",
        "implementation",
        "The code keeps to the committed protocol",
        "Designs, questions, smallest effects of interest, and what the rule gives on made-up records are those of "
        "results/protocol.json.",
        "protocol of this project",
        "everything is stated again by this code and compared",
        "equality; numbers in five digits",
        0,
        _protocol,
    ),
    Claim(
        "rule-errors",
        "implementation",
        "The rule's errors of the first kind",
        "Where there is no effect a test at 5% finds one in at most 5% of all studies of 24 seeds, and a family of questions has a "
        "false statement in at most 5%, about directions or about no effect.",
        "protocol of this project",
        f"simulation of {_STUDIES:,} studies, normal effects of units, groups of test points and both; the family is adjusted",
        "4 standard errors of a share of 5%",
        100,
        _errors,
    ),
    Claim(
        "rule-power",
        "implementation",
        "What the rule can decide with 24 seeds",
        "The shares of decisions that the protocol states come out again.",
        "protocol of this project",
        "simulation of 1,000 families of the paper's questions with the variances of the pilot's three seeds, which are rough",
        "equality, from the same seed",
        0,
        _power,
    ),
)
