"""Per-sample sharpness against one backward pass for each sample."""

from copy import deepcopy
from typing import Any
from unittest.mock import patch

import pytest
import torch
from hypothesis import assume
from hypothesis import strategies as st
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from sharpdiv.empirical.curvature import layer_gradients, layer_norms
from sharpdiv.empirical.curvature.layer_norms import Run
from sharpdiv.empirical.curvature.per_sample import per_sample_sharpness
from sharpdiv.empirical.errors import InputError
from sharpdiv.empirical.models import ResNet
from tests.empirical.curvature.odd_layers import (
    AlwaysDropout,
    Branches,
    Bypass,
    Centred,
    Last,
    MaskedConv2d,
    MaskedLinear,
    OwnForward,
    shared,
)
from tests.empirical.networks import batch, mlp, resnet, state
from tests.laws import Mutation, law
from tests.reference import sharpness_per_sample

seeds = st.integers(0, 1000)
ROUNDING = 1e-9  # float64: sums of at most a few thousand terms, conditioned to better than 1e3


def fast(model: nn.Module, inputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """The fast route by itself: what is wrong in it would be noticed, and the slow one taken."""
    return layer_gradients.fast_norms(model, inputs, lambda z: nn.functional.cross_entropy(z, targets, reduction="sum"))


def agrees(model: nn.Module, inputs: torch.Tensor, targets: torch.Tensor, tolerance: float = ROUNDING) -> None:
    scores = fast(model, inputs, targets)
    assert scores.dtype == inputs.dtype
    assert scores.numpy() == pytest.approx(sharpness_per_sample(model, inputs, targets).numpy(), rel=tolerance)


BIASES_FORGOTTEN = Mutation(
    "biases forgotten",
    "sharpdiv.empirical.curvature.layer_norms._trainable",
    lambda f: lambda layer, name: name != "bias" and f(layer, name),
)
POSITIONS_APART = Mutation(
    "sum over positions of squares for the square of the sum",
    "sharpdiv.empirical.curvature.layer_norms._product_norms",
    lambda _: lambda mask, a, g: (a.square().sum(2) * g.square().sum(2)).sum(1),
)
GRAM_WITHOUT_CROSS_TERMS = Mutation(
    "the same in the Gram form",
    "sharpdiv.empirical.curvature.layer_norms._gram_norms",
    lambda _: lambda a, g: (a.square().sum(2) * g.square().sum(2)).sum(1),
)
MASK_IGNORED = Mutation(
    "removed weights counted",
    "sharpdiv.empirical.curvature.layer_norms._product_norms",
    lambda f: lambda mask, a, g: f(None, a, g),
)
MASK_FOR_CHANNELS_FIRST = Mutation(
    "a mask in another order than the patches",
    "sharpdiv.empirical.curvature.layer_norms.layer_mask",
    lambda f: lambda layer: f(layer) if f(layer) is None or f(layer).ndim == 2 else f(layer).flatten(1),
)


def not_normalized(layer: nn.Module, runs: list[Run]) -> torch.Tensor:
    return sum(((a * g).flatten(2).sum(2) ** 2).sum(1) for a, g in runs)  # type: ignore[return-value]


def not_centred(norms: dict[Any, Any]) -> Any:
    return lambda layer, runs: norms[type(layer)](layer, [Run(a + 1, g) for a, g in runs])


@law(
    BIASES_FORGOTTEN,
    POSITIONS_APART,
    MASK_IGNORED,
    Mutation(
        "batch norm's scale without its running mean",
        "sharpdiv.empirical.curvature.layer_gradients.NORMS",
        lambda norms: norms | dict.fromkeys([nn.BatchNorm1d, nn.BatchNorm2d], not_centred(norms)),
    ),
    examples=10,
    seed=seeds,
    kind=st.sampled_from(["mlp", "resnet", "sparse"]),
    layout=st.sampled_from([torch.contiguous_format, torch.channels_last]),
)
def test_scores_are_single_sample_gradients(seed: int, kind: str, layout: torch.memory_format) -> None:
    if kind == "mlp":
        model: nn.Module = mlp(seed, torch.float64)
        inputs, targets = batch(seed, 6)
    else:
        torch.manual_seed(seed)
        sparsity = 0.4 if kind == "sparse" else 0.0
        model = ResNet(width=3, blocks=(1, 1), channels=2, classes=4, sparsity=sparsity).double()
        inputs, targets = batch(seed, 5, (2, 8, 8), 4)
        inputs, model = inputs.to(memory_format=layout), model.to(memory_format=layout)  # type: ignore[call-overload]
    model(inputs.double())  # running statistics that are not the initial ones
    agrees(model, inputs.double(), targets)


pairs = st.tuples(st.integers(1, 3), st.integers(1, 3))


@law(
    BIASES_FORGOTTEN,
    POSITIONS_APART,
    MASK_IGNORED,
    GRAM_WITHOUT_CROSS_TERMS,
    MASK_FOR_CHANNELS_FIRST,
    Mutation(
        "patches of another position",
        "sharpdiv.empirical.curvature.layer_norms._patches",
        lambda f: lambda layer, size, a: f(layer, size, a.flip(2)),
    ),
    examples=60,
    seed=seeds,
    channels=st.tuples(st.sampled_from([1, 2, 16]), st.sampled_from([1, 16])),
    kernel=pairs,
    stride=pairs,
    dilation=st.tuples(st.integers(1, 2), st.integers(1, 2)),
    padding=st.tuples(st.integers(0, 2), st.integers(0, 2)),
    size=st.tuples(st.integers(3, 9), st.integers(3, 9)),
    bias=st.booleans(),
    masked=st.booleans(),
    workspace=st.sampled_from([1, 2**12, 2**20]),
)
def test_any_convolution(
    seed: int,
    channels: tuple[int, int],
    kernel: tuple[int, int],
    stride: tuple[int, int],
    dilation: tuple[int, int],
    padding: tuple[int, int],
    size: tuple[int, int],
    bias: bool,
    masked: bool,
    workspace: int,
) -> None:
    """Few positions and many channels take the Gram form, the others the product, a sample or all of them at a time."""
    assume(all(d * (k - 1) < n + 2 * p for d, k, n, p in zip(dilation, kernel, size, padding, strict=True)))
    torch.manual_seed(seed)
    kind = MaskedConv2d if masked else nn.Conv2d
    conv = kind(*channels, kernel, stride, padding, dilation, bias=bias)
    # The tanh makes the gradient at the convolution's output differ between positions.
    model = nn.Sequential(conv, nn.Tanh(), nn.Flatten(), nn.LazyLinear(3)).double()
    inputs, targets = batch(seed, 3, (channels[0], *size))
    model(inputs.double())
    with patch.object(layer_norms, "_WORKSPACE", workspace):
        agrees(model, inputs.double(), targets)


@law(
    BIASES_FORGOTTEN,
    POSITIONS_APART,
    GRAM_WITHOUT_CROSS_TERMS,
    MASK_IGNORED,
    examples=20,
    seed=seeds,
    positions=st.integers(1, 9),
    features=st.sampled_from([1, 9]),
    outputs=st.sampled_from([2, 9]),
    masked=st.booleans(),
)
def test_linear_layers_share_weights_over_positions(
    seed: int, positions: int, features: int, outputs: int, masked: bool
) -> None:
    torch.manual_seed(seed)
    first = (MaskedLinear if masked else nn.Linear)(features, outputs)
    model = nn.Sequential(first, nn.Tanh(), nn.Flatten(), nn.Linear(positions * outputs, 3)).double()
    inputs, targets = batch(seed, 4, (positions, features))
    agrees(model, inputs.double(), targets)


@law(
    BIASES_FORGOTTEN,
    Mutation(
        "scale without normalizing",
        "sharpdiv.empirical.curvature.layer_gradients.NORMS",
        lambda norms: norms | dict.fromkeys([nn.GroupNorm, nn.LayerNorm, nn.RMSNorm], not_normalized),
    ),
    examples=12,
    seed=seeds,
    norm=st.sampled_from(
        [
            lambda: nn.GroupNorm(2, 4),
            lambda: nn.LayerNorm([4, 3, 3]),
            lambda: nn.LayerNorm(3, eps=0.1),
            lambda: nn.LayerNorm(3, bias=False),
            lambda: nn.RMSNorm([3, 3], eps=0.1),
            lambda: nn.BatchNorm2d(4, eps=0.1),
        ]
    ),
)
def test_any_normalization(seed: int, norm: Any) -> None:
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Conv2d(2, 4, 1), norm(), nn.Tanh(), nn.Flatten(), nn.Linear(36, 3)).double()
    for p in model.parameters():
        nn.init.normal_(p)  # scales that are not 1
    inputs, targets = batch(seed, 4, (2, 3, 3))
    agrees(model, inputs.double(), targets)


