"""The page: dials, what is read off, figures, and what can be taken away, as outputs of the notebook's cells.

Dials are shown by the cells that make them, which do not run again when one is turned; ``app.css`` puts the outputs side by side.
"""

from collections.abc import Sequence
from html import escape
from typing import Any

import marimo as mo
import numpy as np

from sharpdiv.cli.show import number
from sharpdiv.explore.charts import Chart, charts
from sharpdiv.explore.models import Model, Preset
from sharpdiv.explore.picture import png
from sharpdiv.explore.question import METHODS, Question, points
from sharpdiv.explore.svg import svg
from sharpdiv.explore.taking_away import commands, python_code, table
from sharpdiv.theory.errors import ConvergenceError, DomainError

__all__ = ["dials", "head", "results", "rho", "shown_dials", "shown_rho", "span"]

_ROWS = {
    "diversity": "<i>D</i> diversity",
    "sharpness": "<i>κ</i> sharpness",
    "sharpness_lower": "its lower bound",
    "sharpness_upper": "its upper bound",
    "trace": "tr <i>H</i> trace of Hessian",
    "member_error": "member error",
    "ensemble_error": "ensemble error",
    "eir": "EIR",
    "stable": "stable",
    "critical_rho": "critical <i>ρ</i>",
}
_LEGEND = {
    "line sam solid": "SAM, on all the data",
    "line sharpbalance solid": "SharpBalance, on disjoint blocks",
    "line plain dotted": "shaded: not stable",
    "line plain dashed": "error of the ensemble",
    "line bound dashed": "published bounds of sharpness",
    "line plain broad": "what the paper draws",
    "point plain here": "at the <i>ρ</i> chosen above",
    "point plain start": "<i>ρ</i> = 0, gradient descent",
}
"""What the styles mean, by their classes."""


def dials(model: Model, preset: Preset) -> Any:
    """A slider for each dial, where the preset puts it.

    Args:
        model: Whose dials.
        preset: Where they are.

    Returns:
        A dictionary of sliders.
    """
    values = model.start() | dict(preset.values)
    return mo.ui.dictionary(
        {
            dial.name: mo.ui.slider(
                steps=list(dial.stops),
                value=values[dial.name],
                label=f"${dial.symbol}$ {dial.meaning}",
                show_value=True,
                full_width=True,
                debounce=not model.quick,
            )
            for dial in model.dials
        }
    )


def span(preset: Preset) -> Any:
    """Two numbers, the range of rho.

    Args:
        preset: Where it is.

    Returns:
        An array of two.
    """
    low, high = preset.span
    return mo.ui.array([mo.ui.number(value=low, label="from"), mo.ui.number(value=high, label="to")])


def rho(model: Model, preset: Preset, ends: Sequence[float | None]) -> Any:
    """The slider of rho, which stops where the curves have values.

    Args:
        model: How many there are.
        preset: Where it is at first.
        ends: Range of rho; any if it is none, or one end was emptied.

    Returns:
        A slider.
    """
    first, last = ends
    low, high = (first, last) if first is not None and last is not None and first < last else (0.0, 1.0)
    stops = [float(f"{value:.6g}") for value in np.linspace(low, high, model.places)]
    start = min(stops, key=lambda stop: abs(stop - preset.rho))
    return mo.ui.slider(
        steps=stops, value=start, label="$\\rho$ radius of SAM's ascent", show_value=True, full_width=True
    )


def head(model: Model, preset: Preset, tabs: Any, buttons: Any) -> Any:
    """What is explored.

    Args:
        model: The model that was chosen.
        preset: What was chosen last.
        tabs: Choice of the model.
        buttons: Choice of the preset.

    Returns:
        HTML with the elements in it.
    """
    choices = "".join(f"{button}" for button in buttons.elements)
    return mo.Html(f"""
<header class="explorer head">
  <div class="top"><h1>sharpdiv explorer</h1>{tabs}</div>
  <p class="about">{model.about}</p>
  <div class="presets" role="group" aria-label="Settings worth looking at">{choices}</div>
  <p class="seen">{escape(preset.about)}</p>
</header>""")


def shown_dials(dials: Any) -> Any:
    """The sliders of the model.

    Args:
        dials: A dictionary of sliders.

    Returns:
        HTML with the elements in it.
    """
    sliders = "".join(f"<div class='dial' data-dial='{name}'>{slider}</div>" for name, slider in dials.elements.items())
    return mo.Html(f"<section class='explorer dials' aria-label='Settings'>{sliders}</section>")


