"""Batches of one size, and devices: whatever the form, the samples stay the same and in order."""

from typing import Any

import pytest
import torch

from sharpdiv.empirical.ensembles.fixed import FixedBatches, joined


@pytest.mark.parametrize("size", [1, 3, 4, 10, 20])
@pytest.mark.parametrize("given", [(3, 3, 3, 1), (4, 2, 4), (10,), (1,) * 10])
def test_joined_batches_hold_the_same_samples(given: tuple[int, ...], size: int) -> None:
    x, y = torch.arange(20.0).view(10, 2), torch.arange(10)
    batches = [({"a": a, "pair": (a[:, :1], 2.0)}, b) for a, b in zip(x.split(given), y.split(given), strict=True)]
    found: list[tuple[Any, torch.Tensor]] = joined(batches, size)
    assert [len(labels) for _, labels in found] == [len(part) for part in y.split(size)]
    assert torch.cat([labels for _, labels in found]).equal(y)
    assert torch.cat([inputs["a"] for inputs, _ in found]).equal(x)
    assert torch.cat([inputs["pair"][0] for inputs, _ in found]).equal(x[:, :1])
    assert all(inputs["pair"][1] == 2.0 for inputs, _ in found)


@pytest.mark.parametrize("samples", [1, 4, 5, 9, 10, 30])
def test_the_first_samples_are_those(samples: int) -> None:
    x, y = torch.arange(20.0).view(10, 2), torch.arange(10)
    fixed = FixedBatches(list(zip(x.split(4), y.split(4), strict=True)), "test")
    found: list[tuple[Any, torch.Tensor]] = list(fixed.first(samples))
    assert torch.cat([labels for _, labels in found]).equal(y[:samples])
    assert torch.cat([inputs for inputs, _ in found]).equal(x[:samples])
