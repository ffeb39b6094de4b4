"""After every measure a network is what it was, to the bit: whatever is aliased in it, whatever happened on the way."""

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import strategies as st
from torch import Tensor, nn

from sharpdiv.empirical.curvature.average_case import average_case_sharpness
from sharpdiv.empirical.curvature.eigenvalues import hessian_eigenvalues
from sharpdiv.empirical.curvature.fisher import fisher_trace
from sharpdiv.empirical.curvature.one_step import one_step_sharpness
from sharpdiv.empirical.curvature.per_sample import per_sample_sharpness
from sharpdiv.empirical.curvature.recording import watched
from sharpdiv.empirical.curvature.tangent_kernel import tangent_kernel
from sharpdiv.empirical.curvature.trace import hessian_trace
from sharpdiv.empirical.curvature.untouched import WeightSlots, untouched
from sharpdiv.empirical.curvature.worst_case import worst_case_sharpness
from sharpdiv.empirical.errors import InputError
from tests.empirical.networks import batch
from tests.laws import Mutation, law

Loss = Callable[[Tensor, Tensor], Tensor]
BATCH = batch(0, 6, (4,))
MEASURES: dict[str, Callable[..., Any]] = {
    "worst case": lambda model, loss: worst_case_sharpness(model, BATCH, iterations=2, loss=loss),
    "one step": lambda model, loss: one_step_sharpness(model, BATCH, 0.1, loss=loss),
    "average case": lambda model, loss: average_case_sharpness(
        model, BATCH, draws=2, loss=loss, generator=torch.Generator().manual_seed(0)
    ),
    "eigenvalues": lambda model, loss: hessian_eigenvalues(model, BATCH, loss=loss).tolist(),
    "trace": lambda model, loss: hessian_trace(model, BATCH, draws=2, loss=loss),
    "scores": lambda model, loss: per_sample_sharpness(model, *BATCH, loss=loss).tolist(),
    "Fisher": lambda model, loss: fisher_trace(model, BATCH) if loss is nn.functional.cross_entropy else loss(*BATCH),
    "kernel": lambda model, loss: tangent_kernel(model, BATCH[0][:2], BATCH[0][2:3]).train.tolist(),
}


class Graph(nn.Module):
    """Layers in a row, each perhaps several times, under several names, with shared weights."""

    def __init__(self, seed: int, row: list[int], beside: bool, tied: bool) -> None:
        super().__init__()
        torch.manual_seed(seed)
        kinds = [
            nn.Linear(4, 4),
            nn.PReLU(),
            nn.Sequential(nn.Linear(4, 4), nn.Tanh()),
            nn.LayerNorm(4),
            nn.utils.parametrizations.weight_norm(nn.Linear(4, 4)),
            Recurrent(),
            nn.BatchNorm1d(4),
        ]
        self.steps = nn.Sequential(*[kinds[i] for i in row])
        self.again = self.steps[0]
        if beside:
            self.beside = nn.ModuleList(kinds)
        self.head = nn.Linear(4, 3)
        if tied:
            self.tied = nn.Linear(4, 4)
            self.tied.weight = kinds[0].weight
            self.steps.append(self.tied)

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.head(self.steps(x))
        return found


