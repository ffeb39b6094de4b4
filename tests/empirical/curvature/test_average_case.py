"""Average-case sharpness against its closed form on a quadratic loss, and its contract."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import strategies as st
from torch import Tensor, nn

from sharpdiv.empirical.curvature import average_case as average_sharpness
from sharpdiv.empirical.curvature.average_case import average_case_sharpness
from sharpdiv.empirical.curvature.estimates import Estimate, stratified_mean
from sharpdiv.empirical.errors import DivergenceError, InputError
from tests.empirical.networks import batch, mlp, resnet, state
from tests.laws import Mutation, law

seeds = st.integers(0, 1000)


def half_squares(outputs: Tensor, targets: Tensor) -> Tensor:
    return (outputs - targets).square().sum() / 2


def linear_problem(seed: int) -> tuple[nn.Linear, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    model = nn.Linear(4, 1, bias=False).double()
    with torch.no_grad():
        model.weight.copy_(torch.randn(1, 4, generator=generator))
    inputs = torch.randn(6, 4, generator=generator, dtype=torch.float64)
    return model, inputs, torch.randn(6, 1, generator=generator, dtype=torch.float64)


def closed_form(model: nn.Linear, inputs: Tensor, radius: float, adaptive: bool, norm: str) -> float:
    """``E d'Hd / 2`` with ``H = X'X``; a uniform number on [-1, 1] has variance 1/3. The linear term has mean zero."""
    squares = model.weight.detach()[0] ** 2 if adaptive else torch.ones(4)
    value = radius**2 / 2 * float((squares * inputs.square().sum(dim=0)).sum())
    return value / 3 if norm == "linf" else value


@law(
    Mutation(
        "not adaptive",
        "sharpdiv.empirical.curvature.loss_surface.LossSurface.magnitudes",
        lambda f: lambda surface, _: f(surface, False),
    ),
    Mutation(
        "uniform for normal",
        "sharpdiv.empirical.curvature.average_case._noise",
        lambda f: lambda w, _, g: f(w, "linf", g),
    ),
    Mutation(
        "normal for uniform",
        "sharpdiv.empirical.curvature.average_case._noise",
        lambda f: lambda w, _, g: f(w, "l2", g),
    ),
    Mutation(
        "uniform on [0, 1]",
        "sharpdiv.empirical.curvature.average_case._noise",
        lambda f: lambda w, n, g: f(w, n, g).abs(),
    ),
    examples=12,
    seed=seeds,
    radius=st.floats(0.2, 2.0),
    adaptive=st.booleans(),
    norm=st.sampled_from(["l2", "linf"]),
)
def test_quadratic_loss_has_a_closed_form(seed: int, radius: float, adaptive: bool, norm: Any) -> None:
    model, inputs, targets = linear_problem(seed)
    found = average_sharpness.average_case_sharpness(
        model,
        [(inputs, targets)],
        radius,
        adaptive,
        norm,
        half_squares,
        draws=100,
        generator=torch.Generator().manual_seed(seed),
    )
    # 5 standard errors: of normal means, 12 examples exceed it once in 10^5 runs.
    assert abs(found.mean - closed_form(model, inputs, radius, adaptive, norm)) < 5 * found.stderr


@law(
    Mutation(
        "batches share their draws",
        "sharpdiv.empirical.curvature.average_case.stratified_mean",
        lambda f: lambda x, s: Estimate(f(x, s).mean, len(x) ** 0.5 * f(x, s).stderr),
    ),
    Mutation(
        "error of all batches' draws after one batch's",
        "sharpdiv.empirical.curvature.average_case.stratified_mean",
        lambda f: lambda x, s: Estimate(f(x, s).mean, f(x, s).stderr / len(x) ** 0.5),
    ),
)
def test_the_standard_error_is_honest() -> None:
    """Deviations from the closed form over their standard errors have mean square one, also if a batch occurs four times.

    At this radius the gradient's term dominates and draws are nearly normal: 100 squares scatter by ``sqrt(2 / 100) = 0.14``.
    """
    model, inputs, targets = linear_problem(0)
    exact = closed_form(model, inputs, 0.05, adaptive=True, norm="l2")
    scores = []
    for seed in range(100):
        found = average_sharpness.average_case_sharpness(
            model,
            [(inputs, targets)] * 4,
            0.05,
            loss=half_squares,
            draws=10,
            generator=torch.Generator().manual_seed(seed),
        )
        scores.append((found.mean - exact) / found.stderr)
    assert np.mean(np.square(scores)) == pytest.approx(1, abs=0.5)


def test_a_stratified_mean_by_hand() -> None:
    """Means 2 and 4, variances of the means ``2 / 2`` and ``8 / 2``."""
    draws = np.array([[1.0, 3.0], [2.0, 6.0]])
    assert stratified_mean(draws, 0.5) == pytest.approx((3, 5**0.5 / 2))
    assert stratified_mean(draws, np.array([0.75, 0.25])) == pytest.approx((2.5, (0.75**2 + 4 * 0.25**2) ** 0.5))


def test_a_point_has_no_sharpness() -> None:
    """With every weight 0 adaptive perturbations are 0."""
    model = nn.Linear(5, 3)
    for p in model.parameters():
        nn.init.zeros_(p)
    generator = torch.Generator().manual_seed(0)
    assert average_case_sharpness(model, [batch(0)], generator=generator) == (0.0, 0.0)
    assert average_case_sharpness(model, [batch(0)], adaptive=False, generator=generator).mean > 0


def test_the_seed_decides_and_nothing_is_touched() -> None:
    model = resnet(0)
    before, modes = state(model), [m.training for m in model.modules()]
    data = [batch(0, 6, (1, 8, 8), 4)]
    first, second, other = (
        average_case_sharpness(model, iter(data), generator=torch.Generator().manual_seed(seed)) for seed in (1, 1, 2)
    )
    assert first == second != other
    assert all(torch.equal(a, b) for a, b in zip(before, state(model), strict=True))
    assert modes == [m.training for m in model.modules()]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"radius": 0.0}, "radius"),
        ({"radius": float("inf")}, "radius"),
        ({"draws": 1}, "draws"),
        ({"batches": []}, "at least one batch"),
        ({"batches": [batch(0, size=0)]}, "batch 1 has none"),
    ],
)
def test_bad_options_are_refused(options: dict[str, Any], message: str) -> None:
    arguments: dict[str, Any] = {"batches": [batch(0)]} | options
    with pytest.raises(InputError, match=message):
        average_case_sharpness(mlp(0), **arguments, generator=torch.Generator())


def test_a_diverged_model_is_an_error_not_a_number() -> None:
    model = mlp(0)
    nn.init.constant_(model.last.weight, float("nan"))
    with pytest.raises(DivergenceError):
        average_case_sharpness(model, [batch(0)], generator=torch.Generator())
