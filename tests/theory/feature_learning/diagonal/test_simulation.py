"""The simulation is SAM: against PyTorch, against loops, and what it does at its edges."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import strategies as st

from sharpdiv.empirical.optim.sam import SAM
from sharpdiv.empirical.optim.sharpbalance import sharpbalance_step
from sharpdiv.theory.errors import DomainError
from sharpdiv.theory.feature_learning.diagonal import simulation
from sharpdiv.theory.feature_learning.diagonal.setting import DiagonalSetting
from sharpdiv.theory.feature_learning.diagonal.training import Networks, Training
from tests.laws import Mutation, law
from tests.reference import dual_maximum
from tests.theory.feature_learning.diagonal.cases import ROOM

SMALL = DiagonalSetting(n=12, d=30, learning_rate=0.5, label_noise=0.1)


class DiagonalNetwork(torch.nn.Module):
    """The same network, with PyTorch's gradients."""

    def __init__(self, alpha: np.ndarray) -> None:
        super().__init__()
        self.plus, self.minus = (torch.nn.Parameter(torch.tensor(alpha)) for _ in range(2))

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return inputs @ (self.plus**2 - self.minus**2)


def half_square(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    return (outputs - targets).square().mean() / 2


def trained_by_torch(X: np.ndarray, y: np.ndarray, alpha: np.ndarray, m: int, rho: float, steps: int) -> np.ndarray:
    """Our optimizer's steps; a group of one sample, which batch norm forbids there, by its own closure."""
    network = DiagonalNetwork(alpha)
    optimizer = SAM(network.parameters(), torch.optim.SGD, rho=rho, lr=0.5, normalize=False)
    inputs, targets = torch.tensor(X), torch.tensor(y)
    for _ in range(steps):
        if m > 1:
            everything = torch.ones(len(y), dtype=torch.bool)
            sharpbalance_step(network, optimizer, inputs, targets, everything, half_square, m=m)
            continue
        gradients = [torch.zeros_like(p) for p in network.parameters()]
        for one in range(len(y)):
            start = [p.detach().clone() for p in network.parameters()]
            first = torch.autograd.grad(
                half_square(network(inputs[one : one + 1]), targets[one : one + 1]), list(network.parameters())
            )
            with torch.no_grad():
                for p, g in zip(network.parameters(), first, strict=True):
                    p.add_(g, alpha=rho)
            second = torch.autograd.grad(
                half_square(network(inputs[one : one + 1]), targets[one : one + 1]), list(network.parameters())
            )
            with torch.no_grad():
                for p, before, total, g in zip(network.parameters(), start, gradients, second, strict=True):
                    p.copy_(before)
                    total += g / len(y)
        with torch.no_grad():
            for p, total in zip(network.parameters(), gradients, strict=True):
                p.sub_(total, alpha=0.5)
    return np.stack([p.detach().numpy() for p in network.parameters()])


@law(
    Mutation(
        "no second order of the ascent",
        f"{ROOM}.training.Training._of_groups",
        lambda f: lambda self, nets, r, rho: (f(self, nets, r, rho)[0], 0 * r @ self.inputs),
    ),
    Mutation(
        "ascent of half the length",
        f"{ROOM}.training.Training.step",
        lambda f: lambda self, nets, r, rho: f(self, nets, r, rho / 2),
    ),
    examples=4,
    m=st.sampled_from([2, 3, 4, 12]),
    rho=st.floats(0.2, 0.5),
)
def test_steps_are_those_of_our_optimizer(m: int, rho: float) -> None:
    rng = np.random.default_rng(m)
    X, y, alpha = rng.standard_normal((12, 30)) / np.sqrt(30), rng.standard_normal(12), rng.uniform(0.1, 1, (2, 30))
    training, networks = Training(X, y, m, 0.5), Networks.started(alpha)
    for _ in range(20):
        networks = training.step(networks, training.residuals(networks), np.full((2, 12 // m), rho))
    for member in range(2):
        plus, minus = trained_by_torch(X, y, alpha[member], m, rho, 20)
        assert networks.plus[member] == pytest.approx(plus, rel=1e-12)
        assert networks.minus[member] == pytest.approx(minus, rel=1e-12)


@law(
    Mutation(
        "no second order of the ascent",
        f"{ROOM}.training.Training._of_samples",
        lambda f: lambda self, nets, r, rho: (f(self, nets, r, rho)[0], 0 * r @ self.inputs),
    ),
    Mutation(
        "mean ascent for each sample's",
        f"{ROOM}.training.Training._of_samples",
        lambda f: (
            lambda self, nets, r, rho: Training(self.inputs, self.targets, len(self.targets), 0.5)._of_groups(
                nets, r, rho[:, :1]
            )
        ),
    ),
    examples=3,
    rho=st.floats(0.2, 1.0),
)
def test_per_sample_steps_are_torch_s(rho: float) -> None:
    rng = np.random.default_rng(0)
    X, y, alpha = rng.standard_normal((12, 30)) / np.sqrt(30), rng.standard_normal(12), rng.uniform(0.1, 1, 30)
    training, networks = Training(X, y, 1, 0.5), Networks.started(alpha[None])
    for _ in range(10):
        networks = training.step(networks, training.residuals(networks), np.full((1, 12), rho))
    plus, minus = trained_by_torch(X, y, alpha, 1, rho, 10)
    assert networks.plus[0] == pytest.approx(plus, rel=1e-12)
    assert networks.minus[0] == pytest.approx(minus, rel=1e-12)


def test_flatness_is_that_of_the_hessian() -> None:
    """By PyTorch's Hessian of the loss at interpolation."""
    rng = np.random.default_rng(1)
    X, y = rng.standard_normal((4, 7)) / np.sqrt(7), rng.standard_normal(4)
    training = Training(X, y, 2, 0.05)
    trained = training.run(Networks.started(rng.uniform(0.3, 0.6, (1, 7))), 0.1, stop=1e-24)
    loss, trace, kappa = simulation._flatness(training, trained, 0.2)

    def of(weights: torch.Tensor) -> torch.Tensor:
        return half_square(torch.tensor(X) @ (weights[:7] ** 2 - weights[7:] ** 2), torch.tensor(y))

    weights = torch.tensor(np.concatenate([trained.plus[0], trained.minus[0]]))
    hessian = torch.autograd.functional.hessian(of, weights).numpy()
    gradient = torch.autograd.functional.jacobian(of, weights).numpy()
    assert loss < 1e-24
    assert trace == pytest.approx(np.trace(hessian), rel=1e-9)
    assert kappa == pytest.approx(dual_maximum(hessian, gradient, 0.2), rel=1e-6)


def test_a_simulation_is_its_seed_and_shares_initializations_over_rho() -> None:
    first, second, other = (
        simulation.simulate_diagonal(SMALL, (0.0, 0.0, 0.2), draws=2, networks=3, seed=seed) for seed in (1, 1, 2)
    )
    assert first == second
    assert first != other
    assert first.diversity.mean[0] == first.diversity.mean[1] != first.diversity.mean[2]


def test_errors_of_blocks_are_those_of_pairs() -> None:
    rng = np.random.default_rng(0)
    beta, teacher = rng.standard_normal((1, 3, 4, 5)), rng.standard_normal(5)
    member, diversity = simulation._errors(beta, teacher)
    pairs = [
        ((one - other) ** 2).mean() / 2
        for a, b in ((0, 1), (0, 2), (1, 2))
        for one in beta[0, a]
        for other in beta[0, b]
    ]
    assert diversity == pytest.approx(np.mean(pairs))
    assert member == pytest.approx(((beta - teacher) ** 2).mean())


def test_only_the_aware_groups_ascend() -> None:
    rng = np.random.default_rng(2)
    X, y = rng.standard_normal((6, 15)) / 4, rng.standard_normal(6)
    start, training = Networks.started(np.full((2, 15), 0.4)), Training(X, y, 2, 0.5)
    aware = np.array([[False] * 3, [True] * 3])
    mixed = training.run(start, 0.4, 1e-8, aware)
    plain = training.run(start, 0.0, 1e-8)
    # Members stop together, so that the two differ by what a few more steps at a loss of 1e-8 move.
    assert mixed.plus[0] == pytest.approx(plain.plus[0], abs=1e-3)
    assert np.all((mixed.plus * mixed.minus)[1].mean() < (mixed.plus * mixed.minus)[0].mean() * 0.99)


def test_what_does_not_get_there_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sharpdiv.theory.feature_learning.diagonal.training._MOST_STEPS", 3)
    with pytest.raises(DomainError, match=r"after 3 steps at rho 0\.1, not 1e-06"):
        simulation.simulate_diagonal(replace(SMALL, learning_rate=1e-3), 0.1, draws=1, networks=2)
