"""The tangent kernel by hooks against dense Jacobians, and what it refuses."""

from unittest.mock import patch

import pytest
import torch
from hypothesis import assume
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.func import functional_call, jacrev

from sharpdiv.empirical.curvature.tangent_kernel import _by_layers, tangent_kernel
from sharpdiv.empirical.errors import InputError
from sharpdiv.empirical.lazy.training import freeze_batch_norm
from sharpdiv.empirical.models import Activation, Normalization, ResNet, SparseConv2d
from tests.empirical.curvature.odd_layers import (
    Branches,
    Bypass,
    MaskedConv2d,
    MaskedLinear,
    convolutional,
    shared,
    twice,
)
from tests.empirical.networks import batch, mlp
from tests.laws import Mutation, law


def network(seed: int, norm: Normalization, activation: Activation = "gelu", sparsity: float = 0.0) -> ResNet:
    """A network in float64 with strided, 1x1 and 3x3 convolutions, norms that are not trivial, and a biased head."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = ResNet(2, (1, 1), 2, classes=3, sparsity=sparsity, norm=norm, activation=activation).double()
        for parameter in model.parameters():
            if parameter.ndim == 1:
                nn.init.normal_(parameter, 1.0, 0.3)
        freeze_batch_norm(model, torch.randn(12, 2, 6, 6, dtype=torch.float64))
    return model.eval()


def images(seed: int, count: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, 2, 6, 6, generator=generator, dtype=torch.float64)


def agrees(model: nn.Module, train: Tensor, test: Tensor) -> None:
    """The fast route by itself: what is wrong in it would be noticed, and the slow one taken."""
    found = _by_layers(model, train, test)
    jacobian = dense(model, torch.cat([train, test]))
    expected = torch.einsum("icp,jep->icje", jacobian, jacobian[: len(train)])
    # Rounding in float64 of sums of at most a few thousand terms, relative to the largest entry.
    tolerance = 1e-12 * float(expected.abs().max())
    torch.testing.assert_close(torch.cat([found.train, found.test]), expected, rtol=0, atol=tolerance)


def dense(model: nn.Module, inputs: Tensor) -> Tensor:
    """Jacobian ``(samples, classes, weights)`` of the trainable parameters."""
    weights = {name: p.detach() for name, p in model.named_parameters() if p.requires_grad}
    jacobian = jacrev(lambda w: functional_call(model, w, (inputs,)))(weights)
    return torch.cat([j.flatten(2) for j in jacobian.values()], dim=2)


BIASES_FORGOTTEN = Mutation(
    "biases forgotten",
    "sharpdiv.empirical.curvature.tangent_kernel._jacobians",
    lambda f: lambda layer, a, g: (j for j in f(layer, a, g) if j.ndim > 3 or not isinstance(layer, nn.Linear)),
)
ONE_CLASS_FOR_ALL = Mutation(
    "the first class's gradient for all",
    "sharpdiv.empirical.curvature.tangent_kernel._layers",
    lambda f: lambda model, x: (f(model, x)[0], [(k, g[:, :1].expand_as(g)) for k, g in f(model, x)[1]]),
)
UNNORMALISED = Mutation(
    "a scale's gradient from unnormalized inputs",
    "sharpdiv.empirical.curvature.tangent_kernel.normalized_channels",
    lambda _: lambda _, a: a,
)


@law(
    BIASES_FORGOTTEN,
    ONE_CLASS_FOR_ALL,
    UNNORMALISED,
    examples=15,
    seed=st.integers(0, 1000),
    norm=st.sampled_from(["batch", "group", "none"]),
)
def test_the_kernel_is_that_of_the_dense_jacobian(seed: int, norm: Normalization) -> None:
    agrees(network(seed, norm), images(seed, 4), images(seed + 1, 3))


MASK_IGNORED = Mutation(
    "removed weights counted", "sharpdiv.empirical.curvature.tangent_kernel.layer_mask", lambda _: lambda _: None
)


@law(MASK_IGNORED, examples=5, seed=st.integers(0, 1000))
def test_removed_weights_have_no_part(seed: int) -> None:
    """A sparse network's kernel is that of a dense one's Jacobian with the removed weights left out."""
    model = network(seed, "none", sparsity=0.5)
    assert any(isinstance(module, SparseConv2d) for module in model.modules())
    agrees(model, images(seed, 4), images(seed + 1, 2))  # the masked product's own gradient is 0 at removed weights


pairs = st.tuples(st.integers(1, 3), st.integers(1, 3))


@law(
    MASK_IGNORED,
    Mutation(
        "positions not summed",
        "sharpdiv.empirical.curvature.tangent_kernel._patches",
        lambda f: lambda layer, a: f(layer, a) * (torch.arange(f(layer, a).shape[1]) == 0)[:, None],
    ),
    Mutation(
        "a bias at its first position",
        "sharpdiv.empirical.curvature.tangent_kernel._jacobians",
        lambda f: lambda layer, a, g: (g.flatten(3)[..., 0] if j.ndim == 3 < g.ndim else j for j in f(layer, a, g)),
    ),
    examples=30,
    seed=st.integers(0, 1000),
    kernel=pairs,
    stride=pairs,
    dilation=st.tuples(st.integers(1, 2), st.integers(1, 2)),
    padding=st.tuples(st.integers(0, 2), st.integers(0, 2)),
    bias=st.booleans(),
    masked=st.booleans(),
    workspace=st.sampled_from([1, 2**10, 2**28]),
)
def test_any_convolution(
    seed: int,
    kernel: tuple[int, int],
    stride: tuple[int, int],
    dilation: tuple[int, int],
    padding: tuple[int, int],
    bias: bool,
    masked: bool,
    workspace: int,
) -> None:
    """All at once, or as many output channels as fit: one, or some of the five."""
    assume(all(d * (k - 1) < 6 + 2 * p for d, k, p in zip(dilation, kernel, padding, strict=True)))
    torch.manual_seed(seed)
    conv = (MaskedConv2d if masked else nn.Conv2d)(2, 5, kernel, stride, padding, dilation, bias=bias)
    # The tanh makes the gradient at the convolution's output differ between positions.
    model = nn.Sequential(conv, nn.Tanh(), nn.Flatten(), nn.LazyLinear(3)).double()
    model(images(seed, 1))
    with patch("sharpdiv.empirical.curvature.tangent_kernel._WORKSPACE", workspace):
        agrees(model, images(seed, 4), images(seed + 1, 2))


@law(
    MASK_IGNORED,
    Mutation(
        "inputs of another position",
        "sharpdiv.empirical.curvature.tangent_kernel._patches",
        lambda f: lambda layer, a: f(layer, a).flip(1),
    ),
    examples=15,
    seed=st.integers(0, 1000),
    positions=st.integers(2, 5),
    masked=st.booleans(),
)
def test_linear_layers_share_weights_over_positions(seed: int, positions: int, masked: bool) -> None:
    torch.manual_seed(seed)
    first = (MaskedLinear if masked else nn.Linear)(6, 4)
    model = nn.Sequential(first, nn.Tanh(), nn.Flatten(), nn.Linear(4 * positions, 3)).double()
    inputs = torch.randn(6, positions, 6, dtype=torch.float64)
    agrees(model, inputs[:4], inputs[4:])


@pytest.mark.parametrize(
    "layers",
    [
        (nn.Linear(5, 6), nn.ReLU(inplace=True)),
        (nn.Linear(5, 6), nn.BatchNorm1d(6, eps=0.1), nn.Tanh()),
        (nn.Linear(5, 6), nn.GroupNorm(2, 6), nn.Tanh()),
        (nn.Linear(5, 6), nn.Unflatten(1, (3, 2)), nn.BatchNorm1d(3), nn.Flatten(), nn.Tanh()),
    ],
)
def test_activations_in_place_and_norms_of_vectors(layers: tuple[nn.Module, ...]) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(*layers, nn.Linear(6, 3)).double()
    for parameter in model.parameters():
        nn.init.normal_(parameter)  # scales that are not 1
    inputs = batch(0)[0].double()
    model(inputs)  # running statistics that are not the initial ones
    agrees(model.eval(), inputs[:7], inputs[7:])


def test_a_layer_that_does_not_run_adds_nothing() -> None:
    model, (inputs, _) = mlp(1, torch.float64), batch(1)
    expected = tangent_kernel(model, inputs.double(), inputs[:2].double())
    model.spare = nn.Linear(5, 5).double()
    assert torch.equal(tangent_kernel(model, inputs.double(), inputs[:2].double()).train, expected.train)


def test_frozen_parameters_have_no_part() -> None:
    """The head alone, which is its features' kernel, and then one parameter after the other: they add up."""
    model, train, test = network(0, "batch"), images(0, 4), images(1, 2)
    together = tangent_kernel(model, train, test)
    alone = [torch.zeros_like(block) for block in together]
    parameters = list(model.parameters())
    for kept in parameters:
        for parameter in parameters:
            parameter.requires_grad_(parameter is kept)
        for block, part in zip(alone, tangent_kernel(model, train, test), strict=True):
            block += part
    torch.testing.assert_close(alone, list(together), rtol=1e-10, atol=1e-10)
    model.head.requires_grad_()
    assert dense(model, train).shape[2] == model.head.weight.numel() + 3
    agrees(model, train, test)


