"""The quadratic ensemble problem: one frozen description of data, initialization, training and measurement."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from sharpdiv.theory.errors import DomainError, require_finite, require_integer

__all__ = ["Setting", "check_blocks", "ensemble_size", "rho_values"]


@dataclass(frozen=True)
class Setting:
    """Quadratic objective ``|A(w - w*)|^2 / 2`` on n samples in d dimensions; defaults are the paper's theory figures.

    Raises:
        DomainError: if a number is outside its domain; the message names it.

    Examples:
        >>> from sharpdiv.theory import Setting
        >>> setting = Setting(n=1000, d=100, init_variance=0.25)
        >>> setting.ratio, setting.omega  # n/d, and sqrt(init_variance * d)
        (10.0, 5.0)
    """

    n: int = 3000
    """samples: rows of A, whose entries are independent normal with variance 1/d"""
    d: int = 150
    """dimensions: columns of A"""
    steps: int = 3
    """k, full-batch steps"""
    learning_rate: float = 0.01
    """eta"""
    init_variance: float = 0.1
    """sigma^2, variance of each coordinate of the initialization"""
    radius: float = 0.01
    """rho_0, l2 radius in which sharpness is the largest increase of the loss"""
    teacher_norm: float | None = None
    """|w*|, norm of the teacher, whose direction is uniform; sqrt(init_variance * d) unless given"""
    label_noise: float = 0.0
    """s_e^2, variance of the noise on the labels"""

    def __post_init__(self) -> None:
        require_integer("n", self.n, 1)
        require_integer("d", self.d, 1)
        require_integer("steps", self.steps, 0)
        require_finite("learning rate", self.learning_rate, positive=True)
        require_finite("init variance", self.init_variance)
        require_finite("radius", self.radius, positive=True)
        require_finite("label noise", self.label_noise)
        if self.teacher_norm is not None:
            require_finite("teacher norm", self.teacher_norm)

    @property
    def ratio(self) -> float:
        """R = n/d."""
        return self.n / self.d

    @property
    def omega(self) -> float:
        """Norm of the teacher, ``sqrt(sigma^2 d)`` unless given."""
        return self.teacher_norm if self.teacher_norm is not None else float(np.sqrt(self.init_variance * self.d))


def rho_values(rho: float | tuple[float, ...] | Float[np.ndarray, " rho"]) -> Float[np.ndarray, " rho"]:
    """Values of SAM's rho as a checked vector.

    Args:
        rho: a number or several, non-negative.

    Returns:
        Shape ``(rho,)``.

    Raises:
        DomainError: if one is negative or not finite, or there is none.

    Examples:
        >>> from sharpdiv.theory.setting import rho_values
        >>> rho_values(0.1).tolist(), rho_values((0.0, 0.1)).tolist()
        ([0.1], [0.0, 0.1])
    """
    if np.asarray(rho).dtype == bool:
        raise DomainError(f"rho must be a number or a vector of numbers, got {rho}")
    values = np.atleast_1d(np.asarray(rho, dtype=float))
    if values.ndim != 1 or not values.size:
        raise DomainError(f"rho must be a number or a non-empty vector, got shape {values.shape}")
    require_finite("rho", values.tolist())
    return values


def check_blocks(blocks: int, n: int) -> None:
    """Accept a number of disjoint row blocks that leaves every block a row.

    Args:
        blocks: number of blocks.
        n: number of rows.

    Raises:
        DomainError: if it is below 1 or above n.

    Examples:
        >>> from sharpdiv.theory.setting import check_blocks
        >>> check_blocks(4, n=3)
        Traceback (most recent call last):
        ...
        sharpdiv.theory.errors.DomainError: blocks must lie between 1 and n = 3, got 4: every block needs a row of the data
    """
    require_integer("blocks", blocks, 1)
    if not 1 <= blocks <= n:
        raise DomainError(f"blocks must lie between 1 and n = {n}, got {blocks}: every block needs a row of the data")


def ensemble_size(members: int | None, blocks: int, n: int) -> int:
    """Number of members: 3 on all the data unless given, and one on each of several blocks of equal size.

    Args:
        members: M, or None.
        blocks: s, a divisor of n.
        n: number of samples.

    Returns:
        M, or s with blocks.

    Raises:
        DomainError: if blocks do not divide n, there are fewer than two members, or members are given with blocks.

    Examples:
        >>> from sharpdiv.theory.setting import ensemble_size
        >>> ensemble_size(None, 1, n=60), ensemble_size(5, 1, n=60), ensemble_size(None, 4, n=60)
        (3, 5, 4)
    """
    require_integer("blocks", blocks, 1)
    if n % blocks:
        raise DomainError(
            f"blocks must divide n = {n}, got {blocks}: drop {n % blocks} samples or take another number of blocks"
        )
    if blocks == 1:
        members = 3 if members is None else members
        require_integer("members", members, 2)
        return members
    if members is not None:
        raise DomainError(f"blocks have one member each: leave members out with {blocks} blocks, got {members}")
    return blocks
