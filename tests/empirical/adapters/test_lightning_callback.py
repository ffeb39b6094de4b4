"""SAMCallback leaves no trace of the second pass, and refuses what it cannot do."""

import logging
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from sharpdiv.empirical.adapters import lightning as adapter
from sharpdiv.empirical.adapters.lightning import SAMCallback
from sharpdiv.empirical.errors import InputError
from sharpdiv.empirical.optim.sam import SAM
from tests.empirical.adapters.lightning_runs import (
    EPOCHS,
    WARNINGS,
    Network,
    fitted,
    loader,
    pl,
    plain,
    sam,
    same,
    trainer_of,
)
from tests.empirical.networks import mlp, state
from tests.laws import types_unchecked

pytestmark = WARNINGS


@pytest.fixture(autouse=True)
def quiet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)


def test_what_is_logged_and_counted_is_of_the_first_pass() -> None:
    for k in (1, 2):
        found = []
        for rho, callbacks in ((0.5, [SAMCallback()]), (0.0, [])):
            # At a learning rate of 0 both stay where they are.
            module = Network(partial(sam, rho=rho, lr=0.0))
            trainer = trainer_of(*callbacks, max_epochs=1, accumulate_grad_batches=k if rho else 1)
            trainer.fit(module, loader())
            found.append(({n: float(v) for n, v in trainer.callback_metrics.items()}, module.losses))
        assert found[0][0] == pytest.approx(found[1][0])
        assert found[0][1] == pytest.approx([loss / k for loss in found[1][1]])


class Watch(pl.Callback):
    """Counts steps, and keeps the norms of the gradients before them."""

    def __init__(self) -> None:
        self.norms: list[float] = []

    def on_before_optimizer_step(self, trainer: Any, pl_module: Any, optimizer: SAM) -> None:
        assert isinstance(optimizer, SAM)
        self.norms.append(float(nn.utils.get_total_norm([p.grad for p in pl_module.net.parameters()])))


def test_the_hook_before_the_step_sees_the_descent_once() -> None:
    watch = Watch()
    trainer = trainer_of(SAMCallback(), watch, accumulate_grad_batches=2)
    module = Network(sam)
    trainer.fit(module, loader())
    assert len(watch.norms) == trainer.global_step == 3 * EPOCHS
    net, norms = mlp(0), list[float]()
    optimizer = sam(net)
    optimizer.base.register_step_pre_hook(
        lambda *_: norms.append(
            float(nn.utils.get_total_norm([p.grad for p in net.parameters() if p.grad is not None]))
        )
    )
    plain(net, optimizer, 2)
    assert watch.norms == norms


class Skip(pl.Callback):
    """Ends the first epoch in the middle of a group of micro-batches."""

    def on_train_batch_start(self, trainer: Any, pl_module: Any, samples: Any, batch_idx: int) -> None:
        pl_module.stop_now = trainer.current_epoch == 0 and batch_idx == 3


class Stopping(Network):
    """A network that has had enough."""

    stop_now = False

    def on_train_batch_start(self, *_: Any) -> int | None:
        return -1 if self.stop_now else None


def test_micro_batches_whose_gradients_are_dropped_are_forgotten() -> None:
    module = Stopping(sam)
    trainer_of(SAMCallback(), Skip(), accumulate_grad_batches=2).fit(module, loader())
    net, batches = mlp(0), list(loader())
    optimizer = sam(net)
    # Of the first epoch's second group one micro-batch was taken, which no step has seen, but the norms have.
    for micro in (batches[:2], None, batches[:2], batches[2:4], batches[4:]):
        if micro is None:
            net(batches[2][0])
            continue

        def closure(micro: list[list[Tensor]] = micro) -> None:
            optimizer.zero_grad()
            for inputs, targets in micro:
                (nn.functional.cross_entropy(net(inputs), targets) / 2).backward()

        optimizer.step(closure)
    assert same(state(module.net), state(net))


class Failing(pl.Callback):
    """Fails between micro-batches."""

    def on_train_batch_end(self, *_: Any) -> None:
        raise RuntimeError("stop")


def test_the_strategy_is_left_as_it_was() -> None:
    callback = SAMCallback()
    for others, error in (((), nullcontext()), ((Failing(),), pytest.raises(RuntimeError, match="stop"))):
        trainer = trainer_of(callback, *others, accumulate_grad_batches=2)
        with error:
            trainer.fit(Network(sam), loader())
        assert {"training_step", "optimizer_step"}.isdisjoint(vars(trainer.strategy))
        assert not callback._batches
        assert "log" not in vars(trainer.lightning_module)
    expected = fitted(sam, SAMCallback(), accumulate_grad_batches=2)
    assert same(fitted(sam, callback, accumulate_grad_batches=2), expected)


class ByHand(Network):
    """Runs the passes itself, which needs no callback."""

    automatic_optimization = False

    def __init__(self) -> None:
        super().__init__(sam)
        self.automatic_optimization = False

    def training_step(self, samples: tuple[Tensor, Tensor]) -> None:  # type: ignore[override]
        optimizer = self.optimizers()

        def closure() -> Tensor:
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(self.net(samples[0]), samples[1])
            self.manual_backward(loss)
            return loss

        optimizer.step(closure)

    def on_train_batch_end(self, *_: Any) -> None:
        pass


def test_by_hand_it_is_the_plain_loop_and_the_callback_is_refused() -> None:
    module = ByHand()
    trainer_of().fit(module, loader())
    net = mlp(0)
    assert same(state(module.net), plain(net, sam(net)))
    with pytest.raises(InputError, match="automatic"):
        trainer_of(SAMCallback()).fit(ByHand(), loader())


def test_other_optimizers_and_strategies_are_refused() -> None:
    with pytest.raises(InputError, match="one SAM, got SGD"):
        fitted(lambda net: torch.optim.SGD(net.parameters(), lr=0.1), SAMCallback())
    sharded: Any = SimpleNamespace(
        optimizers=[sam(mlp(0))], precision_plugin=pl.plugins.precision.FSDPPrecision("bf16-mixed"), strategy=object()
    )
    with types_unchecked(), pytest.raises(InputError, match="whole gradients"):
        adapter._check(sharded, Network(sam))
