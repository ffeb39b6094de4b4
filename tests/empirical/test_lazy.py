"""Lazy training against explicit loops on a model that is linear in its weights, and on what it promises to leave alone."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import strategies as st
from torch import Tensor, nn

from empirical import (
    DivergenceError,
    InputError,
    LazyProblem,
    LazyTraining,
    ResNet,
    freeze_batch_norm,
    lazy_network,
    train_lazy,
)
from tests.laws import Mutation, law

TRAIN, TEST, CLASSES, INPUTS = 8, 5, 3, 6


def problem(seed: int, own: int = TRAIN) -> LazyProblem:
    generator = torch.Generator().manual_seed(seed)
    exact: dict[str, Any] = {"generator": generator, "dtype": torch.float64}
    mine = torch.randperm(TRAIN, generator=generator) < own
    labels = nn.functional.one_hot(torch.randint(CLASSES, (TRAIN,), generator=generator), CLASSES).double()
    return LazyProblem(torch.randn(TRAIN, INPUTS, **exact), labels, torch.randn(TEST, INPUTS, **exact), mine)


def explicit(
    p: LazyProblem, start: np.ndarray, alpha: float, rate: float, rho: float, steps: int, *, normalize: bool
) -> np.ndarray:
    """Test predictions of ``f = x W`` trained by the definition of h and of the loss, with gradients by hand."""
    x, y, test = p.train.numpy()[p.own.numpy()], p.labels.numpy()[p.own.numpy()], p.test.numpy()

    def h(w: np.ndarray, at: np.ndarray) -> np.ndarray:
        return alpha * ((at @ w - (x @ w).mean(axis=0)) - (at @ start - (x @ start).mean(axis=0)))

    def gradient(w: np.ndarray) -> np.ndarray:
        error = h(w, x) - (y - y.mean(axis=0))
        return alpha * (x - x.mean(axis=0)).T @ error / (len(x) * alpha**2)

    w = start.copy()
    for _ in range(steps):
        g = gradient(w)
        ascent = rho / alpha * g / max(float(np.linalg.norm(g)), 1e-300) if normalize else rho * g
        w = w - rate * gradient(w + ascent)
    return h(w, test) + y.mean(axis=0)


def head(seed: int) -> nn.Linear:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nn.Linear(INPUTS, CLASSES, bias=False).double()


def trained(seed: int, own: int = TRAIN, **options: Any) -> LazyTraining:
    settings: dict[str, Any] = {"alpha": 3.0, "learning_rate": 0.2, "rho": 0.1, "radius": 0.1, **options}
    return train_lazy(head(seed), problem(seed, own), (2, 5), **settings)


NOT_CENTRED = Mutation(
    "outputs not centred",
    "empirical.lazy._ScaledNetwork.forward",
    lambda _: lambda self, images: self.alpha * self.model(images),
)
CENTRED_OVER_ALL = Mutation(
    "centred over all images",
    "empirical.lazy._ScaledNetwork.forward",
    lambda _: lambda self, images: self.alpha * (self.model(images) - self.model(images).mean(dim=0)),
)
ALWAYS_NORMALISED = Mutation(
    "always a normalised ascent", "empirical.lazy.SAM", lambda f: lambda *a, **k: f(*a, **{**k, "normalize": True})
)
LENGTH_NOT_SCALED = Mutation(
    "a normalised ascent of the length rho whatever alpha",
    "empirical.lazy.SAM",
    lambda f: (
        lambda weights, base, rho, normalize, lr: f(
            weights, base, 3 * rho if normalize else rho, normalize=normalize, lr=lr
        )
    ),
)


@law(
    NOT_CENTRED,
    CENTRED_OVER_ALL,
    ALWAYS_NORMALISED,
    LENGTH_NOT_SCALED,
    seed=st.integers(0, 1000),
    own=st.sampled_from([4, TRAIN]),
    normalize=st.booleans(),
)
def test_training_is_what_its_definition_says(seed: int, own: int, normalize: bool) -> None:
    found = trained(seed, own, normalize=normalize)
    start = head(seed).weight.detach().numpy().T
    for index, steps in enumerate((2, 5)):
        expected = explicit(problem(seed, own), start, 3.0, 0.2, 0.1, steps, normalize=normalize)
        np.testing.assert_allclose(found.predictions[index].numpy(), expected, atol=1e-12)


LOSS_DIVIDED = Mutation(
    "the loss divided by alpha squared twice", "empirical.lazy._half_mean_square", lambda f: lambda h, y: f(h, y) / 9
)


@law(LOSS_DIVIDED, seed=st.integers(0, 1000), alpha=st.floats(1.0, 100.0))
def test_in_a_linear_model_alpha_changes_nothing(seed: int, alpha: float) -> None:
    """Predictions, loss and alpha^2 kappa at radius / alpha; at step 0 the loss is half the labels' variance."""
    one, other = trained(seed, alpha=1.0), trained(seed, alpha=alpha)
    torch.testing.assert_close(one.predictions, other.predictions, rtol=1e-8, atol=1e-10)
    torch.testing.assert_close(one.training_loss, other.training_loss, rtol=1e-8, atol=0)
    torch.testing.assert_close(one.sharpness, other.sharpness, rtol=1e-4, atol=0)  # of ten ascent steps
    start = train_lazy(head(seed), problem(seed), (0,), alpha=alpha, learning_rate=0.1, rho=0.0, radius=0.1)
    labels = problem(seed).labels
    assert float(start.training_loss) == pytest.approx(float(labels.var(dim=0, correction=0).sum() / 2), rel=1e-10)


