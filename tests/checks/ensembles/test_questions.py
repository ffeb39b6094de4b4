"""What decides each claim: signs, ranges, choices by validation, against worlds in which the answer is known."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose

from sharpdiv.checks.ensembles.crossed import LEVEL, Decision, Estimate, Primary, decide, estimated
from sharpdiv.checks.ensembles.protocol import made_up_study
from sharpdiv.checks.ensembles.quantities import (
    DIVERSITY,
    MAIN_SHARPNESS,
    SHARPNESS,
    every_metric,
    gap,
    log_ratio,
    mean_of,
    sharpness,
    training_loss,
)
from sharpdiv.checks.ensembles.questions import QUESTIONS
from sharpdiv.checks.ensembles.study import Study
from sharpdiv.empirical.runs.profiles import DESIGNS
from sharpdiv.empirical.runs.record import RunRecord
from tests.checks.planted import altered, planted_study
from tests.laws import Mutation, law

HERE = __name__
BY_ID = {question.id: question for question in QUESTIONS}
FASHION = DESIGNS["fashion-mnist"].conditions
BALANCE = ("sharpbalance-low", "sharpbalance-mid", "sharpbalance-high")


def with_members(study: Study, field: str, values: Callable[[str, Any], Any]) -> Study:
    """A study in which a number of the members is another."""

    def change(name: str, record: RunRecord) -> RunRecord:
        members = record.summary["members"]
        return replace(record, summary=record.summary | {"members": members | {field: values(name, members[field])}})

    return altered(study, change)


# -------------------------------------------------------------------------------------------------------------- signs


def test_of_made_up_records_sam_lowers_sharpness_and_d() -> None:
    study = made_up_study(FASHION)
    for name in ("c1-{}-sharpness", "c1-{}"):
        primary = BY_ID[name].primary(study)
        assert (primary.side, primary.direction) == (-1, -1)
        assert primary.p < 1e-6


@law(
    Mutation(
        "SAM and SGD exchanged",
        "sharpdiv.checks.ensembles.quantities.Study.mean",
        lambda f: lambda s, n, *a, **k: f(s, _other(n), *a, **k),
    ),
    Mutation(
        "both sides of a curve exchanged",
        "sharpdiv.checks.ensembles.quantities.interpolated",
        lambda f: lambda *a: -f(*a),
    ),
    Mutation(
        "claimed the other way round",
        "sharpdiv.checks.ensembles.questions.Primary",
        lambda f: lambda p, s, d, w=np.nan: f(p, s, -d, w),
    ),
)
def test_every_question_has_the_answer_that_was_planted() -> None:
    """In a world as it is stated each holds, in the opposite one each fails; after adjustment within its family."""
    for sign, expected in ((1.0, Decision.HOLDS), (-1.0, Decision.FAILS)):
        study = planted_study(sign=sign)
        for family in ("paper", "ours"):
            questions = [q for q in QUESTIONS if q.family == family]
            found = decide([q.primary(study) for q in questions])
            assert {q.id: d for q, d in zip(questions, found, strict=True)} == {q.id: expected for q in questions}


def _other(name: str) -> str:
    return {"sgd": "sam-mid", "sam-mid": "sgd"}.get(name, name)


@pytest.mark.slow
def test_where_conditions_are_of_one_law_questions_find_something_at_the_level() -> None:
    """20 studies of 22 questions: p below .05 in 5%, up to 3 standard errors of 20 answers, as those of a study are dependent."""
    studies = [made_up_study(FASHION, blocks=4, images=200, seed=seed, truth=False) for seed in range(20)]
    p = np.array([[q.primary(study).p for q in QUESTIONS if q.statistic] for study in studies])
    asked = np.isfinite(p)
    # Where all conditions are alike SharpBalance often lies beside the curve, which then has no value.
    assert asked.mean() > 0.7
    assert np.mean(p[asked] < LEVEL) < LEVEL + 3 * np.sqrt(LEVEL * (1 - LEVEL) / 20)
    assert np.nanmin(p) > 1e-4
    for family in ("paper", "ours"):
        decisions = [decide([q.primary(s) for q in QUESTIONS if q.family == family]) for s in studies]
        assert sum(bool({Decision.HOLDS, Decision.FAILS} & set(each)) for each in decisions) <= 4


@law(
    Mutation("not in logarithms", "sharpdiv.checks.ensembles.quantities.np.log", lambda _: lambda x: x),
    Mutation("of the other condition", f"{HERE}.log_ratio", lambda f: lambda q, a, b: f(q, b, a)),
    Mutation("always seeds", "sharpdiv.checks.ensembles.quantities.Study.units", lambda _: lambda *_: "seeds"),
)
def test_a_ratio_is_that_of_the_levels_with_the_coarser_units() -> None:
    study = planted_study(blocks=3)
    for name, units in (("late-sam", 9), ("sharpbalance-mid", 3)):
        table = log_ratio(mean_of("member error"), name, "sgd")(study)
        levels = [study.mean(each, "member error", "blocks" if units == 3 else "seeds") for each in (name, "sgd")]
        assert_allclose(table, np.log(levels[0] / levels[1]), rtol=1e-12)
        assert estimated(table).units == units


def test_questions_are_complete_and_each_condition_they_need_is_in_a_design() -> None:
    assert len(BY_ID) == len(QUESTIONS)
    for question in QUESTIONS:
        assert all((question.title, question.statement, question.source, question.tells)), question.id
        assert question.direction in {-1, 1}
        assert (question.delta > 0) == bool(question.reason)
        assert (question.delta == 0) == (question.statistic is None)
        assert set(question.needs) <= set(FASHION)


@law(
    Mutation(
        "no smallest effect asked", "sharpdiv.checks.ensembles.questions.Estimate.p_within", lambda _: lambda *_: 1.0
    ),
    Mutation(
        "a side where there is no value",
        "sharpdiv.checks.ensembles.questions.Question.decided_by",
        lambda f: lambda q, e: replace(f(q, e), side=1),
    ),
)
def test_a_comparison_takes_side_and_both_p_from_its_estimate() -> None:
    question, found = BY_ID["c1-{}"], Estimate(-0.02, 24, 1e-4)
    assert question.decided_by(found) == Primary(found.p, -1, -1, found.p_within(question.delta))
    none = question.decided_by(replace(found, obstacle="why"))
    assert (none.side, none.direction) == (0, -1)
    assert np.isnan([none.p, none.p_within]).all()


# -------------------------------------------------------------------------------------------------- equal sharpness, loss


@law(
    Mutation(
        "nearest end held",
        "sharpdiv.checks.ensembles.quantities.interpolated",
        lambda f: lambda x, y, at: np.nan_to_num(f(x, y, at)),
    ),
)
def test_outside_the_curve_there_is_no_value() -> None:
    """One of eight triples is enough: the interval would be of the others."""
    study = planted_study()
    question = BY_ID["c5-{}"]
    assert not estimated(question.statistic(study)).obstacle if question.statistic else False

    def far(name: str, values: dict[str, list[float]]) -> dict[str, list[float]]:
        first = study.conditions["sharpbalance-mid"].blocks[0].summary["members"]["sharpness"]
        if name != "sharpbalance-mid" or values != first:
            return values
        return {measure: [100.0] * 3 for measure in values}

    outside = with_members(study, "sharpness", far)
    found = question.primary(outside)
    assert np.isnan([found.p, found.p_within]).all()
    assert found.side == 0
    assert decide([found]) == [Decision.INCONCLUSIVE]
    assert question.statistic is not None
    assert "outside the compared range" in estimated(question.statistic(outside)).obstacle


@law(
    Mutation("in plain numbers", "sharpdiv.checks.ensembles.quantities.np.log", lambda _: lambda x: x),
    Mutation(
        "between SGD and the highest rho only", "sharpdiv.checks.ensembles.quantities.CURVE", lambda c: (c[0], c[-1])
    ),
)
def test_the_gap_is_to_a_line_through_logarithms() -> None:
    """Two points of the curve beside a condition, by hand; of everything and without each block."""
    study = planted_study(blocks=3)
    name = "sharpbalance-mid"
    found = gap(name, mean_of("D"), sharpness(MAIN_SHARPNESS))(study)
    x = {c: sharpness(MAIN_SHARPNESS)(study, c, "blocks")[0] for c in (name, "sam-low", "sam-mid")}
    y = {c: study.mean(c, "D", "blocks") for c in x}
    share = np.log(x[name] / x["sam-low"]) / np.log(x["sam-mid"] / x["sam-low"])
    assert ((share > 0) & (share < 1)).all()
    line = (1 - share) * np.log(y["sam-low"]) + share * np.log(y["sam-mid"])
    assert_allclose(found, np.log(y[name]) - line, rtol=1e-9)


@law(
    Mutation(
        "the shorter SGD's loss upside down",
        "sharpdiv.checks.ensembles.quantities.training_loss",
        lambda f: lambda s, n, u: f(s, n, u) ** (-1 if n == "sgd-short" else 1),
    ),
    Mutation(
        "at any loss",
        "sharpdiv.checks.ensembles.quantities.training_loss",
        lambda f: lambda s, n, u: f(s, n, u) ** (n == "sgd-short"),
    ),
)
def test_at_equal_loss_a_change_along_sgds_line_is_no_change() -> None:
    """D of SAM and of the shorter SGD on one line through SGD's: log D falls with log loss by the same slope."""
    study = planted_study(blocks=3)
    statistic = BY_ID["equal-loss-{}"].statistic
    assert statistic is not None
    units = study.units("sgd", "sam-mid")
    d, loss = (
        {c: np.log(of(study, c, units)[0, 0]) for c in ("sgd", "sgd-short", "sam-mid")}
        for of in (mean_of("D"), training_loss)
    )
    slope = (d["sgd-short"] - d["sgd"]) / (loss["sgd-short"] - loss["sgd"])
    expected = d["sam-mid"] - (d["sgd"] + slope * (loss["sam-mid"] - loss["sgd"]))
    assert statistic(study)[0, 0] == pytest.approx(expected, rel=1e-9)
    # With SAM's networks for those of the shorter SGD, both are one point of the line.
    same = Study({**study.conditions, "sgd-short": study.conditions["sam-mid"]})
    assert statistic(same)[0, 0] == pytest.approx(0, abs=1e-12)


