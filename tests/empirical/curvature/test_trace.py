"""The trace against the textbook Hessian of logistic regression."""

from contextlib import nullcontext

import numpy as np
import pytest
import torch
from hypothesis import strategies as st
from torch import nn

from sharpdiv.empirical.curvature import trace
from sharpdiv.empirical.curvature.estimates import Estimate
from sharpdiv.empirical.curvature.trace import hessian_trace
from sharpdiv.empirical.errors import DivergenceError, InputError
from tests.empirical.curvature.regression import logistic_loss, logistic_regression
from tests.empirical.networks import batch, left_scaled, mlp, resnet, state
from tests.laws import Mutation, law

seeds = st.integers(0, 1000)
DOUBLE = Mutation(
    "twice the product",
    "sharpdiv.empirical.curvature.trace.hessian_product",
    lambda f: lambda surface, b: lambda v: 2 * f(surface, b)(v),
)


@law(
    DOUBLE,
    Mutation(
        "signs not independent",
        "sharpdiv.empirical.curvature.trace._signs",
        lambda f: lambda w, g: f(w[:1], g) * torch.ones_like(w),
    ),
    examples=10,
    seed=seeds,
)
def test_trace_of_logistic_regression(seed: int) -> None:
    model, batches, exact = logistic_regression(seed)
    found = trace.hessian_trace(model, iter(batches), 30, logistic_loss, seed)
    # 5 standard errors: of normal means, 10 examples exceed it once in 10^5 runs.
    assert abs(found.mean - np.trace(exact)) < 5 * found.stderr


@law(
    Mutation(
        "signs of variance 2", "sharpdiv.empirical.curvature.trace._signs", lambda f: lambda w, g: 2**0.5 * f(w, g)
    ),
    Mutation(
        "batches share their draws",
        "sharpdiv.empirical.curvature.trace.stratified_mean",
        lambda f: lambda x, s: Estimate(f(x, s).mean, len(x) ** 0.5 * f(x, s).stderr),
    ),
    Mutation(
        "error of one batch's draws",
        "sharpdiv.empirical.curvature.trace.stratified_mean",
        lambda f: lambda x, s: Estimate(f(x, s).mean, f(x, s).stderr / len(x) ** 0.5),
    ),
)
def test_the_standard_error_of_the_trace_is_honest() -> None:
    """Deviations from the textbook trace over their standard errors: 60 squares scatter by ``sqrt(2 / 60) = 0.18`` about one.

    With 6 draws from each of three unequal batches (between 5 and 15 degrees of freedom) Student's distribution has a mean square
    between 1.15 and 1.67. The wrong errors are wrong by a factor of 3 in the square.
    """
    model, batches, exact = logistic_regression(0)
    scores = []
    for seed in range(60):
        found = trace.hessian_trace(model, batches, 6, logistic_loss, seed)
        scores.append((found.mean - np.trace(exact)) / found.stderr)
    assert np.mean(np.square(scores)) == pytest.approx(1.3, abs=0.8)


@law(
    Mutation(
        "writes to the weights",
        "sharpdiv.empirical.curvature.loss_surface.untouched",
        lambda _: left_scaled,
    ),
    Mutation(
        "training mode",
        "sharpdiv.empirical.curvature.loss_surface.untouched",
        lambda _: lambda _model: nullcontext(),
    ),
    examples=3,
    seed=seeds,
)
def test_weights_statistics_and_mode_are_untouched(seed: int) -> None:
    model = resnet(seed)
    model.blocks.eval()  # a mixed mode must come back too
    before, modes = state(model), [m.training for m in model.modules()]
    data = [batch(seed, 6, (1, 8, 8), 4)]
    trace.hessian_trace(model, data, 2)
    assert all(torch.equal(a, b) for a, b in zip(before, state(model), strict=True))
    assert modes == [m.training for m in model.modules()]
    assert all(p.grad is None for p in model.parameters())


def test_the_seed_decides() -> None:
    model, data = resnet(0), [batch(0, 6, (1, 8, 8), 4)]
    traces = [hessian_trace(model, data, 3, seed=seed) for seed in (1, 1, 2)]
    assert traces[0] == traces[1] != traces[2]


def test_a_linear_loss_has_no_curvature() -> None:
    model, batches, _ = logistic_regression(0)
    assert hessian_trace(model, batches, loss=lambda outputs, _: outputs.sum()) == (0, 0)


def test_a_trace_needs_two_draws() -> None:
    with pytest.raises(InputError, match="draws"):
        hessian_trace(mlp(0), [batch(0)], draws=1)


def test_a_diverged_model_is_an_error_not_a_number() -> None:
    model = mlp(0)
    nn.init.constant_(model.last.weight, float("nan"))
    with pytest.raises(DivergenceError):
        hessian_trace(model, [batch(0)])
