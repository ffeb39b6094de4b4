"""First phases: what SharpBalance starts from, how it goes on, and the rate along the way; against loops written by hand."""

import math
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import strategies as st
from torch import nn

from sharpdiv.empirical.data.splits import ImageData, TrainingImages, digits
from sharpdiv.empirical.optim.running import frozen_running_statistics
from sharpdiv.empirical.runs import member as training
from sharpdiv.empirical.runs.config import RunConfig
from sharpdiv.empirical.runs.ensembles import train_runs
from sharpdiv.empirical.runs.folders import run_folder, trained_epochs, training_record
from sharpdiv.empirical.store import load_json, load_tensors
from tests.laws import Mutation, law

CPU = torch.device("cpu")
SAM = RunConfig(
    "sam",
    0.1,
    seeds=(1, 2),
    train_samples=40,
    width=8,
    blocks=(1, 1),
    epochs=5,
    batch_size=12,
    switch_epoch=3,
    augment="flip",
    schedule="one-cycle",
    weight_decay=5e-4,
)
FROM_SAM = replace(SAM, method="sharpbalance", first_phase="sam", rule="all")
LATE = replace(FROM_SAM, first_phase="sgd")
PAPER = replace(LATE, rule="paper")
Tensors = dict[str, torch.Tensor]


@pytest.fixture(scope="module", autouse=True)
def _folder(tmp_path_factory: pytest.TempPathFactory) -> None:
    global FOLDER
    FOLDER = tmp_path_factory.mktemp("starts")


FOLDER = Path()
NUMBERS = count()


def trained(*configs: RunConfig) -> Path:
    """A new folder with these runs trained, in this process."""
    root = FOLDER / str(next(NUMBERS))
    train_runs(configs, root, workers=1)
    return root


def stored(root: Path, config: RunConfig, seed: int, epoch: int | None = None) -> Tensors:
    """Weights, statistics, momentum and history of a member, at the end or after its first phase."""
    name = f"member-{seed}.safetensors" if epoch is None else f"member-{seed}-epoch{epoch}.safetensors"
    return load_tensors(run_folder(root, config) / name)[0]


def equal(first: Tensors, second: Tensors) -> bool:
    return set(first) == set(second) and all(torch.equal(first[name], second[name]) for name in first)


def half(mask: torch.Tensor) -> torch.Tensor:
    return mask & (torch.arange(mask.shape[-1]) % 2 == 0)


@pytest.mark.long
@pytest.mark.slow
@law(
    Mutation(
        "half of the samples in SAM", "sharpdiv.empirical.runs.ensembles.torch.full", lambda f: lambda *a: half(f(*a))
    ),
    Mutation("half of all", "sharpdiv.empirical.runs.ensembles.sharpness_aware_sets", lambda f: lambda *a: half(f(*a))),
    Mutation(
        "the plain start", "sharpdiv.empirical.runs.config.RunConfig.start", lambda _: property(lambda c: c.plain)
    ),
)
def test_sharpbalance_on_all_samples_from_sam_is_sam() -> None:
    """To the bit, momentum and history too: SAM alone and from scratch, SAM beside SharpBalance, and SharpBalance."""
    alone, both = trained(SAM), trained(FROM_SAM, SAM)
    assert sorted(path.name for path in run_folder(both, SAM).glob("*epoch*.safetensors")) == [
        f"member-{seed}-epoch3.safetensors" for seed in SAM.seeds
    ]
    assert not list(run_folder(alone, SAM).glob("*epoch*"))
    assert not list(run_folder(both, FROM_SAM).glob("*epoch*"))
    for seed in SAM.seeds:
        sam = stored(alone, SAM, seed)
        assert equal(stored(both, SAM, seed), sam)
        assert equal(stored(both, FROM_SAM, seed), sam)
        assert sam["history.sam_samples"].tolist() == [40] * 5
        first = stored(both, SAM, seed, 3)
        assert first["history.sam_samples"].tolist() == [40] * 3
        assert torch.equal(first["history.loss"], sam["history.loss"][:3])
        assert not torch.equal(first["model.head.weight"], sam["model.head.weight"])


