"""Loops of other hands: two steps in place of a closure, closures of every habit, micro-batches, nothing to do."""

import copy
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import pytest
import torch
from hypothesis import strategies as st
from torch import Tensor, nn

from sharpdiv.empirical.errors import InputError
from sharpdiv.empirical.optim.sam import SAM
from tests.empirical.networks import Mlp, batch, mlp, state
from tests.laws import Mutation, law

OPTIONS: dict[str, Any] = {"lr": 0.1, "momentum": 0.9}


def pair(seed: int = 0, **options: Any) -> tuple[Mlp, SAM]:
    model = mlp(seed)
    return model, SAM(model.parameters(), torch.optim.SGD, 0.5, model=model, **{**OPTIONS, **options})


def loss_of(model: nn.Module, seed: int, part: slice = slice(None)) -> Tensor:
    inputs, targets = batch(seed)
    return nn.functional.cross_entropy(model(inputs[part]), targets[part])


def closure_of(model: nn.Module, optimizer: SAM, seed: int, zero: bool | None = True) -> Callable[[], Tensor]:
    def closure() -> Tensor:
        if zero is not None:
            optimizer.zero_grad(set_to_none=zero)
        loss = loss_of(model, seed)
        loss.backward()
        return loss

    return closure


def expected(steps: int = 2) -> list[Tensor]:
    model, optimizer = pair()
    for seed in range(steps):
        optimizer.step(closure_of(model, optimizer, seed))
    return state(model)


def same(model: nn.Module, values: list[Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(state(model), values, strict=True))


@law(
    Mutation(
        "no second pass",
        "sharpdiv.empirical.optim.sam.ascent",
        lambda f: lambda groups, normalize: ([], []) if len(groups[0]["params"]) else f(groups, normalize),
    ),
    Mutation(
        "nothing frozen", "sharpdiv.empirical.optim.sam.frozen_running_statistics", lambda _: lambda m: nullcontext()
    ),
    examples=5,
    seed=st.integers(0, 100),
)
def test_two_steps_are_sam_written_out(seed: int) -> None:
    """By deep copies and plain tensors."""
    model, optimizer = pair(seed)
    reference = copy.deepcopy(model)
    loss_of(model, seed).backward()
    optimizer.first_step(zero_grad=True)
    loss_of(model, seed).backward()
    optimizer.second_step(zero_grad=True)
    assert all(p.grad is None for p in model.parameters())
    gradients = torch.autograd.grad(loss_of(reference, seed), list(reference.parameters()))
    ahead = copy.deepcopy(reference)
    norm = torch.cat([g.flatten() for g in gradients]).norm()
    with torch.no_grad():
        for p, g in zip(ahead.parameters(), gradients, strict=True):
            p.add_(0.5 * g / norm)
    descent = torch.autograd.grad(loss_of(ahead, seed), list(ahead.parameters()))
    for ours, before, g in zip(model.parameters(), reference.parameters(), descent, strict=True):
        # float32 sums of order 1, and the norm by another order of sums
        assert ours.detach().numpy() == pytest.approx((before - 0.1 * g).detach().numpy(), abs=2e-6)
    assert all(torch.equal(a, b) for a, b in zip(model.buffers(), reference.buffers(), strict=True))


@pytest.mark.parametrize("habit", ["by the steps", "by the optimizer", "by the model", "in place"])
def test_two_steps_are_one_step_to_the_bit(habit: str) -> None:
    """By every way to zero the gradients in between."""
    model, optimizer = pair()
    for seed in range(2):
        loss_of(model, seed).backward()
        optimizer.first_step(zero_grad=habit == "by the steps")
        between: dict[str, Callable[[], None]] = {
            "by the steps": lambda: None,
            "by the optimizer": optimizer.zero_grad,
            "by the model": model.zero_grad,
            "in place": lambda: optimizer.zero_grad(set_to_none=False),
        }
        between[habit]()
        loss_of(model, seed).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1e6)  # as loops do
        optimizer.second_step()
        optimizer.zero_grad()
    assert same(model, expected())


def test_a_second_pass_on_top_of_the_first_is_refused() -> None:
    model, optimizer = pair()
    before = state(model)[:2]
    loss_of(model, 0).backward()
    optimizer.first_step()
    with pytest.raises(InputError, match=r"first_step\(zero_grad=True\)"):
        loss_of(model, 0).backward()
    with pytest.raises(InputError, match="no backward pass ran"):
        optimizer.second_step()
    assert all(torch.equal(a, b) for a, b in zip(before, state(model), strict=False))


def test_steps_in_the_wrong_order_are_refused() -> None:
    model, optimizer = pair()
    with pytest.raises(InputError, match="needs a first_step"):
        optimizer.second_step()
    loss_of(model, 0).backward()
    before = [p.detach().clone() for p in model.parameters()]
    optimizer.first_step(zero_grad=True)
    for wrong in (optimizer.first_step, lambda: optimizer.step(closure_of(model, optimizer, 0))):
        with pytest.raises(InputError, match="between first_step and second_step"):
            wrong()
    with pytest.raises(InputError, match="copying the optimizer"):
        copy.deepcopy(optimizer)
    optimizer.second_step()  # no pass, no gradient: restored, and nothing else
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))


