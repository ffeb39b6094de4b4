"""Digital corruptions against SciPy, Pillow and colorsys."""

import colorsys
import io
import itertools

import numpy as np
import torch
from hypothesis import strategies as st
from PIL import Image
from scipy import ndimage

from sharpdiv.empirical.data.corrupting import digital
from sharpdiv.empirical.data.corruptions import SEVERITIES, corrupt
from tests.empirical.data.corrupting.pictures import (
    assert_truncated,
    constant,
    draws,
    facts,
    levels,
    noise_images,
    seeds,
    sides,
    smooth_images,
    units,
)
from tests.laws import Mutation, law

ROOM = "sharpdiv.empirical.data.corrupting"


@law(
    Mutation("about black", "torch.Tensor.mean", lambda f: lambda t, **k: 0 * f(t, **k)),
    Mutation("one mean for all channels", "torch.Tensor.mean", lambda f: lambda t, **_: f(t)),
    seed=seeds,
    severity=levels,
)
def test_contrast_scales_about_the_mean(seed: int, severity: int) -> None:
    images = noise_images(seed)
    images[:, 0] //= 2
    mean = units(images).mean(axis=(2, 3), keepdims=True)
    exact = mean + constant("contrast", "factor", severity) * (units(images) - mean)
    assert_truncated(corrupt(images, "contrast", severity), exact)


@law(
    Mutation("a pixel off", "torch.linalg.solve", lambda f: lambda a, b: f(a, b) + 0.1),
    Mutation("shrunk", "torch.nn.functional.grid_sample", lambda f: lambda i, g, **k: f(i, 0.99 * g, **k)),
    seed=seeds,
    height=sides,
    width=sides,
)
def test_elastic_transform_by_nothing_is_the_identity(seed: int, height: int, width: int) -> None:
    images = noise_images(seed, height=height, width=width).float() / 255
    for displacement in (0.0, 1e-9):
        found = digital._elastic_transform(images, draws(seed, 2), displacement, 0.1, 0.0)
        # Grid coordinates in [-1, 1] are rounded by half of 6e-8, pixels by up to 12 times that, differences are up to 1.
        assert float((found - images).abs().max()) < 1e-5


