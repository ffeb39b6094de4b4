"""The tangent kernel by hooks against dense Jacobians, and what it refuses."""

import pytest
import torch
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.func import functional_call, jacrev

from empirical import InputError, ResNet, freeze_batch_norm, tangent_kernel
from empirical.models import Activation, Normalization, SparseConv2d
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


def dense(model: nn.Module, inputs: Tensor) -> Tensor:
    """Jacobian ``(samples, classes, weights)`` of the trainable parameters."""
    weights = {name: p.detach() for name, p in model.named_parameters() if p.requires_grad}
    jacobian = jacrev(lambda w: functional_call(model, w, (inputs,)))(weights)
    return torch.cat([j.flatten(2) for j in jacobian.values()], dim=2)


BIASES_FORGOTTEN = Mutation(
    "biases forgotten",
    "empirical.tangent._jacobians",
    lambda f: lambda layer, a, g: (j for j in f(layer, a, g) if j.ndim > 3 or not isinstance(layer, nn.Linear)),
)
ONE_CLASS_FOR_ALL = Mutation(
    "the first class's gradient for all",
    "empirical.tangent._layers",
    lambda f: lambda model, x: (f(model, x)[0], {k: g[:, :1].expand_as(g) for k, g in f(model, x)[1].items()}),
)
UNNORMALISED = Mutation(
    "a scale's gradient from unnormalised inputs", "empirical.tangent.normalized_channels", lambda _: lambda _, a: a
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
    model, train, test = network(seed, norm), images(seed, 4), images(seed + 1, 3)
    found = tangent_kernel(model, train, test)
    jacobian = dense(model, torch.cat([train, test]))
    expected = torch.einsum("icp,jep->icje", jacobian, jacobian[:4])
    torch.testing.assert_close(torch.cat([found.train, found.test]), expected, rtol=1e-10, atol=1e-10)


MASK_IGNORED = Mutation("removed weights counted", "empirical.tangent.layer_mask", lambda _: lambda _: None)


@law(MASK_IGNORED, examples=5, seed=st.integers(0, 1000))
def test_removed_weights_have_no_part(seed: int) -> None:
    """A sparse network's kernel is that of a dense one's Jacobian with the removed weights left out."""
    model, train = network(seed, "none", sparsity=0.5), images(seed, 4)
    jacobian = dense(model, train)  # the masked product's own gradient is 0 at removed weights
    assert any(isinstance(module, SparseConv2d) for module in model.modules())
    expected = torch.einsum("icp,jep->icje", jacobian, jacobian)
    torch.testing.assert_close(tangent_kernel(model, train, train).train, expected, rtol=1e-10, atol=1e-10)


def test_frozen_parameters_have_no_part() -> None:
    model, train = network(0, "batch"), images(0, 4)
    model.requires_grad_(requires_grad=False)
    model.head.requires_grad_()
    jacobian = dense(model, train)
    assert jacobian.shape[2] == model.head.weight.numel() + 3
    found = tangent_kernel(model, train, images(1, 2))
    torch.testing.assert_close(found.train, torch.einsum("icp,jep->icje", jacobian, jacobian), rtol=1e-10, atol=1e-12)


def test_the_kernel_does_not_depend_on_how_much_fits_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    model, train, test = network(1, "group"), images(1, 5), images(2, 2)
    expected = tangent_kernel(model, train, test)
    monkeypatch.setattr("empirical.tangent._WORKSPACE", 1)
    for ours, theirs in zip(tangent_kernel(model, train, test), expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)


def test_the_trace_form_is_the_mean_over_classes() -> None:
    found = tangent_kernel(network(2, "none"), images(3, 4), images(4, 3))
    for block, traced in zip(found, found.trace(), strict=True):
        assert traced.shape == (len(block), 1, 4, 1)
        expected = sum(block[:, c, :, c] for c in range(3)) / 3
        torch.testing.assert_close(traced[:, 0, :, 0], expected)


def test_the_model_is_left_as_it_was() -> None:
    model = network(3, "batch").train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    tangent_kernel(model, images(5, 3), images(6, 2))
    assert model.training
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())


class Twice(nn.Module):
    """A layer that two places share."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(self.layer(x))


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (Twice(), "runs twice"),
        (nn.Sequential(nn.Linear(3, 3), nn.LayerNorm(3)), "LayerNorm"),
        (nn.Linear(3, 2).requires_grad_(requires_grad=False), "no trainable parameters"),
        (nn.Sequential(nn.Linear(3, 4), nn.Unflatten(1, (2, 2))), r"\(samples, classes\)"),
    ],
)
def test_models_it_cannot_take_are_refused(model: nn.Module, message: str) -> None:
    with pytest.raises(InputError, match=message):
        tangent_kernel(model, torch.randn(2, 3), torch.randn(2, 3))
