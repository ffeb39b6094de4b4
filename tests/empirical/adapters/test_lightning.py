"""SAM under Lightning's Trainer against the plain loop, to the bit."""

import itertools
import logging
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.optim import lr_scheduler
from torch.utils.data import DataLoader, TensorDataset

from sharpdiv.empirical.adapters import lightning as adapter
from sharpdiv.empirical.adapters.lightning import SAMCallback
from sharpdiv.empirical.errors import InputError
from tests.empirical.adapters.examples import run_example
from tests.empirical.adapters.lightning_runs import (
    BATCHES,
    EPOCHS,
    WARNINGS,
    Network,
    Options,
    fitted,
    groups,
    loader,
    pl,
    plain,
    sam,
    same,
    trainer_of,
)
from tests.empirical.networks import mlp, state
from tests.laws import Mutation, law

pytestmark = WARNINGS


@pytest.fixture(autouse=True)
def quiet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)


BASES: dict[str, Options] = {
    "momentum": {"momentum": 0.9, "weight_decay": 1e-2},
    "adam": {"base_optimizer": torch.optim.Adam, "lr": 1e-2},
    "adaptive": {"adaptive": True, "clip_norm": 0.1},
    "unnormalized": {"normalize": False},
    "rho 0": {"rho": 0.0},
}


@pytest.mark.parametrize("base", BASES)
@pytest.mark.parametrize("callback", [False, True])
def test_equals_the_plain_loop(callback: bool, base: str) -> None:
    net = mlp(0)
    expected = plain(net, sam(net, **BASES[base]))
    found = fitted(partial(sam, **BASES[base]), *([SAMCallback()] if callback else []))
    assert same(found, expected)


@law(
    Mutation(
        "the last micro-batch alone again",
        "sharpdiv.empirical.adapters.lightning.SAMCallback._remembered",
        lambda f: lambda self, *a: (self._batches.clear(), f(self, *a))[1],
    ),
    Mutation(
        "sums in place of means",
        "sharpdiv.empirical.adapters.lightning.SAMCallback._again",
        lambda f: (
            lambda self, trainer, *a: f(self, SimpleNamespace(strategy=trainer.strategy, accumulate_grad_batches=1), *a)
        ),
    ),
    Mutation(
        "norms advance twice",
        "sharpdiv.empirical.adapters.lightning.frozen_running_statistics",
        lambda _: lambda _: nullcontext(),
    ),
    Mutation(
        "weights where they were",
        "sharpdiv.empirical.optim.sam.SAM.perturbed",
        lambda _: lambda _: nullcontext(),
    ),
)
def test_accumulated_steps_equal_those_of_the_whole_batch() -> None:
    """The referee steps by autograd and by hand; the sums are Lightning's."""
    for k in (2, 3):
        net, found = mlp(0), fitted(sam, SAMCallback(), accumulate_grad_batches=k)
        weights = list(net.parameters())
        for micro in groups(k):
            first = _gradient(net, micro, k)
            buffers = [b.clone() for b in net.buffers()]
            norm = torch.cat([g.flatten() for g in first]).norm()
            kept = [w.detach().clone() for w in weights]
            with torch.no_grad():
                for w, g in zip(weights, first, strict=True):
                    w.add_(0.5 * g / norm)
            second = _gradient(net, micro, k)
            with torch.no_grad():
                for w, old, g in zip(weights, kept, second, strict=True):
                    w.copy_(old - 0.1 * g)
                for b, old in zip(net.buffers(), buffers, strict=True):
                    b.copy_(old)
        # Rounding in float32, of the norm above all: some 1e-7 a step, and there are at most six.
        assert all(torch.allclose(a, b, rtol=0, atol=1e-5) for a, b in zip(found, state(net), strict=True))


def _gradient(net: nn.Module, micro: list[list[Tensor]], k: int) -> list[Tensor]:
    """Of the sum of the micro-batches' losses, each divided by k."""
    losses = [nn.functional.cross_entropy(net(inputs), targets) / k for inputs, targets in micro]
    return list(torch.autograd.grad(sum(losses, torch.zeros(())), list(net.parameters())))


@pytest.mark.parametrize("base", BASES)
@pytest.mark.parametrize("k", [2, 3])
def test_accumulated_steps_equal_a_closure_over_micro_batches(k: int, base: str) -> None:
    net = mlp(0)
    expected = plain(net, sam(net, **BASES[base]), k)
    assert same(fitted(partial(sam, **BASES[base]), SAMCallback(), accumulate_grad_batches=k), expected)


