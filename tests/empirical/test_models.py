"""Residual networks: their sizes, norms and activations, and weights that are fixed at 0."""

import copy
from typing import Any

import pytest
import torch
from hypothesis import strategies as st
from jaxtyping import TypeCheckError
from torch import nn

from sharpdiv.empirical.curvature.per_sample import per_sample_sharpness
from sharpdiv.empirical.errors import InputError
from sharpdiv.empirical.models import Normalization, ResNet, SparseConv2d, folded
from sharpdiv.empirical.optim.running import frozen_running_statistics
from sharpdiv.empirical.optim.sam import SAM
from tests.laws import Mutation, law


@pytest.mark.parametrize(
    ("blocks", "parameters"),
    # He et al. (2016) with the CIFAR stem: counts that public implementations of ResNet-18 and -34 state.
    [((2, 2, 2, 2), 11_173_962), ((3, 4, 6, 3), 21_282_122)],
)
def test_resnets_have_their_known_sizes(blocks: tuple[int, ...], parameters: int) -> None:
    with torch.device("meta"):
        model = ResNet(64, blocks)
    assert sum(p.numel() for p in model.parameters()) == parameters


def test_the_larger_stem_halves_the_image() -> None:
    small, large = ResNet(2, (1,)), ResNet(2, (1,), stem_stride=2)
    assert small.stem(torch.randn(1, 3, 32, 32)).shape == large.stem(torch.randn(1, 3, 64, 64)).shape
    assert large(torch.randn(2, 3, 64, 64)).shape == (2, 10)


@law(
    Mutation(
        "weights not masked in the pass", "sharpdiv.empirical.models.SparseConv2d.forward", lambda _: nn.Conv2d.forward
    ),
    examples=8,
    sparsity=st.sampled_from([0.25, 0.5, 0.9]),
    seed=st.integers(0, 1000),
)
def test_removed_weights_are_the_smallest_and_stay_zero(sparsity: float, seed: int) -> None:
    torch.manual_seed(seed)
    model = ResNet(4, (1, 1), channels=1, classes=3, sparsity=sparsity)
    torch.manual_seed(seed)
    dense = ResNet(4, (1, 1), channels=1, classes=3)
    for sparse, whole in zip(model.modules(), dense.modules(), strict=True):
        if isinstance(sparse, SparseConv2d) and isinstance(whole, nn.Conv2d):
            removed = sparse.weight == 0
            assert int(removed.sum()) == int(sparsity * removed.numel())
            assert whole.weight[removed].abs().max() <= whole.weight[~removed].abs().min()
            assert torch.equal(sparse.weight[~removed], whole.weight[~removed])
    optimizer = SAM(model.parameters(), torch.optim.SGD, 0.5, lr=0.1, momentum=0.9, weight_decay=1e-2)
    inputs, targets = torch.randn(6, 1, 8, 8), torch.arange(6) % 3

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(inputs), targets)
        loss.backward()
        return loss

    for _ in range(3):
        optimizer.step(closure, frozen_running_statistics(model))
    for module in model.modules():
        if isinstance(module, SparseConv2d):
            assert not module.weight[module.mask == 0].any()
            assert module.weight.grad is not None
            assert not module.weight.grad[module.mask == 0].any()


def test_removed_weights_have_no_share_in_the_scores() -> None:
    torch.manual_seed(0)
    model = ResNet(3, (1,), channels=1, classes=3, sparsity=0.5).double().eval()
    inputs, targets = torch.randn(4, 1, 6, 6, dtype=torch.float64), torch.arange(4) % 3
    for score, x, y in zip(per_sample_sharpness(model, inputs, targets), inputs, targets, strict=True):
        loss = nn.functional.cross_entropy(model(x[None]), y[None])
        gradients = torch.autograd.grad(loss, list(model.parameters()))
        assert float(score) == pytest.approx(float(sum(g.square().sum() for g in gradients)), rel=1e-12)


@pytest.mark.parametrize(
    "wrong", [{"blocks": ()}, {"blocks": (1, 0)}, {"width": 0}, {"sparsity": 1.0}, {"sparsity": -0.1}]
)
def test_sizes_that_cannot_be_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(InputError):
        ResNet(**{"width": 2, "blocks": (1,), **wrong})  # type: ignore[arg-type]


@pytest.mark.parametrize(("norm", "kind"), [("batch", nn.BatchNorm2d), ("group", nn.GroupNorm), ("none", type(None))])
def test_the_norm_is_behind_every_convolution(norm: Normalization, kind: type) -> None:
    model = ResNet(width=4, blocks=(1, 2), channels=1, norm=norm)
    norms = [m for m in model.modules() if isinstance(m, nn.BatchNorm2d | nn.GroupNorm)]
    convolutions = [m for m in model.modules() if isinstance(m, nn.Conv2d)]
    assert [type(m) for m in norms] == [kind] * (len(convolutions) if norm != "none" else 0)
    # Without batch statistics samples do not interact, in training mode either.
    images = torch.randn(6, 1, 8, 8)
    together, alone = model(images)[:2], model(images[:2])
    assert torch.allclose(together, alone, atol=1e-5) == (norm != "batch")


def test_group_norm_has_four_groups_or_one_for_each_channel() -> None:
    model = ResNet(width=2, blocks=(1, 1, 1), channels=1, norm="group")
    groups = {m.num_channels: m.num_groups for m in model.modules() if isinstance(m, nn.GroupNorm)}
    assert groups == {2: 2, 4: 4, 8: 4}


