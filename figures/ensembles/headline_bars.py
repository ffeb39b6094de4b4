"""Fig. 7 of the paper: accuracy of ensembles and of their members, by method."""

from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sharpdiv.checks.ensembles.conditions import BALANCE, CURVE, chosen
from sharpdiv.checks.ensembles.quantities import LEVELS
from sharpdiv.checks.ensembles.study import Study
from sharpdiv.checks.evidence import Evidence
from sharpdiv.figures.ensembles.measured import (
    Quantity,
    accuracy,
    each,
    interval,
    legend_below,
    radii,
    required,
    studies,
    title,
    told,
)
from sharpdiv.figures.figure import figure
from sharpdiv.figures.style import COLORS, SMALL, new_figure

__all__ = ["draw", "held_out", "methods"]

_WHAT = "Points by which SharpBalance's ensembles are above SAM's on corrupted images"
_WIDTH = 0.38  # of a bar; methods are 1 apart
_ALPHAS = {"ensemble of three": 1.0, "mean of its members": 0.35}
_COLUMNS: dict[str, tuple[Quantity, Quantity]] = {
    images: (accuracy(LEVELS[f"ensemble error{images}"]), accuracy(LEVELS[f"member error{images}"]))
    for images in ("", " on corrupted images")
}


def held_out(evidence: Evidence) -> dict[str, Study]:
    """Designs with images that rho can be chosen on.

    Args:
        evidence: measured ensembles.

    Returns:
        As ``studies``.
    """
    found = studies(evidence).items()
    return {name: study for name, study in found if study.conditions["sgd"].blocks[0].validation}


def methods(study: Study) -> dict[str, tuple[str, str]]:
    """The methods, each at the rho whose ensembles are the most accurate on validation images.

    Args:
        study: of the conditions.

    Returns:
        Condition and colour by name of the method; the authors' code has one rho only.
    """
    return {
        "SGD": ("sgd", COLORS["gd"]),
        "SAM": (chosen(study, CURVE[1:], "ensembles"), COLORS["sam"]),
        "SharpBalance": (chosen(study, BALANCE, "ensembles"), COLORS["sharpbalance"]),
        "authors' code": ("code", COLORS["code"]),
    }


def _finding(_design: str, study: Study) -> str:
    (sam, _), (balance, _) = (methods(study)[name] for name in ("SAM", "SharpBalance"))
    quantity = _COLUMNS[" on corrupted images"][0]
    difference = interval(quantity(study, balance, "blocks") - quantity(study, sam, "blocks"))
    return told(difference, "+z.1f")


@figure(
    "headline_bars",
    finding=lambda evidence: each(_WHAT, held_out(evidence), _finding),
    caption=(
        "Accuracy of ensembles of three and of their members on clean and corrupted images, each method at "
        "the ρ that is best by validation images (the authors' code has one ρ only, and is not shown on corrupted images, of "
        "which fewer were taken for it). Axes do not start at 0; bars: 95% intervals over triples of seeds and test images."
    ),
    alt=(
        "A row for each data set, clean and corrupted: pairs of bars, an ensemble and the mean of its "
        "members, for SGD, SAM, SharpBalance and, on clean images, the authors' code, with intervals."
    ),
    needs=held_out,
)
def draw(evidence: Evidence) -> Figure:
    """Clean and corrupted accuracy of the methods, rho chosen by validation.

    Args:
        evidence: measured ensembles.

    Returns:
        A row for each data set.

    Raises:
        StoreError: if nothing of that has been measured.
    """
    shown = required(held_out(evidence), "the methods at the rho that is best by validation")
    figure, axes = new_figure(len(shown), len(_COLUMNS), height=2)
    for place, panel in enumerate(axes):
        row, column = divmod(place, len(_COLUMNS))
        images, pair = list(_COLUMNS.items())[column]
        name, study = list(shown.items())[row]
        _plot(panel, study, name, pair, corrupted=bool(images))
        panel.set_title(images.strip() or title(name, study).replace("\n", ", "))
        if column == 0:
            panel.set_ylabel("accuracy, %")
    for panel in axes[-len(_COLUMNS) :]:
        panel.set_xlabel("method")
    for label, alpha in _ALPHAS.items():
        axes[0].bar(0, 0, color=COLORS["ink"], alpha=alpha, label=label)
    legend_below(
        figure,
        axes[0],
        2,
        r"$\rho$: the best by validation images, but for the authors' code, of which fewer corrupted images were taken; axes do "
        "not start at 0; bars: 95% intervals over triples of seeds and test images",
    )
    return figure


def _plot(axes: Axes, study: Study, design: str, pair: tuple[Quantity, Quantity], *, corrupted: bool) -> None:
    found = methods(study)
    if corrupted:
        found = {name: of for name, of in found.items() if study.on_the_same("sgd", of[0])}
    ends: list[float] = []
    for place, (condition, color) in enumerate(found.values()):
        for side, alpha, quantity in zip((-0.5, 0.5), _ALPHAS.values(), pair, strict=True):
            # Of blocks, the units of an ensemble of three.
            value, low, high = interval(quantity(study, condition, "blocks"))
            x = place + side * _WIDTH
            axes.bar(x, value, _WIDTH, color=color, alpha=alpha)
            axes.errorbar(x, value, [[value - low], [high - value]], color=COLORS["muted"], elinewidth=0.9, capsize=1.5)
            look: dict[str, Any] = {
                "ha": "center",
                "fontsize": SMALL,
                "color": COLORS["paper" if alpha == 1 else "ink"],
            }
            axes.annotate(f"{value:.1f}", (x, 0.02), xycoords=axes.get_xaxis_transform(), **look)
            ends += [low, high]
    span = max(ends) - min(ends)
    axes.set_ylim(min(ends) - 0.25 * span, max(ends) + 0.05 * span)
    rhos = radii(design, [condition for condition, _ in found.values()])
    axes.set_xticks(range(len(found)), [f"{name}\n$\\rho = {rho:g}$" for name, rho in zip(found, rhos, strict=True)])
    axes.tick_params(axis="x")
    axes.set_axisbelow(True)
    axes.grid(visible=False, axis="x")