def test_a_linear_softmax_by_hand() -> None:
    """Zero weights and two classes: ``|p - y|^2 (|a|^2 + 1) = (1/4 + 1/4) (|a|^2 + 1)``."""
    model = nn.Linear(2, 2)
    for p in model.parameters():
        nn.init.zeros_(p)
    scores = per_sample_sharpness(model, torch.tensor([[3.0, 4.0], [0.0, 1.0]]), torch.tensor([0, 1]))
    assert scores.tolist() == [13.0, 1.0]
    model.bias.requires_grad_(False)
    assert per_sample_sharpness(model, torch.tensor([[3.0, 4.0]]), torch.tensor([0])).tolist() == [12.5]


@law(
    POSITIONS_APART,
    Mutation(
        "a tenth too many",
        "sharpdiv.empirical.curvature.layer_norms._product_norms",
        lambda f: lambda *arguments: 1.1 * f(*arguments),
    ),
    examples=5,
    seed=seeds,
)
def test_bfloat16_differs_by_its_rounding(seed: int) -> None:
    """From float64: the gradient of a weight passed up to two roundings in each of 20 layers forward and backward.

    Independent roundings of relative size at most 2^-9 make ``sqrt(80) 2^-9 = 0.0175`` of the gradient's norm, twice that of
    its square. They are uniform, ``1 / sqrt(3)`` of that as a standard deviation, so 0.035 is 1.7 of them for each entry;
    norms average over thousands. From the same pass one sample at a time: only the entries' own rounding differs, at most
    2^-9 in either.
    """
    torch.manual_seed(seed)
    model = ResNet(width=8, blocks=(1, 1), channels=2, classes=4)
    inputs, targets = batch(seed, 6, (2, 8, 8), 4)
    model(inputs)
    with torch.autocast("cpu", torch.bfloat16):
        scores = fast(model, inputs, targets)
        expected = sharpness_per_sample(model, inputs, targets)
    assert scores.dtype == torch.float32
    assert scores.numpy() == pytest.approx(expected.numpy(), rel=4 * 2**-9)
    assert scores.numpy() == pytest.approx(sharpness_per_sample(model, inputs, targets).numpy(), rel=0.035)


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
    expected = sharpness_per_sample(model, inputs.double(), targets)
    assert scores.numpy() == pytest.approx(expected.numpy(), rel=ROUNDING)


