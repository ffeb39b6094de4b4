"""Sharpness-aware minimization (Foret et al. 2021) as a PyTorch optimizer around any base optimizer."""

import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from sharpdiv.empirical.errors import InputError

__all__ = ["SAM", "frozen_running_statistics", "norm_buffers"]


class SAM(torch.optim.Optimizer):
    """Optimizer that descends by the gradient at the worst nearby point, ``w + e`` with ``|e| = rho`` along the gradient.

    ``step(closure)`` runs the closure twice; the closure zeroes the gradients, computes the loss, calls ``backward``
    and returns the loss. Weights are restored from a copy, so they are the same to the bit. ``rho = 0`` is the base
    optimizer to the bit. The norm is over all parameters of the closure's batch: a batch split over devices or
    accumulation steps is m-sharpness with a smaller m. Use float32 or bfloat16; a gradient scaler for float16 does not
    take closures and refuses.

    Batch norm: its running statistics would advance in both passes. Pass ``frozen_running_statistics(model)`` as
    ``second_pass`` so that they advance once.

    Args:
        params: parameters, or groups of them, as for any optimizer.
        base_optimizer: class of the optimizer that takes the step, ``torch.optim.SGD`` for example.
        rho: length of the ascent, finite and non-negative. Foret et al. use 0.05 for CIFAR-10, Lu et al. 0.05 to 0.2.
        adaptive: whether the ascent is scaled by ``|w|`` per coordinate (ASAM without its normalization offset, Kwon et al.
            2021): the perturbation is then ``w^2 g`` rescaled so that ``|e / w| = rho``.
        normalize: whether the ascent is divided by the gradient's norm. False is the theory's un-normalized SAM, ``e = rho g``.
        clip_norm: largest norm of the gradient the base optimizer gets, which is scaled down to it; None to leave it. The
            ascent, whose length is rho whatever the gradient, is not clipped.
        **base_options: options of the base optimizer, ``lr`` for example.

    Raises:
        InputError: if rho is negative or not finite, ``clip_norm`` not positive, or ``adaptive`` is asked for without
            ``normalize``.

    Example:
        >>> import torch
        >>> from sharpdiv import SAM
        >>> w = torch.nn.Parameter(torch.ones(1))
        >>> optimizer = SAM([w], torch.optim.SGD, rho=0.5, lr=0.1)
        >>> def closure():
        ...     optimizer.zero_grad()
        ...     loss = w.square().sum()
        ...     loss.backward()
        ...     return loss
        >>> loss = optimizer.step(closure)  # the gradient 2 w at w + rho = 1.5 is 3
        >>> round(w.item(), 4)
        0.7
    """

    def __init__(
        self,
        params: Iterable[Tensor] | Iterable[dict[str, Any]],
        base_optimizer: type[torch.optim.Optimizer],
        rho: float,
        adaptive: bool = False,
        normalize: bool = True,
        clip_norm: float | None = None,
        **base_options: Any,
    ) -> None:
        if not (math.isfinite(rho) and rho >= 0):
            raise InputError(f"rho must be finite and non-negative, got {rho}")
        if adaptive and not normalize:
            raise InputError("adaptive SAM is defined with a normalized ascent only; use normalize=True")
        if clip_norm is not None and not clip_norm > 0:
            raise InputError(f"clip_norm must be positive, got {clip_norm}")
        self.base = base_optimizer(params, **base_options)
        self.rho, self.adaptive, self.normalize, self.clip_norm = rho, adaptive, normalize, clip_norm
        super().__init__(self.base.param_groups, self.base.defaults)
        # One list of groups and one state: schedulers and checkpoints act on the base optimizer through this one.
        self.param_groups = self.base.param_groups
        self.state = self.base.state

    def __getstate__(self) -> dict[str, Any]:
        # An optimizer copies only what every optimizer has.
        own = {name: getattr(self, name) for name in ("base", "rho", "adaptive", "normalize", "clip_norm")}
        return {**super().__getstate__(), **own}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the base optimizer's state, which is all the state there is."""
        self.base.load_state_dict(state_dict)
        self.param_groups = self.base.param_groups
        self.state = self.base.state

    def state_dict(self) -> dict[str, Any]:
        """State of the base optimizer.

        Returns:
            What ``load_state_dict`` takes.
        """
        return self.base.state_dict()

    @torch.no_grad()
    def step(  # type: ignore[override]  # SAM cannot step without a closure
        self, closure: Callable[[], Tensor], second_pass: AbstractContextManager[None] | None = None
    ) -> Tensor:
        """One SAM step.

        Args:
            closure: function that zeroes the gradients, computes the loss, calls ``backward`` and returns the loss.
            second_pass: context around the pass at the perturbed weights.

        Returns:
            The loss at the unperturbed weights.
        """
        with torch.enable_grad():
            loss = closure()
        if self.rho:
            with self.perturbed(), second_pass or nullcontext(), torch.enable_grad():
                closure()
        self.descend()
        return loss

    @torch.no_grad()
    def descend(self) -> None:
        """Step of the base optimizer with the gradients now stored, clipped if asked for."""
        if self.clip_norm is not None:
            nn.utils.clip_grad_norm_([p for group in self.param_groups for p in group["params"]], self.clip_norm)
        self.base.step()

    @contextmanager
    def perturbed(self) -> Iterator[None]:
        """Move the weights to ``w + e``, computed from the gradients now stored, and restore them on the way out.

        Yields:
            Nothing; gradients computed inside are those at the perturbed weights.
        """
        with torch.no_grad():
            weights = [p for group in self.param_groups for p in group["params"] if p.grad is not None]
            saved = [p.detach().clone() for p in weights]
            torch._foreach_add_(weights, self._perturbation(weights))
        # Autocast caches its copies of the weights: without this the second pass would use those of the first.
        torch.clear_autocast_cache()
        try:
            yield
        finally:
            with torch.no_grad():
                torch._foreach_copy_(weights, saved)
            torch.clear_autocast_cache()

    def _perturbation(self, weights: list[Tensor]) -> list[Tensor]:
        """Ascent ``e`` for each weight from its gradient; no host-device synchronisation."""
        gradients = [p.grad for p in weights if p.grad is not None]
        if not self.normalize:
            return [self.rho * g for g in gradients]
        if self.adaptive:
            gradients = [p.abs() * g for p, g in zip(weights, gradients, strict=True)]
        norm = nn.utils.get_total_norm(gradients)
        # Divide first: rho / norm overflows for tiny gradients, and a zero gradient must give a zero perturbation.
        norm = torch.where(norm > 0, norm, torch.ones_like(norm))
        ascent = [self.rho * (g / norm.to(g.device)) for g in gradients]
        return [p.abs() * e for p, e in zip(weights, ascent, strict=True)] if self.adaptive else ascent


