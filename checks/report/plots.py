"""Plots of the HTML report, as specifications for Plotly: a forest plot of each claim, and the points of trained ensembles."""

import math
from collections.abc import Sequence
from textwrap import wrap
from typing import Any

import plotly.graph_objects as go

from sharpdiv.checks.claim import Effect
from sharpdiv.checks.report.points import Point

__all__ = ["forest", "numbers", "of_one_quantity", "scatter"]

_LABELLED = 24
"""Rows of a forest plot that have room for words; of more, words show where the pointer is."""
_LINE, _CHARACTERS = 17, 46
_MARKERS = ("circle", "square", "diamond", "triangle-up", "cross", "x", "star", "hexagon", "pentagon", "bowtie")
_COLORS = ("#7a8794", "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#b58900", "#56b4e9", "#8b5fbf")
"""After Okabe and Ito, so that those who do not tell red from green do; the shapes differ as well."""


def forest(effects: Sequence[Effect]) -> dict[str, Any]:
    """Estimates with their intervals, one below the other, with what they are to be seen against.

    Args:
        effects: at least one.

    Returns:
        JSON values of a Plotly figure.
    """
    effects = of_one_quantity(effects)
    labelled = len(effects) <= _LABELLED
    words = ["<br>".join([*wrap(effect.label, _CHARACTERS), numbers(effect)]) for effect in effects]
    room = (2 + max(text.count("<br>") for text in words)) * _LINE + 10 if labelled else 12
    places = [-float(at) for at in range(len(effects))]
    figure = go.Figure()
    for decides, name in ((True, "decides"), (False, "beside it")):
        rows = [(effect, y) for effect, y in zip(effects, places, strict=True) if effect.decides is decides]
        if rows:
            figure.add_trace(_row_trace(rows, name, filled=decides))
    annotations = [_annotation(text, y) for text, y in zip(words, places, strict=True)] if labelled else []
    figure.update_layout(
        template="none",
        annotations=annotations,
        shapes=_against(effects),
        height=94 + room * len(effects),
        margin={"l": 12, "r": 12, "t": 8, "b": 76},
        xaxis={
            "title": {"text": "<br>".join(wrap(_deciding(effects).unit, _CHARACTERS)), "font": {"size": 12}},
            "zeroline": False,
        },
        yaxis={"visible": False, "range": [-len(effects) + 0.5, 1.0 if labelled else 0.5], "fixedrange": True},
        showlegend=False,
        hovermode="closest",
    )
    return dict(figure.to_plotly_json())


def _deciding(effects: Sequence[Effect]) -> Effect:
    """The first that the verdict rests on, or the first of all."""
    return next((effect for effect in effects if effect.decides), effects[0])


def of_one_quantity(effects: Sequence[Effect]) -> list[Effect]:
    """What can stand on one axis with what decides: the same unit, or logs of ratios beside the log of a ratio.

    Args:
        effects: one at least.

    Returns:
        Those of them.
    """
    unit = _deciding(effects).unit
    fitting = {unit, "log ratio"} if unit.startswith("log") else {unit}
    return [effect for effect in effects if effect.unit in fitting]


def numbers(effect: Effect) -> str:
    """Estimate, interval and size of one row.

    Args:
        effect: any comparison.

    Returns:
        As in ``-0.12 [-0.2, -0.04], n = 24``.
    """
    text = f"{effect.estimate:.3g}"
    if effect.low < effect.high:
        text += f" [{effect.low:.3g}, {effect.high:.3g}]"
    return text + (f", n = {effect.n}" if effect.n else "")


