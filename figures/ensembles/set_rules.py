"""What SharpBalance's sets do: every comparison that tells them apart from what goes with them, as ratios."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sharpdiv.checks.ensembles.quantities import LEVELS
from sharpdiv.checks.ensembles.questions import QUESTIONS
from sharpdiv.checks.ensembles.study import Study
from sharpdiv.checks.evidence import Evidence
from sharpdiv.empirical.data.datasets import DATASETS
from sharpdiv.empirical.runs.profiles import DESIGNS, LABELS
from sharpdiv.figures.ensembles.measured import (
    MAIN,
    Quantity,
    each,
    legend_below,
    plot_points,
    ratios,
    required,
    studies,
    told,
)
from sharpdiv.figures.figure import figure
from sharpdiv.figures.style import COLORS, new_figure

__all__ = ["COMPARISONS", "QUANTITIES", "draw"]

COMPARISONS = (
    ("sharpbalance-mid", "sam-mid"),
    ("sharpbalance-mid", "late-sam"),
    ("sharpbalance-mid", "shuffled"),
    ("sharpbalance-mid", "code"),
    ("code", "code-random"),
    ("code", "sam-mid"),
)
"""Conditions above and below the line, all at the middle rho."""
QUANTITIES: dict[str, tuple[Quantity, str]] = {
    "diversity $D$": (LEVELS["D"], "sets-{}-diversity"),
    "sharpness": (MAIN, "c1-{}-sharpness"),
    "error of ensembles": (LEVELS["ensemble error"], "sets-{}"),
    "error of ensembles, corrupted": (LEVELS["ensemble error on corrupted images"], "c6-{}-corrupted"),
}
"""What is compared, and the question whose smallest effect of interest it has."""
_DELTAS = {question.id: question.delta for question in QUESTIONS}
_HUES = ("first", "second", "third", "fourth", "fifth", "error")
_LOOKS = {design: (COLORS[hue], marker) for design, hue, marker in zip(DESIGNS, _HUES, "os^DvP", strict=True)}


def _finding(_: str, study: Study) -> str:
    diversity = QUANTITIES["diversity $D$"][0]
    (found,) = ratios(study, diversity, [("sharpbalance-mid", "shuffled")])
    return told(found)


@figure(
    "variants",
    finding=lambda evidence: each(
        "Diversity by SharpBalance's own sets over that by shuffled ones", studies(evidence), _finding
    ),
    caption=(
        "Ratios of diversity, sharpness and errors between conditions at the middle ρ, a row for each "
        "comparison; on corrupted images only where both were measured on the same ones; bars: 95% intervals over triples of "
        "seeds and test images (sharpness: triples); shaded: smaller than the smallest effect of interest."
    ),
    alt=("Four panels with a row for each comparison: points with intervals around 1, a marker for each data set."),
    needs=studies,
)
def draw(evidence: Evidence) -> Figure:
    """Ratios of diversity, sharpness and errors, a row for each comparison.

    Args:
        evidence: measured ensembles.

    Returns:
        A panel for each quantity.

    Raises:
        StoreError: if nothing of that has been measured.
    """
    shown = required(studies(evidence), "SharpBalance beside its controls")
    figure, axes = new_figure(1, len(QUANTITIES), height=0.6 + 0.42 * len(COMPARISONS))
    for panel, (label, (quantity, question)) in zip(axes, QUANTITIES.items(), strict=True):
        delta = _DELTAS[question]
        panel.axvspan(np.exp(-delta), np.exp(delta), color=COLORS["muted"], alpha=0.2, lw=0)
        panel.axvline(1, color=COLORS["muted"], lw=0.8)
        _plot(panel, shown, quantity, corrupted="corrupted" in label)
        panel.set(title=label.replace(", ", ",\n"), xlabel="ratio", yticks=range(len(COMPARISONS)), yticklabels=[])
        panel.invert_yaxis()
    axes[0].set_yticklabels([f"{LABELS[name]}\nover {LABELS[other]}" for name, other in COMPARISONS])
    axes[0].set_ylabel(r"comparison, all at the middle $\rho$")
    legend_below(
        figure,
        axes[0],
        len(shown),
        "bars: 95% intervals over triples of seeds and test images (sharpness: triples); shaded: smaller than of interest",
    )
    return figure


def _plot(axes: Axes, shown: dict[str, Study], quantity: Quantity, *, corrupted: bool) -> None:
    apart = min(0.16, 0.75 / len(shown))
    for place, (name, study) in enumerate(shown.items()):
        color, marker = _LOOKS[name]
        rows = [row for row, pair in enumerate(COMPARISONS) if not corrupted or study.on_the_same(*pair)]
        y = np.array(rows) + apart * (place - (len(shown) - 1) / 2)
        label = f"{DATASETS[DESIGNS[name].data].title}, {study.seeds} seeds"
        look = {"color": color, "marker": marker, "ls": "", "label": label}
        plot_points(axes, ratios(study, quantity, [COMPARISONS[row] for row in rows]), y, **look)
