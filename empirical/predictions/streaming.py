"""Metrics of predictions that come in batches, or on several processes, as a metric of torchmetrics."""

from typing import Any

import torch

from sharpdiv.empirical.errors import InputError
from sharpdiv.empirical.predictions.checked import Array, as_tensor
from sharpdiv.empirical.predictions.metrics import Metrics, PointStatistics, as_numbers, competent, point_statistics

try:
    from torchmetrics import Metric
except ModuleNotFoundError:

    class Metric:  # type: ignore[no-redef]
        """What says, where torchmetrics is missing, that it is."""

        def __init__(self, **_: Any) -> None:
            raise ModuleNotFoundError(
                "EnsembleDiversity needs torchmetrics, which is not installed: pip install '.[torchmetrics]' in the folder of "
                "sharpdiv",
                name="torchmetrics",
            )


__all__ = ["EnsembleDiversity"]


class EnsembleDiversity(Metric):
    """``diversity`` of batches of samples: ``update`` with each, ``compute`` at the end.

    States are sums over samples, of fixed size and in float64 on the metric's device (not MPS, which has no float64): processes
    add theirs up, and ``compute`` equals ``diversity`` of all samples to rounding. Metrics are those that ``METRICS`` has when
    this is made.

    Args:
        members: number of members.
        classes: number of classes.
        **options: those of every metric of torchmetrics, as ``sync_on_compute``.

    Raises:
        ModuleNotFoundError: if torchmetrics is not installed; the extra ``torchmetrics`` brings it.
        InputError: if there are fewer than two members or classes.

    References:
        Detlefsen et al. (2022), "TorchMetrics - Measuring reproducibility in PyTorch", Journal of Open Source Software 7.

    Examples:
        >>> import torch
        >>> from sharpdiv import EnsembleDiversity
        >>> probs = torch.tensor([[[0.9, 0.1], [0.8, 0.2]], [[0.7, 0.3], [0.4, 0.6]]])  # (members, samples, classes)
        >>> metric = EnsembleDiversity(members=2, classes=2)  # doctest: +SKIP
        >>> for sample in range(2):  # doctest: +SKIP
        ...     metric.update(probs[:, [sample]], torch.tensor([0]))
        >>> metric.compute()["disagreement"]  # doctest: +SKIP
        0.5
    """

    is_differentiable = False
    higher_is_better = None
    full_state_update = False

    def __init__(self, members: int, classes: int, **options: Any) -> None:
        super().__init__(**options)
        if members < 2 or classes < 2:
            raise InputError(f"diversity needs at least 2 members and 2 classes, got {members} and {classes}")
        self.members, self.classes = members, classes
        # The columns of any predictions: METRICS says which there are.
        unsure = point_statistics(torch.full((members, 1, classes), 1 / classes), torch.zeros(1, dtype=torch.int64))
        self.widths = unsure.widths
        self.add_state("sums", torch.zeros_like(unsure.table[0]), dist_reduce_fx="sum")
        self.add_state("wrong", torch.zeros(members + 1, dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, probs: Array, labels: Array) -> None:
        """Count a batch of samples in.

        Args:
            probs: probabilities ``(members, samples, classes)``, whose rows sum to one.
            labels: true classes ``(samples,)``, counted from 0.

        Raises:
            InputError: if members or classes are not as many as was said, and as ``diversity``.
        """
        probs = as_tensor(probs, "probs")
        if probs.ndim != 3 or (probs.shape[0], probs.shape[2]) != (self.members, self.classes):
            raise InputError(
                f"probs must have shape ({self.members}, samples, {self.classes}), got {tuple(probs.shape)}"
            )
        points = point_statistics(probs, labels)
        wrong = self.members - points.table[:, : self.members].sum(dim=1).long()
        self.sums += points.table.sum(dim=0).to(self.sums.device)
        self.wrong += torch.bincount(wrong, minlength=self.members + 1).to(self.wrong.device)

    def compute(self) -> Metrics:
        """The metrics of all samples.

        Returns:
            What ``diversity`` returns.

        Raises:
            InputError: if there was no sample.
        """
        samples = int(self.wrong.sum())
        if not samples:
            raise InputError("there are no samples yet; update with a batch first")
        # One point that is the mean of all: metrics are functions of means over points.
        means = (self.sums / samples)[None]
        values = PointStatistics(means, self.widths, self.classes).metrics(torch.ones_like(means[:, :1]))
        return as_numbers(means[0, : self.members], values, competent(self.wrong.tolist()))
