"""Time on a GPU by arithmetic: what is larger counts, and operations are counted as they are launched."""

from dataclasses import replace

import pytest
import torch

from sharpdiv.empirical.optim.sharpbalance import sharpbalance_step
from sharpdiv.empirical.runs.config import RunConfig
from sharpdiv.empirical.runs.gpu_time import (
    CARDS,
    LAUNCH_SECONDS,
    SUSTAINED,
    Work,
    _Operations,
    hours_of,
    operations_of_step,
    random_images,
)
from sharpdiv.empirical.runs.member import new_member
from tests.laws import Mutation, law

SAM = RunConfig("sam", 0.1, width=2, blocks=(1, 1), batch_size=10)
SGD = replace(SAM, method="sgd", rho=0.0)
BALANCE = replace(SAM, method="sharpbalance")


@law(
    Mutation("launches for nothing", "sharpdiv.empirical.runs.gpu_time.LAUNCH_SECONDS", lambda _: 0.0),
    Mutation("the whole peak", "sharpdiv.empirical.runs.gpu_time.SUSTAINED", lambda _: 1.0),
)
def test_the_larger_of_both_times_counts() -> None:
    """An hour of either alone, at the share of the peak; several runs are each bound by their own."""
    for card in CARDS:
        flops = 0.3 * 3600 * card.peak["tf32"]
        launches = round(3600 / LAUNCH_SECONDS)
        wide, narrow = Work(flops, launches // 3), Work(flops / 3, launches)
        assert wide.hours(card, "tf32") == pytest.approx(1)
        assert narrow.hours(card, "tf32") == pytest.approx(1)
        assert hours_of([wide, narrow], card, "tf32") == pytest.approx(2)


def test_cards_are_faster_where_numbers_are_shorter() -> None:
    for card in CARDS:
        assert card.peak["float32"] < card.peak["tf32"] < card.peak["bfloat16"]
    assert 0 < SUSTAINED < 1


@pytest.mark.parametrize("config", [SGD, SAM, BALANCE, replace(SAM, adaptive=True, sparsity=0.5, clip_norm=1.0)])
def test_operations_are_those_of_a_step_on_data(config: RunConfig) -> None:
    """Of another width and in a batch of another size, where weights are stepped one by one: four more for each but one."""
    data = random_images(config, 10)
    member = new_member(config, data, 0, torch.device("cpu"))
    member.model.train()
    aware = torch.arange(10) % 2 < {"sgd": 0, "sam": 2, "sharpbalance": 1}[config.method]
    images = data.normalize(data.train_images)
    for _ in range(2):
        with _Operations() as operations:  # type: ignore[no-untyped-call]
            sharpbalance_step(member.model, member.optimizer, images, data.train_labels, aware)
    alone = sum(p.requires_grad for p in member.model.parameters())
    assert operations_of_step(config) < operations.count <= operations_of_step(config) + 4 * alone
    # A stem, four in blocks and a projection, each with a norm, forward and backward.
    passes = {"sgd": 1, "sam": 2, "sharpbalance": 3}[config.method]
    assert operations_of_step(config) > passes * 6 * 2 * 2


def test_operations_of_resnet_18() -> None:
    """560, 1,285 and 2,112 were counted with what makes a batch on a device that has other ways for some of them.

    SAM's ascent then took three operations for each of 62 weights, and takes as many for all of them.
    """
    found = [operations_of_step(replace(config, blocks=(2, 2, 2, 2))) for config in (SGD, SAM, BALANCE)]
    assert found == pytest.approx([560, 1285 - 3 * 62, 2112], rel=0.25)


def test_operations_do_not_depend_on_sizes() -> None:
    """Neither width nor batch; with m on how many parts a batch has, and on the number of blocks."""
    for config in (SGD, SAM, BALANCE):
        count = operations_of_step(config)
        assert count == operations_of_step(replace(config, width=16, batch_size=64, data="cifar10", epochs=61))
        assert count < operations_of_step(replace(config, blocks=(2, 1)))
    parts = [operations_of_step(replace(SAM, m=m, batch_size=12)) for m in (12, 6, 3)]
    assert parts[0] < parts[1] < parts[2]
    assert 2 * operations_of_step(SGD) < operations_of_step(SAM) < operations_of_step(BALANCE)
