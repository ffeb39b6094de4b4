"""The handwritten digits that are bundled with scikit-learn."""

import numpy as np

from sharpdiv.empirical.data.parsers.contract import Extent, Labelled, Progress

__all__ = ["digits"]


def digits(contents: dict[str, bytes], extent: Extent, progress: Progress) -> tuple[Labelled, Labelled]:  # noqa: ARG001
    """The 1,797 images of the test set of UCI's optical recognition data; they have no test set of their own.

    Args:
        contents: empty, as no file is needed.
        extent: numbers and size of the images that must be there.
        progress: listener, told nothing.

    Returns:
        All images with their labels to train on, and none to test.

    Examples:
        >>> from sharpdiv import DATASETS
        >>> from sharpdiv.empirical.data.parsers.digits import digits
        >>> train, test = digits({}, DATASETS["digits"].extent, lambda *_: None)
        >>> train[0].shape, test[0].shape
        ((1797, 1, 16, 16), (0, 1, 16, 16))
    """
    # Nothing else here needs scikit-learn, which takes half a second to load, nor a list of data sets PyTorch.
    import torch
    from sklearn.datasets import load_digits

    # The 8x8 images of 17 grey levels become 16x16 by bilinear interpolation, so that strides have something to stride over.
    bunch = load_digits()
    images = torch.as_tensor(bunch.images, dtype=torch.float32)[:, None] * (255 / 16)
    size = (extent.size, extent.size)
    images = (
        torch.nn.functional.interpolate(images, size=size, mode="bilinear", align_corners=False).round().to(torch.uint8)
    )
    labels = np.asarray(bunch.target, np.int64)
    return (images.numpy(), labels), (images[:0].numpy(), labels[:0])
