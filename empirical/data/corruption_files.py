"""The published corrupted test sets CIFAR-10-C, CIFAR-100-C and Tiny-ImageNet-C, read from the folder they were unpacked to.

Results on these images are called "published", those on images from ``corruptions.corrupt`` "generated"; the two differ in
their random numbers and are never mixed.
"""

import hashlib
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Int64, UInt8
from PIL import Image
from torch import Tensor

from sharpdiv.empirical.data.corruptions import SEVERITIES
from sharpdiv.empirical.data.dataset import PublishedKind
from sharpdiv.empirical.errors import InputError

__all__ = ["PUBLISHED_CORRUPTIONS", "load_published", "verify_published"]

Labelled = tuple[UInt8[Tensor, "samples channels height width"], Int64[Tensor, " samples"]]

_SAMPLES = 10_000  # test images, each of them at every severity
_CLASSES = {"cifar10-c": 10, "cifar100-c": 100, "tiny-imagenet-c": 200}
_TINY_SIDE = 64

_MD5 = {
    "cifar10-c": {
        "gaussian_noise": "ecaf8b9a2399ffeda7680934c33405fd",
        "shot_noise": "3a7239bb118894f013d9bf1984be7f11",
        "impulse_noise": "2090e01c83519ec51427e65116af6b1a",
        "defocus_blur": "7d1322666342a0702b1957e92f6254bc",
        "glass_blur": "7361fb4019269e02dbf6925f083e8629",
        "motion_blur": "fffa5f852ff7ad299cfe8a7643f090f4",
        "zoom_blur": "6ea8e63f1c5cdee1517533840641641b",
        "snow": "bb238de8555123da9c282dea23bd6e55",
        "frost": "31f6ab3bce1d9934abfb0cc13656f141",
        "fog": "7b397314b5670f825465fbcd1f6e9ccd",
        "brightness": "0a81ef75e0b523c3383219c330a85d48",
        "contrast": "3c8262171c51307f916c30a3308235a8",
        "elastic_transform": "9421657c6cd452429cf6ce96cc412b5f",
        "pixelate": "0f14f7e2db14288304e1de10df16832f",
        "jpeg_compression": "2b9cc4c864e0193bb64db8d7728f8187",
        "speckle_noise": "ef00b87611792b00df09c0b0237a1e30",
        "gaussian_blur": "c33370155bc9b055fb4a89113d3c559d",
        "spatter": "8a5a3903a7f8f65b59501a6093b4311e",
        "saturate": "1cfae0964219c5102abbb883e538cc56",
        "labels": "c439b113295ed5254878798ffe28fd54",
    },
    "cifar100-c": {
        "gaussian_noise": "ecc4d366eac432bdf25c024086f5e97d",
        "shot_noise": "b0a1fa6e1e465a747c1b204b1914048a",
        "impulse_noise": "3b3c210ddfa0b5cb918ff4537a429fef",
        "defocus_blur": "d923e3d9c585a27f0956e2f2ad832564",
        "glass_blur": "0bf384f38e5ccbf8dd479d9059b913e1",
        "motion_blur": "732a7e2e54152ff97c742d4c388c5516",
        "zoom_blur": "0204613400c034a81c4830d5df81cb82",
        "snow": "0237be164583af146b7b144e73b43465",
        "frost": "3a39c6823bdfaa0bf8b12fe7004b8117",
        "fog": "4efc7ebd5e82b028bdbe13048e3ea564",
        "brightness": "f22d7195aecd6abb541e27fca230c171",
        "contrast": "322bb385f1d05154ee197ca16535f71e",
        "elastic_transform": "a0792bd6581f6810878be71acedfc65a",
        "pixelate": "96c00c60f144539e14cffb02ddbd0640",
        "jpeg_compression": "c851b7f1324e1d2ffddeb76920576d11",
        "speckle_noise": "e3f215b1a0f9fd9fd6f0d1cf94a7ce99",
        "gaussian_blur": "5204ba0d557839772ef5a4196a052c3e",
        "spatter": "12ccf41d62564d36e1f6a6ada5022728",
        "saturate": "c0697e9fdd646916a61e9c312c77bf6b",
        "labels": "bb4026e9ce52996b95f439544568cdb2",
    },
}
"""Of the .npy files in Zenodo's records 2535967 and 3555552, as torch-uncertainty states them."""

