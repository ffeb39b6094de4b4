"""Designs: runs that keep their names, seeds that decided nothing before, phases that are shared, images of every class."""

import json
from dataclasses import asdict, replace
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import torch

from sharpdiv.empirical.data import splits as data
from sharpdiv.empirical.data.datasets import DATASETS
from sharpdiv.empirical.data.raw_images import RawImages
from sharpdiv.empirical.data.splits import load_data
from sharpdiv.empirical.provenance import PROTOCOL
from sharpdiv.empirical.runs import profiles
from sharpdiv.empirical.runs.measure_config import MeasureConfig
from sharpdiv.empirical.runs.plan import forward_flops, plan_runs
from sharpdiv.empirical.runs.profiles import (
    DESIGNS,
    LABELS,
    MEASURED_IN_FULL,
    PILOT_SEEDS,
    PROFILES,
    QUICK_BLOCKS,
    Design,
)
from sharpdiv.empirical.store import digest
from tests.laws import Mutation, law

EARLIER = {13, 17, 27, 31, 37, 41, 43, 47, 53}
"""Seeds of the paper and of everything that was trained here before the protocol."""
PAPER = [name for name in DESIGNS if name.startswith("paper-")]
OURS = [name for name in DESIGNS if not name.startswith("paper-")]


@pytest.mark.parametrize(
    ("profile", "runs", "identity"),
    [
        ("quick", {"digits": 36}, "8baa3595c136"),
        ("cpu", {"digits": 96, "fashion-mnist": 128, "cifar10-jpeg": 96}, "4d8133d25b3b"),
        ("gpu", {"gpu-cifar10-jpeg": 18}, "030814bb0643"),
        ("paper", {"paper-cifar10": 48, "paper-cifar100": 36, "paper-tiny-imagenet": 36}, "3cb5fa3e18d2"),
    ],
)
def test_profiles_keep_their_runs(profile: str, runs: dict[str, int], identity: str) -> None:
    """Finished runs are found by their names, so these must not change by accident."""
    designs = PROFILES[profile]
    names = [run.run_id for design in designs for run in design.all_runs]
    assert {design.name: len(design.all_runs) for design in designs} == runs
    assert len(set(names)) == len(names)
    assert digest({"runs": names})[:12] == identity


def test_the_gpu_profile_is_as_sized() -> None:
    """109 million passes over an image and 10.6 PFLOP; seeds and folder of its own, so that nothing else is touched."""
    (design,) = PROFILES["gpu"]
    assert design.name not in DESIGNS
    assert {seed for block in design.blocks for seed in block} == set(range(2001, 2010))
    taken = {seed for other in DESIGNS.values() for block in other.blocks for seed in block} | set(PILOT_SEEDS)
    assert not taken & set(range(2001, 2010))
    with TemporaryDirectory() as folder:
        plans = plan_runs(design.all_runs, Path(folder))
    assert len(plans) == len(design.all_runs) == 18  # SharpBalance starts from the SGD that is trained anyway
    flops = sum(plan.work.flops for plan in plans)
    assert flops == pytest.approx(10.6e15, rel=0.005)
    assert flops / (3 * forward_flops(design.conditions["sgd"])) == pytest.approx(109e6, rel=0.005)
    assert all(plan.seconds is None for plan in plans)


def test_the_gpu_profile_differs_from_the_protocol_s_cifar_in_what_it_says() -> None:
    (design,) = PROFILES["gpu"]
    protocol = DESIGNS["cifar10-jpeg"].conditions
    for name, config in design.conditions.items():
        there = protocol[name]
        assert (config.method, config.rho, config.rule) == (there.method, there.rho, there.rule)
        assert (config.data, config.width, config.blocks) == (there.data, there.width, there.blocks)
        assert (config.train_samples, config.epochs, config.switch) == (None, 30, 15)
        assert config.start in set(design.conditions.values())


