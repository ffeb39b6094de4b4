"""Stacked members take the steps that they would take alone, in far fewer operations."""

from typing import Any

import pytest
import torch
from hypothesis import strategies as st
from torch import nn

from sharpdiv.empirical.errors import InputError
from sharpdiv.empirical.models import ResNet
from sharpdiv.empirical.optim.sam import SAM
from sharpdiv.empirical.optim.sharpbalance import sharpbalance_step
from sharpdiv.empirical.optim.stacked import Stack
from sharpdiv.empirical.runs.gpu_time import _Operations
from tests.laws import Mutation, law

RADII = (0.0, 0.05, 0.2)


def members(
    seed: int, radii: tuple[float, ...] = RADII, sparsity: float = 0.0, **options: Any
) -> tuple[list[nn.Module], list[SAM]]:
    """Small residual networks in float64 with batch norm, and their optimizers."""
    options = {"lr": 0.1, "momentum": 0.9, "weight_decay": 5e-3, **options}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        models: list[nn.Module] = [ResNet(2, (1, 1), 1, classes=3, sparsity=sparsity).double() for _ in radii]
    for model in models:
        model.to(memory_format=torch.channels_last).train()  # type: ignore[call-overload]  # the stub lacks it
    return models, [SAM(m.parameters(), torch.optim.SGD, r, **options) for m, r in zip(models, radii, strict=True)]


def batches(seed: int, count: int, radii: tuple[float, ...] = RADII) -> list[tuple[torch.Tensor, torch.Tensor]]:
    generator = torch.Generator().manual_seed(seed)
    shape = (len(radii), 6)
    return [
        (
            torch.randn(*shape, 1, 8, 8, generator=generator, dtype=torch.float64),
            torch.randint(3, shape, generator=generator),
        )
        for _ in range(count)
    ]


def alone(models: list[nn.Module], optimizers: list[SAM], images: torch.Tensor, labels: torch.Tensor, lr: float) -> Any:
    losses = []
    for model, optimizer, x, y in zip(models, optimizers, images, labels, strict=True):
        optimizer.param_groups[0]["lr"] = lr
        losses.append(sharpbalance_step(model, optimizer, x, y, torch.full((6,), optimizer.rho > 0)))
    return torch.stack(losses)


def state(models: list[nn.Module], optimizers: list[SAM]) -> list[torch.Tensor]:
    momenta = [o.state[p]["momentum_buffer"] for o in optimizers for p in o.param_groups[0]["params"] if o.state[p]]
    return [value.double() for model in models for value in model.state_dict().values()] + momenta


@law(
    Mutation(
        "the ascent of all members together",
        "sharpdiv.empirical.optim.stacked.Stack._ascended",
        lambda f: lambda self, g: {n: w + 0.1 * g[n] for n, w in self._weights.items()},
    ),
    Mutation(
        "no second pass",
        "sharpdiv.empirical.optim.stacked.Stack._ascended",
        lambda _: lambda self, g: dict(self._weights),
    ),
    Mutation(
        "an ascent that is not adaptive",
        "sharpdiv.empirical.optim.stacked.Stack._ascended",
        lambda f: lambda self, g: f(_without(self), g),
    ),
    examples=8,
    seed=st.integers(0, 1000),
    adaptive=st.booleans(),
    momentum=st.sampled_from([0.0, 0.9]),
    decay=st.sampled_from([0.0, 5e-3]),
    sparsity=st.sampled_from([0.0, 0.5]),
)
def test_stacked_steps_are_those_of_members_alone(
    seed: int, adaptive: bool, momentum: float, decay: float, sparsity: float
) -> None:
    """Weights, running statistics, counters, momentum and losses after three steps at three rates, in float64 to rounding."""
    options: dict[str, Any] = {"adaptive": adaptive, "momentum": momentum, "weight_decay": decay, "sparsity": sparsity}
    apart, together = members(seed, **options), members(seed, **options)
    stack = Stack(*together)
    for (images, labels), lr in zip(batches(seed, 3), (0.1, 0.05, 0.02), strict=True):
        expected = alone(*apart, images, labels, lr)
        found = stack.step(images, labels, lr)
        assert torch.allclose(found, expected, rtol=1e-9)
    stack.unstack()
    # Sums of some hundred terms in another order, through three steps: relative to the largest number of a tensor.
    for a, b in zip(state(*apart), state(*together), strict=True):
        assert float((a - b).abs().max()) <= 1e-10 * (1 + float(a.abs().max()))