@contextmanager
def frozen_running_statistics(model: nn.Module) -> Iterator[None]:
    """Keep batch norm normalizing by the batch, as in training, without advancing its running statistics.

    The buffers are put back on the way out, also after an exception, so ``momentum`` is never touched.

    Args:
        model: network in training mode.

    Yields:
        Nothing.

    Example:
        >>> import torch
        >>> from sharpdiv import frozen_running_statistics
        >>> norm = torch.nn.BatchNorm1d(1)
        >>> with frozen_running_statistics(norm):
        ...     norm(torch.tensor([[1.0], [3.0]])).flatten().tolist()[0] < -0.9  # the batch's own mean is 2
        True
        >>> norm.running_mean
        tensor([0.])
    """
    buffers = norm_buffers(model)
    saved = [buffer.clone() for buffer in buffers]
    try:
        yield
    finally:
        with torch.no_grad():
            for buffer, value in zip(buffers, saved, strict=True):
                buffer.copy_(value)


def norm_buffers(model: nn.Module) -> list[Tensor]:
    """Running means, variances and counters of every batch norm in a model.

    Args:
        model: any module.

    Returns:
        The buffers themselves, in the order of the modules.

    Example:
        >>> from torch import nn
        >>> from sharpdiv.empirical.optim.sam import norm_buffers
        >>> norm_buffers(nn.Sequential(nn.Linear(1, 2), nn.BatchNorm1d(2)))  # mean, variance, number of batches
        [tensor([0., 0.]), tensor([1., 1.]), tensor(0)]
    """
    norms = (m for m in model.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm))
    return [buffer for norm in norms for buffer in norm.buffers()]
