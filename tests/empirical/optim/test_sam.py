"""Laws of SAM: what its users were bitten by, and trajectories worked by hand."""

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from hypothesis import strategies as st
from torch import Tensor, nn

from sharpdiv.empirical.errors import InputError
from sharpdiv.empirical.optim import running
from sharpdiv.empirical.optim.ascent import ascent
from sharpdiv.empirical.optim.running import frozen_running_statistics
from sharpdiv.empirical.optim.sam import SAM
from sharpdiv.empirical.optim.sharpbalance import sharpbalance_step
from tests.empirical.networks import batch, mlp, state
from tests.laws import Mutation, law

seeds = st.integers(0, 1000)
rhos = st.floats(1e-3, 1.0)


def closure_of(
    model: nn.Module, optimizer: torch.optim.Optimizer, inputs: Tensor, targets: Tensor
) -> Callable[[], Tensor]:
    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(inputs), targets)
        loss.backward()
        return loss

    return closure


@contextmanager
def no_freezing(_: nn.Module) -> Iterator[None]:
    yield


@contextmanager
def add_and_subtract(self: SAM) -> Iterator[None]:
    weights = [p for p in self.param_groups[0]["params"] if p.grad is not None]
    with torch.no_grad():
        steps = ascent(self.param_groups, self.normalize)[1]
        torch._foreach_add_(weights, steps)
    yield
    with torch.no_grad():
        torch._foreach_sub_(weights, steps)


@law(
    Mutation(
        "two base steps",
        "sharpdiv.empirical.optim.sam.SAM.step",
        lambda f: lambda s, c, second_pass=None: (f(s, c), s.base.step())[0],
    ),
    examples=10,
    seed=seeds,
    momentum=st.sampled_from([0.0, 0.9]),
)
def test_rho_zero_is_the_base_optimizer_to_the_bit(seed: int, momentum: float) -> None:
    plain = mlp(seed)
    wrapped = copy.deepcopy(plain)
    options: dict[str, Any] = {"lr": 0.1, "momentum": momentum, "weight_decay": 1e-2}
    base = torch.optim.SGD(plain.parameters(), **options)
    ours = SAM(wrapped.parameters(), torch.optim.SGD, 0.0, **options)
    for step in range(4):
        inputs, targets = batch(seed + step)
        closure_of(plain, base, inputs, targets)()
        base.step()
        ours.step(closure_of(wrapped, ours, inputs, targets))
    assert all(torch.equal(a, b) for a, b in zip(state(plain), state(wrapped), strict=True))


@law(
    Mutation(
        "norm of the first layer",
        "sharpdiv.empirical.optim.ascent.nn.utils.get_total_norm",
        lambda f: lambda g: f(g[:1]),
    ),
    Mutation(
        "rho squared",
        "sharpdiv.empirical.optim.sam.ascent",
        lambda f: lambda groups, n: (f(groups, n)[0], [groups[0]["rho"] * e for e in f(groups, n)[1]]),
    ),
    examples=20,
    seed=seeds,
    rho=rhos,
    adaptive=st.booleans(),
)
def test_the_perturbation_has_norm_rho(seed: int, rho: float, adaptive: bool) -> None:
    model = mlp(seed, torch.float64)
    optimizer = SAM(model.parameters(), torch.optim.SGD, rho, adaptive=adaptive, lr=0.1)
    inputs, targets = batch(seed)
    closure_of(model, optimizer, inputs.double(), targets)()
    before = [p.detach().clone() for p in model.parameters()]
    with optimizer.perturbed():
        moved = [(p - b).detach() for p, b in zip(model.parameters(), before, strict=True)]
    if adaptive:  # the ball is |e / w| <= rho; a weight of exactly 0 does not move
        moved = [torch.where(b == 0, e, e / b.abs()) for e, b in zip(moved, before, strict=True)]
    assert float(torch.cat([e.flatten() for e in moved]).norm()) == pytest.approx(rho, rel=1e-6)