def test_the_quick_profile_is_the_first_blocks_of_the_protocol_s_digits() -> None:
    (quick,) = PROFILES["quick"]
    whole = DESIGNS["digits"]
    assert quick.all_runs == whole.all_runs[: len(quick.all_runs)]
    assert quick.blocks == whole.blocks[:QUICK_BLOCKS]
    assert quick.conditions == whole.conditions
    assert quick.how == quick.how_others == whole.how_others  # minutes: what decides, and no more


def test_designs_are_those_of_the_protocol() -> None:
    stated = json.loads(PROTOCOL.read_text(encoding="utf-8"))["protocol"]
    assert set(stated["designs"]) == set(OURS) == {design.name for design in PROFILES["cpu"]}
    for name, found in stated["designs"].items():
        design = DESIGNS[name]
        assert found["blocks"] == [list(block) for block in design.blocks]
        assert found["conditions"] == {n: config.run_id for n, config in design.conditions.items()}
        assert found["measure"] == json.loads(json.dumps(asdict(design.how)))
        assert found["measure_others"] == json.loads(json.dumps(asdict(design.how_others)))
    assert stated["pilot_seeds"] == list(PILOT_SEEDS)


def moved(seed: int) -> Any:
    """The digits' first block begins with this seed."""

    def change(designs: dict[str, Design]) -> dict[str, Design]:
        first, *others = designs["digits"].blocks
        return designs | {"digits": replace(designs["digits"], blocks=((seed, *first[1:]), *others))}

    return change


@law(
    Mutation("a seed of the pilot", "sharpdiv.empirical.runs.profiles.DESIGNS", moved(PILOT_SEEDS[0])),
    Mutation("a seed of the paper", "sharpdiv.empirical.runs.profiles.DESIGNS", moved(13)),
    Mutation("a seed in two blocks", "sharpdiv.empirical.runs.profiles.DESIGNS", moved(1007)),
)
def test_seeds_that_decide_are_new_and_in_one_block_each() -> None:
    """The paper's designs have the paper's seeds; no other has one that anything here was ever decided by."""
    assert not EARLIER & set(PILOT_SEEDS)
    for name, design in profiles.DESIGNS.items():
        seeds = list(chain.from_iterable(design.blocks))
        assert len(set(seeds)) == len(seeds) == 3 * len(design.blocks)
        assert not set(seeds) & set(PILOT_SEEDS)
        assert set(seeds) == EARLIER if name in PAPER else not set(seeds) & EARLIER


@pytest.mark.parametrize("name", DESIGNS)
def test_the_conditions_of_a_block_have_its_seeds(name: str) -> None:
    design = DESIGNS[name]
    for block in design.blocks:
        assert {run.seeds for run in design.runs(block).values()} == {block}
    assert {config.seeds for config in design.conditions.values()} == {design.blocks[0]}
    assert len(design.all_runs) == len(set(design.all_runs)) == len(design.blocks) * len(design.conditions)


