"""The image data sets: another one is an entry here, and a parser if its files have a format of their own."""

from sharpdiv.empirical.data.dataset import Dataset, Published, RawFile
from sharpdiv.empirical.data.parsers.cifar import cifar10, cifar100
from sharpdiv.empirical.data.parsers.contract import Extent
from sharpdiv.empirical.data.parsers.digits import digits
from sharpdiv.empirical.data.parsers.idx import fashion_mnist
from sharpdiv.empirical.data.parsers.image_folders import image_folders
from sharpdiv.empirical.data.parsers.tiny_imagenet import tiny_imagenet
from sharpdiv.empirical.errors import InputError
from sharpdiv.registry import Registry

__all__ = ["DATASETS", "dataset_named"]

_KRIZHEVSKY = "Krizhevsky (2009), Learning Multiple Layers of Features from Tiny Images, University of Toronto"
_TORONTO = "https://www.cs.toronto.edu/~kriz"
_ZALANDO = "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com"
_CIFAR10 = ((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616))
"""Statistics, as those of the others, as the SharpBalance authors use them."""


def _zalando(name: str, size: int, md5: str, debian_sha256: str) -> RawFile:
    """A file of Fashion-MNIST, or of Debian's dataset-fashion-mnist, which leaves the file name out of the gzip header."""
    editions = {f"md5:{md5}": size, f"sha256:{debian_sha256}": size - len(name.removesuffix(".gz")) - 1}
    return RawFile(name, editions, f"{_ZALANDO}/{name}")


_ALL = (
    Dataset(
        name="digits",
        title="digits",
        files=(),
        extent=Extent(train=1797, test=0, channels=1, size=16, classes=10),
        decode=digits,
        licence="bundled with scikit-learn",
        citation="Alpaydin and Kaynak (1998), Optical Recognition of Handwritten Digits, UCI Machine Learning Repository",
    ),
    Dataset(
        name="cifar10",
        title="CIFAR-10",
        files=(
            RawFile(
                "cifar-10-binary.tar.gz",
                {"md5:c32a1d4ab5d03f1284b67883e8d87530": 170_052_171},
                f"{_TORONTO}/cifar-10-binary.tar.gz",
            ),
        ),
        extent=Extent(train=50_000, test=10_000, channels=3, size=32, classes=10),
        decode=cifar10,
        licence="none stated",
        citation=_KRIZHEVSKY,
        statistics=_CIFAR10,
        published=Published("cifar10-c", "CIFAR-10-C"),
    ),
    Dataset(
        name="cifar100",
        title="CIFAR-100",
        files=(
            RawFile(
                "cifar-100-binary.tar.gz",
                {"md5:03b5dce01913d631647c71ecec9e9cb8": 168_513_733},
                f"{_TORONTO}/cifar-100-binary.tar.gz",
            ),
        ),
        extent=Extent(train=50_000, test=10_000, channels=3, size=32, classes=100),
        decode=cifar100,
        licence="none stated",
        citation=_KRIZHEVSKY,
        statistics=((0.5071, 0.4865, 0.4409), (0.2673, 0.2564, 0.2762)),
        published=Published("cifar100-c", "CIFAR-100-C"),
    ),
    Dataset(
        name="cifar10-jpeg",
        title="CIFAR-10 (JPEG)",
        files=(
            RawFile(
                "cifar10-jpeg.zip",
                {"sha256:ead45e06542622104d3e17a0e554f18656c4cf310408a9ee502d835a28cf897d": 62_190_935},
            ),
        ),
        extent=Extent(train=50_000, test=10_000, channels=3, size=32, classes=10),
        decode=image_folders,
        licence="none stated (CIFAR-10 compressed as JPEG)",
        citation=_KRIZHEVSKY,
        statistics=_CIFAR10,
        jpeg=True,
    ),
    Dataset(
        name="fashion-mnist",
        title="Fashion-MNIST",
        files=(
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
        extent=Extent(train=60_000, test=10_000, channels=1, size=28, classes=10),
        decode=fashion_mnist,
        licence="MIT",
        citation="Xiao, Rasul and Vollgraf (2017), Fashion-MNIST: a Novel Image Dataset, arXiv:1708.07747",
    ),
    Dataset(
        name="tiny-imagenet",
        title="Tiny-ImageNet",
        files=(
            RawFile(
                "tiny-imagenet-200.zip",
                {"md5:90528d7ca1a48142e341f4ef8d21d0de": 248_100_043},
                "http://cs231n.stanford.edu/tiny-imagenet-200.zip",
            ),
        ),
        extent=Extent(train=100_000, test=10_000, channels=3, size=64, classes=200),
        decode=tiny_imagenet,
        licence="ImageNet terms: non-commercial research",
        citation="Le and Yang (2015), Tiny ImageNet Visual Recognition Challenge, Stanford CS 231N",
        statistics=((0.480, 0.448, 0.397), (0.276, 0.269, 0.282)),
        published=Published("tiny-imagenet-c", "Tiny-ImageNet-C"),
        jpeg=True,
    ),
)

DATASETS = Registry("data set", _ALL)
"""The data sets by name."""


def dataset_named(name: str) -> Dataset:
    """The record of a data set.

    Args:
        name: name of a data set in ``DATASETS``.

    Returns:
        The record.

    Raises:
        InputError: if there is no such data set.

    Examples:
        >>> from sharpdiv.empirical.data.datasets import dataset_named
        >>> dataset_named("cifar10").extent
        Extent(train=50000, test=10000, channels=3, size=32, classes=10)
    """
    return DATASETS.named(name, InputError)
