"""Images in memory: the split, normalization, and augmentation as one gather."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import strategies as st

from sharpdiv.empirical.data import splits as data
from sharpdiv.empirical.data.loading import load_images
from sharpdiv.empirical.data.raw_images import RawImages
from sharpdiv.empirical.data.splits import ImageData, TrainingImages, load_data, stratified_order
from sharpdiv.empirical.errors import InputError
from tests.laws import Mutation, law

CPU = torch.device("cpu")


def images(seed: int, samples: int = 6, channels: int = 3, height: int = 8, width: int = 10) -> ImageData:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randint(256, (samples, channels, height, width), generator=generator, dtype=torch.uint8)
    labels = torch.arange(samples) % 2
    mean, std = torch.rand(channels, generator=generator), torch.rand(channels, generator=generator) + 0.5
    return ImageData("random", x, labels, x[:0], labels[:0], x[:2], labels[:2], 2, mean, std)


def zeroed(offset: int) -> Callable[[Any], Any]:
    return lambda f: lambda self, generator: f(self, generator).index_fill(1, torch.tensor([offset]), 0)


@law(
    Mutation("never shifted down", "sharpdiv.empirical.data.splits.TrainingImages.draw", zeroed(0)),
    Mutation("never flipped", "sharpdiv.empirical.data.splits.TrainingImages.draw", zeroed(2)),
    Mutation("padding of three", "sharpdiv.empirical.data.splits._PADDING", lambda _: 3),
    examples=20,
    seed=st.integers(0, 2**32 - 1),
)
def test_augmentation_is_pad_crop_and_flip(seed: int) -> None:
    """Against the definition, one image at a time, on the normalized floats."""
    source = images(seed)
    draws = TrainingImages(source, CPU, augment="crop-flip").draw(torch.Generator().manual_seed(seed))
    ours = TrainingImages(source, CPU, augment="crop-flip")
    index = torch.tensor([4, 0, 3])
    batch = ours.batch(index, ours.draw(torch.Generator().manual_seed(seed)))
    again = torch.Generator().manual_seed(seed)
    offsets, flips = torch.randint(9, (6, 2), generator=again), torch.randint(2, (6, 1), generator=again)
    for row, sample in enumerate(index.tolist()):
        down, right = offsets[sample].tolist()
        padded = torch.nn.functional.pad(source.train_images[sample], (4, 4, 4, 4))
        crop = padded[:, down : down + 8, right : right + 10]
        crop = crop.flip(2) if int(flips[sample]) else crop
        assert torch.equal(batch[row], source.normalize(crop[None])[0])
    assert batch.is_contiguous(memory_format=torch.channels_last)
    assert draws is not None


def test_without_augmentation_a_batch_is_the_normalized_images() -> None:
    source = images(1)
    ours = TrainingImages(source, CPU, augment="none")
    assert ours.draw(torch.Generator()) is None
    index = torch.tensor([5, 1])
    assert torch.equal(ours.batch(index, None), source.normalize(source.train_images[index]))
    assert torch.equal(ours.labels, source.train_labels)


def test_offsets_and_flips_are_uniform() -> None:
    """Each of 9 offsets and both flips as often as the others: within 4.5 standard errors of a binomial count."""
    source = images(0, samples=9000, height=2, width=2)
    draws = TrainingImages(source, CPU, augment="crop-flip").draw(torch.Generator().manual_seed(0))
    assert draws is not None
    for column, values in ((0, 9), (1, 9), (2, 2)):
        counts = torch.bincount(draws[:, column], minlength=values)
        assert len(counts) == values
        deviation = 4.5 * (9000 * (1 / values) * (1 - 1 / values)) ** 0.5
        assert float((counts - 9000 / values).abs().max()) < deviation


@law(
    Mutation(
        "held out images are trained on",
        "torch.Tensor.tensor_split",
        lambda f: lambda t, at: (t[: at[0]], t[: at[1]], t[at[1] :]),
    ),
    examples=10,
    held=st.integers(0, 900),
    train=st.integers(1, 800),
    seed=st.integers(0, 100),
)
def test_the_split_is_a_partition(held: int, train: int, seed: int) -> None:
    split = load_data("digits", train, held, seed)
    parts = [split.train_images, split.validation_images, split.test_images]
    assert [len(part) for part in parts] == [train, held, 1797 - train - held]
    together = torch.cat(parts).flatten(1).long()
    whole = load_images("digits").train_images.flatten(1).long()
    # Sorting by a random projection, exact in integers, compares the two as sets.
    direction = torch.randint(2**40, (whole.shape[1],), generator=torch.Generator().manual_seed(0))
    assert torch.equal((together @ direction).sort().values, (whole @ direction).sort().values)


@pytest.mark.parametrize(("train", "held"), [(1797, 0), (0, 0), (1000, 900), (5, -1)])
def test_a_split_that_does_not_exist_is_refused(train: int | None, held: int) -> None:
    with pytest.raises(InputError, match="train samples must lie between"):
        load_data("digits", train, held)


def test_digits_have_a_test_set_only_where_not_all_are_trained_on() -> None:
    with pytest.raises(InputError, match="digits has no test set of its own: say how many training images"):
        load_data("digits", None, 1700)


def test_an_unknown_data_set_is_refused() -> None:
    with pytest.raises(InputError, match="mnist"):
        load_data("mnist", 10)


@law(
    Mutation(
        "as the files are sorted",
        "sharpdiv.empirical.data.splits.stratified_order",
        lambda _: lambda y: torch.arange(len(y)),
    ),
    Mutation(
        "at random",
        "sharpdiv.empirical.data.splits.stratified_order",
        lambda _: lambda y: torch.randperm(len(y), generator=generator()),
    ),
    examples=30,
    counts=st.lists(st.integers(0, 60), min_size=2, max_size=8).filter(lambda counts: sum(counts) > 40),
)
def test_every_prefix_is_a_stratified_sample(counts: list[int]) -> None:
    """Systematic sampling: a class's count in the first N is off its share by at most (1 + share * classes) / 2."""
    labels = torch.repeat_interleave(torch.tensor(counts))
    order = data.stratified_order(labels)
    assert order.sort().values.tolist() == list(range(len(labels)))
    found = torch.nn.functional.one_hot(labels[order], len(counts)).cumsum(0).double()
    share = torch.tensor(counts).double() / len(labels)
    expected = torch.arange(1, len(labels) + 1).double()[:, None] * share
    assert bool(((found - expected).abs() <= (1 + share * (share > 0).sum()) / 2 + 1e-9).all())


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def test_the_order_is_fixed_and_mixes_samples_of_a_class() -> None:
    labels = torch.arange(3).repeat_interleave(50)
    order = stratified_order(labels)
    assert torch.equal(order, stratified_order(labels))
    first = order[labels[order] == 0]
    assert not torch.equal(first, first.sort().values)


