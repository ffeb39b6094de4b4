"""Fig. 7 of the paper: accuracy of ensembles and of their members, by method."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from checks import Evidence
from figures.measured import BARS, DATA_SETS, METHODS, bars, compared, ensembles_shown, legend_below, required, rho_of
from figures.style import new_figure

__all__ = ["draw"]

_WIDTH = 0.38  # of a bar; methods are 1 apart
_ALPHAS = {1.0: "ensemble", 0.35: "mean of its members"}


def draw(evidence: Evidence) -> Figure:
    """Clean and corrupted accuracy of the three methods at the largest rho that SAM and SharpBalance have in common.

    Args:
        evidence: measured ensembles.

    Returns:
        Two panels for each data set.

    Raises:
        StoreError: if nothing of that has been measured.
    """
    shown = required(compared(evidence), "the three methods at an equal rho")
    figure, axes = new_figure(2, len(shown), width=3.7, height=2.9)
    for column, (data, design) in enumerate(shown.items()):
        upper, lower = axes[column], axes[column + len(shown)]
        curves = {name: design.measured(name) for name in METHODS}
        _plot(upper, {name: (1 - c.ensemble_error, 1 - c.member_error) for name, c in curves.items()})
        _plot(lower, {n: (c.corrupted_ensemble_accuracy, c.corrupted_member_accuracy) for n, c in curves.items()})
        upper.set_title(f"{DATA_SETS[data]}, {ensembles_shown(design)}, rho = {rho_of(design):g}")
        lower.set(title="the same on corrupted images", xlabel="method")
    for alpha, label in _ALPHAS.items():
        axes[0].bar(0, 0, color="black", alpha=alpha, label=label)
    legend_below(figure, axes[0], 2, f"rho: the largest in common; axes do not start at 0; {BARS}")
    return figure


def _plot(axes: Axes, accuracies: dict[str, tuple[np.ndarray, np.ndarray]]) -> None:
    ends: list[float] = []
    texts = []
    for place, (name, pair) in enumerate(accuracies.items()):
        for side, alpha, accuracy in zip((-0.5, 0.5), _ALPHAS, pair, strict=True):
            (height,), ((low,), (high,)) = bars(100 * accuracy)
            x = place + side * _WIDTH
            axes.bar(x, height, _WIDTH, color=METHODS[name][1], alpha=alpha)
            axes.errorbar(x, height, [[low], [high]], color="0.5", elinewidth=1, capsize=2)
            texts.append((x, f"{height:.1f}", "white" if alpha == 1 else "black"))
            ends += [height - low, height + high]
    span = max(ends) - min(ends)
    bottom = min(ends) - 0.25 * span
    for x, text, color in texts:
        axes.text(x, bottom + 0.03 * span, text, ha="center", va="bottom", fontsize=8, color=color)
    axes.set(ylim=(bottom, max(ends) + 0.05 * span), ylabel="accuracy, %")
    axes.set_xticks(range(len(accuracies)), [METHODS[name][0] for name in accuracies])
    axes.set_axisbelow(True)
    axes.grid(visible=False, axis="x")
