"""Linear CKA: its invariances, an independent kernel form, numbers worked by hand; features of layers."""

import itertools
import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import strategies as st
from torch import nn

from sharpdiv.empirical.errors import InputError
from sharpdiv.empirical.predictions import representation
from sharpdiv.empirical.predictions.representation import layer_features, linear_cka, member_cka
from tests.laws import Mutation, law

# Both more and fewer features than samples: the Gram and the feature form.
shapes: dict[str, Any] = {
    "seed": st.integers(0, 10_000),
    "samples": st.integers(2, 12),
    "p": st.integers(1, 30),
    "q": st.integers(1, 30),
}


def features(seed: int, samples: int, *sizes: int) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    common = torch.randn(samples, 2, generator=generator, dtype=torch.float64)
    return [
        common @ torch.randn(2, size, generator=generator, dtype=torch.float64)
        + torch.randn(samples, size, generator=generator, dtype=torch.float64)
        for size in sizes
    ]


def hsic(x: np.ndarray, y: np.ndarray) -> float:
    """``tr(K H L H) / (n - 1)^2`` with linear kernels K, L and the centring matrix H (Gretton et al. 2005)."""
    n = len(x)
    H = np.eye(n) - np.ones((n, n)) / n
    return float(np.trace(x @ x.T @ H @ y @ y.T @ H)) / (n - 1) ** 2


NOT_CENTRED = Mutation(
    "not centred",
    "sharpdiv.empirical.predictions.representation._normalized",
    lambda _: lambda x: x / (x.T @ x).norm().sqrt(),
)


@law(
    NOT_CENTRED,
    Mutation(
        "square root", "sharpdiv.empirical.predictions.representation._alignment", lambda f: lambda x, y: f(x, y).sqrt()
    ),
    **shapes,
)
def test_is_normalized_hsic(seed: int, samples: int, p: int, q: int) -> None:
    """Kornblith et al. (2019), equation 4."""
    x, y = features(seed, samples, p, q)
    a, b = x.numpy(), y.numpy()
    expected = hsic(a, b) / math.sqrt(hsic(a, a) * hsic(b, b))
    assert representation.linear_cka(x, y) == pytest.approx(expected, rel=1e-9, abs=1e-12)


@law(
    NOT_CENTRED,
    Mutation(
        "every feature alike",
        "sharpdiv.empirical.predictions.representation._normalized",
        lambda f: lambda x: f((x - x.mean(dim=0)) / x.std(dim=0)),
    ),
    Mutation(
        "sign of features",
        "sharpdiv.empirical.predictions.representation._alignment",
        lambda f: lambda x, y: f(x.clamp_min(0), y),
    ),
    **shapes,
    scale=st.floats(1e-3, 1e3),
)
def test_rotations_shifts_and_scale_do_not_matter(seed: int, samples: int, p: int, q: int, scale: float) -> None:
    x, y = features(seed, samples, p, q)
    rotation = torch.linalg.qr(features(seed + 1, p, p)[0]).Q
    moved = scale * x @ rotation + features(seed + 2, 1, p)[0]
    # Centring a shift of order 1000 scale at worst costs 1e-13 of the features.
    assert representation.linear_cka(moved, y) == pytest.approx(representation.linear_cka(x, y), rel=1e-6, abs=1e-9)


@law(
    Mutation(
        "not normalized",
        "sharpdiv.empirical.predictions.representation._normalized",
        lambda _: lambda x: x - x.mean(dim=0),
    ),
    Mutation(
        "one-sided",
        "sharpdiv.empirical.predictions.representation._alignment",
        lambda f: lambda x, y: f(x, y) * x.shape[1] / y.shape[1],
    ),
    **shapes,
)
def test_is_symmetric_and_at_most_one(seed: int, samples: int, p: int, q: int) -> None:
    x, y = features(seed, samples, p, q)
    alignment = representation.linear_cka(x, y)
    assert 0 <= alignment <= 1
    assert representation.linear_cka(y, x) == pytest.approx(alignment, rel=1e-12)
    assert representation.linear_cka(x, x) == pytest.approx(1, rel=1e-12)
    # A dead feature, and the same feature twice with half the variance each.
    padded = torch.cat([x / math.sqrt(2), x / math.sqrt(2), torch.ones(samples, 1)], dim=1)
    assert representation.linear_cka(padded, y) == pytest.approx(alignment, rel=1e-9, abs=1e-12)


def test_worked_by_hand() -> None:
    """One feature: the squared correlation. Two with X'X = 2I, of norm sqrt(8), against one of them: 4 / (2 sqrt(8))."""
    x = torch.tensor([[1.0], [0.0], [-1.0]])
    assert linear_cka(x, torch.tensor([[1.0], [-2.0], [1.0]])) == pytest.approx(0, abs=1e-15)
    assert linear_cka(x, torch.tensor([[2.0], [-1.0], [-1.0]])) == pytest.approx(9 / (2 * 6))
    cross = torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
    assert linear_cka(cross, cross[:, :1]) == pytest.approx(1 / math.sqrt(2))