@law(
    Mutation("adding and subtracting", "sharpdiv.empirical.optim.sam.SAM.perturbed", lambda _: add_and_subtract),
    examples=20,
    seed=seeds,
    rho=rhos,
)
def test_weights_are_restored_to_the_bit(seed: int, rho: float) -> None:
    model = mlp(seed)
    optimizer = SAM(model.parameters(), torch.optim.SGD, rho, lr=0.1)
    closure_of(model, optimizer, *batch(seed))()
    before = [p.detach().clone() for p in model.parameters()]
    with optimizer.perturbed():
        assert not torch.equal(before[0], next(model.parameters()))
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))


@law(
    Mutation("no freezing", "sharpdiv.empirical.optim.running.frozen_running_statistics", lambda _: no_freezing),
    examples=10,
    seed=seeds,
)
def test_running_statistics_advance_once_per_step(seed: int) -> None:
    model, reference = mlp(seed), mlp(seed)
    optimizer = SAM(model.parameters(), torch.optim.SGD, 0.5, lr=0.1)
    inputs, targets = batch(seed)
    optimizer.step(closure_of(model, optimizer, inputs, targets), running.frozen_running_statistics(model))
    reference(inputs)
    assert all(torch.equal(a, b) for a, b in zip(model.buffers(), reference.buffers(), strict=True))
    assert model.norm.momentum == 0.1


def test_statistics_come_back_after_an_exception() -> None:
    model = mlp(0)
    before = state(model)

    def fail_half_way() -> None:
        with frozen_running_statistics(model):
            model(batch(0)[0])
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        fail_half_way()
    assert all(torch.equal(a, b) for a, b in zip(before, state(model), strict=True))


def test_weights_come_back_after_an_exception() -> None:
    model = mlp(0)
    optimizer = SAM(model.parameters(), torch.optim.SGD, 0.5, lr=0.1)
    closure_of(model, optimizer, *batch(0))()
    before = [p.detach().clone() for p in model.parameters()]
    with pytest.raises(RuntimeError, match="stop"), optimizer.perturbed():
        raise RuntimeError("stop")
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))


@pytest.mark.parametrize("scale", [0.0, 1e-42, 1e-30])
def test_tiny_gradients_give_no_nan(scale: float) -> None:
    weight = nn.Parameter(torch.tensor([1.0, 2.0]))
    optimizer = SAM([weight], torch.optim.SGD, 0.1, lr=0.1)
    weight.grad = scale * torch.tensor([3.0, 4.0])
    with optimizer.perturbed():
        assert torch.isfinite(weight).all()


def quadratic(weight: Tensor, optimizer: SAM) -> Callable[[], Tensor]:
    """``f(w) = (w_1^2 + 4 w_2^2) / 2`` with gradient ``(w_1, 4 w_2)``."""

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = (weight[0] ** 2 + 4 * weight[1] ** 2) / 2
        loss.backward()
        return loss

    return closure


@law(
    Mutation(
        "descends at w",
        "sharpdiv.empirical.optim.sam.ascent",
        lambda f: lambda groups, n: (f(groups, n)[0], [0 * e for e in f(groups, n)[1]]),
    )
)
def test_two_steps_worked_by_hand() -> None:
    """From (3, 1): gradient (3, 4), unit (.6, .8), rho = 1: ahead (3.6, 1.8), gradient there (3.6, 7.2)."""
    weight = nn.Parameter(torch.tensor([3.0, 1.0], dtype=torch.float64))
    optimizer = SAM([weight], torch.optim.SGD, 1.0, lr=0.25)
    loss = optimizer.step(quadratic(weight, optimizer))
    assert float(loss.detach()) == 6.5
    assert weight.tolist() == pytest.approx([3 - 0.9, 1 - 1.8])
    # (2.1, -.8): gradient (2.1, -3.2), norm 3.8275; ahead moves by that unit vector.
    optimizer.step(quadratic(weight, optimizer))
    norm = (2.1**2 + 3.2**2) ** 0.5
    assert weight.tolist() == pytest.approx([2.1 - 0.25 * (2.1 + 2.1 / norm), -0.8 + 0.25 * 4 * (0.8 + 3.2 / norm)])