def test_each_parameter_may_be_frozen() -> None:
    """Scores of the parameters one by one add up to the score of all."""
    model = resnet(0, torch.float64)
    inputs, targets = batch(0, 4, (1, 8, 8), 4)
    together = per_sample_sharpness(model, inputs.double(), targets)
    alone = torch.zeros_like(together)
    for kept in list(model.parameters()):
        for p in model.parameters():
            p.requires_grad_(p is kept)
        alone += per_sample_sharpness(model, inputs.double(), targets)
    assert alone.numpy() == pytest.approx(together.numpy(), rel=ROUNDING)


def test_inputs_that_need_gradients_get_none() -> None:
    model, (inputs, targets) = mlp(5), batch(5)
    inputs.requires_grad_()
    scores = per_sample_sharpness(model, inputs, targets)
    assert not scores.requires_grad
    assert inputs.grad is None
    assert torch.equal(scores, per_sample_sharpness(model, inputs.detach(), targets))


def test_activations_in_place_change_nothing() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(5, 6), nn.ReLU(inplace=True), nn.Linear(6, 3)).double()
    inputs, targets = batch(4)
    agrees(model, inputs.double(), targets)


def test_a_layer_that_does_not_run_adds_nothing() -> None:
    model = mlp(6, torch.float64)
    inputs, targets = batch(6)
    expected = per_sample_sharpness(model, inputs.double(), targets)
    model.spare = nn.Linear(5, 5).double()
    assert torch.equal(per_sample_sharpness(model, inputs.double(), targets), expected)