def _row_trace(rows: list[tuple[Effect, float]], name: str, *, filled: bool) -> go.Scatter:
    return go.Scatter(
        x=[effect.estimate for effect, _ in rows],
        y=[y for _, y in rows],
        name=name,
        mode="markers",
        marker={"size": 9, "symbol": "square" if filled else "square-open", "color": _COLORS[1 if filled else 0]},
        error_x={
            "type": "data",
            "symmetric": False,
            "array": [effect.high - effect.estimate for effect, _ in rows],
            "arrayminus": [effect.estimate - effect.low for effect, _ in rows],
            "thickness": 1.6,
            "width": 4,
        },
        text=["<br>".join(wrap(f"{effect.label}: {numbers(effect)} ({effect.unit})", 60)) for effect, _ in rows],
        hovertemplate="%{text}<extra></extra>",
    )


def _annotation(text: str, y: float) -> dict[str, Any]:
    """The words of a row, above it, so that they take no width from the intervals."""
    place = {"x": 0, "xref": "paper", "xanchor": "left", "y": y, "yanchor": "bottom", "yshift": 5}
    return place | {"text": text, "align": "left", "showarrow": False, "font": {"size": 12}}


def _against(effects: Sequence[Effect]) -> list[dict[str, Any]]:
    """The line of no effect, the band of what is too small to be of interest, and the interval that the claim says."""
    first = _deciding(effects)
    upright = {"yref": "paper", "y0": 0, "y1": 1, "layer": "below"}
    shapes: list[dict[str, Any]] = []
    for ends, color in ((_too_small(first), "rgba(122,135,148,0.22)"), (first.stated, "rgba(0,158,115,0.14)")):
        if ends:
            shapes.append(
                upright | {"type": "rect", "x0": ends[0], "x1": ends[1], "fillcolor": color, "line": {"width": 0}}
            )
    line = {"type": "line", "x0": first.reference, "x1": first.reference}
    return [*shapes, upright | line | {"line": {"width": 1.2, "color": "#7a8794", "dash": "dot"}}]


def _too_small(effect: Effect) -> tuple[float, float] | None:
    return (effect.reference - effect.delta, effect.reference + effect.delta) if effect.delta else None


def scatter(points: Sequence[Point]) -> dict[str, Any]:
    """Every trained network: its sharpness against the diversity of its ensemble.

    Args:
        points: of one data set.

    Returns:
        JSON values of a Plotly figure.
    """
    figure = go.Figure()
    for at, condition in enumerate(dict.fromkeys(point.condition for point in points)):
        some = [point for point in points if point.condition == condition]
        figure.add_trace(
            go.Scatter(
                x=[point.sharpness for point in some],
                y=[point.diversity for point in some],
                name=condition,
                mode="markers",
                marker={
                    "size": 8,
                    "symbol": _MARKERS[at % len(_MARKERS)],
                    "color": _COLORS[at % len(_COLORS)],
                    "opacity": 0.8,
                },
                customdata=[(point.rho, point.seed, 100 * point.accuracy) for point in some],
                hovertemplate=f"{condition}, rho = %{{customdata[0]:g}}, seed %{{customdata[1]}}<br>"
                "accuracy %{customdata[2]:.2f}%<br>sharpness %{x:.4g}<br>D of its ensemble %{y:.4g}<extra></extra>",
            )
        )
    figure.update_layout(
        template="none",
        height=520,
        margin={"l": 62, "r": 12, "t": 8, "b": 50},
        xaxis={
            "title": {"text": "sharpness of a network, nats (logarithmic)"},
            "type": "log",
            "tickvals": (ticks := _ticks([point.sharpness for point in points])),
            "ticktext": [f"{tick:g}" for tick in ticks],
            "zeroline": False,
        },
        yaxis={"title": {"text": "D of its ensemble"}, "zeroline": False},
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom"},
        hovermode="closest",
    )
    return dict(figure.to_plotly_json())


def _ticks(values: Sequence[float]) -> list[float]:
    """1, 2 and 5 of every decade: Plotly's own logarithmic ticks leave the zeros of these out."""
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
    return [digit * 10.0**power for power in range(low, high + 1) for digit in (1, 2, 5)]
