"""Fast scores of further layers, of layers that run several times, and of parameters that are in no layer."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import assume
from hypothesis import strategies as st
from torch import Tensor, nn

from sharpdiv.empirical.curvature import layer_gradients
from sharpdiv.empirical.curvature.per_sample import per_sample_sharpness
from sharpdiv.empirical.errors import InputError
from tests.laws import Mutation, law
from tests.reference import sharpness_per_sample

NORMS = "sharpdiv.empirical.curvature.layer_norms"
USES = "sharpdiv.empirical.curvature.parameter_uses"
GRADIENTS = "sharpdiv.empirical.curvature.layer_gradients"
SAMPLES = 4
seeds = st.integers(0, 1000)


def agrees(model: nn.Module, inputs: Tensor) -> None:
    """The fast route by itself against a backward pass for each sample."""
    targets = torch.tensor([0, 2, 1, 2])
    model = model.double()
    found = layer_gradients.fast_norms(
        model.eval(), inputs, lambda z: nn.functional.cross_entropy(z, targets, reduction="sum")
    )
    # float64: sums of at most a few thousand terms, conditioned to better than 1e3
    assert found.numpy() == pytest.approx(sharpness_per_sample(model, inputs, targets).numpy(), rel=1e-9)


def headed(*layers: nn.Module) -> nn.Module:
    """Layers, a tanh that makes gradients differ between positions, and a head of three classes."""
    return nn.Sequential(*layers, nn.Flatten(), nn.Tanh(), nn.LazyLinear(3))


LAST_RUN_ALONE = Mutation(
    "only one of a layer's runs",
    f"{GRADIENTS}.NORMS",
    lambda norms: {kind: (lambda layer, runs, f=f: f(layer, runs[-1:])) for kind, f in norms.items()},
)


@law(
    Mutation("biases forgotten", f"{NORMS}._bias", lambda f: lambda layer, g: 0 * f(layer, g)),
    Mutation(
        "zero padding whatever the mode",
        f"{NORMS}._padded",
        lambda _: lambda layer, a: nn.functional.pad(a, layer._reversed_padding_repeated_twice).movedim(1, -1),
    ),
    Mutation(
        "gradients of one group",
        f"{NORMS}._weight_gradients",
        lambda f: lambda layer, a, g: f(layer, a, g)[:, : layer.out_channels // layer.groups],
    ),
    Mutation("samples mixed", f"{NORMS}._weight_gradients", lambda f: lambda layer, a, g: f(layer, a.flip(0), g)),
    examples=60,
    seed=seeds,
    dims=st.integers(1, 3),
    groups=st.sampled_from([1, 2, 4]),
    kernel=st.integers(1, 3),
    stride=st.integers(1, 2),
    dilation=st.integers(1, 2),
    padding=st.sampled_from([0, 1, 2, "same", "valid"]),
    mode=st.sampled_from(["zeros", "reflect", "replicate", "circular"]),
    bias=st.booleans(),
)
def test_any_convolution(
    seed: int, dims: int, groups: int, kernel: int, stride: int, dilation: int, padding: Any, mode: str, bias: bool
) -> None:
    assume(not (padding == "same" and stride > 1))
    torch.manual_seed(seed)
    kind: Any = (nn.Conv1d, nn.Conv2d, nn.Conv3d)[dims - 1]
    layer = kind(4, 8, kernel, stride, padding, dilation, groups, bias, mode)
    model = headed(layer).double()
    inputs = torch.randn(SAMPLES, 4, *(5, 6, 5)[:dims], dtype=torch.float64)
    model(inputs)
    agrees(model, inputs)


@law(
    Mutation(
        "each look-up with a row of its own",
        f"{GRADIENTS}.NORMS",
        lambda norms: norms | {nn.Embedding: lambda _, runs: sum(g.square().flatten(1).sum(1) for _, g in runs)},
    ),
    Mutation(
        "padding learns",
        f"{GRADIENTS}.NORMS",
        lambda norms: norms | {nn.Embedding: lambda _, runs: norms[nn.Embedding](nn.Embedding(1, 1), runs)},
    ),
    examples=20,
    seed=seeds,
    words=st.integers(2, 6),
    shape=st.sampled_from([(5,), (2, 3)]),
    padding=st.sampled_from([None, 0]),
)
def test_any_embedding(seed: int, words: int, shape: tuple[int, ...], padding: int | None) -> None:
    torch.manual_seed(seed)
    model = headed(nn.Embedding(words, 3, padding_idx=padding)).double()
    inputs = torch.randint(words, (SAMPLES, *shape))
    model(inputs)
    agrees(model, inputs)


@pytest.mark.parametrize("options", [{"max_norm": 0.5}, {"scale_grad_by_freq": True}])
def test_an_embedding_that_changes_its_weights_or_gradients_is_refused(options: dict[str, Any]) -> None:
    model = headed(nn.Embedding(3, 2, **options))
    inputs = torch.randint(3, (SAMPLES, 5))
    model(inputs)
    with pytest.raises(InputError, match="leave max_norm and scaling out"):
        agrees(model, inputs)


class Again(nn.Module):
    """Layers on inputs of several sizes and kinds, all of them run twice."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.depthwise, self.norm = (
            nn.Conv2d(2, 2, 3, padding=1),
            nn.Conv2d(2, 2, 3, groups=2),
            nn.GroupNorm(1, 2),
        )
        self.linear, self.unused = nn.Linear(4, 4), nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(torch.tanh(self.conv(x)))
        x = self.norm(torch.tanh(self.conv(x[:, :, 1:])))
        self.unused(x)  # has no part in the loss, the second time neither
        self.unused(x + 1)
        x = self.depthwise(torch.nn.functional.pad(x, (1, 1, 1, 1))) + self.depthwise(x).mean(
            dim=(1, 2, 3), keepdim=True
        )
        return self.linear(torch.tanh(self.linear(x)))