@pytest.mark.slow
def test_only_what_starts_from_sam_has_its_first_phase_kept() -> None:
    root = trained(LATE)
    assert not run_folder(root, SAM).exists()
    assert len(list(run_folder(root, SAM.plain).glob("*epoch3.safetensors"))) == 2
    before = {p: p.stat().st_mtime_ns for p in run_folder(root, SAM.plain).glob("*.safetensors")}
    train_runs([FROM_SAM, PAPER], root, workers=1)
    assert {p: p.stat().st_mtime_ns for p in before} == before  # SGD's first phase is there once for all
    assert not list(run_folder(root, SAM).glob("member-?.safetensors"))
    assert [trained_epochs(root, config, 1) for config in (SAM, SAM.plain, FROM_SAM, PAPER)] == [3, 3, 5, 5]
    # SAM itself goes on from the phase that is kept, to the bits of one that was never interrupted.
    train_runs([SAM], root, workers=1)
    assert all(equal(stored(root, SAM, seed), stored(root, FROM_SAM, seed)) for seed in SAM.seeds)
    seconds = training_record(root, SAM, 1)["seconds"]
    parts = [load_json(run_folder(root, SAM) / f"member-1{part}.json")["seconds"] for part in ("", "-epoch3")]
    assert seconds == pytest.approx(sum(parts))


def rate(config: RunConfig, step: int, steps: int) -> float:
    """One cycle over ``steps`` steps, written out: up to the rate over the first 30%, down to almost nothing."""
    done = step / steps
    top = config.learning_rate
    if done <= 0.3:
        return top / 25 + (top - top / 25) * (1 - math.cos(math.pi * done / 0.3)) / 2
    end = top / 25e4
    return end + (top - end) * (1 + math.cos(math.pi * (done - 0.3) / 0.7)) / 2


def by_hand(config: RunConfig, data: ImageData, seed: int, sam_from: int) -> tuple[nn.Module, torch.optim.SGD]:
    """Steps of torch.optim.SGD at SGD's gradient, from an epoch on at SAM's; one-cycle rate, step by step."""
    model = training.new_member(config, data, seed, CPU).model.train()
    parameters = list(model.parameters())
    optimizer = torch.optim.SGD(parameters, lr=1.0, momentum=config.momentum, weight_decay=config.weight_decay)
    images = TrainingImages(data, CPU, config.augment)
    steps = 4  # 40 images in batches of 12
    for epoch in range(config.epochs):
        generator = torch.Generator().manual_seed(training.stream(seed, 1, epoch))
        order = torch.randperm(40, generator=generator)
        flips = images.draw(generator)
        for number, index in enumerate(order.split(12)):
            optimizer.param_groups[0]["lr"] = rate(config, epoch * steps + number, config.epochs * steps)
            x, y = images.batch(index, flips), data.train_labels[index]
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(x), y).backward()
            if epoch >= sam_from:
                ascend(model, config.rho, x, y)
            optimizer.step()
    return model, optimizer


def ascend(model: nn.Module, rho: float, x: torch.Tensor, y: torch.Tensor) -> None:
    """Replace the gradient by the one at a distance of rho uphill."""
    parameters = list(model.parameters())
    gradients = [p.grad.clone() for p in parameters if p.grad is not None]
    norm = torch.linalg.vector_norm(torch.stack([torch.linalg.vector_norm(g) for g in gradients]))
    before = [p.detach().clone() for p in parameters]
    with torch.no_grad():
        for p, g in zip(parameters, gradients, strict=True):
            p.add_(rho * (g / norm))
    model.zero_grad()
    with frozen_running_statistics(model):
        nn.functional.cross_entropy(model(x), y).backward()
    with torch.no_grad():
        for p, value in zip(parameters, before, strict=True):
            p.copy_(value)


