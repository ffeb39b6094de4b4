"""From lazy to rich: diversity against SAM's radius, error of the prediction against alpha, and the change at equal loss."""

from itertools import cycle
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from checks import Evidence
from checks.evidence import Interval
from checks.lazy_limit import COMPARED_AT, at_matched_loss, change, curves, finite_interval
from empirical import StoreError
from figures.style import ALPHAS, COLORS, new_figure

__all__ = ["draw"]

_LINES = ("#0072B2", "#CC79A7", "#009E73", "#E69F00", "#000000")


def draw(evidence: Evidence) -> Figure:
    """Three panels on the network with most values of alpha, the second on all.

    Args:
        evidence: with the lazy-to-rich dial.

    Returns:
        The figure.

    Raises:
        StoreError: if there is none.
    """
    networks = [network for network in evidence.networks if not network["network"]["head_only"]]
    if not networks:
        raise StoreError("this figure shows the lazy-to-rich dial, which is not in the results; run sharpdiv reproduce")
    main = max(networks, key=lambda network: len(network["measured"]))
    figure, (left, middle, right) = new_figure(1, 3)
    _diversity(left, main)
    _errors(middle, networks)
    _at_equal_loss(right, main)
    return figure


def _diversity(axes: Axes, network: dict[str, Any]) -> None:
    """The same first members at every alpha."""
    members = network["dial"]["members"]
    theory = curves(network, "sam", members=members)
    column = int(np.flatnonzero(theory.steps == COMPARED_AT)[0])
    axes.plot(theory.fractions, theory.values["diversity"][0, :, column], color=COLORS["gd"], label="tangent kernel")
    for alpha in sorted(network["measured"], key=float, reverse=True):
        measured = curves(network, "sam", alpha, members)
        values = measured.values["diversity"][0, :, column]
        axes.plot(measured.fractions, values, "o:", lw=1, color=ALPHAS.get(alpha), label=f"trained, alpha = {alpha}")
    axes.set(xlabel="rho x_max (limit 3)", ylabel="D", title=f"{_title(network)}, k = {COMPARED_AT}")
    axes.legend(loc="upper right")


def _errors(axes: Axes, networks: list[dict[str, Any]]) -> None:
    for network, color in zip(networks, cycle(_LINES), strict=False):
        alphas = sorted(network["measured"], key=float)
        column = network["dial"]["snapshots"].index(COMPARED_AT)
        found = [network["measured"][alpha]["sam"] for alpha in alphas]
        distance = [np.nanmean(np.array(f["distance"], dtype=float)[:, column]) for f in found]
        error = [np.nanmax(np.abs(np.array(f["relative_error"]["diversity"], dtype=float)[:, column])) for f in found]
        x = [float(alpha) for alpha in alphas]
        axes.plot(x, distance, "o-", color=color, label=_title(network))
        axes.plot(x, error, "s:", lw=1, ms=4, color=color)
    ends = np.array([1.0, 100.0])
    for power, text in ((-0.5, "slope -1/2"), (-1.0, "slope -1")):
        axes.plot(ends, 1.5 * ends**power, color="0.6", lw=1, ls="--")
        axes.annotate(text, (110, 1.5 * 100**power), color="0.4", fontsize=8, va="center")
    axes.set(
        xscale="log", yscale="log", xlabel="alpha", ylabel="relative error", title="Functions (circles) and D (squares)"
    )
    axes.set_xlim(0.7, 330)
    axes.legend(loc="lower left")


def _at_equal_loss(axes: Axes, network: dict[str, Any]) -> None:
    """Change from gradient descent to the largest rho, of all members there are, with intervals."""
    for shift, (name, label, color) in zip(
        (0.95, 1.05), (("diversity", "D", COLORS["sam"]), ("sharpness", "kappa", COLORS["sharpbalance"])), strict=True
    ):
        theory = change(at_matched_loss(curves(network, "sam"), name))[0]
        axes.axhline(theory, color=color, lw=1, ls="--", label=f"{label}, tangent kernel")
        for index, alpha in enumerate(sorted(network["measured"], key=float)):
            span = finite_interval(change(at_matched_loss(curves(network, "sam", alpha), name)))
            if span is not None:
                text = f"{label}, trained" if index == 0 else None
                axes.errorbar(
                    float(alpha) * shift, span.value, _bars(span), fmt="o", capsize=3, color=color, label=text
                )
    axes.axhline(0, color="0.3", lw=0.8)
    axes.set(xscale="log", xlabel="alpha", ylabel="relative change over rho", title="At equal training loss")
    axes.legend()


def _bars(span: Interval) -> np.ndarray:
    return np.maximum([[span.value - span.low], [span.high - span.value]], 0)


def _title(network: dict[str, Any]) -> str:
    about = network["network"]
    activation = {"relu": "ReLU", "gelu": "GELU"}[about["activation"]]
    norm = {"none": "no norm", "group": "group norm", "batch": "frozen batch norm"}[about["norm"]]
    return f"{activation}, {norm}, width {about['width']}"
