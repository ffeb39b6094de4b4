"""Loss along the line between two members, and the barrier on it (Frankle et al. 2020; Entezari et al. 2022)."""

from collections.abc import Sequence
from dataclasses import dataclass

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

__all__ = ["Barriers", "LossLine", "barrier", "barriers", "loss_along_line"]


@dataclass(frozen=True, eq=False)
class LossLine(ByValue):
    """Loss and error along ``w(t) = (1 - t) w_a + t w_b``.

    Example: see ``loss_along_line``, which makes one.
    """

    t: Float[np.ndarray, " points"]
    """from 0 to 1"""
    loss: Float[np.ndarray, " points"]
    """mean loss over samples; of the cross entropy, in nats"""
    error: Float[np.ndarray, " points"] | None
    """share of wrong predictions; None where targets are no classes"""
    distance: float
    """Euclidean distance of the members' weights"""

    @property
    def barrier(self) -> float:
        """Barrier of the loss."""
        return barrier(self.t, self.loss)

    @property
    def error_barrier(self) -> float | None:
        """Barrier of the error, a difference of shares; None where targets are no classes."""
        return None if self.error is None else barrier(self.t, self.error)


@dataclass(frozen=True, eq=False)
class Barriers(StoredArrays):
    """Barriers between every pair of members: symmetric, and 0 on the diagonal.

    Example: see ``barriers``, which makes them.
    """

    loss: Float[np.ndarray, "members members"]
    """barriers of the mean loss; of the cross entropy, in nats"""
    error: Float[np.ndarray, "members members"] | None
    """barriers of the share of wrong predictions; None where targets are no classes"""
    distance: Float[np.ndarray, "members members"]
    """Euclidean distance of the members' weights"""

    def of_pairs(self, name: str) -> list[float]:
        """Numbers of all pairs.

        Args:
            name: ``loss``, ``error`` or ``distance``.

        Returns:
            Those above the diagonal, row by row; none of an error that is None.
        """
        matrix = getattr(self, name)
        return [] if matrix is None else matrix[np.triu_indices(len(matrix), 1)].tolist()


def barrier(t: Float[np.ndarray, " points"], values: Float[np.ndarray, " points"]) -> float:
    """How far a curve rises above the straight line between its ends.

    Entezari et al. (2022): the maximum over t of ``f(t) - ((1 - t) f(0) + t f(1))``. Frankle et al. (2020) take the ends' mean
    off instead, which is the same where both have one loss.

    Args:
        t: from 0 to 1.
        values: the curve.

    Returns:
        The largest rise at these points, 0 for a curve that nowhere rises above the line.

    References:
        Frankle, Dziugaite, Roy and Carbin (2020), "Linear mode connectivity and the lottery ticket hypothesis", ICML.
        Entezari, Sedghi, Saukh and Neyshabur (2022), "The role of permutation invariance in linear mode connectivity of neural
        networks", ICLR.

    Examples:
        >>> import numpy as np
        >>> from sharpdiv.empirical.connectivity.lines import barrier
        >>> barrier(np.array([0.0, 0.5, 1.0]), np.array([1.0, 5.0, 3.0]))
        3.0
    """
    return float(np.max(values - ((1 - t) * values[0] + t * values[-1]), initial=0.0))


def loss_along_line(
    model: nn.Module,
    ends: tuple[State, State],
    batches: Batches,
    *,
    train: Batches | None = None,
    loss: Loss = nn.functional.cross_entropy,
    points: int = 21,
) -> LossLine:
    """Loss and error along the line between two members.

    Statistics of batch norm are taken anew on ``train`` at every point, the ends too: see ``recalibrate_batch_norm``.

    Args:
        model: network of the members' architecture, on the device that counts; it is afterwards what it was, to the bit.
        ends: state dicts of the two members, of networks or files.
        batches: data of the loss, the same each time they are read: a ``DataLoader`` without shuffling, a list, or one batch.
        train: training data for batch norm, likewise, without augmentation; needed where members differ in running statistics. None
            for statistics that are frozen, the same in all members.
        loss: mean loss of outputs and targets.
        points: points on the line, both ends among them.

    Returns:
        The curves.

    Raises:
        InputError: if members do not fit the network or each other, data differ when they are read again, or numbers do not fit.
        DivergenceError: if weights, or a loss on the line, are not finite; the message says where.

    Examples:
        >>> import torch
        >>> from sharpdiv import loss_along_line
        >>> model, batch = torch.nn.Linear(1, 1, bias=False), (torch.ones(2, 1), torch.zeros(2, 1))
        >>> ends = ({"weight": torch.tensor([[-1.0]])}, {"weight": torch.tensor([[1.0]])})
        >>> line = loss_along_line(model, ends, batch, loss=torch.nn.functional.mse_loss, points=3)
        >>> line.loss.tolist(), line.barrier, line.distance  # a square is convex: no barrier
        ([1.0, 0.0, 1.0], 0.0, 2.0)
    """
    if len(ends) != 2:
        raise InputError(f"a line has 2 ends, got {len(ends)} members")
    return _line(Landscape(model, ends, batches, train, loss), 0, 1, points)


