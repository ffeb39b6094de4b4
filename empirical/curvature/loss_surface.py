"""The loss of a batch as a function of one flat vector of all trainable weights: what sharpness and curvature are about.

The model runs with other weights than its own, in evaluation mode, and is never written to.
"""

from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from sharpdiv.empirical.batches import Batch, Batches, Loss, batches_of, mean_loss, outputs_of, rows
from sharpdiv.empirical.curvature.untouched import WeightSlots, untouched
from sharpdiv.empirical.errors import DivergenceError, InputError

__all__ = ["LossSurface", "Norm", "NormalizedLogits", "of_increases", "require_norm"]

Norm = Literal["l2", "linf"]
"""norm of a ball of perturbations"""
_PROBED = 3
"""Samples of the first batch that a network is tried on before it is measured."""


class LossSurface:
    """A model and a loss; calling it gives the loss of a batch at any weights.

    Frozen parameters (``requires_grad`` False) and buffers keep the model's values.

    Args:
        model: any module whose trainable parameters are on one device.
        loss: mean loss of outputs and targets.

    Raises:
        InputError: if the model has no trainable parameters.

    Examples:
        >>> import torch
        >>> from sharpdiv.empirical.curvature.loss_surface import LossSurface
        >>> model, inputs = torch.nn.Linear(2, 1, bias=False), torch.tensor([[3.0, 4.0]])
        >>> surface = LossSurface(model, lambda outputs, _: outputs.mean())
        >>> surface(torch.tensor([1.0, 1.0]), (inputs, inputs)).item()  # the model keeps its own weights
        7.0
    """

    weights: Float[Tensor, " weights"]
    """copy of the model's trainable weights, as one flat vector"""

    def __init__(self, model: nn.Module, loss: Loss) -> None:
        self._model, self._loss, self._slots = model, loss, WeightSlots(model)
        parameters = self._slots.parameters
        if not parameters:
            raise InputError("the model has no trainable parameters")
        self._sizes = [p.numel() for p in parameters]
        self._of_classes = loss is nn.functional.cross_entropy
        self.weights = torch.cat([p.detach().flatten() for p in parameters])

    def __call__(self, weights: Float[Tensor, " weights"], batch: Batch) -> Float[Tensor, ""]:
        """Loss of a batch at given weights, differentiable in them.

        Args:
            weights: all trainable weights, as one flat vector.
            batch: inputs and targets.

        Returns:
            A scalar.
        """
        parts = weights.split(self._sizes)
        with self._slots.holding([part.view_as(p) for part, p in zip(parts, self._slots.parameters, strict=True)]):
            return self._own(batch)

    def _own(self, batch: Batch) -> Float[Tensor, ""]:
        """Loss at the weights that the network has now."""
        return mean_loss(self._model, batch, self._loss)

    def magnitudes(self, adaptive: bool) -> Float[Tensor, "*weights"]:
        """Unit of length of each weight: ``|w|`` if adaptive, otherwise one for all.

        Args:
            adaptive: whether the unit is the weight's own magnitude.

        Returns:
            One number for each weight, or a scalar.
        """
        return self.weights.abs() if adaptive else self.weights.new_ones(())

    def per_batch(
        self, batches: Batches, measure: Callable[[Batch], Float[Tensor, "*shape"]]
    ) -> Float[np.ndarray, "batches *shape"]:
        """Measure every batch in evaluation mode; the results leave the device together, and the network is as it was.

        Args:
            batches: inputs and targets in any form that ``batches_of`` takes, read once.
            measure: function from a batch to a tensor, of the same shape for all batches.

        Returns:
            Results of all batches, in double precision.

        Raises:
            DivergenceError: if a result is not finite.
            InputError: if the network is random in evaluation mode, or keeps weights where they cannot be replaced, or labels
                are negative, which the cross-entropy leaves out of its mean.
            RuntimeError: what else the network or the loss raises.
        """
        measured: list[Tensor] = []
        lowest: list[Tensor] = []
        probe = self.weights.new_zeros(0)
        with untouched(self._model), torch.enable_grad():
            for batch in batches_of(batches):
                if not measured:
                    probe = self._probe(batch)
                lowest.append(self._lowest(batch))
                try:
                    measured.append(measure(batch))
                except RuntimeError:
                    _refuse_unfit(probe.tolist(), torch.finfo(self.weights.dtype).eps)  # the reason, if that is it
                    raise
        stacked = torch.stack(measured)
        known = torch.cat([probe, torch.stack(lowest)]).to(stacked.dtype)
        numbers = torch.cat([known, stacked.flatten()]).tolist()
        _refuse_unfit(numbers[: len(probe)], torch.finfo(self.weights.dtype).eps)
        _refuse_ignored(min(numbers[len(probe) : len(known)]))
        values = np.array(numbers[len(known) :]).reshape(stacked.shape)
        if not np.isfinite(values).all():
            raise DivergenceError("the loss is not finite at the weights or near them; is the model trained?")
        return values

    def try_on(self, batches: Sequence[Batch]) -> None:
        """Refuse a network that cannot be measured, by its outputs and gradients on a few samples, and labels that are no classes.

        Args:
            batches: inputs and targets.

        Raises:
            InputError: as ``per_batch``.
        """
        _refuse_unfit(self._probe(batches[0]).tolist(), torch.finfo(self.weights.dtype).eps)
        _refuse_ignored(torch.stack([self._lowest(batch) for batch in batches]).min().item())

    def _lowest(self, batch: Batch) -> Float[Tensor, ""]:
        """The lowest label where the loss is the cross-entropy of classes, otherwise 0."""
        if not self._of_classes or batch[1].is_floating_point():
            return self.weights.new_zeros(())
        return batch[1].min().to(self.weights)

    def _probe(self, batch: Batch) -> Float[Tensor, "5"]:
        """A sum of outputs by the network itself and through the slots, the size of its terms, its gradient, how those differ."""
        # A linear function of the outputs is well conditioned, as a loss that is almost 0 is not.
        inputs = rows(batch[0], slice(_PROBED))
        outputs = outputs_of(self._model, inputs)
        signs = (
            torch.arange(1.0, outputs.numel() + 1, device=outputs.device).cos().reshape(outputs.shape).to(outputs.dtype)
        )
        own, parameters = (outputs * signs).sum(), self._slots.parameters
        copies = [p.detach().clone().requires_grad_(True) for p in parameters]
        with self._slots.holding(copies):
            moved = (outputs_of(self._model, inputs) * signs).sum()
        expected, through = _flat_gradient(own, parameters), _flat_gradient(moved, copies)
        terms = (outputs * signs).abs().sum()
        found = [own.detach(), moved.detach(), terms.detach(), expected.norm(), (through - expected).norm()]
        return torch.stack([number.to(self.weights.dtype) for number in found])


