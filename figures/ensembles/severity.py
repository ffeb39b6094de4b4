"""Appendix of the paper: accuracy by the severity of the corruption."""

from functools import partial

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sharpdiv.checks.ensembles.crossed import Table
from sharpdiv.checks.ensembles.study import Study
from sharpdiv.checks.evidence import Evidence
from sharpdiv.empirical.data.corruptions import SEVERITIES
from sharpdiv.empirical.runs.profiles import LABELS
from sharpdiv.empirical.runs.record import RunRecord
from sharpdiv.figures.ensembles.measured import (
    METHODS,
    by_block,
    each,
    interval,
    legend_below,
    plot_points,
    radii,
    required,
    studies,
    title,
    told,
)
from sharpdiv.figures.figure import figure
from sharpdiv.figures.style import COLORS, new_figure

__all__ = ["KINDS", "accuracy_at", "draw"]

KINDS = {"ensemble of three": ("-", -0.05), "mean of its members": ("--", 0.05)}
"""Predictors, their lines, and how far these are shifted so that bars stand side by side."""


def accuracy_at(severity: int, kind: str, study: Study, name: str) -> Table:
    """Accuracy on images that are corrupted this much, mean over corruptions.

    Args:
        severity: from 1.
        kind: a key of ``KINDS``.
        study: of the condition.
        name: of the condition.

    Returns:
        Its table in percent, with triples left out.
    """

    def right(record: RunRecord) -> np.ndarray:
        # Corruptions come one after the other, each with all severities.
        at_severity = record.corrupted_wrong[:, severity - 1 :: len(SEVERITIES)]
        wrong = at_severity[-1:] if kind == "ensemble of three" else at_severity[:-1]
        return 100 * (1 - wrong.mean(axis=(0, 1)))

    return by_block(study, name, right)


def _finding(_: str, study: Study) -> str:
    tables = {name: accuracy_at(SEVERITIES[-1], "ensemble of three", study, name) for name in METHODS}
    gains = [told(interval(tables[name] - tables["sgd"]), "+z.1f") for name in ("sam-mid", "sharpbalance-mid")]
    return ", ".join(gains)


@figure(
    "severity",
    finding=lambda evidence: each(
        f"Ensembles' points over SGD at severity {SEVERITIES[-1]} by SAM, SharpBalance",
        studies(evidence),
        _finding,
    ),
    caption=(
        "Accuracy of ensembles and of their members under each severity, mean over corruptions, at the middle"
        " ρ; below, gains over SGD. Bars: 95% intervals over triples of seeds and test images, of gains "
        "paired by both."
    ),
    alt=(
        "Two panels for each data set. Accuracy falls with the severity; gains of SAM and SharpBalance over "
        "SGD with their intervals."
    ),
    needs=studies,
)
def draw(evidence: Evidence) -> Figure:
    """Accuracy of the three methods at the middle rho, and what SAM and SharpBalance add to SGD.

    Args:
        evidence: measured ensembles.

    Returns:
        Two panels for each data set.

    Raises:
        StoreError: if nothing of that has been measured.
    """
    shown = required(studies(evidence), "the three methods on corrupted images")
    figure, axes = new_figure(2, len(shown), height=1.8)
    for column, (name, study) in enumerate(shown.items()):
        upper, lower = axes[column], axes[column + len(shown)]
        for kind in KINDS:
            _plot(upper, lower, study, kind)
        upper.set_title(rf"{title(name, study)}, $\rho = {radii(name, ['sam-mid'])[0]:g}$")
        lower.set_xlabel("severity of the corruption")
        lower.axhline(0, color=COLORS["gd"], lw=0.8)
    axes[0].set_ylabel("accuracy, %")
    axes[len(shown)].set_ylabel("gain over SGD,\npercentage points")
    for method, look in METHODS.items():
        axes[0].plot([], [], label=LABELS[method], **look)
    for kind, (line, _) in KINDS.items():
        axes[0].plot([], [], color=COLORS["muted"], ls=line, label=kind)
    legend_below(
        figure,
        axes[0],
        5,
        "means over corruptions; bars: 95% intervals over triples of seeds and test images, of gains paired by both",
    )
    return figure


def _plot(upper: Axes, lower: Axes, study: Study, kind: str) -> None:
    x, (line, shift) = np.array(SEVERITIES), KINDS[kind]
    tables = [partial(accuracy_at, severity, kind, study) for severity in SEVERITIES]
    for place, (method, of_method) in enumerate(METHODS.items()):
        shifted = x + shift + 0.2 * (place - 1)
        look = of_method | {"ls": line, "ms": 3}
        plot_points(upper, shifted, np.array([interval(table(method)) for table in tables]), **look)
        if method != "sgd":
            gains = np.array([interval(table(method) - table("sgd")) for table in tables])
            plot_points(lower, shifted, gains, **look)
    for axes in (upper, lower):
        axes.set_xticks(x)
