"""The protocol: what is committed is what the code states, any change of it is told, and what kept to it counts as confirmed."""

import pkgutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose

from sharpdiv.checks.ensembles import planning, rule
from sharpdiv.checks.ensembles.crossed import (
    GROUPS,
    LEVEL,
    Decision,
    Primary,
    estimated,
    jackknife_variances,
    leave_out_means,
    satterthwaite,
)
from sharpdiv.checks.ensembles.missing import judged
from sharpdiv.checks.ensembles.planning import Component, pilot_components, power
from sharpdiv.checks.ensembles.protocol import asked, deviation, obstacle, protocol, protocol_commit, stated
from sharpdiv.checks.ensembles.quantities import log_ratio, mean_of
from sharpdiv.checks.ensembles.questions import QUESTIONS, Question
from sharpdiv.checks.ensembles.study import Condition, Study
from sharpdiv.empirical.runs.profiles import DESIGNS, PILOT_SEEDS, PROFILES, Design
from tests.checks.planted import planted_records, planted_study
from tests.laws import Mutation, law


@pytest.fixture(autouse=True)
def _state_anew() -> Iterator[None]:
    """The protocol is read and compared once in a process."""
    deviation.cache_clear()
    yield
    deviation.cache_clear()


# ------------------------------------------------------------------------------------------------------------- deviation


def _first(changes: dict[str, Any]) -> Callable[[Sequence[Question]], tuple[Question, ...]]:
    return lambda questions: (replace(questions[0], **changes), *questions[1:])


def _design(**changes: Any) -> Callable[[dict[str, tuple[Design, ...]]], dict[str, tuple[Design, ...]]]:
    return lambda profiles: profiles | {"cpu": (replace(profiles["cpu"][0], **changes), *profiles["cpu"][1:])}


_CONDITIONS = dict(PROFILES["cpu"][0].conditions)
_LONGER = _CONDITIONS | {"sgd": replace(_CONDITIONS["sgd"], epochs=41)}
_LESS_MEASURED = replace(PROFILES["cpu"][0].how, iterations=9)
CHANGES: dict[str, tuple[str, Callable[[Any], Any], str]] = {
    "another smallest effect": ("sharpdiv.checks.ensembles.protocol.QUESTIONS", _first({"delta": 0.06}), "questions"),
    "the other direction": ("sharpdiv.checks.ensembles.protocol.QUESTIONS", _first({"direction": 1}), "questions"),
    "another family": ("sharpdiv.checks.ensembles.protocol.QUESTIONS", _first({"family": "ours"}), "questions"),
    "a question less": ("sharpdiv.checks.ensembles.protocol.QUESTIONS", lambda questions: questions[1:], "questions"),
    "another configuration": ("sharpdiv.checks.ensembles.protocol.PROFILES", _design(conditions=_LONGER), "designs"),
    "fewer blocks": (
        "sharpdiv.checks.ensembles.protocol.PROFILES",
        lambda p: p | {"cpu": (p["cpu"][0].first(7), *p["cpu"][1:])},
        "designs",
    ),
    "another measurement": ("sharpdiv.checks.ensembles.protocol.PROFILES", _design(how=_LESS_MEASURED), "designs"),
    "other pilot seeds": ("sharpdiv.checks.ensembles.protocol.PILOT_SEEDS", lambda seeds: seeds[1:], "pilot_seeds"),
    "another sharpness": ("sharpdiv.checks.ensembles.protocol.MAIN_SHARPNESS", lambda _: "worst_l2", "main_sharpness"),
    "another level": ("sharpdiv.checks.ensembles.protocol.LEVEL", lambda _: 0.1, "level"),
    "another rule": (
        "sharpdiv.checks.ensembles.protocol._RULE",
        lambda text: text.replace("two-way", "one-way"),
        "rule",
    ),
    "p-values not adjusted": ("sharpdiv.checks.ensembles.crossed.holm", lambda _: list, "answers"),
    "test points held fixed": (
        "sharpdiv.checks.ensembles.crossed.Estimate.points_variance",
        lambda _: property(lambda s: 0.0, lambda s, v: None),
        "answers",
    ),
    "biased D": (
        "sharpdiv.checks.ensembles.study._distances",
        lambda f: lambda a, b, pairs: f(a, b, pairs) + 1e-3,
        "answers",
    ),
    "the first condition for the best": (
        "sharpdiv.checks.ensembles.quantities.chosen",
        lambda _: lambda study, names, of: names[0],
        "answers",
    ),
}
"""What is changed, and the part of the protocol that tells it."""