def _flat_gradient(value: Tensor, weights: Sequence[Tensor]) -> Float[Tensor, " weights"]:
    """Gradient in all weights; 0 in those that the value does not depend on."""
    none = (None,) * len(weights)
    gradients = torch.autograd.grad(value, weights, allow_unused=True) if value.requires_grad else none
    parts = [p.new_zeros(p.shape) if g is None else g for g, p in zip(gradients, weights, strict=True)]
    return torch.cat([part.detach().flatten() for part in parts])


def of_increases(model: nn.Module, loss: Loss) -> LossSurface:
    """The surface of a measure that is a difference of two losses.

    Args:
        model: network.
        loss: mean loss of outputs and targets.

    Returns:
        The surface.

    Raises:
        InputError: if the model has no trainable parameters, or some that are coarser than float32: the difference would be
            rounding, as bfloat16 has steps of 1/64 at a loss of 2.
    """
    surface = LossSurface(model, loss)
    if torch.finfo(surface.weights.dtype).eps > torch.finfo(torch.float32).eps:
        raise InputError(
            f"an increase of the loss is lost in the rounding of {surface.weights.dtype} weights; measure a copy in float32, "
            "model.float()"
        )
    return surface


def _refuse_ignored(lowest: float) -> None:
    if lowest < 0:
        raise InputError(f"labels must be classes counted from 0, got {lowest:.0f}: leave such samples out")


def _refuse_unfit(probe: list[float], eps: float) -> None:
    """Rounding errors of many products grow like a random walk, to half of the digits at most; what is random differs by more."""
    if not probe or not np.isfinite(probe).all():
        return
    own, moved, terms, size, difference = probe
    if abs(own - moved) > eps**0.5 * terms:
        raise InputError(
            "the network gives other outputs for the same samples when it runs again in evaluation mode: what is random in it "
            "(dropout that stays on?) must be switched off"
        )
    if difference > eps**0.5 * size:
        raise InputError(
            "a weight is used from a place where it cannot be replaced (a list of its own, say): look it up as the attribute of "
            "its module instead"
        )


class NormalizedLogits(nn.Module):
    """A classifier whose logits z are replaced by ``(z - mean(z)) / |z - mean(z)|`` for each sample.

    Makes sharpness invariant to the logits' scale, which training can raise at will (Andriushchenko et al. 2023).
    The parameters are the model's own.

    Args:
        model: classifier with logits ``(samples, classes)``.

    Examples:
        >>> import torch
        >>> from sharpdiv import NormalizedLogits
        >>> model = NormalizedLogits(torch.nn.Identity())
        >>> model(torch.tensor([[1.0, 3.0], [10.0, 30.0]])).round(decimals=3)  # the scale is gone
        tensor([[-0.7070,  0.7070],
                [-0.7070,  0.7070]])
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, *inputs: Any, **named: Any) -> Float[Tensor, "samples classes"]:
        """Normalized logits; norms below 1e-10 count as 1e-10, as in the authors' code.

        Args:
            *inputs: inputs as the model takes them.
            **named: the same, by name.

        Returns:
            Rows of mean zero and norm one.
        """
        logits = outputs_of(self.model, named or inputs)
        return nn.functional.normalize(logits - logits.mean(dim=1, keepdim=True), dim=1, eps=1e-10)


def require_norm(norm: str) -> None:
    """Accept the name of a norm.

    Args:
        norm: name to check.

    Raises:
        InputError: if it is unknown.

    Examples:
        >>> from sharpdiv.empirical.curvature.loss_surface import require_norm
        >>> require_norm("l1")
        Traceback (most recent call last):
        ...
        sharpdiv.empirical.errors.InputError: norm must be l2 or linf, got 'l1'
    """
    if norm not in {"l2", "linf"}:
        raise InputError(f"norm must be l2 or linf, got {norm!r}")
