"""The loss of a batch as a function of one flat vector of all trainable weights: what sharpness and curvature are about.

The model runs with other weights than its own, in evaluation mode, and is never written to.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.func import functional_call

from sharpdiv.empirical.curvature.recording import evaluation_mode
from sharpdiv.empirical.errors import DivergenceError, InputError

__all__ = ["Batch", "Loss", "LossSurface", "Norm", "NormalizedLogits", "checked", "require_norm"]

Batch = tuple[Tensor, Tensor]
"""inputs and targets, first axis samples"""
Loss = Callable[[Tensor, Tensor], Tensor]
"""function from outputs and targets to their mean loss"""
Norm = Literal["l2", "linf"]
"""norm of a ball of perturbations"""


class LossSurface:
    """A model and a loss; calling it gives the loss of a batch at any weights.

    Frozen parameters (``requires_grad`` False) and buffers keep the model's values.

    Args:
        model: any module whose trainable parameters are on one device.
        loss: mean loss of outputs and targets.

    Raises:
        InputError: if the model has no trainable parameters.

    Example:
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
        self._model, self._loss = model, loss
        self._parameters = {name: p.detach() for name, p in model.named_parameters() if p.requires_grad}
        if not self._parameters:
            raise InputError("the model has no trainable parameters")
        self._sizes = [p.numel() for p in self._parameters.values()]
        self.weights = torch.cat([p.flatten() for p in self._parameters.values()])

    def __call__(self, weights: Float[Tensor, " weights"], batch: Batch) -> Float[Tensor, ""]:
        """Loss of a batch at given weights, differentiable in them.

        Args:
            weights: all trainable weights, as one flat vector.
            batch: inputs and targets.

        Returns:
            A scalar.
        """
        inputs, targets = batch
        parts = zip(self._parameters.items(), weights.split(self._sizes), strict=True)
        moved = {name: part.view_as(p) for (name, p), part in parts}
        return self._loss(functional_call(self._model, moved, (inputs,)), targets)

    def magnitudes(self, adaptive: bool) -> Float[Tensor, "*weights"]:
        """Unit of length of each weight: ``|w|`` if adaptive, otherwise one for all.

        Args:
            adaptive: whether the unit is the weight's own magnitude.

        Returns:
            One number for each weight, or a scalar.
        """
        return self.weights.abs() if adaptive else self.weights.new_ones(())

    def per_batch(
        self, batches: Iterable[Batch], measure: Callable[[Batch], Float[Tensor, "*shape"]]
    ) -> Float[np.ndarray, "batches *shape"]:
        """Measure every batch in evaluation mode; the results leave the device together.

        Args:
            batches: inputs and targets, read once.
            measure: function from a batch to a tensor, of the same shape for all batches.

        Returns:
            Results of all batches, in double precision.

        Raises:
            DivergenceError: if a result is not finite.
        """
        with evaluation_mode(self._model), torch.enable_grad():
            measured = [measure(batch) for batch in checked(batches)]
        values = np.array(torch.stack(measured).tolist())
        if not np.isfinite(values).all():
            raise DivergenceError("the loss is not finite at the weights or near them; is the model trained?")
        return values


class NormalizedLogits(nn.Module):
    """A classifier whose logits z are replaced by ``(z - mean(z)) / |z - mean(z)|`` for each sample.

    Makes sharpness invariant to the logits' scale, which training can raise at will (Andriushchenko et al. 2023).
    The parameters are the model's own.

    Args:
        model: classifier with logits ``(samples, classes)``.

    Example:
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

    def forward(self, x: Tensor) -> Float[Tensor, "samples classes"]:
        """Normalized logits; norms below 1e-10 count as 1e-10, as in the authors' code.

        Args:
            x: inputs as the model takes them.

        Returns:
            Rows of mean zero and norm one.
        """
        logits = self.model(x)
        return nn.functional.normalize(logits - logits.mean(dim=1, keepdim=True), dim=1, eps=1e-10)


def checked(batches: Iterable[Batch]) -> Iterator[Batch]:
    """Pass on batches that have samples.

    Args:
        batches: inputs and targets.

    Yields:
        Every batch.

    Raises:
        InputError: if there is none or one is empty.

    Example:
        >>> import torch
        >>> from sharpdiv.empirical.curvature.loss_surface import checked
        >>> [len(labels) for _, labels in checked([(torch.zeros(3, 2), torch.zeros(3))])]
        [3]
        >>> next(checked([]))
        Traceback (most recent call last):
        ...
        sharpdiv.empirical.errors.InputError: expected at least one batch, got none
    """
    count = 0
    for count, batch in enumerate(batches, start=1):
        if not len(batch[0]):
            raise InputError(f"every batch needs samples, number {count} has none")
        yield batch
    if not count:
        raise InputError("expected at least one batch, got none")


def require_norm(norm: str) -> None:
    """Accept the name of a norm.

    Args:
        norm: name to check.

    Raises:
        InputError: if it is unknown.

    Example:
        >>> from sharpdiv.empirical.curvature.loss_surface import require_norm
        >>> require_norm("l1")
        Traceback (most recent call last):
        ...
        sharpdiv.empirical.errors.InputError: norm must be l2 or linf, got 'l1'
    """
    if norm not in {"l2", "linf"}:
        raise InputError(f"norm must be l2 or linf, got {norm!r}")
