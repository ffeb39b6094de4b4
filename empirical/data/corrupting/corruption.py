"""What a corruption is: a function and its constants, severity by severity."""

from collections.abc import Callable
from dataclasses import dataclass

from sharpdiv.empirical.data.corrupting.pixels import Images

__all__ = ["Constants", "Corruption"]

Constants = dict[str, tuple[float, ...] | tuple[int, ...]]
"""values of each argument at severity 1 to 5, by its name"""


@dataclass(frozen=True)
class Corruption:
    """A corruption of Hendrycks and Dietterich (2019), with the constants of ``make_cifar_c.py`` and ``make_tinyimagenet_c.py``."""

    name: str
    """name, as in ``corrupt``"""
    function: Callable[..., Images]
    """function of images, draws and constants"""
    cifar: Constants
    """constants for small images"""
    tiny: Constants
    """constants for images of 64 pixels or more"""
    extra: bool = False
    """whether it is one of the paper's extra ones, meant for validation"""
    photographs: bool = False
    """whether it is made from photographs that are not shipped"""
