"""Training to equal losses against the explicit loop of its definition, the product's own SAM, kernels, and linear models."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import strategies as st
from torch import Tensor, nn

from sharpdiv.empirical.curvature.tangent_kernel import tangent_kernel
from sharpdiv.empirical.errors import DivergenceError, InputError
from sharpdiv.empirical.lazy.equal_loss import EqualLoss, FitProblem, train_to_losses
from sharpdiv.empirical.optim.sam import SAM
from sharpdiv.empirical.optim.sharpbalance import sharpbalance_step
from tests.laws import Mutation, law, types_unchecked

SAMPLES, INPUTS, OUTPUTS = 12, 5, 3
RATE, RHO = 0.05, 0.2
NEVER = 1e-12
"""A loss that some steps do not reach."""


def problem(seed: int) -> FitProblem:
    generator = torch.Generator().manual_seed(seed)
    draw: dict[str, Any] = {"generator": generator, "dtype": torch.float64}
    images = torch.randn(SAMPLES, INPUTS, **draw)
    return FitProblem(images, torch.randn(SAMPLES, OUTPUTS, **draw), test=images)


def network(seed: int) -> nn.Sequential:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nn.Sequential(nn.Linear(INPUTS, 8), nn.Tanh(), nn.Linear(8, OUTPUTS, bias=False)).double()


def reached(seed: int, m: int, steps: int) -> EqualLoss:
    """A member after some steps: at the loss that it has there."""
    p, model = problem(seed), network(seed)
    settings: dict[str, Any] = {"rho": RHO, "learning_rate": RATE, "seed": seed}
    by_hand = explicit(p, model, m, steps, **settings)
    value = float((by_hand - p.targets).square().sum() / (2 * SAMPLES))
    return train_to_losses(network(seed), p, (value * (1 + 1e-12),), m=m, most_steps=steps, **settings)


def explicit(
    p: FitProblem, model: nn.Module, m: int, steps: int, *, seed: int, rho: float, learning_rate: float
) -> Tensor:
    """Outputs after some steps, by a loop over groups and tensors."""
    generator = torch.Generator().manual_seed(seed)
    weights = list(model.parameters())

    def gradient(group: Tensor) -> list[Tensor]:
        loss = (model(p.images[group]) - p.targets[group]).square().sum() / (2 * len(group))
        return list(torch.autograd.grad(loss, weights))

    for _ in range(steps):
        descent = [torch.zeros_like(w) for w in weights]
        for group in torch.randperm(SAMPLES, generator=generator).view(-1, m):
            ascent = gradient(group)
            for w, a in zip(weights, ascent, strict=True):
                w.data.add_(rho * a)
            for total, g in zip(descent, gradient(group), strict=True):
                total.add_(g * m / SAMPLES)
            for w, a in zip(weights, ascent, strict=True):
                w.data.sub_(rho * a)
        for w, g in zip(weights, descent, strict=True):
            w.data.sub_(learning_rate * g)
    return model(p.images).detach()


NO_ASCENT = Mutation(
    "no ascent",
    "sharpdiv.empirical.lazy.equal_loss._Fit.step",
    lambda f: lambda s, w, g, rho, rate: f(s, w, g, 0.0, rate),
)
ONE_ASCENT = Mutation(
    "one ascent for all groups",
    "sharpdiv.empirical.lazy.equal_loss._Fit.step",
    lambda f: lambda s, w, g, rho, rate: f(s, w, g.reshape(1, -1), rho, rate),
)
DOWNWARD = Mutation(
    "an ascent that goes down",
    "sharpdiv.empirical.lazy.equal_loss._Fit.step",
    lambda f: lambda s, w, g, rho, rate: f(s, w, g, -rho, rate),
)
SUMMED = Mutation(
    "gradients of groups summed up",
    "sharpdiv.empirical.lazy.equal_loss._Fit.step",
    lambda f: lambda s, w, g, rho, rate: f(s, w, g, rho, rate * len(g)),
)


@law(NO_ASCENT, ONE_ASCENT, DOWNWARD, SUMMED, examples=8, seed=st.integers(0, 1000), m=st.sampled_from([1, 3, 4]))
def test_steps_are_what_the_definition_says(seed: int, m: int) -> None:
    found = reached(seed, m, steps=4)
    by_hand = explicit(problem(seed), network(seed), m, 4, seed=seed, rho=RHO, learning_rate=RATE)
    torch.testing.assert_close(found.predictions[0], by_hand, rtol=0, atol=1e-10)  # the level is 1e-12 above


@law(NO_ASCENT, DOWNWARD, examples=6, seed=st.integers(0, 1000))
def test_a_full_batch_step_is_that_of_sam(seed: int) -> None:
    p, model = problem(seed), network(seed)
    optimizer = SAM(model.parameters(), torch.optim.SGD, RHO, normalize=False, lr=RATE)
    everything = torch.ones(SAMPLES, dtype=torch.bool)
    for _ in range(3):
        sharpbalance_step(
            model, optimizer, p.images, p.targets, everything, lambda h, y: (h - y).square().sum() / (2 * len(y))
        )
    found = reached(seed, SAMPLES, steps=3)
    torch.testing.assert_close(found.predictions[0], model(p.images).detach(), rtol=0, atol=1e-10)
    norms = torch.stack([w.detach().square().sum() for w in model.parameters()])
    torch.testing.assert_close(found.squared_norms[0], norms, rtol=1e-10, atol=0)


NOT_OVER_SAMPLES = Mutation(
    "summed over the samples",
    "sharpdiv.empirical.lazy.equal_loss._Fit._trace",
    lambda f: lambda s, w: f(s, w) * SAMPLES,
)


@law(NOT_OVER_SAMPLES, examples=6, seed=st.integers(0, 1000))
def test_the_trace_is_that_of_the_tangent_kernel(seed: int) -> None:
    p, model = problem(seed), network(seed)
    kernel = tangent_kernel(model, p.images, p.images)[0]
    start = float((model(p.images) - p.targets).detach().square().sum() / (2 * SAMPLES))
    found = train_to_losses(model, p, (start * (1 + 1e-12),), rho=0.0, learning_rate=RATE)
    assert found.steps[0] == 0
    expected = float(torch.einsum("ncnc->", kernel)) / SAMPLES
    assert float(found.trace[0]) == pytest.approx(expected, rel=1e-10)


NOT_INTERPOLATED = Mutation(
    "the step behind the level instead of one between",
    "sharpdiv.empirical.lazy.equal_loss.torch.lerp",
    lambda _: lambda before, after, share: after,
)


@law(NOT_INTERPOLATED, examples=6, seed=st.integers(0, 1000), m=st.sampled_from([1, 4, SAMPLES]))
def test_members_are_looked_at_where_the_loss_is_the_level(seed: int, m: int) -> None:
    p = problem(seed)
    start = float((network(seed)(p.images) - p.targets).detach().square().sum() / (2 * SAMPLES))
    levels = (0.97 * start, 0.8 * start, 0.6 * start)
    found = train_to_losses(network(seed), p, levels, rho=0.05, learning_rate=RATE, m=m, seed=seed)
    losses = (found.predictions - p.targets).square().sum(dim=(1, 2)) / (2 * SAMPLES)
    # A step takes a few percent of the loss, q; a chord of a convex loss is off by its square at most.
    torch.testing.assert_close(losses, torch.tensor(levels, dtype=torch.float64), rtol=2e-3, atol=0)
    assert (found.steps.diff() > 0).all()


NOT_SUBTRACTED = Mutation(
    "initial outputs left in",
    "sharpdiv.empirical.lazy.equal_loss._Fit.__init__",
    lambda f: lambda s, model, p, alpha, subtract_initial: f(s, model, p, alpha, False),
)
LOSS_NOT_SCALED = Mutation(
    "a loss not divided by alpha squared",
    "sharpdiv.empirical.lazy.equal_loss._Fit.step",
    lambda f: lambda s, w, g, rho, rate: f(s, w, g, rho * s.alpha**2, rate * s.alpha**2),
)


@law(NOT_SUBTRACTED, LOSS_NOT_SCALED, examples=6, seed=st.integers(0, 1000), alpha=st.floats(1.5, 20.0))
def test_in_a_linear_model_alpha_changes_nothing_if_initial_outputs_are_subtracted(seed: int, alpha: float) -> None:
    p = problem(seed)
    head = nn.Linear(INPUTS, OUTPUTS, bias=False).double()
    nn.init.constant_(head.weight, 0.3)
    level = (0.9 * float(p.targets.square().sum() / (2 * SAMPLES)),)
    one, other = (
        train_to_losses(
            head, p, level, rho=0.1, learning_rate=RATE, m=4, alpha=a, subtract_initial=True, most_steps=400
        )
        for a in (1.0, alpha)
    )
    torch.testing.assert_close(one.predictions, other.predictions, rtol=1e-8, atol=1e-10)
    torch.testing.assert_close(one.trace, other.trace)


def test_levels_that_are_not_reached_are_nan_and_the_network_stays_as_it_was() -> None:
    model = network(0).train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    found = train_to_losses(model, problem(0), (0.5, NEVER), rho=0.1, learning_rate=RATE, m=3, most_steps=300)
    assert found.predictions[0].isfinite().all()
    assert found.predictions[1].isnan().all()
    assert [bool(v.isnan()) for v in (found.steps[1], found.trace[1], found.squared_norms[1, 0])] == [True] * 3
    assert model.training
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


def test_frozen_weights_stay_and_are_not_counted() -> None:
    model = network(0)
    model[0].requires_grad_(requires_grad=False)
    found = train_to_losses(model, problem(0), (0.9,), rho=0.0, learning_rate=RATE, most_steps=400)
    assert found.squared_norms.shape == (1, 1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"losses": ()}, "levels that fall"),
        ({"losses": (0.1, 0.2)}, "levels that fall"),
        ({"losses": (0.1, 0.0)}, "levels that fall"),
        ({"m": 5}, "m must divide the 12 samples, got 5"),
        ({"m": 0}, "m must divide the 12 samples, got 0"),
        ({"rho": -0.1}, "rho must be finite and not negative"),
        ({"learning_rate": 0.0}, "learning_rate must be finite and positive"),
        ({"alpha": float("nan")}, "alpha must be finite and positive"),
        ({"most_steps": 0}, "most_steps must be finite and positive"),
    ],
)
def test_what_makes_no_sense_is_refused(options: dict[str, Any], message: str) -> None:
    settings: dict[str, Any] = {"losses": (0.5,), "rho": 0.1, "learning_rate": RATE} | options
    with pytest.raises(InputError, match=message):
        train_to_losses(network(0), problem(0), settings.pop("losses"), **settings)


def test_targets_must_fit() -> None:
    p = problem(0)
    with types_unchecked(), pytest.raises(InputError, match="a target for each image, got 11 for 12"):
        train_to_losses(network(0), replace(p, targets=p.targets[1:]), (0.5,), rho=0.0, learning_rate=RATE)
    with pytest.raises(InputError, match=r"the outputs' shape \(12, 3\), got \(12, 1\)"):
        train_to_losses(network(0), replace(p, targets=p.targets[:, :1]), (0.5,), rho=0.0, learning_rate=RATE)
    frozen = network(0).requires_grad_(requires_grad=False)
    with pytest.raises(InputError, match="no trainable parameters"):
        train_to_losses(frozen, p, (0.5,), rho=0.0, learning_rate=RATE)


def test_divergence_is_said() -> None:
    with pytest.raises(DivergenceError, match="ascents of 12 samples diverged in step"):
        train_to_losses(network(0), problem(0), (NEVER,), rho=0.0, learning_rate=50.0)


def test_levels_are_met_in_a_step_that_ends_at_no_loss() -> None:
    """Of one weight from 0 to 2, the outputs' error and the root of the loss, 2 (1 - w / 2)^2, fall linearly."""
    data = torch.tensor([[1.0], [-1.0]])
    model = nn.Linear(1, 1, bias=False)
    nn.init.zeros_(model.weight)
    problem = FitProblem(data, targets=2 * data, test=data)
    found = train_to_losses(model, problem, (0.5, 0.125), rho=0.0, learning_rate=1.0)
    assert found.predictions[:, 0, 0].tolist() == [1.0, 1.5]
    assert found.steps.tolist() == [0.5, 0.75]
