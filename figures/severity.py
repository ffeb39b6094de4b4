"""Appendix of the paper: accuracy by the severity of the corruption."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from checks import Evidence
from figures.measured import DATA_SETS, METHODS, compared, ensembles_shown, legend_below, required, rho_of
from figures.style import new_figure

__all__ = ["draw"]

_KINDS = {"accuracy_ensemble": ("ensemble", "-", "o"), "accuracy_mean": ("mean of its members", "--", "s")}


def draw(evidence: Evidence) -> Figure:
    """Accuracy of the three methods at an equal rho, and what SAM and SharpBalance add to a deep ensemble.

    Args:
        evidence: measured ensembles.

    Returns:
        Two panels for each data set.

    Raises:
        StoreError: if nothing of that has been measured.
    """
    shown = required(compared(evidence), "the three methods at an equal rho")
    figure, axes = new_figure(2, len(shown), width=3.7, height=2.7)
    for column, (data, design) in enumerate(shown.items()):
        upper, lower = axes[column], axes[column + len(shown)]
        for kind in _KINDS:
            _plot(upper, lower, design, kind)
        upper.set(title=f"{DATA_SETS[data]}, {ensembles_shown(design)}, rho = {rho_of(design):g}", ylabel="accuracy, %")
        lower.set(xlabel="severity", ylabel="gain over deep\nensemble, points")
        lower.axhline(0, color=METHODS["sgd"][1], lw=1.3)
    for name, color in METHODS.values():
        axes[0].plot([], [], color=color, label=name)
    for name, line, marker in _KINDS.values():
        axes[0].plot([], [], color="0.5", ls=line, marker=marker, ms=4, lw=1.3, label=name)
    legend_below(
        figure, axes[0], 5, "rho: the largest in common; means over corruptions and ensembles; dots: single ensembles"
    )
    return figure


def _plot(upper: Axes, lower: Axes, design: Evidence, kind: str) -> None:
    _, line, marker = _KINDS[kind]
    # Ensembles in the same order for each method, so that gains are differences between the same seeds.
    accuracy = {method: _by_severity(design.where(method=method), kind) for method in METHODS}
    severities = np.arange(1, 1 + accuracy["sgd"].shape[1])
    for method, values in accuracy.items():
        look: dict[str, Any] = {"color": METHODS[method][1], "ls": line, "marker": marker, "ms": 4, "lw": 1.3}
        upper.plot(severities, values.mean(axis=0), **look)
        if method != "sgd":
            gain = values - accuracy["sgd"]
            lower.plot(severities, gain.mean(axis=0), **look)
            lower.plot(severities, gain.T, ".", ms=3.5, alpha=0.45, color=look["color"])
    for axes in (upper, lower):
        axes.set_xticks(severities)


def _by_severity(evidence: Evidence, kind: str) -> np.ndarray:
    """Mean over corruptions in percent, ``(ensembles, severities)``."""
    runs = sorted(evidence.runs, key=lambda run: run["config"]["seeds"])
    return 100 * np.array([np.mean([levels[kind] for levels in run["corrupted"].values()], axis=0) for run in runs])
