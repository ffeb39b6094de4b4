"""Charts as SVG. Plotly, Vega and matplotlib take from 30 to 100 ms for each panel; this is to follow a slider.

Colours, dashes and fonts are the style sheet's: classes are methods and styles.
"""

from html import escape

import numpy as np

from sharpdiv.cli.show import number
from sharpdiv.explore.charts import NAMES, SYMBOLS, Chart, Line, Point
from sharpdiv.explore.question import METHODS
from sharpdiv.explore.scales import Scale

__all__ = ["svg"]

_WIDTH, _HEIGHT = 440, 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 62, 12, 34, 46
_ACROSS, _DOWN = _WIDTH - _LEFT - _RIGHT, _HEIGHT - _TOP - _BOTTOM
_FAR = 10 * _DOWN
"""What is further outside may as well be here."""
_ITALIC = {"rho", "diversity", "sharpness"}
_PLAIN = (1e-3, 1e5)
"""Numbers outside are written as powers of ten."""


def svg(chart: Chart) -> str:
    """A panel without its title.

    Args:
        chart: What is drawn.

    Returns:
        An SVG element that is as wide as its place.

    Examples:
        >>> from sharpdiv.explore.charts import charts
        >>> from sharpdiv.explore.question import Question
        >>> from sharpdiv.explore.svg import svg
        >>> svg(charts(Question(), 0)[0])[:4]
        '<svg'
    """
    inside = "".join([*_shades(chart), *map(_path, [chart] * len(chart.lines), chart.lines)])
    points = "".join(_circle(chart, point) for point in chart.points)
    plot = f"<svg x='{_LEFT}' y='{_TOP}' width='{_ACROSS}' height='{_DOWN}'>{inside}</svg>"
    return (
        f"<svg class='chart' viewBox='0 0 {_WIDTH} {_HEIGHT}' role='img' aria-label='{escape(_said(chart), quote=True)}'>"
        f"{_ticks(chart)}{plot}{points}{_edges(chart)}{_labels(chart)}</svg>"
    )


def _said(chart: Chart) -> str:
    """For those who do not see it."""
    values = ", ".join(f"{METHODS[p.method]} {number(float(p.y))}" for p in chart.points if not p.start)
    where = "" if chart.rho is None else f" at rho = {number(chart.rho)}"
    return f"{chart.title}{where}: {values}"


def _x(scale: Scale, value: float) -> float:
    return _LEFT + _ACROSS * float(scale.at(np.array([value]))[0])


def _y(scale: Scale, value: float) -> float:
    return _TOP + _DOWN * (1 - float(scale.at(np.array([value]))[0]))


def _path(chart: Chart, line: Line) -> str:
    """Within the plot's own frame; a gap where there is no value."""
    x = _ACROSS * chart.horizontal.at(line.x)
    y = (_DOWN * (1 - chart.vertical.at(line.y))).clip(-_FAR, _FAR)
    known = np.isfinite(x) & np.isfinite(y)
    breaks = np.flatnonzero(np.diff(known)) + 1
    runs = [run for run in np.split(np.arange(known.size), breaks) if run.size > 1 and known[run[0]]]
    words = "".join("M" + "L".join(map("%.1f %.1f".__mod__, zip(x[run], y[run], strict=True))) for run in runs)
    return f"<path class='line {line.method} {line.style}' d='{words}'/>" if words else ""


def _circle(chart: Chart, point: Point) -> str:
    x, y = _x(chart.horizontal, point.x), _y(chart.vertical, point.y)
    if not (np.isfinite([x, y]).all() and _TOP <= y <= _TOP + _DOWN and _LEFT <= x <= _LEFT + _ACROSS):
        return ""
    kind = "start" if point.start else "here"
    return f"<circle class='point {point.method} {kind}' cx='{x:.1f}' cy='{y:.1f}' r='{4 if point.start else 5}'/>"