@law(LAST_RUN_ALONE, examples=5, seed=seeds)
def test_layers_that_run_twice(seed: int) -> None:
    torch.manual_seed(seed)
    model = headed(Again()).double()
    inputs = torch.randn(SAMPLES, 2, 5, 4, dtype=torch.float64)
    model(inputs)
    agrees(model, inputs)


class Common(nn.Module):
    """Parameters and look-ups that are the same for all samples; what a sample gets of them depends on it."""

    def __init__(self) -> None:
        super().__init__()
        self.token, self.position = nn.Parameter(torch.randn(1, 1, 4)), nn.Parameter(torch.randn(1, 6, 4))
        self.scale, self.number = nn.Parameter(torch.randn(4)), nn.Parameter(torch.randn(()))
        self.channel, self.frozen = nn.Parameter(torch.randn(6, 1)), nn.Parameter(torch.randn(4), requires_grad=False)
        self.places, self.segment = nn.Embedding(7, 4), nn.Embedding(2, 4)
        self.weight, self.shift = nn.Parameter(torch.randn(4, 4)), nn.Parameter(torch.randn(4))
        self.unused = nn.Parameter(torch.randn(4))

    def forward(self, x: Tensor) -> Tensor:
        x = torch.cat([self.token.expand(len(x), -1, -1), x], dim=1) + self.position
        x = torch.tanh(x + self.places(torch.arange(6)) + self.segment(torch.zeros(1, 6, dtype=torch.int64)))
        x = torch.add(self.frozen * x * self.channel, self.scale, alpha=2) * self.number
        x = torch.tanh(nn.functional.linear(x, self.weight, self.shift)) * self.scale
        return nn.functional.linear(torch.tanh(x[:, 0]), self.weight, self.shift)


@law(
    Mutation(
        "factors forgotten",
        f"{USES}._factor",
        lambda f: lambda user, place: None if f(user, place) is None else 1.0,
    ),
    Mutation(
        "uses of a parameter apart",
        f"{GRADIENTS}._total",
        lambda f: lambda parts: sum(p.square() for p in parts) ** 0.5,
    ),
    Mutation(
        "products of a matrix apart",
        f"{GRADIENTS}.matrix_norms",
        lambda f: lambda rows, weights: sum(f([each], weights) for each in rows),
    ),
    examples=5,
    seed=seeds,
)
def test_parameters_that_all_samples_share(seed: int) -> None:
    torch.manual_seed(seed)
    model = headed(Common()).double()
    inputs = torch.randn(SAMPLES, 5, 4, dtype=torch.float64)
    model(inputs)
    agrees(model, inputs)


