"""The small network that a large random one is: the weights in the few directions that training moves, in the limit.

Only ``W`` on the row space of X matters: with ``XX' = n U diag(lambda) U'`` and orthonormal ``q_j = X'u_j / sqrt(n lambda_j)``
the loss is ``sum_j lambda_j (w_j'a - t_j)^2 / 2``, ``w_j = W q_j`` and ``t_j = u_j'y / sqrt(n lambda_j)``. At first the w_j are
independent ``N(0, s_w^2 I_p)``, and training only ever applies W, W' and lambda to what it has: to t (in R^n) and to a (in R^p).
In an orthonormal basis of what that makes, built vector by vector, a Gaussian W has entries that tend to numbers: applied to a
*new* direction e of R^n it gives ``sqrt(p) s_w`` times a new direction of R^p, and W' applied to one of those gives ``sqrt(p) s_w
e`` back, and ``sqrt(n) s_w`` times a new direction of R^n, which lies towards every eigenvector of XX' alike. So the network of n
samples and p units is, in the limit of large n and p, one of a few samples and units whose first weights are these numbers: a
tree that ends where training no longer sees it.

Rows of equal length that are orthogonal have one eigenvalue, ``lambda = d/n``: the tree is two chains, and exact at any ratio n/p
up to its depth. Otherwise a new direction splits into one for each node of a Gauss rule of the law of ``XX'/n`` (Marchenko and
Pastur 1967); the branches behind the first W' are resolved by fewer nodes.
"""

from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float

from sharpdiv.theory.feature_learning.two_layer.setting import TwoLayerSetting
from sharpdiv.theory.spectra.marchenko_pastur import MarchenkoPastur

__all__ = ["ReducedNetwork", "curvature_law", "reduced_network"]

_WHITENED = ((1,) * 6, (1,) * 6)
"""Nodes of each level behind the target and behind a: two more levels change logarithms of ratios by less than 1e-5."""
_GAUSSIAN = ((6, 2, 1), (2, 1, 1))
"""The same for Gaussian rows: logarithms of ratios by full batch to 1% at n/d = 1/3 and 2.5% at 0.8, by single samples to 0.2%."""


@dataclass(frozen=True, eq=False)
class ReducedNetwork:
    """First weights, curvatures and targets in the directions that training moves.

    Examples:
        >>> from sharpdiv.theory.feature_learning.two_layer.reduced import reduced_network
        >>> from sharpdiv.theory.feature_learning.two_layer.setting import TwoLayerSetting
        >>> small = reduced_network(TwoLayerSetting(n=100, d=400, width=100))
        >>> small.target[0].item(), small.curvature[0].item()  # |beta| sqrt(n/d), and d/n
        (0.5, 4.0)
    """

    output: Float[np.ndarray, " units"]
    """a at first"""
    hidden: Float[np.ndarray, "units directions"]
    """W at first, applied to the directions"""
    curvature: Float[np.ndarray, " directions"]
    """lambda, eigenvalue of XX'/n"""
    target: Float[np.ndarray, " directions"]
    """t, what W'a has to be"""


def reduced_network(setting: TwoLayerSetting, levels: tuple[int, ...] | None = None) -> ReducedNetwork:
    """The small network of a setting, in the limit of n, d and p large in proportion.

    Args:
        setting: the problem.
        levels: nodes of each level of the tree; enough for training unless given.

    Returns:
        Its first weights, and what they are trained on.

    Example: see ``ReducedNetwork``.
    """
    tree = _Tree(setting)
    behind_target, behind_output = (levels, levels) if levels else _WHITENED if setting.whitened else _GAUSSIAN
    target = tree.directions(None, behind_target)
    tree.directions(0, behind_output)
    hidden = np.zeros((tree.units, len(tree.curvature)))
    for unit, direction, weight in tree.weights:
        hidden[unit, direction] = weight
    output = np.zeros(tree.units)
    output[0] = np.sqrt(setting.width * setting.second_variance)
    curvature, t = np.array(tree.curvature), np.zeros(len(tree.curvature))
    counts = setting.n * np.array([tree.share[j] for j in target])
    # The teacher's and the noise's direction within one eigenspace: only their sum is seen.
    variances = setting.teacher_norm**2 / setting.d + setting.label_noise / (setting.n * curvature[target])
    t[target] = np.sqrt(counts * variances)
    if setting.subtract_initial:
        t += hidden.T @ output
    return ReducedNetwork(output, hidden, curvature, t)


@dataclass
class _Tree:
    """Directions and units found so far, and the weights between them; unit 0 is the direction of a at first."""

    setting: TwoLayerSetting
    units: int = 1
    curvature: list[float] = field(default_factory=list)
    share: list[float] = field(default_factory=list)
    weights: list[tuple[int, int, float]] = field(default_factory=list)

    def directions(self, unit: int | None, levels: tuple[int, ...]) -> list[int]:
        """New directions behind a unit (none: those of the target), and all that follows from them."""
        scale = np.sqrt(self.setting.first_variance)
        found = []
        for curvature, share in zip(*curvature_law(self.setting, levels[0]), strict=True):
            direction, above = len(self.curvature), self.units
            found.append(direction)
            self.curvature.append(float(curvature))
            self.share.append(float(share))
            self.units += 1
            if unit is not None:
                self.weights.append((unit, direction, np.sqrt(share * self.setting.n) * scale))
            self.weights.append((above, direction, np.sqrt(self.setting.width) * scale))
            if len(levels) > 1:
                self.directions(above, levels[1:])
        return found


def curvature_law(
    setting: TwoLayerSetting, count: int
) -> tuple[Float[np.ndarray, " nodes"], Float[np.ndarray, " nodes"]]:
    """Gauss rule of the limit law of ``XX'/n``.

    Args:
        setting: n, d, and whether rows are orthogonal.
        count: nodes, where the eigenvalues differ.

    Returns:
        Nodes and weights, which sum to 1.

    Examples:
        >>> from sharpdiv.theory.feature_learning.two_layer.reduced import curvature_law
        >>> from sharpdiv.theory.feature_learning.two_layer.setting import TwoLayerSetting
        >>> nodes, weights = curvature_law(TwoLayerSetting(n=100, d=300, whitened=False), 5)
        >>> round(float(weights @ nodes), 9), round(float(weights @ nodes**2), 9)  # d/n, and (d/n)^2 + d/n
        (3.0, 12.0)
    """
    if setting.whitened:
        return np.array([setting.d / setting.n]), np.ones(1)
    law = MarchenkoPastur(setting.d / setting.n, degree=2 * count - 1)
    weights = law.integrate(lambda x: np.eye(x.size))
    return law.integrate(np.diag) / weights, weights
