"""Tables of a study against direct computation from its records, with what is left out deleted."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import combinations
from typing import Any

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from sharpdiv.checks.ensembles.crossed import GROUPS, estimated
from sharpdiv.checks.ensembles.quantities import improvement_rate
from sharpdiv.checks.ensembles.study import Condition, Study
from sharpdiv.empirical.predictions.metrics import diversity, logit_variance
from sharpdiv.empirical.runs.record import RunRecord
from tests.checks.planted import IMAGES, KEPT, planted_study
from tests.laws import Mutation, law

BLOCKS = 3
INDEPENDENT, COUPLED = "sam-mid", "sharpbalance-mid"


def new_study() -> Study:
    """Three blocks of three; new, as tables of a study are kept."""
    return planted_study(blocks=BLOCKS)


Direct = Callable[[Sequence[RunRecord], Sequence[tuple[int, int]]], np.ndarray]
"""From the records and members (block, place) a value for each image."""


def _probs(records: Sequence[RunRecord], members: Sequence[tuple[int, int]]) -> np.ndarray:
    return np.array([records[block].probs[place] for block, place in members])


def _variance(values: np.ndarray) -> np.ndarray:
    """Over members, unbiased, summed over classes."""
    return values.var(axis=0, ddof=1).sum(axis=1)


def _divergence(records: Sequence[RunRecord], members: Sequence[tuple[int, int]]) -> np.ndarray:
    p, q = _probs(records, members)
    return ((p * np.log(p / q)).sum(axis=1) + (q * np.log(q / p)).sum(axis=1)) / 2


def _centred_logs(values: np.ndarray) -> np.ndarray:
    logs = np.log(values)
    return logs - logs.mean(axis=2, keepdims=True)


def _wrong(record: RunRecord, place: int) -> np.ndarray:
    return record.predicted[place] != record.labels


def _of_means(records: Sequence[RunRecord], members: Sequence[tuple[int, int]]) -> tuple[np.ndarray, np.ndarray]:
    """Whether an ensemble errs, and its negative log-likelihood."""
    mean, labels = _probs(records, members).mean(axis=0), records[0].labels[:KEPT]
    return mean.argmax(axis=1) != labels, -np.log(mean[np.arange(KEPT), labels])


def _disagreeing(records: Sequence[RunRecord], members: Sequence[tuple[int, int]]) -> np.ndarray:
    (a, i), (b, j) = members
    return records[a].predicted[i] != records[b].predicted[j]


DIRECT: dict[str, tuple[str, Direct]] = {
    "member error": ("seeds", lambda r, m: _wrong(r[m[0][0]], m[0][1])),
    "first member error": ("seeds", lambda r, m: _wrong(r[m[0][0]], m[0][1])[:KEPT]),
    "D": ("pairs", lambda r, m: _variance(_probs(r, m))),
    "KL": ("pairs", _divergence),
    "logit variance": ("pairs", lambda r, m: _variance(_centred_logs(_probs(r, m)))),
    "disagreement": ("pairs", _disagreeing),
    "ensemble error": ("triples", lambda r, m: _of_means(r, m)[0]),
    "NLL": ("triples", lambda r, m: _of_means(r, m)[1]),
    "error of two": ("pairs", lambda r, m: _of_means(r, m)[0]),
    "NLL of two": ("pairs", lambda r, m: _of_means(r, m)[1]),
    "block error": ("blocks", lambda r, m: r[m[0][0]].predicted_ensemble != r[m[0][0]].labels),
    "corrupted member error": ("seeds", lambda r, m: r[m[0][0]].corrupted_wrong[m[0][1]].mean(axis=0)),
    "corrupted block error": ("blocks", lambda r, m: r[m[0][0]].corrupted_wrong[3].mean(axis=0)),
    "corrupted NLL": ("blocks", lambda r, m: r[m[0][0]].corrupted_nll[3]),
}


def _tuples(over: str, coupled: bool, across: bool) -> list[tuple[tuple[int, int], ...]]:
    seeds = [(block, place) for block in range(BLOCKS) for place in range(3)]
    if over == "blocks":
        return [tuple(seed for seed in seeds if seed[0] == block) for block in range(BLOCKS)]
    size = {"seeds": 1, "pairs": 2, "triples": 3}[over]
    within = [len({block for block, _ in some}) == 1 for some in combinations(seeds, size)]
    kept = [not inside if across else inside or not coupled for inside in within]
    return [some for some, keep in zip(combinations(seeds, size), kept, strict=True) if keep]


def _table(condition: Condition, quantity: str, units: str, coupled: bool, across: bool = False) -> np.ndarray:
    """Means over what is left of tuples and images, from values of single images."""
    over, direct = DIRECT[quantity]
    tuples = _tuples(over, coupled, across)
    values = np.array([direct(condition.blocks, members) for members in tuples], dtype=float)
    size = values.shape[1] // GROUPS
    left_out: list[set[tuple[int, int]]] = [set()]
    left_out += [
        {(block, place)} if units == "seeds" else {(block, other) for other in range(3)}
        for block in range(BLOCKS)
        for place in range(3 if units == "seeds" else 1)
    ]
    rows = []
    for group in (None, *range(GROUPS)):
        images = [i for i in range(GROUPS * size) if i // size != group]
        row = []
        for unit in left_out:
            kept = [place for place, members in enumerate(tuples) if not unit & set(members)]
            row.append(values[np.ix_(kept, images)].mean() if kept else np.nan)
        rows.append(row)
    return np.array(rows)


@law(
    Mutation("biased over members", "sharpdiv.checks.ensembles.study._distances", lambda f: lambda *a: f(*a) / 2),
    Mutation(
        "groups moved by an image",
        "sharpdiv.checks.ensembles.study._grouped",
        lambda f: lambda v: f(np.roll(v, 1, axis=1)),
    ),
    Mutation(
        "members alone for ensembles",
        "sharpdiv.checks.ensembles.study.Condition.probs",
        lambda _: property(_first_probs),
    ),
    Mutation(
        "members never coupled",
        "sharpdiv.checks.ensembles.study.Condition.coupled",
        lambda _: property(lambda self: False),
    ),
    Mutation(
        "members always coupled",
        "sharpdiv.checks.ensembles.study.Condition.coupled",
        lambda _: property(lambda self: True),
    ),
    Mutation(
        "always seeds left out", "sharpdiv.checks.ensembles.study._touched", lambda f: lambda c, t, _: f(c, t, "seeds")
    ),
)
def test_quantities_are_those_of_the_records() -> None:
    """Every entry of every table: with everything, and without each seed or block, and without each group of images."""
    study = new_study()
    for name, coupled in ((INDEPENDENT, False), (COUPLED, True)):
        for quantity in DIRECT:
            for units in ("blocks",) if coupled or DIRECT[quantity][0] == "blocks" else ("seeds", "blocks"):
                found = study.mean(name, quantity, units)
                expected = _table(study.conditions[name], quantity, units, coupled)
                assert_allclose(found, expected, rtol=1e-9, atol=1e-12, err_msg=f"{name}, {quantity}, {units}")


def _first_probs(condition: Condition) -> np.ndarray:
    return np.concatenate([np.repeat(record.probs[:1], 3, axis=0) for record in condition.blocks])


@law(
    Mutation(
        "within, too",
        "sharpdiv.checks.ensembles.study._tuples",
        lambda f: lambda c, over, across: f(_uncoupled(c), over, False),
    ),
)
def test_pairs_across_blocks_are_only_those() -> None:
    study = new_study()
    found = study.mean(COUPLED, "D", "blocks", across=True)
    assert_allclose(found, _table(study.conditions[COUPLED], "D", "blocks", True, across=True), rtol=1e-9)
    # All pairs of an independent condition are those within and those across: 9 and 27 of 36.
    everything, across = (study.mean(INDEPENDENT, "D", "blocks", across=a)[0, 0] for a in (False, True))
    within = np.mean([_referee(block)["variance"] for block in study.conditions[INDEPENDENT].blocks])
    assert everything == pytest.approx((9 * within + 27 * across) / 36, rel=1e-9)


def _uncoupled(condition: Condition) -> Condition:
    first = condition.blocks[0]
    plain = replace(first, summary=first.summary | {"config": first.summary["config"] | {"method": "sam"}})
    return Condition((plain, *condition.blocks[1:]))


def _referee(record: RunRecord) -> dict[str, Any]:
    """Metrics of one ensemble of three by the code that users measure with."""
    found: dict[str, Any] = diversity(torch.as_tensor(record.probs), torch.as_tensor(record.labels[:KEPT]))
    return found | {"logit_variance": logit_variance(torch.as_tensor(np.log(record.probs)))}


@law(
    Mutation("biased over members", "sharpdiv.checks.ensembles.study._distances", lambda f: lambda *a: f(*a) / 2),
    Mutation(
        "members alone for ensembles",
        "sharpdiv.checks.ensembles.study.Condition.probs",
        lambda _: property(_first_probs),
    ),
)
def test_a_block_of_three_has_the_metrics_of_its_ensemble() -> None:
    """Where all images have their probabilities kept; SGD's members, and coupled ones."""
    for name in (INDEPENDENT, COUPLED):
        for record in new_study().conditions[name].blocks:
            first = replace(
                record,
                labels=record.labels[:KEPT],
                predicted=record.predicted[:, :KEPT],
                predicted_ensemble=record.predicted_ensemble[:KEPT],
            )
            study, metrics = Study({name: Condition((first,))}), _referee(record)
            found = {q: study.mean(name, q, "blocks")[0, 0] for q in DIRECT}
            expected = {
                "D": metrics["variance"],
                "KL": metrics["kl"],
                "logit variance": metrics["logit_variance"],
                "disagreement": metrics["disagreement"],
                "member error": 1 - metrics["accuracy_mean"],
                "first member error": 1 - metrics["accuracy_mean"],
                "ensemble error": 1 - metrics["accuracy_ensemble"],
                "block error": 1 - metrics["accuracy_ensemble"],
                "NLL": metrics["nll_ensemble"],
            }
            assert {q: found[q] for q in expected} == pytest.approx(expected, rel=1e-9)
            assert found["disagreement"] / found["member error"] == pytest.approx(metrics["der"], rel=1e-9)
            assert improvement_rate(study, name, "blocks")[0, 0] == pytest.approx(metrics["eir"], rel=1e-9)