@pytest.mark.parametrize("zero", [True, False, None])
def test_closures_may_zero_or_not(zero: bool | None) -> None:
    model, optimizer = pair()
    for seed in range(2):
        optimizer.zero_grad(set_to_none=False)  # zeros are stored: they may be added to
        optimizer.step(closure_of(model, optimizer, seed, zero))
    assert same(model, expected())


def test_gradients_from_before_the_step_are_refused() -> None:
    """Lightning with two batches a step, and loops that call backward before step."""
    model, optimizer = pair()
    before = state(model)[:2]
    loss_of(model, 1).backward()
    with pytest.raises(InputError, match="micro-batches belong into one closure"):
        optimizer.step(closure_of(model, optimizer, 0, None))
    assert all(torch.equal(a, b) for a, b in zip(before, state(model), strict=False))
    optimizer.step(closure_of(model, optimizer, 0))  # one that zeroes them may come


@pytest.mark.parametrize("result", [None, 1.5, "a tensor"])
@pytest.mark.parametrize("no_grad", [True, False])
def test_closures_may_return_what_they_like(result: Any, no_grad: bool) -> None:
    model, optimizer = pair()
    found = []
    for seed in range(2):

        def closure(seed: int = seed) -> Any:
            loss = closure_of(model, optimizer, seed)()
            return loss if result == "a tensor" else result

        with torch.no_grad() if no_grad else nullcontext():
            found.append(optimizer.step(closure))
    assert same(model, expected())
    assert found == [result] * 2 or all(isinstance(value, Tensor) for value in found)


def test_two_steps_under_autocast_see_the_perturbed_weights() -> None:
    inputs, targets = batch(0)
    results = []
    for two_steps in (True, False):
        model, optimizer = pair()

        def closure(model: nn.Module = model, optimizer: SAM = optimizer) -> Tensor:
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(model(inputs), targets)
            loss.backward()
            return loss

        with torch.autocast("cpu", torch.bfloat16):  # around the whole step: its copies of the weights live on
            if two_steps:
                closure()
                optimizer.first_step()
                closure()
                optimizer.second_step()
            else:
                optimizer.step(closure)
        results.append(state(model))
    plain, base = pair()
    base.param_groups[0]["rho"] = 0.0
    with torch.autocast("cpu", torch.bfloat16):
        base.step(lambda: closure(plain, base))
    assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))
    assert not torch.equal(results[0][0], plain.first.weight)


class Plain(nn.Module):
    """Two layers without a norm, whose micro-batches add up to the batch."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.layers = nn.Sequential(nn.Linear(5, 7), nn.Tanh(), nn.Linear(7, 3)).double()

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x.double())


@law(
    Mutation(
        "the second pass on top of the first",
        "sharpdiv.empirical.optim.sam.SAM.zero_grad",
        lambda f: lambda s, set_to_none=True: None,
    ),
    examples=5,
    seed=st.integers(0, 100),
    pieces=st.sampled_from([2, 3, 4]),
)
def test_micro_batches_in_one_closure_are_the_whole_batch(seed: int, pieces: int) -> None:
    results = []
    for count in (1, pieces):
        model = Plain(seed)
        optimizer = SAM(model.parameters(), torch.optim.SGD, 0.5, **OPTIONS)

        def closure(model: Plain = model, count: int = count) -> float:
            total = 0.0
            if count == 1:  # the reference zeroes by itself
                model.zero_grad()
            for start in range(0, 12, 12 // count):
                loss = loss_of(model, seed, slice(start, start + 12 // count)) / count
                loss.backward()
                total += float(loss.detach())
            return total

        losses = []
        for _ in range(3):
            for p in model.parameters():
                p.grad = None
            losses.append(optimizer.step(closure))
        results.append([*(p.detach() for p in model.parameters()), torch.tensor(losses)])
    for whole, parts in zip(*results, strict=True):
        assert parts.numpy() == pytest.approx(whole.numpy(), rel=1e-6, abs=1e-12)


@pytest.mark.parametrize("options", [{}, {"clip_norm": 1.0}, {"adaptive": True}, {"normalize": False}])
def test_without_gradients_nothing_happens(options: dict[str, Any]) -> None:
    model, optimizer = pair(**options)
    before, calls = state(model), []
    optimizer.step(lambda: calls.append(1))
    optimizer.first_step()
    optimizer.second_step()
    assert same(model, before)
    assert calls == [1]
    with pytest.raises(InputError, match="closure"):
        optimizer.step()


def test_the_model_must_be_the_one_that_is_trained() -> None:
    with pytest.raises(InputError, match="none of the optimizer's parameters"):
        SAM(mlp(0).parameters(), torch.optim.SGD, 0.1, model=mlp(0), lr=0.1)
