"""The one place where columns of a prediction or a simulation become lines and points: of figures, of ``--plot``, of notebooks."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from sharpdiv.theory.errors import DomainError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from sharpdiv.theory.curves import Curves

__all__ = ["LABELS", "plot_columns", "tell_rho"]

LABELS = {
    "rho": r"$\rho$",
    "diversity": "diversity $D$",
    "sharpness": r"sharpness $\kappa$",
    "sharpness_ensemble": r"sharpness $\kappa$ at the members' mean",
    "sharpness_member": r"sharpness $\kappa$ of a member",
    "sharpness_lower": "published lower bound",
    "sharpness_upper": "published upper bound",
    "sharpness_lower_rigorous": "rigorous lower bound",
    "sharpness_upper_rigorous": "rigorous upper bound",
    "member_error": "error of a member",
    "ensemble_error": "error of the ensemble",
    "eir": "EIR",
    "training_loss": "training loss",
    "trace": "trace of the Hessian",
}
"""What columns are called at an axis or in a legend."""


def plot_columns(axes: "Axes", curves: "Curves", *, y: str = "diversity", x: str = "sharpness", **look: Any) -> None:
    """One column against another: a line, dotted where it is not stable; points with bars of one standard error if it is measured.

    Args:
        axes: Where.
        curves: A prediction or a simulation over rho.
        y: Name of a column.
        x: Name of a column.
        **look: Of the line or the points, as Matplotlib takes it.

    Raises:
        DomainError: if there is no such column.

    Examples:
        >>> from matplotlib.figure import Figure
        >>> from sharpdiv.theory import Setting, sam_tradeoff
        >>> from sharpdiv.theory.plots import plot_columns
        >>> axes = Figure().subplots()
        >>> plot_columns(axes, sam_tradeoff(Setting(), (0.0, 0.1, 0.2)), x="rho")  # the last is not stable
        >>> [line.get_linestyle() for line in axes.get_lines()]
        ['-', ':']
    """
    columns = curves.columns()
    for name in (x, y):
        if name not in columns:
            raise DomainError(f"there is no column {name!r} here; there are {', '.join(columns)}")
    bars: dict[str, Any] = {f"{way}err": columns.get(f"{name}_stderr") for way, name in (("x", x), ("y", y))}
    if any(bar is not None for bar in bars.values()):
        axes.errorbar(columns[x], columns[y], **bars, **{"ls": "", "marker": "o"} | look)
        return
    stable = columns.get("stable", np.ones(columns[x].shape, bool))
    dotted = look | {"ls": ":", "label": "_unstable"}
    (line,) = axes.plot(columns[x][stable], columns[y][stable], **look)
    if not stable.all():
        first = max(int(np.argmin(stable)) - 1, 0)  # dotted from the last stable point on
        axes.plot(columns[x][first:], columns[y][first:], **{"color": line.get_color()} | dotted)


def tell_rho(
    axes: "Axes", curves: "Curves", rhos: Sequence[float], *, y: str = "diversity", x: str = "sharpness", **look: Any
) -> None:
    """Mark some rho on a curve that has no axis of rho.

    Args:
        axes: Where the curve is drawn.
        curves: A prediction over rho.
        rhos: Values to be marked, each at the nearest rho of the curve.
        y: Name of the curve's column.
        x: Name of the other one.
        **look: Of the text, as Matplotlib takes it; ``color`` is also that of the marks, ``marker`` theirs, ``offset`` in points.

    Examples:
        >>> from matplotlib.figure import Figure
        >>> from sharpdiv.theory import Setting, sam_tradeoff
        >>> from sharpdiv.theory.plots import tell_rho
        >>> axes = Figure().subplots()
        >>> tell_rho(axes, sam_tradeoff(Setting(), (0.0, 0.1)), [0.1])
        >>> axes.texts[0].get_text()
        '0.1'
    """
    columns, marker, offset = curves.columns(), look.pop("marker", "|"), look.pop("offset", (4, -2))
    for rho in rhos:
        place = int(np.argmin(np.abs(columns["rho"] - rho)))
        at = columns[x][place], columns[y][place]
        axes.plot(*at, marker, ms=3.5, color=look.get("color"))
        axes.annotate(f"{rho:.3g}", at, xytext=offset, textcoords="offset points", **look)