@law(
    Mutation(
        "the way there",
        "torch.linalg.solve",
        lambda f: lambda a, b: f(torch.cat([b, a[..., 2:]], dim=-1), a[..., :2]),
    ),
    Mutation(
        "black beyond the edges",
        "torch.nn.functional.grid_sample",
        lambda f: lambda i, g, **_: f(i, g, "bilinear", "zeros", True),
    ),
    seed=seeds,
    height=sides,
    width=sides,
)
def test_affine_maps_three_points(seed: int, height: int, width: int) -> None:
    images = noise_images(seed, height=height, width=width)
    side = min(height, width)
    shifts = 0.08 * side * np.random.default_rng(seed).uniform(-1, 1, (2, 3, 2))
    moved = digital._affine(images.double() / 255, torch.from_numpy(shifts)).numpy()
    centre, third = np.array([width // 2, height // 2]), side // 3
    points = centre + third * np.array([[1, 1], [1, -1], [-1, -1]])
    y, x = np.mgrid[:height, :width]
    for image, shift, found in zip(units(images), shifts, moved, strict=True):
        # Forwards, from the points to the moved ones, then inverted: ours solves for the way back at once.
        forwards = np.linalg.lstsq(np.c_[points, np.ones(3)], points + shift)[0]
        source = (np.stack([x, y], axis=-1) - forwards[2]) @ np.linalg.inv(forwards[:2])
        exact = [ndimage.map_coordinates(c, [source[..., 1], source[..., 0]], order=1, mode="mirror") for c in image]
        assert np.abs(found - exact).max() < 1e-9


@law(
    Mutation(
        "edges replicated",
        f"{ROOM}.filters._blur_matrix",
        lambda f: lambda n, s, t, _: f(n, s, t, "nearest"),
    ),
    Mutation(
        "cut off at 4 sigma",
        f"{ROOM}.filters._blur_matrix",
        lambda f: lambda n, s, _, e: f(n, s, 4.0, e),
    ),
    Mutation("x for y", "torch.stack", lambda f: lambda t, dim: f(t[::-1], dim=dim)),
    seed=seeds,
    side=sides,
    severity=st.sampled_from(SEVERITIES[1:]),
)
def test_elastic_displacement_is_scipys(seed: int, side: int, severity: int) -> None:
    images = noise_images(seed, height=side, width=side + 3)
    displacement, smoothing = (
        side * constant("elastic_transform", key, severity) for key in ("displacement", "smoothing")
    )
    random = draws(seed, 2)
    random.uniform(3, 2)  # what the affine map takes first
    field = 2 * random.uniform(2, side, side + 3).double().numpy() - 1
    dx, dy = (
        displacement * ndimage.gaussian_filter(field[:, axis], (0, smoothing, smoothing), mode="reflect", truncate=3)
        for axis in (0, 1)
    )
    y, x = np.mgrid[:side, : side + 3]
    exact = [
        [ndimage.map_coordinates(c, [y + dy[n], x + dx[n]], order=1, mode="reflect") for c in image]
        for n, image in enumerate(units(images))
    ]
    found = digital._elastic_transform(images.float() / 255, draws(seed, 2), displacement / side, smoothing / side, 0.0)
    assert np.abs(found.numpy() - exact).max() < 1e-4  # coordinates up to 27 in float32, differences up to 1


@law(
    Mutation("truncated", "torch.Tensor.floor", lambda f: lambda t: f(t - 0.5)),
    Mutation(
        "areas",
        f"{ROOM}.digital._resize_box",
        lambda _: lambda i, h, w: torch.nn.functional.adaptive_avg_pool2d(i, (h, w)),
    ),
    seed=seeds,
    height=st.integers(8, 63),
    width=st.integers(8, 63),
    channels=st.sampled_from([1, 3]),
    severity=levels,
)
def test_pixelate_is_pillows_box_filter(seed: int, height: int, width: int, channels: int, severity: int) -> None:
    images = noise_images(seed, 1, channels, height, width)
    scale = constant("pixelate", "scale", severity)
    for found, plane in zip(corrupt(images, "pixelate", severity)[0], images[0], strict=True):
        small = Image.fromarray(plane.numpy())
        # One axis at a time: newer versions of Pillow begin with columns in some images that are not square.
        for size in ((int(width * scale), height), (int(width * scale), int(height * scale)), (width, height)):
            small = small.resize(size, Image.Resampling.BOX)
        assert np.array_equal(found.numpy(), np.asarray(small))


@law(
    Mutation("blue first", "torch.Tensor.permute", lambda f: lambda t, *axes: f(t.flip(axes[-1] or 1), *axes)),
    Mutation(
        "another quality",
        f"{ROOM}.digital._jpeg_compression",
        lambda f: lambda i, d, quality: f(i, d, quality + 5),
    ),
    severity=levels,
    examples=5,
)
def test_jpeg_is_pillows(severity: int) -> None:
    images = smooth_images(3, 3, 32)
    # Called by name, so that a wrong one can take its place.
    found = 255 * digital._jpeg_compression(images / 255, draws(0, 3), **facts("jpeg_compression", severity))
    for image, coded in zip(images, found, strict=True):
        file = io.BytesIO()
        Image.fromarray(image.permute(1, 2, 0).numpy()).save(
            file, "JPEG", quality=facts("jpeg_compression", severity)["quality"]
        )
        assert np.array_equal(np.asarray(Image.open(file)), coded.permute(1, 2, 0).round().numpy())


@law(
    Mutation(
        "shift forgotten",
        f"{ROOM}.digital._saturate",
        lambda f: lambda i, d, factor, shift: f(i, d, factor, 0 * shift),
    ),
    Mutation("grey stays grey", "torch.where", lambda f: lambda c, a, b: f(c, a, 0 * b)),
    seed=seeds,
    severity=levels,
)
def test_saturate_scales_the_saturation_of_hsv(seed: int, severity: int) -> None:
    images = noise_images(seed, height=8, width=8)
    images[0, :, 0] = images[0, :1, 0]  # grey: colorsys, too, gives it the hue of red
    images[0, :, 1] = 0
    factor, shift = (float(constant("saturate", key, severity)) for key in ("factor", "shift"))
    exact = np.empty(images.shape)
    for n, y, x in itertools.product(range(2), range(8), range(8)):
        hue, saturation, value = colorsys.rgb_to_hsv(*units(images)[n, :, y, x])
        exact[n, :, y, x] = colorsys.hsv_to_rgb(hue, min(saturation * factor + shift, 1), value)
    found = digital._saturate(images.float() / 255, draws(0, 2), factor=factor, shift=shift)
    assert np.abs(found.numpy() - exact).max() < 1e-6
    assert_truncated(corrupt(images, "saturate", severity), found.double().numpy())
