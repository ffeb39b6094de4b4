"""Fig. 1a of the paper, in our own way: what SAM is said to trade, and what SharpBalance is to keep. A diagram."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sharpdiv.checks.evidence import Evidence
from sharpdiv.figures.figure import figure
from sharpdiv.figures.style import COLORS, MARKERS, SMALL, TITLE_SIZE, new_figure

__all__ = ["draw"]

_BALL = 0.32
"""Half of the width in which sharpness is the rise of the loss."""
_SMOOTH = 12
"""Of the least of three valleys' losses; the larger, the sharper the ridges between them."""
_PANELS = (
    ("gd", "SGD: sharp and diverse", (-1.9, 0.1, 2.0), 0.38),
    ("sam", "SAM: flat, less diverse", (-0.75, 0.0, 0.75), 1.05),
    ("sharpbalance", "SharpBalance: flat and diverse", (-1.9, 0.0, 1.9), 0.8),
)
"""Method, title, places of its three members, and width of the valleys they lie in."""


@figure(
    "idea",
    finding="The idea: SAM finds flat valleys that lie close together, SharpBalance flat ones that lie apart",
    caption=(
        "A diagram of what the paper claims (its Fig. 1a, drawn in our way); nothing in it is measured. A loss over "
        "weights, and three members of an ensemble: the rise of the loss within the shaded ball is the sharpness κ, "
        "how far the members' predictions lie apart is the diversity D. What is measured is in the figures of theory "
        "and of trained ensembles."
    ),
    alt=(
        "Three curves of a loss over weights with three dots each. SGD: dots far apart in narrow valleys. SAM: dots "
        "close together in one wide valley. SharpBalance: dots far apart in wide valleys."
    ),
)
def draw(_: Evidence) -> Figure:
    """One panel for each method.

    Returns:
        Three panels without numbers.
    """
    figure, axes = new_figure(1, 3, height=1.7)
    for panel, (method, title, members, width) in zip(axes, _PANELS, strict=True):
        _valleys(panel, method, np.array(members), width)
        panel.set(title=title, xlabel="weights", xticks=[], yticks=[], xlim=(-3, 3), ylim=(-0.42, 1.25))
        panel.grid(visible=False)
    axes[0].set_ylabel("loss")
    return figure


def _valleys(axes: Axes, method: str, members: np.ndarray, width: float) -> None:
    color = COLORS[method]

    def loss(w: np.ndarray) -> np.ndarray:
        each = 1 - np.exp(-(((w[:, None] - members) / width) ** 2))
        return np.asarray(-np.log(np.exp(-_SMOOTH * each).sum(axis=1)) / _SMOOTH)

    w = np.linspace(-3, 3, 601)
    axes.plot(w, loss(w), color=COLORS["muted"])
    for member in members:
        near = np.linspace(member - _BALL, member + _BALL, 41)
        axes.fill_between(near, 0, loss(near), color=color, alpha=0.35, lw=0)
    axes.plot(members, np.zeros(3), ls="", marker=MARKERS[method], ms=5, color=color, zorder=3)
    arrow = {"arrowstyle": "<->", "color": COLORS["ink"], "lw": 0.8, "shrinkA": 0, "shrinkB": 0}
    axes.annotate("", (members[0], -0.17), (members[-1], -0.17), arrowprops=arrow)
    look: dict[str, Any] = {"ha": "center", "va": "top", "fontsize": SMALL}
    axes.annotate("diversity $D$", (float(members.mean()), -0.22), **look)
    end, rise = float(members[-1]) + _BALL, float(loss(members[-1:] + _BALL)[0])
    axes.plot([end, end], [0, rise], color=COLORS["ink"], lw=2)
    axes.annotate(r"$\kappa$", (end + 0.1, rise / 2), va="center", fontsize=TITLE_SIZE, zorder=4)
