"""Image data sets on disk: what each is and where it comes from, its verified raw files, and a decoded copy that loads fast.

A data set has a folder of its own in ``data_folder()``: the raw files as published, never accepted without their checksum, and
``decoded.safetensors``, made from them on the first load.
"""

import hashlib
import os
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

import pooch  # type: ignore[import-untyped]  # it has no annotations
import torch
from filelock import FileLock
from jaxtyping import Int64, UInt8
from PIL import features
from torch import Tensor

from empirical import parsers
from empirical.errors import InputError, StoreError
from empirical.parsers import Extent, Labelled, Progress
from empirical.store import digest, load_tensors, save_tensors, write_atomically

__all__ = [
    "DATASETS",
    "Check",
    "Dataset",
    "Installed",
    "RawFile",
    "RawImages",
    "data_folder",
    "fetch",
    "installed",
    "load_images",
    "verify",
]

_DECODED = "decoded.safetensors"
_DECODER = 1  # raise it when parsers.py gives other arrays for the same files


@dataclass(frozen=True)
class RawImages:
    """Images as published, on the CPU."""

    train_images: UInt8[Tensor, "train channels height width"]
    """training images"""
    train_labels: Int64[Tensor, " train"]
    """training labels"""
    test_images: UInt8[Tensor, "test channels height width"]
    """test images"""
    test_labels: Int64[Tensor, " test"]
    """test labels"""
    classes: int
    """labels are 0 to classes - 1"""
    source_sha256: str
    """of the raw file; of the JSON object from name to SHA-256 if there are several"""


@dataclass(frozen=True)
class RawFile:
    """A file as published."""

    name: str
    """file name"""
    editions: Mapping[str, int]
    """checksum, ``md5:...`` or ``sha256:...``, to size in bytes; the first is what ``url`` gives, others hold the same content"""
    url: str | None = None
    """where it is downloaded from, if anywhere"""


@dataclass(frozen=True)
class Dataset:
    """A data set: where it comes from and what it must hold."""

    name: str
    """as in ``load_images``"""
    files: tuple[RawFile, ...]
    """all of them are needed"""
    extent: Extent
    """numbers of images and classes, and their size"""
    decode: Callable[[dict[str, bytes], Extent, Progress], tuple[Labelled, Labelled]]
    """from the files' contents by name to training and test images"""
    licence: str
    """as its authors state it"""
    citation: str
    """publication to cite"""
    jpeg: bool = False
    """the files hold JPEG images, whose pixels depend a little on the library that decodes them"""

    @property
    def size(self) -> int:
        """Bytes of all raw files as downloaded."""
        return sum(next(iter(file.editions.values())) for file in self.files)

    @property
    def recipe(self) -> str:
        """What the decoded images depend on: another recipe may give other pixels."""
        library = f"libjpeg {features.version('jpg')} turbo {features.version('libjpeg_turbo')}" if self.jpeg else ""
        files = {file.name: sorted(file.editions) for file in self.files}
        return digest([self.name, files, asdict(self.extent), _DECODER, library])


class Check(NamedTuple):
    """Verdict on one file."""

    file: Path
    """where it is, or should be"""
    ok: bool
    """whether it can be used"""
    detail: str
    """why, or why not"""


@dataclass(frozen=True)
class Installed:
    """A row of ``installed``."""

    name: str
    """data set"""
    images: str
    """training + test images and their shape"""
    classes: int
    """number of classes"""
    size: int
    """bytes of the raw files"""
    licence: str
    """as its authors state it"""
    here: bool
    """whether it can be loaded without fetching; checksums are looked at by ``verify`` alone"""
    where: Path
    """folder that holds it, or would"""


_KRIZHEVSKY = "Krizhevsky (2009), Learning Multiple Layers of Features from Tiny Images, University of Toronto"
_TORONTO = "https://www.cs.toronto.edu/~kriz"
_ZALANDO = "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com"


def _zalando(name: str, size: int, md5: str, debian_sha256: str) -> RawFile:
    """A file of Fashion-MNIST, or of Debian's dataset-fashion-mnist, which leaves the file name out of the gzip header."""
    editions = {f"md5:{md5}": size, f"sha256:{debian_sha256}": size - len(name.removesuffix(".gz")) - 1}
    return RawFile(name, editions, f"{_ZALANDO}/{name}")


