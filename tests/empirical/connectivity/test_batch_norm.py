"""Recalibrated statistics are the means and variances of what layers see; nothing else of a network changes."""

from copy import deepcopy
from typing import Any

import pytest
import torch
from hypothesis import strategies as st
from torch import Tensor, nn

from sharpdiv.empirical.connectivity.batch_norm import recalibrate_batch_norm, running_norms
from sharpdiv.empirical.errors import InputError
from tests.empirical.networks import batch, resnet
from tests.laws import Mutation, law

MODULE = "sharpdiv.empirical.connectivity.batch_norm"
seeds = st.integers(0, 1000)
momenta = st.sampled_from([None, 0.0, 0.1, 1.0])


class Deep(nn.Module):
    """Norms of three kinds behind each other, dropout between them, one that normalizes twice, and one that never does."""

    def __init__(self, seed: int, momentum: float | None) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.first, self.second = nn.Conv2d(1, 4, 3), nn.Linear(4, 6)
        self.norms = nn.ModuleList([nn.BatchNorm2d(4), nn.InstanceNorm2d(4, track_running_stats=True)])
        self.last, self.never = nn.BatchNorm1d(6), nn.BatchNorm1d(2)
        self.free, self.drop = nn.BatchNorm1d(6, track_running_stats=False), nn.Dropout(0.5)
        for module in self.modules():
            if isinstance(module, nn.modules.batchnorm._NormBase):
                module.momentum = momentum
        for buffer in self.buffers():
            if buffer.is_floating_point():
                buffer.uniform_(1, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = self.drop(self.norms[0](self.first(x)).relu())
        x = self.second(self.norms[1](x).square().mean(dim=(2, 3)))
        return self.free(self.last(x) + self.last(3 * x + 1))


def images(seed: int, size: int) -> tuple[Tensor, Tensor]:
    inputs, targets = batch(seed, size, (1, 5, 5))
    return inputs.double(), targets


def seen(model: nn.Module, inputs: Tensor) -> dict[nn.Module, list[Tensor]]:
    """What each norm of a network in training mode without dropout takes, in every call."""
    found: dict[nn.Module, list[Tensor]] = {}
    for norm in running_norms(model):
        norm.register_forward_pre_hook(lambda norm, given: found.setdefault(norm, []).append(given[0].detach()))
    model.train()
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.eval()
    model(inputs)
    return found


def moments(norm: nn.Module, values: Tensor) -> tuple[Tensor, Tensor]:
    """Means and unbiased variances of each channel; of an instance norm, of each image's, averaged."""
    if isinstance(norm, nn.InstanceNorm2d):
        return values.mean(dim=(2, 3)).mean(dim=0), values.var(dim=(2, 3)).mean(dim=0)
    by_channel = values.transpose(0, 1).flatten(1)
    return by_channel.mean(dim=1), by_channel.var(dim=1)


@law(
    Mutation("dropout on", f"{MODULE}.untouched", lambda f: lambda model: f(model.train()) and _train_all(model)),
    Mutation("biased variances", f"{MODULE}._write", lambda f: lambda norm, average: _biased(f, norm, average)),
    Mutation("the last pass alone", f"{MODULE}._Average.add", lambda f: lambda self, found, _: _only(self, found)),
    examples=10,
    seed=seeds,
    momentum=momenta,
)
def test_statistics_of_one_batch_are_its_means_and_variances(seed: int, momentum: float | None) -> None:
    model = Deep(seed, momentum).double()
    inputs, targets = images(seed, 9)
    copy = deepcopy(model)
    expected = seen(copy, inputs)
    recalibrate_batch_norm(model, (inputs, targets))
    pairs = zip(running_norms(model), running_norms(copy), strict=True)
    checked = 0
    for norm, twin in pairs:
        if twin not in expected:
            assert norm is model.never
            continue
        calls = [moments(twin, values) for values in expected[twin]]
        for found, parts in zip((norm.running_mean, norm.running_var), zip(*calls, strict=True), strict=True):
            assert found is not None
            # double precision, sums of at most 81 numbers of order one (times 3 in the second call)
            assert torch.allclose(found, torch.stack(parts).mean(dim=0), rtol=1e-12, atol=1e-12)
        checked += len(calls)
    assert checked == 4


def _train_all(model: nn.Module) -> Any:
    model.train()
    return torch.no_grad()


def _biased(write: Any, norm: Any, average: Any) -> None:
    average.means[1] = average.means[1] * (1 - 1 / 9)
    write(norm, average)


def _only(average: Any, found: list[Tensor]) -> None:
    average.passes, average.means = average.passes + 1, [each.clone() for each in found]


@law(
    Mutation("batches count alike", f"{MODULE}._Average.add", lambda f: lambda self, found, values: f(self, found, 1)),
    Mutation(
        "as a momentum of a tenth",
        f"{MODULE}._Average.add",
        lambda f: lambda self, found, values: f(self, found, values if not self.passes else self.values / 9),
    ),
    examples=10,
    seed=seeds,
    sizes=st.lists(st.integers(2, 20), min_size=2, max_size=4).filter(lambda sizes: len(set(sizes)) > 1),
)
def test_batches_count_by_their_samples_in_any_order(seed: int, sizes: list[int]) -> None:
    """The first layer's mean is that of all samples; its variance that within batches."""
    first, last = nn.BatchNorm1d(3), nn.BatchNorm1d(4)
    model = nn.Sequential(first, nn.Linear(3, 4), last).double()
    parts = [batch(seed + place, size, (3,)) for place, size in enumerate(sizes)]
    parts = [(inputs.double() + place, targets) for place, (inputs, targets) in enumerate(parts)]
    backwards = deepcopy(model)
    recalibrate_batch_norm(model, parts)
    recalibrate_batch_norm(backwards, parts[::-1])
    everything = torch.cat([inputs for inputs, _ in parts])
    within = torch.stack([len(x) * x.var(dim=0) for x, _ in parts]).sum(dim=0) / len(everything)
    assert first.running_mean is not None
    assert first.running_var is not None
    assert last.running_var is not None
    reversed_var = backwards.state_dict()["2.running_var"]
    # double precision: 1e-12 is thousands of roundings of numbers of order one
    assert torch.allclose(first.running_mean, everything.mean(dim=0), rtol=0, atol=1e-12)
    assert torch.allclose(first.running_var, within, rtol=0, atol=1e-12)
    assert torch.allclose(last.running_var, reversed_var, rtol=0, atol=1e-12)


def test_batches_of_one_size_give_what_torch_gives() -> None:
    """``update_bn`` averages over batches in the network's own precision."""
    model, other = resnet(0, torch.float64), resnet(0, torch.float64)
    parts = [images(seed, 8) for seed in range(5)]
    recalibrate_batch_norm(model, parts)
    torch.optim.swa_utils.update_bn(parts, other.train())
    for name, value in other.state_dict().items():
        assert torch.allclose(model.state_dict()[name].double(), value.double(), rtol=1e-12, atol=1e-12), name
    counts = [value.item() for name, value in model.state_dict().items() if name.endswith("num_batches_tracked")]
    assert set(counts) == {5}


def test_an_average_without_momentum_would_go_on() -> None:
    norm = nn.BatchNorm1d(1, momentum=None)
    parts = [(torch.tensor([[at], [at + 1.0]]), torch.zeros(2)) for at in (0.0, 2.0, 7.0)]
    recalibrate_batch_norm(norm, parts[:2])
    norm.train()(parts[2][0])
    assert norm.running_mean is not None
    assert norm.running_mean.item() == pytest.approx((0.5 + 2.5 + 7.5) / 3)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64])