def test_steepness_is_a_difference_of_ratios() -> None:
    study = planted_study(blocks=3)
    for prefix, name in (("narrow", "c4-{}-width"), ("sparse", "c4-{}-sparsity")):
        statistic = BY_ID[name].statistic
        assert statistic is not None
        slopes = []
        for sgd, sam in ((f"{prefix}-sgd", f"{prefix}-sam"), ("sgd", "sam-mid")):
            d = [study.mean(c, "D", "seeds")[0, 0] for c in (sgd, sam)]
            s = [sharpness(MAIN_SHARPNESS)(study, c, "seeds")[0, 0] for c in (sgd, sam)]
            slopes.append(np.log(d[1] / d[0]) / np.log(s[1] / s[0]))
        assert statistic(study)[0, 0] == pytest.approx(slopes[0] - slopes[1], rel=1e-9)


@law(
    Mutation(
        "all pairs", "sharpdiv.checks.ensembles.study._tuples", lambda f: lambda c, over, across: f(c, over, False)
    ),
)
def test_coupling_compares_pairs_within_and_across_blocks() -> None:
    study = planted_study(blocks=4)
    statistic, name = BY_ID["coupling-{}"].statistic, "sharpbalance-mid"
    assert statistic is not None
    within, across = (study.mean(name, "D", "blocks", across=a)[0, 0] for a in (False, True))
    assert statistic(study)[0, 0] == pytest.approx(np.log(within / across), rel=1e-12)
    # Made of members whose blocks know nothing of each other: more alike within than across would be negative.
    assert within / across > 1.1