class Recurrent(nn.Module):
    """A recurrent layer over the features, which computes from a list of its weights."""

    def __init__(self) -> None:
        super().__init__()
        self.cells = nn.GRU(1, 2, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.cells(x[..., None])[0].sum(dim=2)
        return found


graphs = {
    "seed": st.integers(0, 1000),
    "row": st.lists(st.integers(0, 6), min_size=1, max_size=4),
    "beside": st.booleans(),
    "tied": st.booleans(),
}


def everything(model: nn.Module) -> list[Any]:
    """All that a measure could leave behind: places, kinds, values, modes, gradients, hooks."""
    found: list[Any] = []
    for module in model.modules():
        found += [module.training, len(module._forward_hooks), sorted(vars(module))]
        for held in (module._parameters, module._buffers):
            found += [(name, id(t), type(t)) for name, t in held.items()]
            found += [None if t is None else (t.tolist(), t.requires_grad, t.is_leaf and t.grad) for t in held.values()]
    return found


@pytest.mark.filterwarnings(
    "ignore:gradients are taken sample by sample", "ignore:the kernel is taken sample by sample"
)
@law(
    Mutation(
        "only the first place of a weight",
        "sharpdiv.empirical.curvature.untouched.WeightSlots._restore",
        lambda _: lambda self: [h.__setitem__(k, self.parameters[i]) for h, k, i in self._slots[:1]] and None,
    ),
    Mutation(
        "values copied into tensors",
        "sharpdiv.empirical.curvature.untouched.WeightSlots._restore",
        lambda _: lambda self: [h.__setitem__(k, self.parameters[i].detach()) for h, k, i in self._slots] and None,
    ),
    examples=12,
    **graphs,
)
def test_every_measure_leaves_the_network_as_it_was(seed: int, row: list[int], beside: bool, tied: bool) -> None:
    model = Graph(seed, row, beside, tied)
    model.head.eval()  # a mixed mode
    before = everything(model)
    for name, measure in MEASURES.items():
        first = measure(model, nn.functional.cross_entropy)
        assert everything(model) == before, name
        assert measure(model, nn.functional.cross_entropy) == first, name


class StopError(Exception):
    """Raised by a loss."""


@pytest.mark.filterwarnings(
    "ignore:gradients are taken sample by sample", "ignore:the kernel is taken sample by sample"
)
@law(
    Mutation(
        "restored only in the end",
        "sharpdiv.empirical.curvature.untouched.surely",
        lambda _: lambda restore: None,
    ),
    examples=8,
    **graphs,
    calls=st.integers(0, 4),
    error=st.sampled_from([StopError, KeyboardInterrupt, RuntimeError]),
)
def test_an_exception_on_the_way_changes_nothing(
    seed: int, row: list[int], beside: bool, tied: bool, calls: int, error: type[BaseException]
) -> None:
    model = Graph(seed, row, beside, tied)
    before = everything(model)
    for name, measure in MEASURES.items():
        left = calls

        def loss(outputs: Tensor, targets: Tensor) -> Tensor:
            nonlocal left
            left -= 1
            if left < 0:
                raise error
            return nn.functional.mse_loss(outputs[:, 0], targets.float())

        if name != "kernel":
            with pytest.raises((error, InputError)):
                [measure(model, loss) for _ in range(5)]
        assert everything(model) == before, name


@law(
    Mutation(
        "nine tenths of the step",
        "sharpdiv.empirical.curvature.one_step.steepest",
        lambda f: lambda gradient, norm: 0.9 * f(gradient, norm),
    ),
    examples=12,
    **graphs,
)
def test_the_loss_moves_as_that_of_a_copy_with_other_weights(
    seed: int, row: list[int], beside: bool, tied: bool
) -> None:
    """The step of SAM, made by hand in the weights of a copy: what is aliased in the network is aliased there."""
    model = Graph(seed, row, beside, tied).double()
    inputs, targets = BATCH[0].double(), BATCH[1]
    copy = deepcopy(model).eval()
    weights = list(copy.parameters())
    loss = nn.functional.cross_entropy(copy(inputs), targets)
    gradients = torch.autograd.grad(loss, weights, allow_unused=True)
    length = torch.stack([g.square().sum() for g in gradients if g is not None]).sum().sqrt()
    with torch.no_grad():
        for p, g in zip(weights, gradients, strict=True):
            if g is not None:
                p.add_(0.1 * g / length)
        expected = nn.functional.cross_entropy(copy(inputs), targets) - loss
    # float64, a difference of numbers of order 1
    assert one_step_sharpness(model, (inputs, targets), 0.1) == pytest.approx(float(expected), abs=1e-12)


def test_twenty_steps_of_training_move_every_layer_after_a_measurement() -> None:
    model = Graph(0, [0, 1, 2, 0], beside=False, tied=True)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    worst_case_sharpness(model, BATCH, iterations=2)
    before = [p.detach().clone() for p in model.parameters()]
    for _ in range(20):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(BATCH[0]), BATCH[1]).backward()
        optimizer.step()
    assert all(not torch.equal(p, b) for p, b in zip(model.parameters(), before, strict=True))


