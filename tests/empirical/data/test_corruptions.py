"""What all corruptions have in common: published constants, whole levels, random numbers of each image, order of severities."""

import itertools
from typing import Any

import pytest
import torch
from torch import Tensor

from sharpdiv.empirical.data import corruptions
from sharpdiv.empirical.data.corruptions import CORRUPTIONS, EXTRA_CORRUPTIONS, SEVERITIES, corrupt
from sharpdiv.empirical.errors import InputError
from tests.empirical.data.corrupting.pictures import FACTS, facts, frost_images, noise_images, smooth_images

ALL = (*CORRUPTIONS, *EXTRA_CORRUPTIONS)


@pytest.mark.parametrize("tiny", [False, True])
def test_constants_are_the_published_ones(tiny: bool) -> None:
    assert set(corruptions._TABLE) == set(FACTS) == {*ALL, "frost"}
    for name, entry in corruptions._TABLE.items():
        for severity in SEVERITIES:
            table = entry.tiny if tiny else entry.cifar
            assert {key: values[severity - 1] for key, values in table.items()} == facts(name, severity, tiny)
            assert {len(values) for values in table.values()} == {5}


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize(
    ("channels", "height", "width"), [(1, 16, 16), (1, 28, 28), (3, 8, 11), (3, 32, 32), (3, 64, 70)]
)
def test_images_stay_images(name: str, channels: int, height: int, width: int) -> None:
    images = noise_images(0, 3, channels, height, width)
    before = images.clone()
    corrupted = corrupt(images, name, 5, seed=3)
    assert (corrupted.shape, corrupted.dtype) == (images.shape, torch.uint8)
    assert torch.equal(images, before)
    assert torch.equal(corrupted, images) == (name == "saturate" and channels == 1)
    assert torch.equal(corrupt(images, name, 5, seed=3), corrupted)
    laid_out_otherwise = images.to(memory_format=torch.channels_last)
    assert torch.equal(corrupt(laid_out_otherwise, name, 5, seed=3), corrupted)


