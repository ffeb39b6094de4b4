"""Gradient scalers: every form of scaler.step is refused, step(closure, scaler=...) is the step without one."""

import inspect
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from sharpdiv.empirical.errors import InputError
from sharpdiv.empirical.optim.sam import SAM
from sharpdiv.empirical.optim.sharpbalance import sharpbalance_step
from tests.empirical.networks import Mlp, batch, mlp, state
from tests.laws import Mutation, law

Scaler = torch.amp.GradScaler


def setting(base: Any = torch.optim.SGD, **options: Any) -> tuple[Mlp, SAM]:
    model = mlp(0)
    return model, SAM(model.parameters(), base, model=model, **{"rho": 0.5, "lr": 0.1, **options})


def closure_of(
    model: nn.Module, optimizer: SAM, scaler: Scaler, seed: int, spoil: Callable[[int], float] = lambda _: 1.0
) -> Callable[[], Tensor]:
    inputs, targets = batch(seed)
    calls: list[int] = []

    def closure() -> Tensor:
        calls.append(1)
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(inputs), targets)
        scaler.scale(loss * spoil(len(calls))).backward()
        return loss

    closure.calls = calls  # type: ignore[attr-defined]
    return closure


@pytest.mark.parametrize("stale", [True, False])
@pytest.mark.parametrize("unscaled", [True, False])
@pytest.mark.parametrize("form", ["alone", "positional", "by keyword"])
def test_every_form_of_scaler_step_is_refused(form: str, stale: bool, unscaled: bool) -> None:
    model, optimizer = setting()
    scaler = Scaler("cpu")
    closure = closure_of(model, optimizer, scaler, 0)
    before = [p.detach().clone() for p in model.parameters()]
    if stale:
        closure()
    scaler.scale(torch.ones(()))
    if unscaled:
        scaler.unscale_(optimizer)
    steps: dict[str, Callable[[], object]] = {
        "alone": lambda: scaler.step(optimizer),
        "positional": lambda: scaler.step(optimizer, closure),
        "by keyword": lambda: scaler.step(optimizer, closure=closure),  # PyTorch's own refusal
    }
    error = (RuntimeError, "not currently supported") if form == "by keyword" else (InputError, "scaler=scaler")
    with pytest.raises(error[0], match=error[1]):
        steps[form]()
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))
    optimizer.step(
        closure_of(model, optimizer, Scaler("cpu", enabled=False), 0)
    )  # what was refused leaves nothing behind


def test_a_disabled_scaler_is_no_scaler() -> None:
    found = []
    for form in ("scaler.step", "scaler=", "none"):
        model, optimizer = setting()
        scaler = Scaler("cpu", enabled=False)
        closure = closure_of(model, optimizer, scaler, 0)
        if form == "scaler.step":
            scaler.step(optimizer, closure)
        elif form == "scaler=":
            optimizer.step(closure, scaler=scaler)
        else:
            optimizer.step(closure)
        found.append(state(model))
    assert all(torch.equal(a, b) and torch.equal(b, c) for a, b, c in zip(*found, strict=True))


@law(
    Mutation(
        "the ascent before unscaling, un-normalized",
        "torch.amp.GradScaler.unscale_",
        lambda f: lambda self, optimizer: None if isinstance(optimizer, SAM) else f(self, optimizer),
    ),
    Mutation(
        "the descent as it is scaled",
        "sharpdiv.empirical.optim.sam.SAM.descend",
        lambda f: lambda self, scaler=None: f(self),
    ),
)
def test_a_scaled_step_is_the_plain_one() -> None:
    """The scale is a power of 2: to the bit, as nothing overflows or underflows in float32."""
    for base, options in (
        (torch.optim.SGD, {"momentum": 0.9}),
        (torch.optim.SGD, {"clip_norm": 0.1}),
        (torch.optim.SGD, {"normalize": False}),
        (torch.optim.SGD, {"rho": 0.0, "clip_norm": 0.1}),
        (torch.optim.Adam, {"fused": True}),
    ):
        found = []
        for enabled in (True, False):
            model, optimizer = setting(base, **options)
            scaler = Scaler("cpu", enabled=enabled)
            for seed in range(3):
                optimizer.step(closure_of(model, optimizer, scaler, seed), scaler=scaler)
                scaler.update()
            found.append(state(model))
        assert all(torch.equal(a, b) for a, b in zip(*found, strict=True)), options


@pytest.mark.parametrize(("spoiled", "passes"), [(1, 1), (2, 2)])
@pytest.mark.parametrize("factor", [float("inf"), float("nan")])
@pytest.mark.parametrize("clip_norm", [None, 1.0])
def test_gradients_that_are_not_finite_skip_the_step(
    spoiled: int, passes: int, factor: float, clip_norm: float | None
) -> None:
    model, optimizer = setting(clip_norm=clip_norm)
    before = [p.detach().clone() for p in model.parameters()]
    scaler = Scaler("cpu")
    closure: Any = closure_of(model, optimizer, scaler, 0, lambda call: factor if call == spoiled else 1.0)
    optimizer.step(closure, scaler=scaler)
    scaler.update()
    assert scaler.get_scale() == 2.0**15  # from 2^16
    assert len(closure.calls) == passes
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))
    assert int(model.norm.num_batches_tracked or 0) == 1
    optimizer.step(closure_of(model, optimizer, scaler, 0), scaler=scaler)
    scaler.update()
    assert not torch.equal(before[0], model.first.weight)


def test_float16_trains_with_a_scaler() -> None:
    """Half precision in the passes: near the float32 step, where 11 bits carry a gradient."""
    found = []
    inputs, targets = batch(0)
    for half in (True, False):
        model, optimizer = setting(lr=1.0)
        scaler = Scaler("cpu", init_scale=2.0**10)

        def closure(model: Mlp = model, half: bool = half, optimizer: SAM = optimizer, scaler: Scaler = scaler) -> None:
            optimizer.zero_grad()
            with torch.autocast("cpu", torch.float16, enabled=half):
                loss = nn.functional.cross_entropy(model(inputs), targets)
            scaler.scale(loss).backward()

        optimizer.step(closure, scaler=scaler)
        scaler.update()
        assert scaler.get_scale() == 2.0**10
        found.append(torch.cat([p.detach().flatten() for p in model.parameters()]))
    start = torch.cat([p.detach().flatten() for p in mlp(0).parameters()])
    # Errors of some 2^-11 of the step at each of a handful of operations.
    assert float((found[0] - found[1]).norm()) < 0.02 * float((found[1] - start).norm())


def test_sharpbalance_refuses_float16() -> None:
    model, optimizer = setting()
    with pytest.raises(InputError, match="bfloat16"):
        sharpbalance_step(model, optimizer, *batch(0), torch.arange(12) < 6, autocast=torch.float16)


def test_the_scaler_does_not_take_the_step_for_one_that_takes_a_scaler() -> None:
    assert "grad_scaler" not in inspect.signature(SAM.step).parameters  # PyTorch would pass itself, with a warning