@pytest.mark.parametrize("prefix", [10, 200, 300, 400, 1000])
def test_prefixes_of_the_digits_that_are_used_have_every_class(prefix: int) -> None:
    """Corrupted, lazy and CKA images are the first of the test set: within 2 of their shares of nearly equal classes."""
    labels = load_data("digits", 200).test_labels
    share = torch.bincount(labels) / len(labels)
    assert float((torch.bincount(labels[:prefix], minlength=10) - prefix * share).abs().max()) < 2


def test_a_set_that_is_sorted_by_class_is_not_read_class_by_class(monkeypatch: pytest.MonkeyPatch) -> None:
    """Once the first 500 images of such a set, all of one class, passed for a sample of it."""
    labels = torch.arange(10).repeat_interleave(30)
    x = (labels[:, None, None, None] * 20).to(torch.uint8).expand(-1, 3, 8, 8)
    raw = RawImages(x, labels, x, labels, 10, "none")
    monkeypatch.setattr(data, "load_images", lambda _: raw)
    split = load_data("cifar10-jpeg", 100, 50)
    for images, found in (
        (split.test_images, split.test_labels),
        (split.train_images, split.train_labels),
        (split.validation_images, split.validation_labels),
    ):
        assert torch.bincount(found[:20], minlength=10).tolist() != [20, *[0] * 9]
        assert len(found[:20].unique()) >= 8
        assert torch.equal(images[:, 0, 0, 0].long(), found * 20)
    assert torch.bincount(split.test_labels[:50]).tolist() == [5] * 10
