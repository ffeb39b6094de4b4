"""From lazy to rich: diversity against SAM's radius, error of the prediction against alpha, and the change at equal loss."""

from collections.abc import Sequence
from itertools import cycle
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sharpdiv.checks.evidence import Evidence
from sharpdiv.checks.kernels.alpha_curves import COMPARED_AT, changes_at_equal_loss, curves
from sharpdiv.checks.kernels.alpha_network import DialNetwork
from sharpdiv.checks.members import jackknife
from sharpdiv.empirical.errors import StoreError
from sharpdiv.figures.figure import figure
from sharpdiv.figures.style import ALPHAS, COLORS, SMALL, new_figure

__all__ = ["draw", "title"]

_MAIN = "relu-none-8"  # the paper's activation, without a norm, as its theory has none
_LOOKS = (("first", "o"), ("second", "s"), ("third", "^"), ("fourth", "D"), ("fifth", "v"))
"""Of networks; alphas and quantities have other colours."""
_MARKERS = dict(zip(ALPHAS, "osD^v", strict=True))


def _main(networks: Sequence[DialNetwork]) -> DialNetwork:
    return next((network for network in networks if network.name == _MAIN), networks[0])


def _finding(network: DialNetwork) -> str:
    """Ends of the dial."""
    column = network.snapshots.index(COMPARED_AT)
    rich, lazy = min(network.alphas), max(network.alphas)
    errors = [np.abs(network.measured[a]["sam"].relative_error["diversity"][:, column]).max() for a in (lazy, rich)]
    return (
        f"Tangent kernels predict the diversity of lazy networks (α = {lazy:g}) within {100 * errors[0]:.2g}% and of rich ones "
        f"(α = {rich:g}) within {100 * errors[1]:.2g}%"
    )


def _caption(network: DialNetwork) -> str:
    return (
        f"Left and right: {title(network)}. Left: D of ensembles against SAM's ρ, predicted (line) and trained, at output scales α "
        f"from lazy to rich, k = {COMPARED_AT} steps. Middle: relative error of the predicted functions (filled) and of D (open), "
        "means over ρ, against α, of all networks. Right: log of the ratio of D, and of κ, at the largest ρ to that of gradient "
        "descent (ρ = 0), at equal training loss; 95% intervals."
    )


@figure(
    "bridge",
    finding=lambda evidence: _finding(_main(evidence.trained_in_all_layers)),
    caption=lambda evidence: _caption(_main(evidence.trained_in_all_layers)),
    alt=(
        "Three panels. Left: trained diversity follows the kernel's rising line for large alpha and falls for"
        " alpha 1. Middle: errors fall as alpha grows, faster for GELU than for ReLU networks. Right: changes"
        " of D and sharpness at equal loss, with intervals, beside the kernel's."
    ),
    needs=lambda evidence: evidence.trained_in_all_layers,
)
def draw(evidence: Evidence) -> Figure:
    """Three panels, the first and the last on one network, the second on all.

    Args:
        evidence: with the lazy-to-rich dial.

    Returns:
        The figure.

    Raises:
        StoreError: if there is none.
    """
    networks = evidence.trained_in_all_layers
    if not networks:
        raise StoreError("this figure shows the lazy-to-rich dial, which is not in the results; run sharpdiv reproduce")
    main = _main(networks)
    figure, (left, middle, right) = new_figure(1, 3, height=2.7)
    _diversity(left, main)
    _errors(middle, networks)
    _at_equal_loss(right, main)
    return figure


