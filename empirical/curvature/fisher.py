"""Trace of the empirical Fisher information: the mean over samples of the squared norm of a sample's gradient.

``F = E[g g']`` for the gradient g of a sample's loss has the trace ``E |g|^2``.
"""

import torch
from torch import nn

from sharpdiv.empirical.batches import Batches, batches_of
from sharpdiv.empirical.curvature.estimates import Estimate
from sharpdiv.empirical.curvature.per_sample import per_sample_sharpness
from sharpdiv.empirical.devices import float64
from sharpdiv.empirical.errors import InputError

__all__ = ["fisher_trace"]


def fisher_trace(model: nn.Module, batches: Batches) -> Estimate:
    """Trace of the Fisher matrix of the cross-entropy, with the labels of the data.

    Args:
        model: network as ``per_sample_sharpness`` takes it.
        batches: fixed (inputs, labels) pairs, with at least two samples in all.

    Returns:
        Mean over all samples, and its standard error over samples.

    Raises:
        InputError: if there are fewer than two samples.

    Examples:
        >>> import torch
        >>> from sharpdiv.empirical.curvature.fisher import fisher_trace
        >>> model = torch.nn.Linear(2, 2, bias=False)
        >>> _ = torch.nn.init.zeros_(model.weight)  # both classes have probability 1/2: |g|^2 = 2 (1/2)^2 |x|^2
        >>> inputs, labels = torch.tensor([[3.0, 4.0], [0.0, 1.0]]), torch.tensor([0, 1])
        >>> fisher_trace(model, [(inputs, labels)]).mean  # of 12.5 and 0.5
        6.5
    """
    scores = float64(torch.cat([per_sample_sharpness(model, *batch) for batch in batches_of(batches)]))
    if len(scores) < 2:
        raise InputError(f"the Fisher trace needs at least 2 samples to have a standard error, got {len(scores)}")
    return Estimate(float(scores.mean()), float(scores.std() / len(scores) ** 0.5))
