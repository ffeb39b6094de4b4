"""The solvable models side by side, and measured networks beside them: what SAM does to sharpness, diversity and EIR."""

from collections.abc import Mapping
from functools import cache
from itertools import product

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from sharpdiv.checks.ascents.changes import changes, few_samples
from sharpdiv.checks.ascents.networks import Ascent, Regime
from sharpdiv.checks.ascents.results import FittedRegime
from sharpdiv.checks.closed_forms.models import MODELS, NAMES, Model
from sharpdiv.checks.evidence import Evidence
from sharpdiv.checks.members import jackknife
from sharpdiv.figures.figure import figure
from sharpdiv.figures.style import COLORS, new_figure

__all__ = ["draw"]

_SHARES = np.linspace(0.03, 0.6, 20)
_KINDS = ("quadratic", "random features", "lazy network", "two-layer linear", "diagonal linear")
_LOOKS = {
    "sharpness": ("sharpness", COLORS["sharpness"], "s"),
    "diversity": ("diversity $D$", COLORS["diversity"], "o"),
    "eir": ("EIR", COLORS["eir"], "^"),
}

_WIDTHS = {"sharpness": 1.3, "diversity": 2.6, "eir": 1.0}
_X = r"$\rho$ over the critical $\rho$"
"""EIR is drawn upon D, which it often follows."""


@figure(
    "models",
    finding="SAM lowers sharpness in every solvable model; diversity falls with it in some and rises in others",
    caption=(
        "Relative changes of sharpness (κ; of diagonal and of trained networks the Hessian's trace), diversity D and EIR from "
        "ρ = 0, over ρ in units of its critical value, in five solvable models; dashed: full batch, where the size m of SAM's "
        "groups matters. Sixth panel: networks trained on digits at equal training loss, 95% intervals over members."
    ),
    alt=(
        "Six panels. Sharpness falls in all. Diversity falls in the quadratic, the two-layer linear and the "
        "diagonal linear model, and rises with random features and in the lazy network; in networks trained "
        "on digits it falls."
    ),
)
def draw(evidence: Evidence) -> Figure:
    """A panel for each kind of model (full batch dashed where groups of m matter), the sixth for networks that were measured.

    Args:
        evidence: networks of the sweep over ascents are shown if there are any.

    Returns:
        Five or six panels.
    """
    figure, axes = new_figure(2, 3, height=1.8)
    for panel, kind in zip(axes, _KINDS, strict=False):
        _kind(panel, kind)
    found = [(each, few) for each in evidence.ascents if each.regime == Regime() and (few := few_samples(each))]
    if found:
        _measured(axes[5], found)
    else:
        axes[5].remove()
    for panel in axes[3:5]:
        panel.set(xlabel=_X)
    axes[2].set(xlabel="" if found else _X)
    for panel in (axes[0], axes[3]):
        panel.set(ylabel=r"change from $\rho = 0$")
    handles, labels = axes[3].get_legend_handles_labels()
    note = "bars: 95% intervals over members" if found else None
    figure.legend(handles, labels, loc="outside lower center", ncols=5, title=note)
    return figure


def _kind(axes: Axes, kind: str) -> None:
    models = [model for model in MODELS if model.name.startswith(kind)]
    for model, name in product(models, NAMES):
        _line(axes, model, name)
    grouped = len(models) > 1
    if kind == "two-layer linear":
        axes.plot([], [], color=COLORS["ink"], label="$m = 1$")
        axes.plot([], [], color=COLORS["ink"], ls="--", label="full batch")
    axes.axhline(0, color=COLORS["muted"], lw=0.8, zorder=1)
    axes.set(title=kind + (", $m = 1$" if grouped and kind.startswith("diagonal") else ""))
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axes.margins(y=0.12)


def _line(axes: Axes, model: Model, name: str) -> None:
    relative = np.expm1(_changes(model)[name])
    if np.isnan(relative).all():
        return
    label, color, _ = _LOOKS[name]
    full = model.name.endswith("full batch")
    x, y = np.append(0, _SHARES), np.append(0, relative)
    axes.plot(x, y, color=color, lw=_WIDTHS[name], ls="--" if full else "-", label="_full" if full else label)


@cache
def _changes(model: Model) -> Mapping[str, np.ndarray]:
    return model.changes(_SHARES)


def _measured(axes: Axes, found: list[tuple[FittedRegime, Ascent]]) -> None:
    """Relative changes at the lowest training loss, with 95% intervals over members."""
    for shift, name in zip((-0.2, 0.0, 0.2), NAMES, strict=True):
        _, color, marker = _LOOKS[name]
        for place, (each, few) in enumerate(found):
            change = jackknife("", changes(each, few, "trace" if name == "sharpness" else name))
            if not change.obstacle:
                value, low, high = np.expm1([change.value, change.low, change.high])
                ends = [[value - low], [high - value]]
                axes.errorbar(place + shift, value, ends, fmt=marker, ms=4, capsize=2, color=color)
    axes.axhline(0, color=COLORS["muted"], lw=0.8)
    axes.set_xticks(range(len(found)), [_short(each) for each, _ in found], fontsize=6.5)
    axes.set(
        title=f"trained on digits, {_ways(found)}", xlabel="network × initial scale", xlim=(-0.6, len(found) - 0.4)
    )
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))


def _short(found: FittedRegime) -> str:
    network = found.network
    if network.kind == "residual":
        return "residual"
    activation = {"relu": "ReLU", "gelu": "GELU"}.get(network.activation, network.activation)
    return f"{activation}\n× {network.scale:g}"


def _ways(found: list[tuple[FittedRegime, Ascent]]) -> str:
    sizes = sorted({few.m for _, few in found})
    return f"$m$ = {', '.join(map(str, sizes))}"
