"""SAM under the Trainer of Lightning, with its gradient accumulation.

A module returns SAM from ``configure_optimizers`` and trains. ``SAMCallback`` is needed where gradients are accumulated, and better
elsewhere: without it Lightning logs, counts and clips in both passes.

Examples:
    >>> import torch
    >>> import lightning.pytorch as pl  # doctest: +SKIP
    >>> from sharpdiv import SAM
    >>> from sharpdiv.empirical.adapters.lightning import SAMCallback
    >>> class Network(pl.LightningModule):  # doctest: +SKIP
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.layer = torch.nn.Linear(2, 1)
    ...     def training_step(self, batch):
    ...         return torch.nn.functional.mse_loss(self.layer(batch[0]), batch[1])
    ...     def configure_optimizers(self):
    ...         return SAM(self.parameters(), torch.optim.SGD, rho=0.05, lr=0.1)
    >>> trainer = pl.Trainer(max_epochs=1, accumulate_grad_batches=4, callbacks=[SAMCallback()])  # doctest: +SKIP
    >>> trainer.fit(Network(), your_loader)  # doctest: +SKIP
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from sharpdiv.empirical.errors import InputError
from sharpdiv.empirical.optim.running import frozen_running_statistics
from sharpdiv.empirical.optim.sam import SAM

try:
    from lightning.pytorch import LightningModule, Trainer
    from lightning.pytorch.callbacks import Callback
    from lightning.pytorch.plugins.precision import MixedPrecision, Precision
    from lightning.pytorch.strategies import DDPStrategy, SingleDeviceStrategy
    from torchmetrics import Metric
except ModuleNotFoundError:
    Trainer = LightningModule = Any

    class Callback:  # type: ignore[no-redef]
        """What says, where Lightning is missing, that it is."""

        def __init__(self) -> None:
            raise ModuleNotFoundError(
                "SAMCallback needs Lightning, which is not installed: pip install '.[lightning]' in the folder of sharpdiv",
                name="lightning",
            )


__all__ = ["SAMCallback"]


class SAMCallback(Callback):
    """Both passes of SAM over all micro-batches of a step, in automatic optimization with one SAM.

    With ``accumulate_grad_batches=k`` the update is that of the whole batch: the ascent follows the gradient of all k
    micro-batches, and all are taken again at ``w + e``. They are kept until the step, on their device: memory for k
    micro-batches in place of one, not for their graphs. A last group of fewer is divided by k too, as Lightning does.

    The second pass leaves no trace: what it logs is dropped, metrics of torchmetrics count a sample once, norms advance once.
    ``on_before_optimizer_step`` and ``gradient_clip_val`` see the gradients of the descent alone; the hooks around the
    backward pass run in both. ``training_step`` runs twice for each micro-batch and must not change it.

    One device, or ``ddp``; ``32-true``, ``64-true`` and ``bf16-mixed``.

    Raises:
        ModuleNotFoundError: if Lightning is not installed; the extra ``lightning`` brings it.
        InputError: when training starts, if the module optimizes by hand or its optimizer is not SAM, gradients are
            scaled (``16-mixed``), or the strategy shards them.

    Example: see the module's.
    """

    def __init__(self) -> None:
        super().__init__()
        self._batches = list[tuple[Any, ...]]()
        self._training_step: Callable[..., Any] | None = None

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Take over the strategy's steps.

        Args:
            trainer: Lightning's.
            pl_module: module in training.
        """
        _check(trainer, pl_module)
        self._batches.clear()
        # No hook of Lightning sees a micro-batch as training_step gets it, or stands in for an optimizer's step.
        strategy = trainer.strategy
        self._training_step = strategy.training_step
        strategy.training_step = self._remembered
        strategy.optimizer_step = partial(self._step, trainer)

    def on_before_zero_grad(self, trainer: Trainer, pl_module: LightningModule, optimizer: Any) -> None:  # noqa: ARG002
        """Forget batches whose gradients are dropped; the last one's are not stored yet.

        Args:
            trainer: Lightning's.
            pl_module: module in training.
            optimizer: its optimizer.
        """
        del self._batches[:-1]

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:  # noqa: ARG002
        """Give the strategy its steps back.

        Args:
            trainer: Lightning's.
            pl_module: module in training.
        """
        for name in ("training_step", "optimizer_step"):
            vars(trainer.strategy).pop(name, None)
        self._batches.clear()
        self._training_step = None

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:  # noqa: ARG002
        """As at the end of training.

        Args:
            trainer: Lightning's.
            pl_module: module in training.
            exception: what ended it.
        """
        self.on_train_end(trainer, pl_module)

    def _remembered(self, *arguments: Any) -> Any:
        """The strategy's training step, of the first pass."""
        self._batches.append(arguments)
        assert self._training_step is not None
        return self._training_step(*arguments)

    def _step(self, trainer: Trainer, optimizer: SAM, closure: Callable[[], Any], model: Any = None, **_: Any) -> Any:
        """The strategy's optimizer step: ``closure`` is the first pass of the last micro-batch."""
        module = model or trainer.lightning_module
        result = closure()
        if optimizer.ascends:
            with optimizer.perturbed(), frozen_running_statistics(module), _unseen(module):
                optimizer.zero_grad()
                for arguments in self._batches:
                    self._again(trainer, optimizer, arguments)
        self._batches.clear()
        # What Lightning does between a closure and the step: the hooks before the step, and clipping.
        trainer.strategy.precision_plugin._after_closure(module, optimizer)
        optimizer.descend()
        return result

    def _again(self, trainer: Trainer, optimizer: SAM, arguments: tuple[Any, ...]) -> None:
        assert self._training_step is not None
        output = self._training_step(*arguments)
        loss = output if isinstance(output, Tensor | None) else output["loss"]
        if loss is not None:  # Lightning skips such a batch
            trainer.strategy.backward(loss / trainer.accumulate_grad_batches, optimizer)