UNKNOWN = [
    (nn.Sequential(nn.Linear(5, 3), nn.PReLU()), "without its layer's forward, by ViewBackward0"),
    (nn.utils.parametrizations.weight_norm(nn.Linear(5, 3)), "by WeightNormInterfaceBackward0"),
    (OwnForward(5, 3), "by LinalgVectorNormBackward0|by DivBackward0"),
    (shared(), "shares a parameter"),
    (Bypass(), "without its layer"),
    (nn.Sequential(nn.Unflatten(1, (1, 5)), nn.ConvTranspose1d(1, 1, 1), nn.Flatten()), "by ConvolutionBackward0"),
    (nn.Sequential(nn.Unflatten(1, (5, 1)), nn.GRU(1, 3, batch_first=True), Last()), "not broadcast over samples"),
]


@law(
    Mutation(
        "the fast route trusted",
        "sharpdiv.empirical.curvature.per_sample.slow_norms",
        lambda _: lambda model, batch, loss: torch.ones(len(batch[1])),
    ),
)
def test_what_hooks_cannot_tell_is_measured_sample_by_sample() -> None:
    for model, message in UNKNOWN:
        copy, (inputs, targets) = deepcopy(model).double(), batch(0)
        with pytest.warns(UserWarning, match=f"sample by sample, which is slow, because .*{message}"):
            scores = per_sample_sharpness(copy, inputs.double(), targets)
        assert scores.numpy() == pytest.approx(
            sharpness_per_sample(copy, inputs.double(), targets).numpy(), rel=ROUNDING
        )
        again = per_sample_sharpness(copy, inputs.double(), targets)  # told once
        assert torch.equal(again, scores)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (mlp(0).requires_grad_(False), "no trainable"),
        (nn.Sequential(nn.Linear(5, 3), nn.BatchNorm1d(3, track_running_stats=False)), "go through the network alone"),
        (nn.Linear(5, 3).half(), "float16"),
        (nn.Sequential(nn.Linear(5, 3), AlwaysDropout()), "random in evaluation mode"),
        (nn.Sequential(nn.Linear(5, 3), Centred()), "samples interact"),
        (nn.Linear(5, 1), "one output has no cross-entropy"),
        (Branches(), "cannot be differentiated: .* modified by an inplace operation"),
    ],
)
def test_what_has_no_gradient_of_each_sample_is_refused(model: nn.Module, message: str) -> None:
    inputs, targets = batch(0)
    with pytest.raises(InputError, match=message):
        per_sample_sharpness(model, inputs.to(next(model.parameters()).dtype), targets)


def test_labels_that_torch_ignores_are_refused() -> None:
    inputs, targets = batch(0)
    targets[3] = -100
    with pytest.raises(InputError, match="counted from 0, got -100"):
        per_sample_sharpness(mlp(0), inputs, targets)


def test_the_batch_has_no_weight_gradients() -> None:
    """Autograd is asked for activations only, which is what the backward pass must cost; the stem's input needs none."""
    asked = []

    class Watch(TorchDispatchMode):
        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            if func is torch.ops.aten.convolution_backward.default:
                asked.append(tuple(args[-1]))
            return func(*args, **kwargs or {})

    model, (inputs, targets) = resnet(0), batch(0, 4, (1, 8, 8), 4)
    per_sample_sharpness(model, inputs, targets)  # the first time it is tried against autograd
    with Watch():  # type: ignore[no-untyped-call]
        per_sample_sharpness(model, inputs, targets)
    convolutions = sum(isinstance(m, nn.Conv2d) for m in model.modules())
    assert asked == [(True, False, False)] * (convolutions - 1)


@pytest.mark.parametrize("soft", [False, True])
def test_a_label_for_each_position_is_a_mean_over_them(soft: bool) -> None:
    """However the gradients are taken, and however long the samples of a batch are."""
    torch.manual_seed(0)
    model = nn.Conv1d(3, 5, 1).double()
    inputs, targets = torch.randn(4, 3, 7).double(), torch.randint(5, (4, 7))
    if soft:
        targets = torch.randn(4, 5, 7).double().softmax(dim=1)
    expected = []
    for x, y in zip(inputs, targets, strict=True):
        gradients = torch.autograd.grad(nn.functional.cross_entropy(model(x[None]), y[None]), list(model.parameters()))
        expected.append(sum(float(g.square().sum()) for g in gradients))
    found = per_sample_sharpness(model, inputs, targets)
    # Rounding of sums of some dozen products in float64.
    assert found.tolist() == pytest.approx(expected, rel=1e-12)
