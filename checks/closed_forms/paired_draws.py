"""Trained ensembles that learn features, draw by draw: changes with rho are paired, as every draw starts alike at every rho."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from sharpdiv.checks.members import jackknife, shares_of_members
from sharpdiv.checks.statistics import Comparison
from sharpdiv.theory.feature_learning.diagonal.setting import DiagonalSetting
from sharpdiv.theory.feature_learning.diagonal.simulation import simulate_diagonal
from sharpdiv.theory.feature_learning.tradeoff import LearnedSimulation
from sharpdiv.theory.feature_learning.two_layer.setting import TwoLayerSetting
from sharpdiv.theory.feature_learning.two_layer.simulation import simulate_two_layer
from sharpdiv.theory.theorems.tradeoff import improvement_rate

__all__ = ["Draws", "diagonal_draws", "two_layer_draws"]


@dataclass(frozen=True, eq=False)
class Draws:
    """Independent draws, each trained at every rho from the same start, so that changes with rho are paired."""

    found: tuple[LearnedSimulation, ...]
    """one for each draw"""

    def means(self, name: str) -> Float[np.ndarray, "subsets rho"]:
        """Mean of a quantity over all draws, and without each in turn.

        Args:
            name: field of ``LearnedSimulation``; EIR is the ratio of means.

        Returns:
            Against rho.
        """
        if name == "eir":
            return improvement_rate(self.means("member_error"), self.means("ensemble_error"))
        values = np.array([getattr(each, name).mean for each in self.found])
        return np.asarray(shares_of_members(len(values)) @ values)

    def change(self, name: str, place: int = -1) -> Comparison:
        """Logarithm of the ratio of a mean to that at the first rho.

        Args:
            name: field of ``LearnedSimulation``.
            place: of the rho.

        Returns:
            With the jackknife's standard error over draws.
        """
        means = self.means(name)
        return jackknife(name, np.log(means[:, place] / means[:, 0]))

    def level(self, name: str, place: int = 0) -> Comparison:
        """A mean at one rho.

        Args:
            name: field of ``LearnedSimulation``.
            place: of the rho.

        Returns:
            With the jackknife's standard error over draws.
        """
        return jackknife(name, self.means(name)[:, place])


def two_layer_draws(
    setting: TwoLayerSetting, rho: tuple[float, ...], *, draws: int, seed: int, blocks: int = 1
) -> Draws:
    """Two-layer networks, three in each draw and block.

    Args:
        setting: the problem.
        rho: values of SAM's rho.
        draws: how many.
        seed: of the first.
        blocks: s.

    Returns:
        The draws.
    """
    return Draws(
        tuple(
            simulate_two_layer(setting, rho, blocks=blocks, draws=1, networks=3, seed=seed + draw)
            for draw in range(draws)
        )
    )


def diagonal_draws(
    setting: DiagonalSetting, rho: tuple[float, ...], *, draws: int, seed: int, blocks: int = 1, share: float = 1.0
) -> Draws:
    """Diagonal networks, three in each draw and block.

    Args:
        setting: the problem.
        rho: values of SAM's rho.
        draws: how many.
        seed: of the first.
        blocks: s.
        share: of the groups that ascend.

    Returns:
        The draws.
    """
    return Draws(
        tuple(
            simulate_diagonal(
                setting, rho, blocks=blocks, share=share, draws=1, networks=3, stop=1e-5, seed=seed + draw
            )
            for draw in range(draws)
        )
    )
