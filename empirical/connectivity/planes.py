"""Loss on the plane through three members (Garipov et al. 2018; Izmailov et al. 2018)."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from jaxtyping import Float
from torch import nn

from sharpdiv.empirical.batches import Batches, Loss
from sharpdiv.empirical.connectivity.landscape import Landscape
from sharpdiv.empirical.connectivity.members import State
from sharpdiv.empirical.errors import DivergenceError, InputError
from sharpdiv.empirical.runs.ensembles import Progress
from sharpdiv.empirical.stored_arrays import StoredArrays
from sharpdiv.theory.curves import ByValue

__all__ = ["Basis", "LossPlane", "loss_on_plane", "plane_basis"]

_FLAT = 1e-6  # height of a triangle by its base, below which rounding of single-precision weights is all there is


@dataclass(frozen=True, eq=False)
class Basis(ByValue):
    """Orthonormal coordinates of the plane through three points of weight space; the first is its origin.

    The first axis points to the second member, the second to the third member's side (Gram and Schmidt).

    Example: see ``plane_basis``, which makes one.
    """

    axes: Float[np.ndarray, "2 weights"]
    """orthonormal directions"""
    members: Float[np.ndarray, "3 2"]
    """coordinates of the members: ``(0, 0)``, ``(base, 0)`` and the third's"""

    def coefficients(self, x: float, y: float) -> tuple[float, float, float]:
        """The factors of the members whose sum is a point of the plane.

        Args:
            x: its first coordinate.
            y: its second coordinate.

        Returns:
            Barycentric coordinates, which add up to 1.
        """
        (_, _), (base, _), (across, height) = self.members.tolist()
        third = y / height
        second = (x - third * across) / base
        return 1 - second - third, second, third


@dataclass(frozen=True, eq=False)
class LossPlane(StoredArrays):
    """Loss and error on a grid of the plane through three members.

    Example: see ``loss_on_plane``, which makes one.
    """

    x: Float[np.ndarray, " columns"]
    """first coordinates of the grid, distances in weight space"""
    y: Float[np.ndarray, " rows"]
    """second coordinates of the grid"""
    loss: Float[np.ndarray, "rows columns"]
    """mean loss over samples at ``(x[column], y[row])``; of the cross entropy, in nats"""
    error: Float[np.ndarray, "rows columns"] | None
    """share of wrong predictions; None where targets are no classes"""
    members: Float[np.ndarray, "3 2"]
    """coordinates of the members"""
    member_loss: Float[np.ndarray, " 3"]
    """mean loss at the members themselves"""
    member_error: Float[np.ndarray, " 3"] | None
    """share of wrong predictions there"""


def plane_basis(members: Sequence[Float[np.ndarray, " weights"]]) -> Basis:
    """Coordinates of the plane through three points.

    ``u = (w_2 - w_1) / |w_2 - w_1|``, and v is what is left of ``w_3 - w_1`` without its part along u, normalized.

    Args:
        members: weights of three members.

    Returns:
        The basis.

    Raises:
        InputError: if the members are not three, or lie on one line.

    Examples:
        >>> import numpy as np
        >>> from sharpdiv.empirical.connectivity.planes import plane_basis
        >>> basis = plane_basis([np.zeros(3), np.array([2.0, 0.0, 0.0]), np.array([1.0, 0.0, 3.0])])
        >>> basis.members.tolist()
        [[0.0, 0.0], [2.0, 0.0], [1.0, 3.0]]
        >>> basis.coefficients(1.0, 3.0)  # the third member
        (0.0, 0.0, 1.0)
    """
    if len(members) != 3:
        raise InputError(f"a plane goes through 3 members, got {len(members)}")
    origin, second, third = members
    towards, aside = second - origin, third - origin
    base = np.linalg.norm(towards)
    first = towards / (base or 1.0)
    across = first @ aside
    rest = aside - across * first
    rest -= (first @ rest) * first  # once more: of what cancelled in the first projection, rounding is left
    height = np.linalg.norm(rest)
    if not (base > 0 and height > _FLAT * max(base, np.linalg.norm(aside))):
        raise InputError(
            "the three members lie on one line, so there is no plane through them; are two of them the same?"
        )
    coordinates = np.array([[0.0, 0.0], [base, 0.0], [across, height]])
    return Basis(np.stack([first, rest / height]), coordinates)