@pytest.mark.parametrize("norm", [nn.utils.weight_norm, nn.utils.spectral_norm])
@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_what_layers_derive_from_their_weights_comes_back(norm: Callable[[nn.Module], nn.Module]) -> None:
    layer = norm(nn.Linear(4, 3))
    layer(BATCH[0])
    derived = vars(layer)["weight"]
    value = derived.detach().clone()
    worst_case_sharpness(layer, BATCH, iterations=2)
    assert vars(layer)["weight"] is derived
    assert torch.equal(derived, value)


class Counting(nn.Module):
    """Buffers that every pass advances, in any mode."""

    passes: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 3)
        self.register_buffer("passes", torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        self.passes += 1
        found: Tensor = self.layer(x)
        return found


def test_buffers_that_a_pass_advances_come_back() -> None:
    model = Counting()
    for measure in MEASURES.values():
        measure(model, nn.functional.cross_entropy)
    assert model.passes.item() == 0


class Listed(nn.Module):
    """Computes from a list of weights of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(4, 3))
        self.held = [self.weight]

    def forward(self, x: Tensor) -> Tensor:
        return x @ self.held[0]


def test_a_weight_that_cannot_be_replaced_is_noticed() -> None:
    with pytest.raises(InputError, match="a weight is used from a place where it cannot be replaced"):
        worst_case_sharpness(Listed(), BATCH)


def test_an_interruption_while_weights_are_put_back_does_not_keep_them_away() -> None:
    layer = nn.Linear(1, 1)
    slots, restore, calls = WeightSlots(layer), WeightSlots._restore, []

    def interrupted(self: WeightSlots) -> None:
        calls.append(1)
        if len(calls) == 1:
            raise KeyboardInterrupt
        restore(self)

    WeightSlots._restore = interrupted  # type: ignore[method-assign]
    try:
        with pytest.raises(KeyboardInterrupt), untouched(layer), slots.holding([torch.ones(1, 1), torch.ones(1)]):
            pass
    finally:
        WeightSlots._restore = restore  # type: ignore[method-assign]
    assert layer.weight is slots.parameters[0]


class OtherRounding(nn.Module):
    """Large logits that are rounded another way in every second pass, as kernels for another memory layout do."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.passes = nn.Linear(4, 3), 0

    def forward(self, x: Tensor) -> Tensor:
        self.passes += 1
        logits = 1e3 + self.layer(x)
        return logits * (1 + 1e-6 * (-1) ** self.passes * torch.arange(3))


def test_a_network_that_fits_to_rounding_is_measured() -> None:
    """A loss of 1e-5 whose gradient changes by a thousandth where logits of 1000 change by a millionth: they are one network."""
    torch.manual_seed(0)
    model = OtherRounding()
    with torch.no_grad():
        model.layer.weight.zero_()
        model.layer.bias.copy_(torch.tensor([12.0, 0.0, 0.0]))
    targets = torch.zeros(6, dtype=torch.int64)
    assert 1e-6 < nn.functional.cross_entropy(model(BATCH[0]), targets) < 1e-4
    assert np.isfinite(worst_case_sharpness(model, (BATCH[0], targets), radius=1e-3, adaptive=False, iterations=2))


class Interrupted(nn.Linear):
    """A layer at which the user presses Ctrl-C when its mode is set for the time that is counted, or when it gets a hook."""

    left = 10**9

    def _count(self) -> None:
        self.left -= 1
        if not self.left:
            raise KeyboardInterrupt

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, value)
        if name == "training" and "weight" in vars(self).get("_parameters", {}):
            self._count()

    def register_forward_hook(self, *arguments: Any, **options: Any) -> Any:
        self._count()
        return super().register_forward_hook(*arguments, **options)


@pytest.mark.parametrize("count", range(1, 6))
def test_an_interruption_while_modes_and_hooks_are_set_or_restored_leaves_neither(count: int) -> None:
    first, last = nn.Linear(4, 3), Interrupted(3, 3)
    model = nn.Sequential(first, last, nn.Linear(3, 2))
    last.left = count

    def watch() -> None:
        for _ in range(3):  # a hook, the mode, the mode again: each stop is met
            with watched(model, [first, last], lambda *_: None, again=True):
                pass

    with pytest.raises(KeyboardInterrupt):
        watch()
    assert [module.training for module in model.modules()] == [True] * 4
    assert not first._forward_hooks
    assert not last._forward_hooks
