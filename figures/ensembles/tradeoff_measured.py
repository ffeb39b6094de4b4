"""Fig. 1c of the paper: diversity against sharpness of trained ensembles, and both against rho."""

from functools import partial
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sharpdiv.checks.ensembles.conditions import CURVE
from sharpdiv.checks.ensembles.quantities import DIVERSITY
from sharpdiv.checks.ensembles.study import Condition, Study
from sharpdiv.checks.evidence import Evidence
from sharpdiv.empirical.data.datasets import DATASETS
from sharpdiv.empirical.runs.profiles import DESIGNS
from sharpdiv.figures.ensembles.measured import (
    BARS,
    CURVES,
    MAIN,
    SHARPNESS_LABEL,
    Quantity,
    legend_below,
    plot_curves,
    plot_points,
    radii,
    ratios,
    required,
    studies,
    title,
    told,
)
from sharpdiv.figures.figure import figure
from sharpdiv.figures.style import COLORS, PAGE

__all__ = ["draw"]

_D = DIVERSITY["D, variance of the softmax"]


def draw(evidence: Evidence, design: str = "digits") -> Figure:
    """Means of every rho with the ensembles they are of, coloured by corrupted accuracy; D and sharpness against rho.

    Args:
        evidence: measured ensembles.
        design: which of them.

    Returns:
        Three panels.

    Raises:
        StoreError: if nothing of that has been measured.
    """
    found = studies(evidence)
    required(found.keys() & {design}, f"the trade-off in the design {design}")
    study = found[design]
    figure = Figure(figsize=(PAGE, 4), layout="constrained")
    panels = figure.subplot_mosaic([["cloud", "diversity"], ["cloud", "sharpness"]], width_ratios=(1.6, 1))
    left, upper, lower = panels.values()
    _cloud(figure, left, study)
    plot_curves(left, study, design, _D, positive=True)
    left.set(
        xlabel=SHARPNESS_LABEL,
        ylabel="diversity $D$, variance of the softmax",
        title=title(design, study).replace("\n", ", "),
    )
    _against_rho(upper, study, design, _D)
    upper.set(ylabel="ratio", title=r"diversity over SGD's")
    _against_rho(lower, study, design, MAIN)
    lower.set(ylabel="ratio", title=r"sharpness over SGD's")
    legend_below(figure, left, 3, rf"numbers: $\rho$; {BARS}; small: single triples; ratios are paired by seed")
    return figure


def _cloud(figure: Figure, axes: Axes, study: Study) -> None:
    """Every triple by itself."""
    for names, look in CURVES.values():
        triples = [record for name in names for record in study.conditions[name].blocks]
        alone = [Study({"triple": Condition((record,))}) for record in triples]
        x, y = ([quantity(each, "triple", "seeds")[0, 0] for each in alone] for quantity in (MAIN, _D))
        shade = [100 * (1 - record.corrupted_wrong[-1].mean()) for record in triples]
        # The edge tells the method, as the marker does.
        edge = {"edgecolors": look["color"], "linewidths": 0.6}
        axes.scatter(x, y, c=shade, marker=look["marker"], s=11, cmap="viridis", zorder=2, alpha=0.75, **edge)
    _one_scale(axes)
    bar: dict[str, Any] = {"location": "bottom", "aspect": 30, "shrink": 0.9}
    figure.colorbar(axes.collections[0], ax=axes, label="accuracy of a triple on corrupted images, %", **bar)


def _one_scale(axes: Axes) -> None:
    """The same colours for all clouds."""
    shades = np.concatenate([np.asarray(cloud.get_array()) for cloud in axes.collections])
    for cloud in axes.collections:
        cloud.set_clim(shades.min(), shades.max())


def _against_rho(axes: Axes, study: Study, design: str, quantity: Quantity) -> None:
    for shift, (names, look) in zip((0.985, 1.015), CURVES.values(), strict=True):
        trained = [name for name in names if name != "sgd"]
        x = [shift * rho for rho in radii(design, trained)]  # so that bars stand side by side
        y = ratios(study, quantity, [(name, "sgd") for name in trained])
        axes.fill_between(x, y[:, 1], y[:, 2], color=look["color"], alpha=0.12, lw=0)
        plot_points(axes, x, y, **look)
    axes.axhline(1, color=COLORS["gd"], lw=0.8)
    axes.set(xlabel=r"$\rho$", xlim=(0, None))


def _finding(evidence: Evidence, design: str) -> str:
    study = studies(evidence)[design]
    (diversity,), (sharpness,) = (ratios(study, quantity, [("sam-high", "sgd")]) for quantity in (_D, MAIN))
    (rho,) = radii(design, ["sam-high"])
    data = DATASETS[DESIGNS[design].data].title
    return (
        f"At ρ = {rho:g} SAM has {told(diversity)} times SGD's diversity and {told(sharpness)} times its sharpness "
        f"({data})"
    )


def _register(name: str, design: str) -> None:
    data = DATASETS[DESIGNS[design].data].title
    rhos = ", ".join(f"{rho:g}" for rho in radii(design, CURVE[1:]))
    figure(
        name,
        finding=partial(_finding, design=design),
        caption=f"{data}: diversity D, the variance of the softmax, against sharpness of SGD and SAM and of SharpBalance at "
        f"ρ = {rhos}, written beside the means; small: single triples of seeds, coloured by their ensemble's accuracy on corrupted "
        f"images. Then D and sharpness over those of SGD, against ρ. {BARS.capitalize()}.",
        alt="Three panels. Left: a cloud of triples, and means with intervals, of diversity against sharpness. Then ratios to SGD "
        "of diversity and of sharpness against rho, with intervals.",
        needs=lambda evidence: studies(evidence).keys() & {design},
    )(partial(draw, design=design))


for _name, _design in (
    ("tradeoff_measured", "digits"),
    ("tradeoff_cifar10", "paper-cifar10"),
    ("tradeoff_cifar10_jpeg", "cifar10-jpeg"),
    ("tradeoff_fashion_mnist", "fashion-mnist"),
):
    _register(_name, _design)
