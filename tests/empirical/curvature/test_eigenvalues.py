"""The largest eigenvalues against the textbook Hessian of logistic regression and finite differences of gradients."""

from contextlib import nullcontext
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import strategies as st
from torch import Tensor, nn

from sharpdiv.empirical.curvature import eigenvalues, lanczos
from sharpdiv.empirical.curvature.eigenvalues import hessian_eigenvalues
from sharpdiv.empirical.curvature.recording import evaluation_mode
from sharpdiv.empirical.errors import DivergenceError, InputError
from sharpdiv.theory.errors import ConvergenceError
from tests.empirical.curvature.regression import logistic_loss, logistic_regression
from tests.empirical.networks import batch, left_scaled, mlp, resnet, state
from tests.laws import Mutation, law

seeds = st.integers(0, 1000)
ALIKE = Mutation(
    "batches weigh alike",
    "sharpdiv.empirical.curvature.eigenvalues.shares",
    lambda _: lambda b: np.full(len(b), 1 / len(b)),
)
DOUBLE = Mutation(
    "twice the product",
    "sharpdiv.empirical.curvature.eigenvalues.hessian_product",
    lambda f: lambda surface, b: lambda v: 2 * f(surface, b)(v),
)


def smooth_network(seed: int) -> nn.Module:
    """Batch norm with statistics of its own between two layers."""
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(5, 4), nn.BatchNorm1d(4), nn.Tanh(), nn.Linear(4, 3)).double()
    model(torch.randn(30, 5, dtype=torch.float64))
    return model


def dense_hessian(model: nn.Module, batches: list[tuple[Tensor, Tensor]]) -> np.ndarray:
    """Central differences of plain gradients at the weights moved one by one, in evaluation mode."""
    inputs, targets = (torch.cat(parts) for parts in zip(*batches, strict=True))
    parameters, step = list(model.parameters()), 1e-5

    def gradient() -> np.ndarray:
        model.zero_grad()
        nn.functional.cross_entropy(model(inputs), targets).backward()
        return np.concatenate([p.grad.flatten().numpy() for p in parameters if p.grad is not None])

    columns = []
    with evaluation_mode(model):
        for flat in [p.data.view(-1) for p in parameters]:
            for i in range(len(flat)):
                at = float(flat[i])
                flat[i] = at + step
                above = gradient()
                flat[i] = at - step
                columns.append((above - gradient()) / (2 * step))
                flat[i] = at
    model.zero_grad()
    return np.array(columns)


@law(
    ALIKE,
    DOUBLE,
    Mutation(
        "smallest",
        "sharpdiv.empirical.curvature.eigenvalues.largest_eigenvalues",
        lambda f: lambda product, *rest: -f(lambda v: -product(v), *rest),
    ),
    examples=10,
    seed=seeds,
    count=st.integers(1, 5),
)
def test_eigenvalues_of_logistic_regression(seed: int, count: int) -> None:
    model, batches, exact = logistic_regression(seed)
    found = eigenvalues.hessian_eigenvalues(model, iter(batches), count, logistic_loss, tolerance=1e-10)
    assert found == pytest.approx(np.linalg.eigvalsh(exact)[::-1][:count], rel=1e-9)


@law(
    Mutation(
        "training mode",
        "sharpdiv.empirical.curvature.eigenvalues.untouched",
        lambda _: lambda _model: nullcontext(),
    ),
    Mutation(
        "gradient of the first layer",
        "sharpdiv.empirical.curvature.eigenvalues.hessian_product",
        lambda f: lambda s, b: lambda v: f(s, b)(v * (torch.arange(len(v)) < 24)) * (torch.arange(len(v)) < 24),
    ),
    examples=2,
    seed=seeds,
)
def test_eigenvalues_of_a_network(seed: int) -> None:
    """Central differences with step h err by h^2 and by rounding / h, about 1e-10 here; their asymmetry shows it."""
    model, batches = smooth_network(seed), [batch(seed, size) for size in (5, 9)]
    batches = [(inputs.double(), targets) for inputs, targets in batches]
    dense = dense_hessian(model, batches)
    assert np.abs(dense - dense.T).max() < 1e-8
    found = eigenvalues.hessian_eigenvalues(model, batches, 6, tolerance=1e-10)
    assert found == pytest.approx(np.linalg.eigvalsh((dense + dense.T) / 2)[::-1][:6], abs=1e-7)


@law(
    Mutation(
        "writes to the weights",
        "sharpdiv.empirical.curvature.eigenvalues.untouched",
        lambda _: left_scaled,
    ),
    Mutation(
        "training mode",
        "sharpdiv.empirical.curvature.eigenvalues.untouched",
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
    eigenvalues.hessian_eigenvalues(model, data)
    assert all(torch.equal(a, b) for a, b in zip(before, state(model), strict=True))
    assert modes == [m.training for m in model.modules()]
    assert all(p.grad is None for p in model.parameters())


def test_the_seed_decides_and_the_tolerance_holds() -> None:
    model, data = resnet(0), [batch(0, 6, (1, 8, 8), 4)]
    first, second, other = (hessian_eigenvalues(model, data, 2, seed=seed) for seed in (1, 1, 2))
    assert first.tolist() == second.tolist() != other.tolist()
    assert other == pytest.approx(first, rel=2e-3)  # twice the tolerance


def test_a_linear_loss_has_no_curvature() -> None:
    model, batches, _ = logistic_regression(0)
    assert hessian_eigenvalues(model, batches, 2, loss=lambda outputs, _: outputs.sum()).tolist() == [0, 0]


def test_what_did_not_converge_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """The spectrum of 300 random features is too dense for one restart."""
    monkeypatch.setattr(lanczos, "_RESTARTS", 1)
    model, generator = nn.Linear(300, 1).double(), torch.Generator().manual_seed(0)
    inputs = torch.randn(400, 300, generator=generator, dtype=torch.float64)
    with pytest.raises(ConvergenceError, match="tolerance 1e-12"):
        hessian_eigenvalues(model, [(inputs, (inputs[:, 0] > 0).double())], 3, logistic_loss, tolerance=1e-12)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"count": 0}, "count"),
        ({"count": 6}, "weights, 6"),
        ({"tolerance": 0.0}, "tolerance"),
        ({"tolerance": float("nan")}, "tolerance"),
        ({"batches": []}, "at least one batch"),
    ],
)
def test_bad_options_are_refused(options: dict[str, Any], message: str) -> None:
    model, batches, _ = logistic_regression(0)
    arguments: dict[str, Any] = {"batches": batches, "loss": logistic_loss} | options
    with pytest.raises(InputError, match=message):
        hessian_eigenvalues(model, **arguments)


def test_a_diverged_model_is_an_error_not_a_number() -> None:
    model = mlp(0)
    nn.init.constant_(model.last.weight, float("nan"))
    with pytest.raises(DivergenceError):
        hessian_eigenvalues(model, [batch(0)])