def test_the_kernel_is_one_of_inner_products_in_any_order() -> None:
    model, train, test = network(1, "group"), images(1, 5), images(2, 2)
    found = tangent_kernel(model, train, test)
    square = found.train.reshape(15, 15)
    scale = float(square.abs().max())
    torch.testing.assert_close(square, square.T, rtol=0, atol=1e-12 * scale)
    assert float(torch.linalg.eigvalsh(square).min()) > -1e-12 * scale
    order = torch.tensor([3, 0, 4, 1, 2])
    moved = tangent_kernel(model, train[order], test)
    torch.testing.assert_close(moved.train, found.train[order][:, :, order], rtol=0, atol=1e-12 * scale)
    torch.testing.assert_close(moved.test, found.test[:, :, order], rtol=0, atol=1e-12 * scale)
    # A test sample's row does not depend on which set it is in.
    torch.testing.assert_close(tangent_kernel(model, train, train).test, found.train, rtol=0, atol=1e-12 * scale)


def test_the_model_is_left_as_it_was() -> None:
    model = network(3, "batch").train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    tangent_kernel(model, images(5, 3), images(6, 2))
    assert model.training
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())
    assert not any(module._forward_hooks for module in model.modules())


class Tied(nn.Module):
    """A layer that runs, and whose weight the outputs use once more."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(5, 5)

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.linear(self.layer(x), self.layer.weight)


class Scaled(nn.Module):
    """Outputs in units of the mean over the batch."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(5, 3)

    def forward(self, x: Tensor) -> Tensor:
        outputs: Tensor = self.layer(x)
        return outputs / outputs.mean()


