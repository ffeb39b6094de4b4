"""Images in folders by class, zipped."""

import re

from sharpdiv.empirical.data.parsers.contract import Extent, Labelled, Progress, expect
from sharpdiv.empirical.data.parsers.image_zip import ImageZip, read_images

__all__ = ["image_folders"]


def image_folders(contents: dict[str, bytes], extent: Extent, progress: Progress) -> tuple[Labelled, Labelled]:
    """Training and test images in a zip of ``train/<class>/<file>.jpg`` and ``test/<class>/<file>.jpg``.

    Classes sorted by name are the labels 0, 1, ...; images are sorted by class, then by file name.

    Args:
        contents: content of the one zip, by its name.
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
        >>> from sharpdiv.empirical.data.parsers.image_folders import image_folders
        >>> picture, packed = io.BytesIO(), io.BytesIO()
        >>> Image.new("RGB", (2, 2), "white").save(picture, "JPEG")
        >>> with zipfile.ZipFile(packed, "w") as archive:
        ...     for name in ("train/cat/1.jpg", "train/dog/1.jpg", "test/cat/1.jpg", "test/dog/1.jpg"):
        ...         archive.writestr(name, picture.getvalue())
        >>> extent = Extent(train=2, test=2, channels=3, size=2, classes=2)
        >>> train, test = image_folders({"mine.zip": packed.getvalue()}, extent, lambda *_: None)
        >>> train[0].shape, train[1]
        ((2, 3, 2, 2), array([0, 1]))
    """
    ((file, content),) = contents.items()
    archive = ImageZip.open(content, file)
    parts: dict[str, list[str]] = {"train": [], "test": []}
    for name in sorted(archive.entries):
        match = re.fullmatch(r"(train|test)/[^/]+/[^/]+\.jpg", name)
        expect(match is not None, file, f"a member {name}", "train/<class>/<file>.jpg or test/<class>/<file>.jpg")
        parts[name.split("/")[0]].append(name)
    labels = {part: [name.split("/")[1] for name in names] for part, names in parts.items()}
    classes = sorted(set(labels["train"]))
    same = sorted(set(labels["test"])) == classes
    expect(same, file, f"classes {sorted(set(labels['test']))} to test", f"those trained on, {classes}")
    numbered = {part: [classes.index(label) for label in labels[part]] for part in parts}
    return read_images(
        archive, (parts["train"], numbered["train"]), (parts["test"], numbered["test"]), extent, progress
    )