_ALL = (
    Dataset(
        "cifar10",
        (
            RawFile(
                "cifar-10-binary.tar.gz",
                {"md5:c32a1d4ab5d03f1284b67883e8d87530": 170_052_171},
                f"{_TORONTO}/cifar-10-binary.tar.gz",
            ),
        ),
        Extent(train=50_000, test=10_000, channels=3, size=32, classes=10),
        parsers.cifar10,
        "none stated",
        _KRIZHEVSKY,
    ),
    Dataset(
        "cifar100",
        (
            RawFile(
                "cifar-100-binary.tar.gz",
                {"md5:03b5dce01913d631647c71ecec9e9cb8": 168_513_733},
                f"{_TORONTO}/cifar-100-binary.tar.gz",
            ),
        ),
        Extent(train=50_000, test=10_000, channels=3, size=32, classes=100),
        parsers.cifar100,
        "none stated",
        _KRIZHEVSKY,
    ),
    Dataset(
        "cifar10-jpeg",
        (
            RawFile(
                "cifar10-jpeg.zip",
                {"sha256:ead45e06542622104d3e17a0e554f18656c4cf310408a9ee502d835a28cf897d": 62_190_935},
            ),
        ),
        Extent(train=50_000, test=10_000, channels=3, size=32, classes=10),
        parsers.image_folders,
        "none stated (CIFAR-10 compressed as JPEG)",
        _KRIZHEVSKY,
        jpeg=True,
    ),
    Dataset(
        "fashion-mnist",
        (
            _zalando(
                "train-images-idx3-ubyte.gz",
                26_421_880,
                "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
                "b0564c3eedabfbf835052cff8503ea422014ce006caf5b757f851416ee8300c7",
            ),
            _zalando(
                "train-labels-idx1-ubyte.gz",
                29_515,
                "25c81989df183df01b3e8a0aad5dffbe",
                "0ae29f65d86684f32d1b9c85147786c547b9c6aebcaf235f0400a0cce308b056",
            ),
            _zalando(
                "t10k-images-idx3-ubyte.gz",
                4_422_102,
                "bef4ecab320f06d8554ea6380940ec79",
                "cc1d090a38ace84dfa1aa66e3ada7c336ef481a96936906477e6dd344da56eaa",
            ),
            _zalando(
                "t10k-labels-idx1-ubyte.gz",
                5_148,
                "bb300cfdad3c16e7a12a480ee83cd310",
                "8d3605d196f4be44669e46906da9733c8131fef761fdbfec72c424d5222f1a05",
            ),
        ),
        Extent(train=60_000, test=10_000, channels=1, size=28, classes=10),
        parsers.fashion_mnist,
        "MIT",
        "Xiao, Rasul and Vollgraf (2017), Fashion-MNIST: a Novel Image Dataset, arXiv:1708.07747",
    ),
    Dataset(
        "tiny-imagenet",
        (
            RawFile(
                "tiny-imagenet-200.zip",
                {"md5:90528d7ca1a48142e341f4ef8d21d0de": 248_100_043},
                "http://cs231n.stanford.edu/tiny-imagenet-200.zip",
            ),
        ),
        Extent(train=100_000, test=10_000, channels=3, size=64, classes=200),
        parsers.tiny_imagenet,
        "ImageNet terms: non-commercial research",
        "Le and Yang (2015), Tiny ImageNet Visual Recognition Challenge, Stanford CS 231N",
        jpeg=True,
    ),
)

DATASETS: dict[str, Dataset] = {dataset.name: dataset for dataset in _ALL}
"""The data sets by name."""


def data_folder() -> Path:
    """The folder that holds the data sets: the environment variable SHARPDIV_DATA, else the platform's cache folder.

    Returns:
        Its path; it may not exist yet.

    Raises:
        InputError: if the variable names the home folder of nobody.
    """
    stated = os.environ.get("SHARPDIV_DATA")
    try:
        return Path(stated).expanduser() if stated else Path(pooch.os_cache("sharpdiv"))
    except RuntimeError as error:
        raise InputError(f"SHARPDIV_DATA is {stated}, whose home folder does not exist") from error


