"""Options of the theory's commands: which ensembles, and what is beyond the paper's model."""

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import tyro

from sharpdiv.cli.errors import UsageError
from sharpdiv.cli.spectra import eigenvalues_in, eigenvalues_of

__all__ = ["Ensemble", "Model", "require_seed"]


@dataclass(frozen=True)
class Ensemble:
    """Which ensembles, one for each rho."""

    method: Annotated[Literal["gd", "sam", "sharpbalance"], tyro.conf.Positional]
    """gd (rho = 0), sam, or sharpbalance"""
    rho: tuple[str, ...] = ()
    """one or more SAM radii, each a number or start:stop:count"""
    blocks: int | None = None
    """s, disjoint row blocks, a member each (sharpbalance: 10; random-features 3, two-layer 2, diagonal 4; gd: the control)"""
    members: int | None = None
    """m of the ensemble for gd and sam on all the data, default 3; blocks have one member each"""

    @property
    def radii(self) -> tuple[float, ...]:
        """The SAM radii as numbers."""
        return tuple(value for text in self.rho for value in _radii(text))

    @property
    def size(self) -> int:
        """Members of an ensemble on all the data."""
        return 3 if self.members is None else self.members

    def resolved(self, blocks: int) -> "Ensemble":
        """With the method's own radii and blocks (None: all the data) filled in, or a usage error."""
        if self.members is not None and (self.blocks is not None or self.method == "sharpbalance"):
            raise UsageError("--members goes with gd and sam on all the data; blocks have one member each")
        if self.method == "gd":
            if any(value != 0 for value in self.radii):
                raise UsageError(f"gd is rho = 0, got --rho {' '.join(self.rho)}; use sam or sharpbalance")
            return replace(self, rho=self.rho or ("0",))
        if not self.rho:
            raise UsageError(f"{self.method} needs --rho with at least one radius")
        if self.method == "sam" and self.blocks is not None:
            raise UsageError("sam trains on all the data; --blocks goes with sharpbalance and gd")
        if self.method == "sharpbalance" and self.blocks is not None and self.blocks < 2:
            raise UsageError(f"sharpbalance needs at least 2 blocks, got {self.blocks}; one block is all the data")
        return replace(self, blocks=blocks) if self.method == "sharpbalance" and self.blocks is None else self


@dataclass(frozen=True)
class Model:
    """Beyond the paper's model of data and optimizer."""

    data_spectrum: Path | None = None
    """file with the eigenvalues of the data's covariance Sigma (one a line, or .npy), instead of all 1; rows are N(0, Sigma/d)"""
    data_covariance: Path | None = None
    """file with Sigma itself, a symmetric matrix (text, or .npy), whose eigenvalues are taken"""
    optimizer: str = "sam"
    """sam, whose ascent is rho times the gradient, normalized-sam, whose ascent has the length rho, or a plugin's"""
    normalized: Annotated[bool, tyro.conf.arg(aliases=["--normalised"])] = False
    """the same as --optimizer normalized-sam"""

    @property
    def steps(self) -> str:
        """Name of the optimizer."""
        if self.normalized and self.optimizer not in {"sam", "normalized-sam"}:
            raise UsageError(f"--normalized is about sam; it does not go with --optimizer {self.optimizer}")
        return "normalized-sam" if self.normalized else self.optimizer

    def covariance(self) -> np.ndarray | None:
        """The eigenvalues that the file means, or None."""
        return self._eigenvalues

    @cached_property
    def _eigenvalues(self) -> np.ndarray | None:
        if self.data_spectrum is not None and self.data_covariance is not None:
            raise UsageError("--data-spectrum and --data-covariance do not go together: both say what Sigma is")
        if self.data_covariance is not None:
            return eigenvalues_of(self.data_covariance)
        return None if self.data_spectrum is None else eigenvalues_in(self.data_spectrum)


def _radii(text: str) -> list[float]:
    """A number, or ``start:stop:count`` with both ends."""
    parts = text.split(":")
    try:
        if len(parts) == 1:
            return [float(text)]
        start, stop, count = float(parts[0]), float(parts[1]), int(parts[2])
    except (ValueError, IndexError):
        raise UsageError(f"--rho takes numbers or start:stop:count, got {text!r}") from None
    if len(parts) > 3 or not 2 <= count <= 100_000:
        raise UsageError(f"--rho start:stop:count needs a count from 2 to 100000, got {text!r}")
    return [float(value) for value in np.linspace(start, stop, count)]


def require_seed(seed: int) -> None:
    """Accept the seed of a random generator."""
    if seed < 0:
        raise UsageError(f"--seed must be non-negative, got {seed}")
