"""CIFAR's binary version: records of labels and planes of pixels, in a gzipped tar archive."""

import numpy as np

from sharpdiv.empirical.data.parsers.archives import gunzip, tar_members
from sharpdiv.empirical.data.parsers.contract import Extent, Labelled, Progress, checked, expect

__all__ = ["cifar10", "cifar100", "parse_cifar"]

_PIXELS = 3 * 32 * 32  # of a record
_COARSE_CLASSES = 20  # of CIFAR-100


def parse_cifar(content: bytes, coarse: bool, file: str = "the CIFAR file") -> Labelled:
    """Images and labels in a file of CIFAR's binary version: records of the labels and the red, green and blue planes.

    Args:
        content: bytes of the file.
        coarse: whether a record starts with a superclass, as in CIFAR-100; it is checked and left out.
        file: name of the file, for the error.

    Returns:
        Images ``(samples, 3, 32, 32)`` and labels ``(samples,)``, the fine ones for CIFAR-100.

    Raises:
        InputError: if there is no whole number of records, or a label is out of range.

    References:
        Krizhevsky, The CIFAR-10 and CIFAR-100 datasets, section "Binary version".

    Examples:
        >>> from sharpdiv.empirical.data.parsers.cifar import parse_cifar
        >>> images, labels = parse_cifar(bytes([7]) + bytes(1024 * [255] + 2048 * [0]), coarse=False)  # a label and three planes
        >>> labels, images[0, :, 0, 0]
        (array([7]), array([255,   0,   0], dtype=uint8))
    """
    classes, label_bytes = (100, 2) if coarse else (10, 1)
    record = label_bytes + _PIXELS
    whole = len(content) > 0 and len(content) % record == 0
    expect(whole, file, f"{len(content)} bytes", f"whole records of {record}")
    records = np.frombuffer(content, np.uint8).reshape(-1, record)
    labels = records[:, label_bytes - 1].astype(np.int64)
    expect(labels.max() < classes, file, f"label {labels.max()}", f"less than {classes}")
    if coarse:
        superclass = records[:, 0].max()
        expect(superclass < _COARSE_CLASSES, file, f"superclass {superclass}", f"less than {_COARSE_CLASSES}")
    return records[:, label_bytes:].reshape(-1, 3, 32, 32).copy(), labels


def cifar10(contents: dict[str, bytes], extent: Extent, progress: Progress) -> tuple[Labelled, Labelled]:
    """Training and test images in CIFAR-10's binary archive, the training batches in their order.

    Args:
        contents: content of ``cifar-10-binary.tar.gz``, by its name.
        extent: numbers and size of the images that it must hold.
        progress: listener, told after every batch.

    Returns:
        Training and test images with their labels.

    Raises:
        InputError: if the archive is damaged, or holds something else.

    Examples:
        >>> import gzip
        >>> import io
        >>> import tarfile
        >>> from sharpdiv.empirical.data.parsers.cifar import cifar10
        >>> from sharpdiv.empirical.data.parsers.contract import Extent
        >>> packed = io.BytesIO()
        >>> with tarfile.open(fileobj=packed, mode="w") as archive:  # a black image of class 0 in each file
        ...     for name in (*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"):
        ...         member = tarfile.TarInfo(f"cifar-10-batches-bin/{name}.bin")
        ...         member.size = 1 + 3072
        ...         archive.addfile(member, io.BytesIO(bytes(member.size)))
        >>> contents, extent = {"mine.tar.gz": gzip.compress(packed.getvalue())}, Extent(5, 1, channels=3, size=32, classes=1)
        >>> train, test = cifar10(contents, extent, lambda *_: None)
        >>> train[0].shape, test[0].shape
        ((5, 3, 32, 32), (1, 3, 32, 32))
    """
    batches = (*(f"data_batch_{i}" for i in range(1, 6)), "test_batch")
    members = tuple(f"cifar-10-batches-bin/{batch}.bin" for batch in batches)
    return _cifar(contents, members, False, extent, progress)


def cifar100(contents: dict[str, bytes], extent: Extent, progress: Progress) -> tuple[Labelled, Labelled]:
    """Training and test images in CIFAR-100's binary archive, with the fine labels.

    Args:
        contents: content of ``cifar-100-binary.tar.gz``, by its name.
        extent: numbers and size of the images that it must hold.
        progress: listener, told after every file in it.

    Returns:
        Training and test images with their labels.

    Raises:
        InputError: if the archive is damaged, or holds something else.

    Examples:
        >>> import gzip
        >>> import io
        >>> import tarfile
        >>> from sharpdiv.empirical.data.parsers.cifar import cifar100
        >>> from sharpdiv.empirical.data.parsers.contract import Extent
        >>> packed = io.BytesIO()
        >>> with tarfile.open(fileobj=packed, mode="w") as archive:  # a black image of class 0 in each file
        ...     for name in ("train", "test"):
        ...         member = tarfile.TarInfo(f"cifar-100-binary/{name}.bin")
        ...         member.size = 2 + 3072
        ...         archive.addfile(member, io.BytesIO(bytes(member.size)))
        >>> contents, extent = {"mine.tar.gz": gzip.compress(packed.getvalue())}, Extent(1, 1, channels=3, size=32, classes=1)
        >>> train, test = cifar100(contents, extent, lambda *_: None)
        >>> train[0].shape, test[0].shape
        ((1, 3, 32, 32), (1, 3, 32, 32))
    """
    return _cifar(contents, ("cifar-100-binary/train.bin", "cifar-100-binary/test.bin"), True, extent, progress)


def _cifar(
    contents: dict[str, bytes], members: tuple[str, ...], coarse: bool, extent: Extent, progress: Progress
) -> tuple[Labelled, Labelled]:
    """The last member is the test set."""
    ((file, content),) = contents.items()
    batches: list[Labelled] = []
    for name, batch in zip(members, tar_members(gunzip(content, file), members, file), strict=True):
        batches.append(parse_cifar(batch, coarse, f"{file}: {name}"))
        progress("decoding", len(batches), len(members))
    images, labels = (np.concatenate(arrays) for arrays in zip(*batches[:-1], strict=True))
    return checked((images, labels), batches[-1], extent, file)