@pytest.mark.parametrize("name", [*ALL, "frost"])
def test_an_image_does_not_depend_on_its_company(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    images = smooth_images(7, 3, 16)
    photographs = frost_images() if name == "frost" else None
    whole = corrupt(images, name, 4, seed=5, frost_images=photographs)
    monkeypatch.setattr(corruptions, "_CHUNK", 2)
    assert torch.equal(corrupt(images, name, 4, seed=5, frost_images=photographs), whole)
    random = name not in {
        *(
            "defocus_blur",
            "gaussian_blur",
            "zoom_blur",
            "brightness",
            "contrast",
            "pixelate",
            "jpeg_compression",
            "saturate",
        )
    }
    same = images[:1].expand(2, -1, -1, -1)
    first, second = corrupt(same, name, 4, seed=5, frost_images=photographs)
    other = corrupt(same, name, 4, seed=6, frost_images=photographs)[0]
    assert torch.equal(first, second) != random
    assert torch.equal(first, other) != random


@pytest.mark.parametrize("severity", SEVERITIES)
@pytest.mark.parametrize(
    "name",
    [
        *("defocus_blur", "glass_blur", "motion_blur", "zoom_blur", "gaussian_blur", "snow", "fog"),
        *("brightness", "contrast", "elastic_transform", "pixelate", "spatter"),
    ],
)
def test_grey_images_are_colour_images_of_equal_channels(name: str, severity: int) -> None:
    # Water on bright pixels would be clipped channel by channel.
    grey = smooth_images(4, 1, 20) // (4 if name == "spatter" else 1)
    colour = corrupt(grey.expand(-1, 3, -1, -1), name, severity)
    alone = corrupt(grey, name, severity)
    if name == "spatter":  # what is added to a grey image is the luma of what is added to colours
        luma = torch.tensor([0.299, 0.587, 0.114])[:, None, None]
        assert float((alone - (colour * luma).sum(dim=1, keepdim=True)).abs().max()) < 1 + 1e-3
    else:
        # The luma's weights sum to 1 up to rounding, which may decide a truncation of snow.
        assert int((colour.int() - alone.int()).abs().max()) <= (name == "snow")


NOT_MONOTONE = {
    "glass_blur": "shuffles once up to severity 3, then twice; a wider blur takes some of the shuffling back",
    "elastic_transform": "the affine map weakens as the displacement grows",
    "spatter": "water, then mud",
    "saturate": "less colour, then more",
}


@pytest.mark.parametrize("name", [name for name in ALL if name not in NOT_MONOTONE])
@pytest.mark.parametrize("side", [32, 64])
def test_severity_is_monotone(name: str, side: int) -> None:
    images = smooth_images(24, 3, side)
    change = [float((corrupt(images, name, level).float() - images).square().mean()) for level in SEVERITIES]
    assert change[0] > 0
    # Motion blur of radius 8 and sigma 2 differs from that of radius 6 by weights below 1e-8: no order.
    assert all(after > 0.999 * before for before, after in itertools.pairwise(change))


def test_severities_of_the_others_are_ordered_where_they_can_be() -> None:
    def change(name: str, severity: int) -> float:
        return float((corrupt(images, name, severity).float() - images).square().mean())

    images = smooth_images(24, 3, 32)
    assert max(change("glass_blur", s) for s in (1, 2, 3)) < min(change("glass_blur", s) for s in (4, 5))
    assert change("spatter", 1) < change("spatter", 2) < change("spatter", 3)
    assert change("spatter", 4) < change("spatter", 5)
    assert change("saturate", 1) < change("saturate", 2)
    assert change("saturate", 3) < change("saturate", 4) < change("saturate", 5)


def test_names_are_the_papers() -> None:
    assert len(CORRUPTIONS) == 14
    assert len(EXTRA_CORRUPTIONS) == 4
    assert not {"frost", *EXTRA_CORRUPTIONS} & set(CORRUPTIONS)
    assert [name.rsplit("_", 1)[-1] for name in CORRUPTIONS[:7]] == ["noise"] * 3 + ["blur"] * 4


GOOD = noise_images(0)


@pytest.mark.parametrize(
    ("images", "options", "message"),
    [
        (GOOD, {"name": "rain"}, r"gaussian_noise, .*, frost; got 'rain'"),
        (GOOD, {"severity": 0}, "1 to 5, got 0"),
        (GOOD, {"severity": 6}, "1 to 5, got 6"),
        (GOOD, {"seed": -1}, "not be negative, got -1"),
        (GOOD.float() / 255, {}, "uint8, got torch.float32"),
        (GOOD[0], {}, r"got \(3, 16, 16\)"),
        (GOOD[:0], {}, r"got \(0, 3, 16, 16\)"),
        (GOOD[:, :2], {}, r"got \(2, 2, 16, 16\)"),
        (GOOD[:, :, :7], {}, r"8x8 pixels; got \(2, 3, 7, 16\)"),
        (GOOD, {"name": "frost"}, "give them as frost_images"),
        (GOOD, {"name": "frost", "frost_images": []}, "give them as frost_images"),
        (GOOD, {"name": "frost", "frost_images": [frost_images()[0].float()]}, "uint8 of shape"),
        (GOOD, {"name": "frost", "frost_images": [frost_images()[0][0]]}, "uint8 of shape"),
        (GOOD, {"name": "frost", "frost_images": [frost_images()[0][:, :80]]}, r"\(80, 240\) pixels, shrunk by 0.2"),
    ],
)
def test_what_cannot_be_corrupted_is_refused(images: Tensor, options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        corrupt(images, **{"name": "contrast", "severity": 1, **options})


def test_arrays_are_taken_for_images() -> None:
    images = torch.arange(2 * 3 * 64, dtype=torch.uint8).reshape(2, 3, 8, 8)
    assert torch.equal(corrupt(images.numpy(), "fog", 2, seed=1), corrupt(images, "fog", 2, seed=1))
