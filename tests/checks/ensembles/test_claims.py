"""Claims about trained ensembles on made-up evidence: the verdict that was planted, and what is told with it."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from sharpdiv.checks.claim import Claim, Finding, Verdict
from sharpdiv.checks.ensembles import claims as module
from sharpdiv.checks.ensembles.claims import decided
from sharpdiv.checks.ensembles.conditions import CURVE, chosen
from sharpdiv.checks.ensembles.cost import cost
from sharpdiv.checks.ensembles.crossed import Decision, decide, estimated
from sharpdiv.checks.ensembles.protocol import asked
from sharpdiv.checks.ensembles.verdicts import beside
from sharpdiv.checks.evidence import Evidence
from sharpdiv.checks.registry import CLAIMS
from sharpdiv.empirical.errors import NotMeasuredError
from sharpdiv.empirical.runs.profiles import DESIGNS, LABELS, PROFILES, Design
from tests.checks.planted import COMMIT, changed, planted_evidence
from tests.laws import Mutation, law

BY_ID = {claim.id: claim for claim in CLAIMS}
DIGITS, FASHION = DESIGNS["digits"], DESIGNS["fashion-mnist"]
OF_DIGITS = [q.id.format("digits") for q in asked(DIGITS)]
AS_STATED, OPPOSITE, NEITHER = (planted_evidence(DIGITS, sign=sign) for sign in (1.0, -1.0, 0.0))


def found(name: str, evidence: Evidence) -> Finding:
    return BY_ID[name].check(evidence)


def rows(name: str, evidence: Evidence) -> dict[str, str]:
    return found(name, evidence).texts


# ------------------------------------------------------------------------------------------------------------- verdicts


@pytest.mark.slow
@law(
    Mutation(
        "verdicts exchanged",
        "sharpdiv.checks.ensembles.claims._VERDICTS",
        lambda v: v | {Decision.HOLDS: v[Decision.FAILS]},
    ),
    Mutation("always open", "sharpdiv.checks.ensembles.claims.judged", lambda _: lambda *_: False),
)
def test_planted_answers_are_found() -> None:
    """Claims of the design hold as they are stated, fail in the opposite world, and have no effect where there is none."""
    for evidence, verdict in ((AS_STATED, Verdict.HOLDS), (OPPOSITE, Verdict.FAILS)):
        verdicts = {name: found(name, evidence).verdict for name in OF_DIGITS}
        assert set(verdicts.values()) == {verdict}, verdicts
    assert found("c1-digits-sharpness", NEITHER).verdict == Verdict.NO_EFFECT
    assert found("c3-digits", NEITHER).verdict == Verdict.INCONCLUSIVE


@law(
    Mutation("of another question", "sharpdiv.checks.ensembles.claims.decided", lambda f: lambda s, q: f(s, q)[::-1]),
    Mutation(
        "all questions for one family", "sharpdiv.checks.ensembles.claims.asked", lambda f: lambda design, _: f(design)
    ),
)
def test_each_verdict_is_that_of_the_family_of_its_question() -> None:
    study = NEITHER.study(DIGITS)
    assert study is not None
    for family in ("paper", "ours"):
        questions = asked(DIGITS, family)
        expected = decide([q.primary(study) for q in questions])
        assert [str(found(q.id.format("digits"), NEITHER).verdict) for q in questions] == list(map(str, expected))
    assert {str(d) for d, _, _ in decided(study, tuple(asked(DIGITS)))} <= set(map(str, Verdict))


def test_what_is_noisy_is_open_and_says_how_many_seeds_would_decide() -> None:
    noisy = planted_evidence(DIGITS, sign=0.0, noise=0.5)
    finding = found("c1-digits-sharpness", noisy)
    assert finding.verdict == Verdict.INCONCLUSIVE
    label, text = list(finding.texts.items())[3]
    what = "units that would decide by itself, before Holm's adjustment, with 80% power if the effect is as measured"
    assert label == f"{what} (seeds)"
    assert text.startswith(("about ", "no number"))
    assert not any("would decide" in name for name in rows("c1-digits-sharpness", AS_STATED))
    coupled = [name for name in rows("sets-digits", NEITHER) if "would decide" in name]
    assert coupled == [f"{what} (triples of seeds, 3 each)"]


def test_outside_the_curve_the_claim_is_open_and_says_so() -> None:
    """SharpBalance sharper than SGD in the mean, by one of eight triples."""

    def sharp(summary: dict[str, Any]) -> dict[str, Any]:
        config = summary["config"]
        if config["method"] != "sharpbalance" or config["seeds"] != list(DIGITS.blocks[0]):
            return {}
        sharpness = {name: [1000.0] * 3 for name in summary["members"]["sharpness"]}
        return {"members": summary["members"] | {"sharpness": sharpness}}

    finding = found("c5-digits", changed(AS_STATED, sharp))
    assert finding.verdict == Verdict.INCONCLUSIVE
    assert "outside the compared range" in str(finding.numbers[0][1])
    # It leaves all other claims as they are.
    assert found("c6-digits", changed(AS_STATED, sharp)).verdict == Verdict.HOLDS


# ------------------------------------------------------------------------------------------------------------- what is told


def test_the_estimate_that_decides_and_levels_of_all_conditions_are_shown() -> None:
    study = AS_STATED.study(DIGITS)
    assert study is not None
    for question in asked(DIGITS):
        shown = rows(question.id.format("digits"), AS_STATED)
        if question.statistic is not None:
            assert shown[question.tells].startswith(str(estimated(question.statistic(study))))
            assert f"as large as delta = {question.delta:g} ({question.reason})" in shown
        for level in question.shows:
            names = [name for name in DIGITS.conditions if LABELS[name] in shown[level]]
            assert len(names) == (7 if "corrupted" in level else len(DIGITS.conditions))
        assert shown["images"].startswith(
            "test 400, with probabilities 320, corrupted 160 (x 6 corruptions and severities)"
        )
    assert rows("c1-digits", AS_STATED)["units"] == "24 seeds"
    assert rows("c5-digits", AS_STATED)["units"] == "8 triples of seeds, 3 each"
    assert rows("c6-digits", AS_STATED)["chosen by validation"] == "SharpBalance against SAM"
    falling = rows("c3-digits", AS_STATED)["each"].split("; ")
    assert len(falling) == 7 + 10
    assert all(" falls, p" in each for each in falling)


@law(
    Mutation("on the tests", "sharpdiv.checks.ensembles.claims.rival", lambda _: lambda study: CURVE[0]),
)
def test_what_validation_chose_is_told() -> None:
    def other(summary: dict[str, Any]) -> dict[str, Any]:
        best = summary["config"]["rho"] == 0.1
        return {"validation": {"accuracy_ensemble": 0.5 + best, "accuracy_members": [0.5 + best] * 3}}

    shown = rows("c7-digits", changed(AS_STATED, other))["chosen by validation"]
    assert shown == "SharpBalance, high rho against SAM, high rho"


def _dirty(summary: dict[str, Any]) -> dict[str, Any]:
    return {"provenance": summary["provenance"] | {"commit": f"{COMMIT}-dirty"}}


def test_what_is_confirmed_and_what_is_exploratory() -> None:
    confirmed = found("c1-digits", AS_STATED).remark
    assert confirmed.startswith("Confirmed: protocol of commit ")
    assert confirmed.endswith(". 24 seeds in 8 of 8 blocks.")
    dirty = found("c1-digits", changed(AS_STATED, _dirty))
    assert dirty.remark.startswith("Exploratory: some results are from a checkout with uncommitted changes.")
    assert dirty.verdict == Verdict.HOLDS


@pytest.mark.parametrize(
    ("design", "blocks", "verdict", "remark"),
    [
        (DIGITS, 3, Verdict.HOLDS, "Exploratory: as make reproduce trains. 9 seeds in 3 of 8 blocks."),
        (
            DIGITS,
            4,
            Verdict.INCONCLUSIVE,
            "Exploratory: no verdict before all blocks are there. 12 seeds in 4 of 8 blocks.",
        ),
        (
            FASHION,
            3,
            Verdict.INCONCLUSIVE,
            "Exploratory: no verdict before all blocks are there. 9 seeds in 3 of 8 blocks.",
        ),
    ],
)
def test_a_design_in_the_making_is_shown_and_not_judged(
    design: Design, blocks: int, verdict: Verdict, remark: str
) -> None:
    finding = found(f"c1-{design.name}-sharpness", planted_evidence(design, blocks))
    assert (finding.verdict, finding.remark) == (verdict, remark)
    assert finding.numbers[0][0] == "log of the ratio of sharpness, SAM to SGD"


@pytest.mark.parametrize("name", [claim.id for claim in module.CLAIMS])
def test_without_results_nothing_is_claimed(name: str) -> None:
    for evidence in (Evidence(), planted_evidence(DIGITS, 1)):
        finding = BY_ID[name].check(evidence)
        assert finding.verdict == Verdict.NOT_RUN
        assert finding.remark
    if BY_ID[name].command.startswith("sharpdiv reproduce --profile paper"):
        assert "GPU hours" in finding.remark
        assert "nobody measured" in finding.remark
    elif "digits" in name:
        assert finding.remark.startswith("1 of 8 blocks are measured, at least 2 are needed; sharpdiv reproduce")


def test_the_papers_own_numbers_are_beside_ours() -> None:
    shown = [claim.id for claim in module.CLAIMS if BY_ID[claim.id].check(Evidence()).numbers]
    assert shown == [
        f"c6-paper-{data}{images}" for data in ("cifar10", "cifar100", "tiny-imagenet") for images in ("", "-corrupted")
    ]
    for name in shown:
        table = BY_ID[name].check(Evidence()).texts
        assert list(table) == [
            f"paper: {method}, ensemble / member mean" for method in ("deep ensemble", "SAM", "SharpBalance")
        ]
        assert all(
            0 < float(mean) < float(whole) < 100 for text in table.values() for whole, mean in [text.split(" / ")]
        )


def test_every_design_is_asked_all_it_has_conditions_for() -> None:
    names = {claim.id for claim in module.CLAIMS}
    for design in DESIGNS.values():
        family = "paper" if design in PROFILES["paper"] else None
        assert {q.id.format(design.name) for q in asked(design, family)} <= names
        assert f"c8-{design.name}" in names
        named = [claim for claim in module.CLAIMS if claim.source.endswith(f"here on {design.name}")]
        assert all(design.data in claim.command for claim in named)
    assert len(names) == len(module.CLAIMS)


# ----------------------------------------------------------------------------------------------------------------- cost


def _passes(ours: float, code: float) -> Callable[[dict[str, Any]], dict[str, Any]]:
    def change(summary: dict[str, Any]) -> dict[str, Any]:
        config = summary["config"]
        share = {"sgd": 0.0, "sam": 1.0}.get(config["method"], code if config["first_phase"] == "sam" else ours)
        treated = (
            [config["epochs"] * (200 * share + more) for more in (-1, 0, 1)]
            if 0 < share < 1
            else [200.0 * config["epochs"] * share] * 3
        )
        return {"members": summary["members"] | {"sam_samples": treated}}

    return change


@law(
    Mutation("half as much again is small", "sharpdiv.checks.ensembles.cost.SMALL", lambda _: 1.5),
    Mutation("no overhead is small", "sharpdiv.checks.ensembles.cost.SMALL", lambda _: 0.5),
)
def test_passes_by_hand() -> None:
    """200 images, 40 epochs: SAM passes 80 times; SharpBalance 40, the share that it treats, and once for its scores."""
    for ours, code, verdict, values in (
        (0.4, 0.7, Verdict.HOLDS, ("0.7100 to 0.7150", "0.8600 to 0.8650")),
        (0.4, 1.0, Verdict.HOLDS, ("0.7100 to 0.7150", "1.0125 to 1.0125")),
    ):
        finding = cost(DIGITS, changed(AS_STATED, _passes(ours, code)))
        assert finding.verdict == verdict
        assert tuple(finding.texts.values()) == values
        assert [label for label, _ in finding.numbers] == [
            "SharpBalance: passes over SAM's",
            "SharpBalance as the authors' code: passes over SAM's",
        ]
    more = {"sgd": 0.0, "sam": 4000.0, "sharpbalance": 5000.0}
    twice = changed(AS_STATED, lambda s: {"members": s["members"] | {"sam_samples": [more[s["config"]["method"]]] * 3}})
    assert cost(DIGITS, twice).verdict == Verdict.FAILS


def test_passes_of_a_design_in_the_making_are_told_and_not_judged() -> None:
    found = cost(FASHION, planted_evidence(blocks=5))
    assert found.verdict == Verdict.INCONCLUSIVE
    assert found.reason == "5 of 8 blocks of seeds are there, no verdict before all are"


# -------------------------------------------------------------------------------------------------------------- beside


def test_verdicts_are_told_beside_the_committed_ones_and_why_they_differ() -> None:
    names: Sequence[Claim] = [BY_ID[name] for name in ("c1-digits", "c5-digits", "c1-fashion-mnist", "phi-quadrature")]
    part = Evidence(tuple(r for r in OPPOSITE.records if r.summary["config"]["seeds"][0] < 1013))
    findings = [
        (claim, claim.check(part) if claim.id != "phi-quadrature" else Finding(Verdict.HOLDS)) for claim in names
    ]
    told = beside(findings, part, AS_STATED)
    assert [each.claim for each in told] == ["c1-digits", "c5-digits"]
    assert told[0].yours == Verdict.FAILS
    assert told[0].committed == Verdict.HOLDS
    assert told[0].why == "9 seeds here, 24 there"
    same = beside([(BY_ID["c1-digits"], found("c1-digits", AS_STATED))], AS_STATED, AS_STATED)
    assert [each.why for each in same] == [""]
    elsewhere = changed(OPPOSITE, lambda s: {"provenance": s["provenance"] | {"processor": "another"}})
    (one,) = beside([(BY_ID["c1-digits"], found("c1-digits", elsewhere))], elsewhere, AS_STATED)
    assert "another processor trains other networks from the same seeds (another, none; none, none)" in one.why
    (wrong,) = beside([(BY_ID["c1-digits"], found("c1-digits", OPPOSITE))], OPPOSITE, AS_STATED)
    assert "they should not" in wrong.why


def test_a_measure_that_was_left_out_is_told_and_changes_no_verdict() -> None:
    def without(summary: dict[str, Any]) -> dict[str, Any]:
        taken = summary["members"]["sharpness"]
        return {"members": summary["members"] | {"sharpness": {"worst_linf": taken["worst_linf"]}}}

    evidence = changed(AS_STATED, without)
    assert [found(name, evidence).verdict for name in OF_DIGITS] == [found(n, AS_STATED).verdict for n in OF_DIGITS]
    assert sum("was not measured here" in value for value in rows("c5-digits", evidence).values()) >= 1


def test_blocks_that_were_measured_in_another_way_do_not_enter() -> None:
    """Such as those of the quick profile, where the whole measurement was begun."""
    for place, left in ((0, DIGITS.blocks[:1]), (3, (*DIGITS.blocks[:3], *DIGITS.blocks[4:]))):
        odd = DIGITS.blocks[place]

        def otherwise(summary: dict[str, Any], odd: tuple[int, ...] = odd) -> dict[str, Any]:
            differs = tuple(summary["config"]["seeds"]) == odd
            return {"measure": summary["measure"] | {"corrupted_samples": 1 if differs else 2}}

        assert changed(AS_STATED, otherwise).blocks(DIGITS) == left
    assert AS_STATED.blocks(DIGITS) == DIGITS.blocks


def test_rho_is_not_chosen_without_validation_images() -> None:
    study = changed(AS_STATED, lambda _: {"validation": None}).study(DIGITS)
    assert study is not None
    with pytest.raises(NotMeasuredError, match="no validation images"):
        chosen(study, CURVE, "ensembles")