def biased_layer_norm() -> nn.Module:
    model = nn.Sequential(nn.LayerNorm(5), nn.Linear(5, 3))
    model[0].get_parameter("weight").requires_grad_(False)
    return model


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (twice(), "runs twice"),
        (shared(), "shares a parameter"),
        (Bypass(), "used elsewhere"),
        (Tied(), "used elsewhere"),
        (nn.Sequential(nn.Linear(5, 3), nn.LayerNorm(3)), "LayerNorm"),
        (biased_layer_norm(), "LayerNorm"),
        (
            nn.Sequential(nn.Unflatten(1, (1, 5)), nn.Conv1d(1, 1, 1), nn.Flatten()),
            "knows layers of the kinds Linear, .*; got Conv1d",
        ),
        (convolutional(groups=5), "one group"),
        (convolutional(padding="same"), "zero padding in numbers"),
        (convolutional(padding_mode="circular"), "zero padding"),
    ],
)
def test_what_hooks_cannot_tell_is_taken_sample_by_sample(model: nn.Module, message: str) -> None:
    """Against the Jacobian by forward differences of the outputs in each weight."""
    model = model.double().eval()
    images = torch.randn(5, 5, dtype=torch.float64)
    with pytest.warns(UserWarning, match=f"sample by sample, which is slow, because .*{message}"):
        kernel = tangent_kernel(model, images[:3], images[3:])
    weights, step, columns = [p for p in model.parameters() if p.requires_grad], 1e-6, []
    with torch.no_grad():
        for p in weights:
            for i in range(p.numel()):
                sides = []
                for sign in (1, -1):
                    p.view(-1)[i] += sign * step
                    sides.append(model(images))
                    p.view(-1)[i] -= sign * step
                columns.append((sides[0] - sides[1]) / (2 * step))
    jacobian = torch.stack(columns, dim=-1)
    expected = torch.einsum("icw,jdw->icjd", jacobian, jacobian[:3])
    # Central differences: the step's square, and rounding by the step; weights come back to the last bits.
    assert kernel.train.numpy() == pytest.approx(expected[:3].numpy(), abs=1e-7)
    assert kernel.test.numpy() == pytest.approx(expected[3:].numpy(), abs=1e-7)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (Scaled(), "samples interact"),
        (Branches(), "inplace operation"),
        (nn.Sequential(nn.Linear(5, 3), nn.BatchNorm1d(3, track_running_stats=False)), "go through the network alone"),
        (nn.Linear(5, 2).requires_grad_(requires_grad=False), "no trainable parameters"),
        (nn.Sequential(nn.Linear(5, 4), nn.Unflatten(1, (2, 2))), r"\(samples, classes\)"),
    ],
)
def test_what_has_no_kernel_is_refused(model: nn.Module, message: str) -> None:
    with pytest.raises(InputError, match=message):
        tangent_kernel(model, torch.randn(3, 5), torch.randn(2, 5))
