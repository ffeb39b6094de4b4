"""Per-sample sharpness needs less memory than the gradients that it is the norms of."""

from typing import Any

import pytest
import torch
from torch import nn
from torch.func import functional_call, grad, vmap
from torch.profiler import ProfilerActivity, profile

from sharpdiv.empirical.curvature.per_sample import per_sample_sharpness
from sharpdiv.empirical.models import ResNet
from tests.empirical.networks import batch


def test_memory_is_half_of_that_of_materialized_gradients() -> None:
    """Peak of what is allocated inside the call, for a residual network of four stages."""
    torch.manual_seed(0)
    model = ResNet(width=16, blocks=(1, 1, 1, 1)).eval()
    inputs, targets = batch(0, 16, (3, 16, 16), 10)
    weights = {name: p.detach() for name, p in model.named_parameters()}

    def loss(weights: dict[str, torch.Tensor], x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return nn.functional.cross_entropy(functional_call(model, weights, (x[None],)), y[None])

    def materialized() -> torch.Tensor:
        gradients = vmap(grad(loss), in_dims=(None, 0, 0))(weights, inputs, targets)
        return torch.stack([g.flatten(1).square().sum(1) for g in gradients.values()]).sum(0)

    expected = materialized().numpy()
    # float32: both round sums of up to 1e5 squares and all that led to them
    assert per_sample_sharpness(model, inputs, targets).numpy() == pytest.approx(expected, rel=1e-4)
    assert peak(lambda: per_sample_sharpness(model, inputs, targets)) < 0.5 * peak(materialized)


def peak(function: Any) -> int:
    """Largest number of bytes that are allocated at once inside a call."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as record:
        function()
    events = [e for e in record.profiler.kineto_results.events() if e.name() == "[memory]"]
    held, most = 0, 0
    for event in sorted(events, key=lambda e: e.start_ns()):
        held += event.nbytes()
        most = max(most, held)
    return most