def per_epoch(function: Any) -> Any:
    return lambda self, epoch: function(self, float(int(epoch)))


@pytest.mark.slow
@law(
    Mutation(
        "SAM from the beginning",
        "sharpdiv.empirical.runs.config.RunConfig.start",
        lambda f: property(lambda c: f.fget(FROM_SAM)),
    ),
    Mutation("a rate for each epoch", "sharpdiv.empirical.runs.config.RunConfig.learning_rate_at", per_epoch),
    Mutation("SAM on half", "sharpdiv.empirical.runs.ensembles.sharpness_aware_sets", lambda f: lambda *a: half(f(*a))),
    Mutation(
        "the momentum lost",
        "sharpdiv.empirical.runs.member.load_tensors",
        lambda f: lambda path: without_momentum(*f(path)),
    ),
)
def test_late_sam_is_plain_steps_and_then_sam_s() -> None:
    """To the bit: the same sums in the same order, and momentum goes over from one phase to the other."""
    root, data = trained(LATE), digits(40)
    for seed in LATE.seeds:
        found = stored(root, LATE, seed)
        model, optimizer = by_hand(LATE, data, seed, sam_from=3)
        for name, value in model.state_dict().items():
            assert torch.equal(found[f"model.{name}"], value), name
        for name, p in model.named_parameters():
            assert torch.equal(found[f"momentum.{name}"], optimizer.state[p]["momentum_buffer"]), name
        assert found["history.sam_samples"].tolist() == [0, 0, 0, 40, 40]


def without_momentum(tensors: Tensors, metadata: dict[str, str]) -> tuple[Tensors, dict[str, str]]:
    return {name: value for name, value in tensors.items() if "momentum." not in name}, metadata


@law(
    Mutation("a rate for each epoch", "sharpdiv.empirical.runs.config.RunConfig.learning_rate_at", per_epoch),
    Mutation(
        "one batch late",
        "sharpdiv.empirical.runs.config.RunConfig.learning_rate_at",
        lambda f: lambda self, epoch: f(self, epoch + 0.25),
    ),
    Mutation("half as steep", "sharpdiv.empirical.runs.config._WARM", lambda _: 0.6),
    examples=6,
    # 37 images in batches of 12: the last image alone joins the batch before.
    samples=st.sampled_from([36, 37, 40]),
    method=st.sampled_from(["sgd", "sam"]),
)
def test_the_one_cycle_rate_is_applied_at_every_step(samples: int, method: Any) -> None:
    """What the optimizer had when it stepped, against one cycle over all steps."""
    data, rho = digits(samples), 0.1 if method == "sam" else 0.0
    config = replace(SAM, method=method, rho=rho, train_samples=samples, blocks=(1,), width=2)
    member, rates = training.new_member(config, data, 1, CPU), []
    step = member.optimizer.base.step
    member.optimizer.base.step = lambda: rates.append(member.optimizer.param_groups[0]["lr"]) or step()  # type: ignore[method-assign,assignment,func-returns-value]
    training.train(member, config, data, 5, torch.full((samples,), method == "sam"))
    steps = 5 * (3 if samples < 40 else 4)
    assert rates == pytest.approx([rate(config, step, steps) for step in range(steps)], rel=1e-9)
    assert len(set(rates)) == steps


def test_a_step_schedule_has_one_rate_in_an_epoch() -> None:
    config, data = replace(SAM, schedule="step", blocks=(1,), width=2), digits(40)
    member, rates = training.new_member(config, data, 1, CPU), []
    step = member.optimizer.base.step
    member.optimizer.base.step = lambda: rates.append(member.optimizer.param_groups[0]["lr"]) or step()  # type: ignore[method-assign,assignment,func-returns-value]
    training.train(member, config, data, 5, torch.ones(40, dtype=torch.bool))
    assert rates == pytest.approx([0.1] * 4 * 3 + [0.01] * 4 + [0.001] * 4)