@law(*(Mutation(name, target, change) for name, (target, change, _) in CHANGES.items()))
def test_the_committed_protocol_is_what_the_code_states() -> None:
    deviation.cache_clear()
    assert deviation() == ""


@pytest.mark.parametrize("name", CHANGES)
def test_what_differs_is_named(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    target, change, part = CHANGES[name]
    monkeypatch.setattr(target, change(pkgutil.resolve_name(target)))
    assert part in deviation()
    assert deviation().endswith("differ from the committed protocol's")
    assert obstacle(planted_study(blocks=2)) == deviation()


def test_without_a_protocol_nothing_is_confirmed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sharpdiv.checks.ensembles.protocol.protocol", dict)
    assert deviation() == "there is no committed protocol"
    assert obstacle(planted_study(blocks=2)) == deviation()


def test_the_protocol_states_every_run_and_question_before_its_seeds() -> None:
    now = stated()
    assert set(now["designs"]) == {"digits", "fashion-mnist", "cifar10-jpeg"}
    for name, design in now["designs"].items():
        assert design["conditions"] == {key: config.run_id for key, config in DESIGNS[name].conditions.items()}
        seeds = [seed for block in design["blocks"] for seed in block]
        assert len(set(seeds)) == len(seeds) == 24
        assert not set(seeds) & set(PILOT_SEEDS)
    assert set(now["questions"]) == {q.id for q in QUESTIONS}
    assert set(now["answers_on_made_up_records"]) == {q.id for q in QUESTIONS}
    assert set(protocol()) == {"protocol", "pilot"}
    assert len(protocol_commit()) in {0, 40}


def test_a_design_is_asked_what_it_has_conditions_for() -> None:
    without, everything = asked(DESIGNS["digits"]), asked(DESIGNS["fashion-mnist"])
    assert everything == list(QUESTIONS)
    assert {q.id for q in everything} - {q.id for q in without} == {"c4-{}-width", "c4-{}-sparsity"}
    by_family = [asked(DESIGNS["fashion-mnist"], family) for family in ("paper", "ours")]
    assert sorted(q.id for family in by_family for q in family) == sorted(q.id for q in QUESTIONS)
    assert all(q.family == "ours" for q in by_family[1])


# -------------------------------------------------------------------------------------------------------------- obstacle


def _of_origin(**changes: Any) -> Study:
    """A planted study of which one record of one condition comes from elsewhere."""
    study = planted_study(blocks=2)
    record = study.conditions["shuffled"].blocks[1]
    origin = record.summary["provenance"]
    trained = [origin["trained"][0], changes.get("trained", origin["trained"][1]), origin["trained"][2]]
    origin = origin | changes.get("measured", {}) | {"trained": trained}
    other = replace(record, summary=record.summary | {"provenance": origin})
    return Study({**study.conditions, "shuffled": Condition((study.conditions["shuffled"].blocks[0], other))})


@law(
    Mutation("measurement not asked", "sharpdiv.checks.ensembles.protocol.committed", lambda f: lambda: None),
    Mutation("nothing asked", f"{__name__}.obstacle", lambda _: lambda study: ""),
)
def test_only_what_was_trained_and_measured_under_the_protocol_is_confirmed() -> None:
    good = _of_origin()
    assert obstacle(good) == ""
    origin = good.conditions["shuffled"].blocks[0].summary["provenance"]
    clean = {"commit": origin["commit"], "protocol": origin["protocol"]}
    for other in (clean | {"protocol": "another"}, clean | {"protocol": None}, {"commit": clean["commit"]}):
        for place in ("trained", "measured"):
            assert "not trained and measured under the committed protocol" in obstacle(
                _of_origin(**{place: {**_NONE, **other}})
            )
    for other in (clean | {"commit": f"{clean['commit']}-dirty"}, clean | {"commit": None}, clean | {"commit": ""}):
        for place in ("trained", "measured"):
            assert "uncommitted changes" in obstacle(_of_origin(**{place: other}))


_NONE = {"protocol": None}


@law(
    Mutation("any number", f"{__name__}.judged", lambda _: lambda design, blocks: True),
    Mutation("all only", f"{__name__}.judged", lambda _: lambda design, blocks: blocks == len(design.blocks)),
)
def test_a_design_in_the_making_has_no_verdict() -> None:
    """All blocks, or of the digits as many as the main job trains."""
    told = {name: [n for n in range(1, 9) if judged(DESIGNS[name], n)] for name in DESIGNS}
    assert told == {
        "digits": [3, 8],
        "fashion-mnist": [8],
        "cifar10-jpeg": [8],
        "paper-cifar10": [3],
        "paper-cifar100": [3],
        "paper-tiny-imagenet": [3],
    }


# -------------------------------------------------------------------------------------------------------------- planning

QUIET = {name: Component(-0.01, 1e-6, 0.0) for name in planning._PILOT}


@law(
    Mutation(
        "nothing adjusted",
        "sharpdiv.checks.ensembles.planning.decide",
        lambda f: lambda family: [f([each])[0] for each in family],
    ),
)
def test_the_rule_is_rarely_wrong_where_the_truth_is_known() -> None:
    """Variances with which 24 seeds decide; at most 5% of 400 families have a false statement, up to 3 standard errors (3.3%)."""
    loud = {name: Component(0.0, 24 * 0.02**2, 0.0) for name in planning._PILOT}
    families: list[Sequence[Decision]] = []
    original = vars(planning)["decide"]  # which may be the wrong one

    def keep(family: Sequence[Primary]) -> list[Decision]:
        families.append(original(family))
        return list(families[-1])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sharpdiv.checks.ensembles.planning.decide", keep)
        power(loud, 24, "none", replicates=400)
    wrong = np.mean([bool({Decision.HOLDS, Decision.FAILS} & set(each)) for each in families])
    assert wrong < LEVEL + 3 * np.sqrt(LEVEL * (1 - LEVEL) / 400)


def test_without_noise_the_rule_says_what_is_true() -> None:
    """No effect is none, and so is the pilot's if it is small; the least of interest is at the edge, 5% of the time inside."""
    decided = {effect: power(QUIET, 24, effect, replicates=100) for effect in ("none", "least", "pilot")}
    certain = dict.fromkeys(decided["none"], 1.0)
    assert {q: each["no effect"] for q, each in decided["none"].items()} == certain
    assert {q: each["no effect"] for q, each in decided["pilot"].items()} == certain
    assert {q: each["holds"] + each["no effect"] for q, each in decided["least"].items()} == certain
    # 3 standard errors of 100 replicates.
    assert max(each["no effect"] for each in decided["least"].values()) < 0.05 + 0.066
    assert decided["none"] == power(QUIET, 24, "none", replicates=100)


def test_a_simulated_estimate_has_the_variance_of_its_component() -> None:
    """4,000 draws of 8 triples: mean and variance of the value, and mean of the estimated variance, within 4 standard errors."""
    component, generator = Component(0.0, 0.24, 0.02), np.random.default_rng(0)
    found = [component.estimate(0.3, 24, True, generator) for _ in range(4000)]
    values, parts = np.array([[each.value, each.units_variance] for each in found]).T
    assert {each.units for each in found} == {8}
    assert {each.points_variance for each in found} == {0.02}
    assert values.mean() == pytest.approx(0.3, abs=4 * np.sqrt(0.03 / 4000))
    assert values.var() == pytest.approx(0.03, rel=4 * np.sqrt(2 / 4000))
    assert parts.mean() == pytest.approx(0.01, rel=4 * np.sqrt(2 / 7 / 4000))
    assert component.estimate(0.3, 24, False, generator).units == 24


def test_components_of_the_pilot_are_those_of_its_seeds() -> None:
    """Variance of one seed, members of SharpBalance taken for independent; a study of more seeds has as many times less."""
    names = ("sgd", "sam-mid", "sharpbalance-mid")
    records = {name: [block[name] for block in planted_records(DESIGNS["digits"], 4)] for name in names}
    found = pilot_components(records)
    study = Study({name: Condition(tuple(blocks)) for name, blocks in records.items()})
    d = {name: study.mean(name, "D", "seeds")[0, 0] for name in names[:2]}
    assert found["D"].value == pytest.approx(np.log(d["sam-mid"] / d["sgd"]), rel=1e-9)
    # Pairs of SharpBalance across blocks count, too: D of all, not of those within.
    assert found["D, SharpBalance"].value != pytest.approx(
        np.log(study.mean("sharpbalance-mid", "D", "blocks")[0, 0] / d["sam-mid"]), rel=1e-3
    )
    expected = estimated(log_ratio(mean_of("D"), "sam-mid", "sgd")(study))
    assert_allclose(
        (found["D"].of_seed, found["D"].of_points), (12 * expected.units_variance, expected.points_variance)
    )


# ------------------------------------------------------------------------------------------------------ errors, as claimed


@pytest.mark.slow
@law(
    Mutation(
        "nothing adjusted",
        "sharpdiv.checks.ensembles.rule.decide",
        lambda f: lambda family: [f([each])[0] for each in family],
    ),
)
def test_a_family_has_a_false_statement_in_five_per_cent_of_studies() -> None:
    """Within 3 standard errors of 400 studies (3.3%) above, where nothing is and where everything is the least of interest."""
    for effect in ("none", "least"):
        assert rule.false_statements(effect, 400, 7) < LEVEL + 3 * np.sqrt(LEVEL * (1 - LEVEL) / 400)


@law(
    Mutation(
        "test points held fixed",
        "sharpdiv.checks.ensembles.rule.jackknife_variances",
        lambda f: lambda t: (f(t)[0], 0 * f(t)[1]),
    ),
    Mutation(
        "units held fixed",
        "sharpdiv.checks.ensembles.rule.jackknife_variances",
        lambda f: lambda t: (0 * f(t)[0], f(t)[1]),
    ),
    Mutation("normal", "sharpdiv.checks.ensembles.rule.satterthwaite", lambda f: lambda *a: np.full_like(f(*a), 1e9)),
)
def test_a_test_finds_something_in_five_per_cent_of_studies() -> None:
    """Within 4 standard errors of 10,000 studies (.9%), of 8 triples, with and without an effect of test points."""
    for shares in ((0.1, 1.0, 0.3), (1.0, 0.0, 0.0)):
        assert rule.type_one_error(8, shares, 10_000, 3) == pytest.approx(LEVEL, abs=0.009)


def test_many_studies_at_once_are_each_by_itself() -> None:
    """To rounding."""
    values = np.random.default_rng(0).normal(size=(3, GROUPS, 5))
    touched = np.eye(5, dtype=bool)
    together = jackknife_variances(leave_out_means(values, touched))
    for place, each in enumerate(values):
        found = estimated(leave_out_means(each, touched))
        parts = found.units_variance, found.points_variance
        assert parts == pytest.approx([part[place] for part in together], rel=1e-9, abs=1e-15)
        assert found.freedom == pytest.approx(satterthwaite(*parts, 5), rel=1e-12)