def loss_on_plane(
    model: nn.Module,
    members: Sequence[State],
    batches: Batches,
    *,
    train: Batches | None = None,
    loss: Loss = nn.functional.cross_entropy,
    points: int = 21,
    margin: float = 0.25,
    progress: Progress = lambda *_: None,
) -> LossPlane:
    """Loss and error on a grid of the plane through three members.

    Statistics of batch norm are taken anew on ``train`` at every point: see ``recalibrate_batch_norm``.

    Args:
        model: network of the members' architecture, on the device that counts; it is afterwards what it was, to the bit.
        members: state dicts of three members.
        batches: data of the loss, the same each time they are read.
        train: training data for batch norm, likewise; needed where members differ in running statistics.
        loss: mean loss of outputs and targets.
        points: points of the grid on each axis.
        margin: room around the members on each side, as a share of the box around them.
        progress: listener, told after every point.

    Returns:
        The grid, and the members on it.

    Raises:
        InputError: as ``loss_along_line``, or if the members are not three or lie on one line.
        DivergenceError: if weights, or a loss on the plane, are not finite; the message says where.

    References:
        Garipov, Izmailov, Podoprikhin, Vetrov and Wilson (2018), "Loss surfaces, mode connectivity, and fast ensembling of DNNs",
        NeurIPS.

    Examples:
        >>> import torch
        >>> from sharpdiv import loss_on_plane
        >>> model, batch = torch.nn.Linear(2, 1, bias=False), (torch.eye(2), torch.zeros(2, 1))
        >>> members = [{"weight": torch.tensor([weight])} for weight in ([0.0, 0.0], [2.0, 0.0], [0.0, 2.0])]
        >>> plane = loss_on_plane(model, members, batch, loss=torch.nn.functional.mse_loss, points=2, margin=0.0)
        >>> plane.members.tolist(), plane.loss.tolist()  # half of the squared distance from the origin
        ([[0.0, 0.0], [2.0, 0.0], [0.0, 2.0]], [[0.0, 2.0], [2.0, 4.0]])
    """
    if points < 2:
        raise InputError(f"points must be at least 2 on each axis, got {points}")
    if not 0 <= margin < float("inf"):
        raise InputError(f"margin must be finite and non-negative, got {margin}")
    if len(members) != 3:
        raise InputError(f"a plane goes through 3 members, got {len(members)}")
    landscape = Landscape(model, members, batches, train, loss)
    basis = plane_basis([landscape.members.flat(place) for place in range(3)])
    x, y = (_axis(column, points, margin) for column in basis.members.T)
    places = [(float(column), float(row)) for row in y for column in x]
    corners = [(1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)]
    at = [*corners, *(basis.coefficients(*place) for place in places)]
    heights, errors = landscape.heights(at, partial(progress, "plane"))
    _require_finite(heights, [*map(tuple, basis.members.tolist()), *places])
    shape = (points, points)
    return LossPlane(
        x=x,
        y=y,
        loss=heights[3:].reshape(shape),
        error=None if errors is None else errors[3:].reshape(shape),
        members=basis.members,
        member_loss=heights[:3],
        member_error=None if errors is None else errors[:3],
    )


def _axis(members: Float[np.ndarray, " 3"], points: int, margin: float) -> Float[np.ndarray, " points"]:
    low, high = members.min(), members.max()
    room = margin * (high - low)
    return np.linspace(low - room, high + room, points)


def _require_finite(heights: Float[np.ndarray, " points"], places: Sequence[tuple[float, ...]]) -> None:
    for height, (x, y) in zip(heights, places, strict=True):
        if not np.isfinite(height):
            raise DivergenceError(
                f"the loss is not finite on the plane at ({x:.4g}, {y:.4g}), the first member being at (0, 0); with a smaller "
                "margin the grid ends before"
            )
