"""Tiny ImageNet's zip, whose classes are in a list and whose validation images are annotated in another."""

import re

from sharpdiv.empirical.data.parsers.contract import Extent, Labelled, Progress
from sharpdiv.empirical.data.parsers.image_zip import ImageZip, read_images

__all__ = ["tiny_imagenet"]


def tiny_imagenet(contents: dict[str, bytes], extent: Extent, progress: Progress) -> tuple[Labelled, Labelled]:
    """Training and validation images in Tiny ImageNet's zip; its own test set has no labels, so validation is the test set.

    Classes sorted by their WordNet id are the labels 0, 1, ...; images are sorted by class (those of training), then by file
    name.

    Args:
        contents: content of ``tiny-imagenet-200.zip``, by its name.
        extent: numbers and size of the images that it must hold.
        progress: listener, told every few hundred images.

    Returns:
        Training and test images with their labels.

    Raises:
        InputError: if the zip or an image is damaged, or it holds something else.

    Examples:
        >>> import io
        >>> import zipfile
        >>> from PIL import Image
        >>> from sharpdiv.empirical.data.parsers.contract import Extent
        >>> from sharpdiv.empirical.data.parsers.tiny_imagenet import tiny_imagenet
        >>> picture, packed = io.BytesIO(), io.BytesIO()
        >>> Image.new("RGB", (2, 2), "white").save(picture, "JPEG")
        >>> with zipfile.ZipFile(packed, "w") as archive:
        ...     for name in ("train/n01/images/1.JPEG", "val/images/1.JPEG"):
        ...         archive.writestr(f"tiny-imagenet-200/{name}", picture.getvalue())
        ...     archive.writestr("tiny-imagenet-200/wnids.txt", "n01")
        ...     archive.writestr("tiny-imagenet-200/val/val_annotations.txt", f"1.JPEG{chr(9)}n01")
        >>> extent = Extent(train=1, test=1, channels=3, size=2, classes=1)
        >>> train, test = tiny_imagenet({"mine.zip": packed.getvalue()}, extent, lambda *_: None)
        >>> test[0].shape, test[1]
        ((1, 3, 2, 2), array([0]))
    """
    ((file, content),) = contents.items()
    archive = ImageZip.open(content, file)
    root = "tiny-imagenet-200"
    classes = sorted(archive.lines(f"{root}/wnids.txt"))
    label = {wordnet_id: i for i, wordnet_id in enumerate(classes)}
    names = sorted(name for name in archive.entries if re.fullmatch(rf"{root}/(train/[^/]+|val)/images/.+\.JPEG", name))
    train = [name for name in names if name.startswith(f"{root}/train/")]
    test = [name for name in names if name.startswith(f"{root}/val/")]
    rows = [line.split("\t") for line in archive.lines(f"{root}/val/val_annotations.txt")]
    stated = {f"{root}/val/images/{row[0]}": row[1] for row in rows if len(row) > 1}
    of_train = [label.get(name.split("/")[2], -1) for name in train]
    of_test = [label.get(stated.get(name, ""), -1) for name in test]
    return read_images(archive, (train, of_train), (test, of_test), extent, progress)
