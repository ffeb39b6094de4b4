"""Predictions of any number of members, samples and classes."""

from typing import Any

import torch
from hypothesis import strategies as st

__all__ = ["predictions", "shapes"]

shapes: dict[str, Any] = {
    "seed": st.integers(0, 10_000),
    "members": st.integers(2, 5),
    "samples": st.integers(1, 40),
    "classes": st.integers(2, 6),
}


def predictions(seed: int, members: int, samples: int, classes: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn(members, samples, classes, generator=generator, dtype=torch.float64)
    return logits.softmax(dim=2), torch.randint(classes, (samples,), generator=generator)
