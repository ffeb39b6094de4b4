"""Laws of the loss as a function of the weights: logits' normalization, and what an accelerator must not be asked for."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from sharpdiv.empirical.curvature.average_case import average_case_sharpness
from sharpdiv.empirical.curvature.eigenvalues import hessian_eigenvalues
from sharpdiv.empirical.curvature.loss_surface import LossSurface, NormalizedLogits, require_norm
from sharpdiv.empirical.curvature.one_step import one_step_sharpness
from sharpdiv.empirical.curvature.trace import hessian_trace
from sharpdiv.empirical.curvature.worst_case import worst_case_sharpness
from sharpdiv.empirical.errors import InputError
from tests.empirical.networks import batch, mlp
from tests.laws import Mutation, law

seeds = st.integers(0, 1000)


@law(
    Mutation(
        "not centred", "sharpdiv.empirical.curvature.loss_surface.torch.Tensor.mean", lambda _: lambda z, **_k: 0 * z
    ),
    Mutation(
        "not scaled", "sharpdiv.empirical.curvature.loss_surface.nn.functional.normalize", lambda _: lambda z, **_k: z
    ),
    seed=seeds,
    shift=st.floats(-10, 10),
    factor=st.floats(0.01, 100),
)
def test_normalized_logits_have_mean_zero_and_norm_one(seed: int, shift: float, factor: float) -> None:
    logits = torch.randn(6, 4, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    found = NormalizedLogits(nn.Identity())(logits)
    assert found.sum(dim=1).abs().max() < 1e-14
    assert (found.norm(dim=1) - 1).abs().max() < 1e-14
    # Rounding of shifted logits: 1e3 times the spread of the smallest scaled ones.
    assert torch.allclose(NormalizedLogits(nn.Identity())(factor * logits + shift), found, rtol=0, atol=1e-11)


def test_equal_logits_are_normalized_to_zero_with_finite_gradients() -> None:
    logits = torch.full((2, 3), 5.0, requires_grad=True)
    found = NormalizedLogits(nn.Identity())(logits)
    assert found.tolist() == [[0, 0, 0]] * 2
    (gradient,) = torch.autograd.grad(nn.functional.cross_entropy(found, torch.tensor([0, 1])), logits)
    assert bool(gradient.isfinite().all())


def test_the_surface_is_the_loss_of_the_moved_model() -> None:
    """Frozen parameters stay, and batch norm uses its running statistics."""
    model, (inputs, targets) = mlp(0), batch(1)
    model.norm.requires_grad_(False)
    surface = LossSurface(model, nn.functional.cross_entropy)
    assert len(surface.weights) == 5 * 7 + 7 + 7 * 3 + 3
    direction = torch.randn_like(surface.weights)
    values = surface.per_batch([(inputs, targets)], lambda b: surface(surface.weights + direction, b).detach())
    moved = mlp(0).eval()
    parameters = [*moved.first.parameters(), *moved.last.parameters()]
    with torch.no_grad():
        for p, part in zip(parameters, direction.split([35, 7, 21, 3]), strict=True):
            p.add_(part.view_as(p))
        assert values[0] == float(nn.functional.cross_entropy(moved(inputs), targets))


def test_tied_weights_move_together() -> None:
    model = nn.Sequential(nn.Linear(2, 2, bias=False), nn.Linear(2, 2, bias=False))
    model[1].weight = model[0].weight
    surface = LossSurface(model, lambda outputs, _: outputs.sum())
    swap = torch.tensor([0.0, 2.0, 1.0, 0.0])
    inputs = torch.tensor([[3.0, 5.0]])
    assert len(surface.weights) == 4
    assert float(surface(swap, (inputs, inputs))) == 16.0  # the matrix [[0, 2], [1, 0]] has the square 2


def test_an_unknown_norm_is_refused() -> None:
    with pytest.raises(InputError, match="l2 or linf, got 'l1'"):
        require_norm("l1")


class Questions(TorchDispatchMode):
    """Count what makes the host wait for the device, and what MPS refuses."""

    waits, doubles = 0, 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        found = func(*args, **(kwargs or {}))
        self.waits += func in {torch.ops.aten._local_scalar_dense.default, torch.ops.aten.nonzero.default}
        self.doubles += isinstance(found, Tensor) and found.dtype == torch.float64
        return found


MEASURES: list[Callable[[nn.Module, list[tuple[Tensor, Tensor]]], object]] = [
    lambda model, data: worst_case_sharpness(model, data, restarts=2, generator=torch.Generator()),
    lambda model, data: worst_case_sharpness(model, data, 0.01, adaptive=False, norm="linf"),
    lambda model, data: one_step_sharpness(model, data, 0.1),
    lambda model, data: average_case_sharpness(model, data, generator=torch.Generator()),
    lambda model, data: hessian_trace(NormalizedLogits(model), data),
]


@law(
    Mutation(
        "asks for the norm",
        "sharpdiv.empirical.curvature.worst_case._project",
        lambda f: lambda u, r, n: f(u, r + 0 * u[0].item(), n),
    ),
    Mutation(
        "double precision",
        "sharpdiv.empirical.curvature.worst_case.steepest",
        lambda f: lambda g, n: f(g.double(), n).float(),
    ),
)
def test_nothing_waits_for_the_device_or_needs_double_precision() -> None:
    model, data = mlp(0), [batch(1), batch(2)]
    for measure in MEASURES:
        with Questions() as questions:  # type: ignore[no-untyped-call]
            measure(model, data)
        assert (questions.waits, questions.doubles) == (0, 0)


@pytest.mark.parametrize("measure", MEASURES)
def test_of_bfloat16_models_only_curvature_is_measured(measure: Callable[..., object]) -> None:
    """An increase of the loss, of some hundredths, would be a step of its rounding, 1/64 at a loss of 2."""
    model, data = mlp(0).bfloat16(), [(inputs.bfloat16(), targets) for inputs, targets in (batch(1), batch(2))]
    if measure is MEASURES[-1]:
        measure(model, data)
        return
    with pytest.raises(InputError, match=r"lost in the rounding of torch.bfloat16 weights; .*model.float\(\)"):
        measure(model, data)


@pytest.mark.parametrize("measure", [*MEASURES, lambda model, data: hessian_eigenvalues(model, data)])
def test_labels_that_the_loss_leaves_out_are_refused(measure: Callable[..., object]) -> None:
    """Its mean is over the others, and what batches weigh is the number of all."""
    (inputs, targets), second = batch(1), batch(2)
    with pytest.raises(InputError, match="labels must be classes counted from 0, got -100: leave such samples out"):
        measure(mlp(0), [second, (inputs, targets.index_fill(0, torch.tensor([1]), -100))])