def load_images(name: str, folder: Path | None = None, progress: Progress = lambda *_: None) -> RawImages:
    """A data set that is here.

    The first load decodes the raw files and keeps the result; later ones read only that, so the raw files may be deleted. A
    decoded file that is damaged or out of date is made anew, with a warning: a raw file is used only if it has its published
    checksum, so nothing wrong can come of it, and a long run goes on.

    Args:
        name: one of ``DATASETS``.
        folder: with all data sets; default ``data_folder()``.
        progress: told of the decoding.

    Returns:
        The images as published.

    Raises:
        InputError: if there is no such data set.
        StoreError: if it must be decoded and a raw file is missing, damaged or not the published one, or the folder cannot be
            written.
    """
    dataset = _dataset(name)
    place = _place(name, folder)
    try:
        return _read_decoded(dataset, place)
    except StoreError as error:
        defect = f"{error}; " if Path(place / _DECODED).exists() else ""
    try:
        contents = {file.name: _read_verified(file, place / file.name) for file in dataset.files}
    except StoreError as error:
        raise StoreError(f"{defect}{error}; `sharpdiv data fetch {name}` puts it there") from error
    with _writing(place):
        with suppress(StoreError):  # another process may have made it meanwhile
            return _read_decoded(dataset, place)
        if defect:
            warnings.warn(f"{defect}it is made anew from the raw files", stacklevel=2)
        images = _decode(dataset, contents, progress)
        _save_decoded(dataset, place, images)
    return images


def fetch(
    name: str, source: Path | None = None, folder: Path | None = None, progress: Progress = lambda *_: None
) -> Path:
    """Download a data set's raw files, or copy them from a local source, and verify their checksums.

    A file takes its name only when it is whole and verified. A download leaves alone what is here already and verified; a source
    replaces it.

    Args:
        name: one of ``DATASETS``.
        source: instead of a download, a folder that holds the files, or the file if there is only one.
        folder: with all data sets; default ``data_folder()``.
        progress: told of the bytes downloaded.

    Returns:
        The folder with the raw files.

    Raises:
        InputError: if there is no such data set, it can only be had from a source, or the source does not hold the published
            files.
        StoreError: if the download fails, what comes is not the published file, or the folder cannot be written.
    """
    dataset = _dataset(name)
    place = _place(name, folder)
    with _writing(place):
        for file in dataset.files:
            path = place / file.name
            if source is not None:
                write_atomically(path, _copied(dataset, file, source))
            elif _defect(file, path) is not None:
                write_atomically(path, _downloaded(dataset, file, progress))
    return place


def verify(name: str, folder: Path | None = None) -> list[Check]:
    """Compare the raw files with their published checksums, and the decoded one with its own.

    Args:
        name: one of ``DATASETS``.
        folder: with all data sets; default ``data_folder()``.

    Returns:
        A verdict on every file. A decoded file that does not exist is none to complain about.

    Raises:
        InputError: if there is no such data set.
    """
    dataset = _dataset(name)
    place = _place(name, folder)
    checks = []
    for file in dataset.files:
        defect = _defect(file, place / file.name)
        checks.append(Check(place / file.name, defect is None, defect or "as published"))
    try:
        _read_decoded(dataset, place)
        decoded = Check(place / _DECODED, True, "matches its checksum")
    except StoreError as error:
        there = Path(place / _DECODED).exists()
        decoded = Check(place / _DECODED, not there, str(error) if there else "not made yet; the first load makes it")
    return [*checks, decoded]


def installed(folder: Path | None = None) -> list[Installed]:
    """What data sets there are, and which of them are here.

    Args:
        folder: with all data sets; default ``data_folder()``.

    Returns:
        A row for each of ``DATASETS``.
    """
    rows = []
    for name, dataset in DATASETS.items():
        place, extent = _place(name, folder), dataset.extent
        wanted = ([_DECODED], [file.name for file in dataset.files])
        here = any(all(Path(place / name).is_file() for name in names) for names in wanted)
        images = f"{extent.train} + {extent.test} of {extent.channels}x{extent.size}x{extent.size}"
        rows.append(Installed(name, images, extent.classes, dataset.size, dataset.licence, here, place))
    return rows


# ----------------------------------------------------------------------------------------------------------- decoded images