# ------------------------------------------------------------------------------------------------------- every metric


def _falls(p: float) -> Primary:
    return Primary(p, -1, -1)


def _rises(p: float) -> Primary:
    return Primary(p, 1, -1)


LEAST_CLEAR = [
    ([_falls(1e-6), _falls(0.01), _falls(1e-3)], (0.01, -1), Decision.HOLDS),
    ([_falls(1e-6), _falls(0.2), _falls(1e-3)], (0.2, -1), Decision.INCONCLUSIVE),
    # One that clearly rises refutes it: .001 times 3.
    ([_falls(0.01), _falls(0.02), _rises(0.001)], (0.003, 1), Decision.FAILS),
    # The first of two that rise: .001 times 2 beside 1e-9.
    ([_falls(1e-9), _rises(0.02), _rises(0.001)], (0.002, 1), Decision.FAILS),
    # One that rises and is not clear, however clear the others are: .03 times 1, which is not below 2e-6.
    ([_falls(1e-6), _falls(1e-6), _rises(0.3)], (0.3, 1), Decision.INCONCLUSIVE),
    ([_falls(0.5), _falls(0.5), _rises(0.03)], (0.09, 1), Decision.INCONCLUSIVE),
    # What cannot be compared leaves it open.
    ([_falls(1e-6), Primary(float("nan"), 0, -1)], (float("nan"), 0), Decision.INCONCLUSIVE),
    ([_rises(1e-6), Primary(float("nan"), 0, -1)], (float("nan"), 0), Decision.INCONCLUSIVE),
]


