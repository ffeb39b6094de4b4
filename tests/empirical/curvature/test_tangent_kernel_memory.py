"""The tangent kernel of a large network holds the gradients of some of its layers at a time, to the same bits."""

import pytest
import torch

from sharpdiv.empirical.curvature import tangent_kernel as module
from sharpdiv.empirical.curvature.tangent_kernel import tangent_kernel
from sharpdiv.empirical.models import ResNet
from tests.empirical.curvature.test_per_sample_memory import peak
from tests.empirical.networks import batch


@pytest.mark.parametrize("room", [1, 2**18])
def test_groups_of_layers_change_no_bit_and_need_less_memory(room: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """One layer at a time, and some; of ten classes at the outputs of 17 convolutions and norms."""
    torch.manual_seed(0)
    model = ResNet(width=8, blocks=(1, 1, 1), channels=3).eval()
    images = batch(0, 12, (3, 16, 16), 10)[0]
    at_once = tangent_kernel(model, images[:8], images[8:])
    most = peak(lambda: module._by_layers(model, images[:8], images[8:]))
    monkeypatch.setattr(module, "_GRADIENTS", room)
    in_groups = tangent_kernel(model, images[:8], images[8:])
    assert all(torch.equal(a, b) for a, b in zip(at_once, in_groups, strict=True))
    assert peak(lambda: module._by_layers(model, images[:8], images[8:])) < 0.6 * most


def test_layers_are_grouped_in_their_order(monkeypatch: pytest.MonkeyPatch) -> None:
    layers = [torch.nn.Linear(1, 1) for _ in range(5)]
    monkeypatch.setattr(module, "_GRADIENTS", 10)
    groups = module._groups(dict(zip(layers, (4, 6, 1, 20, 10), strict=True)))
    assert groups == [layers[:2], layers[2:3], layers[3:4], layers[4:]]