def test_the_activation_is_used_everywhere() -> None:
    torch.manual_seed(0)
    relu, gelu = (ResNet(4, (1, 1), 1, norm="none", activation=kind) for kind in ("relu", "gelu"))
    gelu.load_state_dict(relu.state_dict())
    images = torch.randn(3, 1, 8, 8)
    # ReLU networks without biases in the body are homogeneous of degree 1 in their input, GELU ones are not.
    for model, homogeneous in ((relu, True), (gelu, False)):
        twice, once = (model(factor * images) - model.head.bias for factor in (2, 1))
        assert torch.allclose(twice, 2 * once, atol=1e-5) == homogeneous


@pytest.mark.parametrize("option", [{"norm": "layer"}, {"activation": "tanh"}])
def test_unknown_norms_and_activations_are_refused(option: dict[str, str]) -> None:
    # Tests check types first; without that it is our own error.
    with pytest.raises((InputError, TypeCheckError)):
        ResNet(4, (1,), **option)  # type: ignore[arg-type]


def lived_in(seed: int, blocks: tuple[int, ...], sparsity: float = 0.0, norm: Normalization = "batch") -> ResNet:
    """A network whose every weight and statistic is arbitrary, also under the masks; in training mode, as training leaves it."""
    torch.manual_seed(seed)
    model = ResNet(4, blocks, channels=2, classes=4, sparsity=sparsity, norm=norm).double()
    with torch.no_grad():
        for p in model.parameters():
            p.copy_(0.5 * torch.randn_like(p))
        for m in model.modules():
            if isinstance(m, nn.BatchNorm2d) and m.running_mean is not None and m.running_var is not None:
                m.running_mean.normal_()
                m.running_var.uniform_(0.3, 2)
    return model


def changed(**places: Any) -> Any:
    """The fusion of a convolution and a norm with some arguments changed: kernel, bias, mean, var, eps, weight, shift."""
    names = ("kernel", "bias", "mean", "var", "eps", "weight", "shift")

    def change(original: Any) -> Any:
        def fuse(*arguments: Any) -> Any:
            given = dict(zip(names, arguments, strict=True))
            return original(*(given | {name: f(given[name]) for name, f in places.items()}).values())

        return fuse

    return change


@law(
    Mutation("epsilon left out", "sharpdiv.empirical.models.fuse_conv_bn_weights", changed(eps=lambda _: 0.0)),
    Mutation("mean left out", "sharpdiv.empirical.models.fuse_conv_bn_weights", changed(mean=torch.zeros_like)),
    Mutation("shift left out", "sharpdiv.empirical.models.fuse_conv_bn_weights", changed(shift=torch.zeros_like)),
    Mutation(
        "weights not masked in the pass", "sharpdiv.empirical.models.SparseConv2d.forward", lambda _: nn.Conv2d.forward
    ),
    examples=15,
    seed=st.integers(0, 1000),
    # One stage has no shortcut but the identity; two and three have projections.
    blocks=st.sampled_from([(1,), (2,), (1, 1), (1, 2, 1)]),
    sparsity=st.sampled_from([0.0, 0.5]),
)
def test_a_folded_network_predicts_what_the_model_does(seed: int, blocks: tuple[int, ...], sparsity: float) -> None:
    """In evaluation mode. The last example of every run has a mask and projections."""
    for chosen, fraction in ((blocks, sparsity), ((1, 1), 0.5)):
        model = lived_in(seed, chosen, fraction)
        before = copy.deepcopy(model.state_dict())
        network = folded(model)
        images = torch.randn(5, 2, 8, 8, dtype=torch.float64)
        with torch.no_grad():
            ours, theirs = network(images), copy.deepcopy(model).eval()(images)
        # Up to 11 convolutions of up to 144 products, each rounded to 1e-16 of its sum: 1e-13, and a hundred times that for
        # sums that cancel. Epsilon alone, 1e-5 of variances of order 1, changes 1e-6.
        assert float((ours - theirs).abs().max() / theirs.abs().max()) < 1e-11
        assert not any(isinstance(m, nn.BatchNorm2d | SparseConv2d) for m in network.modules())
        assert not network.training
        assert model.training
        assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_folding_in_float32_is_exact_to_its_rounding() -> None:
    model = lived_in(0, (1, 1, 1), 0.5).float()
    images = torch.randn(20, 2, 8, 8).contiguous(memory_format=torch.channels_last)
    with torch.no_grad():
        ours, theirs = folded(model)(images), copy.deepcopy(model).eval()(images)
    assert (
        float((ours - theirs).abs().max() / theirs.abs().max()) < 1e-5
    )  # 7 convolutions at 6e-8, times ten for cancelling


@pytest.mark.parametrize(("width", "blocks"), [(6, (1,)), (5, (1,)), (3, (1, 1))])
def test_widths_that_group_norm_cannot_divide_are_refused(width: int, blocks: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match=r"4 groups of channels, .*: use a width of 1, 2 or a multiple of 4"):
        ResNet(width=width, blocks=blocks, channels=1, norm="group")


@pytest.mark.parametrize("norm", ["group", "none"])
def test_what_is_no_batch_norm_stays_as_it_is(norm: Normalization) -> None:
    model = lived_in(1, (1, 1), norm=norm)
    network, images = folded(model), torch.randn(5, 2, 8, 8, dtype=torch.float64)
    assert [type(m) for m in network.modules()] == [type(m) for m in model.modules()]
    assert all(torch.equal(value, model.state_dict()[name]) for name, value in network.state_dict().items())
    assert all(a.data_ptr() != b.data_ptr() for a, b in zip(network.parameters(), model.parameters(), strict=True))
    with torch.no_grad():
        assert torch.equal(network(images), copy.deepcopy(model).eval()(images))
