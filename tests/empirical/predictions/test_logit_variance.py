"""The variance of logits over members: its laws, a number worked by hand, and what it refuses."""

import pytest
import torch
from hypothesis import strategies as st

from sharpdiv.empirical.errors import InputError
from sharpdiv.empirical.predictions import metrics
from tests.laws import Mutation, law


@law(
    Mutation(
        "biased",
        "sharpdiv.empirical.predictions.metrics.torch.Tensor.var",
        lambda f: lambda self, dim, *, unbiased: f(self, dim, False),
    ),
    seed=st.integers(0, 1000),
    scale=st.floats(0.1, 10),
)
def test_logit_variance_scales_and_ignores_shifts(seed: int, scale: float) -> None:
    """A constant added to all logits of a sample changes no prediction. Two members: half the squared distance."""
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(2, 5, 3, generator=generator, dtype=torch.float64)
    variance = metrics.logit_variance(logits)
    shifted = logits + torch.randn(2, 5, 1, generator=generator)
    assert metrics.logit_variance(scale * shifted) == pytest.approx(scale**2 * variance, rel=1e-9)
    difference = logits[0] - logits[1]
    distances = (difference - difference.mean(dim=1, keepdim=True)).square().sum(dim=1)
    assert variance == pytest.approx(float(distances.mean()) / 2, rel=1e-9)


def test_logit_variance_worked_by_hand() -> None:
    """Logits (0, 2) and (5, 1), centred (-1, 1) and (2, -2): both classes have variance 9/2."""
    assert metrics.logit_variance(torch.tensor([[[0.0, 2.0]], [[5.0, 1.0]]])) == pytest.approx(9)


@pytest.mark.parametrize(
    ("logits", "message"),
    [
        (torch.zeros(1, 2, 3), "at least 2 members, got 1"),
        (torch.zeros(2, 3), "logits must have shape"),
        (torch.full((2, 2, 3), float("inf")), "finite"),
        (torch.zeros(2, 2, 3, dtype=torch.int64), "floating"),
    ],
)
def test_bad_logits_are_refused(logits: torch.Tensor, message: str) -> None:
    with pytest.raises(InputError, match=message):
        metrics.logit_variance(logits)