def _shades(chart: Chart) -> list[str]:
    """Where a method is not stable, and the rho that is read off."""
    if chart.rho is None:
        return []
    places = {method: _edge(chart, critical) for method, critical in chart.edges}
    shades = [
        f"<rect class='unstable {method}' x='{x:.1f}' y='0' width='{_ACROSS - x:.1f}' height='{_DOWN}'/>"
        for method, x in places.items()
        if x < _ACROSS
    ]
    here = _x(chart.horizontal, chart.rho) - _LEFT
    return [*shades, f"<line class='cursor' x1='{here:.1f}' x2='{here:.1f}' y1='0' y2='{_DOWN}'/>"]


def _edge(chart: Chart, critical: float | None) -> float:
    low = chart.horizontal.low
    return max(_x(chart.horizontal, low if critical is None else critical) - _LEFT, 0.0)


def _edges(chart: Chart) -> str:
    """Critical rho of each method, a line with its value above the plot."""
    found = []
    for height, (method, critical) in enumerate(chart.edges):
        x = _LEFT + _edge(chart, critical)
        if x >= _LEFT + _ACROSS:
            continue
        said = f"{METHODS[method]}: " + ("no stable ρ" if critical is None else f"critical ρ = {number(critical)}")
        anchor, shift = ("end", 4) if x > _LEFT + _ACROSS / 2 else ("start", -4)
        top = _TOP - 6 - 13 * height
        found.append(f"<line class='edge {method}' x1='{x:.1f}' x2='{x:.1f}' y1='{top + 4}' y2='{_TOP + _DOWN}'/>")
        found.append(f"<text class='note {method}' x='{x + shift:.1f}' y='{top}' text-anchor='{anchor}'>{said}</text>")
    return "".join(found)


def _ticks(chart: Chart) -> str:
    bottom, right = _TOP + _DOWN, _LEFT + _ACROSS
    found = []
    for tick in chart.horizontal.ticks():
        x = _x(chart.horizontal, tick)
        found.append(f"<line class='grid' x1='{x:.1f}' x2='{x:.1f}' y1='{_TOP}' y2='{bottom}'/>")
        found.append(f"<text class='tick' x='{x:.1f}' y='{bottom + 16}' text-anchor='middle'>{_written(tick)}</text>")
    for tick in chart.vertical.ticks():
        y = _y(chart.vertical, tick)
        found.append(f"<line class='grid' x1='{_LEFT}' x2='{right}' y1='{y:.1f}' y2='{y:.1f}'/>")
        found.append(f"<text class='tick' x='{_LEFT - 8}' y='{y + 4:.1f}' text-anchor='end'>{_written(tick)}</text>")
    found.append(f"<path class='frame' d='M{_LEFT} {_TOP}V{bottom}H{right}'/>")
    return "".join(found)


def _labels(chart: Chart) -> str:
    middle = _TOP + _DOWN / 2
    return (
        f"<text class='label' x='{_LEFT + _ACROSS / 2}' y='{_HEIGHT - 8}' text-anchor='middle'>{_label(chart.x)}</text>"
        f"<text class='label' transform='translate(14 {middle}) rotate(-90)' text-anchor='middle'>{_label(chart.y)}</text>"
    )


def _label(name: str) -> str:
    """Symbol and name; of both errors what they have in common."""
    if name == "member_error":
        return "mean squared error"
    kind = "symbol" if name in _ITALIC else "upright"
    return f"<tspan class='{kind}'>{SYMBOLS[name]}</tspan>&#160; {escape(NAMES[name])}"


def _written(tick: float) -> str:
    if tick == 0 or _PLAIN[0] <= abs(tick) < _PLAIN[1]:
        return f"{tick:g}"
    digits, power = f"{tick:e}".split("e")
    factor = "" if float(digits) == 1 else f"{float(digits):g}·"
    return f"{factor}10<tspan class='power' dy='-5'>{int(power)}</tspan>"
