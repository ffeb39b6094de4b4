"""Random numbers of corruptions, a stream for each image."""

import numpy as np
import torch
from torch import Tensor

from sharpdiv.empirical.data.corrupting.pixels import Images

__all__ = ["Draws"]


class Draws:
    """Random numbers for some images, each image with its own stream.

    Drawn on the CPU, so that every device sees the same ones, and moved to the images' device in one go.

    Args:
        seed: seed of all streams.
        positions: places of the images, which tell their streams apart.
        device: device of the images.

    Examples:
        >>> import torch
        >>> from sharpdiv.empirical.data.corrupting.draws import Draws
        >>> device = torch.device("cpu")
        >>> both, second = Draws(0, range(2), device).uniform(3), Draws(0, range(1, 2), device).uniform(3)
        >>> torch.equal(both[1], second[0])  # an image's numbers do not depend on the images beside it
        True
    """

    def __init__(self, seed: int, positions: range, device: torch.device) -> None:
        self._streams = [np.random.default_rng((seed, position)) for position in positions]
        self._device = device

    def normal(self, *shape: int) -> Tensor:
        """Standard normal numbers.

        Args:
            *shape: shape of the numbers of one image.

        Returns:
            Numbers of shape ``(samples, *shape)``.
        """
        return self._stack([stream.standard_normal(shape, dtype=np.float32) for stream in self._streams])

    def uniform(self, *shape: int) -> Tensor:
        """Uniform numbers in [0, 1).

        Args:
            *shape: shape of the numbers of one image.

        Returns:
            Numbers of shape ``(samples, *shape)``.
        """
        return self._stack([stream.random(shape, dtype=np.float32) for stream in self._streams])

    def integers(self, low: int, high: int, *shape: int) -> Tensor:
        """Whole numbers, uniform from ``low`` to ``high - 1``.

        Args:
            low: least number.
            high: end of the range, not in it.
            *shape: shape of the numbers of one image.

        Returns:
            Numbers of shape ``(samples, *shape)``.
        """
        return self._stack([stream.integers(low, high, shape) for stream in self._streams])

    def poisson(self, rates: Images) -> Images:
        """Counts of Poisson's law, one for each rate.

        Args:
            rates: means of the counts.

        Returns:
            Whole numbers of the rates' shape.
        """
        pairs = zip(self._streams, rates.cpu().numpy(), strict=True)
        return self._stack([stream.poisson(rate).astype(np.float32) for stream, rate in pairs])

    def _stack(self, draws: list[np.ndarray]) -> Tensor:
        return torch.from_numpy(np.stack(draws)).to(self._device)