PUBLISHED_CORRUPTIONS = tuple(name for name in _MD5["cifar10-c"] if name != "labels")
"""The 15 standard corruptions in the paper's order, then the 4 extra ones."""


def load_published(folder: Path, name: str, severity: int, kind: PublishedKind) -> Labelled:
    """Images of one corruption and severity with their labels.

    Args:
        folder: folder of the unpacked files: ``<corruption>.npy`` and ``labels.npy`` of CIFAR-C;
            ``<corruption>/<severity>/<wnid>/*.JPEG`` of Tiny-ImageNet-C (the extra corruptions come in an archive of their own).
        name: name of the corruption, one of ``PUBLISHED_CORRUPTIONS``.
        severity: severity of the corruption, 1 to 5.
        kind: name of the set: ``cifar10-c``, ``cifar100-c`` or ``tiny-imagenet-c``.

    Returns:
        The 10,000 images on the CPU, and their classes. CIFAR-C keeps the order of CIFAR's test set; Tiny-ImageNet-C is sorted by
        class, then by file name, and its classes are numbered in the order of their names, the WordNet identifiers.

    Raises:
        InputError: if one of the arguments does not exist, or a file is missing, damaged or of another kind; it is named. Changed
            pixels are not noticed here: see ``verify_published``.

    Examples:
        >>> import tempfile
        >>> from pathlib import Path
        >>> import numpy as np
        >>> from sharpdiv import load_published
        >>> with tempfile.TemporaryDirectory() as folder:  # files as those of CIFAR-10-C, but black
        ...     _ = np.lib.format.open_memmap(f"{folder}/fog.npy", "w+", np.uint8, (50_000, 32, 32, 3))
        ...     np.save(f"{folder}/labels.npy", np.arange(50_000) % 10)
        ...     images, labels = load_published(Path(folder), "fog", severity=3, kind="cifar10-c")
        >>> tuple(images.shape), tuple(labels.shape)
        ((10000, 3, 32, 32), (10000,))
    """
    if kind not in _CLASSES:
        raise InputError(f"kind must be one of {', '.join(_CLASSES)}; got {kind!r}")
    if name not in PUBLISHED_CORRUPTIONS:
        raise InputError(f"corruption must be one of {', '.join(PUBLISHED_CORRUPTIONS)}; got {name!r}")
    if severity not in SEVERITIES:
        raise InputError(f"severity must be 1 to 5, got {severity}")
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder; give the one that {kind} was unpacked to")
    if kind == "tiny-imagenet-c":
        return _load_folders(folder / name / str(severity))
    return _load_arrays(folder, name, severity, _CLASSES[kind])


def verify_published(folder: Path, kind: PublishedKind) -> None:
    """Compare the checksum of every .npy file of CIFAR-10-C or CIFAR-100-C with the published one.

    Args:
        folder: folder as for ``load_published``.
        kind: name of the set, one of the two; for the single files of Tiny-ImageNet-C no checksums are published.

    Raises:
        InputError: with the names of all files that are missing or differ.

    Examples:
        >>> from pathlib import Path
        >>> from sharpdiv import verify_published
        >>> verify_published(Path("Tiny-ImageNet-C"), "tiny-imagenet-c")  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        ...
        sharpdiv.empirical.errors.InputError: checksums of files are published for cifar10-c and cifar100-c only, ...
    """
    if kind not in _MD5:
        raise InputError(f"checksums of files are published for {' and '.join(_MD5)} only, not for {kind!r}")
    defects = []
    for name, expected in _MD5[kind].items():
        path = folder / f"{name}.npy"
        try:
            with path.open("rb") as file:
                found = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
        except OSError as error:
            defects.append(f"{path} cannot be read ({error.strerror})")
            continue
        if found != expected:
            defects.append(f"{path} has MD5 {found}, expected {expected}")
    if defects:
        raise InputError(f"{kind} is not as published: {'; '.join(defects)}. Unpack the archive anew")


