"""What a forward pass in training advances besides gradients: buffers of norms, spectral norm's vectors, a layer's own."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from types import TracebackType

import torch
from torch import Tensor, nn

__all__ = ["Buffers", "frozen_running_statistics", "undone_on_failure"]

_BY_SHARE = ("running_mean", "running_var")
"""Names of buffers that are means over samples, and can be mixed by the samples' shares."""


@dataclass(frozen=True)
class _Slot:
    """A buffer of a module and its value when it was kept."""

    module: nn.Module
    name: str
    buffer: Tensor
    value: Tensor
    version: int

    def restore(self) -> None:
        if self.module._buffers.get(self.name) is not self.buffer:  # a layer may replace its buffer by a new tensor
            self.module._buffers[self.name] = self.buffer
        # Norms write without counting it. What nobody counted is written back alike: a constant that a graph has kept for its
        # backward pass (a mask) gets its own value, and must not look changed.
        known = self.buffer._version != self.version
        (self.buffer if known else self.buffer.data).copy_(self.value)

    @property
    def now(self) -> Tensor:
        """The buffer that the module has now."""
        return self.module.get_buffer(self.name)


class Buffers:
    """All buffers of a model as they are when this is made: to be put back, or mixed from passes over parts of a batch.

    Running means and variances are mixed by the parts' shares of the samples. Anything else is as the last part's pass left
    it: counters, which advance alike in every part; spectral norm's vectors, which depend on the weights alone; a layer's own.

    Args:
        model: any module.

    Examples:
        >>> import torch
        >>> from sharpdiv.empirical.optim.running import Buffers
        >>> norm = torch.nn.BatchNorm1d(1)
        >>> before = Buffers(norm)
        >>> _ = norm(torch.tensor([[1.0], [3.0]]))
        >>> before.restore()
        >>> norm.running_mean, norm.num_batches_tracked
        (tensor([0.]), tensor(0))
    """

    def __init__(self, model: nn.Module) -> None:
        named = [(m, name, b) for m in model.modules() for name, b in m.named_buffers(recurse=False)]
        self._slots = [_Slot(m, name, b, b.detach().clone(), b._version) for m, name, b in named]
        self._means = [slot for slot in self._slots if slot.name in _BY_SHARE and slot.value.is_floating_point()]
        self._mixed: list[Tensor] = []

    @torch.no_grad()
    def restore(self) -> None:
        """Put every buffer back, to the bit."""
        for slot in self._slots:
            slot.restore()

    @torch.no_grad()
    def add(self, share: float) -> None:
        """Take what a part's pass made of the means and variances.

        Args:
            share: share of the part in the batch's samples.
        """
        mixed = self._mixed or [torch.zeros_like(slot.value) for slot in self._means]
        self._mixed = [_mix(mean, slot.now, share) for mean, slot in zip(mixed, self._means, strict=True)]

    @torch.no_grad()
    def mix(self) -> None:
        """Give the model the sums of what was taken."""
        for slot, mixed in zip(self._means, self._mixed, strict=True):
            slot.now.copy_(mixed)


def _mix(mean: Tensor, buffer: Tensor, share: float) -> Tensor:
    """Add a part's share to a weighted mean of buffers."""
    return mean + share * buffer


class _Frozen(AbstractContextManager[None]):
    """Puts buffers back at every exit; can be entered again, also inside itself."""

    def __init__(self, model: nn.Module) -> None:
        self._model, self._kept = model, list[Buffers]()

    def __enter__(self) -> None:
        self._kept.append(Buffers(self._model))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._kept.pop().restore()


def frozen_running_statistics(model: nn.Module) -> AbstractContextManager[None]:
    """Keep norms normalizing by the batch, as in training, without advancing anything that a forward pass advances.

    That is every buffer: running statistics and counters of batch and instance norm, the vectors of spectral norm (both of
    PyTorch's), buffers of layers of your own. They are put back on the way out, also after an exception, so ``momentum`` is
    never touched.

    Args:
        model: network in training mode.

    Returns:
        A context, which can be used again.

    Examples:
        >>> import torch
        >>> from sharpdiv import frozen_running_statistics
        >>> norm = torch.nn.BatchNorm1d(1)
        >>> with frozen_running_statistics(norm):
        ...     norm(torch.tensor([[1.0], [3.0]])).flatten().tolist()[0] < -0.9  # the batch's own mean is 2
        True
        >>> norm.running_mean
        tensor([0.])
    """
    return _Frozen(model)


@contextmanager
def undone_on_failure(model: nn.Module | None) -> Iterator[None]:
    """Put back what forward passes have advanced if an exception leaves: a step that was not taken counts for nothing.

    Args:
        model: network in training mode; None for nothing to put back.

    Yields:
        Nothing.

    Examples:
        >>> import torch
        >>> from sharpdiv.empirical.optim.running import undone_on_failure
        >>> norm = torch.nn.BatchNorm1d(1)
        >>> try:
        ...     with undone_on_failure(norm):
        ...         norm(torch.tensor([[1.0], [3.0]])).backward()  # of no scalar
        ... except RuntimeError:
        ...     norm.running_mean
        tensor([0.])
    """
    before = None if model is None else Buffers(model)
    try:
        yield
    except BaseException:
        if before is not None:
            before.restore()
        raise