@law(
    Mutation(
        "normalized after all",
        "sharpdiv.empirical.optim.sam.SAM.__init__",
        lambda f: lambda s, *a, normalize=True, **k: f(s, *a, **k),
    )
)
def test_unnormalized_sam_is_the_theory_filter() -> None:
    """One step multiplies each eigendirection by ``1 - eta x (1 + rho x)``."""
    weight = nn.Parameter(torch.tensor([3.0, 1.0], dtype=torch.float64))
    optimizer = SAM([weight], torch.optim.SGD, 0.3, normalize=False, lr=0.1)
    optimizer.step(quadratic(weight, optimizer))
    assert weight.tolist() == pytest.approx([3 * (1 - 0.1 * 1 * 1.3), 1 - 0.1 * 4 * (1 + 0.3 * 4)])


def test_schedules_and_state_reach_the_base_optimizer() -> None:
    model = mlp(1)
    optimizer = SAM(model.parameters(), torch.optim.SGD, 0.1, lr=0.1, momentum=0.9)
    optimizer.step(closure_of(model, optimizer, *batch(1)))
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1, gamma=0.5)
    optimizer.step(closure_of(model, optimizer, *batch(1)))
    scheduler.step()
    assert optimizer.base.param_groups[0]["lr"] == pytest.approx(0.05)
    other = SAM(mlp(1).parameters(), torch.optim.SGD, 0.1, lr=0.1, momentum=0.9)
    other.load_state_dict(optimizer.state_dict())
    assert len(other.base.state) == len(optimizer.base.state) > 0


def test_parameters_without_gradient_stay() -> None:
    model = mlp(2)
    model.first.weight.requires_grad_(False)
    before = model.first.weight.clone()
    optimizer = SAM(model.parameters(), torch.optim.SGD, 0.1, lr=0.1)
    optimizer.step(closure_of(model, optimizer, *batch(2)))
    assert torch.equal(before, model.first.weight)


@pytest.mark.parametrize(
    "options", [{"rho": -0.1}, {"rho": float("nan")}, {"rho": 0.1, "adaptive": True, "normalize": False}]
)
def test_bad_options_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        SAM(mlp(0).parameters(), torch.optim.SGD, lr=0.1, **options)


@pytest.mark.parametrize("clip", [0.01, 1e6])
def test_the_descent_is_clipped_and_the_ascent_is_not(clip: float) -> None:
    inputs, targets = batch(0)
    moved = {}
    for limit in (None, clip):
        model = mlp(0)
        optimizer = SAM(model.parameters(), torch.optim.SGD, 0.3, clip_norm=limit, lr=1.0)

        def closure(model: nn.Module = model, optimizer: SAM = optimizer) -> torch.Tensor:
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(model(inputs), targets)
            loss.backward()
            return loss

        optimizer.step(closure)
        pairs = zip(model.parameters(), mlp(0).parameters(), strict=True)
        moved[limit] = torch.cat([(new - old).detach().flatten() for new, old in pairs])
    whole = moved[None]
    assert moved[clip].numpy() == pytest.approx(
        (whole * min(1, clip / float(whole.norm()))).numpy(), rel=1e-4, abs=1e-6
    )
    with pytest.raises(InputError, match="clip_norm"):
        SAM(mlp(0).parameters(), torch.optim.SGD, 0.1, clip_norm=0.0, lr=1.0)


def test_a_deep_copy_goes_on_to_the_same_bits() -> None:
    model = mlp(0)
    optimizer = SAM(model.parameters(), torch.optim.SGD, 0.3, adaptive=True, clip_norm=0.5, lr=0.1, momentum=0.9)
    optimizer.step(closure_of(model, optimizer, *batch(0)))
    twin, its_optimizer = copy.deepcopy((model, optimizer))
    for network, sam_ in ((model, optimizer), (twin, its_optimizer)):
        sam_.step(closure_of(network, sam_, *batch(1)))
    assert all(torch.equal(a, b) for a, b in zip(state(model), state(twin), strict=True))
    assert its_optimizer.param_groups is its_optimizer.base.param_groups


class Normed(nn.Module):
    """Batch norm around a layer, which fails in the pass that it is told."""

    def __init__(self, failing: int) -> None:
        super().__init__()
        self.layer, self.norm, self.passes, self.failing = nn.Linear(5, 3), nn.BatchNorm1d(3), 0, failing

    def forward(self, x: Tensor) -> Tensor:
        self.passes += 1
        found: Tensor = self.norm(self.layer(x))
        if self.passes == self.failing:
            raise MemoryError("no memory left")
        return found


