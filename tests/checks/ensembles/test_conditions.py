"""What validation chooses, and that nothing else does."""

from dataclasses import replace

import numpy as np
from numpy.testing import assert_allclose

from sharpdiv.checks.ensembles.conditions import BALANCE, CURVE, chosen, rival
from sharpdiv.checks.ensembles.questions import QUESTIONS
from sharpdiv.checks.ensembles.study import Study
from sharpdiv.empirical.runs.record import RunRecord
from tests.checks.planted import altered, planted_study
from tests.laws import Mutation, law

HERE = __name__
BY_ID = {question.id: question for question in QUESTIONS}


def _accurate(study: Study, best: dict[str, float], members: float = 0.0) -> Study:
    """Other accuracies on validation images: of ensembles, and of members as much more."""

    def change(name: str, record: RunRecord) -> RunRecord:
        accuracy = best.get(name, 0.5)
        validation = {"accuracy_ensemble": accuracy, "accuracy_members": [accuracy + members] * 3}
        return replace(record, summary=record.summary | {"validation": validation})

    return altered(study, change)


def _worse_on_tests(study: Study, *names: str) -> Study:
    """All test images of these conditions are wrong, whatever was validated."""

    def change(name: str, record: RunRecord) -> RunRecord:
        if name not in names:
            return record
        wrong = (record.labels + 1) % 10
        return replace(record, predicted=np.stack([wrong] * 3), predicted_ensemble=wrong)

    return altered(study, change)


def _by_test(study: Study, names: tuple[str, ...], of: str) -> str:
    return min(names, key=lambda name: study.mean(name, "block error", "blocks")[0, 0])


@law(
    Mutation("chosen on the test images", f"{HERE}.chosen", lambda _: _by_test),
    Mutation("the last one", f"{HERE}.chosen", lambda _: lambda s, names, of: names[-1]),
)
def test_only_validation_chooses() -> None:
    study = planted_study(blocks=3)
    for best in (*BALANCE, *CURVE):
        names = BALANCE if best in BALANCE else CURVE
        validated = _accurate(study, {best: 0.6})
        for each in (validated, _worse_on_tests(validated, best)):
            assert chosen(each, names, "ensembles") == best
            assert chosen(each, names, "members") == best
    # The first of equals.
    assert chosen(_accurate(study, {}), BALANCE, "ensembles") == BALANCE[0]


def test_members_and_ensembles_are_chosen_by_their_own_accuracy() -> None:
    study = _accurate(planted_study(blocks=2), {"sam-low": 0.6})

    def change(name: str, record: RunRecord) -> RunRecord:
        more = 0.3 if name == "sam-high" else 0.0
        accuracy = [value + more for value in record.summary["validation"]["accuracy_members"]]
        return replace(
            record,
            summary=record.summary | {"validation": record.summary["validation"] | {"accuracy_members": accuracy}},
        )

    study = altered(study, change)
    assert chosen(study, CURVE, "ensembles") == rival(study) == "sam-low"
    assert chosen(study, CURVE, "members") == "sam-high"


@law(
    Mutation("always SAM", "sharpdiv.checks.ensembles.quantities.rival", lambda _: lambda _: "sam-mid"),
    Mutation(
        "always the middle rho",
        "sharpdiv.checks.ensembles.quantities.best_balance",
        lambda _: lambda _: "sharpbalance-mid",
    ),
)
def test_sharpbalance_and_its_rival_are_those_that_validation_chose() -> None:
    study = planted_study(blocks=3)
    quantities = {
        "c6-{}": "block error",
        "c6-{}-corrupted": "corrupted block error",
        "c7-{}": "NLL",
        "c7-{}-corrupted": "corrupted NLL",
    }
    for ours, theirs in (("sharpbalance-low", "sgd"), ("sharpbalance-high", "sam-high")):
        validated = _accurate(study, {ours: 0.6, theirs: 0.6})
        for name, quantity in quantities.items():
            statistic = BY_ID[name].statistic
            assert statistic is not None
            levels = [study.mean(each, quantity, "blocks") for each in (ours, theirs)]
            assert_allclose(statistic(validated), np.log(levels[0] / levels[1]), rtol=1e-12)


def test_robustness_is_that_of_the_best_of_sam() -> None:
    """SGD may be better on validation images; it is what SAM is compared with."""
    study = planted_study(blocks=3)
    statistic = BY_ID["c2-{}"].statistic
    assert statistic is not None
    for best in CURVE[1:]:
        validated = _accurate(study, {"sgd": 0.9, best: 0.6})
        levels = [study.mean(each, "corrupted member error", "seeds") for each in (best, "sgd")]
        assert_allclose(statistic(validated), np.log(levels[0] / levels[1]), rtol=1e-12)
