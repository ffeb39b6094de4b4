"""Labels of points cover nothing: as the pixels under them say, which the placement does not look at."""

import doctest
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import strategies as st
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.text import Annotation

from sharpdiv.checks.results import load_evidence
from sharpdiv.figures import labels as placement
from sharpdiv.figures import scales
from sharpdiv.figures.labels import keep_apart
from sharpdiv.figures.registry import FIGURES
from sharpdiv.figures.style import style
from sharpdiv.figures.theory.overview import draw_overview
from sharpdiv.theory.setting import Setting
from sharpdiv.theory.theorems.sam import sam_tradeoff
from tests.laws import Mutation, law

RESULTS = Path(__file__).parents[2] / "results"

_committed = cache(load_evidence)


def _labels(axes: Axes) -> list[Annotation]:
    return [text for text in axes.texts if isinstance(text, Annotation) and text.anncoords == "offset points"]


def _pixels(figure: Figure) -> np.ndarray:
    canvas: Any = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba()).copy()


def _check_clear(figure: Figure) -> int:
    """Nothing but the ground is under a label, and no two labels share a place; how many there are."""
    for _ in range(2):  # as when it is saved
        _pixels(figure)
    found = [label for axes in figure.axes for label in _labels(axes)]
    boxes = [label.get_window_extent() for label in found]
    for place, box in enumerate(boxes):
        assert not any(box.overlaps(other) for other in boxes[:place]), found[place]
    for axes in figure.axes:
        axes.grid(visible=False)
        shades = [*axes.findobj(PolyCollection), *(patch for patch in axes.patches if isinstance(patch, Rectangle))]
        for each in [*_labels(axes), *axes.findobj(placement._Apart), *shades]:
            each.set_visible(False)
    pixels = _pixels(figure)
    for label, box in zip(found, boxes, strict=True):
        x0, x1, y0, y1 = (round(end) for end in (box.x0, box.x1, box.y0, box.y1))
        under = pixels[len(pixels) - y1 : len(pixels) - y0, x0:x1]
        assert (under == under[0, 0]).all(), f"{label} covers something"
    return len(found)


@law(
    Mutation(
        "all where they came",
        "sharpdiv.figures.labels._placed",
        lambda _: lambda label, *rest: (label.get_window_extent(), False),
    ),
    Mutation("markers are no marks", "sharpdiv.figures.labels._markers", lambda _: lambda *rest: iter(())),
    Mutation("lines are no marks", "sharpdiv.figures.labels._polylines", lambda _: lambda *rest: iter(())),
    Mutation("labels are no marks", "sharpdiv.figures.labels._filled", lambda _: lambda box: np.empty((0, 2))),
    examples=6,
    seed=st.integers(0, 2**20),
)
def test_labels_cover_no_mark_and_no_label(seed: int) -> None:
    """A curve with bars through a cloud, labelled, on a logarithmic axis."""
    rng = np.random.default_rng(seed)
    with style():
        figure = Figure(figsize=(3.25, 2.5), layout="constrained")
        axes = figure.subplots()
        axes.scatter(rng.uniform(0.5, 4, 25), rng.uniform(0.5, 4, 25), s=11)
        x, y = np.sort(rng.uniform(1, 3, (2, 4)))
        axes.errorbar(x, y, 0.3, 0.3, ls=":", marker="o")
        for at in zip(x.tolist(), y.tolist(), strict=True):
            axes.annotate("0.05", at, xytext=(-3, 3), textcoords="offset points", fontsize=6.5)
        axes.set_xscale("log")
        keep_apart(axes)
        keep_apart(axes)  # a second time changes nothing
        assert _check_clear(figure) == len(x)


def test_a_label_that_is_far_off_has_a_line_to_its_point() -> None:
    with style():
        figure = Figure(figsize=(3.25, 2.5))
        axes = figure.subplots()
        axes.plot([0.0, 1], [0.0, 1], "s", ms=0)
        x, y = np.meshgrid(np.linspace(0.35, 0.65, 12), np.linspace(0.35, 0.65, 12))
        axes.scatter(x, y, s=30)
        axes.annotate("far", (0.6, 0.5), xytext=(3, 3), textcoords="offset points")
        keep_apart(axes)
        with_line = _pixels(figure)
        axes.texts[0].set_visible(False)
        for each in axes.findobj(placement._Apart):
            each.set_visible(False)
        changed = (with_line != _pixels(figure)).any(axis=2)
        point = axes.transData.transform((0.6, 0.5))
    rows, columns = np.nonzero(changed)
    assert np.hypot(columns - point[0], len(changed) - rows - point[1]).min() < 2


@pytest.mark.parametrize("module", [placement, scales])
def test_examples_of_what_figures_share_run(module: ModuleType) -> None:
    found = doctest.testmod(module)
    assert found.attempted > 4
    assert not found.failed


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "count"),
    [("tradeoff_measured", 6), ("tradeoff_fashion_mnist", 6), ("diversity_metrics", 60), ("theory_tradeoff", 16)],
)
def test_labels_of_our_figures_cover_nothing(name: str, count: int) -> None:
    """Every rho of every curve has one."""
    with style():
        assert _check_clear(FIGURES[name].titled(_committed(RESULTS))) == count


def test_labels_of_the_command_line_cover_nothing() -> None:
    with style():
        figure = draw_overview(sam_tradeoff(Setting(), np.linspace(0, 0.25, 26)))
        assert _check_clear(figure) == 4
        for axes in figure.axes[:3]:
            assert axes.get_yscale() == "log", "the stable part would be flat"
