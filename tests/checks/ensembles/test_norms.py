"""Norms that follow diversity, go the other way, or do not care."""

from typing import Any

import numpy as np

from sharpdiv.checks.claim import Finding, Verdict
from sharpdiv.checks.ensembles.norms import CLAIMS
from sharpdiv.checks.evidence import Evidence
from sharpdiv.empirical.runs.profiles import DESIGNS
from tests.checks.planted import changed, planted_evidence
from tests.laws import Mutation, law

DIGITS = planted_evidence(DESIGNS["digits"])
BY_ID = {claim.id: claim for claim in CLAIMS}


def with_norms(exponent: float, noise: float = 0.01, evidence: Evidence = DIGITS) -> Evidence:
    """Members' norms are D to a power, times noise, in units that differ from block to block."""
    generator = np.random.default_rng(0)
    spread = {record.key: record.probs.var(axis=0, ddof=1).sum(axis=1).mean() for record in evidence.records}

    def change(summary: dict[str, Any]) -> dict[str, Any]:
        key = next(record.key for record in evidence.records if record.summary is summary)
        norms = 3 * spread[key] ** exponent * np.exp(noise * generator.standard_normal(3))
        return {"members": summary["members"] | {"weight_norm": norms.tolist()}}

    return changed(evidence, change)


def found(evidence: Evidence, name: str = "norms-digits") -> Finding:
    return BY_ID[name].check(evidence)


@law(
    Mutation("norms turned round", "sharpdiv.checks.ensembles.norms._norm", lambda f: lambda c: -f(c)),
    Mutation("squared norms", "sharpdiv.checks.ensembles.norms._norm", lambda f: lambda c: 2 * f(c)),
    Mutation(
        "diversity of members alone",
        "sharpdiv.checks.ensembles.norms._diversity",
        lambda _: lambda c: np.zeros(len(c.blocks)),
    ),
)
def test_norms_that_follow_are_told_from_those_that_do_not() -> None:
    follows, opposite = found(with_norms(0.5)), found(with_norms(-0.5))
    assert (follows.verdict, opposite.verdict) == (Verdict.HOLDS, Verdict.FAILS)
    slope = follows.effects[0]
    assert slope.low < 2.0 < slope.high  # log D against its half
    assert "Opposite: slope in a block" in opposite.remark
    assert found(with_norms(0.0, noise=0.05)).verdict == Verdict.INCONCLUSIVE


def test_before_all_blocks_are_there_nothing_is_judged() -> None:
    some = with_norms(0.5, evidence=planted_evidence(DESIGNS["fashion-mnist"], blocks=3))
    waiting = found(some, "norms-fashion-mnist")
    assert waiting.verdict == Verdict.INCONCLUSIVE
    assert waiting.reason.startswith("3 of 8 blocks of seeds are there")
    assert found(Evidence(), "norms-fashion-mnist").verdict == Verdict.NOT_RUN
