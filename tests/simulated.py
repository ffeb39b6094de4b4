"""Simulations made once in a process: a wrong formula is compared with the same measurement as the right one."""

from functools import cache
from typing import Any

import numpy as np

from sharpdiv.theory.setting import Setting
from sharpdiv.theory.simulation import Simulation, simulate

__all__ = ["simulated"]


def simulated(setting: Setting, rho: np.ndarray, **options: Any) -> Simulation:
    """What ``simulate`` gives, which must not be what a mutation is about.

    Args:
        setting: of the simulation.
        rho: radii.
        **options: hashable.

    Returns:
        The simulation.
    """
    return _simulated(setting, tuple(np.asarray(rho).tolist()), tuple(sorted(options.items())))


@cache
def _simulated(setting: Setting, rho: tuple[float, ...], options: tuple[tuple[str, Any], ...]) -> Simulation:
    return simulate(setting, np.array(rho), **dict(options))
