"""SAM under the Trainer of Hugging Face, with its gradient accumulation.

Examples:
    >>> from sharpdiv.empirical.adapters.transformers import SAMTrainer
    >>> from transformers import BertConfig, BertForSequenceClassification, TrainingArguments  # doctest: +SKIP
    >>> sizes = dict(hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32)
    >>> model = BertForSequenceClassification(BertConfig(**sizes))  # doctest: +SKIP
    >>> settings = TrainingArguments("runs/bert", gradient_accumulation_steps=4)  # doctest: +SKIP
    >>> trainer = SAMTrainer(model, settings, train_dataset=your_data, rho=0.05)  # doctest: +SKIP
    >>> trainer.train()  # doctest: +SKIP
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from sharpdiv.empirical.errors import InputError
from sharpdiv.empirical.optim.ascent import check_group
from sharpdiv.empirical.optim.running import frozen_running_statistics
from sharpdiv.empirical.optim.sam import SAM

try:
    from transformers import Trainer
except ModuleNotFoundError:

    class Trainer:  # type: ignore[no-redef]
        """What says, where transformers is missing, that it is."""

        def __init__(self, *_: Any, **__: Any) -> None:
            raise ModuleNotFoundError(
                "SAMTrainer needs transformers, which is not installed: pip install '.[transformers]' in the folder of sharpdiv",
                name="transformers",
            )


__all__ = ["SAMTrainer"]

_WHOLE = ("NO", "MULTI_CPU", "MULTI_GPU")
"""Kinds of training in which every process has all of the gradient."""


class SAMTrainer(Trainer):
    """``transformers.Trainer`` whose gradients are those at the worst nearby point, around the optimizer it makes or is given.

    Groups for weight decay, schedules, ``max_grad_norm`` (of the descent), logging and checkpoints are the Trainer's. The
    logged loss is that at the unperturbed weights. With ``gradient_accumulation_steps=k`` the update is that of the whole batch:
    the ascent follows the gradient of all k micro-batches, and all are taken again at ``w + e``; the Trainer holds them anyway.
    Norms advance once. ``compute_loss`` runs twice for each micro-batch; floating-point operations are counted once.

    For another Trainer: ``class SAMSeq2SeqTrainer(SAMTrainer, Seq2SeqTrainer)``. One device, or several with whole gradients
    (DDP); float32 and ``bf16``.

    Args:
        *arguments: those of ``transformers.Trainer``; an optimizer in ``optimizers`` is the base, not SAM.
        rho: length of the ascent, as for ``SAM``; a checkpoint's replaces it, like ``lr``.
        adaptive: whether the ascent is scaled by ``|w|`` per coordinate.
        normalize: whether the ascent is divided by the gradient's norm.
        **options: those of ``transformers.Trainer``.

    Raises:
        ModuleNotFoundError: if transformers is not installed; the extra ``transformers`` brings it.
        InputError: if gradients are scaled (``fp16``) or sharded, or rho is negative or not finite; when training starts, if
            the optimizer is SAM already.

    Example: see the module's.
    """

    def __init__(
        self, *arguments: Any, rho: float, adaptive: bool = False, normalize: bool = True, **options: Any
    ) -> None:
        super().__init__(*arguments, **options)
        kind = self.accelerator.distributed_type.value
        if self.accelerator.mixed_precision == "fp16" or self.accelerator.scaler is not None:
            raise InputError("fp16 scales gradients; SAM under the Trainer takes bf16=True")
        if kind not in _WHOLE or self.is_fsdp_enabled:
            raise InputError(f"SAM's ascent needs whole gradients on every device: got {kind}; use one device or DDP")
        check_group({"rho": rho, "adaptive": adaptive}, normalize)
        self._sam_options: dict[str, Any] = {"rho": rho, "adaptive": adaptive, "normalize": normalize}
        self._batches = list[tuple[Any, Any]]()

    def create_optimizer(self, *model: nn.Module | None) -> torch.optim.Optimizer:
        """The Trainer's optimizer inside SAM.

        Args:
            *model: network, if not the Trainer's own.

        Returns:
            SAM, whose step is the descent alone.

        Raises:
            InputError: if the optimizer is SAM already.
        """
        self._batches.clear()
        base = super().create_optimizer(*model)
        if isinstance(_bare(base), _Descent):
            return base
        if isinstance(_bare(base), SAM):
            raise InputError("SAMTrainer makes SAM itself; give the base optimizer, or none")
        # The optimizer is there already, and its groups are what SAM ascends by.
        self.optimizer = _Descent(base.param_groups, lambda *_: base, **self._sam_options)
        return self.optimizer

    def training_step(self, model: nn.Module, inputs: Any, num_items_in_batch: Any = None) -> Tensor:
        """Forward and backward pass of a micro-batch; after the last one those of all, at the perturbed weights.

        Args:
            model: network, perhaps wrapped.
            inputs: a micro-batch.
            num_items_in_batch: what the Trainer divides losses by, if it does.

        Returns:
            The loss at the unperturbed weights.
        """
        loss: Tensor = super().training_step(model, inputs, num_items_in_batch)
        self._batches.append((inputs, num_items_in_batch))
        if self.accelerator.sync_gradients:
            self._second_passes(model)
        return loss

    def _second_passes(self, model: nn.Module) -> None:
        """Leave the gradients at ``w + e`` for the Trainer to clip and step with."""
        optimizer = _bare(self.optimizer)
        assert isinstance(optimizer, SAM)
        batches, self._batches = self._batches, []
        if not optimizer.ascends:
            return
        with optimizer.perturbed(), frozen_running_statistics(model):
            optimizer.zero_grad()
            for inputs, items in batches:
                super().training_step(model, inputs, items)


class _Descent(SAM):
    """SAM whose passes the Trainer has run when it calls ``step``."""

    def step(self, closure: Callable[[], Any] | None = None, *arguments: Any, **options: Any) -> Any:
        """Step of the base optimizer with the gradients now stored."""
        return self.descend() if closure is None else super().step(closure, *arguments, **options)


def _bare(optimizer: Any) -> torch.optim.Optimizer:
    """The optimizer that Accelerate has wrapped."""
    return getattr(optimizer, "optimizer", optimizer)