def _without(stack: Stack) -> Stack:
    stack.options = {**stack.options, "adaptive": False}
    return stack


def test_a_stack_goes_on_from_what_was_written_back() -> None:
    """Unstacked and stacked again in the middle, to the bit."""
    once, again = members(1), members(1)
    whole = Stack(*once)
    for images, labels in batches(1, 2):
        whole.step(images, labels, 0.1)
    whole.unstack()
    for images, labels in batches(1, 2):
        part = Stack(*again)
        part.step(images, labels, 0.1)
        part.unstack()
    assert all(torch.equal(a, b) for a, b in zip(state(*once), state(*again), strict=True))


def operations(radii: tuple[float, ...]) -> int:
    stack = Stack(*members(0, radii))
    (images, labels), *_ = batches(0, 1, radii)
    stack.step(images, labels, 0.1)
    with _Operations() as watched:  # type: ignore[no-untyped-call]
        stack.step(images, labels, 0.1)
    return int(watched.count)


def test_operations_do_not_grow_with_members() -> None:
    """Twelve members take hardly more than three, and far fewer than twelve alone."""
    few, many = operations(RADII), operations(RADII * 4)
    (model, *_), (_, optimizer, *_) = members(0)
    images, labels = batches(0, 1)[0]
    optimizer = SAM(model.parameters(), torch.optim.SGD, 0.1, lr=0.1, momentum=0.9, weight_decay=5e-3)
    for _ in range(2):
        with _Operations() as one:  # type: ignore[no-untyped-call]
            sharpbalance_step(model, optimizer, images[0], labels[0], torch.ones(6, dtype=torch.bool))
    assert many <= 1.05 * few
    assert many < 0.5 * 12 * one.count


def test_without_an_ascent_there_is_no_second_pass() -> None:
    assert operations((0.0, 0.0)) < 0.6 * operations((0.0, 0.1))


def test_what_cannot_be_stacked_is_refused() -> None:
    with pytest.raises(InputError, match="at least one member"):
        Stack([], [])
    models, optimizers = members(0)
    other = SAM(models[0].parameters(), torch.optim.SGD, 0.1, lr=0.1, momentum=0.5, weight_decay=5e-3)
    with pytest.raises(InputError, match="differ in rho alone; these differ in momentum"):
        Stack(models, [other, *optimizers[1:]])
    clipping = SAM(models[0].parameters(), torch.optim.SGD, 0.1, lr=0.1, clip_norm=1.0)
    with pytest.raises(InputError, match="train others separately"):
        Stack(models[:1], [clipping])
    rising = SAM(models[0].parameters(), torch.optim.SGD, 0.1, lr=0.1, maximize=True)
    with pytest.raises(InputError, match="train others separately"):
        Stack(models[:1], [rising])
    some = SAM(list(models[0].parameters())[1:], torch.optim.SGD, 0.1, lr=0.1)
    with pytest.raises(InputError, match="trains all parameters of its members"):
        Stack(models[:1], [some])
    stack = Stack(models[:1], optimizers[:1])
    (images, labels), *_ = batches(0, 1)
    stack.step(images[:1], labels[:1], 0.1)
    stack.unstack()
    with pytest.raises(InputError, match="stack those of one epoch"):
        Stack(models, optimizers)