def test_the_network_stays_at_its_initialisation() -> None:
    model = head(0).train()
    before = model.weight.detach().clone()
    train_lazy(model, problem(0), (3,), alpha=1.0, learning_rate=0.2, rho=0.1, radius=0.1)
    assert model.training
    assert torch.equal(model.weight, before)


def test_a_shorter_training_is_the_beginning_of_a_longer_one() -> None:
    settings: dict[str, Any] = {"alpha": 1.0, "learning_rate": 0.2, "rho": 0.1, "radius": 0.1}
    short, long = (train_lazy(head(1), problem(1), k, **settings) for k in ((4,), (1, 4, 9)))
    assert torch.equal(short.predictions[0], long.predictions[1])


def test_frozen_parameters_are_not_trained() -> None:
    images = torch.randn(6, 1, 8, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    model = lazy_network(2, "relu", "none", images, 0)
    model.requires_grad_(requires_grad=False)
    labels = nn.functional.one_hot(torch.arange(6), 10).double()
    data = LazyProblem(images, labels, images, torch.ones(6, dtype=torch.bool))
    with pytest.raises((InputError, ValueError)):
        train_lazy(model, data, (1,), alpha=1.0, learning_rate=0.1, rho=0.0, radius=0.1)


def test_frozen_batch_norm_normalises_by_the_images_it_was_given() -> None:
    torch.manual_seed(0)
    model = ResNet(2, (1, 1), channels=1, classes=3).double()
    images = torch.randn(20, 1, 8, 8, dtype=torch.float64)
    expected = model.train()(images)
    momenta = [m.momentum for m in model.modules() if isinstance(m, nn.BatchNorm2d)]
    freeze_batch_norm(model, images)
    found = model.eval()(images)
    # Running variances are unbiased, by 1 / (samples * positions): at most 1 / 320, 1 / 80 in the last layers.
    torch.testing.assert_close(found, expected, rtol=0.05, atol=0.05)
    assert [m.momentum for m in model.modules() if isinstance(m, nn.BatchNorm2d)] == momenta
    assert not torch.allclose(ResNet(2, (1, 1), channels=1, classes=3).double().eval()(images), expected, atol=0.05)


def test_networks_start_with_outputs_of_order_one_and_depend_on_the_seed_alone() -> None:
    images = torch.randn(50, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    for norm in ("none", "group", "batch"):
        outputs: list[Tensor] = [lazy_network(8, "relu", norm, images, seed)(images).detach() for seed in (0, 0, 1)]
        assert torch.equal(outputs[0], outputs[1])
        assert not torch.equal(outputs[0], outputs[2])
        assert 0.05 < float(outputs[0].std()) < 20


def test_divergence_stops_and_says_so() -> None:
    with pytest.raises(DivergenceError, match="diverged within"):
        train_lazy(head(0), problem(0), (200,), alpha=1.0, learning_rate=50.0, rho=0.0, radius=0.1)


@pytest.mark.parametrize(
    ("change", "message"),
    [({"alpha": 0.0}, "alpha"), ({"learning_rate": float("nan")}, "learning_rate"), ({"radius": -1.0}, "radius")],
)
def test_bad_numbers_are_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        trained(0, **change)


def test_bad_snapshots_and_empty_blocks_are_refused() -> None:
    settings: dict[str, Any] = {"alpha": 1.0, "learning_rate": 0.2, "rho": 0.1, "radius": 0.1}
    for snapshots in ((), (3, 2), (1, 1), (-1,)):
        with pytest.raises(InputError, match="snapshots"):
            train_lazy(head(0), problem(0), snapshots, **settings)
    with pytest.raises(InputError, match="of its own"):
        train_lazy(head(0), problem(0, own=0), (1,), **settings)