def _check(trainer: Trainer, module: LightningModule) -> None:
    """Refuse what SAM cannot do, or what nobody has tried."""
    if not module.automatic_optimization:
        raise InputError("SAMCallback is for automatic optimization; by hand, call SAM.step(closure) and leave it out")
    names = [type(optimizer).__name__ for optimizer in trainer.optimizers]
    if not (len(names) == 1 and isinstance(trainer.optimizers[0], SAM)):
        raise InputError(f"configure_optimizers must return one SAM, got {', '.join(names) or 'nothing'}")
    precision, strategy = trainer.precision_plugin, trainer.strategy
    if getattr(precision, "scaler", None) is not None:
        raise InputError(f"precision {precision.precision!r} scales gradients; SAM under Lightning takes 'bf16-mixed'")
    steps = type(precision).optimizer_step
    if steps not in {Precision.optimizer_step, MixedPrecision.optimizer_step} or not isinstance(
        strategy, SingleDeviceStrategy | DDPStrategy
    ):
        raise InputError(
            f"SAM's ascent needs whole gradients on every device: got {type(strategy).__name__} with "
            f"{type(precision).__name__}; use one device or 'ddp'"
        )


@contextmanager
def _unseen(module: nn.Module) -> Iterator[None]:
    """Keep nothing of what is logged and counted."""
    kept = [_States(m) for m in module.modules() if isinstance(m, Metric)]
    vars(module)["log"] = lambda *_, **__: None  # log_dict calls it, too
    try:
        yield
    finally:
        del vars(module)["log"]
        for states in kept:
            states.restore()


class _States:
    """What a metric has counted: attributes, which are no buffers, to be put back in place."""

    def __init__(self, metric: nn.Module) -> None:
        self._all, self._now = vars(metric), dict(vars(metric))
        self._tensors = [(value, value.clone()) for value in self._now.values() if isinstance(value, Tensor)]
        self._lists = [(value, list(value)) for value in self._now.values() if isinstance(value, list)]

    @torch.no_grad()
    def restore(self) -> None:
        for tensor, copy in self._tensors:
            tensor.copy_(copy)
        for each, items in self._lists:
            each[:] = items
        self._all.update(self._now)
