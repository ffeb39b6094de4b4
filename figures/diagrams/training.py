"""Fig. 6 of the paper, in our own way: how SharpBalance trains. A diagram."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

from sharpdiv.checks.evidence import Evidence
from sharpdiv.figures.figure import figure
from sharpdiv.figures.style import COLORS, PAGE, SMALL

__all__ = ["draw"]

_MEMBERS = ("first", "second", "third")
"""Colours of the three members."""
_SAMPLES, _SHARPEST = 12, 4
_LEFT, _WIDTH, _STEP = 1.2, 2.4, 2.85
"""Of a member's column."""


@figure(
    "sharpbalance_training",
    finding="SharpBalance: each member takes SAM's steps on the samples that are sharpest for the others",
    caption=(
        "A diagram of SharpBalance's training (the paper's Fig. 6, drawn in our way), for three members; nothing in "
        "it is measured. Each member trains to epoch T_d and scores every training sample by the squared norm of its "
        "gradient, the trace of the Fisher information. Its set for SAM is the union of the samples in the other "
        "members' top k%; from then on each step is one of SAM on that set and of SGD on the rest together. The "
        "authors' code takes SAM's steps in the first phase as well."
    ),
    alt=(
        "Three columns, one for each member, from top to bottom: training on all samples; bars of scores of the "
        "samples, the sharpest coloured; arrows that carry the coloured samples to the other two members; training "
        "by SAM on those samples and by SGD on the rest."
    ),
)
def draw(_: Evidence) -> Figure:
    """Time from top to bottom, a column for each member.

    Returns:
        One panel without axes.
    """
    figure = Figure(figsize=(PAGE, 3.4), layout="constrained")
    axes = figure.subplots()
    axes.set(xlim=(0, 9.6), ylim=(0, 5), xticks=[], yticks=[])
    axes.axis("off")
    sharpest = _sharpest(np.random.default_rng(3))
    for place, hue in enumerate(_MEMBERS):
        left = _LEFT + _STEP * place
        _box(axes, left, 4.2, f"member {place + 1}: SGD on all samples")
        _scores(axes, left, hue, sharpest[place])
        others = [other for other in range(3) if other != place]
        _set(axes, left, [sharpest[other] for other in others], [_MEMBERS[other] for other in others])
        _box(axes, left, 0.35, "SAM on the coloured,\nSGD on the others")
    for source in range(3):
        for target in range(3):
            if source != target:
                _carry(axes, source, target)
    for height, text in ((4.45, "to epoch\n$T_d$"), (3.05, "scores"), (1.55, "sets"), (0.62, "to the\nend")):
        axes.annotate(text, (0.05, height), va="center", fontsize=SMALL)
    return figure


def _sharpest(generator: np.random.Generator) -> np.ndarray:
    """Samples with the largest scores, of each member."""
    return np.array([generator.permutation(_SAMPLES)[:_SHARPEST] for _ in _MEMBERS])


def _box(axes: Axes, left: float, bottom: float, text: str) -> None:
    shape = FancyBboxPatch(
        (left, bottom), _WIDTH, 0.5, boxstyle="round,pad=0.04", fc="none", ec=COLORS["muted"], lw=0.8
    )
    axes.add_patch(shape)
    axes.annotate(text, (left + _WIDTH / 2, bottom + 0.25), ha="center", va="center", fontsize=SMALL)


def _places(left: float) -> np.ndarray:
    return left + (np.arange(_SAMPLES) + 0.5) * _WIDTH / _SAMPLES


def _scores(axes: Axes, left: float, hue: str, sharpest: np.ndarray) -> None:
    """Bars for samples, the sharpest in the member's colour."""
    chosen = np.isin(np.arange(_SAMPLES), sharpest)
    heights = np.where(chosen, 0.75, 0.3) + 0.1 * np.sin(2.5 * np.arange(_SAMPLES))
    for sharp, color in ((True, COLORS[hue]), (False, COLORS["faint"])):
        axes.bar(_places(left)[chosen == sharp], heights[chosen == sharp], 0.15, 2.7, color=color)
    axes.annotate("top $k$%", (left + _WIDTH / 2, 3.72), ha="center", fontsize=SMALL, color=COLORS[hue])


def _set(axes: Axes, left: float, sets: list[np.ndarray], hues: list[str]) -> None:
    """Squares for samples; those that others find sharp in the others' colours, above each other if both do."""
    for row, (samples, hue) in enumerate(zip(sets, hues, strict=True)):
        x, y = _places(left), 1.4 + 0.24 * row
        rest = np.setdiff1d(np.arange(_SAMPLES), samples)
        axes.plot(x[rest], np.full(len(rest), y), "s", ms=4.5, color=COLORS["faint"], alpha=0.6)
        axes.plot(x[samples], np.full(len(samples), y), "s", ms=4.5, color=COLORS[hue])


def _carry(axes: Axes, source: int, target: int) -> None:
    start, end = (_LEFT + _STEP * place + _WIDTH / 2 for place in (source, target))
    shift = 0.35 * np.sign(target - source)
    look = {"arrowstyle": "-|>", "color": COLORS[_MEMBERS[source]], "lw": 1, "shrinkA": 0, "shrinkB": 0}
    axes.annotate("", (end - shift, 1.85), (start + shift, 2.62), arrowprops=look)