# ------------------------------------------------------------------------------------------------------------- the rest


def test_a_triple_is_the_unit_where_members_know_of_each_other() -> None:
    study = planted_study(blocks=2)
    coupled = {name for name in study.conditions if study.units(name) == "blocks"}
    assert coupled == {
        "sharpbalance-low",
        "sharpbalance-mid",
        "sharpbalance-high",
        "shuffled",
        "code",
        "code-random",
    }
    assert study.units("sgd", "late-sam") == "seeds"
    assert study.units("sgd", "sharpbalance-mid") == "blocks"
    assert (study.seeds, study.blocks) == (6, 2)


@law(
    Mutation(
        "of the first member",
        "sharpdiv.checks.ensembles.study.Condition.of_members",
        lambda f: lambda c, get: np.repeat(f(c, get)[::3], 3),
    ),
    Mutation("one unit for all", "sharpdiv.checks.ensembles.study._touched", lambda f: lambda *a: np.zeros_like(f(*a))),
)
def test_numbers_of_members_and_blocks_have_one_row() -> None:
    study = new_study()
    values = np.array([r.summary["members"]["train_loss"] for r in study.conditions["sgd"].blocks])

    def get(record: RunRecord) -> list[float]:
        found: list[float] = record.summary["members"]["train_loss"]
        return found

    seeds = [values.mean(), *(np.delete(values.ravel(), i).mean() for i in range(9))]
    assert_allclose(study.number("sgd", get, "seeds"), [seeds])
    blocks = [values.mean(), *(np.delete(values, i, axis=0).mean() for i in range(3))]
    assert_allclose(study.number("sgd", get, "blocks"), [blocks])
    ends = [get(r)[2] for r in study.conditions["sgd"].blocks]
    assert_allclose(
        study.block_number("sgd", lambda r: get(r)[2]),
        [[np.mean(ends), *(np.delete(ends, i).mean() for i in range(3))]],
    )


