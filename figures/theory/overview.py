"""Curves of the command line as one figure: the trade-off, and its parts over rho; a simulation's points upon them if there is one.

No registered figure: ``sharpdiv theory ... --plot FILE`` and ``sharpdiv simulate ... --plot FILE`` draw it.
"""

from textwrap import fill
from typing import Any, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sharpdiv.figures.labels import keep_apart
from sharpdiv.figures.scales import logarithmic
from sharpdiv.figures.style import COLORS, SMALL, TITLE_SIZE, mark_unstable, new_figure
from sharpdiv.theory.curves import Curves
from sharpdiv.theory.plots import LABELS, plot_columns, tell_rho

__all__ = ["draw_overview"]

_MARKED = 4
"""Values of rho told along the trade-off, at most."""
_MANY = 10
"""Times the smallest value that the largest is, from which on an axis is logarithmic."""
_CHARACTERS = 120
"""Of the parameters in a line."""
_DASHED, _DASH_DOT = {"ls": "--", "lw": 1}, {"ls": "-.", "lw": 1}  # dotted is what is unstable
_OVER_RHO: dict[str, dict[str, dict[str, Any]]] = {
    "diversity": {"diversity": {"color": COLORS["diversity"]}},
    "sharpness": {
        "sharpness": {"color": COLORS["sharpness"]},
        "sharpness_lower": {"color": COLORS["muted"]} | _DASH_DOT,
        "sharpness_upper": {"color": COLORS["muted"]} | _DASHED,
        "sharpness_lower_rigorous": {"color": COLORS["first"]} | _DASH_DOT,
        "sharpness_upper_rigorous": {"color": COLORS["first"]} | _DASHED,
    },
    "error": {
        "member_error": {"color": COLORS["error"]},
        "ensemble_error": {"color": COLORS["first"]} | _DASHED,
        "eir": {"color": COLORS["eir"]},
    },
}
"""Panels, their columns, and the looks of these."""


def draw_overview(curve: Curves, measured: Curves | None = None, titles: tuple[str, str] = ("", "")) -> Figure:
    """Four panels: diversity against sharpness; diversity, sharpness with its bounds, and errors and EIR over rho.

    Args:
        curve: A prediction.
        measured: A simulation at the same rho.
        titles: What it is of, above it, and its parameters, below.

    Returns:
        The figure, to be drawn within ``style``.

    Examples:
        >>> from sharpdiv.figures.theory.overview import draw_overview
        >>> from sharpdiv.theory import Setting, sam_tradeoff
        >>> len(draw_overview(sam_tradeoff(Setting(), (0.0, 0.1))).axes)
        4
    """
    figure, axes = new_figure(2, 2)
    _against(axes[0], curve, measured)
    for panel, (name, columns) in zip(axes[1:], _OVER_RHO.items(), strict=True):
        for column, look in columns.items():
            _over_rho(panel, curve, measured, column, look)
        panel.set(xlabel=LABELS["rho"], ylabel=LABELS.get(name, "error, EIR"))
        _logarithmic(panel, "y")
        if hasattr(curve, "critical_rho"):
            mark_unstable(panel, curve.critical_rho)
    entries = [panel.get_legend_handles_labels() for panel in axes]
    handles = {label: handle for entry in entries for handle, label in zip(*entry, strict=True)}
    title, parameters = titles
    below = fill(parameters, _CHARACTERS, break_on_hyphens=False)
    legend = figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=4, title=below)
    legend.get_title().set_multialignment("center")
    figure.suptitle(title, x=0.01, ha="left", fontsize=TITLE_SIZE, fontweight="bold")
    return figure


def _over_rho(axes: Axes, curve: Curves, measured: Curves | None, column: str, look: dict[str, Any]) -> None:
    """What has no closed form may have been measured."""
    if column in curve.columns():
        plot_columns(axes, curve, y=column, x="rho", label=LABELS[column], **look)
    if measured is not None and column in measured.columns():
        points = {"color": look["color"], "ms": 3, "elinewidth": 0.9, "mfc": COLORS["paper"]}
        plot_columns(axes, measured, y=column, x="rho", label="simulation, mean ± standard error", **points)


def _against(axes: Axes, curve: Curves, measured: Curves | None) -> None:
    """Diversity against sharpness, or over rho alone where sharpness has no formula."""
    known = curve.columns()
    axes.set(xlabel=LABELS["sharpness"], ylabel=LABELS["diversity"])
    if "sharpness" in known and "diversity" in known:
        plot_columns(axes, curve, color=COLORS["ink"], label="trade-off (dotted: unstable)")
        every = max(1, -(-len(known["rho"]) // _MARKED))
        tell_rho(axes, curve, known["rho"][::every].tolist(), color=COLORS["ink"], fontsize=SMALL)
    if measured is not None and {"sharpness", "diversity"} <= measured.columns().keys():
        plot_columns(axes, measured, color=COLORS["muted"], ms=3, elinewidth=0.9, label="_simulation")
    _logarithmic(axes, "x", "y")
    keep_apart(axes)


def _logarithmic(axes: Axes, *which: Literal["x", "y"]) -> None:
    """Where values differ that much that a linear axis would show the largest alone."""
    for name in which:
        values = np.concatenate([np.empty(0), *(getattr(line, f"get_{name}data")() for line in axes.get_lines())])
        values = values[np.isfinite(values)]
        if values.size and 0 < _MANY * values.min() < values.max():
            logarithmic(axes, name, few=True)
        else:  # a number of ticks that goes with the height can swing with the room that their labels take
            axes.locator_params(name, nbins=6)