def barriers(
    model: nn.Module,
    members: Sequence[State],
    batches: Batches,
    *,
    train: Batches | None = None,
    loss: Loss = nn.functional.cross_entropy,
    points: int = 21,
    progress: Progress = lambda *_: None,
) -> Barriers:
    """Barriers on the lines between all pairs of members.

    Args:
        model: network of the members' architecture, as in ``loss_along_line``.
        members: state dict of each member.
        batches: data of the loss.
        train: training data for batch norm.
        loss: mean loss of outputs and targets.
        points: points on every line, both ends among them.
        progress: listener, told after every pair.

    Returns:
        A number for every pair.

    Raises:
        InputError: as ``loss_along_line``, or if there are fewer than two members.
        DivergenceError: as ``loss_along_line``; the message names the pair.

    Examples:
        >>> import torch
        >>> from sharpdiv import barriers
        >>> model = torch.nn.Sequential(torch.nn.Linear(1, 1, bias=False), torch.nn.Linear(1, 1, bias=False))
        >>> member = {"0.weight": torch.tensor([[1.0]]), "1.weight": torch.tensor([[1.0]])}
        >>> mirrored = {name: -weight for name, weight in member.items()}  # the same function x, and 0 half way between
        >>> batch = (torch.ones(1, 1), torch.ones(1, 1))
        >>> barriers(model, [member, mirrored], batch, loss=torch.nn.functional.mse_loss, points=5).loss.tolist()
        [[0.0, 1.0], [1.0, 0.0]]
    """
    count = len(members)
    if count < 2:
        raise InputError(f"barriers are between members: at least 2, got {count}")
    landscape = Landscape(model, members, batches, train, loss)
    pairs = [(a, b) for a in range(count) for b in range(a + 1, count)]
    lines = []
    for done, (a, b) in enumerate(pairs, start=1):
        lines.append(_line(landscape, a, b, points))
        progress("lines", done, len(pairs))
    errors = [line.error_barrier for line in lines if line.error_barrier is not None]
    return Barriers(
        loss=_symmetric(count, [line.barrier for line in lines]),
        error=_symmetric(count, errors) if errors else None,
        distance=_symmetric(count, [line.distance for line in lines]),
    )


def _line(landscape: Landscape, a: int, b: int, points: int) -> LossLine:
    if points < 2:
        raise InputError(f"points must be at least 2, for both ends, got {points}")
    t = np.linspace(0, 1, points)
    count = landscape.members.count
    coefficients = [[(1 - at) * (each == a) + at * (each == b) for each in range(count)] for at in t.tolist()]
    loss, error = landscape.heights(coefficients)
    if not np.isfinite(loss).all():
        where = t[~np.isfinite(loss)][0]
        raise DivergenceError(f"the loss is not finite at t = {where:g} between member {a + 1} and member {b + 1}")
    distance = float(np.linalg.norm(landscape.members.flat(b) - landscape.members.flat(a)))
    return LossLine(t, loss, error, distance)


def _symmetric(count: int, of_pairs: Sequence[float]) -> Float[np.ndarray, "members members"]:
    """From the pairs above the diagonal, row by row."""
    matrix = np.zeros((count, count))
    matrix[np.triu_indices(count, 1)] = of_pairs
    return matrix + matrix.T