def test_statistics_stay_in_the_precision_of_the_network(dtype: torch.dtype) -> None:
    """Of 400 batches in bfloat16, whose own running mean would stop moving after about 256."""
    norm = nn.BatchNorm1d(1).to(dtype)
    parts = [(torch.tensor([[at - 1.0], [at + 1.0]], dtype=dtype), torch.zeros(2)) for at in [0.0] * 200 + [4.0] * 200]
    recalibrate_batch_norm(norm, parts)
    assert norm.running_mean is not None
    assert norm.running_mean.dtype == dtype
    assert norm.running_mean.item() == pytest.approx(2.0, rel=2.0**-8)  # one rounding of bfloat16


@law(
    Mutation(
        "the old ones count", "torch.nn.modules.batchnorm._NormBase.reset_running_stats", lambda _: lambda self: None
    )
)
def test_statistics_that_were_not_finite_are_replaced() -> None:
    norm = nn.BatchNorm1d(1)
    assert norm.running_mean is not None
    norm.running_mean.fill_(torch.nan)
    recalibrate_batch_norm(norm, (torch.tensor([[1.0], [3.0]]), torch.zeros(2)))
    assert norm.running_mean.item() == 2


class StopError(Exception):
    """Raised in a forward pass."""


class Stopping(nn.Module):
    """Raises in the second pass."""

    def __init__(self, error: type[BaseException]) -> None:
        super().__init__()
        self.norm, self.error, self.passes = nn.BatchNorm1d(3, momentum=None), error, 0

    def forward(self, x: Tensor) -> Tensor:
        self.passes += 1
        found: Tensor = self.norm(x)
        if self.passes == 2:
            raise self.error
        return found


