"""SharpBalance in its variants: diversity against sharpness, beside the curve of SAM."""

from typing import Any

from matplotlib.figure import Figure

from checks import Evidence
from figures.measured import DATA_SETS, METHODS, ensembles_shown, legend_below, plot_intervals, required
from figures.style import COLORS, new_figure

__all__ = ["draw", "variants"]

_DATA = "fashion-mnist"
_RULES: dict[str, dict[str, Any]] = {
    "sharpest 50% (main)": {"rule": "paper", "top_fraction": 0.5},
    "sharpest 25%": {"rule": "paper", "top_fraction": 0.25},
    "rule of the authors' code": {"rule": "code"},
    "random, each member its own": {"rule": "random"},
    "random, the same for all": {"rule": "same"},
}
_LOOKS = {
    "SAM": (COLORS["sam"], "o"),
    "sharpest 50% (main)": (COLORS["sharpbalance"], "s"),
    "sharpest 25%": (COLORS["normalised"], "D"),
    "rule of the authors' code": ("#E69F00", "P"),
    "random, each member its own": (COLORS["control"], "^"),
    "random, the same for all": (COLORS["bound"], "v"),
}


def variants(evidence: Evidence) -> dict[str, Evidence]:
    """SharpBalance by each variant, and SGD and SAM as ``SAM``: the ensembles that were trained in all these ways.

    Args:
        evidence: measured ensembles.

    Returns:
        Empty if there is no variant but the main one, or no SAM to compare it with.
    """
    grid = evidence.where(data=_DATA, width=8, sparsity=0.0).of_size(3).complete()
    balance = grid.where(method="sharpbalance")
    found = {name: balance.where(**fields) for name, fields in _RULES.items()}
    found = {name: runs for name, runs in found.items() if runs.runs}
    plain = Evidence(grid.where(method="sgd").runs + grid.where(method="sam").runs)
    return {"SAM": plain, **found} if plain.runs and len(found) > 1 else {}


def draw(evidence: Evidence) -> Figure:
    """DER and ensemble accuracy against sharpness, one point for each rho.

    Args:
        evidence: measured ensembles.

    Returns:
        Two panels.

    Raises:
        StoreError: if nothing of that has been measured.
    """
    shown = required(variants(evidence), f"variants of SharpBalance on {_DATA}")
    figure, (left, right) = new_figure(1, 2, height=3.7)
    for name, series in shown.items():
        curve = series.measured(*METHODS)
        color, marker = _LOOKS[name]
        label = f"{name}: rho {', '.join(f'{rho:g}' for rho in curve.rho)}"
        for axes, values in ((left, curve.der), (right, 100 * (1 - curve.ensemble_error))):
            plot_intervals(axes, curve.sharpness, values, color=color, marker=marker, label=label)
            sgd = curve.rho == 0
            axes.plot(curve.sharpness[0, sgd], values[0, sgd], marker, color=COLORS["gd"], ms=5.5, zorder=3)
    left.set(xlabel="adaptive worst-case sharpness", ylabel="DER")
    right.set(xlabel="adaptive worst-case sharpness", ylabel="ensemble accuracy, %")
    for axes in (left, right):
        axes.set_title(f"{DATA_SETS[_DATA]}, {ensembles_shown(shown['SAM'])}")
    legend_below(figure, left, 3, "joined in the order of rho; black: SGD; bars: 95% bootstrap intervals")
    return figure