def _decode(dataset: Dataset, contents: dict[str, bytes], progress: Progress) -> RawImages:
    arrays = [torch.from_numpy(array) for part in dataset.decode(contents, dataset.extent, progress) for array in part]
    hashes = {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
    source = next(iter(hashes.values())) if len(hashes) == 1 else digest(hashes)
    return RawImages(arrays[0], arrays[1], arrays[2], arrays[3], dataset.extent.classes, source)


def _save_decoded(dataset: Dataset, place: Path, images: RawImages) -> None:
    tensors = {name: value for name, value in vars(images).items() if isinstance(value, Tensor)}
    metadata = {"name": dataset.name, "recipe": dataset.recipe, "source_sha256": images.source_sha256}
    save_tensors(place / _DECODED, tensors, metadata)


def _read_decoded(dataset: Dataset, place: Path) -> RawImages:
    """The decoded images, if their checksum is right and decoding the raw files now would give the same."""
    path = place / _DECODED
    tensors, metadata = load_tensors(path)
    if metadata.get("recipe") != dataset.recipe:
        raise StoreError(f"{path} was made of other raw files or by another decoder than this one")
    return RawImages(**tensors, classes=dataset.extent.classes, source_sha256=metadata["source_sha256"])


# ---------------------------------------------------------------------------------------------------------------- raw files


def _defect(file: RawFile, path: Path) -> str | None:
    """What is wrong with a raw file, None if nothing."""
    try:
        _read_verified(file, path)
    except StoreError as error:
        return str(error)
    return None


def _read_verified(file: RawFile, path: Path) -> bytes:
    """The content of a file on disk that is one of the published editions."""
    try:
        # Before anything is read: what is given as a source may be any file.
        _check_size(file, path.stat().st_size, path)
        content = path.read_bytes()
    except FileNotFoundError:
        raise StoreError(f"{path} is missing") from None
    except OSError as error:
        raise StoreError(f"{path} cannot be read ({error})") from error
    _check_content(file, content, path)
    return content


def _check_size(file: RawFile, size: int, where: object) -> None:
    if size not in file.editions.values():
        expected = " or ".join(str(size) for size in file.editions.values())
        raise StoreError(f"{where} is not the published file: it has {size} bytes, expected {expected}")


def _check_content(file: RawFile, content: bytes, where: object) -> None:
    kinds = sorted({checksum.split(":")[0] for checksum in file.editions})
    found = [f"{kind}:{hashlib.new(kind, content, usedforsecurity=False).hexdigest()}" for kind in kinds]
    if not any(checksum in file.editions for checksum in found):
        got, expected = " and ".join(found), " or ".join(file.editions)
        raise StoreError(f"{where} is not the published file: it has {got}, expected {expected}")


def _copied(dataset: Dataset, file: RawFile, source: Path) -> bytes:
    if not source.is_dir() and len(dataset.files) > 1:
        names = ", ".join(file.name for file in dataset.files)
        raise InputError(f"{dataset.name} has several files; the source must be a folder with {names}, got {source}")
    try:
        return _read_verified(file, source / file.name if source.is_dir() else source)
    except StoreError as error:
        raise InputError(str(error)) from error


def _downloaded(dataset: Dataset, file: RawFile, progress: Progress) -> bytes:
    checksum, size = next(iter(file.editions.items()))
    if file.url is None:
        raise InputError(f"{dataset.name} cannot be downloaded: give a copy of {file.name} ({checksum}) as the source")
    received = _Download(f"downloading {file.name}", size, progress)
    # Compressed on the way, a .gz file would arrive unpacked.
    download = pooch.HTTPDownloader(chunk_size=1 << 18, headers={"Accept-Encoding": "identity"})
    try:
        download(file.url, received, None)
        content = bytes(received.content)
        _check_size(file, len(content), file.url)
        _check_content(file, content, file.url)
    except (OSError, ValueError, StoreError) as error:
        raise StoreError(
            f"{file.url} could not be downloaded ({error}); try again, or get {file.name} elsewhere and give it as the source"
        ) from error
    return content


class _Download:
    """The file that pooch writes to: in memory, it tells its progress and takes no more than it should, whatever is sent."""

    def __init__(self, what: str, size: int, progress: Progress) -> None:
        self.content = bytearray()
        self._what, self._size, self._progress = what, size, progress

    def write(self, chunk: bytes) -> None:
        self.content += chunk
        if len(self.content) > self._size:
            raise StoreError(f"it has more than the published {self._size} bytes")
        self._progress(self._what, len(self.content), self._size)

    def flush(self) -> None:
        pass


# ------------------------------------------------------------------------------------------------------------------ folders


def _dataset(name: str) -> Dataset:
    if name not in DATASETS:
        raise InputError(f"data set must be one of {', '.join(DATASETS)}; got {name!r}")
    return DATASETS[name]


def _place(name: str, folder: Path | None) -> Path:
    return (data_folder() if folder is None else folder) / name


@contextmanager
def _writing(place: Path) -> Iterator[None]:
    """One process at a time: files would be whole without it, but decoded or downloaded by each."""
    try:
        place.mkdir(parents=True, exist_ok=True)
        with FileLock(place / ".lock"):
            yield
    except OSError as error:
        raise StoreError(f"{place} cannot be written ({error}); set SHARPDIV_DATA to a folder that can") from error
