"""Worst-case sharpness against exact trust-region solutions on quadratic models, and its contract."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import strategies as st
from torch import nn

from empirical import DivergenceError, InputError, sharpness, worst_case_sharpness
from tests.empirical.networks import batch, mlp, resnet, state
from tests.laws import Mutation, law
from tests.reference import dual_maximum

seeds = st.integers(0, 1000)


def half_squares(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    return (outputs - targets).square().sum() / 2


def linear_problem(seed: int) -> tuple[nn.Linear, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    inputs = torch.randn(9, 5, generator=generator, dtype=torch.float64)
    model = nn.Linear(5, 1, bias=False).double()
    with torch.no_grad():
        model.weight.copy_(torch.randn(1, 5, generator=generator))
    return model, inputs, torch.randn(9, 1, generator=generator, dtype=torch.float64)


@law(
    Mutation("ball scaled by w^2", "empirical.sharpness.torch.Tensor.abs", lambda _: torch.Tensor.square),
    Mutation("projection twice too large", "empirical.sharpness._project", lambda f: lambda u, r, n: f(u, 2 * r, n)),
    Mutation("one step", "empirical.sharpness._ascend", lambda f: lambda *a: f(*a[:-1], 1)),
    examples=25,
    seed=seeds,
    radius=st.floats(0.05, 0.5),
    adaptive=st.booleans(),
)
def test_quadratic_loss_has_the_exact_maximum(seed: int, radius: float, adaptive: bool) -> None:
    """In ``u = d / |w|`` the Hessian is ``S X'X S`` with ``S = diag |w|``: a trust-region problem.

    Seeds whose ascent ends in another stationary point than the maximum are those without gradient along the sharpest
    direction; a lower bound is then all that is promised.
    """
    model, inputs, targets = linear_problem(seed)
    w = model.weight.detach().numpy()[0]
    scale = np.abs(w) if adaptive else np.ones(5)
    X = inputs.numpy()
    gradient = scale * (X.T @ (X @ w - targets.numpy()[:, 0]))
    exact = dual_maximum(scale[:, None] * (X.T @ X) * scale, gradient, radius)
    found = sharpness.worst_case_sharpness(
        model, [(inputs, targets)], radius, adaptive=adaptive, loss=half_squares, iterations=60
    )
    assert found <= exact * (1 + 1e-9)
    assert found >= exact * (1 - 1e-6)


@law(
    Mutation("l2 ball for linf", "empirical.sharpness._project", lambda f: lambda u, r, norm: f(u, r, "l2")),
    examples=20,
    seed=seeds,
    radius=st.floats(0.01, 1.0),
)
def test_linf_on_a_linear_loss_is_the_l1_norm(seed: int, radius: float) -> None:
    """``max_{|u|_inf <= r} g'Su = r |Sg|_1``."""
    model, inputs, _ = linear_problem(seed)
    weights = inputs.sum(dim=0) * model.weight.detach().abs()[0]
    found = sharpness.worst_case_sharpness(
        model, [(inputs, inputs)], radius, norm="linf", loss=lambda outputs, _: outputs.sum()
    )
    assert found == pytest.approx(radius * float(weights.abs().sum()), rel=1e-9)


@law(
    Mutation(
        "writes to the weights",
        "empirical.sharpness.functional_call",
        lambda f: lambda m, p, x: ([q.data.copy_(p[n]) for n, q in m.named_parameters()], f(m, p, x))[1],
    ),
    examples=5,
    seed=seeds,
    adaptive=st.booleans(),
)
def test_weights_statistics_and_mode_are_untouched(seed: int, adaptive: bool) -> None:
    model = resnet(seed)
    model.blocks.eval()  # a mixed mode must come back too
    before, modes = state(model), [m.training for m in model.modules()]
    value = sharpness.worst_case_sharpness(model, [batch(seed, 6, (1, 8, 8), 4)], 0.1, adaptive)
    assert value >= 0
    assert all(torch.equal(a, b) for a, b in zip(before, state(model), strict=True))
    assert modes == [m.training for m in model.modules()]


def test_a_zero_weight_stays_zero() -> None:
    """With every weight 0 the adaptive ball is a point."""
    model = nn.Linear(5, 3)
    for p in model.parameters():
        nn.init.zeros_(p)
    assert worst_case_sharpness(model, [batch(0)], 0.5) == 0.0
    assert worst_case_sharpness(model, [batch(0)], 0.5, adaptive=False) > 0.0


def test_mean_over_batches_and_determinism() -> None:
    model, batches = mlp(0), [batch(1), batch(2)]
    each = [worst_case_sharpness(model, [b]) for b in batches]
    assert worst_case_sharpness(model, batches) == pytest.approx(sum(each) / 2, rel=1e-6)
    assert worst_case_sharpness(model, batches) == worst_case_sharpness(model, batches)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"radius": 0.0}, "radius"),
        ({"radius": float("nan")}, "radius"),
        ({"iterations": 0}, "iterations"),
        ({"batches": []}, "at least one batch"),
    ],
)
def test_bad_options_are_refused(options: dict[str, Any], message: str) -> None:
    arguments: dict[str, Any] = {"batches": [batch(0)], "radius": 0.5} | options
    with pytest.raises(InputError, match=message):
        worst_case_sharpness(mlp(0), **arguments)


def test_a_diverged_model_is_an_error_not_a_number() -> None:
    model = mlp(0)
    nn.init.constant_(model.last.weight, float("nan"))
    with pytest.raises(DivergenceError):
        worst_case_sharpness(model, [batch(0)])
