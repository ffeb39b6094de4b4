"""Images in folders by class, zipped."""

import re

from sharpdiv.empirical.data.parsers.contract import Extent, Labelled, Progress, expect
from sharpdiv.empirical.data.parsers.image_zip import ImageZip, read_images

__all__ = ["image_folders"]


def image_folders(contents: dict[str, bytes], extent: Extent, progress: Progress) -> tuple[Labelled, Labelled]:
    """Training and test images in a zip of ``train/<class>/<file>.jpg`` and ``test/<class>/<file>.jpg``.

    Classes sorted by name are the labels 0, 1, ...; images are sorted by class, then by file name.

    Args:
        contents: the one zip.
        extent: what it must hold.
        progress: listener, told every few hundred images.

    Returns:
        Training and test images with their labels.

    Raises:
        InputError: if the zip or an image is damaged, or it holds something else.
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
