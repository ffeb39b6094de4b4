"""From lazy to rich: diversity against SAM's radius, error of the prediction against alpha, and the change at equal loss."""

from itertools import cycle

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sharpdiv.checks.kernels.alpha_curves import COMPARED_AT, changes_at_equal_loss, curves
from sharpdiv.checks.kernels.alpha_network import DialNetwork
from sharpdiv.checks.members import jackknife
from sharpdiv.checks.results import Evidence
from sharpdiv.empirical.errors import StoreError
from sharpdiv.figures.figure import figure
from sharpdiv.figures.style import ALPHAS, COLORS, new_figure

__all__ = ["draw"]

_MAIN = "relu-none-8"  # the paper's activation, without a norm, as its theory has none
_LINES = ("#0072B2", "#CC79A7", "#009E73", "#E69F00", "#000000")


@figure(
    "bridge",
    finding="The lazier the network, the closer its ensembles are to what their tangent kernels predict",
    caption=(
        "Left: D of ensembles against SAM's ρ, predicted (line) and trained, at output scales α from lazy "
        "(100) to rich (1), k = 20 steps. Middle: relative error of the predicted functions and of D against "
        "α. Right: log ratio of the largest ρ to gradient descent at equal training loss, 95% intervals."
    ),
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
    main = next((network for network in networks if network.name == _MAIN), networks[0])
    figure, (left, middle, right) = new_figure(1, 3)
    _diversity(left, main)
    _errors(middle, networks)
    _at_equal_loss(right, main)
    return figure


def _diversity(axes: Axes, network: DialNetwork) -> None:
    """The same first members at every alpha."""
    theory = curves(network, "sam", members=network.members)
    column = int(np.flatnonzero(theory.steps == COMPARED_AT)[0])
    axes.plot(theory.fractions, theory.values["diversity"][0, :, column], color=COLORS["gd"], label="tangent kernel")
    for alpha in reversed(network.alphas):
        measured = curves(network, "sam", alpha, members=network.members)
        values = measured.values["diversity"][0, :, column]
        axes.plot(measured.fractions, values, "o:", lw=1, color=ALPHAS.get(alpha), label=f"trained, alpha = {alpha:g}")
    axes.set(xlabel="rho x_max (limit 3)", ylabel="D", title=f"{_title(network)}, k = {COMPARED_AT}")
    axes.legend(loc="upper right")


def _errors(axes: Axes, networks: list[DialNetwork]) -> None:
    for network, color in zip(networks, cycle(_LINES), strict=False):
        column = network.snapshots.index(COMPARED_AT)
        found = [of["sam"] for of in network.measured.values()]
        distance = [f.distance[:, column].mean() for f in found]
        error = [np.abs(f.relative_error["diversity"][:, column]).max() for f in found]
        axes.plot(network.alphas, distance, "o-", color=color, label=_title(network))
        axes.plot(network.alphas, error, "s:", lw=1, ms=4, color=color)
    ends = np.array([1.0, 100.0])
    for power, text in ((-0.5, "slope -1/2"), (-1.0, "slope -1")):
        axes.plot(ends, 1.5 * ends**power, color="0.6", lw=1, ls="--")
        axes.annotate(text, (110, 1.5 * 100**power), color="0.4", fontsize=6.5, va="center")
    axes.set(
        xscale="log", yscale="log", xlabel="alpha", ylabel="relative error", title="Functions (circles) and D (squares)"
    )
    axes.set_xlim(0.7, 330)
    axes.legend(loc="lower left")


def _at_equal_loss(axes: Axes, network: DialNetwork) -> None:
    """Log ratio of the largest rho to gradient descent, of the same members in theory and trained, with intervals."""
    steps = network.snapshots[-1]  # within which all reach that loss
    for shift, name, label, color in (
        (0.94, "diversity", "D", COLORS["sam"]),
        (1.06, "sharpness", "kappa", COLORS["sharpbalance"]),
    ):
        x, theory = [alpha * shift for alpha in network.alphas], []
        for place, alpha in zip(x, network.alphas, strict=True):
            predicted, trained, _ = changes_at_equal_loss(network, alpha, name, steps)
            theory.append(predicted[0])
            found = jackknife(label, trained)
            if not found.obstacle:
                text = f"{label}, trained" if alpha == network.alphas[0] else None
                axes.errorbar(place, found.value, found.high - found.value, fmt="o", capsize=3, color=color, label=text)
        axes.plot(x, theory, "--", lw=1, marker="_", color=color, label=f"{label}, tangent kernel")
    axes.axhline(0, color="0.3", lw=0.8)
    axes.set(
        xscale="log",
        xlabel="alpha",
        ylabel="log ratio, largest rho to none",
        title=f"{_title(network)}, at equal training loss",
    )
    axes.legend()


def _title(network: DialNetwork) -> str:
    about = network.network
    activation = {"relu": "ReLU", "gelu": "GELU"}[about.activation]
    norm = {"none": "no norm", "group": "group norm", "batch": "frozen batch norm"}[about.norm]
    return f"{activation}, {norm}, width {about.width}"