def test_independent_features_align_by_chance() -> None:
    """``E|X'Y|^2 = (n - 1) p^2`` and ``E|X'X|^2 = (n - 1) p (n + p)`` for Gaussian features: p / (n + p).

    The cross product's p^2 entries, correlated through the features' covariances, have a relative spread of
    sqrt(2) (1 + p / n) / p; z = 4.
    """
    generator = torch.Generator().manual_seed(0)
    x, y = torch.randn(2, 400, 100, generator=generator)
    assert linear_cka(x, y) == pytest.approx(100 / 500, rel=4 * math.sqrt(2) * 1.25 / 100)


@law(
    Mutation(
        "pairs of a member with itself",
        "sharpdiv.empirical.predictions.representation.itertools.combinations",
        lambda _: itertools.combinations_with_replacement,
    ),
    seed=st.integers(0, 1000),
    sizes=st.lists(st.integers(1, 8), min_size=2, max_size=5),
    samples=st.integers(2, 10),
)
def test_members_are_compared_in_pairs(seed: int, sizes: list[int], samples: int) -> None:
    layers = features(seed, samples, *sizes)
    pairs = [(i, j) for i in range(len(sizes)) for j in range(i)]
    expected = sum(linear_cka(layers[i], layers[j]) for i, j in pairs) / len(pairs)
    assert representation.member_cka(layers) == pytest.approx(expected, rel=1e-9)
    assert representation.member_cka(layers[::-1]) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("value", [0.0, 0.1, 1e6])
def test_constant_features_are_refused(value: float) -> None:
    """Also where the mean of equal numbers is not that number: .1 in float32."""
    with pytest.raises(InputError, match="constant over the 7 samples"):
        linear_cka(torch.full((7, 3), value), torch.randn(7, 3, generator=torch.Generator().manual_seed(0)))


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (torch.eye(3), torch.eye(4), "got 3 and 4 samples"),
        (torch.eye(3) * float("nan"), torch.eye(3), "finite"),
        (torch.eye(3), torch.zeros(3, 0), "features >= 1"),
        (torch.ones(1, 2), torch.ones(1, 2), "constant over the 1 samples"),
    ],
)
def test_bad_features_are_refused(x: torch.Tensor, y: torch.Tensor, message: str) -> None:
    with pytest.raises(InputError, match=message):
        linear_cka(x, y)
    with pytest.raises(InputError, match=message):
        member_cka([x, y])


def test_members_are_counted() -> None:
    with pytest.raises(InputError, match="at least 2 members, got 1"):
        member_cka([torch.eye(3)])


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(inplace=True), nn.Conv2d(4, 2, 3), nn.Flatten(), nn.Linear(8, 3)
    )


IMAGES = torch.randn(5, 1, 6, 6, generator=torch.Generator().manual_seed(1))


@law(
    Mutation(
        "positions kept",
        "sharpdiv.empirical.predictions.representation.torch.Tensor.mean",
        lambda f: lambda self, dim: self.flatten(1),
    ),
    Mutation(
        "training mode",
        "sharpdiv.empirical.curvature.recording.evaluation_mode",
        lambda _: lambda model: torch.enable_grad(),
    ),
)
def test_features_are_the_layers_outputs() -> None:
    """The ReLU works in place on the batch norm's output, after it was recorded."""
    model = network()
    model[1].running_mean.fill_(0.5)  # type: ignore[operator]
    buffers = [b.clone() for b in model.buffers()]
    found = representation.layer_features(model, IMAGES, ["5", "0", "1", ""])
    assert list(found) == ["5", "0", "1", ""]
    assert model.training
    assert all(torch.equal(a, b) for a, b in zip(buffers, model.buffers(), strict=True))
    model.eval()
    with torch.no_grad():
        assert torch.allclose(found["0"], model[0](IMAGES).mean(dim=(2, 3)), atol=1e-6)
        assert torch.allclose(found["1"], model[:2](IMAGES).mean(dim=(2, 3)), atol=1e-6)
        assert torch.equal(found["5"], model(IMAGES))
    assert torch.equal(found["5"], found[""])
    assert not any(f.requires_grad for f in found.values())


class Awkward(nn.Module):
    """A layer that runs twice, one that never does, and one that returns a tuple."""

    def __init__(self) -> None:
        super().__init__()
        self.twice, self.never, self.many = nn.Linear(4, 4), nn.Linear(4, 4), nn.LSTM(4, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.many(self.twice(self.twice(x)))[0]


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        ("none", r"no layer 'none'; it has twice, never, many"),
        ("twice", "'twice' runs twice"),
        ("never", "'never' did not run"),
        ("many", r"'many' must return a tensor \(samples, features, ...\), got tuple"),
    ],
)
def test_awkward_layers_are_refused(layer: str, message: str) -> None:
    model = Awkward()
    with pytest.raises(InputError, match=message):
        layer_features(model, torch.ones(3, 4), [layer])
    assert not any(module._forward_hooks for module in model.modules())
