"""Every figure on light and dark pages: nothing clipped, nothing too small, symbols as symbols, words that go with it."""

import re
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.text import Text
from matplotlib.transforms import Bbox

from sharpdiv.checks.evidence import Evidence
from sharpdiv.checks.results import load_evidence
from sharpdiv.empirical.runs.profiles import DESIGNS
from sharpdiv.figures import style as figure_style
from sharpdiv.figures.registry import FIGURES, drawable
from sharpdiv.figures.style import COLORS, COLUMN, PAGE, THEMES, Theme, style
from sharpdiv.figures.theory import phase_diagram
from tests.figures.made_up import made_up_evidence
from tests.laws import Mutation, law

RESULTS = Path(__file__).parents[2] / "results"
SMALLEST = 6
PAPER = tuple(name for name in DESIGNS if name.startswith("paper"))
NAMES_OF_SYMBOLS = re.compile(r"\b(rho|kappa|alpha|eta|sigma)\b|x_max|f_0")

_committed = cache(load_evidence)
_made_up = cache(made_up_evidence)


@pytest.fixture(autouse=True)
def few_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(phase_diagram, "_RATIOS", np.geomspace(0.5, 200, 8))


def _texts(figure: Figure) -> list[Text]:
    """All but the labels of ticks, of which some beyond the limits are never drawn."""
    ticks = {id(label) for axis in _axes(figure) for label in axis.get_ticklabels(which="both")}
    every = (text for text in figure.findobj(Text) if text.get_visible() and text.get_text().strip())
    return [text for text in every if id(text) not in ticks]


def _axes(figure: Figure) -> list[Axis]:
    return [axis for axes in figure.axes for axis in (axes.xaxis, axes.yaxis) if axes.axison]


def _rendered(name: str, evidence: Evidence) -> Figure:
    figure = FIGURES[name].titled(evidence)
    FigureCanvasAgg(figure)
    for _ in range(2):  # as when it is saved
        figure.draw_without_rendering()
    return figure


def _check_looks(figure: Figure) -> None:
    assert figure.get_figwidth() in {COLUMN, PAGE}
    drawn: dict[str, Bbox] = {}
    for text in _texts(figure):
        assert float(text.get_fontsize()) >= SMALLEST, text
        assert not NAMES_OF_SYMBOLS.search(re.sub(r"\$[^$]*\$", "", text.get_text())), text
        drawn[str(text)] = text.get_window_extent()
    for axis in _axes(figure):
        assert all(float(label.get_fontsize()) >= SMALLEST for label in axis.get_ticklabels(which="both"))
        if box := axis.get_tightbbox():
            drawn[str(axis)] = box
    paper = figure.bbox.padded(0.5)  # of a pixel: rounding
    for what, box in drawn.items():
        inside = [paper.contains(*corner) for corner in box.corners()]
        assert all(inside), f"{what} leaves the picture at {box}"
    for axes in figure.axes:
        if legend := axes.get_legend():
            box = legend.get_window_extent()
            for line in axes.get_lines():
                inside = [box.contains(*point) for point in axes.transData.transform(line.get_xydata())]
                assert not any(inside), f"{line} runs through the legend"


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("name", drawable(_committed(RESULTS)))
def test_figures_of_the_committed_results(name: str, theme: Theme) -> None:
    with style(theme):
        _check_looks(_rendered(name, _committed(RESULTS)))


@pytest.mark.parametrize("name", ["tradeoff_cifar10", "tradeoff_cifar10_jpeg"])
def test_figures_of_results_that_are_not_there_yet(name: str) -> None:
    with style():
        _check_looks(_rendered(name, _made_up()))


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.parametrize("name", [n for n in drawable(_made_up(PAPER)) if FIGURES[n].needs])
def test_there_is_room_for_all_data_sets_of_a_profile(name: str) -> None:
    with style("dark"):
        _check_looks(_rendered(name, _made_up(PAPER)))


@pytest.mark.parametrize("name", drawable(_committed(RESULTS)))
def test_words_say_what_is_seen(name: str) -> None:
    words = FIGURES[name].words(_committed(RESULTS))
    assert 20 < len(words.finding) <= 220
    assert not words.finding.endswith(".")
    assert words.caption.endswith(".")
    assert words.alt.endswith(".")
    for text in (words.finding, words.caption):
        assert not re.search(r"\b(rho|kappa|alpha)\b", text), text
        assert "$" not in text


def test_colours_are_those_of_the_theme() -> None:
    assert len(THEMES["light"]) == len(THEMES["dark"]) == len(COLORS)
    papers = {}
    for theme in THEMES:
        with style(theme):
            papers[theme] = to_rgb(Figure().get_facecolor())
    assert sum(papers["light"]) == 3
    assert sum(papers["dark"]) < 0.5


@law(
    Mutation(
        "nothing where nothing is stable",
        "sharpdiv.figures.style.mark_unstable",
        lambda f: lambda axes, critical: critical is None or f(axes, critical),
    )
)
def test_where_no_rho_is_stable_all_of_them_are_shaded() -> None:
    for critical, share in ((None, 1.0), (0.5, 0.5), (2.0, 0.0)):
        _, (axes,) = figure_style.new_figure(1, 1)
        axes.set_xlim(0, 1)
        figure_style.mark_unstable(axes, critical)
        shaded = (patch.get_width() for patch in axes.patches if isinstance(patch, Rectangle))
        assert sum(shaded) == pytest.approx(share)
