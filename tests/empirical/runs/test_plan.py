"""Plans: what remains is counted exactly, from an empty folder to a finished run."""

from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from sharpdiv.empirical.runs.config import RunConfig
from sharpdiv.empirical.runs.ensembles import train_runs
from sharpdiv.empirical.runs.folders import run_folder, trained_epochs, training_record
from sharpdiv.empirical.runs.gpu_time import operations_of_step
from sharpdiv.empirical.runs.plan import forward_flops, plan_runs, training_work
from sharpdiv.empirical.store import load_json
from tests.laws import Mutation, law

BALANCE = RunConfig(
    "sharpbalance", 0.1, seeds=(1, 2), train_samples=41, width=2, blocks=(1,), epochs=4, batch_size=10, switch_epoch=1
)


@pytest.fixture(scope="module", autouse=True)
def _folder(tmp_path_factory: pytest.TempPathFactory) -> None:
    global FOLDER
    FOLDER = tmp_path_factory.mktemp("plans")


FOLDER = Path()


@law(
    Mutation("last short batch forgotten", "sharpdiv.empirical.runs.plan._passes", lambda f: lambda *a: f(*a) * 4 // 5),
    Mutation(
        "one pass for SAM",
        "sharpdiv.empirical.runs.plan._passes",
        lambda f: lambda r, c, s, u, k: f(r, c, s, u, k) // (2 - (c.method == "sgd")),
    ),
)
def test_passes_of_an_empty_folder() -> None:
    """5 steps an epoch: SharpBalance 3 epochs of 2 passes, its start 1 of 1, SAM 4 of 2, SGD 4 of 1; two members each."""
    plans = {
        p.run_id.split("-")[1]: p
        for p in plan_runs([BALANCE, replace(BALANCE, method="sam"), replace(BALANCE.start, split_seed=1)], FOLDER)
    }
    assert plans["sam"].passes == 2 * 5 * 4 * 2
    assert plans["sharpbalance"].passes == 2 * 5 * 3 * 2
    assert plans["sgd"].passes in {2 * 5 * 4, 2 * 5}
    assert all(p.seconds and p.trained == 0 and p.members == 2 for p in plans.values())


@law(
    Mutation("launches of a pass", "sharpdiv.empirical.runs.plan._passes_of_step", lambda _: lambda _: 1),
    Mutation("forward alone", "sharpdiv.empirical.runs.plan.forward_flops", lambda f: lambda c: f(c) / 3),
)
def test_work_is_that_of_the_steps() -> None:
    """SAM: 2 members, 4 epochs of 5 steps; two passes over 41 images in each epoch, a backward pass as costly as two forward."""
    sam = replace(BALANCE, method="sam")
    (plan,) = plan_runs([sam], FOLDER)
    assert plan.work.launches == 2 * 4 * 5 * operations_of_step(sam)
    assert plan.work.flops == pytest.approx(2 * 4 * 41 * 2 * 3 * forward_flops(sam), rel=1e-12)


def test_large_steps_are_not_timed_on_a_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """ResNet-18 would take minutes; what it takes a GPU is said all the same."""
    monkeypatch.setattr("sharpdiv.empirical.runs.plan._seconds_of_step", lambda *_: pytest.fail("a step is timed"))
    large = replace(BALANCE.start, data="cifar10", width=64, blocks=(2, 2, 2, 2), batch_size=128, train_samples=1000)
    (plan,) = plan_runs([large], FOLDER)
    assert plan.seconds is None
    assert plan.work.flops == pytest.approx(2 * 4 * 1000 * 3 * forward_flops(large))


def test_what_is_trained_is_not_planned_again(tmp_path: Path) -> None:
    train_runs([BALANCE], tmp_path, workers=1)
    sgd = BALANCE.start
    plans = {p.run_id: p for p in plan_runs([BALANCE, sgd], tmp_path)}
    assert (plans[BALANCE.run_id].passes, plans[BALANCE.run_id].trained) == (0, 2)
    assert plans[BALANCE.run_id].seconds == 0
    assert (plans[sgd.run_id].passes, plans[sgd.run_id].trained) == (2 * 5 * 3, 0)
    assert not plan_runs([], tmp_path)
    assert trained_epochs(tmp_path, sgd, 1) == 1


FROM_SAM = replace(BALANCE, first_phase="sam", switch_epoch=2)


@law(
    Mutation("a start is never asked for", "sharpdiv.empirical.runs.plan.lacks_first_phase", lambda _: lambda *_: False)
)
def test_sam_that_was_trained_whole_goes_through_its_first_phase_again() -> None:
    """5 steps an epoch, two members, 2 epochs of 2 passes; and what it then goes on from is counted once in its seconds."""
    with TemporaryDirectory() as folder:
        root = Path(folder)
        train_runs([FROM_SAM.start], root, workers=1)
        alone = training_record(root, FROM_SAM.start, 1)
        plans = {p.run_id: p.passes for p in plan_runs([FROM_SAM, FROM_SAM.start], root)}
        assert plans == {FROM_SAM.start.run_id: 2 * 5 * 2 * 2, FROM_SAM.run_id: 2 * 5 * 2 * 2}
        train_runs([FROM_SAM], root, workers=1)
        assert training_record(root, FROM_SAM.start, 1) == alone
        first = load_json(run_folder(root, FROM_SAM.start) / "member-1-epoch2.json")["seconds"]
        rest = load_json(run_folder(root, FROM_SAM) / "member-1.json")["seconds"]
        assert training_record(root, FROM_SAM, 1)["seconds"] == pytest.approx(first + rest)


@law(
    Mutation(
        "every start is SGD's", "sharpdiv.empirical.runs.config.RunConfig.start", lambda _: property(lambda c: c.plain)
    ),
    Mutation(
        "the exchange at the beginning",
        "sharpdiv.empirical.runs.config.RunConfig.switch",
        lambda _: property(lambda c: 0),
    ),
)
def test_passes_of_first_phases() -> None:
    """5 steps an epoch and two members: a start is trained to the exchange, once for all that share it, with its own passes."""
    late, sam, paper = replace(BALANCE, rule="all"), FROM_SAM.start, replace(FROM_SAM, rule="code")
    assert sam == replace(BALANCE, method="sam", switch_epoch=2)

    def passes(*configs: RunConfig) -> dict[str, int]:
        return {p.run_id: p.passes for p in plan_runs(configs, FOLDER)}

    # SharpBalance from SAM: 2 epochs of 2 passes for SAM, 2 of 2 behind the exchange.
    assert passes(FROM_SAM) == {sam.run_id: 2 * 5 * 2 * 2, FROM_SAM.run_id: 2 * 5 * 2 * 2}
    assert passes(FROM_SAM, paper) == passes(FROM_SAM) | {paper.run_id: 2 * 5 * 2 * 2}
    assert passes(FROM_SAM, sam) == passes(FROM_SAM) | {sam.run_id: 2 * 5 * 4 * 2}
    # SAM after one plain epoch: 1 epoch of 1 pass, 3 of 2.
    assert passes(late) == {late.start.run_id: 2 * 5 * 1 * 1, late.run_id: 2 * 5 * 3 * 2}
    assert passes(late, FROM_SAM) == passes(late) | passes(FROM_SAM)


def test_a_first_phase_that_is_trained_is_not_planned_again(tmp_path: Path) -> None:
    train_runs([FROM_SAM], tmp_path, workers=1)
    sam, other = FROM_SAM.start, replace(FROM_SAM, rule="random")
    plans = {p.run_id: p for p in plan_runs([FROM_SAM, other, sam], tmp_path)}
    assert {name: p.passes for name, p in plans.items()} == {
        sam.run_id: 2 * 5 * 2 * 2,
        FROM_SAM.run_id: 0,
        other.run_id: 2 * 5 * 2 * 2,
    }
    assert [plans[c.run_id].trained for c in (sam, FROM_SAM, other)] == [0, 2, 0]
    (start, rest) = plan_runs([other], tmp_path)
    assert (start.run_id, start.passes, rest.passes) == (sam.run_id, 0, 2 * 5 * 2 * 2)


@law(
    Mutation(
        "multiplications alone",
        "sharpdiv.empirical.runs.plan._forward_flops",
        lambda f: lambda *a: f(*a) // 2,
    ),
)
def test_operations_by_hand() -> None:
    """Digits of 16 x 16 pixels: stem of 1 to 2 channels, two convolutions of 2 to 2, a head of 2 by 10; 2 for each product."""
    stem, convolution, head = 256 * 9 * 1 * 2, 256 * 9 * 2 * 2, 2 * 10
    assert forward_flops(BALANCE) == 2 * (stem + 2 * convolution + head)
    # ResNet-18 on 32 x 32 pixels has 0.556 billion products (He et al. 2016 count those of 224 x 224, 1.8 billion).
    network = RunConfig("sgd", data="cifar10", train_samples=None, width=64, blocks=(2, 2, 2, 2))
    assert forward_flops(network) == pytest.approx(2 * 0.556e9, rel=0.002)


@law(
    Mutation("forward alone", "sharpdiv.empirical.runs.plan.forward_flops", lambda f: lambda c: f(c) / 3),
    Mutation("one pass for SAM", "sharpdiv.empirical.runs.plan._passes_of_step", lambda _: lambda _: 1),
)
def test_work_by_hand() -> None:
    """41 images, two members: SAM 4 epochs of 2 passes; SharpBalance 3 of 2 after its SGD ensemble's first, of 1."""
    pass_ = 3 * forward_flops(BALANCE) * 41 * 2
    sam, sgd = replace(BALANCE, method="sam"), BALANCE.start

    def flops(*configs: RunConfig) -> float:
        return sum(work.flops for work in training_work(configs))

    assert flops(sam) == pytest.approx(8 * pass_, rel=1e-12)
    assert flops(BALANCE) == pytest.approx(7 * pass_, rel=1e-12)
    assert flops(BALANCE, sgd) == pytest.approx(10 * pass_, rel=1e-12)
    # From SAM: 2 epochs of 2 passes, then as many of SharpBalance.
    assert flops(FROM_SAM) == pytest.approx(8 * pass_, rel=1e-12)
    assert flops(FROM_SAM, FROM_SAM.start) == pytest.approx(12 * pass_, rel=1e-12)
    assert flops() == 0
    assert [w.launches for w in training_work([sam])] == [2 * 4 * 5 * operations_of_step(sam)]