@pytest.mark.parametrize("name", DESIGNS)
def test_conditions_differ_in_what_their_names_say(name: str) -> None:
    """One data set, one split and one network but for width and sparsity; every first phase is another condition's."""
    design = DESIGNS[name]
    conditions = design.conditions
    assert set(conditions) <= set(LABELS)
    assert set(MEASURED_IN_FULL) <= set(conditions)
    assert all(
        design.measurement(n) == (design.how if n in MEASURED_IN_FULL else design.how_others) for n in conditions
    )
    shared = (
        *("data", "train_samples", "validation_samples", "split_seed", "augment", "batch_size", "schedule", "blocks"),
        *("learning_rate", "momentum", "weight_decay", "stem_stride", "adaptive", "m", "precision", "compile"),
    )
    for field in shared:
        assert len({getattr(config, field) for config in conditions.values()}) == 1, field
    assert {n for n, config in conditions.items() if config.epochs != conditions["sgd"].epochs} == {"sgd-short"}
    assert {n for n, c in conditions.items() if c.width != conditions["sgd"].width} <= {"narrow-sgd", "narrow-sam"}
    assert {n for n, c in conditions.items() if c.sparsity} <= {"sparse-sgd", "sparse-sam"}
    half = conditions["sgd"].epochs // 2
    for n in ("sharpbalance-low", "sharpbalance-mid", "sharpbalance-high", "shuffled", "late-sam"):
        assert (conditions[n].start, conditions[n].switch) == (conditions["sgd"], half)
    for n in ("code", "code-random"):  # the authors exchange at the start of epoch T_d + 1, counted from 0
        assert (conditions[n].start, conditions[n].switch) == (conditions["sam-mid"], half + 1)
    middle = {conditions[n].rho for n in ("sam-mid", "sharpbalance-mid", "shuffled", "late-sam", "code", "code-random")}
    low, high = (conditions[f"sam-{place}"].rho for place in ("low", "high"))
    assert len(middle) == 1
    assert low < middle.pop() < high
    assert [conditions[f"sharpbalance-{place}"].rho for place in ("low", "high")] == [low, high]
    rules = {n: conditions[n].rule for n in ("sharpbalance-mid", "shuffled", "late-sam", "code-random", "code")}
    boosted = design.data in {"cifar10", "cifar10-jpeg"}
    assert list(rules.values()) == ["paper", "shuffled", "all", "random", "code-boost" if boosted else "code"]


def made_up(name: str) -> RawImages:
    """As many images as the data set has, of one pixel and sorted by class, as some files are."""
    extent = DATASETS[name].extent
    train, test = (
        torch.arange(extent.classes).repeat_interleave(n // extent.classes) for n in (extent.train, extent.test)
    )
    pixels = [labels.to(torch.uint8)[:, None, None, None].expand(-1, extent.channels, 1, 1) for labels in (train, test)]
    return RawImages(pixels[0], train, pixels[1], test, extent.classes, "made up")


def prefixes(how: MeasureConfig) -> set[tuple[str, int]]:
    """First images that a measurement takes, and of which set."""
    test = {("test", n) for n in (how.corrupted_samples, how.stored_samples, how.feature_samples)}
    return test | {("train", how.sharpness_samples)}


def off(labels: torch.Tensor, first: int, classes: int) -> float:
    """How far the first images' counts are from the classes' shares of all of them."""
    share = torch.bincount(labels, minlength=classes).double() / len(labels)
    found = torch.bincount(labels[:first], minlength=classes)
    return float((found - min(first, len(labels)) * share).abs().max())


@law(
    Mutation(
        "as the files are sorted",
        "sharpdiv.empirical.data.splits.stratified_order",
        lambda _: lambda y: torch.arange(len(y)),
    ),
    Mutation(
        "at random",
        "sharpdiv.empirical.data.splits.stratified_order",
        lambda _: lambda y: torch.randperm(len(y), generator=torch.Generator().manual_seed(0)),
    ),
)
def test_the_first_images_that_a_design_takes_are_of_all_classes_alike() -> None:
    """Within one image of each class's share, which is the same for all classes of a test set as published."""
    for design in DESIGNS.values():
        for kind, first, classes, labels in taken(design):
            assert off(labels, first, classes) <= 1, (design.name, kind, first)
            if kind == "test" and design.data != "digits":
                counts = torch.bincount(labels[:first], minlength=classes)
                assert set(counts.tolist()) <= {first // classes, -(-first // classes)}, (design.name, first)


def taken(design: Design) -> list[tuple[str, int, int, torch.Tensor]]:
    """Kind, number and labels of every first part of a design's data."""
    config = design.conditions["sgd"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(data, "load_images", made_up)
        split = load_data(config.data, config.train_samples, config.validation_samples, config.split_seed)
    labels = {"test": split.test_labels, "train": split.train_labels}
    wanted = sorted(prefixes(design.how) | prefixes(design.how_others))
    return [(kind, first, split.classes, labels[kind]) for kind, first in wanted]
