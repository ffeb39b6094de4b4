"""Plans: what remains is counted exactly, from an empty folder to a finished run; profiles keep their runs."""

from dataclasses import replace
from pathlib import Path

import pytest

from empirical import RunConfig, plan_runs, train_runs
from empirical.plan import forward_flops, gpu_hours
from empirical.profiles import PROFILES
from empirical.runs import trained_epochs
from empirical.store import digest
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
    Mutation("last short batch forgotten", "empirical.plan._passes", lambda f: lambda *a: f(*a) * 4 // 5),
    Mutation(
        "one pass for SAM",
        "empirical.plan._passes",
        lambda f: lambda r, c, s, u: f(r, c, s, u) // (2 - (c.method == "sgd")),
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
    assert all(p.seconds > 0 and p.trained == 0 and p.members == 2 for p in plans.values())


def test_what_is_trained_is_not_planned_again(tmp_path: Path) -> None:
    train_runs([BALANCE], tmp_path, workers=1)
    sgd = BALANCE.start
    plans = {p.run_id: p for p in plan_runs([BALANCE, sgd], tmp_path)}
    assert (plans[BALANCE.run_id].passes, plans[BALANCE.run_id].trained) == (0, 2)
    assert plans[BALANCE.run_id].seconds == 0
    assert (plans[sgd.run_id].passes, plans[sgd.run_id].trained) == (2 * 5 * 3, 0)
    assert not plan_runs([], tmp_path)
    assert trained_epochs(tmp_path, sgd, 1) == 1


@law(
    Mutation(
        "multiplications alone",
        "empirical.plan._forward_flops",
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
    Mutation("forward alone", "empirical.plan.forward_flops", lambda f: lambda c: f(c) / 3),
    Mutation("one pass for SAM", "empirical.plan._passes_of_step", lambda _: lambda _: 1),
)
def test_hours_by_hand() -> None:
    """41 images, two members: SAM 4 epochs of 2 passes; SharpBalance 3 of 2 after its SGD ensemble's first, of 1."""
    pass_ = 3 * forward_flops(BALANCE) * 41 * 2
    sam, sgd = replace(BALANCE, method="sam"), BALANCE.start
    hours = 1e6 * 3600
    assert gpu_hours([sam], 1e6) * hours == pytest.approx(8 * pass_, rel=1e-12)
    assert gpu_hours([BALANCE], 1e6) * hours == pytest.approx(7 * pass_, rel=1e-12)
    assert gpu_hours([BALANCE, sgd], 1e6) * hours == pytest.approx(10 * pass_, rel=1e-12)
    assert gpu_hours([], 1e6) == 0


FASHION = ("", "-variants", "-widths", "-sparsities", "-sizes")


@pytest.mark.parametrize(
    ("profile", "results", "runs", "identity"),
    [
        ("quick", ["digits.json"], [21], "27ae3d9d93ab"),
        (
            "cpu",
            ["cifar10-jpeg.json", *(f"fashion-mnist{part}.json" for part in FASHION)],
            [18, 27, 18, 18, 18, 3],
            "8842ebff95e9",
        ),
        (
            "paper",
            ["paper-cifar10.json", "paper-cifar100.json", "paper-tiny-imagenet.json", "paper-shapes.json"],
            [21, 21, 21, 48],
            "14983ee3d625",
        ),
    ],
)
def test_profiles_keep_their_runs(profile: str, results: list[str], runs: list[int], identity: str) -> None:
    """Finished runs are found by their names, so these must not change by accident."""
    parts = PROFILES[profile]
    names = [run.run_id for part in parts for run in part.runs]
    assert [part.results for part in parts] == results
    assert [len(part.runs) for part in parts] == runs
    assert len(set(names)) == len(names)
    assert digest({"runs": names})[:12] == identity
