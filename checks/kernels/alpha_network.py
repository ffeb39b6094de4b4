"""Results of the lazy-to-rich dial: one network with what was predicted of its members, and what training them gave.

Results are kept as JSON (``to_json``, five significant digits, None for what diverged); everything reads them through the types
here.
"""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from sharpdiv.checks.kernels.dials import Network
from sharpdiv.empirical.stored_arrays import array, rounded

__all__ = ["DialNetwork", "Measured", "Predicted"]

_OLDER = {"normalised": "normalized"}  # an optimizer's name until version 0.2


@dataclass(frozen=True, eq=False)
class Predicted:
    """An optimizer's members; NaN where one diverged."""

    products: Float[np.ndarray, "fractions snapshots pairs"]
    """inner products of the members' errors (lower triangle), from which every diversity and error follows"""
    loss: Float[np.ndarray, "members fractions snapshots"]
    sharpness: Float[np.ndarray, "members fractions snapshots"]


@dataclass(frozen=True, eq=False)
class Measured(Predicted):
    """The same of trained members, and how far they are from the prediction of the same members."""

    relative_error: dict[str, Float[np.ndarray, "fractions snapshots"]]
    """by quantity"""
    distance: Float[np.ndarray, "fractions snapshots"]
    """distance of the functions on the test samples, relative to the prediction's own size"""


@dataclass(frozen=True, eq=False)
class DialNetwork:
    """One network of a dial."""

    network: Network
    fractions: tuple[float, ...]
    """``rho x_max``"""
    snapshots: tuple[int, ...]
    """steps k"""
    members: int
    """members of an ensemble where training is lazy; there may be more where it is rich"""
    largest: Float[np.ndarray, " members"]
    """largest eigenvalue of each member's kernel"""
    predicted: dict[str, Predicted]
    """by optimizer"""
    spectrum: dict[str, Float[np.ndarray, "fractions snapshots"]]
    """diversity, loss and sharpness of SAM on all data, predicted from binned spectra alone"""
    measured: dict[float, dict[str, Measured]]
    """by alpha, which rises, and optimizer"""

    @property
    def name(self) -> str:
        """Name of the network."""
        return self.network.name

    @property
    def alphas(self) -> list[float]:
        """Scales of the outputs, which rise."""
        return list(self.measured)

    def trained_members(self, alpha: float) -> int:
        """Number of members that were trained.

        Args:
            alpha: Scale of the outputs.

        Returns:
            It is the same for every optimizer.
        """
        return len(self.measured[alpha]["sam"].loss)

    def to_json(self) -> dict[str, Any]:
        """All but what all networks of the dial share.

        Returns:
            JSON values.
        """
        return {
            "network": asdict(self.network) | {"name": self.name},
            "largest": rounded(self.largest),
            "predicted": {name: rounded(vars(members)) for name, members in self.predicted.items()},
            "spectrum": rounded(self.spectrum),
            "measured": {
                f"{alpha:g}": {name: rounded(vars(members)) for name, members in of.items()}
                for alpha, of in self.measured.items()
            },
        }

    @classmethod
    def from_json(cls, value: dict[str, Any], dial: dict[str, Any]) -> "DialNetwork":
        """What ``to_json`` made, of this version or an older one.

        Args:
            value: The network's values.
            dial: Settings of its dial, of which ``fractions``, ``snapshots`` and ``members`` are read.

        Returns:
            The network.

        Raises:
            KeyError: if something is missing, TypeError or ValueError if it is of another kind.
        """
        stored = value["network"]
        about: dict[str, Any] = {name: field for name, field in stored.items() if name != "name"} | {
            "alphas": tuple(stored["alphas"]),
            "optimizers": tuple(_OLDER.get(name, name) for name in stored["optimizers"]),
        }
        measured = {
            float(alpha): {
                _OLDER.get(name, name): Measured(
                    products=array(members["products"]),
                    loss=array(members["loss"]),
                    sharpness=array(members["sharpness"]),
                    relative_error={quantity: array(error) for quantity, error in members["relative_error"].items()},
                    distance=array(members["distance"]),
                )
                for name, members in of.items()
            }
            for alpha, of in value["measured"].items()
        }
        return cls(
            network=Network(**about),
            fractions=tuple(dial["fractions"]),
            snapshots=tuple(dial["snapshots"]),
            members=dial["members"],
            largest=array(value["largest"]),
            predicted={
                _OLDER.get(name, name): Predicted(*(array(of[part]) for part in ("products", "loss", "sharpness")))
                for name, of in value["predicted"].items()
            },
            spectrum={name: array(of) for name, of in value["spectrum"].items()},
            measured={alpha: measured[alpha] for alpha in sorted(measured)},
        )
