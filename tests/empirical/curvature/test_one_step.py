"""One-step sharpness against a quadratic loss and SAM itself, and its contract."""

import math

import numpy as np
import pytest
import torch
from hypothesis import strategies as st
from torch import nn

from sharpdiv.empirical.curvature import one_step
from sharpdiv.empirical.curvature.one_step import one_step_sharpness
from sharpdiv.empirical.curvature.recording import evaluation_mode
from sharpdiv.empirical.errors import DivergenceError, InputError
from sharpdiv.empirical.optim.sam import SAM
from tests.empirical.curvature.linear_problems import PLAIN, half_squares, linear_problem, quadratic
from tests.empirical.networks import batch, left_scaled, mlp, resnet, state
from tests.laws import Mutation, law

seeds = st.integers(0, 1000)


@law(
    PLAIN,
    Mutation(
        "gradient of any length",
        "sharpdiv.empirical.curvature.one_step.steepest",
        lambda _: lambda gradient, _: gradient,
    ),
    Mutation(
        "steps along the signs",
        "sharpdiv.empirical.curvature.one_step.steepest",
        lambda f: lambda g, _: f(g, "linf"),
    ),
    examples=20,
    seed=seeds,
    rho=st.floats(0.01, 2.0),
    adaptive=st.booleans(),
)
def test_one_step_on_a_quadratic_loss(seed: int, rho: float, adaptive: bool) -> None:
    """In u the step is ``e = rho g / |g|``, and the loss rises by ``g'e + e'He / 2``."""
    model, inputs, targets = linear_problem(seed)
    hessian, gradient = quadratic(model, inputs, targets, adaptive)
    step = rho * gradient / np.linalg.norm(gradient)
    found = one_step.one_step_sharpness(model, [(inputs, targets)], rho, adaptive, half_squares)
    assert found == pytest.approx(gradient @ step + step @ hessian @ step / 2, rel=1e-9)


@law(
    PLAIN,
    Mutation(
        "norm of the first layer",
        "sharpdiv.empirical.curvature.one_step.steepest",
        lambda _: lambda g, _: g / g[:35].norm(),
    ),
    examples=10,
    seed=seeds,
    rho=st.floats(0.01, 1.0),
    adaptive=st.booleans(),
)
def test_one_step_is_the_step_of_sam(seed: int, rho: float, adaptive: bool) -> None:
    model = mlp(seed, torch.float64)
    inputs, targets = batch(seed)
    inputs = inputs.double()
    found = one_step.one_step_sharpness(model, [(inputs, targets)], rho, adaptive)
    optimizer = SAM(model.parameters(), torch.optim.SGD, rho, adaptive=adaptive, lr=0.1)
    with evaluation_mode(model):
        before = nn.functional.cross_entropy(model(inputs), targets)
        before.backward()
        with optimizer.perturbed():
            after = nn.functional.cross_entropy(model(inputs), targets)
    assert found == pytest.approx(float((after - before).detach()), rel=1e-9)


@law(
    Mutation(
        "writes to the weights",
        "sharpdiv.empirical.curvature.loss_surface.untouched",
        lambda _: left_scaled,
    ),
    examples=5,
    seed=seeds,
    adaptive=st.booleans(),
)
def test_weights_statistics_and_mode_are_untouched(seed: int, adaptive: bool) -> None:
    model = resnet(seed)
    model.blocks.eval()  # a mixed mode must come back too
    before, modes = state(model), [m.training for m in model.modules()]
    data = [batch(seed, 6, (1, 8, 8), 4)]
    assert math.isfinite(one_step.one_step_sharpness(model, data, 0.1, adaptive))
    assert all(torch.equal(a, b) for a, b in zip(before, state(model), strict=True))
    assert modes == [m.training for m in model.modules()]
    assert all(p.grad is None for p in model.parameters())


def test_a_zero_weight_stays_zero() -> None:
    model = nn.Linear(5, 3)
    for p in model.parameters():
        nn.init.zeros_(p)
    assert one_step_sharpness(model, [batch(0)], 0.5, adaptive=True) == 0.0


def test_without_a_gradient_there_is_no_step() -> None:
    model, inputs, _ = linear_problem(0)
    targets = (inputs @ model.weight.T).detach()
    assert one_step_sharpness(model, [(inputs, targets)], 0.5, loss=half_squares) == 0.0


def test_mean_over_batches_and_determinism() -> None:
    model, batches = mlp(0), [batch(1), batch(2)]
    each = [one_step_sharpness(model, [b], 0.1) for b in batches]
    assert one_step_sharpness(model, iter(batches), 0.1) == pytest.approx(sum(each) / 2, rel=1e-6)
    assert one_step_sharpness(model, batches, 0.1) == one_step_sharpness(model, batches, 0.1)


@pytest.mark.parametrize("rho", [0.0, -1.0, float("inf")])
def test_a_step_needs_a_length(rho: float) -> None:
    with pytest.raises(InputError, match="rho"):
        one_step_sharpness(mlp(0), [batch(0)], rho)


def test_a_diverged_model_is_an_error_not_a_number() -> None:
    model = mlp(0)
    nn.init.constant_(model.last.weight, float("nan"))
    with pytest.raises(DivergenceError):
        one_step_sharpness(model, [batch(0)], 0.1)