@law(
    Mutation("unadjusted", "sharpdiv.checks.ensembles.quantities.holm", lambda _: list),
    Mutation(
        "not finite taken for clear", "sharpdiv.checks.ensembles.quantities.np.isfinite", lambda _: lambda _: True
    ),
)
def test_the_least_clear_metric_decides() -> None:
    study = planted_study(blocks=2)
    for found, (p, side), decision in LEAST_CLEAR:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(
                "sharpdiv.checks.ensembles.quantities.every_metric", lambda _, found=found: ([""] * len(found), found)
            )
            primary = BY_ID["c3-{}"].primary(study)
        assert (primary.p, primary.side, primary.direction) == pytest.approx((p, side, -1), nan_ok=True)
        assert np.isnan(primary.p_within)
        assert decide([primary]) == [decision]


def test_every_metric_is_of_all_diversity_and_all_measured_sharpness() -> None:
    study = planted_study(blocks=3)
    labels, found = every_metric(study)
    assert labels == [*DIVERSITY, *(f"sharpness, {name}" for name in SHARPNESS.values())]
    for primary, quantity in zip(found, [*DIVERSITY.values(), *map(sharpness, SHARPNESS)], strict=True):
        expected = estimated(log_ratio(quantity, "sam-mid", "sgd")(study))
        assert (primary.p, primary.side) == (expected.p, np.sign(expected.value))
    fewer = with_members(study, "sharpness", lambda _, values: {"worst_l2": values["worst_l2"]})
    assert len(every_metric(fewer)[0]) == len(DIVERSITY) + 1


def test_cka_is_of_the_last_stage() -> None:
    study = planted_study(blocks=3)
    found = DIVERSITY["1 - CKA, last stage"](study, "sgd", "seeds")
    distances = [1 - record.summary["cka"]["blocks.1"] for record in study.conditions["sgd"].blocks]
    assert_allclose(found, [[np.mean(distances), *(np.delete(distances, i).mean() for i in range(3))]])
