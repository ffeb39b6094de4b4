"""Gradients that are stored on parameters while a pass runs: whether they are added to, or left as they were."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from torch import Tensor
from torch.autograd.graph import register_multi_grad_hook

from sharpdiv.empirical.errors import InputError

__all__ = ["StoredGradients"]


class StoredGradients:
    """The gradients that parameters have when this is made.

    Args:
        weights: parameters of an optimizer.

    Examples:
        >>> import torch
        >>> from sharpdiv.empirical.optim.stored import StoredGradients
        >>> weight = torch.nn.Parameter(torch.ones(1))
        >>> weight.grad = torch.ones(1)
        >>> with StoredGradients([weight]).no_adding("zero the gradients first"):
        ...     weight.sum().backward()
        Traceback (most recent call last):
        ...
        sharpdiv.empirical.errors.InputError: zero the gradients first
    """

    def __init__(self, weights: Iterable[Tensor]) -> None:
        self._kept = [(p, p.grad, p.grad._version) for p in weights if p.grad is not None and p.requires_grad]

    @property
    def untouched(self) -> bool:
        """Whether there are any, and all are as they were."""
        return 0 < len(self._kept) == len(self._left())

    @contextmanager
    def no_adding(self, message: str) -> Iterator[None]:
        """Refuse a backward pass that would add to these gradients.

        They are looked at when that pass has its first gradient, before anything is added: code that zeroes them, in
        whatever way, has done so by then. Gradients of 0 may be added to; only if the code has not zeroed is their value read.

        Args:
            message: what the error says.

        Yields:
            Nothing.
        """

        def look(_: Tensor) -> None:
            if any(bool(_values(gradient).any()) for gradient in self._left()):
                raise InputError(message)

        handle = register_multi_grad_hook([p for p, *_ in self._kept], look, mode="any") if self._kept else None
        try:
            yield
        finally:
            if handle is not None:
                handle.remove()

    def _left(self) -> list[Tensor]:
        """Those of the gradients that nobody has replaced or changed."""
        return [gradient for p, gradient, version in self._kept if p.grad is gradient and gradient._version == version]


def _values(gradient: Tensor) -> Tensor:
    return gradient.coalesce().values() if gradient.is_sparse else gradient
