"""Per-sample sharpness against one backward pass for each sample."""

import pytest
import torch
from hypothesis import strategies as st
from torch import nn

from empirical import InputError, per_sample, per_sample_sharpness
from tests.empirical.networks import batch, mlp, resnet, state
from tests.laws import Mutation, law
from tests.reference import sharpness_per_sample

seeds = st.integers(0, 1000)


@law(
    Mutation(
        "biases forgotten", "empirical.per_sample._trainable", lambda f: lambda p: f(p) * (p is None or p.ndim > 1)
    ),
    Mutation(
        "half of every norm of a bias or batch norm", "empirical.per_sample._trainable", lambda f: lambda p: 0.5 * f(p)
    ),
    examples=10,
    seed=seeds,
    kind=st.sampled_from(["mlp", "resnet"]),
)
def test_scores_are_single_sample_gradients(seed: int, kind: str) -> None:
    if kind == "mlp":
        model: nn.Module = mlp(seed, torch.float64)
        inputs, targets = batch(seed, 6)
    else:
        model = resnet(seed, torch.float64)
        inputs, targets = batch(seed, 5, (1, 8, 8), 4)
    model(inputs.double())  # running statistics that are not the initial ones
    scores = per_sample.per_sample_sharpness(model, inputs.double(), targets)
    expected = sharpness_per_sample(model, inputs.double(), targets)
    assert scores.numpy() == pytest.approx(expected.numpy(), rel=1e-9)


@pytest.mark.parametrize("size", [2, 24])  # few positions take the Gram form, many the materialised one
@pytest.mark.parametrize(("stride", "dilation", "padding"), [(1, 1, 0), (2, 1, 1), (1, 2, 2)])
def test_both_forms_of_a_convolution(size: int, stride: int, dilation: int, padding: int) -> None:
    torch.manual_seed(0)
    conv = nn.Conv2d(3, 4, 2, stride, padding, dilation)
    model = nn.Sequential(conv, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3)).double()
    inputs, targets = batch(1, 4, (3, size + 2 * dilation, size + 2 * dilation))
    expected = sharpness_per_sample(model, inputs.double(), targets)
    assert per_sample_sharpness(model, inputs.double(), targets).numpy() == pytest.approx(expected.numpy(), rel=1e-9)


def test_linear_layers_share_weights_over_positions() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(5, 4), nn.Tanh(), nn.Flatten(), nn.Linear(12, 3)).double()
    inputs, targets = batch(2, 4, (3, 5))
    expected = sharpness_per_sample(model, inputs.double(), targets)
    assert per_sample_sharpness(model, inputs.double(), targets).numpy() == pytest.approx(expected.numpy(), rel=1e-9)


def test_frozen_parameters_do_not_count_and_nothing_is_left_behind() -> None:
    model = mlp(3, torch.float64)
    model.first.requires_grad_(False)
    before, mode = state(model), model.training
    inputs, targets = batch(3)
    scores = per_sample_sharpness(model, inputs.double(), targets)
    assert all(torch.equal(a, b) for a, b in zip(before, state(model), strict=True))
    assert model.training is mode
    assert all(p.grad is None for p in model.parameters())
    assert not any(m._forward_hooks for m in model.modules())
    assert scores.numpy() == pytest.approx(sharpness_per_sample(model, inputs.double(), targets).numpy(), rel=1e-9)


@pytest.mark.parametrize(
    "model",
    [
        nn.Sequential(nn.LayerNorm(5), nn.Linear(5, 3)),
        nn.Sequential(nn.Unflatten(1, (1, 5)), nn.Conv1d(1, 1, 1), nn.Flatten(), nn.Linear(5, 3)),
    ],
)
def test_unsupported_layers_are_named(model: nn.Module) -> None:
    with pytest.raises(InputError, match=r"LayerNorm|Conv1d"):
        per_sample_sharpness(model, *batch(0))


def test_shared_layers_and_parameters_are_refused() -> None:
    layer, other = nn.Linear(5, 5), nn.Linear(5, 5)
    with pytest.raises(InputError, match="twice"):
        per_sample_sharpness(nn.Sequential(layer, nn.ReLU(), layer), *batch(0))
    other.weight = layer.weight
    with pytest.raises(InputError, match="shares a parameter"):
        per_sample_sharpness(nn.Sequential(layer, nn.ReLU(), other), *batch(0))
    with pytest.raises(InputError, match="no trainable"):
        per_sample_sharpness(layer.requires_grad_(False), *batch(0))


def test_activations_in_place_change_nothing() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(5, 6), nn.ReLU(inplace=True), nn.Linear(6, 3)).double()
    inputs, targets = batch(4)
    expected = sharpness_per_sample(model, inputs.double(), targets)
    assert per_sample_sharpness(model, inputs.double(), targets).numpy() == pytest.approx(expected.numpy(), rel=1e-9)
