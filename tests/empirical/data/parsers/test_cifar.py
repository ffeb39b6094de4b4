"""CIFAR's records come back exactly, and whatever is malformed is an InputError that names the file."""

import gzip
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import strategies as st

from sharpdiv.empirical.data.parsers import cifar
from sharpdiv.empirical.data.parsers.contract import Extent
from sharpdiv.empirical.errors import InputError
from tests.empirical.data.parsers.builders import FILE, outcome, pixels, records, silent, tar
from tests.laws import Mutation, law

UNCHECKED = Mutation("nothing checked", "sharpdiv.empirical.data.parsers.cifar.expect", lambda _: lambda *_: None)
CIFAR = Extent(train=50, test=10, channels=3, size=32, classes=10)
BATCHES = [*(f"cifar-10-batches-bin/data_batch_{i}.bin" for i in range(1, 6)), "cifar-10-batches-bin/test_batch.bin"]
CIFAR_IMAGES = pixels(0, 60, 3, 32, 32)
CIFAR_LABELS = np.array([(7 * i) % 10 for i in range(60)])
CIFAR_MEMBERS = {
    name: records(CIFAR_IMAGES[10 * i : 10 * i + 10], CIFAR_LABELS[10 * i : 10 * i + 10].tolist())
    for i, name in enumerate(BATCHES)
}
SOME_CIFAR = records(pixels(5, 2, 3, 32, 32), [4, 9], 19)


def read_cifar(content: bytes) -> Any:
    return cifar.cifar10({FILE: content}, CIFAR, silent)


def transposed(parse: Callable[..., Any]) -> Callable[..., Any]:
    return lambda *a: (lambda images, labels: (images.transpose(0, 1, 3, 2), labels))(*parse(*a))


def other_label(parse: Callable[..., Any]) -> Callable[..., Any]:
    def wrong(content: bytes, coarse: bool, *a: Any) -> Any:
        images, _ = parse(content, coarse, *a)
        return images, np.array([record[0] for record in np.array_split(np.frombuffer(content, "u1"), len(images))])

    return wrong


@law(
    Mutation("columns before rows", "sharpdiv.empirical.data.parsers.cifar.parse_cifar", transposed),
    Mutation("the superclass for the class", "sharpdiv.empirical.data.parsers.cifar.parse_cifar", other_label),
    Mutation(
        "two label bytes for one",
        "sharpdiv.empirical.data.parsers.cifar.parse_cifar",
        lambda f: lambda b, coarse, *a: f(b, True, *a),
    ),
    examples=25,
    seed=st.integers(0, 999),
    labels=st.lists(st.integers(0, 9), min_size=1, max_size=3),
    superclass=st.none() | st.integers(10, 19),
)
def test_cifar_records_come_back(seed: int, labels: list[int], superclass: int | None) -> None:
    images = pixels(seed, len(labels), 3, 32, 32)
    content = records(images, labels, superclass)
    parsed = outcome(lambda: cifar.parse_cifar(content, superclass is not None, FILE))
    assert parsed is not None
    assert np.array_equal(parsed[0], images)
    assert parsed[1].tolist() == labels


def test_cifar_by_hand() -> None:
    red = [10, *[0] * 31, 11, *[0] * 991]  # the second row starts at value 32
    record = bytes([3, *red, 20, *[0] * 1023, *[0] * 1023, 30])
    images, labels = cifar.parse_cifar(record, coarse=False)
    assert labels.tolist() == [3]
    assert images[0, 0, 0, 0] == 10
    assert images[0, 0, 1, 0] == 11
    assert images[0, 1, 0, 0] == 20
    assert images[0, 2, 31, 31] == 30
    assert images.sum() == 71


def test_cifar10_archives_come_back_whatever_the_order_in_them() -> None:
    members = {"cifar-10-batches-bin/readme.html": b"<p>", **dict(reversed(CIFAR_MEMBERS.items()))}
    (train, train_labels), (test, test_labels) = read_cifar(gzip.compress(tar(members)))
    assert np.array_equal(train, CIFAR_IMAGES[:50])
    assert np.array_equal(test, CIFAR_IMAGES[50:])
    assert train_labels.tolist() == CIFAR_LABELS[:50].tolist()
    assert test_labels.tolist() == CIFAR_LABELS[50:].tolist()


def test_cifar100_archives_come_back_with_fine_labels() -> None:
    images, labels = pixels(2, 200, 3, 32, 32), [*range(100), *reversed(range(100))]
    parts = {"train": records(images[:100], labels[:100], 7), "test": records(images[100:], labels[100:], 7)}
    content = gzip.compress(tar({f"cifar-100-binary/{part}.bin": batch for part, batch in parts.items()}), 1)
    extent = Extent(train=100, test=100, channels=3, size=32, classes=100)
    train, test = cifar.cifar100({FILE: content}, extent, silent)
    assert np.array_equal(np.concatenate([train[0], test[0]]), images)
    assert [*train[1].tolist(), *test[1].tolist()] == labels


@law(
    UNCHECKED,
    examples=250,
    content=st.binary(max_size=80)
    | st.integers(0, len(SOME_CIFAR) - 1).filter(lambda n: n != len(SOME_CIFAR) // 2).map(lambda n: SOME_CIFAR[:n])
    | st.binary(min_size=1, max_size=5).map(lambda more: SOME_CIFAR + more)
    | st.builds(lambda label: bytes([19, label]) + SOME_CIFAR[2:], st.integers(100, 255))
    | st.builds(lambda label: bytes([label]) + SOME_CIFAR[1:], st.integers(20, 255)),
)
def test_malformed_cifar_is_refused(content: bytes) -> None:
    assert outcome(lambda: cifar.parse_cifar(content, True, FILE)) is None


def test_archives_with_other_images_are_refused() -> None:
    for name, content, message in (
        (
            BATCHES[2],
            CIFAR_MEMBERS[BATCHES[2]][:-3073],
            r"training images \(49, 3, 32, 32\), expected \(50, 3, 32, 32\)",
        ),
        (BATCHES[5], CIFAR_MEMBERS[BATCHES[5]][:3073] * 10, r"test labels \[0\], expected every class from 0 to 9"),
        (BATCHES[1], CIFAR_MEMBERS[BATCHES[1]][:-1], r"data_batch_2.bin.*got 30729 bytes"),
        (
            BATCHES[1],
            bytes([10]) + CIFAR_MEMBERS[BATCHES[1]][1:],
            r"data_batch_2.bin.*got label 10, expected less than 10",
        ),
    ):
        with pytest.raises(InputError, match=f"{FILE}.*{message}"):
            read_cifar(gzip.compress(tar(CIFAR_MEMBERS | {name: content}), 1))
