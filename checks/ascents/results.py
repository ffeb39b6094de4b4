"""Results of the sweep over ascents: what members of one network did in one regime, by each way to train.

Kept as JSON (``to_json``, five significant digits, None where a member diverged or did not reach a loss); everything reads them
through the type here.
"""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from sharpdiv.checks.ascents.networks import Ascent, FittedNetwork, Regime
from sharpdiv.empirical.stored_arrays import array, rounded

__all__ = ["Fitted", "FittedRegime"]


@dataclass(frozen=True, eq=False)
class Fitted:
    """Members trained in one way; NaN where one diverged or did not reach a loss."""

    products: Float[np.ndarray, "levels pairs"]
    """inner products of the members' errors at the test digits (lower triangle), from which diversity and errors follow"""
    steps: Float[np.ndarray, "members levels"]
    """steps until the loss"""
    trace: Float[np.ndarray, "members levels"]
    """trace of the Gauss-Newton matrix of the training loss"""
    last_norm: Float[np.ndarray, "members levels"]
    """squared norm of the last layer's weights"""
    norm: Float[np.ndarray, "members levels"]
    """squared norm of all weights"""


@dataclass(frozen=True, eq=False)
class FittedRegime:
    """One network in one regime."""

    network: FittedNetwork
    regime: Regime
    fitted: dict[Ascent, Fitted]
    """by the way to train"""

    @property
    def losses(self) -> tuple[float, ...]:
        """Training losses that members are compared at."""
        return self.network.losses

    @property
    def name(self) -> str:
        """Name of network and regime."""
        return f"{self.network.name}, {self.regime.name}"

    def to_json(self) -> dict[str, Any]:
        """JSON values.

        Returns:
            A dictionary.
        """
        found = [asdict(ascent) | rounded(vars(fitted)) for ascent, fitted in self.fitted.items()]
        network = {name: value for name, value in asdict(self.network).items() if name not in {"ascents", "regimes"}}
        return {"network": network, "regime": asdict(self.regime), "fitted": found}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> "FittedRegime":
        """What ``to_json`` made.

        Args:
            value: JSON values.

        Returns:
            The regime.

        Raises:
            KeyError: if something is missing, TypeError or ValueError if it is of another kind or size.
        """
        parts = Fitted.__dataclass_fields__
        fitted = {
            Ascent(found["fraction"], found["m"]): Fitted(**{part: array(found[part]) for part in parts})
            for found in value["fitted"]
        }
        regime = Regime(**value["regime"])
        about = value["network"] | {"losses": tuple(value["network"]["losses"])}
        network = FittedNetwork(**about, ascents=tuple(fitted), regimes=(regime,))
        for ascent, found in fitted.items():
            _require_sizes(found, ascent.name, network.members, len(network.losses))
        return cls(network, regime, fitted)


def _require_sizes(found: Fitted, name: str, members: int, levels: int) -> None:
    for part, values in vars(found).items():
        expected = (levels, members * (members + 1) // 2) if part == "products" else (members, levels)
        if values.shape != expected:
            raise ValueError(f"{part} of {name} should have shape {expected}, got {values.shape}")
