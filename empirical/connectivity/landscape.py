"""Loss and error of a network at weighted sums of members' weights: what lines and planes are made of."""

import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from sharpdiv.empirical.batches import Batches, Loss, mean_loss, outputs_of
from sharpdiv.empirical.connectivity.batch_norm import recalibrate_batch_norm, running_norms
from sharpdiv.empirical.connectivity.members import Members, State
from sharpdiv.empirical.ensembles.fixed import FixedBatches, on_device
from sharpdiv.empirical.ensembles.members import device_of
from sharpdiv.empirical.errors import InputError
from sharpdiv.empirical.predictions.checked import checked_labels

__all__ = ["Heights", "Landscape"]

Heights = tuple[Float[np.ndarray, " points"], Float[np.ndarray, " points"] | None]
"""mean loss, and share of wrong predictions, None where targets are no classes"""


class Landscape:
    """Mean loss and error of one network on fixed data, as functions of its members' coefficients.

    Running statistics of batch norm are taken anew at every point, at the members' own, too: all points are alike.

    Args:
        model: network of the members' architecture; it is afterwards what it was.
        states: state dict of each member.
        batches: data of the loss.
        train: training data that statistics of batch norm are taken on; needed where members differ in them.
        loss: mean loss of outputs and targets.

    Raises:
        InputError: if members do not fit the network or each other, data can be read only once, or ``train`` is needed.
        DivergenceError: if a weight is not finite.

    Examples:
        >>> import torch
        >>> from sharpdiv.empirical.connectivity.landscape import Landscape
        >>> model, batch = torch.nn.Linear(1, 1, bias=False), (torch.ones(2, 1), torch.zeros(2, 1))
        >>> states = [{"weight": torch.tensor([[1.0]])}, {"weight": torch.tensor([[3.0]])}]
        >>> landscape = Landscape(model, states, batch, None, torch.nn.functional.mse_loss)
        >>> landscape.heights([(1.0, 0.0), (0.5, 0.5)])
        (array([1., 4.]), None)
    """

    members: Members
    """the members' weights"""

    def __init__(
        self, model: nn.Module, states: Sequence[State], batches: Batches, train: Batches | None, loss: Loss
    ) -> None:
        self._device = device_of(model, "the network")
        self._model, self._loss, self.members = model, loss, Members(model, states)
        if train is None and not self.members.same_statistics:
            raise InputError(
                "members differ in the running statistics of batch norm, and a network between them has neither's: give the "
                "training data that they are taken on anew (train=..., --train-data)"
            )
        self._data = FixedBatches(batches, "test")
        self._train = FixedBatches(train, "training") if train is not None and running_norms(model) else None
        self._checked = loss is not nn.functional.cross_entropy  # whether labels are classes

    @torch.no_grad()
    def heights(
        self, coefficients: Sequence[Sequence[float]], told: Callable[[int, int], None] = lambda *_: None
    ) -> Heights:
        """Loss and error at some points.

        Args:
            coefficients: factor of each member, for every point.
            told: listener, told of the points that are done and of all of them.

        Returns:
            Mean loss over samples, in the loss's own unit, and share of wrong predictions: both may be NaN or infinite. The second
            is None unless outputs are ``(samples, classes)`` and targets classes.

        Raises:
            InputError: if data or network do not fit, a label is none of the classes, or data differ when they are read again.
        """
        found = []
        with self.members.held():
            for done, factors in enumerate(coefficients, start=1):
                self.members.put(factors)
                if self._train is not None:
                    recalibrate_batch_norm(self._model, self._train)
                found.append(self._height())
                told(done, len(coefficients))
        errors = [error for _, error in found if error is not None]
        return np.array([loss for loss, _ in found]), np.array(errors) if errors else None

    def _height(self) -> tuple[float, float | None]:
        """At the weights that the network has now; numbers leave the device together."""
        losses: list[Tensor] = []
        wrong: list[Tensor] = []
        counts = []
        for batch in self._data:
            inputs, targets = on_device(batch, self._device)
            outputs = outputs_of(self._model, inputs)
            outputs = outputs.to(torch.promote_types(outputs.dtype, torch.float32))
            classes = (
                outputs.ndim == 2 and targets.ndim == 1 and not (targets.is_floating_point() or targets.is_complex())
            )
            if classes and not self._checked:  # once: the data stay the same
                checked_labels(batch[1], len(outputs), outputs.shape[1])
            elif not self._checked and not targets.is_floating_point() and int(targets.min()) < 0:
                raise InputError(f"labels must be counted from 0, got {int(targets.min())}: leave such samples out")
            losses.append(mean_loss(nn.Identity(), (outputs, targets), self._loss))
            if classes:
                wrong.append((outputs.argmax(dim=1) != targets).sum())
            counts.append(len(targets))
        self._checked = True
        values, samples = torch.stack(losses).tolist(), sum(counts)
        loss = math.fsum(count * value for count, value in zip(counts, values, strict=True)) / samples
        return loss, int(torch.stack(wrong).sum()) / samples if wrong else None
