"""A network that runs with other weights than its own, and is afterwards what it was, to the bit.

A weight is looked up where modules keep it: each pair of a module and an attribute name is a slot. A module that has two names in
the network is one module with one slot, and a weight that two modules share has a slot in each, so other weights are put into
every place and each place gets its own back. Recurrent layers compute from a list of their weights, whose places are slots, too.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from sharpdiv.empirical.curvature.recording import evaluation_mode
from sharpdiv.empirical.curvature.restoring import surely

__all__ = ["WeightSlots", "untouched"]


_LOOKUPS = (nn.Embedding, nn.EmbeddingBag)


class WeightSlots:
    """Places in a network that hold its trainable weights.

    Args:
        model: any module; frozen parameters (``requires_grad`` False) have no slots.

    Examples:
        >>> import torch
        >>> from sharpdiv.empirical.curvature.untouched import WeightSlots
        >>> layer = torch.nn.Linear(1, 1, bias=False)
        >>> model = torch.nn.Sequential(layer, layer)  # one module under two names
        >>> slots = WeightSlots(model)
        >>> with slots.holding([torch.full((1, 1), 3.0)]):
        ...     model(torch.ones(1, 1)).item()
        9.0
        >>> layer.weight is slots.parameters[0]
        True
    """

    parameters: list[nn.Parameter]
    """trainable weights, each once, in the order of ``model.named_parameters()``"""

    def __init__(self, model: nn.Module) -> None:
        self.parameters = [p for p in model.parameters() if p.requires_grad]
        place = {id(p): index for index, p in enumerate(self.parameters)}
        self._slots = [
            (holder, key, place[id(p)])
            for module in model.modules()
            for holder in _holders(module)
            for key, p in (holder.items() if isinstance(holder, dict) else enumerate(holder))
            if p is not None and id(p) in place
        ]

    @contextmanager
    def holding(self, tensors: Sequence[Tensor]) -> Iterator[None]:
        """Other tensors in place of the weights, which come back however this ends.

        Args:
            tensors: one of the same shape for each of ``parameters``.

        Yields:
            Nothing; in the meantime the network computes with these tensors, and gradients flow to them.
        """
        try:
            for holder, key, index in self._slots:
                holder[key] = tensors[index]
            yield
        finally:
            surely(self._restore)

    def _restore(self) -> None:
        for holder, key, index in self._slots:
            holder[key] = self.parameters[index]


def _holders(module: nn.Module) -> Iterator[Any]:
    """Where a module looks its weights up: by attribute name, in recurrent layers by their place in a list."""
    yield module._parameters
    if isinstance(module, nn.RNNBase):
        yield module._flat_weights


@contextmanager
def untouched(model: nn.Module) -> Iterator[None]:
    """Evaluation mode, after which modes, buffers and what layers derive from their weights are as before.

    Buffers are those that a forward pass may advance in any mode; layers with a norm or a mask on their weights keep the product as
    an attribute, which would stay at the last perturbation.

    Args:
        model: any module.

    Yields:
        Nothing.

    Examples:
        >>> import torch
        >>> from sharpdiv.empirical.curvature.untouched import untouched
        >>> model = torch.nn.BatchNorm1d(1)
        >>> with untouched(model):
        ...     _ = model.running_mean.add_(1)
        >>> model.running_mean.item(), model.training
        (0.0, True)
    """
    buffers = [(module, name, b) for module in model.modules() for name, b in module._buffers.items() if b is not None]
    values = [buffer.clone() for _, _, buffer in buffers]
    # Embeddings with a maximal norm shrink, in any mode, what they look up.
    shrinking = [m.weight.detach() for m in model.modules() if isinstance(m, _LOOKUPS) and m.max_norm is not None]
    rows = [weight.clone() for weight in shrinking]
    derived = [(m, n, v) for m in model.modules() for n, v in vars(m).items() if isinstance(v, Tensor)]

    def restore() -> None:
        for module, name, buffer in buffers:
            module._buffers[name] = buffer
        with torch.no_grad():
            if buffers:
                torch._foreach_copy_([buffer for _, _, buffer in buffers], values)
            for weight, value in zip(shrinking, rows, strict=True):
                weight.copy_(value)
        for module, name, tensor in derived:
            vars(module)[name] = tensor

    try:
        with evaluation_mode(model):
            yield
    finally:
        surely(restore)