def _load_arrays(folder: Path, name: str, severity: int, classes: int) -> Labelled:
    """Severity s is the s-th block of 10,000 rows."""
    block = slice((severity - 1) * _SAMPLES, severity * _SAMPLES)
    rows = len(SEVERITIES) * _SAMPLES
    images = _open_array(folder / f"{name}.npy", (rows, 32, 32, 3))
    labels_path = folder / "labels.npy"
    labels = _open_array(labels_path, (rows,))[block].astype(np.int64)
    present = np.unique(labels)
    if (len(present), present[0], present[-1]) != (
        classes,
        0,
        classes - 1,
    ):  # labels of a set with fewer classes would fit the range
        raise InputError(
            f"{labels_path} has {len(present)} classes, {present[0]} to {present[-1]}, expected all from 0 to {classes - 1}; "
            "is it of another data set?"
        )
    pixels = np.ascontiguousarray(images[block].transpose(0, 3, 1, 2))
    return torch.from_numpy(pixels), torch.from_numpy(labels)


def _open_array(path: Path, shape: tuple[int, ...]) -> np.ndarray:
    """A memory map, so that only the rows in use are read."""
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError:
        raise InputError(f"{path} does not exist") from None
    # What numpy raises depends on where the damage is; nothing but reading this file happens here.
    except Exception as error:
        raise InputError(f"{path} is not a readable .npy file ({error}); unpack the archive anew") from error
    if not isinstance(array, np.memmap):
        raise InputError(f"{path} is not a .npy file but an archive of several")
    if array.dtype.kind not in "iu" or (len(shape) > 1 and array.dtype != np.uint8) or array.shape != shape:
        wanted = "uint8" if len(shape) > 1 else "integers"
        raise InputError(f"{path} holds {array.dtype} of shape {array.shape}, expected {wanted} of shape {shape}")
    extra = path.stat().st_size - array.offset - array.nbytes
    if extra:
        raise InputError(f"{path} is {extra} bytes longer than its header says; unpack the archive anew")
    return array


def _load_folders(folder: Path) -> Labelled:
    """One folder for each class, one JPEG file for each image."""
    classes = sorted(path for path in _listing(folder) if path.is_dir())
    expected = _CLASSES["tiny-imagenet-c"]
    if len(classes) != expected:
        raise InputError(f"{folder} has {len(classes)} class folders, expected {expected}; unpack the archive anew")
    images, labels = [], []
    for label, wnid in enumerate(classes):
        files = sorted(_listing(wnid))
        if len(files) != _SAMPLES // expected:
            raise InputError(f"{wnid} has {len(files)} files, expected {_SAMPLES // expected}; unpack the archive anew")
        images += [_read_jpeg(path) for path in files]
        labels += [label] * len(files)
    return torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).contiguous(), torch.tensor(labels)


def _listing(folder: Path) -> list[Path]:
    try:
        return [path for path in folder.iterdir() if not path.name.startswith(".")]
    except OSError as error:
        raise InputError(f"{folder} cannot be listed ({error.strerror})") from error


def _read_jpeg(path: Path) -> UInt8[np.ndarray, "64 64 3"]:
    try:
        with Image.open(path, formats=["JPEG"]) as image:
            # Known from the header, before memory is taken for the pixels.
            if image.size != (_TINY_SIDE, _TINY_SIDE):
                raise InputError(f"{path} has {image.width}x{image.height} pixels, expected {_TINY_SIDE}x{_TINY_SIDE}")
            return np.asarray(image.convert("RGB"))
    except InputError:
        raise
    # What Pillow raises depends on where the damage is; nothing but reading this file happens here.
    except Exception as error:
        raise InputError(f"{path} is not a readable JPEG file ({error}); unpack the archive anew") from error
