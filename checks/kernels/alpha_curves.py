"""Ensembles of the dial as curves over SAM's radius and steps, whole and without each member in turn (the jackknife)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from sharpdiv.checks.kernels.alpha_network import DialNetwork
from sharpdiv.checks.kernels.dials import BLOCKS
from sharpdiv.checks.members import shares_of_members, square, without_each

__all__ = [
    "COMPARED_AT",
    "SYMBOLS",
    "Curves",
    "at_loss",
    "change",
    "changes_at_equal_loss",
    "common_loss",
    "curves",
]


COMPARED_AT = 20
"""k at which curves over rho are compared, half of the longest training"""
SYMBOLS = {
    "diversity": "D",
    "sharpness": "kappa",
    "eir": "EIR",
    "loss": "training loss",
    "member_error": "member error",
    "ensemble_error": "ensemble error",
}


@dataclass(frozen=True)
class Curves:
    """One ensemble over SAM's radius and steps; NaN where a member diverged.

    The first of the ``subsets`` of its members is the ensemble itself, the others are without each member in turn.
    """

    fractions: Float[np.ndarray, " fractions"]
    """``rho x_max``"""
    steps: Float[np.ndarray, " snapshots"]
    """k"""
    values: dict[str, Float[np.ndarray, "subsets fractions snapshots"]]
    """diversity, member_error, ensemble_error, eir, loss, sharpness"""

    def at(self, steps: int) -> dict[str, Float[np.ndarray, "subsets fractions"]]:
        """Everything at one number of steps.

        Returns:
            By name.
        """
        column = int(np.flatnonzero(self.steps == steps)[0])
        return {name: values[:, :, column] for name, values in self.values.items()}


def curves(
    network: DialNetwork,
    optimizer: str,
    alpha: float | None = None,
    *,
    members: int | None = None,
    apart: bool = False,
) -> Curves:
    """An ensemble of the dial as arrays.

    Args:
        network: network of the results.
        optimizer: sam, blocks or normalized.
        alpha: scale of the outputs; the prediction if not given.
        members: number of members, the first ones; all unless given.
        apart: whether D is taken over pairs with different blocks only, and errors of ensembles with one member on each block.

    Returns:
        The curves.
    """
    stored = network.predicted[optimizer] if alpha is None else network.measured[alpha][optimizer]
    loss, sharpness = stored.loss, stored.sharpness
    count = members or len(loss)
    products = square(stored.products, len(loss))[..., :count, :count]
    blocks = np.arange(count) % BLOCKS if apart else np.arange(count)
    values = without_each(products, blocks)
    weights = shares_of_members(count)
    for name, of_members in (("loss", loss), ("sharpness", sharpness)):
        values[name] = np.einsum("bm,mxk->bxk", weights, of_members[:count])
    return Curves(np.array(network.fractions), np.array(network.snapshots, dtype=float), values)


def common_loss(ensembles: Sequence[Curves], steps: int) -> float:
    """The training loss that the slowest radius of some ensembles reaches.

    Args:
        ensembles: curves of each, whole and without each member.
        steps: number of steps within which it is reached.

    Returns:
        The level; what diverged is left out.
    """
    lowest = [found.values["loss"][:, :, found.steps <= steps].min(axis=2) for found in ensembles]
    return max(float(np.nanmax(values)) for values in lowest)


def at_loss(found: Curves, name: str, level: float) -> Float[np.ndarray, "subsets fractions"]:
    """A quantity where training first has some loss, interpolated in the loss between snapshots.

    Args:
        found: curves of an ensemble.
        name: name of the quantity.
        level: level of the loss.

    Returns:
        One value for each radius; NaN where the loss does not fall to that level between two snapshots.
    """
    loss, values = found.values["loss"], found.values[name]
    result = np.full(loss.shape[:2], np.nan)
    for later in range(loss.shape[2] - 1, 0, -1):
        high, low = loss[:, :, later - 1], loss[:, :, later]
        inside = (high >= level) & (low <= level) & (high > low)
        share = np.divide(high - level, high - low, out=np.zeros_like(high), where=inside)
        crossing = values[:, :, later - 1] + share * (values[:, :, later] - values[:, :, later - 1])
        result = np.where(inside, crossing, result)  # the first crossing is written last
    return result


def change(values: Float[np.ndarray, "subsets fractions"]) -> Float[np.ndarray, " subsets"]:
    """Logarithm of the ratio at the largest radius to gradient descent: jackknifed, a ratio itself leans to one side.

    Returns:
        Of the ensemble, and without each member.
    """
    return np.log(values[:, -1] / values[:, 0])


def changes_at_equal_loss(
    network: DialNetwork, alpha: float, name: str, steps: int
) -> tuple[Float[np.ndarray, " subsets"], Float[np.ndarray, " subsets"], float]:
    """``change`` of a quantity over SAM's radius, in theory and trained, where all have one training loss.

    Args:
        network: network of the results.
        alpha: scale of the outputs.
        name: name of the quantity.
        steps: number of steps within which the slowest radius of either reaches that loss.

    Returns:
        Both changes, of the same members, and the loss.
    """
    members = network.trained_members(alpha)
    theory, trained = curves(network, "sam", members=members), curves(network, "sam", alpha)
    level = common_loss((theory, trained), steps)
    return change(at_loss(theory, name, level)), change(at_loss(trained, name, level)), level
