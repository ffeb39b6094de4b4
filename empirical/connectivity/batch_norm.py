"""Running statistics of batch norm at weights that no training has seen, such as those between two members.

Those of the two members, averaged, are not its own: activations half way vary less than either member's, and normalized by the
members' variances they all but vanish, which looks like a barrier (Jordan et al. 2023). So statistics are taken anew.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase
from torch.utils.hooks import RemovableHandle

from sharpdiv.empirical.batches import Batches, batches_of, run_on
from sharpdiv.empirical.curvature.restoring import surely
from sharpdiv.empirical.curvature.untouched import untouched
from sharpdiv.empirical.ensembles.fixed import on_device
from sharpdiv.empirical.ensembles.members import device_of
from sharpdiv.empirical.errors import InputError

__all__ = ["recalibrate_batch_norm", "running_norms"]

_STATISTICS = ("running_mean", "running_var")


def running_norms(model: nn.Module) -> list[_NormBase]:
    """Layers of a network that normalize by running statistics in evaluation mode.

    Args:
        model: any module.

    Returns:
        Batch and instance norms of PyTorch and classes derived from them, each once; none that keeps no statistics.

    Examples:
        >>> import torch
        >>> from sharpdiv.empirical.connectivity.batch_norm import running_norms
        >>> layers = torch.nn.BatchNorm1d(2), torch.nn.InstanceNorm1d(2), torch.nn.LayerNorm(2)
        >>> [type(norm).__name__ for norm in running_norms(torch.nn.Sequential(*layers))]
        ['BatchNorm1d']
    """
    norms = [module for module in model.modules() if isinstance(module, _NormBase)]
    return [norm for norm in norms if norm.running_mean is not None and norm.running_var is not None]


@dataclass
class _Average:
    """Mean of one layer's statistics over its passes, weighted by the values that each of them saw."""

    values: int = 0
    passes: int = 0
    means: list[Tensor] = field(default_factory=list)

    def add(self, found: list[Tensor], values: int) -> None:
        """Take one pass; the first one is kept to the bit."""
        # In single precision at least: a mean of many bfloat16 numbers would stop moving.
        wide = [each.to(torch.promote_types(each.dtype, torch.float32), copy=True) for each in found]
        self.values += values
        self.passes += 1
        share = values / self.values
        self.means = [mean + share * (new - mean) for mean, new in zip(self.means or wide, wide, strict=True)]


@torch.no_grad()
def recalibrate_batch_norm(model: nn.Module, batches: Batches) -> None:
    """Give batch norms the statistics of the weights that the network has now.

    Every batch passes through the network once, its norms in training mode, so that each layer sees what it sees in training, and
    all else (dropout) in evaluation mode. The new statistics are the batches' means and unbiased variances, averaged over batches
    with weights by their samples (for one batch: its own, to the bit) whatever a layer's ``momentum`` is; a layer that counts
    its batches has counted these, so that one with ``momentum=None`` would go on with the same average. It is what
    ``torch.optim.swa_utils.update_bn`` does but for dropout and batches of different sizes. Instance norms with running statistics
    get theirs alike. Weights, modes and all other buffers stay as they are, as do layers that did not run.

    Args:
        model: any module; one without batch norm is left alone.
        batches: training data without augmentation, in any form that measures of sharpness take; batches that are small make
            the statistics of deep layers noisy.

    Raises:
        InputError: if there is no batch, or one cannot be normalized, such as one with a single value for each channel.

    References:
        Izmailov et al. (2018), "Averaging weights leads to wider optima and better generalization", UAI.
        Jordan et al. (2023), "REPAIR: REnormalizing Permuted Activations for Interpolation Repair", ICLR.

    Examples:
        >>> import torch
        >>> from sharpdiv import recalibrate_batch_norm
        >>> norm = torch.nn.BatchNorm1d(1)
        >>> recalibrate_batch_norm(norm, (torch.tensor([[1.0], [3.0]]), torch.zeros(2)))
        >>> norm.running_mean.item(), norm.running_var.item(), norm.num_batches_tracked.item()
        (2.0, 2.0, 1)
    """
    norms = running_norms(model)
    if not norms:
        return
    device = device_of(model, "the network")
    with untouched(model), _averaging(norms) as averages:
        for number, batch in enumerate(batches_of(batches), start=1):
            try:
                run_on(model, on_device(batch, device)[0])
            except ValueError as error:  # of batch norm, whose message says what it got
                raise InputError(f"batch {number} of the training data: {error}") from error
    for norm, average in averages.items():
        _write(norm, average)


@contextmanager
def _averaging(norms: Iterable[_NormBase]) -> Iterator[dict[_NormBase, _Average]]:
    """Norms in training mode that tell their batches' statistics; their momenta are put back, modes and buffers are not."""
    averages: dict[_NormBase, _Average] = {}
    momenta = [(norm, norm.momentum) for norm in norms]

    handles: list[RemovableHandle] = []

    def restore() -> None:
        for handle in handles:
            handle.remove()
        for norm, momentum in momenta:
            norm.momentum = momentum

    def before(norm: _NormBase, _: Any) -> None:
        norm.reset_running_stats()  # 0 times what was there is no 0 if that was not finite

    def after(norm: _NormBase, _: Any, outputs: Tensor) -> None:
        found = [getattr(norm, name) for name in _STATISTICS]
        averages.setdefault(norm, _Average()).add(found, outputs.numel() // norm.num_features)

    try:
        for norm, _ in momenta:
            handles.append(norm.register_forward_pre_hook(before))
            handles.append(norm.register_forward_hook(after))
            norm.training, norm.momentum = True, 1.0  # all of the statistics are the batch's
        yield averages
    finally:
        surely(restore)


def _write(norm: _NormBase, average: _Average) -> None:
    for name, mean in zip(_STATISTICS, average.means, strict=True):
        getattr(norm, name).copy_(mean)
    if norm.num_batches_tracked is not None:
        norm.num_batches_tracked.fill_(average.passes)
