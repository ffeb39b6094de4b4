"""Claims about the protocol itself: nothing differs from what was committed, its errors of the first kind, and its power."""

import numpy as np
from scipy import stats

from sharpdiv.checks.claim import Claim, Finding, Row, Verdict
from sharpdiv.checks.ensembles.crossed import (
    GROUPS,
    LEVEL,
    Decision,
    Estimate,
    decide,
    jackknife_variances,
    leave_out_means,
    satterthwaite,
)
from sharpdiv.checks.ensembles.planning import IN_TRIPLES, Component, power
from sharpdiv.checks.ensembles.protocol import committed, deviation, protocol, protocol_commit
from sharpdiv.checks.ensembles.questions import QUESTIONS
from sharpdiv.checks.evidence import Evidence
from sharpdiv.checks.quantity import count, number, percent, several

__all__ = ["CLAIMS", "false_statements", "type_one_error"]

_STUDIES, _FAMILIES = 20_000, 2_000
_AT_ONCE = 2_000
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
        ("questions", count(len(protocol()["protocol"]["questions"]))),
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
    for start in range(0, studies, _AT_ONCE):
        some = min(_AT_ONCE, studies - start)
        effects = (
            between * generator.standard_normal((some, 1, units))
            + among * generator.standard_normal((some, GROUPS, 1))
            + rest * generator.standard_normal((some, GROUPS, units))
        )
        table = leave_out_means(effects, np.eye(units, dtype=bool))
        of_units, of_points = jackknife_variances(table)
        threshold = stats.t.isf(LEVEL / 2, satterthwaite(of_units, of_points, units))
        found += int((np.abs(table[:, 0, 0]) > threshold * np.sqrt(of_units + of_points)).sum())
    return found / studies


def false_statements(effect: str, studies: int, seed: int) -> float:
    """How often the family of the paper's questions has a false statement, with 24 seeds of variances at which they can decide.

    Args:
        effect: ``none``, where a direction is false, or ``least``, where no effect is.
        studies: simulated.
        seed: of the draws.

    Returns:
        The share of the studies.
    """
    generator = np.random.default_rng(seed)
    questions = [q for q in QUESTIONS if q.family == "paper" and q.delta]
    false = {"none": {Decision.HOLDS, Decision.FAILS}, "least": {Decision.NO_EFFECT, Decision.FAILS}}[effect]
    wrong = 0
    for _ in range(studies):
        family = []
        for question in questions:
            truth = question.direction * question.delta if effect == "least" else 0.0
            variance = (question.delta / 4) ** 2
            value = truth + variance**0.5 * generator.standard_normal()
            units = 8 if question.id in IN_TRIPLES else 24
            seen = variance * generator.chisquare(units - 1) / (units - 1)
            family.append(question.decided_by(Estimate(float(value), units, seen)))
        wrong += any(decision in false for decision in decide(family))
    return wrong / studies


def _errors(_: Evidence) -> Finding:
    rows: list[Row] = []
    within = True
    for place, (name, units) in enumerate(_UNITS.items()):
        for other, (share, parts) in enumerate(_SHARES.items()):
            rate = type_one_error(units, parts, _STUDIES, 100 + 10 * place + other)
            within &= units == 3 or rate <= LEVEL + _slack(_STUDIES)
            rows.append((f"one test, {name}, variance {share}", number(rate, form=".4f")))
    for effect, text in (("none", "no effect anywhere"), ("least", "every effect the least of interest")):
        rate = false_statements(effect, _FAMILIES, 200)
        within &= rate <= LEVEL + _slack(_FAMILIES)
        rows.append((f"any false statement in the paper's family, {text}", number(rate, form=".4f")))
    return Finding(Verdict.HOLDS if within else Verdict.FAILS, tuple(rows))


def _slack(studies: int) -> float:
    """Four standard errors of a simulated share of 5%."""
    return float(4 * np.sqrt(LEVEL * (1 - LEVEL) / studies))


def _power(_: Evidence) -> Finding:
    rows: list[Row] = []
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
                    several([percent(share, ".0f", name=f"{d} ") for d, share in each.items() if share]),
                )
                for name, each in decisions.items()
            ]
    return Finding(Verdict.HOLDS if same else Verdict.FAILS, tuple(rows))


CLAIMS = (
    Claim(
        id="protocol",
        subject="implementation",
        title="The code keeps to the committed protocol",
        statement="Designs, questions, smallest effects of interest, and what the rule gives on made-up records are those of "
        "results/protocol.json.",
        source="protocol of this project",
        method="everything is stated again by this code and compared",
        tolerance="equality; numbers in five digits",
        seed=0,
        check=_protocol,
    ),
    Claim(
        id="rule-errors",
        subject="implementation",
        title="The rule's errors of the first kind",
        statement="Where there is no effect a test at 5% finds one in 5% of all studies of 24 seeds or 8 triples, as far "
        "as the simulation "
        "can tell (the degrees of freedom are an approximation), and the family of the paper's questions has a false statement in "
        "at most 5%, about directions or about no effect.",
        source="protocol of this project",
        method=f"simulation of {_STUDIES:,} studies and {_FAMILIES:,} families, normal effects of units, groups of test "
        "points and both; "
        "families are adjusted",
        tolerance=f"at most 5% and 4 standard errors: {100 * (LEVEL + _slack(_STUDIES)):.2f}% of studies, "
        f"{100 * (LEVEL + _slack(_FAMILIES)):.1f}% of families",
        seed=100,
        check=_errors,
    ),
    Claim(
        id="rule-power",
        subject="implementation",
        title="What the rule can decide with 24 seeds",
        statement="The shares of decisions that the protocol states come out again.",
        source="protocol of this project",
        method="simulation of 1,000 families of the paper's questions with the variances of the pilot's three seeds, "
        "which are rough",
        tolerance="equality, from the same seed",
        seed=0,
        check=_power,
    ),
)