def shown_rho(rho: Any, span: Any) -> Any:
    """The slider of rho, and its range.

    Args:
        rho: The slider.
        span: An array of two numbers.

    Returns:
        HTML with the elements in it.
    """
    ends = "".join(f"{end}" for end in span.elements)
    return mo.Html(f"<section class='explorer rho' aria-label='Rho'>{rho}<div class='span'>{ends}</div></section>")


def results(model: Model, preset: Preset, values: dict[str, float], ends: Sequence[float | None], at: float) -> Any:
    """What is read off, figures and what can be taken away; or the sentence that says why there is nothing.

    Args:
        model: What is explored.
        preset: What was chosen last.
        values: Positions of the dials.
        ends: Range of rho.
        at: Position of rho's slider.

    Returns:
        HTML with the elements in it.
    """
    try:
        question = Question(
            model=model,
            problem=model.made(values),
            members=int(values["members"]),
            blocks=int(values["blocks"]),
            lowest=_end(ends[0]),
            highest=_end(ends[1]),
            places=model.places,
        )
        place = int(np.argmin(np.abs(question.rho - at)))
        drawn = charts(question, place, preset.drawn)
    except (DomainError, ConvergenceError) as error:
        inside = f"<p class='sentence' role='alert'>{escape(str(error))}</p>"
    else:
        inside = _panels(question, place, drawn) + _taking_away(question, at, drawn)
    return mo.Html(f"<main class='explorer results'>{inside}</main>")


def _end(value: float | None) -> float:
    """One end of the range of rho; None where somebody emptied it."""
    if value is None:
        raise DomainError("the range of rho needs a number at both ends, got an empty one")
    return float(value)


def _panels(question: Question, place: int, drawn: tuple[Chart, ...]) -> str:
    first, *others = (_panel(chart) for chart in drawn)
    inside = f"{first}{_readout(question, place)}{''.join(others)}{_legend()}"
    return f"<div class='panels' role='group' aria-label='Figures and values' tabindex='0'>{inside}</div>"


def _panel(chart: Chart) -> str:
    return f"<figure><figcaption>{chart.title}</figcaption>{svg(chart)}</figure>"


def _legend() -> str:
    marks = {"line": "<path class='{}' d='M4 6H32'/>", "point": "<circle class='{}' cx='18' cy='6' r='4.5'/>"}
    rows = "".join(
        f"<li><svg viewBox='0 0 36 12'>{marks[look.split()[0]].format(look)}</svg><span>{meaning}</span></li>"
        for look, meaning in _LEGEND.items()
    )
    return f"<aside class='key' aria-label='Legend'><ul>{rows}</ul></aside>"


def _readout(question: Question, place: int) -> str:
    """A table of both methods at rho, with the numbers that the command line prints."""
    found = points(question, place)
    names = [name for name in _ROWS if any(each.get(name) is not None for each in found.values())]
    head = "".join(f"<th scope='col' class='{method}'>{name}</th>" for method, name in METHODS.items())
    rows = "".join(
        f"<tr data-quantity='{name}'><th scope='row'>{_ROWS[name]}</th>"
        + "".join(f"<td data-method='{method}'>{number(found[method].get(name))}</td>" for method in METHODS)
        + "</tr>"
        for name in names
    )
    missing = {each["reason"] for each in found.values() if any(each.get(name) is None for name in names)}
    said = "".join(f"<p class='reason'>- = no value. {escape(reason)}</p>" for reason in sorted(missing))
    caption = f"<caption>At <i>ρ</i> = {number(found['sam']['rho'])}</caption>"
    shown = f"<table>{caption}<thead><tr><td></td>{head}</tr></thead><tbody>{rows}</tbody></table>"
    return f"<section class='readout' aria-label='Values at rho'>{shown}{said}</section>"


def _taking_away(question: Question, at: float, drawn: tuple[Chart, ...]) -> str:
    python = _code(python_code(question))
    shell = _code("\n".join(commands(question, at).values()))
    saved = mo.download(
        lambda: table(question).encode(), filename="sharpdiv-curves.csv", mimetype="text/csv", label="Save CSV"
    )
    pictured = mo.download(lambda: png(drawn), filename="sharpdiv-curves.png", mimetype="image/png", label="Save PNG")
    return f"""
<div class="away">
  <h2>Take it away</h2><div class="files">{saved}{pictured}</div>
  <h3>As Python</h3>{python}
  <h3>The values at ρ in the shell</h3>{shell}
</div>"""


def _code(text: str) -> str:
    """With marimo's button to copy it, which goes with this class; highlighting would take longer than the figures."""
    return f"<div class='codehilite'><pre>{escape(text)}</pre></div>"