def test_what_does_not_fill_a_group_is_left_out() -> None:
    """409 images make 40 groups of 10; the last nine are not looked at."""
    study = new_study()

    def longer(record: RunRecord) -> RunRecord:
        wrong = (record.labels[:9] + 1) % 10
        return replace(
            record,
            labels=np.concatenate([record.labels, record.labels[:9]]),
            predicted=np.concatenate([record.predicted, np.stack([wrong] * 3)], axis=1),
            predicted_ensemble=np.concatenate([record.predicted_ensemble, wrong]),
        )

    more = Study({n: Condition(tuple(map(longer, c.blocks))) for n, c in study.conditions.items()})
    assert IMAGES == 400
    for quantity in ("member error", "block error", "disagreement", "D"):
        found, expected = (each.mean("sgd", quantity, "blocks") for each in (more, study))
        assert_allclose(found, expected)


def test_the_estimate_of_d_has_the_interval_of_a_jackknife_over_seeds() -> None:
    """Brute force from probabilities: each seed deleted, test points as they are; groups' pseudo-values have the same mean."""
    study = new_study()
    probs = study.conditions[INDEPENDENT].probs

    def mean_d(kept: np.ndarray) -> float:
        return float(kept.var(axis=0, ddof=1).sum(axis=1).mean())

    without = np.array([mean_d(np.delete(probs, seed, axis=0)) for seed in range(9)])
    found = estimated(study.mean(INDEPENDENT, "D", "seeds"))
    assert found.value == pytest.approx(mean_d(probs), rel=1e-9)
    assert found.units_variance == pytest.approx(8 / 9 * np.square(without - without.mean()).sum(), rel=1e-9)
