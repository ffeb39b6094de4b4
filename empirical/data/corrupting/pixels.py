"""Batches of images in [0, 1], their colours, and how values become whole levels."""

from jaxtyping import Float
from torch import Tensor

__all__ = ["GUARD", "Images", "Layers", "colour", "grey", "quantized"]

Images = Float[Tensor, "samples channels height width"]
Layers = Float[Tensor, "samples height width"]

GUARD = 2**-13
"""Truncation turns a rounding error into a whole level: what lies this little (in levels) below a level counts as that level."""

_LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601, as OpenCV's and Pillow's grey


def quantized(values: Images) -> Images:
    """Levels as in the published files: values clipped to [0, 1], times 255, truncated.

    Args:
        values: images in [0, 1] and a little beyond.

    Returns:
        Whole numbers from 0 to 255.

    Examples:
        >>> import torch
        >>> from sharpdiv.empirical.data.corrupting.pixels import quantized
        >>> quantized(torch.tensor([-1.0, 0.5, 2.0]).view(1, 1, 1, 3)).flatten()
        tensor([  0., 127., 255.])
    """
    return (values.clamp(0, 1) * 255 + GUARD).floor()


def grey(images: Images) -> Float[Tensor, "samples 1 height width"]:
    """Luma of colours; grey images stay.

    Args:
        images: batch with 1 or 3 channels.

    Returns:
        Images of one channel.

    Examples:
        >>> import torch
        >>> from sharpdiv.empirical.data.corrupting.pixels import grey
        >>> grey(torch.eye(3).view(1, 3, 1, 3)).flatten()  # a red, a green and a blue pixel
        tensor([0.2990, 0.5870, 0.1140])
    """
    if images.shape[1] == 1:
        return images
    return (images * images.new_tensor(_LUMA)[:, None, None]).sum(dim=1, keepdim=True)


def colour(levels: tuple[int, int, int], images: Images) -> Float[Tensor, "1 channels 1 1"]:
    """A colour for all pixels, its luma if the images are grey.

    Args:
        levels: red, green and blue, 0 to 255.
        images: batch whose channels, type and device it gets.

    Returns:
        One pixel in [0, 1].

    Examples:
        >>> import torch
        >>> from sharpdiv.empirical.data.corrupting.pixels import colour
        >>> colour((255, 0, 0), torch.zeros(1, 3, 8, 8)).flatten(), colour((255, 0, 0), torch.zeros(1, 1, 8, 8)).flatten()
        (tensor([1., 0., 0.]), tensor([0.2990]))
    """
    pixel = images.new_tensor(levels)[None, :, None, None] / 255
    return grey(pixel) if images.shape[1] == 1 else pixel