@pytest.mark.parametrize("k", [1, 2])
@pytest.mark.parametrize("interval", ["step", "epoch"])
def test_schedules(interval: str, k: int) -> None:
    def optimizers(net: nn.Module) -> Any:
        optimizer = sam(net)
        schedule = {"scheduler": lr_scheduler.ExponentialLR(optimizer, 0.5), "interval": interval}
        return {"optimizer": optimizer, "lr_scheduler": schedule}

    net, steps = mlp(0), itertools.count(1)
    optimizer = sam(net)
    schedule = lr_scheduler.ExponentialLR(optimizer, 0.5)
    a_period = 1 if interval == "step" else -(-BATCHES // k)

    def after() -> None:
        if next(steps) % a_period == 0:
            schedule.step()

    expected = plain(net, optimizer, k, after)
    assert same(fitted(optimizers, SAMCallback(), accumulate_grad_batches=k), expected)
    if k == 1:
        assert same(fitted(optimizers), expected)


@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize("k", [1, 2])
def test_the_trainer_clips_the_descent_alone(k: int, normalize: bool) -> None:
    net = mlp(0)
    expected = plain(net, sam(net, clip_norm=0.1, normalize=normalize), k)
    options: Options = {"accumulate_grad_batches": k, "gradient_clip_val": 0.1}
    found = fitted(partial(sam, normalize=normalize), SAMCallback(), **options)
    assert same(found, expected)
    if k == 1:  # Without the callback the gradients of the ascent are clipped, too.
        bare = fitted(partial(sam, normalize=normalize), **options)
        assert all(torch.allclose(a, b, atol=1e-5) for a, b in zip(bare, expected, strict=True)) == normalize


@pytest.mark.parametrize("k", [1, 2])
def test_bfloat16(k: int) -> None:
    net = mlp(0)
    expected = plain(net, sam(net), k, context=lambda: torch.autocast("cpu", torch.bfloat16, cache_enabled=False))
    found = fitted(sam, SAMCallback(), accumulate_grad_batches=k, precision="bf16-mixed")
    assert same(found, expected)
    whole = mlp(0)
    assert not same(found, plain(whole, sam(whole), k))
    if k == 1:
        assert same(fitted(sam, precision="bf16-mixed"), expected)


@pytest.mark.parametrize("callback", [False, True])
def test_float16_is_refused_in_one_line(callback: bool) -> None:
    scaled = pl.plugins.precision.MixedPrecision("16-mixed", "cpu")  # by its name, Lightning takes bf16 on the CPU
    with pytest.raises(InputError, match="bf16-mixed" if callback else "scaler") as error:
        fitted(sam, *([SAMCallback()] if callback else []), plugins=[scaled])
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("k", [1, 2])
def test_resumed_training_goes_on_to_the_same_bits(k: int) -> None:
    def optimizers(net: nn.Module) -> Any:
        optimizer = sam(net, momentum=0.9)
        return [optimizer], [lr_scheduler.CosineAnnealingLR(optimizer, EPOCHS)]

    options: Options = {"accumulate_grad_batches": k}
    expected = fitted(optimizers, SAMCallback(), **options)
    half = trainer_of(SAMCallback(), max_epochs=1, **options)
    half.fit(Network(optimizers), loader())
    half.save_checkpoint("half.ckpt")
    module = Network(optimizers)
    trainer_of(SAMCallback(), **options).fit(module, loader(), ckpt_path="half.ckpt")
    assert same(state(module.net), expected)


class Seed(pl.Callback):
    """Seeds each step, as the plain loop does."""

    def on_train_batch_start(self, trainer: Any, pl_module: Any, samples: Any, batch_idx: int) -> None:
        if batch_idx % 2 == 0:
            torch.manual_seed(trainer.global_step)


def test_dropout_draws_in_the_order_of_the_plain_loop() -> None:
    module = Network(sam, rate=0.5)
    trainer_of(SAMCallback(), Seed(), accumulate_grad_batches=2).fit(module, loader())

    class Dropped(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net, self.dropout = mlp(0), nn.Dropout(0.5)

        def forward(self, x: Tensor) -> Tensor:
            return self.net(self.dropout(x))

    twin = Dropped()
    assert same(state(module.net), plain(twin, sam(twin), 2))


# What Lightning says of its own defaults.
@pytest.mark.filterwarnings("ignore:.*tensorboardX. has been removed")
@pytest.mark.filterwarnings("ignore:The number of training batches .* is smaller than the logging interval")
def test_the_example() -> None:
    data = DataLoader(TensorDataset(torch.randn(24, 2), torch.randn(24, 1)), batch_size=4)
    names = run_example(adapter, your_loader=data)
    assert names["trainer"].global_step == 2
