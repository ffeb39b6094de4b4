"""What predictions and simulations over a range of rho have in common: equality by value, a table, a plot."""

from dataclasses import fields
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np

from sharpdiv.theory.errors import required_module
from sharpdiv.theory.plots import LABELS, plot_columns

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from pandas import DataFrame

__all__ = ["ByValue", "Curves"]


class ByValue:
    """Frozen dataclass that holds arrays: equal if all fields are, with NaN equal to NaN.

    Examples:
        >>> import numpy as np
        >>> from sharpdiv.theory import Estimate
        >>> Estimate(np.array([1.0, np.nan]), None) == Estimate(np.array([1.0, np.nan]), None)
        True
    """

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        pairs = ((getattr(self, item.name), getattr(other, item.name)) for item in fields(self))  # type: ignore[arg-type]
        return all(_equal(ours, theirs) for ours, theirs in pairs)

    def __hash__(self) -> int:
        values = (getattr(self, item.name) for item in fields(self))  # type: ignore[arg-type]
        return hash((type(self), *(_hashable(value) for value in values)))


class Curves(ByValue):
    """Quantities over rho.

    Examples:
        >>> from sharpdiv.theory import Setting, sam_tradeoff
        >>> curve = sam_tradeoff(Setting(), (0.0, 0.1))
        >>> curve == sam_tradeoff(Setting(), (0.0, 0.1))
        True
        >>> list(curve.columns())[:3]
        ['rho', 'diversity', 'member_error']
    """

    def columns(self) -> dict[str, np.ndarray]:
        """Quantities that are known, over rho.

        Returns:
            Arrays of rho's shape by name, rho first; of an estimate its mean, and ``..._stderr`` if it has one.
        """
        found: dict[str, np.ndarray] = {}
        for item in fields(self):  # type: ignore[arg-type]
            value = getattr(self, item.name)
            parts = {item.name: getattr(value, "mean", value) if isinstance(value, ByValue) else value}
            parts[f"{item.name}_stderr"] = getattr(value, "stderr", None)
            found |= {name: part for name, part in parts.items() if isinstance(part, np.ndarray)}
        return {name: column for name, column in found.items() if not _nothing(column)}

    def to_frame(self) -> "DataFrame":
        """The columns as a table of pandas.

        Returns:
            A row for each rho.

        Raises:
            MissingPackageError: if pandas is not installed; the extra ``plot`` brings it.
        """
        return required_module("pandas", "to_frame").DataFrame(self.columns())

    def plot(self, y: str = "diversity", x: str = "sharpness", *, ax: "Axes | None" = None, **look: Any) -> "Axes":
        """One column against another: a line, dotted where it is not stable, or points with bars of one standard error.

        Args:
            y: Name of a column.
            x: Name of a column; the trade-off by default.
            ax: Axes to draw on; new ones unless given.
            **look: Of the line or the points, as Matplotlib takes it.

        Returns:
            The axes.

        Raises:
            DomainError: if there is no such column.
            MissingPackageError: if Matplotlib is not installed; the extra ``plot`` brings it.
        """
        figure = required_module("matplotlib.figure", "plot")
        axes = figure.Figure().subplots() if ax is None else ax
        plot_columns(axes, self, y=y, x=x, **{"marker": "."} | look)
        axes.set(xlabel=LABELS.get(x, x), ylabel=LABELS.get(y, y))
        return axes

    def _repr_html_(self) -> str:
        columns = self.columns()
        head = "".join(f"<th>{escape(name)}</th>" for name in columns)
        rows = zip(*(column.tolist() for column in columns.values()), strict=True)
        body = "".join(f"<tr>{''.join(f'<td>{_cell(value)}</td>' for value in row)}</tr>" for row in rows)
        return f"<table><tr>{head}</tr>{body}</table>"


def _cell(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _nothing(column: np.ndarray) -> bool:
    return column.dtype.kind == "f" and bool(np.isnan(column).all())


def _equal(ours: Any, theirs: Any) -> bool:
    if isinstance(ours, np.ndarray) and isinstance(theirs, np.ndarray):
        return np.array_equal(ours, theirs, equal_nan=ours.dtype.kind == "f")
    return type(ours) is type(theirs) and bool(ours == theirs)


def _hashable(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        numbers = value.astype(float) + 0  # -0 equals 0, and every NaN another
        return value.shape, np.where(np.isnan(numbers), np.nan, numbers).tobytes()
    return tuple(sorted(value.items())) if isinstance(value, dict) else value
