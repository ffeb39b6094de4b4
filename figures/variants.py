"""SharpBalance in its variants: diversity against sharpness, beside the curve of SAM."""

from matplotlib.figure import Figure

from checks import Evidence
from checks.designs import PLANS
from checks.variants import PAPER, VARIANTS
from figures.measured import BARS, DATA_SETS, METHODS, ensembles_shown, legend_below, plot_curve, required
from figures.style import COLORS, new_figure

__all__ = ["draw", "variants"]

_DATA = "fashion-mnist"
_SETS = {"the paper's rule": PAPER} | VARIANTS
_LOOKS = {
    "SAM": (COLORS["sam"], "o"),
    "the paper's rule": (COLORS["sharpbalance"], "s"),
    "a quarter of the samples": (COLORS["normalised"], "D"),
    "rule code": ("#E69F00", "P"),
    "rule random": (COLORS["control"], "^"),
    "rule same": (COLORS["bound"], "v"),
}


def variants(evidence: Evidence) -> dict[str, Evidence]:
    """SharpBalance by each variant, and SGD and SAM as ``SAM``: the ensembles that were trained in all these ways.

    Args:
        evidence: measured ensembles.

    Returns:
        Empty if there are none.
    """
    grid = evidence.whole(PLANS[_DATA] + PLANS[f"{_DATA}-variants"])
    plain = Evidence(grid.where(method="sgd").runs + grid.where(method="sam").runs)
    balance = grid.where(method="sharpbalance")
    return {"SAM": plain} | {name: balance.where(**sets) for name, sets in _SETS.items()} if grid.runs else {}


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
            plot_curve(axes, curve, values, color=color, marker=marker, label=label)
    left.set(xlabel="adaptive worst-case sharpness", ylabel="DER")
    right.set(xlabel="adaptive worst-case sharpness", ylabel="ensemble accuracy, %")
    for axes in (left, right):
        axes.set_title(f"{DATA_SETS[_DATA]}, {ensembles_shown(shown['SAM'])}")
    legend_below(figure, left, 3, f"joined in the order of rho; black: SGD; {BARS}")
    return figure