@pytest.mark.parametrize("failing", [1, 2])
@pytest.mark.parametrize("how", ["step", "sharpbalance, whole", "sharpbalance, parts"])
def test_a_step_that_failed_in_either_pass_has_advanced_nothing(failing: int, how: str) -> None:
    """Somebody who takes the batch again would advance statistics twice for one step."""
    torch.manual_seed(0)
    model = Normed(failing)
    optimizer = SAM(model.parameters(), torch.optim.SGD, 0.1, lr=0.1, model=model)
    before = state(model)
    inputs, targets = batch(0)
    aware = torch.ones(12, dtype=torch.bool)
    aware[6 if how.endswith("parts") else 12 :] = False

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(inputs), targets)
        loss.backward()
        return loss

    def take() -> Tensor:
        if how == "step":
            return optimizer.step(closure)
        return sharpbalance_step(model, optimizer, inputs, targets, aware)

    with pytest.raises(MemoryError, match="no memory left"):
        take()
    assert all(torch.equal(a, b) for a, b in zip(before, state(model), strict=True))


class SignSAM(SAM):
    """Another optimizer of two passes: each weight moves by rho along the sign of its gradient."""

    def ascent(self) -> tuple[list[Tensor], list[Tensor]]:
        weights, steps = super().ascent()
        return weights, [self.rho * e.sign() for e in steps]


def test_another_ascent_is_all_that_another_optimizer_needs() -> None:
    weight = nn.Parameter(torch.tensor([1.0, -2.0], dtype=torch.float64))
    optimizer = SignSAM([weight], torch.optim.SGD, rho=0.5, lr=0.1)

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = weight.square().sum()
        loss.backward()
        return loss

    optimizer.step(closure)
    # Gradients 2 w at (1.5, -2.5).
    assert weight.tolist() == pytest.approx([1 - 0.1 * 3, -2 + 0.1 * 5], rel=1e-15)


def test_a_state_without_meaning_is_refused_before_anything_is_loaded() -> None:
    w = nn.Parameter(torch.ones(1))
    optimizer = SAM([w], torch.optim.SGD, 0.1, lr=0.1)
    saved = optimizer.state_dict()
    saved["param_groups"][0].update(rho=-1.0, lr=7.0)
    with pytest.raises(InputError, match="rho must be finite and non-negative"):
        optimizer.load_state_dict(saved)
    assert optimizer.rho == 0.1
    assert optimizer.param_groups[0]["lr"] == 0.1


@law(
    Mutation(
        "one memory for all",
        "sharpdiv.empirical.optim.sam.SAM._copies",
        lambda f: lambda self, weights: self.__dict__.setdefault("_one", f(self, weights)) if weights else [],
    ),
    Mutation(
        "the copies of the step before",
        "sharpdiv.empirical.optim.sam.SAM._copies",
        lambda f: (
            lambda self, weights: (
                self._spare if [s.shape for s in self._spare] == [p.shape for p in weights] else f(self, weights)
            )
        ),
    ),
)
def test_weights_come_back_to_the_bit_from_passes_inside_passes_and_after_changes() -> None:
    """Copies are in the memory of the step before, which fits, does not fit any more, or is in use."""
    torch.manual_seed(0)
    weights = [nn.Parameter(torch.randn(5)), nn.Parameter(torch.randn(2, 3))]
    optimizer = SAM(weights, torch.optim.SGD, rho=0.5, lr=0.1)
    for having in ([0, 1], [0, 1], [1], [0]):
        for i, weight in enumerate(weights):
            weight.grad = torch.randn_like(weight) if i in having else None
        with torch.no_grad():
            weights[0].add_(1.0)
        before = [weight.detach().clone() for weight in weights]
        with optimizer.perturbed():
            inside = [weight.detach().clone() for weight in weights]
            with optimizer.perturbed():
                pass
            assert all(map(torch.equal, weights, inside))
        assert all(map(torch.equal, weights, before))
        assert not any(torch.equal(inside[i], before[i]) for i in having)