def _diversity(axes: Axes, network: DialNetwork) -> None:
    """The same first members at every alpha."""
    theory = curves(network, "sam", members=network.members)
    column = int(np.flatnonzero(theory.steps == COMPARED_AT)[0])
    axes.plot(theory.fractions, theory.values["diversity"][0, :, column], color=COLORS["ink"], label="tangent kernel")
    for alpha in reversed(network.alphas):
        measured = curves(network, "sam", alpha, members=network.members)
        values = measured.values["diversity"][0, :, column]
        look: dict[str, Any] = {"marker": _MARKERS.get(alpha), "color": ALPHAS.get(alpha), "ls": ":", "lw": 0.9}
        axes.plot(measured.fractions, values, label=rf"trained, $\alpha = {alpha:g}$", **look)
    axes.set(xlabel=r"$\rho\,x_{\max}$ (limit 3)", ylabel="diversity $D$", title=f"$k = {COMPARED_AT}$ steps")
    _legend_below(axes)


def _errors(axes: Axes, networks: list[DialNetwork]) -> None:
    for network, (name, marker) in zip(networks, cycle(_LOOKS), strict=False):
        column = network.snapshots.index(COMPARED_AT)
        found = [of["sam"] for of in network.measured.values()]
        distance = [f.distance[:, column].mean() for f in found]
        error = [np.abs(f.relative_error["diversity"][:, column]).mean() for f in found]
        look: dict[str, Any] = {"color": COLORS[name], "marker": marker}
        axes.plot(network.alphas, distance, label=title(network), **look)
        axes.plot(network.alphas, error, ls=":", lw=0.9, mfc=COLORS["paper"], **look)
    ends = np.array([1.0, 100.0])
    for power, text in ((-0.5, "slope $-1/2$"), (-1.0, "slope $-1$")):
        axes.plot(ends, 1.5 * ends**power, color=COLORS["muted"], lw=0.8, ls="--")
        axes.annotate(text, (110, 1.5 * 100**power), color=COLORS["muted"], fontsize=SMALL, va="center")
    axes.set(
        xscale="log", yscale="log", xlabel=r"$\alpha$", ylabel="relative error", title="functions (filled), $D$ (open)"
    )
    axes.set_xlim(0.7, 900)
    _legend_below(axes)


def _at_equal_loss(axes: Axes, network: DialNetwork) -> None:
    """Log ratio of the largest rho to gradient descent, of the same members in theory and trained, with intervals."""
    steps = network.snapshots[-1]  # within which all reach that loss
    for shift, name, label, color, marker in (
        (0.94, "diversity", "$D$", COLORS["diversity"], "o"),
        (1.06, "sharpness", r"$\kappa$", COLORS["sharpness"], "s"),
    ):
        x, theory = [alpha * shift for alpha in network.alphas], []
        for place, alpha in zip(x, network.alphas, strict=True):
            predicted, trained, _ = changes_at_equal_loss(network, alpha, name, steps)
            theory.append(predicted[0])
            found = jackknife(label, trained)
            if not found.obstacle:
                text = f"{label}, trained" if alpha == network.alphas[0] else None
                look: dict[str, Any] = {"fmt": marker, "capsize": 1.5, "elinewidth": 0.9, "color": color}
                axes.errorbar(place, found.value, found.high - found.value, label=text, **look)
        axes.plot(x, theory, "--", lw=0.9, marker="_", color=color, label=f"{label}, tangent kernel")
    axes.axhline(0, color=COLORS["muted"], lw=0.8)
    axes.set(
        xscale="log",
        xlabel=r"$\alpha$",
        ylabel="log ratio of values,\n" r"largest $\rho$ to $\rho = 0$",
        title="at equal training loss",
    )
    _legend_below(axes)


def _legend_below(axes: Axes) -> None:
    """Under the label of the x-axis, however high the panel is."""
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, 0), borderaxespad=5)


def title(network: DialNetwork) -> str:
    """Activation, normalization and width, as a reader knows them.

    Args:
        network: of the dial.

    Returns:
        One line.
    """
    about = network.network
    activation = {"relu": "ReLU", "gelu": "GELU"}[about.activation]
    norm = {"none": "no norm", "group": "group norm", "batch": "frozen batch norm"}[about.norm]
    return f"{activation}, {norm}, width {about.width}"
