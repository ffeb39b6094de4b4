"""What devices differ in: copies that need not wait, float64, and how products of float32 numbers are rounded."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

__all__ = ["NON_BLOCKING", "WITHOUT_FLOAT64", "exact_device", "float32_products", "float64", "moved"]

NON_BLOCKING = frozenset({"cuda"})
"""Kinds of devices that copy what may be gone a moment later: CUDA stages it first, mps reads it when it comes to it."""
WITHOUT_FLOAT64 = frozenset({"mps"})
"""Kinds of devices that have no float64."""


def moved(tensor: Tensor, device: torch.device) -> Tensor:
    """A tensor on a device, without a wait for what the device is doing where that is safe.

    Args:
        tensor: a tensor, perhaps one that nobody else holds.
        device: where it is to be.

    Returns:
        The same content.

    Examples:
        >>> import torch
        >>> from sharpdiv.empirical.devices import moved
        >>> moved(torch.arange(3), torch.device("cpu"))
        tensor([0, 1, 2])
    """
    return tensor.to(device, non_blocking=device.type in NON_BLOCKING)


def float64(tensor: Tensor) -> Tensor:
    """A tensor in float64, on its device or, if that has none, on the CPU.

    Args:
        tensor: a tensor.

    Returns:
        The same numbers in float64.

    Examples:
        >>> import torch
        >>> from sharpdiv.empirical.devices import float64
        >>> float64(torch.ones(2))
        tensor([1., 1.], dtype=torch.float64)
    """
    return (tensor.cpu() if tensor.device.type in WITHOUT_FLOAT64 else tensor).double()


def exact_device(device: torch.device) -> torch.device:
    """Where to compute in float64.

    Args:
        device: device that the rest is computed on.

    Returns:
        The device, or the CPU if it has no float64.

    Examples:
        >>> import torch
        >>> from sharpdiv.empirical.devices import exact_device
        >>> exact_device(torch.device("mps"))
        device(type='cpu')
    """
    return torch.device("cpu") if device.type in WITHOUT_FLOAT64 else device


@contextmanager
def float32_products(*, tf32: bool = False) -> Iterator[None]:
    """How CUDA multiplies float32 numbers in convolutions and matrix products; a function can be decorated with it, too.

    PyTorch's default is TF32 in convolutions: factors of 10 bits in place of 23. Where outputs are differences of large numbers
    (the lazy regime, small ascents) that is seen: predictions of the lazy sweep are off by 13% at alpha = 100.

    Args:
        tf32: whether factors are rounded to TF32; as IEEE has it otherwise.

    Yields:
        Nothing; what was set before is set again afterwards.

    Examples:
        >>> import torch
        >>> from sharpdiv.empirical.devices import float32_products
        >>> with float32_products():
        ...     torch.backends.cudnn.allow_tf32
        False
    """
    convolutions, matrices = torch.backends.cudnn, torch.backends.cuda.matmul
    before = convolutions.allow_tf32, matrices.allow_tf32
    convolutions.allow_tf32 = matrices.allow_tf32 = tf32
    try:
        yield
    finally:
        convolutions.allow_tf32, matrices.allow_tf32 = before
