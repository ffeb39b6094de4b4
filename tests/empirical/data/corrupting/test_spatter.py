"""Spatter against plain loops and SciPy's filters."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import strategies as st
from scipy import ndimage
from torch import Tensor

from sharpdiv.empirical.data.corrupting import filters, spatter
from sharpdiv.empirical.data.corruptions import corrupt
from tests.empirical.data.corrupting.pictures import constant, draws, facts, levels, seeds, sides
from tests.laws import Mutation, law

ROOM = "sharpdiv.empirical.data.corrupting"


def canny_loop(levels: np.ndarray) -> np.ndarray:
    """Canny's edge detector, pixel by pixel, with OpenCV's conventions."""
    dx, dy = (ndimage.sobel(levels, axis, mode="nearest") for axis in (1, 0))
    size = np.pad(np.abs(dx) + np.abs(dy), 1)
    weak = np.zeros(levels.shape, bool)
    for y, x in np.ndindex(levels.shape):
        slope = math.degrees(math.atan2(abs(dy[y, x]), abs(dx[y, x])))
        step = (0, 1) if slope < 22.5 else (1, 0) if slope > 67.5 else (1, 1) if dx[y, x] * dy[y, x] >= 0 else (1, -1)
        here, before = size[y + 1, x + 1], size[y + 1 - step[0], x + 1 - step[1]]
        after = size[y + 1 + step[0], x + 1 + step[1]]
        straight = 0 in step
        weak[y, x] = here > 50 and here > before and (here >= after if straight else here > after)
    islands, _ = ndimage.label(weak, np.ones((3, 3)))
    strong = islands[weak & (size[1:-1, 1:-1] > 150)]
    return weak & np.isin(islands, strong)


@law(
    Mutation("no hysteresis", f"{ROOM}.spatter._dilate", lambda _: lambda mask: mask),
    Mutation(
        "falling for rising",
        f"{ROOM}.spatter._canny",
        lambda f: lambda levels: f(levels.flip(2)).flip(2),
    ),
    Mutation("edges mirrored", f"{ROOM}.spatter.correlate", lambda f: lambda i, k, edges: f(i, k)),
    seed=seeds,
    side=st.integers(8, 32),
)
def test_edges_are_cannys(seed: int, side: int) -> None:
    rng = np.random.default_rng(seed)
    smooth = ndimage.gaussian_filter(rng.standard_normal((side, side + 2)), 1)
    picture = np.floor((128 + 60 * smooth / smooth.std()).clip(0, 255))
    # Plateaus make ties, which must fall to the side that OpenCV takes.
    picture = np.where(rng.random() < 0.5, picture, picture // 64 * 64)
    found = spatter._canny(torch.from_numpy(picture).float()[None])[0].numpy()
    assert np.array_equal(found, canny_loop(picture))


def chamfer(down: int, right: int) -> float:
    """Shortest way with moves of length 1, 1.4 (diagonal) and 2.1969 (knight's) on a free board."""
    far, near = max(abs(down), abs(right)), min(abs(down), abs(right))
    return near * 2.1969 + (far - 2 * near) if far >= 2 * near else (far - near) * 2.1969 + (2 * near - far) * 1.4


@law(
    Mutation("city blocks", "itertools.product", lambda _: lambda *_, **__: [(0, 1), (1, 0), (0, -1), (-1, 0)]),
    Mutation("one sweep", f"{ROOM}.spatter._distance", lambda f: lambda e, limit: f(e, 1) * limit),
    seed=seeds,
    height=sides,
    width=sides,
    edges=st.integers(0, 5),
)
def test_distance_is_the_nearest_edges(seed: int, height: int, width: int, edges: int) -> None:
    rng = np.random.default_rng(seed)
    places = np.stack([rng.integers(0, height, edges), rng.integers(0, width, edges)], axis=1)
    mask = torch.zeros(1, height, width, dtype=torch.bool)
    mask[0, places[:, 0], places[:, 1]] = True
    exact = [min([20, *(chamfer(y - down, x - right) for down, right in places)]) for y, x in np.ndindex(height, width)]
    found = spatter._distance(mask, limit=20)[0].flatten().numpy()
    assert np.abs(found - exact).max() < 1e-4
    if edges:
        euclidean = np.minimum(ndimage.distance_transform_edt(~mask[0].numpy()), 20).flatten()
        assert (np.abs(found - euclidean) <= 0.02 * euclidean + 1e-4).all()


@law(
    Mutation("least not 0", "torch.Tensor.amin", lambda f: lambda t, **k: 0 * f(t, **k)),
    values=st.lists(st.integers(0, 20), min_size=4, max_size=30),
)
def test_equalized_levels_are_ranks(values: list[int]) -> None:
    found = spatter._equalize(torch.tensor(values, dtype=torch.float32)[None, None], levels=21)[0, 0].tolist()
    least = values.count(min(values))
    for value, level in zip(values, found, strict=True):
        if least == len(values):
            assert level == value
        else:
            ranked = sum(other <= value for other in values) - least
            assert abs(level - 255 * ranked / (len(values) - least)) <= 0.5 + 1e-4  # rounded


@law(
    Mutation(
        "water is white",
        f"{ROOM}.spatter.colour",
        lambda _: lambda *_: torch.ones(1, 3, 1, 1),
    ),
    Mutation(
        "not at full strength",
        f"{ROOM}.spatter._water",
        lambda f: lambda liquid: 0.9 * f(liquid),
    ),
    Mutation(
        "no threshold",
        "torch.where",
        lambda f: lambda c, a, b: b if b is not None and isinstance(b, Tensor) and b.ndim == 4 else f(c, a, b),
    ),
    seed=seeds,
    severity=levels,
    examples=15,
)
def test_spatter_is_turquoise_water_then_brown_mud(seed: int, severity: int) -> None:
    images = torch.full((8, 3, 32, 32), 10, dtype=torch.uint8)
    added = corrupt(images, "spatter", severity, seed).double() - 10
    strength, mud = (constant("spatter", key, severity) for key in ("strength", "mud"))
    if mud:
        # Opaque by at least 0.8, or not at all: (63, 42, 20) on 10 adds (53, 32, 10) at full opacity.
        full = torch.tensor([53.0, 32.0, 10.0])[:, None, None]
        opacity = added / full
        covered = added[:, 0] > 0
        assert bool((opacity[:, 0][covered] >= 0.8 - 1 / 53).all())
    else:
        full = strength * torch.tensor([175.0, 238.0, 238.0])[:, None, None]
        assert torch.equal(added.amax(dim=(0, 2, 3)), (full + 1e-4).floor().flatten())
        covered = added[:, 1] > 0
    # Each channel is truncated, so off by less than a level.
    share = added / full
    assert float((share[:, 0] - share[:, 1]).abs().max()) < 1 / float(full.min())
    assert float(share.min()) >= 0
    assert bool(covered.any())


def water_by_hand(liquid: np.ndarray) -> np.ndarray:
    """The originals' chain on 8-bit levels: edges, distance, mean, equalized histogram, emboss, mean."""
    edges = np.argwhere(canny_loop(liquid))
    places = np.ndindex(liquid.shape)
    distance = np.array([min([20, *(chamfer(y - down, x - right) for down, right in edges)]) for y, x in places])
    mean = np.full((3, 3), 1 / 9)
    depth = np.floor(ndimage.correlate(distance.reshape(liquid.shape), mean, mode="mirror") + 1e-4).astype(int)
    cumulative = np.cumsum(np.bincount(depth.ravel()))
    least = cumulative[depth.min()]
    flat = least == depth.size
    equal = depth if flat else np.rint(255 * (cumulative[depth] - least) / (depth.size - least))
    emboss = np.array([[-2, -1, 0], [-1, 1, 1], [0, 1, 2]])
    relief = ndimage.correlate(equal.astype(float), emboss, mode="mirror").clip(0, 255)
    drops = liquid * np.rint(ndimage.correlate(relief, mean, mode="mirror"))
    return drops / max(drops.max(), 1)


@pytest.mark.long
@pytest.mark.slow
@law(
    Mutation(
        "lit from the lower right",
        f"{ROOM}.spatter.correlate",
        lambda f: lambda i, k, **options: f(i, k.flip(0, 1), **options),
    ),
    Mutation(
        "histogram not equalized",
        f"{ROOM}.spatter._equalize",
        lambda _: lambda values, levels: values,
    ),
    Mutation("bright drops do not wrap", "torch.Tensor.__mod__", lambda _: lambda values, _: values),
    Mutation(
        "mud with a sharp outline",
        f"{ROOM}.spatter.blurred",
        lambda f: lambda i, sigma: i if len(i.unique()) <= 2 else f(i, sigma),
    ),
    # A handful of fixed pictures: levels that lie on a boundary could round either way in others.
    seed=st.sampled_from(range(4)),
    severity=levels,
    examples=20,
)
def test_spatter_is_the_originals_chain(seed: int, severity: int) -> None:
    constants: dict[str, Any] = {key: float(value) for key, value in facts("spatter", severity).items()}
    constants["mud"] = int(constants["mud"])
    noise = constants["location"] + constants["scale"] * draws(seed, 2).normal(1, 24, 24)
    # The blur has a law of its own; what follows it here is independent.
    liquid = filters.blurred(noise, constants["smoothing"])[:, 0].double().numpy()
    liquid[liquid < constants["threshold"]] = 0
    picture = torch.full((2, 3, 24, 24), 0.1)
    found = spatter._spatter(picture, draws(seed, 2), **constants).double().numpy()
    for drops, ours in zip(liquid, found, strict=True):
        if constants["mud"]:
            mask = (drops > constants["threshold"]).astype(float)
            opaque = ndimage.gaussian_filter(mask, constants["strength"], mode="nearest")
            opaque[opaque < 0.8] = 0
            exact = 0.1 * (1 - opaque) + opaque * np.array([63, 42, 20])[:, None, None] / 255
        else:
            water = water_by_hand(np.floor(255 * drops + 1e-4) % 256)
            exact = 0.1 + constants["strength"] * water * np.array([175, 238, 238])[:, None, None] / 255
        assert np.abs(ours - exact).max() < 1e-4  # float32, through sums of nine levels up to 255
