"""Whatever a forward pass advances advances once a step, and is put back to the bit."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations

from sharpdiv.empirical.optim import running
from sharpdiv.empirical.optim.running import frozen_running_statistics
from sharpdiv.empirical.optim.sam import SAM
from sharpdiv.empirical.optim.sharpbalance import sharpbalance_step
from tests.empirical.networks import batch
from tests.laws import Mutation, law


class OwnStatistics(nn.Module):
    """A layer with running buffers of its own: one changed in place, one replaced, a counter, and a constant."""

    largest: Tensor
    norm: Tensor
    calls: Tensor
    mask: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("largest", torch.zeros(5))
        self.register_buffer("norm", torch.zeros(()), persistent=False)
        self.register_buffer("calls", torch.zeros((), dtype=torch.int64))
        self.register_buffer("mask", torch.tensor([1.0, 0.0, 1.0, 1.0, 1.0]))

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            with torch.no_grad():
                self.largest.mul_(0.9).add_(0.1 * x.amax(dim=0))
                self.norm = 0.9 * self.norm + 0.1 * x.norm()
                self.calls += 1
        return x * self.mask


class Raw(nn.Module):
    """Statistics under names of its own, written by PyTorch's kernel, which does not count that."""

    centre: Tensor
    spread: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("centre", torch.zeros(5))
        self.register_buffer("spread", torch.ones(5))

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.batch_norm(x, self.centre, self.spread, training=self.training)


LAYERS: dict[str, Callable[[], nn.Module]] = {
    "batch norm": lambda: nn.BatchNorm1d(5),
    "instance norm": lambda: nn.Sequential(
        nn.Unflatten(1, (1, 5)), nn.InstanceNorm1d(1, track_running_stats=True), nn.Flatten()
    ),
    "spectral norm": lambda: nn.utils.spectral_norm(nn.Linear(5, 5)),
    "parametrized": lambda: parametrizations.spectral_norm(nn.Linear(5, 5)),
    "its own": OwnStatistics,
    "kernel's": Raw,
}


def network(kind: str) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(5, 5), LAYERS[kind](), nn.Linear(5, 3))


def named(model: nn.Module) -> dict[str, Tensor]:
    return {name: buffer.clone() for name, buffer in model.named_buffers()}


def equal(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return list(one) == list(other) and all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("kind", LAYERS)
def test_passes_inside_change_no_buffer(kind: str) -> None:
    model = network(kind)
    model(batch(1)[0])
    before, objects = named(model), list(model.buffers())
    context = frozen_running_statistics(model)
    for _ in range(2):  # one object, used again
        with context:
            model(batch(0)[0])
            with context:  # and inside itself
                model(batch(2)[0])
            assert not equal(named(model), before)
        assert equal(named(model), before)
        assert all(a is b for a, b in zip(objects, model.buffers(), strict=True))


@pytest.mark.parametrize("kind", LAYERS)
def test_buffers_come_back_after_an_exception(kind: str) -> None:
    model = network(kind)
    before = named(model)

    def fail() -> None:
        with frozen_running_statistics(model):
            model(batch(0)[0])
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        fail()
    assert equal(named(model), before)


def test_a_graph_from_inside_can_be_used_outside() -> None:
    """Constants that it keeps for its backward pass are not taken for changed."""
    model = network("its own").eval()
    with frozen_running_statistics(model):
        loss = model(batch(0)[0]).sum()
    loss.backward()
    weight = model[0].weight
    assert weight.grad is not None


def step_of(way: str, model: nn.Module, optimizer: SAM, seed: int) -> None:
    inputs, targets = batch(seed)

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(inputs), targets)
        loss.backward()
        return loss

    if way == "step":
        optimizer.step(closure)
    elif way == "two steps":
        closure()
        optimizer.first_step(zero_grad=True)
        closure()
        optimizer.second_step()
    else:
        sharpbalance_step(model, optimizer, inputs, targets, torch.ones(12, dtype=torch.bool))


def advances_once(kind: str, way: str) -> None:
    model, reference = network(kind), network(kind)
    optimizer = SAM(model.parameters(), torch.optim.SGD, 0.5, lr=0.1, model=model)
    reference(batch(0)[0])
    step_of(way, model, optimizer, 0)
    assert equal(named(model), named(reference))


@pytest.mark.parametrize("way", ["step", "two steps", "sharpbalance"])
@pytest.mark.parametrize("kind", LAYERS)
def test_a_step_advances_them_once(kind: str, way: str) -> None:
    advances_once(kind, way)


@law(
    Mutation(
        "norms only",
        "sharpdiv.empirical.optim.sam.frozen_running_statistics",
        lambda f: lambda model: f(nn.ModuleList(m for m in model.modules() if isinstance(m, nn.BatchNorm1d))),
    ),
    Mutation(
        "what PyTorch counts only",
        "sharpdiv.empirical.optim.running._Slot.restore",
        lambda f: lambda slot: f(slot) if slot.buffer._version != slot.version else None,
    ),
)
def test_every_layer_advances_once() -> None:
    for kind in LAYERS:
        advances_once(kind, "step")


@law(
    Mutation("first weights for all", "sharpdiv.empirical.optim.running._mix", lambda _: lambda mean, b, share: b),
    Mutation("a name forgotten", "sharpdiv.empirical.optim.running._BY_SHARE", lambda _: ("running_mean",)),
    Mutation("parts one after the other", "sharpdiv.empirical.optim.running.Buffers.restore", lambda _: lambda s: None),
)
def test_parts_of_a_batch_are_mixed_by_what_they_are() -> None:
    """5 of 12 samples are aware. Means by shares; vectors, counters and a layer's own as after the last part alone."""
    aware = torch.arange(12) < 5
    inputs, targets = batch(0)
    for kind in LAYERS:
        model = network(kind)
        optimizer = SAM(model.parameters(), torch.optim.SGD, 0.5, lr=0.1)
        sharpbalance_step(model, optimizer, inputs, targets, aware)
        parts = []
        for mask in (aware, ~aware):
            alone = network(kind)
            alone(inputs[mask])
            parts.append(named(alone))
        for name, ours in named(model).items():
            by_share = name.rpartition(".")[2] in {"running_mean", "running_var"}
            theirs = (5 * parts[0][name] + 7 * parts[1][name]) / 12 if by_share else parts[1][name]
            assert torch.allclose(ours, theirs, rtol=1e-6, atol=1e-7), (kind, name)  # float32, sums of two


def test_lists_of_buffers_are_taken_when_it_is_entered() -> None:
    """A module that joins between making the context and using it is frozen, too."""
    model: Any = nn.Sequential(nn.Linear(5, 5))
    context = frozen_running_statistics(model)
    model.append(nn.BatchNorm1d(5))
    with context:
        model(batch(0)[0])
    assert not model[1].running_mean.any()
    assert running.Buffers(nn.Linear(1, 1))._slots == []
