"""Plans: what remains is counted exactly, from an empty folder to a finished run."""

from dataclasses import replace
from pathlib import Path

import pytest

from empirical import RunConfig, plan_runs, train_runs
from empirical.runs import trained_epochs
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
        for p in plan_runs(
            [BALANCE, replace(BALANCE, method="sam"), replace(BALANCE.first_phase, split_seed=1)], FOLDER
        )
    }
    assert plans["sam"].passes == 2 * 5 * 4 * 2
    assert plans["sharpbalance"].passes == 2 * 5 * 3 * 2
    assert plans["sgd"].passes in {2 * 5 * 4, 2 * 5}
    assert all(p.seconds > 0 and p.trained == 0 and p.members == 2 for p in plans.values())


def test_what_is_trained_is_not_planned_again(tmp_path: Path) -> None:
    train_runs([BALANCE], tmp_path, workers=1)
    sgd = BALANCE.first_phase
    plans = {p.run_id: p for p in plan_runs([BALANCE, sgd], tmp_path)}
    assert (plans[BALANCE.run_id].passes, plans[BALANCE.run_id].trained) == (0, 2)
    assert plans[BALANCE.run_id].seconds == 0
    assert (plans[sgd.run_id].passes, plans[sgd.run_id].trained) == (2 * 5 * 3, 0)
    assert not plan_runs([], tmp_path)
    assert trained_epochs(tmp_path, sgd, 1) == 1
