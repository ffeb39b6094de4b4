"""Tiny ImageNet's lists say what its images are."""

import numpy as np
import pytest

from sharpdiv.empirical.data.parsers import tiny_imagenet
from sharpdiv.empirical.data.parsers.contract import Extent
from sharpdiv.empirical.errors import InputError
from tests.empirical.data.parsers.builders import FILE, FOLDER_IMAGES, encoded, silent, zipped

TINY = Extent(train=4, test=2, channels=3, size=8, classes=2)
TINY_ROOT = "tiny-imagenet-200"
TINY_MEMBERS = {
    f"{TINY_ROOT}/wnids.txt": b"n02\nn01\n",
    f"{TINY_ROOT}/words.txt": b"n01\tant\n" * 400_000,  # larger than what may be read
    f"{TINY_ROOT}/train/n01/n01_boxes.txt": b"n01_0.JPEG\t0\t0\t8\t8\n",
    f"{TINY_ROOT}/val/val_annotations.txt": b"val_1.JPEG\tn01\t0\t0\t8\t8\nval_0.JPEG\tn02\t0\t0\t8\t8\n",
    f"{TINY_ROOT}/test/images/test_0.JPEG": b"never read",
    f"{TINY_ROOT}/train/n02/images/n02_0.JPEG": encoded(FOLDER_IMAGES[2]),
    f"{TINY_ROOT}/train/n02/images/n02_1.JPEG": encoded(FOLDER_IMAGES[3]),
    f"{TINY_ROOT}/train/n01/images/n01_0.JPEG": encoded(FOLDER_IMAGES[0]),
    f"{TINY_ROOT}/train/n01/images/n01_1.JPEG": encoded(FOLDER_IMAGES[1]),
    f"{TINY_ROOT}/val/images/val_1.JPEG": encoded(FOLDER_IMAGES[5]),
    f"{TINY_ROOT}/val/images/val_0.JPEG": encoded(FOLDER_IMAGES[4]),
}


def test_tiny_imagenet_has_the_validation_images_as_its_test_set() -> None:
    train, test = tiny_imagenet.tiny_imagenet({FILE: zipped(TINY_MEMBERS)}, TINY, silent)
    assert np.array_equal(np.concatenate([train[0], test[0]]), FOLDER_IMAGES)
    assert train[1].tolist() == [0, 0, 1, 1]
    assert test[1].tolist() == [1, 0]  # val_0 is an n02, the second id in order


@pytest.mark.parametrize(
    ("member", "content", "message"),
    [
        ("val/val_annotations.txt", b"val_1.JPEG\tn01\n", r"val_0.JPEG without a class"),
        ("val/val_annotations.txt", b"val_1.JPEG\tn01\nval_0.JPEG\tn03\n", r"val_0.JPEG without a class"),
        ("val/val_annotations.txt", b"\xff\xfe", r"val_annotations.txt is damaged: UnicodeDecodeError"),
        ("val/images/val_2.JPEG", b"", "got 3 images, expected 2"),
        ("wnids.txt", b"n01\n", r"n02_0.JPEG without a class"),
        ("wnids.txt", b"n01\nn02\nn03\n", None),
    ],
)
def test_tiny_imagenet_with_other_lists_is_refused(member: str, content: bytes, message: str | None) -> None:
    members = TINY_MEMBERS | {f"{TINY_ROOT}/{member}": content}
    if message is None:  # an id without images leaves the others' numbers as they are
        assert tiny_imagenet.tiny_imagenet({FILE: zipped(members)}, TINY, silent)[0][1].tolist() == [0, 0, 1, 1]
        return
    with pytest.raises(InputError, match=message):
        tiny_imagenet.tiny_imagenet({FILE: zipped(members)}, TINY, silent)
