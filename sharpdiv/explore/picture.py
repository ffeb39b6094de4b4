"""The panels as a picture for papers and slides, in the look of the figures."""

import io

from matplotlib.axes import Axes

from sharpdiv.explore.charts import NAMES, SYMBOLS, Chart, Line
from sharpdiv.explore.question import METHODS
from sharpdiv.figures.style import COLORS, PAGE, mark_unstable, new_figure, style

__all__ = ["png"]

_DASHES = {"solid": "-", "dashed": "--", "dotted": ":"}


def png(charts: tuple[Chart, ...]) -> bytes:
    """All panels as a PNG image.

    Args:
        charts: What is drawn.

    Returns:
        The file's bytes.

    Examples:
        >>> from sharpdiv.explore.charts import charts
        >>> from sharpdiv.explore.picture import png
        >>> from sharpdiv.explore.question import Question
        >>> png(charts(Question(), 0))[1:4]
        b'PNG'
    """
    with style():
        figure, axes = new_figure(2, 3, width=1.5 * PAGE, height=2.9)
        for panel, chart in zip(axes, charts, strict=False):
            _draw(panel, chart)
        axes[-1].set_axis_off()
        for method, name in METHODS.items():
            axes[-1].plot([], [], color=COLORS[method], label=name)
        axes[-1].plot([], [], color=COLORS["muted"], ls="--", label="published bounds")
        axes[-1].plot([], [], color=COLORS["ink"], ls="--", label="error of the ensemble")
        axes[-1].plot([], [], color=COLORS["ink"], ls=":", label="not stable")
        axes[-1].legend(loc="center")
        file = io.BytesIO()
        figure.savefig(file, format="png")
    return file.getvalue()


def _color(method: str) -> str:
    """Of a method, or of the bounds that are beside it."""
    return COLORS["muted" if method == "bound" else method]


def _draw(axes: Axes, chart: Chart) -> None:
    for line in chart.lines:
        _line(axes, line)
    for point in chart.points:
        axes.plot(point.x, point.y, "o", color=_color(point.method), mfc=COLORS["paper"] if point.start else None, ms=5)
    axes.set(title=chart.title, xlabel=_label(chart.x), ylabel=_label(chart.y))
    axes.set(xscale="log" if chart.horizontal.log else "linear", yscale="log" if chart.vertical.log else "linear")
    axes.set(xlim=(chart.horizontal.low, chart.horizontal.high), ylim=(chart.vertical.low, chart.vertical.high))
    for _, critical in chart.edges:
        mark_unstable(axes, critical)


def _line(axes: Axes, line: Line) -> None:
    color = _color(line.method)
    if line.style == "broad":
        axes.plot(line.x, line.y, color=color, lw=6, alpha=0.3)
        return
    axes.plot(line.x, line.y, color=color, ls=_DASHES[line.style])


def _label(name: str) -> str:
    if name == "member_error":
        return "mean squared error"
    symbol = {"ρ": r"$\rho$", "κ": r"$\kappa$", "D": "$D$", "tr H": "tr $H$"}.get(SYMBOLS[name], SYMBOLS[name])
    return f"{symbol}  {NAMES[name]}"
