"""Discrete steps of SAM on diagonal networks: members in parallel, and every group of samples with its own ascent."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from sharpdiv.theory.errors import DomainError

__all__ = ["Networks", "Training"]

_MOST_STEPS = 200_000
_DIVERGED = 1e6
"""Growth of the loss from which on there is no way back."""


@dataclass(frozen=True)
class Networks:
    """Weights of several members on the same data.

    Examples:
        >>> import numpy as np
        >>> from sharpdiv.theory.feature_learning.diagonal.training import Networks
        >>> Networks.started(np.full((1, 2), 0.5)).beta.tolist()  # both halves start alike
        [[0.0, 0.0]]
    """

    plus: Float[np.ndarray, "members d"]
    """w_+"""
    minus: Float[np.ndarray, "members d"]
    """w_-"""

    @classmethod
    def started(cls, alphas: Float[np.ndarray, "members d"]) -> "Networks":
        """``w_+ = w_- = alpha``."""
        return cls(alphas, alphas)

    @property
    def beta(self) -> Float[np.ndarray, "members d"]:
        """``w_+^2 - w_-^2``."""
        return self.plus**2 - self.minus**2

    @property
    def curvature(self) -> Float[np.ndarray, "members d"]:
        """``w_+^2 + w_-^2``."""
        return self.plus**2 + self.minus**2


class Training:
    """The very training: one object for one data set.

    A group's ascent is ``w_+- (1 +- 2 rho g)`` with ``g = X_g' r_g / m``, the descent follows the mean over groups of their
    losses' gradients there. With m = 1 the gradients are multiples of the samples, so that no array larger than the data is needed.

    Args:
        inputs: X, its rows in the order of the groups.
        targets: y.
        group: m, a divisor of n.
        learning_rate: eta.

    Examples:
        >>> import numpy as np
        >>> from sharpdiv.theory.feature_learning.diagonal.training import Networks, Training
        >>> training = Training(np.eye(2, 3), np.array([1.0, -0.5]), 1, learning_rate=0.1)
        >>> trained = training.run(Networks.started(np.full((1, 3), 0.5)), 0.2, stop=1e-10)
        >>> trained.beta.round(3).tolist(), (trained.plus * trained.minus).round(3).tolist()  # it fits, and alpha^2 has fallen
        ([[1.0, -0.5, 0.0]], [[0.143, 0.22, 0.25]])
    """

    def __init__(
        self,
        inputs: Float[np.ndarray, "n d"],
        targets: Float[np.ndarray, " n"],
        group: int,
        learning_rate: float,
    ) -> None:
        self.inputs, self.targets, self.learning_rate = inputs, targets, learning_rate
        self._squares, self._cubes = inputs**2, inputs**3
        self._grouped = inputs.reshape(-1, group, inputs.shape[1])

    @property
    def groups(self) -> int:
        """Number of groups."""
        return len(self._grouped)

    def residuals(self, networks: Networks) -> Float[np.ndarray, "members n"]:
        """``X beta - y``.

        Args:
            networks: the members.

        Returns:
            One row for each.
        """
        return networks.beta @ self.inputs.T - self.targets

    def step(
        self, networks: Networks, residuals: Float[np.ndarray, "members n"], rho: Float[np.ndarray, "members groups"]
    ) -> Networks:
        """One step of SAM.

        Args:
            networks: the members.
            residuals: theirs.
            rho: radius of the ascent of each group of each member.

        Returns:
            The members after it.
        """
        along = self._of_samples if self._grouped.shape[1] == 1 else self._of_groups
        slope, pull = along(networks, residuals, rho)
        rate = 2 * self.learning_rate
        return Networks(networks.plus * (1 - rate * (slope + pull)), networks.minus * (1 + rate * (slope - pull)))

    def _of_samples(self, networks: Networks, residuals: np.ndarray, rho: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Means over samples of the gradient g~ at the ascent, and of ``2 rho g g~``."""
        perturbed = residuals * (1 + 4 * rho * (networks.curvature @ self._squares.T))
        perturbed += 4 * (rho * residuals) ** 2 * (networks.beta @ self._cubes.T)
        samples = len(self.targets)
        return perturbed @ self.inputs / samples, (2 * rho * residuals * perturbed) @ self._squares / samples

    def _of_groups(self, networks: Networks, residuals: np.ndarray, rho: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        groups, size, _ = self._grouped.shape

        def gradient(errors: np.ndarray) -> np.ndarray:
            """Of each group, ``(groups, members, d)``, from errors ``(groups, members, size)``."""
            return errors @ self._grouped / size

        ascent = 2 * rho.T[:, :, None] * gradient(residuals.reshape(-1, groups, size).swapaxes(0, 1))
        beta = networks.beta * (1 + ascent**2) + 2 * ascent * networks.curvature
        slopes = gradient(beta @ self._grouped.swapaxes(1, 2) - self.targets.reshape(groups, 1, size))
        return slopes.mean(axis=0), (ascent * slopes).mean(axis=0)

    def run(
        self, networks: Networks, rho: float, stop: float, aware: Bool[np.ndarray, "members groups"] | None = None
    ) -> Networks:
        """Train until every member's loss is below a level.

        Args:
            networks: members at initialization.
            rho: SAM's radius (un-normalized).
            stop: training loss.
            aware: which groups ascend in each member; all unless given.

        Returns:
            The trained members.

        Raises:
            DomainError: if the loss grows without bound or does not get there.
        """
        radii = rho * np.ones((len(networks.plus), self.groups)) * (1 if aware is None else aware)
        most = _DIVERGED * max(float((self.targets**2).mean()) / 2, stop)
        for _ in range(_MOST_STEPS):
            residuals = self.residuals(networks)
            loss = float((residuals**2).mean(axis=1).max()) / 2
            if loss <= stop:
                return networks
            if not loss < most:
                raise DomainError(
                    f"SAM diverges at rho {rho:g} and learning rate {self.learning_rate:g}: the loss is {loss:.3g}; "
                    "lower one of them"
                )
            networks = self.step(networks, residuals, radii)
        raise DomainError(
            f"the loss is {loss:.3g} after {_MOST_STEPS} steps at rho {rho:g}, not {stop:g}; lower rho or raise the learning rate"
        )