@pytest.mark.parametrize("error", [StopError, KeyboardInterrupt])
def test_an_exception_leaves_the_network_as_it_was(error: type[BaseException]) -> None:
    model = Stopping(error)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(error):
        recalibrate_batch_norm(model, [batch(seed, 4, (3,)) for seed in range(3)])
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert (model.training, model.norm.training, model.norm.momentum) == (True, True, None)
    assert not model.norm._forward_hooks
    assert not model.norm._forward_pre_hooks


def test_any_batch_structure_is_taken_and_weights_stay() -> None:
    class Named(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm = nn.BatchNorm1d(3)

        def forward(self, *, ids: Tensor) -> Tensor:
            found: Tensor = self.norm(ids)
            return found

    model, (inputs, targets) = Named(), batch(0, 6, (3,))
    recalibrate_batch_norm(model, {"ids": inputs, "labels": targets})
    assert model.norm.running_mean is not None
    assert torch.allclose(model.norm.running_mean, inputs.mean(dim=0))
    assert torch.equal(model.norm.weight, torch.ones(3))


def test_networks_without_running_statistics_are_left_alone() -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.GroupNorm(2, 4), nn.BatchNorm1d(4, track_running_stats=False))
    recalibrate_batch_norm(model, [])  # no batch is asked for
    assert running_norms(model) == []


def test_a_batch_that_cannot_be_normalized_is_named() -> None:
    with pytest.raises(InputError, match=r"batch 2 of the training data: Expected more than 1 value per channel"):
        recalibrate_batch_norm(nn.BatchNorm1d(3), [batch(0, 4, (3,)), batch(1, 1, (3,))])


class Interrupted(nn.BatchNorm1d):
    """A norm at which the user presses Ctrl-C when it gets its second hook."""

    def register_forward_hook(self, *_: Any, **__: Any) -> Any:
        raise KeyboardInterrupt


def test_an_interruption_while_hooks_are_set_leaves_none_and_no_momentum() -> None:
    model = nn.Sequential(nn.BatchNorm1d(3), Interrupted(3))
    with pytest.raises(KeyboardInterrupt):
        recalibrate_batch_norm(model, batch(0, 4, (3,)))
    for norm in running_norms(model):
        assert (norm.momentum, norm.training) == (0.1, True)
        assert not norm._forward_pre_hooks
        assert not norm._forward_hooks