class Attending(nn.Module):
    """Multi-head attention to the inputs themselves, used twice."""

    def __init__(self, **options: Any) -> None:
        super().__init__()
        self.first = options.get("batch_first", False)
        self.attention = nn.MultiheadAttention(4, 2, **options)

    def forward(self, x: Tensor) -> Tensor:
        x = x if self.first else x.transpose(0, 1)
        for _ in range(2):
            x = torch.tanh(self.attention(x, x, x, need_weights=False)[0])
        return x if self.first else x.transpose(0, 1)


@law(
    Mutation(
        "samples before tokens in attention",
        f"{GRADIENTS}.uses_of",
        lambda f: lambda edge, shape, graph, samples, _: f(edge, shape, graph, samples, False),
    ),
    examples=8,
    seed=seeds,
    first=st.booleans(),
    bias=st.booleans(),
)
def test_attention(seed: int, first: bool, bias: bool) -> None:
    """Of three tokens and of as many as samples."""
    torch.manual_seed(seed)
    for tokens in (3, SAMPLES):
        model = headed(Attending(batch_first=first, bias=bias)).double()
        for p in model.parameters():
            if not isinstance(p, nn.UninitializedParameter):
                nn.init.normal_(p)
        inputs = torch.randn(SAMPLES, tokens, 4, dtype=torch.float64)
        model(inputs)
        agrees(model, inputs)


class Both(nn.Module):
    """One embedding looked up by samples and once for all."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(5, 4)

    def forward(self, ids: Tensor) -> Tensor:
        return self.words(ids) + self.words(torch.arange(5))


class Matrix(nn.Module):
    """One matrix multiplied with and added."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(4, 4))

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.linear(x, self.weight) + self.weight


class TokensFirst(nn.Module):
    """A scale that is multiplied where tokens are on the first axis."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.randn(4))

    def forward(self, x: Tensor) -> Tensor:
        return (x.transpose(0, 1) * self.scale).transpose(0, 1)


@pytest.mark.parametrize(
    ("make", "inputs", "message"),
    [
        (Both, torch.randint(5, (SAMPLES, 5)), "looked up for all samples and elsewhere"),
        (Matrix, torch.randn(SAMPLES, 4, 4), "used as a matrix and elsewhere"),
        (TokensFirst, torch.randn(SAMPLES, 5, 4), "not broadcast over samples"),
    ],
)
def test_what_does_not_add_up_is_measured_sample_by_sample(
    make: Callable[[], nn.Module], inputs: Tensor, message: str
) -> None:
    model, targets = headed(make()), torch.tensor([0, 2, 1, 2])
    model(inputs)
    with pytest.warns(UserWarning, match=message):
        found = per_sample_sharpness(model, inputs, targets)
    # float32: sums of a hundred squares
    assert found.numpy() == pytest.approx(sharpness_per_sample(model, inputs, targets).numpy(), rel=1e-4)


def test_sequences_of_another_length_are_tried_again_where_one_token_hid_their_order() -> None:
    """Of one token, tokens first and samples first are the same rows: that a route was right there says nothing of longer ones."""
    torch.manual_seed(0)

    class Mixed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight, self.head = nn.Parameter(torch.randn(4, 4)), nn.Linear(4, 3)

        def forward(self, x: Tensor) -> Tensor:
            x = nn.functional.linear(x.transpose(0, 1), self.weight).transpose(0, 1)
            return self.head(torch.tanh(x).mean(dim=1))

    model, targets = Mixed(), torch.tensor([0, 2, 1, 2])
    per_sample_sharpness(model, torch.randn(SAMPLES, 1, 4), targets)
    inputs = torch.randn(SAMPLES, 5, 4)
    with pytest.warns(UserWarning, match="slow"):
        found = per_sample_sharpness(model, inputs, targets)
    assert found.numpy() == pytest.approx(sharpness_per_sample(model, inputs, targets).numpy(), rel=1e-4)
